"""The model: a small Llama (RMSNorm, half-rotation RoPE, SwiGLU, grouped-query attention, tied embeddings).

forward() works on one flat stream of tokens with document borders, so that training
never attends across documents and needs no padding.
"""
from dataclasses import dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F

try:
    from torch.nn.attention.varlen import varlen_attn
except ImportError:  # older torch: rows are then attended as a whole
    varlen_attn = None


@dataclass
class Config:
    vocab: int = 8192
    layers: int = 9
    dim: int = 512
    heads: int = 8
    kv_heads: int = 4
    ffn: int = 1280
    context: int = 2048
    rope_base: float = 10000.0
    eps: float = 1e-5

    @property
    def head_dim(self):
        return self.dim // self.heads


def rope_tables(cfg, length, device, exact=False):
    freq = cfg.rope_base ** (-torch.arange(0, cfg.head_dim, 2, device=device, dtype=torch.float64) / cfg.head_dim)
    angle = torch.arange(length, device=device, dtype=torch.float64)[:, None] * freq
    dtype = torch.float64 if exact else torch.float32
    return angle.cos().to(dtype), angle.sin().to(dtype)


def rotate(x, cos, sin):
    """x (..., heads, head_dim); cos, sin (..., 1, head_dim / 2). Pairs are (i, i + head_dim / 2)."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1).to(x.dtype)


class Block(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.cfg = cfg
        d, kv = cfg.dim, cfg.kv_heads * cfg.head_dim
        self.attn_norm = nn.Parameter(torch.ones(d))
        self.ffn_norm = nn.Parameter(torch.ones(d))
        lin = lambda i, o: nn.Linear(i, o, bias=False)
        self.q, self.k, self.v, self.o = lin(d, d), lin(d, kv), lin(d, kv), lin(d, d)
        self.gate, self.up, self.down = lin(d, cfg.ffn), lin(d, cfg.ffn), lin(cfg.ffn, d)

    def forward(self, x, cos, sin, attend):
        c = self.cfg
        h = F.rms_norm(x, (c.dim,), self.attn_norm.to(x.dtype), c.eps)
        shape = x.shape[:-1]
        q = rotate(self.q(h).view(*shape, c.heads, c.head_dim), cos, sin)
        k = rotate(self.k(h).view(*shape, c.kv_heads, c.head_dim), cos, sin)
        v = self.v(h).view(*shape, c.kv_heads, c.head_dim)
        rep = c.heads // c.kv_heads
        k, v = k.repeat_interleave(rep, dim=-2), v.repeat_interleave(rep, dim=-2)
        x = x + self.o(attend(q, k, v).reshape(*shape, c.dim))
        h = F.rms_norm(x, (c.dim,), self.ffn_norm.to(x.dtype), c.eps)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


class Model(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.cfg = cfg
        self.embed = nn.Embedding(cfg.vocab, cfg.dim)
        self.blocks = nn.ModuleList(Block(cfg) for _ in range(cfg.layers))
        self.norm = nn.Parameter(torch.ones(cfg.dim))
        for m in self.modules():
            if isinstance(m, (nn.Linear, nn.Embedding)):
                nn.init.normal_(m.weight, std=0.02)
        for b in self.blocks:  # residual branches start small
            nn.init.normal_(b.o.weight, std=0.02 / (2 * cfg.layers) ** 0.5)
            nn.init.normal_(b.down.weight, std=0.02 / (2 * cfg.layers) ** 0.5)

    def _run(self, x, cos, sin, attend):
        cos, sin = cos.unsqueeze(-2), sin.unsqueeze(-2)
        for b in self.blocks:
            x = b(x, cos, sin, attend)
        return F.rms_norm(x, (self.cfg.dim,), self.norm.to(x.dtype), self.cfg.eps)

    def forward(self, tokens, cu, row, cos, sin):
        """Logits of a flat stream (n,) of rows of `row` tokens; cu: document borders for varlen attention."""
        x = F.embedding(tokens, self.embed.weight)
        if torch.is_autocast_enabled("cuda"):
            x = x.bfloat16()  # the residual stream, and so the flash kernels' inputs
        if cu is not None:
            attend = lambda q, k, v: varlen_attn(q, k, v, cu, cu, row, row, window_size=(-1, 0))
        else:
            def attend(q, k, v):
                q, k, v = (t.view(-1, row, *t.shape[1:]).transpose(1, 2) for t in (q, k, v))
                return F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(0, 1)
        return F.linear(self._run(x, cos, sin, attend), self.embed.weight)

    def logits(self, tokens):
        """Logits (b, t, vocab) of a padded batch (b, t): for evaluation."""
        cos, sin = rope_tables(self.cfg, tokens.shape[1], tokens.device, self.norm.dtype == torch.float64)

        def attend(q, k, v):
            q, k, v = (t.transpose(1, 2) for t in (q, k, v))
            return F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2)
        x = self._run(F.embedding(tokens, self.embed.weight), cos, sin, attend)
        return F.linear(x, self.embed.weight)


@torch.no_grad()
def generate(model, prompts, stop, steps=160, temperature=0.0, seed=0):
    """Continuations (lists of ids) of a list of prompts (lists of ids); greedy at temperature 0."""
    dev = model.embed.weight.device
    gen = torch.Generator(dev).manual_seed(seed)
    length = torch.tensor([len(p) for p in prompts], device=dev)
    width = int(length.max()) + steps
    x = torch.zeros(len(prompts), width, dtype=torch.long, device=dev)
    for i, p in enumerate(prompts):
        x[i, : len(p)] = torch.tensor(p, device=dev)
    start, done = length.clone(), torch.zeros(len(prompts), dtype=torch.bool, device=dev)
    rows = torch.arange(len(prompts), device=dev)
    for _ in range(steps):
        used = int(length.max())
        logits = model.logits(x[:, :used])[rows, length - 1].float()
        if temperature:
            nxt = torch.multinomial(torch.softmax(logits / temperature, -1), 1, generator=gen)[:, 0]
        else:
            nxt = logits.argmax(-1)
        for s in stop:
            done |= nxt == s
        keep = ~done
        x[rows[keep], length[keep]] = nxt[keep]
        length += keep.long()
        if bool(done.all()):
            break
    return [x[i, int(start[i]): int(length[i])].tolist() for i in range(len(prompts))]
