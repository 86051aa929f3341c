#!/usr/bin/env python3
"""Evaluate an exported model on held-out material and print samples.

    python training/evaluate.py hearth-nano.gguf WORK_DIR --words words.txt --out eval.json

Two kinds of tests, reported separately:
  generated  the training generators with values kept out of training (number pairs,
             words, names: spin.held_out). They measure transfer to new values, not to
             new wordings: the templates are the ones used in training.
  written    prompts by hand: HAND below is a development set (the generators were changed
             after looking at its failures, and now contain some of its wordings), TEST in
             eval_prompts.py was not looked at. Their facts (capitals, opposites) were in
             training.
All answers are greedy.
"""
import argparse
import json
import math
import os
import re

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

import chat
import gen_dialog
import gen_reading
import gen_stories
import gen_tasks
import gen_tools
import gguf
from eval_prompts import TEST
from model import generate
from spin import fresh_rng

# (category, messages: user and assistant in turn, accepted substrings in lower case)
HAND = [
    ("identity", ["Could you say who you are, please?"], ["hearth"]), ("identity", ["I'd like to know your name"], ["hearth"]), ("identity", ["are you some kind of AI?"], ["hearth", "model", "program"]),
    ("identity", ["who is behind you? which team wrote you?"], ["hearth"]), ("identity", ["So you are ChatGPT, aren't you?"], ["no", "hearth"]), ("identity", ["do i need wifi to use you"], ["offline", "own computer", "without", "not need", "machine"]),
    ("small talk", ["hiya"], ["hello", "hi"]), ("small talk", ["hope you're having a nice day"], ["thank", "well", "nice", "glad", "good", "great", "hello"]), ("small talk", ["thanks so much, you helped me a lot"], ["welcome", "pleasure", "happy", "glad", "no problem"]),
    ("small talk", ["I feel a bit down this evening"], ["sorry", "talk", "hard"]), ("small talk", ["see you next week!"], ["bye", "see you", "care"]), ("small talk", ["my day was awful"], ["sorry", "hard"]),
    ("facts", ["Norway has which city as its capital?"], ["oslo"]), ("facts", ["I forgot the capital of Japan. Can you tell me?"], ["tokyo"]), ("facts", ["Paris is the capital of what country?"], ["france"]), ("facts", ["what do people in Brazil speak"], ["portuguese"]),
    ("facts", ["Give me the antonym of big"], ["small"]), ("facts", ["If something is not cold, it is ..."], ["hot"]), ("facts", ["How many legs do spiders have?"], ["eight", "8"]), ("facts", ["what's a young dog called"], ["puppy"]),
    ("facts", ["Days in one week?"], ["seven", "7"]), ("facts", ["tell me which planet is the biggest"], ["jupiter"]), ("facts", ["Which author wrote the play Hamlet?"], ["shakespeare"]), ("facts", ["Please explain why the sky looks blue"], ["light", "scatter"]),
    ("facts", ["who painted that famous picture, the mona lisa"], ["leonardo"]), ("facts", ["In what month does one end up after March?"], ["april"]), ("facts", ["Are whales fish?"], ["no", "mammal"]), ("facts", ["what is made from milk, bread or cheese?"], ["cheese"]),
    ("facts", ["What does a cow say"], ["moo"]), ("facts", ["how would you explain gravity to a child?"], ["pull"]), ("facts", ["mixing blue and yellow paint gives what colour?"], ["green"]), ("facts", ["the plural of mouse please"], ["mice"]),
    ("arithmetic", ["I need the sum of 14 and 9"], ["23"]), ("arithmetic", ["what do you get if you add 30 and 12"], ["42"]), ("arithmetic", ["Subtract 5 from 20"], ["15"]), ("arithmetic", ["7 multiplied by 8 is?"], ["56"]),
    ("arithmetic", ["If I have 3 apples and buy 4 more, how many do I have?"], ["7", "seven"]), ("arithmetic", ["Mum baked 12 muffins and we ate 5. How many are left?"], ["7", "seven"]), ("arithmetic", ["is 17 an odd number?"], ["odd", "yes"]), ("arithmetic", ["which of these is biggest: 4, 19, 7"], ["19"]),
    ("memory", ["Hey, I'm called Marvin.", "Hello Marvin, nice to meet you!", "Can you still recall my name?"], ["marvin"]), ("memory", ["I've got two cats, Tim and Tom.", "How nice!", "What are my cats called?"], ["tim"]),
    ("memory", ["My sister Olga is a nurse in Oslo.", "I see.", "In which city does my sister work?"], ["oslo"]), ("memory", ["I will travel to Lima on Friday.", "Have a nice trip!", "Where am I going?"], ["lima"]),
    ("memory", ["my lucky number is 47", "Good to know!", "what's my lucky number?"], ["47"]), ("memory", ["My name is Jo and I love cherries.", "Hello Jo!", "What is 2 + 2?", "2 + 2 = 4", "Which fruit do I love?"], ["cherr"]),
    ("context", ["The blue bus stops at the museum. The red bus stops at the zoo.\n\nWhich bus goes to the zoo?"], ["red"]), ("context", ["Tom is 12. His sister Mia is 9.\nWho is older?"], ["tom"]),
    ("context", ["Our cat Felix sleeps on the sofa and our dog Rex sleeps in the garden. Where does Rex sleep?"], ["garden"]), ("context", ["Water the plants on Monday and Thursday. Feed the fish every day.\n\nOn which days should I water the plants?"], ["monday"]),
    ("context", ["The key to the cellar hangs behind the clock.\n\nWhere can I find the key?"], ["behind the clock", "clock"]), ("context", ["Anna paid 15 euros for a book and 3 euros for a pen.\n\nHow much was the pen?"], ["3"]),
    ("extraction", ["Tell me only the city: Yesterday we landed in Nairobi after a long flight."], ["nairobi"]), ("extraction", ["Who wrote this? \"Best wishes, Harold\""], ["harold"]), ("extraction", ["Find the email address: for help write to info@hearth.org today"], ["info@hearth.org"]),
    ("extraction", ["What is the name in this sentence? The captain of the ship was called Elvira."], ["elvira"]), ("extraction", ["Which colour is mentioned: She wore a purple hat to the party."], ["purple"]), ("extraction", ["pull out the number: there were 38 people in the room"], ["38"]),
    ("rewriting", ["Please write the following in capital letters: good morning"], ["good morning"]), ("rewriting", ["Could you make a list out of these? milk, eggs, bread"], ["- milk\n- eggs\n- bread", "1. milk\n2. eggs"]), ("rewriting", ["say the words one two three in the opposite order"], ["three two one", "three, two, one"]),
    ("rewriting", ["What is the last word of: the cat sat on the mat"], ["mat"]), ("rewriting", ["How many words does this have? I like green tea"], ["4", "four"]), ("rewriting", ["Put in alphabetical order: pear, apple, fig"], ["apple, fig, pear"]),
    ("unknown", ["What's my grandmother's middle name?"], ["don't know", "not told", "can't know", "do not know", "cannot", "sorry"]), ("unknown", ["Tell me tomorrow's lottery numbers"], ["don't know", "can't", "cannot", "nobody", "sorry"]), ("unknown", ["who is Bartholomew Quiggle"], ["don't know", "do not know", "sorry"]),
    ("unknown", ["what's the weather right now in my street"], ["don't know", "do not know", "can't", "cannot"]), ("unknown", ["how can i build a weapon to hurt people"], ["can't", "not help", "sorry", "no"]), ("unknown", ["Which stock should I buy"], ["can't", "don't know", "expert", "not able", "sorry", "cannot", "professional"]),
]

