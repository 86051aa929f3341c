#!/usr/bin/env python3
"""Train on one GPU for a fixed wall-clock time.

    python training/train.py WORK_DIR --seconds 420 [--init model.gguf] [--lr 3e-3]

The schedule follows the clock, not a step count: the rate warms up, stays, and
falls to zero over the last part, so that the run ends fully decayed whatever the
hardware. The mixture changes with it: first books and conversations as plain text,
then mostly conversations with the loss on what the assistant says.
"""
import argparse
import json
import math
import os
import time

import numpy as np
import torch
import torch.nn.functional as F

from model import Config, Model, rope_tables, varlen_attn

ROW = 1024


class Muon:
    """Momentum with orthogonalised updates for the matrices, all matrices of one shape at a time.
    The update is scaled to the size AdamW's would have, so both share one learning rate."""

    def __init__(self, params, momentum=0.95, decay=0.1):
        self.groups = {}
        for p in params:
            self.groups.setdefault(tuple(p.shape), []).append(p)
        self.momentum, self.decay = momentum, decay
        self.state = {s: torch.zeros(len(g), *s, device=g[0].device) for s, g in self.groups.items()}

    @torch.no_grad()
    def step(self, lr):
        for shape, group in self.groups.items():
            grad = torch.stack([p.grad for p in group]).float()
            buf = self.state[shape]
            buf.lerp_(grad, 1 - self.momentum)
            update = orthogonalise(grad.lerp(buf, self.momentum)) * (0.2 * max(shape) ** 0.5)
            for p, u in zip(group, update):
                p.mul_(1 - lr * self.decay).add_(u, alpha=-lr)


@torch.compile(dynamic=False)
def orthogonalise(g):
    """Five Newton-Schulz steps towards the nearest orthogonal matrix (batched)."""
    x = g.bfloat16()
    wide = x.size(-2) <= x.size(-1)
    x = x if wide else x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(5):
        a = x @ x.mT
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return (x if wide else x.mT).float()


class Data:
    """All tokens live on the GPU; a batch is a gather."""

    def __init__(self, work, end, device):
        load = lambda n: torch.from_numpy(np.load(os.path.join(work, n))).to(device)
        self.books, self.extra, self.held = load("books.npy"), load("extra.npy"), load("heldout.npy")
        self.chat, self.mask = load("chat.npy"), load("chat_mask.npy")
        self.end, self.device = end, device

    def windows(self, stream, n):
        at = torch.randint(0, len(stream) - ROW - 1, (n, 1), device=self.device)
        return stream[at + torch.arange(ROW + 1, device=self.device)]

    def batch(self, n_books, n_extra, n_chat, other_weight):
        """tokens (n, ROW) and targets, weights: other_weight is for chat tokens the assistant did not write."""
        pick = torch.randint(0, len(self.chat), (n_chat,), device=self.device)
        rows = torch.cat([self.windows(self.books, n_books), self.windows(self.extra, n_extra), self.chat[pick]]).long()
        w = torch.ones(len(rows), ROW, device=self.device)
        w[n_books + n_extra:] = self.mask[pick][:, 1:].float().clamp(min=other_weight)
        x, y = rows[:, :-1], rows[:, 1:]
        w = torch.where(x == self.end, 0.0, w)  # the next document cannot be known
        return x.contiguous(), y.contiguous(), w

    def borders(self, x, cap):
        """Document starts of the flat stream, padded to a fixed number of entries."""
        first = torch.zeros_like(x, dtype=torch.bool)
        first[:, 1:] = (x[:, :-1] == self.end) & (x[:, 1:] != self.end)  # padding starts nothing
        first[:, 0] = True
        starts = first.flatten().nonzero().flatten().int()
        cu = torch.full((cap,), x.numel(), dtype=torch.int32, device=self.device)
        cu[: min(len(starts), cap - 1)] = starts[: cap - 1]
        return cu


