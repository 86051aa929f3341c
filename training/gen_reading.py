"""Reading with care: small facts of many kinds, about open-vocabulary things, that
have to be told apart to answer. The same idea serves remembering what the user said.

A schema is (statement, [(question, short answer, full answer)]). A text is made of
several statements, often two of one schema with different values, so that a
question can only be answered by finding the right one.
"""
import lexicon as L
from gen_tasks import full_name, number_slot, word
from spin import a, cap, pick, spin

SPOTS = ["on the table", "under the bed", "behind the clock", "in the garden", "on the sofa", "in the kitchen", "near the door", "in the cellar", "on the roof", "in the drawer", "behind the house", "under the stairs",
         "next to the window", "in the box", "on the shelf", "in the car", "by the fire", "at school", "in the attic", "on the wall"]
PLACES = "museum zoo station airport market harbour library hospital school park stadium theatre castle bridge beach hotel church bakery".split()
VEHICLES = "bus train tram boat taxi van ferry lorry".split()
CHORES = ["water the plants", "feed the fish", "clean the windows", "take out the rubbish", "call the doctor", "wash the car", "visit grandma", "pay the rent", "go to the dentist", "buy milk", "walk the dog", "cut the grass", "return the books"]
EVENTS = "concert meeting party film lesson race game show exam dinner wedding tour".split()
ROLES = [("captain", "ship"), ("owner", "shop"), ("mayor", "town"), ("king", "island"), ("winner", "race"), ("cook", "hotel"), ("teacher", "class"), ("boss", "company"), ("leader", "group"), ("author", "book"), ("driver", "bus"), ("queen", "land")]
RELATIVES = "sister brother mother father wife husband friend teacher son daughter boss neighbour aunt uncle cousin grandmother".split()
CLOTHES = "hat coat dress shirt scarf jacket jumper skirt".split()