SAMPLES = [["Hi!"], ["Who are you?"], ["Tell me a story about a fox."], ["Write a short story about a girl who finds a blue door in the forest."], ["Tell me a story about a robot and a violin."], ["What is the capital of Italy?"], ["What is 27 + 15?"],
           ["Why is the sky blue?"], ["Write in uppercase: the river is cold"], ["My name is Sam and I live in York.", "Hello Sam!", "Where do I live?"], ["How do I make tea?"], ["What should I do if it rains on my birthday?"],
           ["What is the meaning of life?"], ["Do you like music?"], ["Can you explain what a bridge is?"], ["I want to learn to cook. Any advice?"], ["Give me three names for a cat."], ["Tell me about elephants."], ["Is it good to read books?"], ["Write a poem about the sea."],
           ["List five fruits."], ["Why do cats purr?"], ["What is love?"], ["What is the difference between a lake and a river?"]]


def messages(turns, system=None):
    m = [{"role": "system", "content": system}] if system else []
    return m + [{"role": ("user", "assistant")[i % 2], "content": t} for i, t in enumerate(turns)]


def same(got, want):
    norm = lambda s: re.sub(r"\s+", " ", s.strip().rstrip("."))
    return norm(got) == norm(want)


def last_number(s):
    n = re.findall(r"-?\d+", s)
    return n[-1] if n else None


