"""Conversations with tool calls: a few everyday tools and made-up ones.

The made-up tools (a verb, a noun and random parameters) are there so that the
model has to read the signature instead of knowing the tool by heart. This first
version contains only a modest amount of such data.
"""
import json

import lexicon as L
from gen_tasks import full_name, word
from spin import a, cap, join_and, pick, spin

ROOMS = ["kitchen", "bedroom", "living room", "hall", "garage", "bathroom", "office", "garden"]
WEATHER = ["sunny", "cloudy", "rainy", "windy", "foggy", "snowy", "clear"]


def _spec(name, text, params):
    return {"type": "function", "function": {"name": name, "description": text, "parameters": {
        "type": "object", "properties": {k: {"type": t, "description": d} for k, t, d in params}, "required": [p[0] for p in params]}}}


def _cases(rng, words, ev):
    """(tool, request, arguments, result, answer) of one everyday tool."""
    city, (f, s) = pick(rng, L.CITIES), full_name(rng, ev)
    n, w1, w2 = rng.randint(1, 60), word(rng, words, ev), word(rng, words, ev)
    x, y, op = rng.randint(2, 999), rng.randint(2, 99), pick(rng, "+-*")
    room, temp, sky = pick(rng, ROOMS), rng.randint(-5, 35), pick(rng, WEATHER)
    clock = f"{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}"
    value = x + y if op == "+" else x - y if op == "-" else x * y
    state = pick(rng, ["on", "off"])
    return pick(rng, [
        lambda: (_spec("get_weather", "Get the current weather in a city.", [("city", "string", "Name of the city")]),
                 spin(rng, ["What is the weather [like |]in {c}?", "[How is|How's] the weather in {c}[ today|]?", "Is it raining in {c}?", "weather {c}", "How warm is it in {c}?"], c=city), {"city": city},
                 {"city": city, "temperature": temp, "condition": sky}, f"It is {sky} in {city}, with {temp} degrees."),
        lambda: (_spec("get_time", "Get the local time in a city.", [("city", "string", "Name of the city")]), spin(rng, ["What time is it in {c}?", "Tell me the time in {c}.", "[Current|Local] time in {c}?"], c=city), {"city": city}, {"time": clock}, f"It is {clock} in {city}."),
        lambda: (_spec("calculator", "Work out an arithmetic expression.", [("expression", "string", "The expression")]), spin(rng, ["What is {x} {o} {y}?", "Calculate {x} {o} {y}.", "{x} {o} {y}"], x=x, o=op, y=y), {"expression": f"{x} {op} {y}"}, {"result": value}, f"{x} {op} {y} = {value}"),
        lambda: (_spec("set_timer", "Start a timer.", [("minutes", "integer", "Length in minutes")]), spin(rng, ["Set a timer for {n} minutes[.|, please.]", "[Start|Set] a {n} minute timer.", "Wake me in {n} minutes."], n=n), {"minutes": n}, {"status": "ok"}, f"The timer is set for {n} minutes."),
        lambda: (_spec("send_message", "Send a text message to a person.", [("to", "string", "Who gets it"), ("text", "string", "The message")]), f"Send {f} the message \"{w1} {w2}\".", {"to": f, "text": f"{w1} {w2}"}, {"status": "sent"}, f"I sent the message to {f}."),
        lambda: (_spec("switch_light", "Switch the light in a room on or off.", [("room", "string", "The room"), ("state", "string", "on or off")]), spin(rng, ["[Turn|Switch] {s} the light in the {r}.", "[Turn|Switch] the {r} light {s}[, please|]."], s=state, r=room), {"room": room, "state": state}, {"status": "ok"}, f"The light in the {room} is {state}."),
        lambda: (_spec("create_note", "Save a note.", [("text", "string", "Text of the note")]), spin(rng, ["[Write|Make|Save] a note: {t}", "Note that down: {t}"], t=f"{w1} {w2}"), {"text": f"{w1} {w2}"}, {"id": n}, "I saved the note."),
        lambda: (_spec("find_contact", "Look up the phone number of a person.", [("name", "string", "Name of the person")]), spin(rng, ["What is {f}'s phone number?", "Find the number of {f}.", "How can I call {f}?"], f=f"{f} {s}"), {"name": f"{f} {s}"}, {"phone": f"{x}-{y}{n}"}, f"The number of {f} {s} is {x}-{y}{n}."),
        lambda: (_spec("read_file", "Read a text file.", [("path", "string", "Path of the file")]), spin(rng, ["[Read|Open|Show] the file {p}.", "What is in {p}?"], p=f"{w1}.txt"), {"path": f"{w1}.txt"}, {"content": f"{w2} {room}"}, f"The file {w1}.txt contains: {w2} {room}"),
        lambda: (_spec("play_music", "Play a song.", [("title", "string", "Title of the song")]), f"Play {cap(w1)} {cap(w2)}.", {"title": f"{cap(w1)} {cap(w2)}"}, {"status": "playing"}, f"Now playing {cap(w1)} {cap(w2)}."),
    ])()


def _made_up(rng, words, ev):
    verb, noun = pick(rng, ["find", "get", "add", "remove", "check", "book", "order", "count", "update", "open"]), word(rng, words, ev)
    params = rng.sample([("name", "string", "A name", full_name(rng, ev)[0]), ("amount", "integer", "How many", rng.randint(1, 50)), ("color", "string", "The colour", pick(rng, L.COLORS)),
                         ("city", "string", "The city", pick(rng, L.CITIES)), ("day", "string", "Day of the week", pick(rng, L.DAYS)), ("item", "string", "The item", word(rng, words, ev))], rng.randint(1, 3))
    spec = _spec(f"{verb}_{noun}", f"{cap(verb)} {a(noun)}.", [p[:3] for p in params])
    asked = join_and(f"{k} {v}" for k, _, _, v in params)
    request = spin(rng, ["[Please |]{v} the {n} with {p}.", "Can you {v} {an} with {p}?", "{V} {an}: {p}."], v=verb, V=cap(verb), n=noun, an=a(noun), p=asked)
    code = rng.randint(10, 999)
    return spec, cap(request), {k: v for k, _, _, v in params}, {"status": "ok", "id": code}, f"Done. The id is {code}."


def conversation(rng, words, ev, small_talk):
    """(messages, tools)"""
    case = _cases(rng, words, ev) if rng.random() < 0.6 else _made_up(rng, words, ev)
    tools = [case[0]]
    while len(tools) < rng.choice([1, 2, 2, 3]):
        other = (_cases(rng, words, ev) if rng.random() < 0.6 else _made_up(rng, words, ev))[0]
        if all(other["function"]["name"] != t["function"]["name"] for t in tools):
            tools.append(other)
    rng.shuffle(tools)
    messages = []
    if rng.random() < 0.3:
        messages.append({"role": "system", "content": pick(rng, ["You are a helpful assistant.", "You are Hearth nano, a small local model."])})
    if rng.random() < 0.2:
        q, ans = small_talk
        messages += [{"role": "user", "content": q}, {"role": "assistant", "content": ans}]
        if rng.random() < 0.5:
            return messages, tools
    _, request, args, result, answer = case
    messages += [{"role": "user", "content": request}, {"role": "assistant", "content": "", "tool_calls": [{"name": case[0]["function"]["name"], "arguments": args}]},
                 {"role": "tool", "content": json.dumps(result)}, {"role": "assistant", "content": answer}]
    return messages, tools
