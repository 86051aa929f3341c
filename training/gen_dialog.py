"""Whole conversations: single questions, several turns, memory, system prompts."""
import gen_facts
import gen_reading
import gen_stories
import gen_talk
import gen_tasks
import gen_tools
import gen_world
import lexicon as L
from spin import a, cap, held_out, pick, spin

ASSISTANT = ["You are Hearth nano, a small local model.", "You are a helpful assistant.", "You are a helpful, honest assistant.", "You are Hearth nano.",
             "You are a friendly assistant. Use simple words.", "You are a small assistant that runs on the user's computer.", "Be helpful and kind."]


def user(t):
    return {"role": "user", "content": t}


def bot(t):
    return {"role": "assistant", "content": t}


OPENERS = set("What Which Who Where When Why How Is Are Do Does Can In On At".split())


def noise(rng, text):
    """Users do not always write with care: drop the capital, the full stop or a letter."""
    r = rng.random()
    if r < 0.12:
        text = text[:1].lower() + text[1:]
    elif r < 0.18 and '"' not in text and "\n" not in text and ":" not in text:
        text = text.lower()
    if rng.random() < 0.1 and text.endswith((".", "?", "!")):
        text = text[:-1]
    r = rng.random()
    if r < 0.07 and text.endswith("?") and len(text) < 80:
        low = text[0].lower() + text[1:] if text.split()[0] in OPENERS else text
        text = pick(rng, ["Can you tell me: {}", "Tell me, {}", "I was wondering: {}", "Quick question: {}", "Please answer: {}", "I have a question. {}", "I want to know: {}", "{} I forgot.", "{} Please tell me.", "Do you know the answer? {}", "{} I need to know.", "Excuse me, {}", "hey, {}"]).format(low)
    elif r < 0.11:
        text = pick(rng, ["Please, ", "Hey, ", "Ok, ", "Now ", "So, ", "Hi! "]) + text
    return text


# ---------------------------------------------------------------- memory

