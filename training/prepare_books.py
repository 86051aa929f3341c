#!/usr/bin/env python3
"""Turn a folder of Project Gutenberg plain-text books into a clean corpus.

    python training/prepare_books.py BOOKS_DIR OUT_DIR --train-mb 150

Writes OUT_DIR/books.txt (training), OUT_DIR/heldout.txt (perplexity only) and
OUT_DIR/books.tsv (what was used, for the model card). Books are separated by a
line that holds a single form feed.

Choices that matter:
  * Books are ranked by how simple their prose is (short words, short sentences,
    much dialogue) and taken in that order until the size is reached: the model
    has 29M parameters and is meant to speak simple English.
  * Hard-wrapped lines are joined, so that the model does not learn to break
    lines at column 72.
  * Long paragraphs are deduplicated by hash over the whole corpus. The held-out
    books are read first, so no paragraph of theirs (anthologies and "complete
    works" repeat them) reaches the training text.
"""
import argparse
import hashlib
import os
import re
import sys

START = re.compile(r"\*\*\*\s*START OF (THE|THIS) PROJECT GUTENBERG.*?\*\*\*", re.I | re.S)
END = re.compile(r"\*\*\*\s*END OF (THE|THIS) PROJECT GUTENBERG|^End of (the )?Project Gutenberg", re.I | re.M)
STOP = set("the and of to a in that he was it his with as for had you not be her is but at on she they".split())
# Held out by title: four children's books and one adult novel, none of them used for training.
HELD_OUT = ("The Enchanted Castle", "Rilla of Ingle", "The Cozy Lion", "Tik-Tok of Oz", "The Invisible Man")

ASCII = str.maketrans({
    "\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2013": "-",
    "\u2014": "--", "\u2026": "...", "\u00a0": " ", "\ufeff": "", "\u00ad": "",
})


def body(text):
    """The book between Project Gutenberg's own header and footer."""
    m = START.search(text)
    if m:
        text = text[m.end():]
    m = END.search(text)
    if m:
        text = text[:m.start()]
    return text


def paragraphs(text):
    """Paragraphs as single lines; drops headings, tables, verse and apparatus."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").translate(ASCII)
    text = re.sub(r"\[(Illustration|Footnote|Transcriber|Sidenote)[^\]]*\]", " ", text, flags=re.S)
    for block in re.split(r"\n\s*\n", text):
        lines = [line.strip() for line in block.split("\n") if line.strip()]
        if not lines:
            continue
        if len(lines) > 2 and sum(map(len, lines)) / len(lines) < 45:
            continue  # verse, tables, contents lists
        para = re.sub(r"\s+", " ", " ".join(lines)).replace("_", "")
        letters = sum(c.isalpha() for c in para)
        if len(para) < 20 or letters < 0.7 * len(para):
            continue
        if para.upper() == para or re.search(r"gutenberg|https?:|www\.|@|\bebook", para, re.I):
            continue
        if re.search(r"[^\x00-\xff]", para) or para[-1] not in ".!?\"':;-,)":
            continue
        yield para


def complexity(paras):
    """Lower is simpler: mean sentence length (words) plus weighted word length."""
    sample = " ".join(paras[len(paras) // 4: len(paras) // 4 + 400])
    words = re.findall(r"[A-Za-z']+", sample)
    if len(words) < 500:
        return None
    if sum(w.lower() in STOP for w in words) < 0.2 * len(words):
        return None  # not English
    sentences = max(1, len(re.findall(r"[.!?]+", sample)))
    return len(words) / sentences + 6.0 * sum(map(len, words)) / len(words)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("books")
    ap.add_argument("out")
    ap.add_argument("--train-mb", type=float, default=150)
    args = ap.parse_args()

    seen, titles, ranked, held = set(), set(), [], []
    for folder, _, names in os.walk(args.books):
        for name in names:
            key = re.sub(r"[^a-z]", "", name.lower())[:28]
            if not name.endswith(".txt") or key in titles:
                continue
            titles.add(key)
            path = os.path.join(folder, name)
            with open(path, encoding="utf-8", errors="replace") as f:
                raw = f.read()
            if "\ufffd" in raw or re.search(r"^Language: (?!English)", raw[:3000], re.M):
                continue
            paras = list(paragraphs(body(raw)))
            score = complexity(paras) if len(paras) > 30 else None
            if score is None:
                continue
            row = (score, os.path.basename(folder), name[:-4], paras)
            (held if name.startswith(HELD_OUT) else ranked).append(row)
    ranked.sort(key=lambda r: r[0])

    def unseen(paras):
        kept = []
        for p in paras:
            if len(p) > 60:
                h = hashlib.blake2b(re.sub(r"\W", "", p.lower()).encode(), digest_size=8).digest()
                if h in seen:
                    continue
                seen.add(h)
            kept.append(p)
        return kept

    os.makedirs(args.out, exist_ok=True)
    with open(os.path.join(args.out, "heldout.txt"), "w") as f:
        for _, author, title, paras in held:
            f.write("\n\n".join(unseen(paras)) + "\n\f\n")
            print("held out:", author, "|", title, file=sys.stderr)
    total, used = 0, 0
    with open(os.path.join(args.out, "books.txt"), "w") as f, open(os.path.join(args.out, "books.tsv"), "w") as t:
        for score, author, title, paras in ranked:
            if total > args.train_mb * 1e6:
                break
            kept = unseen(paras)
            text = "\n\n".join(kept) + "\n\f\n"
            if len(text) < 4000:
                continue
            f.write(text)
            t.write(f"{score:.1f}\t{author}\t{title}\t{len(text)}\n")
            total, used = total + len(text), used + 1
    print(f"{used} books, {total / 1e6:.1f} MB, hardest score {score:.1f}", file=sys.stderr)


if __name__ == "__main__":
    main()
