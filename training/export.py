#!/usr/bin/env python3
"""Write the trained model as GGUF and check the file by an independent path.

    python training/export.py WORK_DIR OUT_DIR

Writes OUT_DIR/hearth-nano.gguf (Q8_0, norms in F32) and hearth-nano.golden.json.
The check reads the file back and computes the logits in float64 with numpy, in the
interleaved rotation of the GGUF llama architecture, and compares them with the
torch model in its own rotation: this catches a wrong permutation.
"""
import argparse
import json
import os

import numpy as np
import torch
from tokenizers import Tokenizer

import chat
import gguf
from model import Config, generate


def export(work, path):
    state = {k: v.float().cpu().numpy() for k, v in torch.load(os.path.join(work, "model.pt"), map_location="cpu").items()}
    tok = json.load(open(os.path.join(work, "tokenizer.json")))
    vocab = sorted(tok["model"]["vocab"].items(), key=lambda kv: kv[1])
    tokens = [t for t, _ in vocab]
    assert [i for _, i in vocab] == list(range(len(vocab)))
    kind = {t: 3 for t in chat.SPECIAL} | {t: 4 for t in chat.MARKUP} | {t: 3 for t in chat.RESERVED}  # control, user defined, control
    merges = [m if isinstance(m, str) else " ".join(m) for m in tok["model"]["merges"]]
    c = Config(vocab=len(tokens))
    meta = {
        "general.architecture": "llama", "general.type": "model", "general.name": "Hearth nano", "general.basename": "hearth-nano", "general.size_label": "29M",
        "general.license": "mit", "general.languages": ["en"], "general.file_type": 7, "general.quantization_version": 2,
        "general.description": "A small local chat model of the Hearth project",
        "llama.block_count": c.layers, "llama.context_length": c.context, "llama.embedding_length": c.dim, "llama.feed_forward_length": c.ffn,
        "llama.attention.head_count": c.heads, "llama.attention.head_count_kv": c.kv_heads, "llama.attention.layer_norm_rms_epsilon": c.eps,
        "llama.rope.freq_base": c.rope_base, "llama.rope.dimension_count": c.head_dim, "llama.vocab_size": c.vocab,
        "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "llama-bpe", "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [kind.get(t, 1) for t in tokens], "tokenizer.ggml.merges": merges,
        "tokenizer.ggml.bos_token_id": tokens.index("<|endoftext|>"), "tokenizer.ggml.eos_token_id": tokens.index("<|im_end|>"), "tokenizer.ggml.eot_token_id": tokens.index("<|im_end|>"),
        "tokenizer.ggml.padding_token_id": tokens.index("<|endoftext|>"), "tokenizer.ggml.add_bos_token": False, "tokenizer.chat_template": chat.CHAT_TEMPLATE,
    }
    tensors = [("token_embd.weight", state["embed.weight"], gguf.Q8_0)]
    for i in range(c.layers):
        for gname, mname in gguf.LAYER:
            w = state[f"blocks.{i}.{mname}"]
            if gname in ("attn_q", "attn_k"):
                w = gguf.permute(w, c.heads if gname == "attn_q" else c.kv_heads)
            tensors.append((f"blk.{i}.{gname}.weight", w, gguf.F32 if w.ndim == 1 else gguf.Q8_0))
    tensors.append(("output_norm.weight", state["norm"], gguf.F32))
    gguf.write(path, meta, tensors)


