#!/usr/bin/env python3
"""Makes tests/data/quant_blocks.gguf: real blocks of every type beside what they stand for.

    make_quant_blocks.py BF16.gguf QUANTIZED.gguf... > quant_blocks.gguf

For each block type found in the quantized files (made by llama.cpp from BF16.gguf) takes the first
rows of a matrix of that type and writes three tensors: TYPE.blocks (as they are), TYPE.values (f32,
decoded here from the layout's description, every operation rounded to f32) and TYPE.source (bf16).
Written apart from the C code: plain Python, one expression per type."""
import struct
import sys

BLOCKS = {2: ("q4_0", 32, 18), 3: ("q4_1", 32, 20), 6: ("q5_0", 32, 22), 7: ("q5_1", 32, 24),
          8: ("q8_0", 32, 34), 10: ("q2_k", 256, 84), 11: ("q3_k", 256, 110), 12: ("q4_k", 256, 144),
          13: ("q5_k", 256, 176), 14: ("q6_k", 256, 210), 20: ("iq4_nl", 32, 18), 23: ("iq4_xs", 256, 136)}
LEVELS = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113]
ROWS = 4


def f32(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


def f16(b, at):
    return struct.unpack_from("<e", b, at)[0]


def mul(a, b):
    return f32(a * b)


def bit(b, i):
    return b[i // 8] >> (i % 8) & 1


def nibble(b, i):  # element i of 32: low nibbles first, then high ones
    return b[i % 16] >> (4 * (i // 16)) & 15


def scale_min(s, i):
    if i < 4:
        return s[i] & 63, s[i + 4] & 63
    return s[i + 4] & 15 | s[i - 4] >> 6 << 4, s[i + 4] >> 4 | s[i] >> 6 << 4


def decode(name, b):
    d = f16(b, {"q2_k": 80, "q3_k": 108, "q6_k": 208}.get(name, 0))
    if name == "q4_0":
        return [mul(nibble(b[2:], i) - 8, d) for i in range(32)]
    if name == "q4_1":
        return [f32(mul(nibble(b[4:], i), d) + f16(b, 2)) for i in range(32)]
    if name == "q5_0":
        return [mul((nibble(b[6:], i) | bit(b[2:], i) << 4) - 16, d) for i in range(32)]
    if name == "q5_1":
        return [f32(mul(nibble(b[8:], i) | bit(b[4:], i) << 4, d) + f16(b, 2)) for i in range(32)]
    if name == "q8_0":
        return [mul(struct.unpack_from("b", b, 2 + i)[0], d) for i in range(32)]
    if name == "iq4_nl":
        return [mul(d, LEVELS[nibble(b[2:], i)]) for i in range(32)]
    if name == "iq4_xs":
        high = struct.unpack_from("<H", b, 2)[0]
        out = []
        for i in range(256):
            s = i // 32
            ls = b[4 + s // 2] >> (4 * (s % 2)) & 15 | (high >> (2 * s) & 3) << 4
            out.append(mul(mul(d, ls - 32), LEVELS[nibble(b[8 + 16 * s:], i % 32)]))
        return out
    if name == "q2_k":
        m = f16(b, 82)
        return [f32(mul(mul(d, b[i // 16] & 15), b[16 + 32 * (i // 128) + i % 32] >> (2 * (i % 128 // 32)) & 3)
                    - mul(m, b[i // 16] >> 4)) for i in range(256)]
    if name == "q3_k":
        out, s = [], b[96:108]
        for i in range(256):
            j = i // 16
            sc = (s[j % 8] >> (4 * (j // 8)) & 15 | (s[8 + j % 4] >> (2 * (j // 4)) & 3) << 4) - 32
            q = b[32 + 32 * (i // 128) + i % 32] >> (2 * (i % 128 // 32)) & 3
            q -= 0 if b[i % 32] >> (i // 32) & 1 else 4
            out.append(mul(mul(d, sc), q))
        return out
    if name in ("q4_k", "q5_k"):
        m, out, qs = f16(b, 2), [], 16 if name == "q4_k" else 48
        for i in range(256):
            sc, mn = scale_min(b[4:16], i // 32)
            q = b[qs + 32 * (i // 64) + i % 32] >> (4 * (i % 64 // 32)) & 15
            if name == "q5_k":
                q |= (b[16 + i % 32] >> (i // 32) & 1) << 4
            out.append(f32(mul(mul(d, sc), q) - mul(m, mn)))
        return out
    if name == "q6_k":
        out = []
        for i in range(256):
            h, k, l = i // 128, i % 128 // 32, i % 32
            q = b[64 * h + 32 * (k % 2) + l] >> (4 * (k // 2)) & 15
            q |= (b[128 + 32 * h + l] >> (2 * k) & 3) << 4
            out.append(mul(mul(d, struct.unpack_from("b", b, 192 + i // 16)[0]), q - 32))
        return out
    raise ValueError(name)


def read_gguf(path):
    data, at = open(path, "rb").read(), 24
    n_tensors, n_kv = struct.unpack_from("<QQ", data, 8)

    def string():
        nonlocal at
        n = struct.unpack_from("<Q", data, at)[0]
        at += 8 + n
        return data[at - n:at].decode("utf-8", "replace")

    def skip(t):
        nonlocal at
        if t == 8:
            string()
        elif t == 9:
            inner, n = struct.unpack_from("<IQ", data, at)
            at += 12
            for _ in range(n):
                skip(inner)
        else:
            at += [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8][t]

    for _ in range(n_kv):
        string()
        at += 4
        skip(struct.unpack_from("<I", data, at - 4)[0])
    tensors = {}
    for _ in range(n_tensors):
        name = string()
        n = struct.unpack_from("<I", data, at)[0]
        ne = struct.unpack_from("<%dQ" % n, data, at + 4)
        t, offset = struct.unpack_from("<IQ", data, at + 4 + 8 * n)
        at += 16 + 8 * n
        tensors[name] = (t, ne, offset)
    return data, tensors, (at + 31) // 32 * 32


def main():
    source, source_tensors, source_at = read_gguf(sys.argv[1])
    found = {}
    for path in sys.argv[2:]:
        data, tensors, at = read_gguf(path)
        for name, (t, ne, offset) in tensors.items():
            if t in BLOCKS and t not in found and name.startswith("blk.1"):
                found[t] = (name, ne[0], data[at + offset:])
    assert len(found) == len(BLOCKS), found.keys()
    out = []
    for t, (name, cols, data) in sorted(found.items()):
        label, elems, size = BLOCKS[t]
        n = ROWS * cols // elems
        blocks = data[:n * size]
        values = [v for i in range(n) for v in decode(label, blocks[i * size:(i + 1) * size])]
        src = source_at + source_tensors[name][2]
        out.append((label + ".blocks", t, cols, blocks))
        out.append((label + ".values", 0, cols, struct.pack("<%df" % len(values), *values)))
        out.append((label + ".source", 30, cols, source[src:src + ROWS * cols * 2]))
    head, body = b"GGUF" + struct.pack("<IQQ", 3, len(out), 0), b""
    for name, t, cols, data in out:
        head += struct.pack("<Q", len(name)) + name.encode()
        head += struct.pack("<IQQIQ", 2, cols, ROWS, t, len(body))
        body += data + b"\0" * (-len(data) % 32)
    sys.stdout.buffer.write(head + b"\0" * (-len(head) % 32) + body)


main()