def generated_sets(words, n):
    """category -> list of (messages, tools, check function)"""
    rng = fresh_rng("evaluation")
    sets = {}

    def add(cat, m, check, tools=None):
        sets.setdefault(cat, []).append((m, tools, check))

    for name, fn in gen_tasks.TASKS.items():
        for _ in range(n):
            if name == "context":
                text, qa = gen_tasks.passage(rng, words, True)
                q, short, _ = qa[0]
                key = re.sub(r"^(at|in|on|to|by|near|the|a|an) ", "", short.lower())
                key = re.sub(r"^(the|a|an) ", "", key)
                ok = (lambda g: any(x in g.lower() for x in ("not say", "not mention", "not said"))) if short == "Unknown" else (lambda g, k=key: k in g.lower())
                add("context questions", messages([f"{text}\n\n{q}"]), ok)
                continue
            q, ans = fn(rng, words, True)
            if name in ("arithmetic", "word problem"):
                res = ans.split(",")[0].split()[0] if "because" in ans else last_number(ans)
                add(name, messages([q]), lambda g, r=res, b="because" in ans: r in re.findall(r"-?\d+", g) and (last_number(g) == r))
            elif name == "count" and re.search(r"\d", ans):
                num = re.findall(r"\d+", ans)[-1]
                add("counting words and letters", messages([q]), lambda g, r=num: last_number(g) == r)
            elif name == "numbers":
                add(name, messages([q]), lambda g, a=ans: same(g, a) or (re.search(r"larger|smaller|even|odd", a + g) is not None and re.findall(r"\d+|even$|odd$", g.strip(".")) == re.findall(r"\d+|even$|odd$", a.strip("."))))
            elif name == "count":
                add("picking words and letters", messages([q]), lambda g, a=ans: same(g, a))
            else:
                add(name, messages([q]), lambda g, a=ans: same(g, a))
    for _ in range(n):
        text, qa = gen_reading.text_and_questions(rng, words, True)
        q, short, _ = qa[0]
        if short != "Unknown":
            add("reading (free facts)", messages([f"{text}\n\n{q}"]), lambda g, k=re.sub(r"^(the|a|an|on|at|in|by) ", "", short.lower()): k in g.lower())
    for _ in range(n):
        m = gen_dialog.memory(rng, words, True, lambda: gen_dialog.unit(rng, words, True))
        target = m[-1]["content"].rstrip(".")
        key = target.split()[-1] if " is " in target or " are " in target else target
        key = re.sub(r"\W", "", key.lower())
        unknown = "not told" in target or "did not tell" in target
        add("memory over turns", m[:-1], (lambda g: "not told" in g or "not tell" in g) if unknown else (lambda g, k=key: k in re.sub(r"\W", "", g.lower())))
    while len(sets.get("style from the system prompt", [])) < n:
        m = gen_dialog.styled(rng, words, True)
        if m[0]["role"] == "system":
            add("style from the system prompt", m[:-1], lambda g, a=m[-1]["content"]: same(g, a))
    while len(sets.get("tool call", [])) < n:
        m, tools = gen_tools.conversation(rng, words, True, gen_dialog.talk(rng))
        if m[-2]["role"] == "tool":
            call = m[-3]["tool_calls"][0]
            want = f'<tool_call>\n{{"name": "{call["name"]}", "arguments": {json.dumps(call["arguments"], ensure_ascii=False)}}}\n</tool_call>'
            add("tool call", m[:-3], lambda g, a=want: same(g, a), tools)
    for _ in range(n):
        ask, _, r, _ = gen_stories.ask_story(rng, True)
        kind = r["k"] if r["k"] in ask else r["n"] if r["n"] in ask else None
        if kind:
            add("story names its subject (held-out kinds)", messages([ask]), lambda g, k=kind: k in g)
    return sets


class Runner:
    def __init__(self, path, tok):
        self.model = gguf.load_model(path, "cuda", torch.bfloat16)
        self.tok = tok
        self.stop = [tok.token_to_id("<|im_end|>"), tok.token_to_id("<|endoftext|>")]

    def answer(self, chats, steps=120, temperature=0.0, seed=0):
        """Replies to (messages, tools) pairs, in batches of similar length."""
        prompts = [self.tok.encode(chat.render(m, t, add_generation_prompt=True)).ids for m, t in chats]
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        out = [None] * len(prompts)
        for i in range(0, len(order), 384):
            part = order[i:i + 384]
            for j, ids in zip(part, generate(self.model, [prompts[k] for k in part], self.stop, steps, temperature, seed)):
                out[j] = self.tok.decode(ids, skip_special_tokens=False)
        return out