THIRD = [
    ("The {c} {v} [goes to|stops at|drives to] the {pl}.", [("[Which|What] {v} [goes to|stops at|drives to] the {pl}?", "The {c} {v}", "The {c} {v} goes to the {pl}."), ("Where does the {c} {v} [go|stop]?", "The {pl}", "The {c} {v} goes to the {pl}.")]),
    ("{n} is {age}[ years old|].", [("How old is {n}?", "{age}", "{n} is {age} years old."), ("Who is {age} years old?", "{n}", "{n} is {x} years old.")]),
    ("{n} [sleeps|sits|waits|plays] {sp}.", [("Where [is|can I find] {n}?", "{sp}", "{n} is {sp}."), ("Who is {sp}?", "{n}", "{n} is {sp}.")]),
    ("{n} sleeps {sp}.", [("Where does {n} sleep?", "{sp}", "{n} sleeps {sp}."), ("Who sleeps {sp}?", "{n}", "{n} sleeps {sp}.")]),
    ("[Our|My|Their] {an} {n} sleeps {sp}.", [("Where does {n} sleep?", "{sp}", "{n} sleeps {sp}."), ("What [kind of |]animal is {n}?", "{an}", "{n} is {aan}.")]),
    ("{n} paid {x} {cur} for {ai}.", [("How much did {n} pay[ for the {i}|]?", "{x} {cur}", "{n} paid {x} {cur}."), ("How much [was the {i}|did the {i} cost]?", "{x} {cur}", "The {i} was {x} {cur}."), ("Who bought the {i}?", "{n}", "{n} bought the {i}.")]),
    ("The {i} costs {x} {cur}.", [("How much [is the {i}|does the {i} cost]?", "{x} {cur}", "The {i} costs {x} {cur}."), ("What costs {x} {cur}?", "The {i}", "The {i} costs {x} {cur}.")]),
    ("The {i} [is|lies|hangs|stands] {sp}.", [("Where is the {i}?", "{sp}", "The {i} is {sp}."), ("Where can I find the {i}?", "{sp}", "You can find the {i} {sp}."), ("What is {sp}?", "The {i}", "The {i} is {sp}.")]),
    ("The {i} to the {w} is {sp}.", [("Where is the {i}[ to the {w}|]?", "{sp}", "The {i} is {sp}.")]),
    ("{n} bought {ai}.", [("What did {n} buy?", "{ai}", "{n} bought {ai}."), ("Who bought [the|a] {i}?", "{n}", "{n} bought the {i}.")]),
    ("{n} found {ai} {sp}.", [("What did {n} find?", "{ai}", "{n} found {ai}."), ("Who found the {i}?", "{n}", "{n} found the {i}."), ("Where did {n} find the {i}?", "{sp}", "{n} found it {sp}.")]),
    ("{n} lost [{p}|the] {i}.", [("What did {n} lose?", "The {i}", "{n} lost the {i}."), ("Who lost [the|a] {i}?", "{n}", "{n} lost the {i}.")]),
    ("{n} gave {m} {ai}.", [("What did {n} give [to |]{m}?", "{ai}", "{n} gave {m} {ai}."), ("Who gave {m} the {i}?", "{n}", "{n} gave {m} the {i}."), ("Who got the {i}?", "{m}", "{m} got the {i}.")]),
    ("{n} [likes|loves] {f}.", [("What does {n} like?", "{f}", "{n} likes {f}."), ("Who [likes|loves] {f}?", "{n}", "{n} likes {f}.")]),
    ("{n} hates {f}.", [("What does {n} hate?", "{f}", "{n} hates {f}."), ("Who hates {f}?", "{n}", "{n} hates {f}.")]),
    ("{Ch} on {d} and {d2}.", [("When [should|must|do] I {ch}?", "On {d} and {d2}", "You should {ch} on {d} and {d2}."), ("On which days should I {ch}?", "{d} and {d2}", "You should {ch} on {d} and {d2}.")]),
    ("{Ch} on {d}.", [("When [should|must|do] I {ch}?", "On {d}", "You should {ch} on {d}."), ("On which day should I {ch}?", "On {d}", "You should {ch} on {d}."), ("What should I do on {d}?", "{ch}", "On {d} you should {ch}.")]),
    ("The {ev} [starts|begins|is] at {t}.", [("When does the {ev} start?", "At {t}", "The {ev} starts at {t}."), ("[What starts|What is] at {t}?", "The {ev}", "The {ev} is at {t}.")]),
    ("The {ev} is on {d}.", [("When is the {ev}?", "On {d}", "The {ev} is on {d}."), ("What [is|happens] on {d}?", "The {ev}", "The {ev} is on {d}.")]),
    ("{n} [lives in|comes from|is from] {city}.", [("Where does {n} live?", "{city}", "{n} lives in {city}."), ("Where is {n} from?", "{city}", "{n} is from {city}."), ("Who [lives in|is from] {city}?", "{n}", "{n} is from {city}.")]),
    ("{n} is {aj}.", [("What [is {n}'s job|does {n} do]?", "{j}", "{n} is {aj}."), ("Who is [the|a] {j}?", "{n}", "{n} is the {j}.")]),
    ("{n} works as {aj} in {city}.", [("Where does {n} work?", "{city}", "{n} works in {city}."), ("What is {n}'s job?", "{j}", "{n} is {aj}."), ("Who works in {city}?", "{n}", "{n} works in {city}.")]),
    ("{n}'s {rel} is [called |]{m}.", [("Who is {n}'s {rel}?", "{m}", "{m} is {n}'s {rel}."), ("What is the name of {n}'s {rel}?", "{m}", "{n}'s {rel} is {m}.")]),
    ("There are {x} {it} [{sp}|in the {w}].", [("How many {it} are there?", "{x}", "There are {x} {it}.")]),
    ("{n} has {x} {it}.", [("How many {it} does {n} have?", "{x}", "{n} has {x} {it}."), ("Who has {x} {it}?", "{n}", "{n} has {x} {it}.")]),
    ("{n} came {ord}.", [("Who came {ord}?", "{n}", "{n} came {ord}."), ("Which place did {n} get?", "{ord}", "{n} came {ord}.")]),
    ("The {i} is {c}.", [("What colour is the {i}?", "{c}", "The {i} is {c}."), ("[Which thing|What] is {c}?", "The {i}", "The {i} is {c}.")]),
    ("{n} went to {city} by {v}.", [("How did {n} go to {city}?", "By {v}", "{n} went by {v}."), ("Where did {n} go?", "{city}", "{n} went to {city}."), ("Who went to {city}?", "{n}", "{n} went to {city}.")]),
    ("The {r} of the {ro} [is|was] [called |]{n}.", [("Who [is|was] the {r}[ of the {ro}|]?", "{n}", "The {r} was {n}."), ("What is the name of the {r}?", "{n}", "The {r} is called {n}."), ("Who is {n}?", "The {r} of the {ro}", "{n} is the {r} of the {ro}.")]),
    ("{n} wore a {c} {cl}.", [("What did {n} wear?", "A {c} {cl}", "{n} wore a {c} {cl}."), ("Who wore a {c} {cl}?", "{n}", "{n} wore a {c} {cl}."), ("What colour was {n}'s {cl}?", "{c}", "It was {c}.")]),
    ("The word for {w} is \"{z}\".", [("What is the word for {w}?", "{z}", "The word for {w} is \"{z}\"."), ("What does \"{z}\" mean?", "{w}", "\"{z}\" means {w}.")]),
    ("The train to {city} leaves [at {t}|from platform {x}].", [("[Which train is mentioned|Where does the train go]?", "{city}", "The train goes to {city}.")]),
    ("The train to {city} leaves at {t}.", [("When does the train to {city} leave?", "At {t}", "The train to {city} leaves at {t}.")]),
    ("The {w} is in room {x}.", [("[In which room is the {w}|Which room is the {w} in]?", "Room {x}", "The {w} is in room {x}."), ("What is in room {x}?", "The {w}", "The {w} is in room {x}.")]),
    ("{n} is afraid of {w}.", [("What is {n} afraid of?", "{w}", "{n} is afraid of {w}.")]),
    ("{z} is the capital of {Z}.", [("What is the capital of {Z}?", "{z}", "The capital of {Z} is {z}."), ("{z} is the capital of what?", "{Z}", "{z} is the capital of {Z}.")]),
    ("{n} wrote \"{W}\".", [("Who wrote \"{W}\"?", "{n}", "{n} wrote \"{W}\"."), ("What did {n} write?", "{W}", "{n} wrote \"{W}\".")]),
    ("{n} speaks {lang}.", [("What language does {n} speak?", "{lang}", "{n} speaks {lang}."), ("Who speaks {lang}?", "{n}", "{n} speaks {lang}.")]),
    ("{n} plays {sport}.", [("What does {n} play?", "{sport}", "{n} plays {sport}."), ("Who plays {sport}?", "{n}", "{n} plays {sport}.")]),
]

