#!/usr/bin/env python3
"""Tokenizer and token files: everything between text and training.

    python training/prepare.py DATA_DIR WORK_DIR [--mb 600] [--tokenizer tokenizer.json]

DATA_DIR holds books.txt, heldout.txt and extra.txt (each may be .xz) and words.txt.
Writes tokenizer.json, books.npy, extra.npy, heldout.npy (int16 streams, documents
end with <|endoftext|>) and chat.npy, chat_mask.npy (rows of ROW + 1 tokens packed
from whole conversations; the mask marks what the assistant wrote).
"""
import argparse
import glob
import json
import lzma
import multiprocessing
import os
import subprocess
import sys
import time

import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

import chat

VOCAB = 8192
ROW = 1024
# The pre-tokenizer of Llama 3 ("llama-bpe" in GGUF).
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def read(folder, name):
    path = os.path.join(folder, name)
    opener = open if os.path.exists(path) else lzma.open
    with opener(path if opener is open else path + ".xz", "rt", encoding="utf-8") as f:
        return f.read()


def documents(text):
    return [d.strip() for d in text.split("\f") if d.strip()]


def train_tokenizer(samples):
    """Byte-level BPE. While training, digits are split one by one, so no merge joins two digits:
    numbers are then always single digits, which makes arithmetic learnable."""
    tok = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(LLAMA3), "isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tok.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.Digits(individual_digits=True), byte_level])
    special = chat.SPECIAL + chat.MARKUP + chat.RESERVED
    tok.train_from_iterator(samples, trainers.BpeTrainer(vocab_size=VOCAB, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    tok.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])  # exactly what "llama-bpe" does
    tok.decoder = decoders.ByteLevel()
    tok.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in special])
    assert tok.get_vocab_size() == VOCAB
    return tok


def _stream(args):
    path, docs = args
    tok = Tokenizer.from_file(path)
    end = tok.token_to_id("<|endoftext|>")
    out = []
    for e in tok.encode_batch(docs):
        out.append(np.array(e.ids + [end], dtype=np.int16))
    return np.concatenate(out) if out else np.zeros(0, np.int16)


def _rows(args):
    """Whole conversations, packed first-fit into rows of ROW + 1 tokens."""
    path, source = args
    tok = Tokenizer.from_file(path)
    end = tok.token_to_id("<|endoftext|>")
    rows, masks, open_rows = [], [], []
    with open(source) as f:
        lines = f.readlines()
    for i in range(0, len(lines), 2000):
        batch, owner, flags = [], [], []
        for n, line in enumerate(lines[i:i + 2000]):
            for text, target in chat.pieces(*json.loads(line)):
                batch.append(text)
                owner.append(n)
                flags.append(target)
        ids, mask = {}, {}
        for e, n, t in zip(tok.encode_batch_fast(batch), owner, flags):
            ids.setdefault(n, []).extend(e.ids)
            mask.setdefault(n, []).extend([t] * len(e.ids))
        for n in ids:
            x, m = ids[n] + [end], mask[n] + [False]
            if len(x) > ROW + 1:
                continue
            for r in open_rows:
                if len(r[0]) + len(x) <= ROW + 1:
                    break
            else:
                r = ([], [])
                open_rows.append(r)
            r[0].extend(x)
            r[1].extend(m)
            if len(open_rows) > 40 or len(r[0]) > ROW - 24:
                fullest = max(open_rows, key=lambda r: len(r[0]))
                open_rows.remove(fullest)
                rows.append(np.array(fullest[0] + [end] * (ROW + 1 - len(fullest[0])), dtype=np.int16))
                masks.append(np.array(fullest[1] + [False] * (ROW + 1 - len(fullest[1])), dtype=bool))
    return np.stack(rows), np.stack(masks)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("data")
    ap.add_argument("work")
    ap.add_argument("--mb", type=float, default=600)
    ap.add_argument("--seed", default="1")
    ap.add_argument("--tokenizer", help="use this tokenizer instead of training one")
    args = ap.parse_args()
    os.makedirs(args.work, exist_ok=True)
    t0 = time.time()
    say = lambda s: print(f"[{time.time() - t0:5.1f}s] {s}", flush=True)
    jobs = os.cpu_count()
    here = os.path.dirname(os.path.abspath(__file__))
    gen = subprocess.Popen([sys.executable, os.path.join(here, "generate.py"), args.work, "--words", os.path.join(args.data, "words.txt"),
                            "--mb", str(args.mb), "--jobs", str(jobs), "--seed", args.seed])
    books, extra, held = (documents(read(args.data, n)) for n in ("books.txt", "extra.txt", "heldout.txt"))
    say(f"{len(books)} books")
    gen.wait()
    say("conversations generated")
    path = os.path.join(args.work, "tokenizer.json")
    sources = sorted(glob.glob(os.path.join(args.work, "chat*.jsonl")))
    if args.tokenizer:
        tok = Tokenizer.from_file(args.tokenizer)
    else:
        lines = [line for s in sources for line in open(s).readlines()[:1200]]
        samples = ["".join(t for t, _ in chat.pieces(*json.loads(line))) for line in lines]
        samples += [b[i:i + 20000] for b in books[::2] for i in range(0, min(len(b), 100000), 20000)] + extra[:4000]
        tok = train_tokenizer(samples)
    tok.save(path)
    say("tokenizer ready")
    # One book may be megabytes long: cut at paragraphs, so that the work spreads over the processes.
    pieces = []
    for b in books:
        paras, part, size = b.split("\n\n"), [], 0
        for p in paras:
            part.append(p)
            size += len(p)
            if size > 12000:
                pieces.append("\n\n".join(part))
                part, size = [], 0
        if part:
            pieces.append("\n\n".join(part))
    with multiprocessing.Pool(jobs) as pool:
        chunks = pool.map(_stream, [(path, pieces[i::jobs]) for i in range(jobs)])
        np.save(os.path.join(args.work, "books.npy"), np.concatenate(chunks))
        more = pool.map(_stream, [(path, extra[i::jobs]) for i in range(jobs)])
        np.save(os.path.join(args.work, "extra.npy"), np.concatenate(more))
        np.save(os.path.join(args.work, "heldout.npy"), _stream((path, held)))
        say("plain text done")
        packed = pool.map(_rows, [(path, s) for s in sources], chunksize=1)
    np.save(os.path.join(args.work, "chat.npy"), np.concatenate([p[0] for p in packed]))
    np.save(os.path.join(args.work, "chat_mask.npy"), np.concatenate([p[1] for p in packed]))
    say(f"books {sum(map(len, chunks)) / 1e6:.1f}M, extra {sum(map(len, more)) / 1e6:.1f}M, chat {sum(len(p[0]) for p in packed) * ROW / 1e6:.1f}M tokens")


if __name__ == "__main__":
    main()
