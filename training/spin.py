"""Spintax: a compact notation for many phrasings of one sentence.

"[Hi|Hello] there[!|.|]" picks one alternative of each bracket; brackets nest.
"{slot}" is filled afterwards from a dict. Parsed templates are cached, so that
expansion costs little more than the random draws.
"""
import functools
import random
import re

_TOKEN = re.compile(r"[\[\]|]|[^\[\]|]+")


@functools.lru_cache(maxsize=None)
def _parse(text):
    """A tree: a sequence of str or of tuples of alternative sequences."""
    tokens = _TOKEN.findall(text)
    pos = 0

    def seq(in_bracket):
        nonlocal pos
        out = []
        while pos < len(tokens):
            t = tokens[pos]
            if t == "[":
                pos += 1
                alts = [seq(True)]
                while tokens[pos] == "|":
                    pos += 1
                    alts.append(seq(True))
                if tokens[pos] != "]":
                    raise ValueError("unbalanced template: " + text)
                pos += 1
                out.append(tuple(alts))
            elif in_bracket and t in "|]":
                return out
            else:
                out.append(t)
                pos += 1
        if in_bracket:
            raise ValueError("unbalanced template: " + text)
        return out

    return seq(False)


def _expand(rng, node, out):
    for part in node:
        if isinstance(part, str):
            out.append(part)
        else:
            _expand(rng, part[int(rng.random() * len(part))], out)


def spin(rng, text, slots=None, **more):
    """One random expansion of a template (a str, or a list of them to pick from)."""
    if not isinstance(text, str):
        text = text[int(rng.random() * len(text))]
    out = []
    _expand(rng, _parse(text), out)
    s = "".join(out)
    if slots or more:
        s = s.format_map({**(slots or {}), **more})
    return s


def cap(s):
    return s[:1].upper() + s[1:]


def a(noun):
    """The noun with its indefinite article."""
    vowel = noun[0] in "aeiou" and not noun.startswith(("uni", "use", "one", "eu"))
    return ("an " if vowel or noun.startswith(("hour", "honest")) else "a ") + noun


def join_and(items):
    items = list(items)
    if len(items) < 2:
        return "".join(items)
    return ", ".join(items[:-1]) + " and " + items[-1]


def held_out(value, part=12):
    """A fixed 1/part of all values is kept out of training, for evaluation."""
    h = 2166136261
    for ch in str(value).lower():
        h = ((h ^ ord(ch)) * 16777619) & 0xFFFFFFFF
    return (h >> 7) % part == 0


def pick(rng, items):
    return items[int(rng.random() * len(items))]


def fresh_rng(*seed):
    return random.Random("/".join(map(str, seed)))
