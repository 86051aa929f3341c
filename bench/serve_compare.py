#!/usr/bin/env python3
"""Times a server that speaks OpenAI's completions: streams at once, and the price of a prefix.

usage: serve_compare.py [--url http://127.0.0.1:PORT] [--model NAME] [--streams 1,4,16,64]
                        [--prompt 128] [--answer 64] [--prefix 2000] [--rounds 1] [--vocab 32000]

Prompts are random token ids, another one for each stream, so no server can share anything between
them and none needs a tokenizer; answers are greedy. For each number of streams: all ask at the same
moment; told are the tokens per second from the first request to the last event and the median and
the longest time to the first event. A prefix: one prompt of that many tokens, three times cold
(another prompt each time) and three times asked again, one token of answer.

Prints one line of JSON per measurement; answers that failed are told on standard error and left
out of the numbers. Needs nothing but Python's standard library; run it on
cores that the server does not use, or the two take each other's time.
"""

import argparse
import http.client
import json
import random
import statistics
import sys
import threading
import time
import urllib.parse


def ask(where, model, prompt, answer, out):
    """One streamed request; fills out with start, first, last (seconds), events and tokens."""
    body = json.dumps(
        {
            "model": model,
            "prompt": prompt,
            "max_tokens": answer,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
            "ignore_eos": True,
        }
    )
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=3600)
    out["start"] = time.monotonic()
    connection.request("POST", "/v1/completions", body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    if response.status != 200:
        out["error"] = f"{response.status}: {response.read()[:300]!r}"
        return
    out["events"] = 0
    for line in response:
        if not line.startswith(b"data: ") or line.startswith(b"data: [DONE]"):
            continue
        now = time.monotonic()
        event = json.loads(line[6:])
        if event.get("error"):
            out["error"] = event["error"]
        if event.get("usage"):
            out["tokens"] = event["usage"]["completion_tokens"]
            out["cached"] = (event["usage"].get("prompt_tokens_details") or {}).get("cached_tokens")
        if event.get("choices"):
            out.setdefault("first", now)
            out["events"] += 1
        out["last"] = now
    connection.close()


def at_once(where, args, prompts, answer):
    """All prompts at the same moment; the results of those that were answered to the end."""
    results = [{} for _ in prompts]
    threads = [
        threading.Thread(target=ask, args=(where, args.model, prompt, answer, result))
        for prompt, result in zip(prompts, results)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    whole = [result for result in results if "tokens" in result]
    if len(whole) < len(results):
        reason = next(r.get("error", "no usage at its end") for r in results if r not in whole)
        print(f"{len(results) - len(whole)} answers failed: {reason}", file=sys.stderr)
    if not whole:
        raise SystemExit(1)
    return whole


def streams(where, args, rng, n):
    prompts = [[rng.randrange(100, args.vocab) for _ in range(args.prompt)] for _ in range(n)]
    results = at_once(where, args, prompts, args.answer)
    start = min(r["start"] for r in results)
    seconds = max(r["last"] for r in results) - start
    tokens = sum(r["tokens"] for r in results)
    waits = sorted(r["first"] - r["start"] for r in results)
    return {
        "streams": n,
        "answered": len(results),
        "tokens": tokens,
        "tok_s": round(tokens / seconds, 2),
        "first_median_s": round(statistics.median(waits), 3),
        "first_longest_s": round(waits[-1], 3),
    }


def prefix(where, args, rng):
    cold, hit = [], []
    for _ in range(3):
        prompt = [rng.randrange(100, args.vocab) for _ in range(args.prefix)]
        for times in (cold, hit):
            r = at_once(where, args, [prompt], 1)[0]
            times.append(r["first"] - r["start"])
    return {
        "prefix": args.prefix,
        "cold_s": round(statistics.median(cold), 3),
        "hit_s": round(statistics.median(hit), 4),
        "cached": r["cached"],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--url", default="http://127.0.0.1:11434")
    parser.add_argument("--model", default="model")
    parser.add_argument("--streams", default="1,4,16,64")
    parser.add_argument("--prompt", type=int, default=128)
    parser.add_argument("--answer", type=int, default=64)
    parser.add_argument("--prefix", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--vocab", type=int, default=32000)
    args = parser.parse_args()
    where, rng = urllib.parse.urlparse(args.url), random.Random()
    for _ in range(args.rounds):
        for n in map(int, args.streams.split(",")):
            print(json.dumps(streams(where, args, rng, n)), flush=True)
        if args.prefix:
            print(json.dumps(prefix(where, args, rng)), flush=True)


main()
