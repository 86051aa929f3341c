#!/usr/bin/env python3
"""Writes tests/data/jinja_cases.json: what Python's Jinja renders from many small templates, with
the settings that Hugging Face transformers uses for chat templates.

Usage: python3 tests/data/make_jinja_cases.py > tests/data/jinja_cases.json
Needs the Debian package python3-jinja2 (3.1). Each row of tests/data/jinja_rows.txt is a template,
in which \\n is a line break and \\\\ a backslash; every row sees the variables in CONTEXT. A row
that Python refuses is recorded with "error": only that we refuse it too is checked, and the words
when they are the template's own ("raised").
"""
import copy
import datetime
import json
import os
import sys

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

NOW = datetime.datetime(2026, 11, 23, 12, 0, 5)
CONTEXT = {
    "name": "World",
    "empty": "",
    "text": "  Hello there, General.\n\tKenobi  ",
    "lines": "one\ntwo\r\nthree\n\nfive",
    "uni": "naïve ÉCOLE straße 東京 😀 ΑΣ ǆ",
    "html": "<b a=\"1\">Tom & 'Jerry'</b>",
    "n": 42,
    "neg": -7,
    "zero": 0,
    "f": 2.5,
    "small": 1e-07,
    "yes": True,
    "no": False,
    "none": None,
    "nothing": None,
    "items": [3, 1, 2],
    "words": ["banana", "Apple", "cherry", "apple"],
    "mixed": [1, "two", 3.0, None, True, [1, 2], {"k": "v"}],
    "nested": {"a": {"b": [10, 20, {"c": "deep"}]}, "items": "shadowed", "get": "own"},
    "d": {"b": 2, "a": 1, "C": 3},
    "people": [
        {"name": "Ann", "age": 30, "tags": ["x", "y"]},
        {"name": "bob", "age": 25, "tags": []},
        {"name": "Cid", "age": 30},
    ],
    "messages": [
        {"role": "system", "content": "You are terse."},
        {"role": "user", "content": "Hi\n"},
        {"role": "assistant", "content": "<think>hm</think>\n\nHello!"},
    ],
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "get_weather",
                "description": "Wetter für \"Orte\" <b>\n",
                "parameters": {
                    "type": "object",
                    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "default": 3}},
                    "required": ["city"],
                },
            },
        }
    ],
}


class Raised(Exception):
    pass


class Generation(Extension):
    """{% generation %}: its body in a scope of its own, as transformers' tracker renders it."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_keep"), [], [], body).set_lineno(line)

    def _keep(self, caller):
        return caller()


def environment():
    def raise_exception(message):
        raise Raised(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda f: NOW.strftime(f)
    return env


def render(source, context, env=None):
    """{"text": ...}, {"raised": words} or {"error": Python's message}."""
    try:
        return {"text": (env or environment()).from_string(source).render(**copy.deepcopy(context))}
    except Raised as e:
        return {"raised": str(e)}
    except Exception as e:  # whatever Python raises is a refusal
        return {"error": "%s: %s" % (type(e).__name__, str(e).splitlines()[0] if str(e) else "")}


def rows():
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "jinja_rows.txt")
    with open(path, encoding="utf-8", newline="") as f:
        for line in f.read().split("\n"):
            if line and not line.startswith("## "):
                yield line.replace("\\\\", "\0").replace("\\n", "\n").replace("\\r", "\r").replace("\0", "\\")


def main():
    cases = [dict(template=t, **render(t, CONTEXT)) for t in rows()]
    out = {"now": NOW.isoformat(), "context": CONTEXT, "cases": cases}
    print(json.dumps(out, ensure_ascii=False, indent=0))


if __name__ == "__main__":
    sys.exit(main())