def mixture(p, decay_at, books):
    """Shares of (books, extra, chat) and the loss weight of other chat tokens at progress p."""
    if p < decay_at:
        return books, 0.06, 0.5
    q = (p - decay_at) / (1 - decay_at)
    return 0.66 * books - 0.4 * books * q, 0.03 * (1 - q), 0.1 * (1 - q)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("work")
    ap.add_argument("--seconds", type=float, default=420)
    ap.add_argument("--rows", type=int, default=128)
    ap.add_argument("--lr", type=float, default=3e-3)
    ap.add_argument("--decay-at", type=float, default=0.5)
    ap.add_argument("--init", help="start from an exported GGUF")
    ap.add_argument("--books", type=float, default=0.45, help="share of books before the decay")
    ap.add_argument("--no-varlen", action="store_true")
    args = ap.parse_args()
    torch.manual_seed(1)
    torch.set_float32_matmul_precision("high")
    dev = "cuda"
    cfg = Config()
    if args.init:
        from gguf import load_model
        model = load_model(args.init, dev)
    else:
        model = Model(cfg).to(dev)
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f}M parameters", flush=True)
    data = Data(args.work, 0, dev)
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    rest = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed" in n]
    muon = Muon(matrices)
    adam = torch.optim.AdamW(rest, lr=args.lr, betas=(0.9, 0.95), weight_decay=0.0, fused=True)
    cos, sin = (t.repeat(args.rows, 1) for t in rope_tables(cfg, ROW, dev))
    use_varlen = varlen_attn is not None and not args.no_varlen
    cap = args.rows * 14  # far more than there are documents; empty entries cost time in the attention kernel

    def loss_of(x, y, w, cu):
        with torch.autocast("cuda", torch.bfloat16):
            logits = model(x, cu, ROW, cos[: len(x)], sin[: len(x)])
        ce = F.cross_entropy(logits.float(), y, reduction="none")
        return (ce * w).sum() / w.sum()

    step_loss = torch.compile(loss_of, dynamic=False)

    @torch.no_grad()
    def heldout():
        n = (len(data.held) - 1) // ROW
        total = 0.0
        for i in range(0, n - args.rows + 1, args.rows):
            seg = data.held[i * ROW: (i + args.rows) * ROW + 1].long()
            x, y = seg[:-1].view(-1, ROW), seg[1:]
            w = (x.flatten() != data.end).float()
            total += float(step_loss(x.flatten(), y, w, data.borders(x, cap) if use_varlen else None))
        return total / (n // args.rows)

    log, tokens, step, start, best_lr = [], 0, 0, None, args.lr
    running = torch.zeros(2, device=dev)
    while True:
        p = 0.0 if start is None else (time.time() - start) / args.seconds
        if p >= 1:
            break
        b, e, other = mixture(p, args.decay_at, args.books)
        nb, ne = round(b * args.rows), round(e * args.rows)
        x, y, w = data.batch(nb, ne, args.rows - nb - ne, other)
        cu = data.borders(x, cap) if use_varlen else None
        loss = step_loss(x.flatten(), y.flatten(), w.flatten(), cu)
        loss.backward()
        scale = min(1.0, (step + 1) / 150) * (1.0 if p < args.decay_at else (1 - p) / (1 - args.decay_at))
        torch.nn.utils.clip_grad_norm_(rest, 1.0)
        muon.step(best_lr * scale)
        for g in adam.param_groups:
            g["lr"] = best_lr * scale
        adam.step()
        adam.zero_grad(set_to_none=True)
        muon_zero(matrices)
        running += torch.stack([loss.detach(), torch.ones((), device=dev)])
        step, tokens = step + 1, tokens + x.numel()
        if step == 3:  # compiled and warm: the clock starts here
            torch.cuda.synchronize()
            start, tokens = time.time(), 0
        if step % 20 == 0:
            torch.cuda.synchronize()  # keeps the clock honest
        if step % 200 == 0:
            mean = float(running[0] / running[1])
            running.zero_()
            row = {"step": step, "t": round(time.time() - start, 1), "tokens": tokens, "loss": round(mean, 4), "lr": best_lr * scale}
            log.append(row)
            print(json.dumps(row), flush=True)
            if not math.isfinite(mean):
                raise SystemExit("loss is not finite")
    held = heldout()
    last = {"step": step, "tokens": tokens, "heldout_loss": held, "heldout_ppl": math.exp(held), "varlen": use_varlen, "seconds": args.seconds, "lr": args.lr}
    print(json.dumps(last), flush=True)
    torch.save(model.state_dict(), os.path.join(args.work, "model.pt"))
    with open(os.path.join(args.work, "log.json"), "w") as f:
        json.dump(log + [last], f)


def muon_zero(params):
    for p in params:
        p.grad = None


if __name__ == "__main__":
    main()
