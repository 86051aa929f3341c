"""Tasks with a computed answer: sums, work on words and lists, finding things in a
text, questions about a passage.

Every function takes (rng, words, ev) and returns (request, answer). `words` is a
large word list taken from the training books, so that copying tasks cannot be
learned by heart. With ev=True only held-out values (number pairs, words, names:
spin.held_out) are used, otherwise only the others.
"""
import json

import lexicon as L
from spin import a, cap, held_out, join_and, pick, spin


SYLLABLES = "ba be bo da de do fa fi ga go ka ki ko la le li lo ma me mi mo na ne no pa pe pi ra re ri ro sa se si so ta te ti to va ve vi za zo shi thu bra dre gri plo sta tran".split()
ENDINGS = ["", "", "n", "r", "l", "s", "x", "m", "nd", "th", "ck"]


def made_up(rng):
    """A word that does not exist: copying it cannot be done from memory."""
    return "".join(pick(rng, SYLLABLES) for _ in range(rng.choice([1, 2, 2, 3]))) + pick(rng, ENDINGS)


def number_slot(rng):
    return rng.randint(2, 30) if rng.random() < 0.6 else rng.randint(31, 999)


def word(rng, words, ev, invented=0.12):
    while True:
        w = made_up(rng) if rng.random() < invented else pick(rng, words)
        if held_out("word " + w) == ev:
            return w


def some_words(rng, words, ev, lo, hi):
    n = rng.randint(lo, hi)
    out = []
    while len(out) < n:
        w = word(rng, words, ev) if rng.random() < 0.75 else pick(rng, words)
        if w not in out:
            out.append(w)
    return out


def full_name(rng, ev):
    while True:
        f, s = pick(rng, L.GIRLS + L.BOYS), pick(rng, L.SURNAMES)
        if rng.random() < 0.15:
            f, s = (cap(made_up(rng)), s) if rng.random() < 0.5 else (f, cap(made_up(rng)))
        if held_out("name " + f + s) == ev:
            return f, s


# ---------------------------------------------------------------- arithmetic

def _pair(rng, ev, hi_a, hi_b, op):
    while True:
        x, y = rng.randint(0, hi_a), rng.randint(0, hi_b)
        # x+y and y+x are one pair. Small sums and the tables have to be known by heart: nothing of them is held out.
        small = op in "*/" or max(x, y) <= 12
        if small or held_out(f"{min(x, y)}{op}{max(x, y)}") == ev:
            return x, y


def arithmetic(rng, words, ev):
    k = rng.random()
    if k < 0.4:
        hi = pick(rng, [10, 20, 20, 50, 99, 99, 999])
        x, y = _pair(rng, ev, hi, hi, "+")
        res, sym, name = x + y, "+", "plus"
    elif k < 0.65:
        hi = pick(rng, [10, 20, 50, 99, 99, 500])
        x, y = _pair(rng, ev, hi, hi, "-")
        x, y = max(x, y), min(x, y)
        res, sym, name = x - y, "-", "minus"
    elif k < 0.9:
        x, y = _pair(rng, ev, 12, 12, "*")
        res, sym, name = x * y, pick(rng, ["*", "x", "×"]), "times"
    else:
        x, y = _pair(rng, ev, 12, 11, "/")
        y += 1
        x, res, sym, name = x * y, x, "/", "divided by"
    sp = pick(rng, [" ", " ", ""])
    expr = f"{x}{sp}{sym}{sp}{y}" if rng.random() < 0.65 else f"{x} {name} {y}"
    ask = spin(rng, ["What is {e}?", "What's {e}?", "{e}", "{e} = ?", "{e}=", "Calculate {e}.", "How much is {e}?", "[Can you |Please |]compute {e}[.|?]", "[Tell|Give] me {e}.", "Solve {e}.", "{e} is what?", "What does {e} make?"], e=expr)
    if rng.random() < 0.3:
        forms = {"+": ["[What is|Find|Give me|Tell me] the sum of {x} and {y}[.|?]", "Add {x} and {y}[.|]", "Add {x} to {y}[.|]", "What do {x} and {y} make[ together|]?", "If you add {x} and {y}, what [is it|do you get]?"],
                 "-": ["Subtract {y} from {x}[.|]", "Take {y} [away |]from {x}[.|]", "What is {y} less than {x}?", "[What is|Find] the difference between {x} and {y}[.|?]", "If you take {y} from {x}, what is left?"],
                 "/": ["Divide {x} by {y}[.|]", "How [many times does {y} go into|often does {y} fit into] {x}?", "What is {x} split into {y} equal parts?"]}
        ask = spin(rng, forms.get(sym, ["Multiply {x} [by|and|with] {y}[.|]", "[What is|Find] the product of {x} and {y}[.|?]", "What is {x} multiplied by {y}?", "{x} multiplied by {y}"]), x=x, y=y)
    ans = pick(rng, [f"{x} {sym} {y} = {res}", f"{x} {sym} {y} = {res}", f"{x} {sym} {y} = {res}", f"{res}", f"The answer is {res}.", f"{x} {name} {y} is {res}."])
    return ask, ans