FIRST = [
    ("I have two {an}s[, {n} and {m}|. They are called {n} and {m}|: {n} and {m}].", [("What are my {an}s [called|named]?", "{n} and {m}", "Your {an}s are called {n} and {m}."), ("How many {an}s do I have?", "Two", "You have two {an}s.")]),
    ("My {rel} {n} is {aj} in {city}.", [("[Where|In which city] does my {rel} work?", "{city}", "Your {rel} works in {city}."), ("What does my {rel} do?", "{j}", "Your {rel} is {aj}."), ("What is my {rel}'s name?", "{n}", "Your {rel} is called {n}.")]),
    ("My {rel} lives in {city}.", [("Where does my {rel} live?", "{city}", "Your {rel} lives in {city}."), ("Who lives in {city}?", "Your {rel}", "Your {rel} lives in {city}.")]),
    ("I [will|am going to] [travel|go|fly|drive] to {city} on {d}.", [("Where am I going?", "{city}", "You are going to {city}."), ("When am I going to {city}?", "On {d}", "You are going on {d}."), ("What am I doing on {d}?", "Going to {city}", "You are going to {city}.")]),
    ("My lucky number is {x}.", [("What [is|was] my lucky number?", "{x}", "Your lucky number is {x}.")]),
    ("I bought {ai} for {x} {cur}.", [("What did I buy?", "{ai}", "You bought {ai}."), ("How much did I pay[ for the {i}|]?", "{x} {cur}", "You paid {x} {cur}.")]),
    ("My {i} is {c}.", [("What colour is my {i}?", "{c}", "Your {i} is {c}.")]),
    ("I left my {i} {sp}.", [("Where [is|did I leave] my {i}?", "{sp}", "Your {i} is {sp}."), ("What did I leave {sp}?", "Your {i}", "You left your {i} {sp}.")]),
    ("I have an appointment with the {j} at {t}.", [("When is my appointment?", "At {t}", "Your appointment is at {t}."), ("Who is my appointment with?", "The {j}", "It is with the {j}.")]),
    ("I am allergic to {f}.", [("What am I allergic to?", "{f}", "You are allergic to {f}."), ("What should I not eat?", "{f}", "You should not eat {f}.")]),
    ("My phone number is {ph}.", [("What is my [phone |]number?", "{ph}", "Your number is {ph}.")]),
    ("I play the {inst}.", [("[What|Which] instrument do I play?", "The {inst}", "You play the {inst}.")]),
    ("I [speak|am learning] {lang}.", [("[Which|What] language do I speak?", "{lang}", "You speak {lang}."), ("What am I learning?", "{lang}", "You are learning {lang}.")]),
    ("I was born in {city}.", [("Where was I born?", "{city}", "You were born in {city}.")]),
    ("I need to buy {f} and {f2}.", [("What do I need to buy?", "{f} and {f2}", "You need to buy {f} and {f2}.")]),
    ("I have {x} {it}.", [("How many {it} do I have?", "{x}", "You have {x} {it}.")]),
    ("My {rel} has {ai}.", [("What does my {rel} have?", "{ai}", "Your {rel} has {ai}."), ("Who has {ai}?", "Your {rel}", "Your {rel} has {ai}.")]),
    ("I love {f}.", [("What [food |]do I [love|like]?", "{f}", "You love {f}.")]),
    ("I am reading a book called \"{W}\".", [("What [am I reading|is my book called]?", "{W}", "You are reading \"{W}\".")]),
    ("My {rel}'s birthday is on {dm}.", [("When is my {rel}'s birthday?", "On {dm}", "Your {rel}'s birthday is on {dm}.")]),
    ("I must {ch} on {d}.", [("What must I do on {d}?", "{ch}", "You must {ch} on {d}."), ("When must I {ch}?", "On {d}", "You must {ch} on {d}.")]),
    ("My {an} {n} is {age} years old.", [("How old is [my {an}|{n}]?", "{age}", "{n} is {age} years old."), ("What is my {an} called?", "{n}", "Your {an} is called {n}.")]),
    ("My name is {n} and I [love|like] {f}.", [("What is my name?", "{n}", "Your name is {n}."), ("What do I like?", "{f}", "You like {f}."), ("Who am I?", "{n}", "You are {n}.")]),
    ("I'm {n} from {city}.", [("Where am I from?", "{city}", "You are from {city}."), ("What is my name?", "{n}", "Your name is {n}.")]),
    ("I study {sub}.", [("What do I study?", "{sub}", "You study {sub}.")]),
]
ACK = ["[I see|Okay|All right|Good to know|Got it|Understood|Thanks for telling me].", "[I see|Okay|Got it], I will keep that in mind.", "[How nice|That sounds good|Interesting]!", "Noted."]
UNKNOWN = ["The text does not say[ that|].", "I don't know; the text does not say.", "That is not [mentioned|said] in the text."]