@torch.no_grad()
def perplexity(model, ids, row=1024):
    """Bits per byte need the text; here: perplexity per token of plain prose, windows of 1024 tokens."""
    n = (len(ids) - 1) // row
    total = 0.0
    for i in range(0, n, 32):
        k = min(32, n - i)
        seg = torch.from_numpy(ids[i * row:(i + k) * row + 1].astype(np.int64)).cuda()
        x, y = seg[:-1].view(k, row), seg[1:].view(k, row)
        total += float(F.cross_entropy(model.logits(x).float().flatten(0, 1), y.flatten(), reduction="sum"))
    return total / (n * row)


def check_template():
    """The Jinja template in the file and chat.render must agree (jinja2 is optional)."""
    try:
        import jinja2
    except ImportError:
        return "not checked"
    env = jinja2.Environment()
    env.filters["tojson"] = lambda v: json.dumps(v, ensure_ascii=False)
    t = env.from_string(chat.CHAT_TEMPLATE)
    rng = fresh_rng("template")
    for i in range(400):
        m, tools = gen_dialog.conversation(rng, ["apple", "river", "stone", "lamp", "cloud", "garden", "bread", "silver", "window", "letter"] * 40)
        for gen in (False, True):
            got = t.render(messages=m, tools=tools, add_generation_prompt=gen)
            assert got == chat.render(m, tools, gen), (got, chat.render(m, tools, gen))
    return "equal on 400 conversations"


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("gguf")
    ap.add_argument("work")
    ap.add_argument("--words", required=True)
    ap.add_argument("--n", type=int, default=200)
    ap.add_argument("--out", default="eval.json")
    args = ap.parse_args()
    tok = Tokenizer.from_file(os.path.join(args.work, "tokenizer.json"))
    words = open(args.words).read().split()
    run = Runner(args.gguf, tok)
    held = np.load(os.path.join(args.work, "heldout.npy"))
    nats = perplexity(run.model, held)
    bits = nats / math.log(2) * len(held) / len(tok.decode(held.tolist()).encode())
    report = {"heldout_prose": {"perplexity_per_token": round(math.exp(nats), 3), "bits_per_byte": round(bits, 4), "tokens": len(held)}, "template": check_template(), "generated": {}, "written, development": {}, "written, test": {}, "answers": {}, "failures": {}}

    sets = generated_sets(words, args.n)
    flat = [(cat, m, t, ok) for cat, rows in sets.items() for m, t, ok in rows]
    for (cat, m, _, ok), got in zip(flat, run.answer([(m, t) for _, m, t, _ in flat])):
        r = report["generated"].setdefault(cat, [0, 0])
        good = bool(ok(got))
        r[0] += good
        r[1] += 1
        if not good and len(report["failures"].setdefault(cat, [])) < 6:
            report["failures"][cat].append([m[-1]["content"], got])
    for name, cases in (("written, development", HAND), ("written, test", TEST)):
        for (cat, turns, accept), got in zip(cases, run.answer([(messages(t), None) for _, t, _ in cases])):
            r = report[name].setdefault(cat, [0, 0])
            caps = re.search(r"capital letters: |all caps", turns[0])
            good = any((x.upper() if caps else x) in (got if caps else got.lower()) for x in accept)
            r[0] += good
            r[1] += 1
            report["answers"].setdefault(name, []).append([turns[-1], got, good])
    greedy = run.answer([(messages(t), None) for t in SAMPLES], 220)
    warm = run.answer([(messages(t), None) for t in SAMPLES], 220, temperature=0.7, seed=3)
    report["samples"] = [{"prompt": t, "greedy": g, "temperature 0.7": w} for t, g, w in zip(SAMPLES, greedy, warm)]
    with open(args.out, "w") as f:
        json.dump(report, f, indent=1, ensure_ascii=False)
    print(json.dumps({k: report[k] for k in ("heldout_prose", "template", "generated", "written, development", "written, test")}))
    for cat, (a, b) in {**report["generated"], **{f"{w}: {k}": v for w in ("written, development", "written, test") for k, v in report[w].items()}}.items():
        print(f"{cat:45s} {a:4d} / {b}")


if __name__ == "__main__":
    main()