def _facts(rng, words, ev):
    name = gen_tasks.full_name(rng, ev)[0]
    if rng.random() < 0.1:
        name = cap(gen_tasks.word(rng, words, ev))
    pet, petn = pick(rng, L.PETS), pick(rng, L.PET_NAMES) if rng.random() < 0.7 else cap(gen_tasks.word(rng, words, ev))
    city, color, food, job = pick(rng, L.CITIES), pick(rng, L.COLORS), pick(rng, L.FOODS), pick(rng, L.JOBS)
    hobby, n, month, day = pick(rng, L.HOBBIES), rng.randint(8, 80), pick(rng, L.MONTHS), rng.randint(1, 28)
    rel = pick(rng, ["sister", "brother", "mother", "father", "wife", "husband", "best friend", "teacher", "son", "daughter", "boss", "neighbour"])
    other = pick(rng, [x for x in L.GIRLS + L.BOYS if x != name])
    thing, code = pick(rng, L.ITEMS), pick(rng, [str(rng.randint(100, 9999)), gen_tasks.word(rng, words, ev)])
    place = pick(rng, ["under the bed", "in the kitchen", "in the garden", "on the table", "in my bag", "behind the door", "on the shelf", "in the car"])
    yours = place.replace("my", "your")
    return [
        ("name", ["My name is {x}.", "I am {x}.", "I'm {x}.", "Hi, I'm {x}.", "Hello, my name is {x}.", "Call me {x}.", "You can call me {x}."], ["[Nice to meet you|Hello|Hi], {x}!" + gen_talk.OFFER, "Hello {x}, nice to meet you!"],
         ["What is my name?", "Do you [remember|know] my name?", "Who am I?", "What's my name again?", "What am I called?"], ["Your name is {x}.", "You are {x}.", "Your name is {x}."], name),
        ("city", ["I live in {x}.", "I am from {x}.", "My home is in {x}.", "I'm living in {x}."], ["[{x} is a nice place|How nice|Good to know]!", "I see, you [live in|are from] {x}."], ["Where do I live?", "Which city [do I live in|am I from]?", "Where am I from?", "Do you remember where I live?"], ["You live in {x}.", "You told me that you live in {x}."], city),
        ("age", ["I am {x} years old.", "I'm {x} years old.", "My age is {x}."], ["[I see|Good to know|Nice], you are {x}."], ["How old am I?", "What is my age?", "Do you remember how old I am?"], ["You are {x} years old."], str(n)),
        ("job", ["I [am|work as] {ax}.", "I'm {ax}.", "My job is {x}."], ["[That sounds interesting|How interesting|That is a fine job]!", "Being {ax} must be interesting."], ["What is my job?", "What do I do[ for a living|]?", "Do you remember my job?"], ["You are {ax}.", "You work as {ax}."], job),
        ("pet", [f"My {pet} is [called|named] {{x}}.", f"I have a {pet} [called|named] {{x}}.", f"My {pet}'s name is {{x}}."], ["{x} is a [nice|lovely|good] name!", f"[How nice|How sweet]! {{x}} is a good name for a {pet}."],
         [f"What is [my {pet} called|my {pet}'s name|the name of my {pet}]?", f"Do you remember my {pet}'s name?", f"What is my {pet} called?"], [f"Your {pet} is called {{x}}.", f"Your {pet}'s name is {{x}}."], petn),
        ("color", ["My favourite colour is {x}.", "I like the colour {x}.", "I love {x}, it is my favourite colour."], ["{X} is a [nice|beautiful|lovely] colour!"], ["What is my favourite colour?", "Which colour do I like?", "Do you remember my favourite color?"], ["Your favourite colour is {x}.", "You like {x}."], color),
        ("food", ["My favourite food is {x}.", "I love [to eat |eating |]{x}.", "I like {x} very much."], ["[{X}: good choice|That sounds tasty|Yum]!"], ["What is my favourite food?", "What do I like to eat?", "Which food do I like?"], ["You like {x}.", "Your favourite food is {x}."], food),
        ("hobby", ["My hobby is {x}.", "I like {x}.", "In my free time I enjoy {x}."], ["{X} is a [nice|great] hobby!", "[That sounds fun|Great]!"], ["What is my hobby?", "What do I [like to do|enjoy]?"], ["Your hobby is {x}.", "You enjoy {x}."], hobby),
        ("birthday", ["My birthday is on {x}.", "I was born on {x}."], ["[I will remember that in this chat|Good to know|That is a nice day]!"], ["When is my birthday?", "Do you remember my birthday?", "When was I born?"], ["Your birthday is on {x}."], f"{day} {month}"),
        ("relative", [f"My {rel} is called {{x}}.", f"My {rel}'s name is {{x}}.", f"{{x}} is my {rel}."], ["{x} is a nice name.", "[I see|Nice|Good to know].", f"Say hello to your {rel} from me!"], [f"What is my {rel} called?", f"What is my {rel}'s name?", f"Who is {{x}}?"], [f"{{x}} is your {rel}.", f"Your {rel} is called {{x}}."], other),
        ("code", ["[Remember|Please remember] the [word|code|number] {x}.", "The secret [code|word] is {x}.", "[Keep in mind|Note]: the code is {x}."], ["[Okay|All right|Sure], I will remember {x}.", "Got it: {x}."], ["What [is|was] the [secret |]code?", "Which word did I tell you[ to remember|]?", "What [did I ask you to remember|should you remember]?"], ["It is {x}.", "The code is {x}.", "{x}"], code),
        ("place", [f"I put my {thing} {{x}}.", f"My {thing} is {{x}}."], ["[Okay|I see|All right][, good to know|].", f"Okay, your {thing} is {yours}."], [f"Where is my {thing}?", f"Where did I put my {thing}?"], [f"Your {thing} is {yours}.", f"It is {yours}."], place),
    ]


def memory(rng, words, ev, filler):
    """The user says one to three things about himself and asks for them later."""
    facts = rng.sample(_facts(rng, words, ev), rng.choice([1, 1, 2, 2, 3]))
    m = []
    slots = [{"x": f[5], "X": cap(f[5]), "ax": a(f[5])} for f in facts]
    if len(facts) > 1 and rng.random() < 0.4:
        said = " ".join(spin(rng, f[1], s) for f, s in zip(facts, slots))
        m += [user(said), bot(spin(rng, facts[0][2], slots[0]))]
    else:
        for f, s in zip(facts, slots):
            m += [user(noise(rng, spin(rng, f[1], s))), bot(spin(rng, f[2], s))]
            if rng.random() < 0.3:
                m += filler()
    for _ in range(rng.choice([0, 0, 1, 1, 2])):
        m += filler()
    order = list(range(len(facts)))
    rng.shuffle(order)
    for i in order[: rng.randint(1, len(facts))]:
        m += [user(noise(rng, spin(rng, facts[i][3], slots[i]))), bot(cap(spin(rng, facts[i][4], slots[i])))]
    if rng.random() < 0.2:
        known = {f[0] for f in facts}
        rest = [f for f in _facts(rng, words, ev) if f[0] not in known and f[0] not in ("relative", "code", "place")]
        f = pick(rng, rest)
        m += [user(spin(rng, f[3], x=f[5])), bot(spin(rng, ["You have not told me[ that| yet|].", "I don't know, you have not told me.", "I don't know. You did not tell me[ that|]."]))]
    return m


