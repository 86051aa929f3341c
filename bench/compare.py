#!/usr/bin/env python3
"""Hearth beside its peers on the same files, in turn, and the ratios as a Markdown table.

    bench/compare.py [options] MODEL.gguf ...
    bench/compare.py --peer 'ik=/path/to/llama-bench -rtr 1' --peer 'other=/path/to/bench' M.gguf

A peer is a name and a command that takes llama-bench's -m, -p, -n, -r, -t and -o json and prints
llama-bench's JSON (a list of objects with n_prompt, n_gen and samples_ts or avg_ts). --peer may be
given several times; without it, $LLAMA_BENCH is the one peer. In every round each program runs once
on each model, hearth first in one round and last in the next; one run has --repeat samples, of which
the median counts. Hearth's own probes in the same run give the bandwidth and what share of it
decoding reaches. Needs only Python's standard library.
"""
import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys


def run(command, seconds):
    """The command's standard output, or None with the reason on standard error."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=seconds)
    except (OSError, subprocess.TimeoutExpired) as e:
        print(f"compare: {command[0]}: {e}", file=sys.stderr)
        return None
    if done.returncode != 0:
        tail = done.stderr.strip().splitlines()[-1:] or ["no message"]
        print(f"compare: {' '.join(command)}: exit {done.returncode}: {tail[0]}", file=sys.stderr)
        return None
    return done.stdout


def run_hearth(o, model):
    out = run(o.hearth + ["bench", model, "-p", str(o.prompt), "-n", str(o.gen), "-r",
                          str(o.repeat), "-t", str(o.threads), "--json"], o.timeout)
    if out is None:
        return None
    r = json.loads(out)
    return {"prefill": r["prefill_tok_s"], "decode": r["decode_tok_s"], "name": r["model"],
            "type": r["type"], "read": r["read_gb_s"], "share": r["bandwidth_fraction"],
            "products": r["compute_fraction"], "rss": r["peak_rss_bytes"]}


def run_peer(o, command, model):
    out = run(command + ["-m", model, "-p", str(o.prompt), "-n", str(o.gen), "-r", str(o.repeat),
                         "-t", str(o.threads), "-o", "json"], o.timeout)
    if out is None:
        return None
    found = {}
    for test in json.loads(out[out.index("["):]):
        rate = statistics.median(test["samples_ts"]) if test.get("samples_ts") else test["avg_ts"]
        if test["n_prompt"] and not test["n_gen"]:
            found["prefill"] = rate
        elif test["n_gen"] and not test["n_prompt"]:
            found["decode"] = rate
    return found


def spread(values, digits=1):
    """median (least - most)"""
    if not values:
        return "-"
    middle = f"{statistics.median(values):.{digits}f}"
    return middle if len(values) == 1 else (
        f"{middle} ({min(values):.{digits}f} - {max(values):.{digits}f})")


def column(rounds, who, key):
    return [r[who][key] for r in rounds if r.get(who) and key in r[who]]


def ratios(rounds, peer, key):
    """hearth over the peer, round by round: both ran within moments of each other."""
    return [r["hearth"][key] / r[peer][key] for r in rounds
            if r.get("hearth") and r.get(peer) and r[peer].get(key)]


def measure(o, peers, model):
    rounds = []
    for i in range(o.rounds):
        runs = [("hearth", lambda: run_hearth(o, model))]
        runs += [(name, lambda c=command: run_peer(o, c, model)) for name, command in peers]
        result = {}
        for name, one in runs if i % 2 == 0 else reversed(runs):
            if sys.stderr.isatty():
                print(f"\r\033[K{os.path.basename(model)}: round {i + 1} of {o.rounds}, {name}",
                      end="", file=sys.stderr, flush=True)
            result[name] = one()
        rounds.append(result)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    return rounds


def table(o, peers, results):
    head = ["model", "what", "hearth, tok/s"]
    for name, _ in peers:
        head += [f"{name}, tok/s", f"hearth / {name}"]
    head += ["reached", "read GB/s", "peak MB"]
    yield head
    for model, rounds in results:
        names = [r["hearth"] for r in rounds if r.get("hearth")]
        title = f"{names[0]['name']} {names[0]['type']}" if names else os.path.basename(model)
        for key, n in (("prefill", o.prompt), ("decode", o.gen)):
            if not n:
                continue
            row = [title, f"{key} {n}", spread(column(rounds, "hearth", key))]
            for name, _ in peers:
                row += [spread(column(rounds, name, key)), spread(ratios(rounds, name, key), 2)]
            reached = column(rounds, "hearth", "products" if key == "prefill" else "share")
            row.append(f"{100 * statistics.median(reached):.0f}% of "
                       f"{'products' if key == 'prefill' else 'bandwidth'}" if reached else "-")
            row.append(spread(column(rounds, "hearth", "read")))
            rss = column(rounds, "hearth", "rss")
            row.append(f"{max(rss) * 1e-6:.0f}" if rss else "-")
            yield row


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("models", nargs="+", metavar="MODEL.gguf")
    p.add_argument("--hearth", default=os.path.join(here, "..", "build", "hearth"),
                   help="the program, with options if need be")
    p.add_argument("--peer", action="append", default=[], metavar="NAME=COMMAND")
    p.add_argument("-p", "--prompt", type=int, default=512)
    p.add_argument("-n", "--gen", type=int, default=64)
    p.add_argument("-r", "--repeat", type=int, default=3, help="samples in one run")
    p.add_argument("-t", "--threads", type=int, default=len(os.sched_getaffinity(0)))
    p.add_argument("--rounds", type=int, default=3, help="turns of hearth and peers")
    p.add_argument("--timeout", type=float, default=600, help="seconds that one run may take")
    p.add_argument("--json", metavar="FILE", help="also write every number there")
    o = p.parse_args()
    o.hearth = shlex.split(o.hearth)
    given = o.peer or ([f"llama-bench={os.environ['LLAMA_BENCH']}"]
                       if os.environ.get("LLAMA_BENCH") else [])
    peers = []
    for text in given:
        name, eq, command = text.partition("=")
        if not eq or not name or not command or name == "hearth":
            p.error(f"--peer: '{text}', expected NAME=COMMAND")
        peers.append((name, shlex.split(command)))
    if not peers:
        p.error("no --peer and no $LLAMA_BENCH")
    results = [(m, measure(o, peers, m)) for m in o.models]
    for i, row in enumerate(table(o, peers, results)):
        print("| " + " | ".join(row) + " |")
        if i == 0:
            print("|" + "---|" * len(row))
    if o.json:
        with open(o.json, "w", encoding="utf-8") as f:
            json.dump(results, f, indent=1)
    if any(one is None for _, rounds in results for r in rounds for one in r.values()):
        sys.exit(1)  # what went wrong has been told


if __name__ == "__main__":
    main()