def word_problem(rng, words, ev):
    (n, _), item = full_name(rng, ev), pick(rng, L.COUNTED)
    s, p = ("She", "her") if n in L.GIRLS else ("He", "his")
    k = rng.randrange(6)
    x, y = _pair(rng, ev, 20, 12, "word")
    x, y = max(x, y) + 2, min(x, y) + 1
    m = pick(rng, [b for b in L.BOYS + L.GIRLS if b != n])
    d = {"n": n, "i": item, "x": x, "y": y, "S": s, "m": m, "p": p, "h": pick(rng, ["does " + n + " have now", f"does {s.lower()} have now", f"does {s.lower()} have", "are there now"])}
    if k == 0:
        ask, res, why = spin(rng, "{n} has {x} {i}. [{m} gives {n} {y} more|{S} [buys|finds|gets] {y} more]. How many {i} {h}?", d), x + y, f"{x} + {y} = {x + y}"
    elif k == 1:
        ask, res, why = spin(rng, "{n} has {x} {i}. {S} [gives {y} [away|to {m}]|loses {y}|sells {y}]. How many {i} [{h}|are left|does {n} have left]?", d), x - y, f"{x} - {y} = {x - y}"
    elif k == 2:
        x, y = rng.randint(2, 9), rng.randint(2, 9)
        ask, res, why = spin(rng, "There are {x} [boxes|bags|baskets] with {y} {i} in each. How many {i} are there[ in total| altogether|]?", d, x=x, y=y), x * y, f"{x} x {y} = {x * y}"
    elif k == 3:
        y, q = rng.randint(2, 6), rng.randint(1, 9)
        x = y * q
        ask, res, why = spin(rng, "{n} [shares|divides] {x} {i} [equally |]among {y} friends. How many {i} does each friend get?", d, x=x, y=y), q, f"{x} / {y} = {q}"
    elif rng.random() < 0.5:
        plus = rng.random() < 0.5
        ask = spin(rng, ["[I|We] [have|had|got|picked|baked|bought] {x} {i} [and|. Then I] [buy|find|get] {y} more. How many [{i} |][do I have|are there]?", "[Mum|Dad|My sister|A man] [has|had|bought] {x} {i} and [got|found|bought] {y} more. How many [is that|{i} are there now]?"] if plus else
                   ["[I|We] [have|had|baked|bought] {x} {i} and [eat|lose|sell|use] {y}[ of them|]. How many [{i} |]are left?", "[Mum|Dad|My sister|A man] [has|had|bought] {x} {i} and [lost|sold|used|gave away] {y}. How many are left?"], d)
        ask, res, why = ask.replace(" .", "."), x + y if plus else x - y, f"{x} + {y} = {x + y}" if plus else f"{x} - {y} = {x - y}"
    else:
        ask, res, why = spin(rng, "{n} has {x} {i} and {m} has {y}. How many {i} do they have [together|in total|altogether]?", d), x + y, f"{x} + {y} = {x + y}"
    return ask, pick(rng, [f"{why}. The answer is {res}.", f"{why}, so the answer is {res}.", f"{res} {item}, because {why}.", f"{why}"])


