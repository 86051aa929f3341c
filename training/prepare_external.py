#!/usr/bin/env python3
"""Convert the small CC-BY data sets to the training formats.

    python training/prepare_external.py OUT_DIR --spc DIR --taskmaster DIR --wordnet DIR

  spc         google-research-datasets/Synthetic-Persona-Chat (CC-BY 4.0): data/*.csv
  taskmaster  google-research-datasets/Taskmaster (CC-BY 4.0): TM-4-2024/data/*.json
  wordnet     globalwordnet/english-wordnet (CC-BY 4.0): src/yaml/*.yaml

Writes extra.txt: plain text for pretraining, documents separated by a form feed.
Personal chats are only used as plain text between two named people:
the assistant must not learn to claim a life of its own.
"""
import argparse
import csv
import glob
import json
import os
import re

import lexicon as L
from spin import fresh_rng, pick

POS = {"noun": "noun", "verb": "verb", "adj": "adjective", "adv": "adverb"}
SKIP = re.compile(r"\b(sex|rape|genital|slur|offensive|disparag|vulgar|obscene|slang|penis|vagina|drug|derogat)", re.I)


def spc(folder, rng):
    for path in sorted(glob.glob(os.path.join(folder, "data", "*.csv"))):
        with open(path, newline="") as f:
            for row in csv.DictReader(f):
                a, b = rng.sample(L.GIRLS + L.BOYS, 2)
                text = list(row.values())[2] or ""
                yield text.replace("User 1:", a + ":").replace("User 2:", b + ":").replace("[User 1's name]", a).replace("[User 2's name]", b)


def taskmaster(folder):
    for path in sorted(glob.glob(os.path.join(folder, "TM-4-2024", "data", "*.json"))):
        with open(path) as f:
            for c in json.load(f):
                who = {"user": "Customer", "assistant": "Barista"}
                yield "\n".join(f"{who.get(u['speaker'], 'Customer')}: {u['text']}" for u in c["utterances"] if u.get("text"))


def wordnet(folder):
    """(part of speech, members, definition, examples) with a line parser for this fixed YAML layout."""
    for path in sorted(glob.glob(os.path.join(folder, "src", "yaml", "*.yaml"))):
        pos = os.path.basename(path).split(".")[0]
        if pos not in POS:
            continue
        with open(path) as f:
            blocks = re.split(r"^(?=\d{8}-\w:)", f.read(), flags=re.M)
        for b in blocks[1:]:
            b = re.sub(r"\n {4,}(?=\S)", " ", b)  # folded lines
            d = re.search(r"^  definition:\n  - (.*)$", b, re.M)
            m = re.search(r"^  members:\n((?:  - .*\n?)+)", b, re.M)
            e = re.search(r"^  example:\n((?:  - .*\n?)+)", b, re.M)
            if not d or not m:
                continue
            clean = lambda s: s.strip().strip("'\"").replace("''", "'")
            items = lambda g: [clean(x[4:]) for x in g.group(1).splitlines()]
            text = clean(d.group(1))
            if not SKIP.search(text):
                yield POS[pos], items(m), text, [x for x in items(e) if not x.startswith("source:")] if e else []


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("out")
    for name in ("spc", "taskmaster", "wordnet"):
        ap.add_argument("--" + name, required=True)
    args = ap.parse_args()
    rng = fresh_rng("external")
    docs = list(spc(args.spc, rng))
    n_spc = len(docs)
    docs += taskmaster(args.taskmaster)
    n_tm = len(docs) - n_spc
    lines = []
    for pos, members, text, examples in wordnet(args.wordnet):
        lines.append(f"{', '.join(members)} ({pos}): {text}." + (f" Example: {pick(rng, examples)}" if examples else ""))
    rng.shuffle(lines)
    docs += ["\n".join(lines[i:i + 8]) for i in range(0, len(lines), 8)]
    with open(os.path.join(args.out, "extra.txt"), "w") as f:
        f.write("\n\f\n".join(docs) + "\n\f\n")
    print(f"{n_spc} persona chats, {n_tm} coffee dialogs, {len(lines)} synsets")


if __name__ == "__main__":
    main()
