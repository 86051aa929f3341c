#!/usr/bin/env python3
"""Makes this folder from the reference models (Hugging Face folders with golden.json, and the same
models as GGUF): distinct tokenizers, vocabulary-only GGUF files, and cases.json with the expected ids.

usage: make.py GOLDEN_FOLDER
"""
import json, os, struct, sys

golden = sys.argv[1]
here = os.path.dirname(os.path.abspath(__file__))
SIZE = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}


def skip_value(b, at, kind):
    if kind == 8:
        return at + 8 + struct.unpack_from("<Q", b, at)[0]
    if kind == 9:
        elem, n = struct.unpack_from("<IQ", b, at)
        at += 12
        if elem in SIZE:
            return at + n * SIZE[elem]
        for _ in range(n):
            at = skip_value(b, at, elem)
        return at
    return at + SIZE[kind]


def strip_tensors(src, dst):
    """Keeps general.* and tokenizer.* metadata, drops the tensors."""
    b = open(src, "rb").read()
    magic, version, n_tensors, n_kv = struct.unpack_from("<IIQQ", b, 0)
    at, kept = 24, []
    for _ in range(n_kv):
        start = at
        n = struct.unpack_from("<Q", b, at)[0]
        key = b[at + 8 : at + 8 + n].decode()
        at = skip_value(b, at + 12 + n, struct.unpack_from("<I", b, at + 8 + n)[0])
        if key.startswith(("general.architecture", "general.name", "tokenizer.")):
            kept.append(b[start:at])
    with open(dst, "wb") as f:
        f.write(struct.pack("<IIQQ", magic, version, 0, len(kept)) + b"".join(kept))


cases, seen = [], {}
for name in sorted(os.listdir(golden + "/hf")):
    folder = f"{golden}/hf/{name}"
    if not os.path.exists(folder + "/tokenizer.json"):
        continue
    text = open(folder + "/tokenizer.json").read()
    config = open(folder + "/tokenizer_config.json").read()
    g = json.load(open(folder + "/golden.json"))
    if text not in seen:
        seen[text] = name
        open(f"{here}/{name}.json", "w").write(text)
    case = {"name": name, "json": seen[text], "config": config, "tokenizer": g["tokenizer"], "chat": g.get("chat") or []}
    gguf = f"{golden}/gguf/{name}-bf16.gguf"
    if os.path.exists(gguf):
        strip_tensors(gguf, f"{here}/{name}.gguf")
        case["gguf"] = name
    for c in case["chat"]:
        c.pop("messages", None)
    cases.append(case)
json.dump(cases, open(here + "/cases.json", "w"), ensure_ascii=True, indent=0, separators=(",", ":"))