def numbers(rng, words, ev):
    k = rng.randrange(8)
    x, y = _pair(rng, ev, 999 if rng.random() < 0.4 else 99, 99, "cmp")
    if k == 0:
        if x == y:
            y += 1
        big = rng.random() < 0.6
        return spin(rng, ["Which [number |]is {c}, {x} or {y}?", "What is {c}: {x} or {y}?"], c=pick(rng, ["larger", "bigger", "greater"]) if big else pick(rng, ["smaller", "less"]), x=x, y=y), pick(rng, ["{r}", "{r} is {c}.", "{r}."]).format(r=max(x, y) if big else min(x, y), c="larger" if big else "smaller")
    if k == 1:
        return f"Is {x} {'even or odd' if rng.random() < 0.5 else 'an even number or an odd number'}?", f"{x} is {'even' if x % 2 == 0 else 'odd'}."
    if k == 2:
        step, start = rng.randint(1, 10), rng.randint(0, 30)
        seq = [start + step * i for i in range(rng.randint(3, 5))]
        down = rng.random() < 0.2
        if down:
            seq = seq[::-1]
        nxt = seq[-1] + (-step if down else step)
        if nxt < 0:
            seq, nxt = seq[::-1], start + step * len(seq)
        return spin(rng, ["What [number |]comes next: {q}?", "[Continue|Complete] the [sequence|series]: {q}, ...", "{q}, what is next?"], q=", ".join(map(str, seq))), str(nxt)
    if k == 3:
        lo = rng.randint(1, 20)
        hi = lo + rng.randint(3, 9)
        down = rng.random() < 0.3
        r = list(range(lo, hi + 1))
        if down:
            r = r[::-1]
        return spin(rng, ["Count from {x} to {y}.", "[Can you|Please] count from {x} to {y}[?|.]"], x=r[0], y=r[-1]), ", ".join(map(str, r))
    if k == 4:
        return spin(rng, ["Write {x} in words.", "How do you write {x} in words?", "Spell the number {x}."], x=x), L.number_word(x)
    if k == 5:
        return spin(rng, ["Write {w} as a number.", "What number is {w}?", "{w} in digits"], w=L.number_word(x)), str(x)
    if k == 6:
        x = x % 60
        return (f"What is {'double' if rng.random() < .5 else 'twice'} {x}?", str(2 * x)) if rng.random() < 0.5 else (f"What is half of {2 * x}?", str(x))
    n = [rng.randint(0, 99) for _ in range(rng.randint(3, 5))]
    op, name = pick(rng, [(max, "largest"), (max, "biggest"), (min, "smallest")])
    if rng.random() < 0.3:
        return "Sort these numbers from small to large: " + ", ".join(map(str, n)), ", ".join(map(str, sorted(n)))
    return spin(rng, ["Which is the {m} number: {q}?", "Find the {m} of {q}.", "What is the {m} number in {q}?"], m=name, q=", ".join(map(str, n))), str(op(n))


# ---------------------------------------------------------------- words, lists, rewriting

def _sentence(rng, words, ev):
    n = pick(rng, L.GIRLS + L.BOYS)
    w1, w2, w3 = (word(rng, words, ev) for _ in range(3))
    return spin(rng, ["The {w1} is on the {w2}.", "{n} likes the {w1}.", "I saw a {w1} near the {w2}.", "{n} and the {w1} went to the {w2}.", "my {w1} is very {w2}", "the {w1} and the {w2}", "A {w1} can be {w2} and {w3}.",
                      "We found {n} by the {w1}.", "{w1} {w2} {w3}", "Please bring the {w1} to {n}.", "she said {w1} {w2}", "It was a {c} {w1}.", "The {c} {w1} is not {w2}.", "{n} has a {c} {w1}.", "they ran to the {w1}",
                      "The sun is {w1} today.", "I like {w1} and {w2}.", "Do you know the {w1}?", "{n} put the {w1} into the {i}.", "hello {w1}"],
                n=n, w1=w1, w2=w2, w3=w3, c=pick(rng, L.COLORS), i=pick(rng, L.ITEMS))


def _quote(rng, s):
    """A text to work on, quoted or after a colon or a line break."""
    return pick(rng, [f": {s}", f": {s}", f': "{s}"', f":\n{s}", f": '{s}'", f":\n\n{s}"])