def reference_logits(path, ids):
    """float64 logits of one sequence straight from the file, with interleaved rotation."""
    meta, t = gguf.read(path)
    w = lambda name: t[name + ".weight"][0].astype(np.float64)
    heads, kv, eps = meta["llama.attention.head_count"], meta["llama.attention.head_count_kv"], meta["llama.attention.layer_norm_rms_epsilon"]
    hd, n = meta["llama.rope.dimension_count"], len(ids)
    freq = meta["llama.rope.freq_base"] ** (-np.arange(0, hd, 2) / hd)
    ang = np.arange(n)[:, None, None] * freq
    norm = lambda x, g: x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * g

    def rope(x):
        a, b = x[..., 0::2], x[..., 1::2]
        out = np.empty_like(x)
        out[..., 0::2], out[..., 1::2] = a * np.cos(ang) - b * np.sin(ang), a * np.sin(ang) + b * np.cos(ang)
        return out

    emb = w("token_embd")
    x = emb[ids]
    mask = np.triu(np.full((n, n), -np.inf), 1)
    for i in range(meta["llama.block_count"]):
        p = f"blk.{i}."
        h = norm(x, w(p + "attn_norm"))
        q = rope((h @ w(p + "attn_q").T).reshape(n, heads, hd))
        k = rope((h @ w(p + "attn_k").T).reshape(n, kv, hd)).repeat(heads // kv, axis=1)
        v = (h @ w(p + "attn_v").T).reshape(n, kv, hd).repeat(heads // kv, axis=1)
        s = np.einsum("qhd,khd->hqk", q, k) / np.sqrt(hd) + mask
        s = np.exp(s - s.max(-1, keepdims=True))
        s /= s.sum(-1, keepdims=True)
        x = x + np.einsum("hqk,khd->qhd", s, v).reshape(n, -1) @ w(p + "attn_output").T
        h = norm(x, w(p + "ffn_norm"))
        g = h @ w(p + "ffn_gate").T
        x = x + (g / (1 + np.exp(-g)) * (h @ w(p + "ffn_up").T)) @ w(p + "ffn_down").T
    return norm(x, w("output_norm")) @ emb.T


GOLDEN_PROMPTS = [
    "Once upon a time there was a little fox",
    chat.render([{"role": "user", "content": "What is the capital of France?"}], add_generation_prompt=True),
    chat.render([{"role": "system", "content": "Answer in one word."}, {"role": "user", "content": "What is the opposite of hot?"}], add_generation_prompt=True),
    chat.render([{"role": "user", "content": "My name is Ada."}, {"role": "assistant", "content": "Nice to meet you, Ada!"}, {"role": "user", "content": "What is my name?"}], add_generation_prompt=True),
]
TOKENIZER_TEXTS = [
    "", " ", "  ", "\n", "\n\n", "\t", " \n ", "a", "Hello", " Hello", "Hello world", "Hello, world!", "  two spaces", "trailing  ", "I'm you're WE'LL don't", "1", "12", "123", "1234", "12345 67", "3.14 + 2 = 5.14",
    "caf\u00e9 na\u00efve", "\u00fcber Stra\u00dfe", "\u65e5\u672c\u8a9e\u306e\u6587", "\u041f\u0440\u0438\u0432\u0435\u0442", "\U0001f600\U0001f44d\U0001f3fd", "\u0645\u0631\u062d\u0628\u0627", "line one\nline two\r\n\r\nline three", "def f(x):\n    return x+1\n",
    "\"quoted\" (text) [list] {map}", "a\u00a0b", "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", "<tool_call>\n{\"name\": \"f\"}\n</tool_call>", "<|im_start|", "<|reserved_3|> <think>hm</think>", "https://example.org/a?b=1&c=2", "ALL CAPS and MiXeD", "e\u0301 combining", "tabs\tand\t\ttabs", "...!!!???",
]


def golden(path, tok, out):
    model = gguf.load_model(path, "cpu", torch.float64)
    cases, worst = [], 0.0
    for text in GOLDEN_PROMPTS:
        ids = tok.encode(text).ids
        assert len(ids) <= 64, len(ids)
        with torch.no_grad():
            got = model.logits(torch.tensor([ids]))[0].numpy()
        want = reference_logits(path, ids)
        worst = max(worst, float(np.abs(got - want).max()))
        last = []
        for pos in range(max(0, len(ids) - 4), len(ids)):
            top = np.argsort(-want[pos])[:5]
            last.append({"position": pos, "top": [[int(i), round(float(want[pos, i]), 5)] for i in top]})
        cont = generate(model, [ids], stop=[], steps=24)[0]
        cases.append({"text": text, "ids": ids, "logits": last, "greedy": cont, "greedy_text": tok.decode(cont, skip_special_tokens=False)})
    print(f"largest difference between the two references: {worst:.2e}")
    assert worst < 1e-3, "the exported file does not compute the same function"
    vectors = [{"text": t, "ids": tok.encode(t).ids} for t in TOKENIZER_TEXTS]
    with open(out, "w") as f:
        json.dump({"note": "Logits in float64 from the dequantized weights of hearth-nano.gguf; greedy continuations ignore end tokens; tokenizer vectors parse special tokens.",
                   "sequences": cases, "tokenizer": vectors}, f, indent=1)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("work")
    ap.add_argument("out")
    args = ap.parse_args()
    os.makedirs(args.out, exist_ok=True)
    path = os.path.join(args.out, "hearth-nano.gguf")
    export(args.work, path)
    size = os.path.getsize(path)
    print(f"{path}: {size} bytes")
    assert size <= 32_000_000
    tok = Tokenizer.from_file(os.path.join(args.work, "tokenizer.json"))
    # llama.cpp takes a pre-token that is in the vocabulary as a whole without applying merges; both must agree.
    bad = [t for t, i in tok.get_vocab().items() if i >= len(chat.SPECIAL + chat.MARKUP + chat.RESERVED) and [x.id for x in [tok.model.tokenize(t)][0]] != [i]]
    print(f"tokens that their own merges do not produce: {len(bad)} {bad[:10]}")
    golden(path, tok, os.path.join(args.out, "hearth-nano.golden.json"))


if __name__ == "__main__":
    main()