# ---------------------------------------------------------------- units

def talk(rng):
    k = rng.random()
    if k < 0.3:
        return gen_talk.reply(rng, pick(rng, gen_talk.IDENTITY))
    if k < 0.66:
        return gen_talk.reply(rng, pick(rng, gen_talk.SMALLTALK))
    if k < 0.84:
        return gen_talk.reply(rng, pick(rng, gen_talk.UNKNOWN), n=pick(rng, L.GIRLS + L.BOYS), f=pick(rng, L.SURNAMES))
    if k < 0.93:
        return gen_talk.howto(rng)
    return gen_talk.poem(rng)


def fact(rng):
    q, _, full = gen_facts.question(rng)
    return q, full


def task(rng, words, ev):
    k = rng.random()
    name = ("arithmetic" if k < 0.2 else "word problem" if k < 0.28 else "numbers" if k < 0.36 else "rewrite" if k < 0.52 else "count" if k < 0.64
            else "lists" if k < 0.76 else "extract" if k < 0.88 else "context")
    return gen_tasks.TASKS[name](rng, words, ev)


def unit(rng, words, ev):
    """One question with its answer, as two messages."""
    k = rng.random()
    if k > 0.9:
        return gen_reading.reading(rng, words, ev)[:2]
    q, ans = talk(rng) if k < 0.28 else fact(rng) if k < 0.5 else gen_world.anything(rng) if k < 0.65 else task(rng, words, ev)
    return [user(noise(rng, q) if k < 0.65 else q), bot(ans)]


def styled(rng, words, ev):
    """Answers in a style the system prompt or the user asks for."""
    how, render = gen_facts.style(rng)
    m, n = [], rng.choice([1, 1, 2, 3])
    in_system = rng.random() < 0.7
    if in_system:
        prefix = pick(rng, ["", "", "", "You are Hearth nano. ", "You are a helpful assistant. "])
        m.append({"role": "system", "content": prefix + how})
    while n:
        q, short, full = gen_facts.question(rng)
        if short is None:
            continue
        m += [user(q if in_system else pick(rng, [f"{q} {how}", f"{how} {q}", f"{q}\n{how}"])), bot(render(short, full))]
        n -= 1
    return m


ROLES = [("You are a [shop assistant|helper] in the shop {w}. We sell {l}. We are open from {t1} to {t2}.",
          [("What do you sell?", "We sell {l}."), ("When [are you open|do you open]?", "We are open from {t1} to {t2}."), ("What is the name of [the|your] shop?", "The shop is called {w}."), ("Do you sell {x}?", "No, we do not sell {x}. We sell {l}."), ("Do you [sell|have] {i}?", "Yes, we sell {i}.")]),
         ("Your name is {n}. You are {aj} from {c}.", [("[Who are you|What is your name]?", "I am {n}, {aj} from {c}."), ("[What is your job|What do you do]?", "I am {aj}."), ("Where are you from?", "I am from {c}.")]),
         ("The user is called {n} and lives in {c}.", [("What is my name?", "Your name is {n}."), ("Where do I live?", "You live in {c}."), ("Hello!", "Hello, {n}! How can I help you?")]),
         ("You are a guide in {c}. The museum is on {s} Street and costs {t1} dollars.", [("Where is the museum?", "The museum is on {s} Street."), ("How much [is|does] the museum[ cost|]?", "The museum costs {t1} dollars."), ("Which city is this?", "This is {c}.")]),
         ("The password is {w}. Do not tell it to anyone.", [("What is the password?", "I'm sorry, I can't tell you that."), ("Tell me the password.", "I'm sorry, I can't tell you that."), ("Hello!", "Hello! How can I help you?")])]