def rewrite(rng, words, ev):
    s = _sentence(rng, words, ev)
    if rng.random() < 0.4:
        s = " ".join(some_words(rng, words, ev, 1, 6))
    t = s.split()
    k = rng.randrange(10)
    if k in (0, 1):
        return spin(rng, ["[Write|Put|Rewrite|Say] this in [uppercase|upper case|capital letters|all caps|capitals]", "[Make|Turn] this [into |]uppercase", "Convert to uppercase", "[Please write|Could you write] [the following|this text] in capital letters", "In capital letters, please", "Change to [capital|upper case] letters", "Uppercase this[ text| sentence|]"]) + _quote(rng, s), s.upper()
    if k == 2:
        s = pick(rng, [s.upper(), s.title(), s])
        return spin(rng, ["[Write|Put|Rewrite] this in [lowercase|lower case|small letters]", "Convert to lowercase", "Make this lowercase", "Lowercase this[ text|]"]) + _quote(rng, s), s.lower()
    if k in (3, 4):
        return spin(rng, ["[Reverse|Flip] the [order of the words|word order]", "[Write|Say] [these|the] words in reverse[ order|]", "[Put|Write] the words backwards", "Say the words in the opposite order", "Turn the word order around", "Write it from the last word to the first", "Reverse the words[ in this sentence|]"]) + _quote(rng, s), " ".join(t[::-1])
    if k == 5:
        return spin(rng, ["Repeat [this|after me]", "Say", "[Copy|Write] this [exactly|again]", "Echo", "Please repeat"]) + _quote(rng, s), s
    if k == 6:
        n = rng.randint(2, 4)
        w = " ".join(some_words(rng, words, ev, 1, 2))
        num = pick(rng, [str(n), L.number_word(n)])
        return spin(rng, ["[Say|Write|Repeat] \"{w}\" {n} times.", "[Say|Write|Repeat] {w} {n} times."], w=w, n=num), " ".join([w] * n)
    if k == 7:
        i = rng.randrange(len(t))
        new = word(rng, words, ev)
        old = t[i].strip(".?,")
        return (spin(rng, ["Replace \"{o}\" with \"{w}\"", "Change the word {o} to {w}", "Replace the word {o} with {w}", "Swap {o} for {w}"], o=old, w=new) + pick(rng, ["", " in this sentence", " here"]) + _quote(rng, s),
                " ".join(x.replace(old, new) if x.strip(".?,") == old else x for x in t))
    if k == 8:
        return spin(rng, ["[Capitalise|Capitalize] [each|every] word", "Make the first letter of [each|every] word a capital", "Write this as a title"]) + _quote(rng, s.lower()), s.lower().title()
    w = word(rng, words, ev)
    if rng.random() < 0.5:
        return spin(rng, ["Spell [the word |]{w}.", "How do you spell {w}?", "Spell out \"{w}\"."], w=w), "-".join(w)
    return spin(rng, ["Add \"{w}\" to the end of", "Put the word {w} after"], w=w) + _quote(rng, s.rstrip(".?")), s.rstrip(".?") + " " + w


def count(rng, words, ev):
    s = _sentence(rng, words, ev) if rng.random() < 0.6 else " ".join(some_words(rng, words, ev, 1, 7))
    t = s.split()
    k = rng.randrange(7)
    if k in (0, 1):
        ask = spin(rng, ["[How many words are|Count the words] in this[ sentence|]", "[How many words are there|Count the words]", "Word count of", "How many words does this have", "How many words long is this"]) + _quote(rng, s)
        return ask, pick(rng, [f"{len(t)}", f"There are {len(t)} words." if len(t) != 1 else "There is 1 word.", f"{len(t)} words" if len(t) != 1 else "1 word"])
    if k in (2, 3):
        which, i = pick(rng, [("first", 0), ("last", -1), ("second", 1), ("third", 2)])
        if which == "third" and len(t) < 3 or which == "second" and len(t) < 2:
            which, i = "first", 0
        return spin(rng, ["What is the {w} word", "[Give|Tell] me the {w} word", "Write [only |]the {w} word", "The {w} word of this", "Which word comes {w}", "I need the {w} word"], w=which) + pick(rng, ["", " of this sentence", " in this"]) + _quote(rng, s), t[i].strip(".?,")
    w = word(rng, words, ev)
    if k == 4:
        which, i = pick(rng, [("first", 0), ("last", -1)])
        return spin(rng, ["What is the {x} letter of [the word |]\"{w}\"?", "{x} letter of {w}?", "Which letter does {w} {v} with?"], x=which, w=w, v="begin" if i == 0 else "end"), w[i]
    if k == 5:
        return spin(rng, ["How many letters are in [the word |]\"{w}\"?", "How many letters does {w} have?", "Count the letters in {w}."], w=w), pick(rng, [f"{len(w)}", f"The word \"{w}\" has {len(w)} letters."])
    x, y = some_words(rng, words, ev, 2, 2)
    if len(x) == len(y):
        y += "s"
    return spin(rng, ["Which word is longer, {x} or {y}?", "Which is the longer word: {x} or {y}?"], x=x, y=y), max(x, y, key=len)