def values(rng, words, ev):
    n, m = full_name(rng, ev)[0], full_name(rng, ev)[0]
    while m == n:
        m = full_name(rng, ev)[0]
    i, j, r, an = pick(rng, L.ITEMS) if rng.random() < 0.6 else word(rng, words, ev), pick(rng, L.JOBS), pick(rng, ROLES), pick(rng, L.PETS)
    f, f2 = rng.sample(L.FOODS, 2)
    d, d2 = rng.sample(L.DAYS, 2)
    ch = pick(rng, CHORES)
    return {"n": n, "m": m, "i": i, "ai": a(i), "j": j, "aj": a(j), "r": r[0], "ro": r[1], "an": an, "aan": a(an), "f": f, "f2": f2, "d": d, "d2": d2, "ch": ch, "Ch": cap(ch), "c": pick(rng, L.COLORS), "v": pick(rng, VEHICLES),
            "pl": pick(rng, PLACES), "x": number_slot(rng), "age": rng.randint(3, 90), "sp": pick(rng, SPOTS), "cur": pick(rng, ["euros", "dollars", "pounds", "coins"]), "w": word(rng, words, ev), "W": cap(word(rng, words, ev)) + " " + cap(word(rng, words, ev)),
            "z": word(rng, words, ev, 1.0), "Z": cap(word(rng, words, ev, 1.0)), "p": "the", "ev": pick(rng, EVENTS), "t": f"{rng.randint(1, 12)}:{rng.choice(['00', '15', '30', '45'])}" if rng.random() < 0.5 else f"{rng.randint(1, 12)} o'clock",
            "city": pick(rng, L.CITIES), "rel": pick(rng, RELATIVES), "it": pick(rng, L.COUNTED), "ord": pick(rng, ["first", "second", "third", "last"]), "cl": pick(rng, CLOTHES), "lang": pick(rng, L.LANGUAGES), "sport": pick(rng, L.SPORTS),
            "ph": f"{rng.randint(100, 999)} {rng.randint(1000, 9999)}", "inst": pick(rng, L.INSTRUMENTS), "dm": f"{rng.randint(1, 28)} {pick(rng, L.MONTHS)}", "sub": pick(rng, L.SUBJECTS)}


