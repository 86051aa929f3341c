"""GGUF v3: write and read what this project needs (F32, F16 and Q8_0 tensors).

The llama architecture in GGUF rotates neighbouring pairs (2i, 2i+1), whereas the
model here, like Llama checkpoints elsewhere, rotates (i, i + head_dim/2). So the
rows of the q and k projections are permuted on export and permuted back on load.
"""
import struct

import numpy as np

F32, F16, Q8_0 = 0, 1, 8
_U32, _I32, _F32T, _BOOL, _STR, _ARR = 4, 5, 6, 7, 8, 9
_SCALAR = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
ALIGN = 32


def quantize_q8_0(w):
    """Blocks of 32: an f16 scale and 32 signed bytes. Rounding as in ggml: half away from zero."""
    x = np.ascontiguousarray(w, dtype=np.float32).reshape(-1, 32)
    d = np.abs(x).max(axis=1) / 127.0
    inv = np.where(d > 0, 1.0 / np.where(d > 0, d, 1), 0).astype(np.float32)
    y = x * inv[:, None]
    q = (np.sign(y) * np.floor(np.abs(y) + 0.5)).astype(np.int8)
    out = np.empty(len(x), dtype=[("d", "<f2"), ("q", "i1", 32)])
    out["d"], out["q"] = d, q
    return out.tobytes()


def dequantize_q8_0(raw, n):
    b = np.frombuffer(raw, dtype=[("d", "<f2"), ("q", "i1", 32)], count=n // 32)
    return (b["d"].astype(np.float32)[:, None] * b["q"].astype(np.float32)).reshape(-1)


def permute(w, heads):
    """(i, i + half) rotation order to neighbouring pairs, for every head."""
    return w.reshape(heads, 2, w.shape[0] // heads // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def unpermute(w, heads):
    return w.reshape(heads, w.shape[0] // heads // 2, 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def _string(s):
    b = s.encode("utf-8")
    return struct.pack("<Q", len(b)) + b


def _value(v):
    """(type id, bytes) of a metadata value; ints are u32, lists are arrays of one type."""
    if isinstance(v, bool):
        return _BOOL, struct.pack("<?", v)
    if isinstance(v, int):
        return _U32, struct.pack("<I", v)
    if isinstance(v, float):
        return _F32T, struct.pack("<f", v)
    if isinstance(v, str):
        return _STR, _string(v)
    if isinstance(v[0], str):
        return _ARR, struct.pack("<IQ", _STR, len(v)) + b"".join(map(_string, v))
    return _ARR, struct.pack("<IQ", _I32, len(v)) + struct.pack(f"<{len(v)}i", *v)


def write(path, meta, tensors):
    """tensors: list of (name, numpy array in [out, in] order, type)."""
    blobs, infos, offset = [], b"", 0
    for name, w, kind in tensors:
        blob = quantize_q8_0(w) if kind == Q8_0 else np.ascontiguousarray(w, dtype="<f4" if kind == F32 else "<f2").tobytes()
        infos += _string(name) + struct.pack("<I", w.ndim) + struct.pack(f"<{w.ndim}Q", *w.shape[::-1]) + struct.pack("<IQ", kind, offset)
        blob += b"\0" * (-len(blob) % ALIGN)
        blobs.append(blob)
        offset += len(blob)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(meta))
    for key, v in meta.items():
        t, raw = _value(v)
        head += _string(key) + struct.pack("<I", t) + raw
    head += infos
    with open(path, "wb") as f:
        f.write(head + b"\0" * (-len(head) % ALIGN))
        for b in blobs:
            f.write(b)


def read(path):
    """(metadata, {name: (array as float32 in [out, in] order, type)})"""
    with open(path, "rb") as f:
        buf = f.read()
    pos = 0

    def take(fmt):
        nonlocal pos
        v = struct.unpack_from(fmt, buf, pos)
        pos += struct.calcsize(fmt)
        return v[0]

    def string():
        nonlocal pos
        n = take("<Q")
        pos += n
        return buf[pos - n: pos].decode("utf-8")

    def value(t):
        if t == _STR:
            return string()
        if t == _ARR:
            inner, n = take("<I"), take("<Q")
            return [value(inner) for _ in range(n)]
        return take(_SCALAR[t])

    if buf[:4] != b"GGUF" or struct.unpack_from("<I", buf, 4)[0] != 3:
        raise ValueError("not a GGUF v3 file")
    pos = 8
    n_tensors, n_meta = take("<Q"), take("<Q")
    meta = {}
    for _ in range(n_meta):
        key = string()
        meta[key] = value(take("<I"))
    infos = []
    for _ in range(n_tensors):
        name = string()
        shape = [take("<Q") for _ in range(take("<I"))][::-1]
        infos.append((name, shape, take("<I"), take("<Q")))
    base = pos + -pos % ALIGN
    out = {}
    for name, shape, kind, offset in infos:
        n, at = int(np.prod(shape)), base + offset
        if kind == Q8_0:
            w = dequantize_q8_0(buf[at: at + n // 32 * 34], n)
        else:
            w = np.frombuffer(buf, dtype="<f4" if kind == F32 else "<f2", count=n, offset=at).astype(np.float32)
        out[name] = (w.reshape(shape), kind)
    return meta, out


# (GGUF name, model name) of one layer
LAYER = [("attn_norm", "attn_norm"), ("attn_q", "q.weight"), ("attn_k", "k.weight"), ("attn_v", "v.weight"), ("attn_output", "o.weight"),
         ("ffn_norm", "ffn_norm"), ("ffn_gate", "gate.weight"), ("ffn_up", "up.weight"), ("ffn_down", "down.weight")]


def load_model(path, device="cpu", dtype=None):
    """The torch model with the dequantized weights of a GGUF file."""
    import torch
    from model import Config, Model
    meta, t = read(path)
    cfg = Config(vocab=len(meta["tokenizer.ggml.tokens"]), layers=meta["llama.block_count"], dim=meta["llama.embedding_length"], heads=meta["llama.attention.head_count"],
                 kv_heads=meta["llama.attention.head_count_kv"], ffn=meta["llama.feed_forward_length"], context=meta["llama.context_length"],
                 rope_base=meta["llama.rope.freq_base"], eps=meta["llama.attention.layer_norm_rms_epsilon"])
    state = {"embed.weight": t["token_embd.weight"][0], "norm": t["output_norm.weight"][0]}
    for i in range(cfg.layers):
        for gname, mname in LAYER:
            w = t[f"blk.{i}.{gname}.weight"][0]
            if gname in ("attn_q", "attn_k"):
                w = unpermute(w, cfg.heads if gname == "attn_q" else cfg.kv_heads)
            state[f"blocks.{i}.{mname}"] = w
    model = Model(cfg)
    model.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in state.items()})
    return model.to(device=device, dtype=dtype)