def lists(rng, words, ev):
    pool = pick(rng, [None, None, None, L.FOODS, L.ITEMS, L.COLORS, list(L.ANIMALS), L.CITIES, L.GIRLS + L.BOYS, L.FRUIT, L.JOBS])
    items = some_words(rng, words, ev, 3, 6) if pool is None else rng.sample(pool, rng.randint(3, 5))
    comma = pick(rng, [", ".join(items), ", ".join(items), join_and(items)])
    k = rng.randrange(9)
    q = lambda: _quote(rng, comma)
    if k in (0, 1):
        return spin(rng, ["[Make|Write] [a|this as a] [list|bullet list|bulleted list]", "Turn this into a [list|bullet list]", "[Put|Write] [these|this] as bullet points", "Could you make a list of [these|this]", "[Show|Give me] these as a list", "List these, one per line", "Use bullet points"]) + q(), "\n".join("- " + x for x in items)
    if k == 2:
        return spin(rng, ["[Make|Write] a numbered list", "Number these[ items|]", "Turn this into a numbered list"]) + q(), "\n".join(f"{i}. {x}" for i, x in enumerate(items, 1))
    if k == 3:
        return spin(rng, ["Sort [these|this|the words] alphabetically", "[Put|Write] these in alphabetical order", "Sort from A to Z", "Put in alphabetical order", "Order [these|the words] by the alphabet"]) + q(), ", ".join(sorted(items, key=str.lower))
    if k == 4:
        return spin(rng, ["Reverse [this|the] list", "[Write|Give] the list backwards", "Reverse the order of these items"]) + q(), ", ".join(items[::-1])
    if k == 5:
        return spin(rng, ["How many [items|things] are in this list", "How many items", "Count the items"]) + q(), str(len(items))
    if k == 6:
        which, i = pick(rng, [("first", 0), ("last", -1), ("second", 1), ("third", 2)])
        return spin(rng, ["What is the {w} item", "Give me the {w} [item|one]", "The {w} item in this list"], w=which) + q(), items[i]
    if k == 7:
        i = rng.randrange(len(items))
        return spin(rng, ["Remove {w} from [this|the] list", "Take {w} out of this list", "Delete {w}"], w=items[i]) + q(), ", ".join(x for j, x in enumerate(items) if j != i)
    new = word(rng, words, ev)
    return spin(rng, ["Add {w} to [this|the] list", "Put {w} at the end of this list"], w=new) + _quote(rng, ", ".join(items)), ", ".join(items + [new])


# ---------------------------------------------------------------- finding things in a sentence

