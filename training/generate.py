#!/usr/bin/env python3
"""Write generated training conversations, one JSON list per line, with many processes.

    python training/generate.py OUT_DIR --words words.txt --mb 400 --jobs 16 [--seed 1]

words.txt is the word list for copying tasks (made by word_list below from the books).
"""
import argparse
import collections
import json
import multiprocessing
import os
import re

from gen_dialog import conversation
from spin import fresh_rng


def word_list(books, size=12000):
    """The most frequent lower-case words of the books, without the very shortest."""
    count = collections.Counter(re.findall(r"\b[a-z]{3,12}\b", books))
    return [w for w, _ in count.most_common(size + 150)[150:]]


def _job(args):
    out, words, mb, seed = args
    rng = fresh_rng("train", seed)
    size = 0
    with open(out, "w") as f:
        while size < mb * 1e6:
            m, tools = conversation(rng, words)
            line = json.dumps([m, tools] if tools else [m], ensure_ascii=False)
            f.write(line + "\n")
            size += len(line)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("out")
    ap.add_argument("--words", required=True)
    ap.add_argument("--mb", type=float, default=400)
    ap.add_argument("--jobs", type=int, default=os.cpu_count())
    ap.add_argument("--seed", type=int, default=1)
    args = ap.parse_args()
    os.makedirs(args.out, exist_ok=True)
    with open(args.words) as f:
        words = f.read().split()
    jobs = [(os.path.join(args.out, f"chat{i:02d}.jsonl"), words, args.mb / args.jobs, f"{args.seed}/{i}") for i in range(args.jobs)]
    with multiprocessing.Pool(args.jobs) as pool:
        pool.map(_job, jobs, chunksize=1)


if __name__ == "__main__":
    main()