def text_and_questions(rng, words, ev):
    """(text, [(question, short, full)])"""
    schemas = rng.sample(THIRD, rng.randint(1, 3))
    items = []
    for s in schemas:
        for _ in range(rng.choice([1, 1, 2, 2, 3])):
            v = values(rng, words, ev)
            # values that would make two statements of one text ambiguous are drawn again
            for _ in range(8):
                if not any(v[k] == u[k] for _, u in items for k in ("n", "m", "i", "c", "v", "d", "city", "sp", "x", "t", "f", "j", "ch", "ev", "w", "pl", "an", "ord", "r", "it", "rel", "lang", "sport")):
                    break
                v = values(rng, words, ev)
            if s[0].startswith("The {c} {v}") and items and rng.random() < 0.6:
                v["v"] = items[0][1]["v"]
            items.append((s, v))
    rng.shuffle(items)
    text = " ".join(cap(spin(rng, s[0], v)) for s, v in items)
    out = []
    for s, v in rng.sample(items, len(items)):
        q, sh, fu = pick(rng, s[1])
        out.append((cap(spin(rng, q, v)), cap(sh.format_map(v)), cap(fu.format_map(v))))
    if rng.random() < 0.12:
        s, v = pick(rng, [x for x in THIRD if x not in schemas]), values(rng, words, ev)
        out.insert(0, (cap(spin(rng, pick(rng, s[1])[0], v)), "Unknown", spin(rng, UNKNOWN)))
    elif rng.random() < 0.1:
        x, y = rng.sample(range(3, 90), 2)
        v = values(rng, words, ev)
        older = rng.random() < 0.5
        kind = pick(rng, [("is {} years old", "older", "younger"), ("is {} cm tall", "taller", "shorter"), ("has {} points", "ahead", "behind")])
        text = f"{v['n']} {kind[0].format(x)}. " + pick(rng, ["", "His sister ", "Her brother ", "Our friend "]) + f"{v['m']} {kind[0].format(y)}."
        win = v["n"] if (x > y) == older else v["m"]
        comp = kind[1] if older else kind[2]
        out = [(f"Who is {comp}?", win, f"{win} is {comp}.")]
    return text, out


def ask_text(rng, text, q):
    return pick(rng, ["{t}\n\n{q}", "{t}\n\n{q}", "{t} {q}", "{t}\n{q}", "{q}\n\n{t}", "{q} {t}", "Text: {t}\n\nQuestion: {q}", "Read this: {t}\n{q}", "\"{t}\" {q}", "Context: {t}\nQuestion: {q}\nAnswer:", "Here is some information. {t} {q}"]).format(t=text, q=q)


def reading(rng, words, ev):
    """Messages: a text with one to three questions."""
    text, qa = text_and_questions(rng, words, ev)
    m = []
    for n, (q, short, full) in enumerate(qa[: rng.choice([1, 1, 2, 3])]):
        m += [{"role": "user", "content": ask_text(rng, text, q) if n == 0 else q}, {"role": "assistant", "content": full if rng.random() < 0.75 or short == "Unknown" else short}]
    return m


def remembering(rng, words, ev, filler):
    """The user tells something; later he asks for it."""
    facts = [(s, values(rng, words, ev)) for s in rng.sample(FIRST, rng.choice([1, 1, 2, 3]))]
    m = []
    for s, v in facts:
        m += [{"role": "user", "content": cap(spin(rng, s[0], v))}, {"role": "assistant", "content": spin(rng, ACK)}]
    for _ in range(rng.choice([0, 0, 1, 2])):
        m += filler()
    rng.shuffle(facts)
    for s, v in facts[: rng.randint(1, len(facts))]:
        q, short, full = pick(rng, s[1])
        q = spin(rng, q, v)
        q = pick(rng, [q, q, q, "Do you remember? " + q, "Tell me again: " + q, q[:-1] + " again?", "So, " + q[0].lower() + q[1:]])
        m += [{"role": "user", "content": q}, {"role": "assistant", "content": cap(full.format_map(v)) if rng.random() < 0.8 else cap(short.format_map(v))}]
    return m