def extract(rng, words, ev):
    f, s = full_name(rng, ev)
    name = pick(rng, [f, f"{f} {s}", f"{f} {s}"])
    if rng.random() < 0.15:
        name = cap(word(rng, words, ev))
    d = {"n": name, "city": pick(rng, L.CITIES), "job": pick(rng, L.JOBS), "food": pick(rng, L.FOODS), "num": rng.randint(2, 99), "item": pick(rng, L.COUNTED),
         "day": pick(rng, L.DAYS), "month": pick(rng, L.MONTHS), "dd": rng.randint(1, 28), "year": rng.randint(1900, 2030), "color": pick(rng, L.COLORS), "thing": pick(rng, L.ITEMS),
         "time": f"{rng.randint(1, 12)}:{pick(rng, ['00', '15', '30', '45'])}", "price": f"${rng.randint(1, 99)}" + pick(rng, ["", ".50", ".99"]),
         "email": f"{f.lower()}{pick(rng, ['', '.', '_'])}{s.lower()}@{pick(rng, ['mail', 'post', 'example', 'home', 'work'])}.{pick(rng, ['com', 'org', 'net'])}",
         "phone": f"{rng.randint(100, 999)}-{rng.randint(1000, 9999)}", "animal": pick(rng, list(L.ANIMALS)), "age": rng.randint(4, 90), "w": word(rng, words, ev)}
    forms = [
        ("{n} lives in {city} and works as a {job}.", ["n", "city", "job"]), ("My name is {n} and I [am from|live in] {city}.", ["n", "city"]),
        ("[Yesterday|Last week] {n} bought {num} {item} in {city}.", ["n", "num", "item", "city"]), ("The meeting [with {n} |]is on {day} at {time}.", ["day", "time"]),
        ("{n} was born on {dd} {month} {year} in {city}.", ["n", "year", "city", "date"]), ("Please call {n} at {phone}.", ["n", "phone"]),
        ("You can write to {n} at {email}.", ["n", "email"]), ("The {color} {thing} costs {price}.", ["color", "price", "thing"]),
        ("{n} lost a {color} {thing} near the station in {city}.", ["n", "color", "thing", "city"]), ("On {day}, {n} will fly to {city}.", ["n", "day", "city"]),
        ("I am {n}, I am {age} years old, and I like {food}.", ["n", "age", "food"]), ("{n} saw a {animal} by the river on {day}.", ["n", "animal", "day"]),
        ("Hi, this is {n}. My email is {email} and my number is {phone}.", ["n", "email", "phone"]), ("The train to {city} leaves at {time}.", ["city", "time"]),
        ("{n} ordered {food} and paid {price}.", ["n", "food", "price"]), ("The {animal} of {n} is called {w}.", ["n", "animal"]),
        ("Doctor {n} moved to {city} in {year}.", ["n", "city", "year"]), ("{n}, a {job} from {city}, won the prize in {year}.", ["n", "job", "city", "year"]),
        ("Dear {n}, your order of {num} {item} will arrive on {day}.", ["n", "num", "item", "day"]), ("Our {job} {n} has a {color} {thing}.", ["n", "job", "color", "thing"]),
    ]
    names = {"n": ["name", "person", "name of the person"], "city": ["city", "place"], "job": ["job", "profession"], "num": ["number"], "item": None, "day": ["day", "weekday"], "time": ["time"],
             "year": ["year"], "date": ["date"], "phone": ["phone number", "number"], "email": ["email", "email address"], "color": ["colour", "color"], "price": ["price"], "thing": ["object", "thing"], "age": ["age"],
             "food": ["food"], "animal": ["animal"]}
    text, keys = pick(rng, forms)
    text = spin(rng, text, d)
    d["date"] = f"{d['dd']} {d['month']} {d['year']}"
    keys = [k for k in keys if names[k]]
    if rng.random() < 0.15 and len(keys) > 1:
        use = keys[: rng.randint(2, len(keys))]
        return spin(rng, ["Extract [the |]{f} as JSON", "Give me {f} as JSON", "Return JSON with {f}"], f=join_and(["name" if k == "n" else names[k][0] for k in use])) + _quote(rng, text), json.dumps({"name" if k == "n" else names[k][0]: d[k] for k in use}, ensure_ascii=False)
    k = pick(rng, keys)
    label = pick(rng, names[k])
    ask = spin(rng, ["What is the {l} in this [sentence|text]", "[Find|Extract|Give me|Write] the {l}[ from this text| in this sentence|]", "[Which|What] {l} is [mentioned|named] [here|in this text]", "Extract the {l}", "What {l} is in this sentence", "Tell me [only |]the {l}", "Pull out the {l}", "Which {l} do you see here", "Pick out the {l}", "{L} only, please", "I need the {l} from this"], l=label, L=cap(label))
    if k == "n" and rng.random() < 0.3:
        ask = pick(rng, ["Who is this about", "Who is mentioned here", "Which person is named in this text"])
    return ask + (_quote(rng, text) if rng.random() < 0.75 else f"? {text}" if rng.random() < 0.5 else f'? "{text}"'), str(d[k])


# ---------------------------------------------------------------- questions about a passage