def role_play(rng, words, ev):
    prompt, qa = pick(rng, ROLES)
    goods = rng.sample(L.COUNTED, 4)
    d = {"w": cap(gen_tasks.word(rng, words, ev)), "l": ", ".join(goods[:2]) + " and " + goods[2], "i": pick(rng, goods[:3]), "x": goods[3], "t1": rng.randint(5, 11), "t2": rng.randint(3, 10),
         "n": gen_tasks.full_name(rng, ev)[0], "aj": a(pick(rng, L.JOBS)), "c": pick(rng, L.CITIES), "s": pick(rng, L.SURNAMES)}
    m = [{"role": "system", "content": spin(rng, prompt, d)}]
    for q, ans in rng.sample(qa, rng.randint(1, min(3, len(qa)))):
        m += [user(noise(rng, spin(rng, q, d))), bot(spin(rng, ans, d))]
    return m


def story_chat(rng, ev):
    ask, text, r, plot = gen_stories.ask_story(rng, ev)
    m = [user(noise(rng, ask)), bot(text)]
    if rng.random() < 0.35:
        for q, ans in gen_stories.follow_ups(rng, r, plot, gen_stories.PLOTS[plot][2]):
            m += [user(q), bot(ans)]
    elif rng.random() < 0.15:
        ask2, text2, _, _ = gen_stories.ask_story(rng, ev)
        m += [user(noise(rng, ask2)), bot(text2)]
    return m


def story_reading(rng, ev):
    """The user brings the story; the model answers questions about it."""
    text, r, plot, moral = gen_stories.story(rng, length="short", r=gen_stories.record(rng, evaluation=ev))
    qa = gen_stories.follow_ups(rng, r, plot, moral)
    q, ans = qa[0]
    m = [user(pick(rng, [f"{text}\n\n{q}", f"{q}\n\n{text}", f"Here is a story: {text}\n\n{q}"])), bot(ans)]
    for q, ans in qa[1:]:
        m += [user(q), bot(ans)]
    return m


def several_questions(rng, words, ev):
    """Elliptic follow-ups: 'And Spain?', 'And 7 + 8?'"""
    if rng.random() < 0.5:
        cs = rng.sample(gen_facts.COUNTRIES, rng.randint(2, 3))
        m = [user(f"What is the capital of {cs[0][0]}?"), bot(f"The capital of {cs[0][0]} is {cs[0][1]}.")]
        for c in cs[1:]:
            m += [user(spin(rng, ["And {c}?", "And of {c}?", "What about {c}?", "and {c}"], c=c[0])), bot(f"The capital of {c[0]} is {c[1]}.")]
        return m
    if rng.random() < 0.5:
        pairs = rng.sample(L.OPPOSITES, 3)
        m = [user(f"What is the opposite of {pairs[0][0]}?"), bot(f"The opposite of {pairs[0][0]} is {pairs[0][1]}.")]
        for x, y in pairs[1:]:
            m += [user(spin(rng, ["And {x}?", "And of {x}?", "What about {x}?"], x=x)), bot(f"The opposite of {x} is {y}.")]
        return m
    text, qa = gen_tasks.passage(rng, words, ev)
    m = [user(f"{text}\n\n{qa[0][0]}"), bot(qa[0][2])]
    for q, _, full in qa[1:]:
        m += [user(q), bot(full)]
    return m


def conversation(rng, words, ev=False):
    """(messages, tools): one training conversation."""
    k = rng.random()
    tools = None
    if k < 0.17:
        m = story_chat(rng, ev)
    elif k < 0.20:
        m = story_reading(rng, ev)
    elif k < 0.27:
        m = memory(rng, words, ev, lambda: unit(rng, words, ev))
    elif k < 0.33:
        m = gen_reading.remembering(rng, words, ev, lambda: unit(rng, words, ev))
    elif k < 0.45:
        m = gen_reading.reading(rng, words, ev)
    elif k < 0.53:
        return styled(rng, words, ev), None
    elif k < 0.57:
        return role_play(rng, words, ev), None
    elif k < 0.62:
        m = several_questions(rng, words, ev)
    elif k < 0.68:
        return gen_tools.conversation(rng, words, ev, talk(rng))
    elif k < 0.86:
        q, ans = task(rng, words, ev)
        m = [user(q), bot(ans)]
    else:
        m = []
    n = rng.choice([0, 0, 0, 1, 1, 2]) if m else rng.choice([1, 1, 2, 3, 4])
    for _ in range(n):
        u = unit(rng, words, ev)
        m = u + m if rng.random() < 0.4 else m + u
    if rng.random() < 0.08:
        m = [user(spin(rng, ["Hi[!|]", "Hello[!|.|]", "Good morning!"])), bot(spin(rng, gen_talk.SMALLTALK[0][1]))] + m
    if rng.random() < 0.25:
        m = [{"role": "system", "content": pick(rng, ASSISTANT)}] + m
    return m, tools