def passage(rng, words, ev):
    """A short text and questions about it; some ask for what the text does not say."""
    kind = rng.randrange(5)
    f, s = full_name(rng, ev)
    sub, pos = ("She", "Her") if f in L.GIRLS else ("He", "His")
    others = rng.sample([x for x in L.GIRLS + L.BOYS if x != f], 3)
    d = {"n": f, "fn": f"{f} {s}", "S": sub, "s": sub.lower(), "P": pos, "p": pos.lower(), "city": pick(rng, L.CITIES), "city2": pick(rng, L.CITIES), "job": pick(rng, L.JOBS), "pet": pick(rng, L.PETS),
         "petn": pick(rng, L.PET_NAMES) if rng.random() < 0.6 else cap(word(rng, words, ev)), "color": pick(rng, L.COLORS), "food": pick(rng, L.FOODS), "hobby": pick(rng, L.HOBBIES), "age": rng.randint(6, 80), "sport": pick(rng, L.SPORTS),
         "a": others[0], "b": others[1], "c": others[2], "day": pick(rng, L.DAYS), "day2": pick(rng, L.DAYS), "month": pick(rng, L.MONTHS), "t1": rng.randint(6, 11), "t2": rng.randint(4, 10), "thing": pick(rng, L.ITEMS),
         "price": rng.randint(2, 90), "x": rng.randint(2, 30), "item": pick(rng, L.COUNTED), "w": cap(word(rng, words, ev)), "lang": pick(rng, L.LANGUAGES), "year": rng.randint(1850, 2020), "inst": pick(rng, L.INSTRUMENTS), "animal": pick(rng, list(L.ANIMALS))}
    d["aj"] = a(d["job"])
    if kind <= 1:
        facts = [("[{n} is {age} years old.|{S} is {age} years old.]", [("How old is {n}?", "{age}", "{n} is {age} years old.")]),
                 ("[{S} lives in {city}.|{P} home is in {city}.]", [("Where does {n} live?", "{city}", "{n} lives in {city}."), ("[In which|What] city [does {n} live in|is {p} home in]?", "{city}", "{n} lives in {city}.")]),
                 ("[{S} works as {aj}.|{S} is {aj}.]", [("What is {n}'s job?", "{job}", "{n} is {aj}."), ("What does {n} do[ for work| for a living|]?", "{job}", "{n} is {aj}.")]),
                 ("[{S} has a {pet} [called|named] {petn}.|{P} {pet} is called {petn}.]", [("What is the name of {n}'s {pet}?", "{petn}", "{p} {pet} is called {petn}."), ("[What pet does {n} have|What kind of animal is {petn}]?", "{pet}", "{n} has a {pet}."), ("Who is {petn}?", "{n}'s {pet}", "{petn} is {n}'s {pet}.")]),
                 ("{P} favourite colour is {color}.", [("What is {n}'s favourite colour?", "{color}", "{p} favourite colour is {color}.")]),
                 ("[{S} loves {food}.|{P} favourite food is {food}.|{S} likes to eat {food}.]", [("What does {n} like to eat?", "{food}", "{n} likes {food}."), ("What is {n}'s favourite food?", "{food}", "{p} favourite food is {food}.")]),
                 ("[In {p} free time {s} enjoys {hobby}.|{S} likes {hobby}.]", [("What is {n}'s hobby?", "{hobby}", "{p} hobby is {hobby}."), ("What does {n} do in {p} free time?", "{hobby}", "{n} enjoys {hobby}.")]),
                 ("{P} best friend is {a}.", [("Who is {n}'s best friend?", "{a}", "{p} best friend is {a}.")]),
                 ("[{S} plays the {inst}.|{S} is learning the {inst}.]", [("[Which|What] instrument does {n} play?", "the {inst}", "{n} plays the {inst}.")]),
                 ("{S} speaks {lang}.", [("[Which|What] language does {n} speak?", "{lang}", "{n} speaks {lang}.")])]
        head = pick(rng, ["This is {fn}.", "{fn} is a friend of mine.", "I know a person called {fn}.", "{fn} lives next door.", "Let me tell you about {fn}.", "{fn} is new here."])
    elif kind == 2:
        facts = [("[It opens at {t1} in the morning and closes at {t2} in the evening.|The opening hours are from {t1} to {t2}.]", [("When does the [shop|place] open?", "at {t1}", "It opens at {t1}."), ("When does [it|the shop] close?", "at {t2}", "It closes at {t2}.")]),
                 ("It is closed on {day}s.", [("On which day is it closed?", "{day}", "It is closed on {day}s."), ("Is it open on {day}s?", "No", "No, it is closed on {day}s.")]),
                 ("The owner is {fn}.", [("Who [owns|is the owner of] the [shop|place]?", "{fn}", "The owner is {fn}.")]),
                 ("A {thing} costs {price} dollars.", [("How much does [a|the] {thing} cost?", "{price} dollars", "A {thing} costs {price} dollars.")]),
                 ("The best-selling product is the {color} {thing}.", [("What [colour|color] is the best-selling {thing}?", "{color}", "It is {color}."), ("What is the best-selling product?", "the {color} {thing}", "The best-selling product is the {color} {thing}.")]),
                 ("[There are {x} people working there.|It has {x} workers.]", [("How many people work there?", "{x}", "{x} people work there.")]),
                 ("It was opened in {year}.", [("[When|In which year] was it opened?", "in {year}", "It was opened in {year}.")])]
        head = pick(rng, ["There is a shop called {w} in {city}.", "{w} is a small shop in {city}.", "The {w} Store is in {city}."])
    elif kind == 3:
        facts = [("[They left at {t1} o'clock.|The trip began at {t1} o'clock.]", [("[When|At what time] did they leave?", "at {t1} o'clock", "They left at {t1} o'clock.")]),
                 ("They went by {tr}.", [("How did they travel?", "by {tr}", "They went by {tr}.")]), ("[On the way they saw a {animal}.|They saw a {animal} near the road.]", [("[What|Which] animal did they see?", "a {animal}", "They saw a {animal}.")]),
                 ("{a} brought {food} for lunch.", [("What did they have for lunch?", "{food}", "They had {food}."), ("Who brought the {food}?", "{a}", "{a} brought the {food}.")]),
                 ("{b} forgot {bp} {thing}.", [("Who forgot [the|a|something like a] {thing}?", "{b}", "{b} forgot the {thing}."), ("What did {b} forget?", "the {thing}", "{b} forgot the {thing}.")]),
                 ("[It rained in the afternoon.|In the afternoon it rained.]", [("[How was the weather|What was the weather like] in the afternoon?", "rainy", "It rained in the afternoon.")]),
                 ("They came home on {day2}.", [("When did they come home?", "on {day2}", "They came home on {day2}.")])]
        d["tr"], d["bp"] = pick(rng, ["train", "bus", "car", "boat", "bicycle"]), "her" if d["b"] in L.GIRLS else "his"
        head = pick(rng, ["On {day}, {n}, {a} and {b} went to {city}.", "{n} made a trip to {city} with {a} and {b} on {day}."])
        facts.insert(0, ("", [("Where did they go?", "to {city}", "They went to {city}."), ("On which day did they [go|leave|start]?", "{day}", "They went on {day}."), ("How many people went to {city}?", "three", "Three people went: {n}, {a} and {b}."), ("Who went to {city}?", "{n}, {a} and {b}", "{n}, {a} and {b} went to {city}.")]))
    else:
        facts = [("", [("What is the name of the {animal}?", "{petn}", "The {animal} is called {petn}.")]), ("{petn} is {age2} years old.", [("How old is {petn}?", "{age2}", "{petn} is {age2} years old.")]), ("Its fur is {color}.", [("What colour is {petn}?", "{color}", "{petn} is {color}.")]),
                 ("It likes to sleep on the {thing}.", [("Where does {petn} like to sleep?", "on the {thing}", "{petn} likes to sleep on the {thing}.")]), ("Every day {n} gives it {food}.", [("Who feeds {petn}?", "{n}", "{n} feeds {petn}."), ("What does {petn} eat?", "{food}", "{petn} eats {food}.")]),
                 ("It came from {city} in {year}.", [("Where did {petn} come from?", "{city}", "{petn} came from {city}."), ("When did {petn} come?", "in {year}", "{petn} came in {year}.")]), ("It is afraid of the {thing2}.", [("What is {petn} afraid of?", "the {thing2}", "{petn} is afraid of the {thing2}.")])]
        d["age2"], d["thing2"] = rng.randint(2, 15), pick(rng, [t for t in L.ITEMS if t != d["thing"]])
        head = pick(rng, ["The zoo has a {animal} called {petn}.", "On the farm there is a {animal} named {petn}.", "In the park lives a {animal} called {petn}."])
    first, rest = (facts[:1], facts[1:]) if not facts[0][0] else ([], facts)
    chosen = rng.sample(rest, rng.randint(2, min(5, len(rest))))
    text = " ".join(spin(rng, t, d) for t in [head] + [c[0] for c in chosen] if t)
    qa = [q for c in first + chosen for q in c[1]]
    missing = [q for c in rest if c not in chosen for q in c[1]]
    out = []
    for q, sh, fu in rng.sample(qa, min(len(qa), 3)):
        out.append((spin(rng, q, d), cap(sh.format_map(d)), cap(fu.format_map(d))))
    if missing and rng.random() < 0.3:
        q, _, _ = pick(rng, missing)
        out.insert(rng.randrange(len(out) + 1), (spin(rng, q, d), "Unknown", spin(rng, ["The text does not say[ that|].", "I don't know; the text does not say.", "That is not [mentioned|said] in the text."])))
    return text, out


def context_qa(rng, words, ev):
    text, qa = passage(rng, words, ev)
    q, sh, fu = qa[0]
    ans = fu if rng.random() < 0.7 else sh + "." if rng.random() < 0.5 else sh
    form = rng.randrange(6)
    if form == 0:
        return f"{text}\n\n{q}", ans
    if form == 1:
        return f"{text} {q}", ans
    if form == 2:
        return pick(rng, ["Read the text and answer the question.", "Use the text to answer.", "Answer from the text."]) + f"\n\nText: {text}\n\nQuestion: {q}", ans
    if form == 3:
        return f"Context: {text}\nQuestion: {q}" + pick(rng, ["", "\nAnswer:"]), ans
    if form == 4:
        return f"{q}\n\n{text}", ans
    return f"{pick(rng, ['Here is a text', 'Text', 'Passage'])}: \"{text}\" {q}", ans


TASKS = {"arithmetic": arithmetic, "word problem": word_problem, "numbers": numbers, "rewrite": rewrite, "count": count, "lists": lists, "extract": extract, "context": context_qa}
