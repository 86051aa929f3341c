"""Short stories from plots with interchangeable parts.

Each plot is a list of sentence slots; a slot is a template with several wordings.
A story keeps one record of who is in it (name, kind, pronouns, place, thing), so
pronouns and names stay consistent, and the same record yields a one-sentence
summary and answers to questions about the story.
"""
import lexicon as L
from spin import a, cap, held_out, pick, spin

PEOPLE = "girl boy farmer baker sailor princess prince king queen knight wizard witch fisherman shepherd painter carpenter tailor pilot gardener inventor".split()
THINGS_ALIVE = [t for t in L.ITEMS if t not in ("drum",)] + L.CATEGORIES["bird"] + L.CATEGORIES["tree"] + L.CATEGORIES["vehicle"]
FANCY = "dragon giant fairy elf robot snowman ghost unicorn mermaid troll goblin scarecrow star cloud kite train teapot lighthouse".split()
PLACES = ["in a small village", "in a green valley", "in a big city", "in an old forest", "in a house by the sea", "on a quiet farm",
          "in a castle on a hill", "on a snowy mountain", "on a sunny island", "in a little town", "in a cottage near a river",
          "near a busy harbour", "in a garden full of flowers", "on a windy hill", "in a house at the edge of the woods",
          "in a narrow street", "in a warm desert", "in a mill beside a stream"]
SPOTS = ["under the bed", "behind the old barn", "in the tall grass", "near the well", "under a big oak tree", "by the river", "behind the door",
         "in the kitchen", "on top of the hill", "under the bridge", "next to the gate", "in the attic", "inside a hollow log", "at the market",
         "in the garden", "beside the pond", "on the beach", "under the stairs"]
FEARS = ["the dark", "thunder", "deep water", "high places", "loud noises", "the old forest", "strangers", "the big bridge", "flying", "being alone"]
SKILLS = ["swim", "sing", "fly a kite", "ride a bicycle", "bake bread", "read", "dance", "play the flute", "paint", "climb trees", "whistle", "skate", "cook soup", "juggle"]
TROUBLES = [("was stuck in the mud", "pulled and pulled until {o} came free"), ("had fallen into a hole", "let down a long rope"),
            ("was caught in a net", "bit and cut the net open"), ("had hurt a leg", "wrapped the leg in a soft cloth"),
            ("was lost and crying", "showed the way home"), ("was trapped under a branch", "lifted the heavy branch"),
            ("could not find any food", "shared a basket of bread and apples"), ("was cold and wet", "brought a warm blanket and hot soup")]
THEMES = {"friendship": "friend", "sharing": "share", "honesty": "honest", "courage": "fear", "bravery": "fear", "patience": "grow", "kindness": "help",
          "practice": "learn", "hard work": "learn", "a lost thing": "lost", "treasure": "treasure", "a race": "race", "a wish": "wish",
          "a storm": "storm", "an invention": "invent", "a birthday": "party", "a garden": "grow", "a mystery": "mystery", "a gift": "gift", "a discovery": "discovery", "a secret": "discovery", "the sea": "voyage"}

OPEN = ["[Once upon a time|Long ago|One day|Once|Many years ago], there was {ak} [named|called] {n}[ who lived {place}|].[ {n} lived {place}.|]",
        "{n} was {ak} who lived {place}.", "There lived {place} {ak} [named|called] {n}.",
        "There was once {ak} whose name was {n}. {S} lived {place}."]
TRAITS = ["{S} was [very |always |]{adj}[ and {adj2}|], [and everyone knew {o}|and {s} [loved|liked] to [explore|play|sing|help others|look at the stars]].",
          "Everyone said that {n} was [the most {adj} {k} in the [land|world|area]|very {adj}].",
          "{S} was {adj}, but [sometimes|often] {s} was a little {flaw}.",
          "[Every morning|Every day|Each day] {s} [walked to the {walk}|sat by the window and [dreamed|thought]|went out to [look at the sky|play]|watched the [birds|clouds|boats]].", ""]
MOOD = ["[It was a|The day was] [bright|sunny|cold|warm|grey|windy|quiet] [morning|day]|The sun was shining[ and the birds were singing|]|The wind was [soft|cold|strong]|Snow was falling|It had rained all night"]
END = ["From that day on, {n} [always remembered [that day|what had happened]|and {h} were [good|the best of] friends|smiled more often].",
       "And [they|{n} and {h}] [lived happily ever after|were happy|laughed all the way home].",
       "That night {n} [slept well|went to bed with a smile|looked at the stars and felt happy].",
       "{S} [went home|walked home] [happy and tired|with a smile on {p} face|as the sun went down].", "It was the best day of {p} life."]

PLOTS = {
    "lost": (["One [morning|day|evening], {n} [could not find|lost] {p} [favourite|special|] {thing}.", "[\"Where is my {thing}?\" {s} [cried|asked|said].|\"Oh no!\" said {n}. \"My {thing} is gone!\"]",
              "{S} looked {spot}, but it was not there. {S} looked {spot2}, but [it was not there either|found only [dust|leaves|an old sock]].",
              "[Then|After a while,] {s} met {ah} [named|called] {h}. \"[What is wrong|Why are you so sad]?\" asked {h}.",
              "\"I have lost my {thing},\" said {n}. \"[Will|Can] you help me?\" \"Of course,\" said {h}.",
              "They looked [everywhere|together for a long time]. At last {h} [saw something [shiny|small]|looked] {spot3}. [There was|It was] the {thing}!",
              "\"Thank you, {h}!\" said {n}[, and gave {ho} a [big|warm] hug|]."],
             "{n} the {k} loses {p} {thing} and finds it with the help of {h}.", "Friends make every search easier."),
    "friend": (["But {n} was [lonely|sad], because {s} had no [friends|one to play with].", "One day {s} [saw|met] {ah} sitting {spot}. [The {hk} looked [sad|shy|lonely] too.|]",
                "\"Hello,\" said {n}. \"[My name is|I am] {n}. What is your name?\"", "\"I am {h},\" said the {hk}[ in a small voice|]. \"[Do you want to play|Would you like to play with me]?\"",
                "[They played all [day|afternoon] with {athing}.|They [ran and jumped|told stories|built a little house of sticks] until the sun [went down|set].]",
                "[When it was time to go home, {h} said|\"Will you come back tomorrow?\" asked {h}. {n} nodded and said], \"[Now I have a friend|I am so glad that we met].\""],
               "{n} the {k} is lonely until {s} meets {h}, and they become friends.", "A kind word can start a friendship."),
    "help": (["[{mood}. |]As {n} was [walking|going] along the road, {s} heard a [small|weak|sad] voice.", "\"Help! Please help me!\" [said the voice|someone cried].",
              "It was {ah} [named|called] {h}, who {trouble}.", "\"Do not [worry|be afraid],\" said {n}. \"I will help you.\"", "{n} {solve2}.",
              "[\"You are very kind,\" said {h}. \"How can I thank you?\"|{h} was so happy that {hs} [began to cry|danced].]",
              "\"[You do not need to thank me|It was nothing],\" said {n}. \"[Maybe one day you will help someone too|That is what friends do].\"",
              "[A week later|Some days later], {n} [was in trouble|got lost in the fog], and it was {h} who came to help.|"],
             "{n} the {k} helps {h}, who {trouble}.", "Kindness always comes back."),
    "learn": (["More than anything, {n} wanted to learn to {skill}.", "The first time {s} tried, [it went wrong|{s} failed] and [everybody laughed|{s} felt [bad|sad]].",
               "\"I will never [be able to {skill}|learn it],\" {s} said[ sadly|].", "[But|Then] an old {hk} called {h} said, \"[Do not give up|Try again]. [Nobody learns everything in one day|Every day you get a little better].\"",
               "So {n} practised [every day|each morning|before breakfast and after dinner]. [Some days were hard, but {s} did not stop.|It was hard, but slowly it became easier.]",
               "[After many weeks|At last|One spring day], {s} [tried once more|took a deep breath and tried again]. This time {s} could {skill}!",
               "[Everyone clapped and cheered.|\"I did it!\" {s} shouted. \"I can {skill}!\"]"],
              "{n} the {k} wants to learn to {skill} and succeeds after much practice.", "If you keep trying, you will get better."),
    "share": (["One day {n} found [a big basket of|a tree full of|a cart full of] {fruit}.", "\"[These are all mine|I will keep them all],\" {s} said, and hid the {fruit} {spot}.",
               "Soon {h}, {ah}, came by. \"I am so hungry,\" said {h}. \"Do you have [anything|something] to eat?\"", "\"No,\" said {n}. [But {s} felt bad inside.|But {s} could not stop thinking about {h}.]",
               "That night {n} ate and ate until {p} tummy hurt, and [half of|many of] the {fruit} went bad.", "The next morning {s} [ran to|went to find] {h}. \"I am sorry,\" {s} said. \"I was greedy. Please take some {fruit}.\"",
               "They [sat down and ate together|shared the {fruit}], and [everything tasted better|the {fruit} tasted sweeter than before]."],
              "{n} the {k} first keeps all the {fruit}, but then shares them with {h}.", "Things taste better when you share them."),
    "fear": (["{n} had a secret: {s} was afraid of {fear}.", "[When the others [played|went out], {n} stayed at home.|{S} never told anyone.]",
              "One [evening|night|day], {p} friend {h}, {ah}, [did not come home|was in danger|called for help]. To reach {ho}, {n} had to face {fear}.",
              "{P} [heart beat fast|legs shook]. \"I am scared,\" {s} [thought|said], \"but {h} needs me.\"", "{S} took a deep breath and [went step by step|counted to ten and began to walk|went on].",
              "[At last {s} found {h} {spot}.|There was {h}, waiting {spot}.] \"You came!\" said {h}. \"[How brave you are|I knew that you would come]!\"",
              "\"I was afraid,\" said {n}, \"but [I came anyway|you are more important than my fear].\""],
             "{n} the {k} is afraid of {fear} but faces it to help {h}.", "Being brave means doing the right thing even when you are afraid."),
    "treasure": (["One day {n} found an old map {spot}. [There was a red cross on it.|It showed a path and a big red cross.]", "\"[A treasure|Treasure]!\" {s} [whispered|cried], and ran to tell {h}, {p} friend.",
                  "They packed [bread and cheese|a lamp and some water|a rope and two apples] and followed the map over the [hills|bridge] and through the [forest|valley].",
                  "[On the way they crossed a cold river and climbed a tall rock.|It was a long way, and [soon|sometimes] they were tired.] \"We must be close now,\" said {h}.",
                  "At last they came to the place and began to dig. [Clunk!|Soon they hit something hard.] It was [a wooden chest|an old box].",
                  "[Inside there was no gold. There was only {athing} and a letter.|They opened it slowly. Inside was {athing} and a note.] It said: \"The real treasure is [the friend who came with you|the road you walked together].\"",
                  "{n} looked at {h}, and they both [laughed|smiled]."],
                 "{n} the {k} and {h} follow an old map and learn what the real treasure is.", "Friends are the best treasure."),
    "race": (["One day there was [a big|a great] race in the [village|town|valley].", "{h}, {ah}, [laughed at|looked at] {n} and said, \"You are too [slow|small]. You will never win!\"",
              "\"[Maybe|We will see],\" said {n}. \"But I will do my best.\"", "[One, two, three, go!|The race began.] {h} ran [very fast|far ahead] and [soon stopped for a nap|looked back and laughed].",
              "{n} [did not stop|kept going], step by step. [Halfway, {s} saw {h} lying {spot} with a sore foot.|Then {s} saw that {h} had fallen {spot}.]",
              "{n} could have won, but {s} stopped and helped {h} up. \"Come,\" {s} said, \"we will finish together.\"", "[They crossed the line side by side, and everyone cheered.|Together they came in last, but nobody had ever heard such loud cheering.]"],
             "{n} the {k} gives up winning a race in order to help {h}.", "Being kind is better than winning."),
    "honest": (["One [afternoon|morning], {n} was playing [inside|in the house] and broke {h}'s [favourite|beautiful|old] {thing}.", "{n} was [afraid|scared], so {s} hid the pieces {spot}.",
                "When {h}, {ah}, came home, {hs} asked, \"Have you seen my {thing}?\" \"No,\" said {n}[ quietly|].", "But [that night {n} could not sleep|the lie felt like a heavy stone].",
                "[In the morning|The next day] {s} brought the pieces to {h}. \"I broke it,\" {s} said. \"I am sorry[ that I lied|].\"",
                "{h} was [quiet|silent] for a moment. Then {hs} said, \"[I am sad about it, but I am glad that you told me the truth|A {thing} can be mended. Thank you for being honest].\"",
                "Together they [glued the pieces|mended the {thing}|made a new {thing}]."],
               "{n} the {k} breaks {h}'s {thing}, hides it, and then tells the truth.", "It is always better to tell the truth."),
    "grow": (["One spring day, {h}, {ah}, gave {n} a [tiny|small] seed. \"[Plant it and wait|Take good care of it],\" said {h}.", "{n} put the seed in the ground {spot} and gave it water.",
              "The next day nothing had happened. \"[Why is it so slow|When will it grow]?\" asked {n}.", "\"[Be patient|Good things take time],\" said {h}.",
              "So {n} waited. [Rain came and sun came.|A week went by, and then another.] Every day {s} watered it[ and sang to it|].",
              "[Then, one morning, there was|One day {s} saw] a small green leaf! [It grew and grew.|By summer it was taller than {n}.]", "[At last it had a big [yellow|red|blue] flower.|In autumn it was full of sweet {fruit}.] {n} was very [proud|happy]."],
             "{n} the {k} plants a seed and learns to wait.", "Good things take time."),
    "wish": (["One night {n} [saw a falling star|helped a tiny fairy|found an old lamp]. \"You may have one wish,\" said a [soft|strange] voice.", "\"I wish that everything I touch would turn into {fruit}!\" said {n}[ without thinking|].",
              "[At first it was fun.|At first {n} was happy.] The {thing} turned into {fruit}. The table turned into {fruit}. [Even {p} bed did!|]", "But then {h}, {p} friend, [came to visit|ran to hug {o}]. \"[Stop! Do not touch me|Wait, stay there]!\" cried {n}.",
              "\"[This is a terrible wish|I was silly],\" said {n}[, and began to cry|]. \"I do not want any more {fruit}. I want my friend.\"", "The voice [laughed kindly|spoke again] and said, \"[You have learned something today|Now you know what matters].\" And everything was as before.",
              "{n} [hugged {h}|ran to {h}] and [never wished for such a thing again|laughed with joy]."],
             "{n} the {k} gets a wish that goes wrong and learns what matters.", "Be careful what you wish for."),
    "storm": (["One [evening|afternoon] {n} went for a walk, and a [big|terrible|sudden] storm came up. [The wind blew and the rain fell.|Thunder rolled and the sky turned black.]", "{n} [could not see the path|lost {p} way]. \"Where is my home?\" {s} cried.",
               "Far away {s} saw a [small|tiny] light. {S} walked towards it[, step by step|].", "It was the house of {h}, {ah}. \"Come in, come in!\" said {h}. \"You are all wet.\"",
               "{h} gave {o} [hot soup|warm milk] and a [dry coat|blanket], and they sat by the fire and [told stories|sang songs].", "In the morning the storm was over. [The sun came out and the grass was shining.|A rainbow stood over the hills.]",
               "\"Thank you,\" said {n}. \"[I will never forget your kindness|Your light saved me].\""],
              "{n} the {k} gets lost in a storm and finds shelter with {h}.", "A small light can help someone a great deal."),
    "invent": (["In that place there was a problem: [the well was far away, and carrying water was hard work|it was dark at night, and people fell over stones|the birds ate all the seeds].", "\"[There must be a better way|I have an idea],\" said {n}.",
                "{S} took {athing}, [two wheels|some wood] and [a long rope|a piece of wire] and began to build.", "\"It will never work,\" said {h}, {ah}. [And the first time, it did not. It fell apart with a loud bang.|And {h} was right: the first machine broke in two.]",
                "{n} [thought about it all night|drew a new plan] and built it again. [The second one was better, and the third one worked!|This time {h} helped, and together they made it strong.]",
                "Everyone came to look. \"[How clever|Hooray]!\" they [shouted|said]. \"Now our life will be easier.\""],
               "{n} the {k} builds a machine that solves a problem for everyone.", "Mistakes are steps on the way to a good idea."),
    "party": (["It was {n}'s birthday, but [nobody said anything|it seemed that everyone had forgotten].", "{S} went to see {h}, {ah}, but {h} said, \"I am [busy|sorry, I have no time] today.\"", "[{S} walked around alone and sat down {spot}.|{n} felt very sad.] \"Nobody remembers me,\" {s} thought.",
               "In the evening {s} went home. [The house was dark.|There was no light in the window.] {S} opened the door and ...", "\"Surprise!\" Everyone was there! There was a [big|chocolate] cake, and {h} was holding {athing} with a ribbon on it.",
               "\"[We did not forget you|We have planned it all week],\" said {h}. \"Happy birthday, {n}!\""],
              "{n} the {k} thinks that everyone forgot {p} birthday, but there is a surprise party.", "The people who love you do not forget you."),
    "mystery": (["One [morning|night] something strange happened: [every|each] {thing} in the [village|town|house] was gone.", "\"Who took them?\" everyone asked. {n} [wanted to find out|decided to solve the mystery].",
                 "{S} looked for clues. {spotC} {s} found [small footprints|a long feather|a trail of crumbs].", "{n} followed [them|the trail] to [a dark cave|an old tower|a little hut]. There sat {h}, {ah}, with a great pile of them.",
                 "\"[Why did you take them|What are you doing with all these]?\" asked {n}. {h} looked [down|ashamed]. \"[I was lonely|I wanted someone to visit me],\" {hs} said.",
                 "{n} [thought for a moment|smiled]. \"Give them back, and come to [dinner with us|the village],\" {s} said. \"[Then you will not be lonely|Then you will have friends].\"", "So {h} gave everything back, and nobody was angry any more."],
                "{n} the {k} finds out who took every {thing}: it was {h}, who was lonely.", "Sometimes a bad deed hides a sad heart."),
    "discovery": (["One [day|morning|evening], {n} [found|discovered|saw] a {color} {thing} {spot}. {S} had never seen [it|such a {thing}] before.", "\"[What is this|Where does it come from]?\" {s} [wondered|whispered]. {S} [touched it gently|looked at it from all sides].",
                   "[Suddenly|At once] the {color} {thing} began to [glow|hum|shake|sing]. \"[Do not be afraid|Hello, {n}],\" it said. \"I have waited for you.\"", "{n} ran to fetch {h}, {ah}. \"[Come quickly|You must see this]!\" {s} called.",
                   "Together they [followed|carried] the {color} {thing} [to the river|up the hill|through the gate], and there they saw [a garden that nobody knew|a hidden path full of flowers|a thousand little lights].",
                   "\"[It was here all the time|How beautiful],\" said {h}. \"We only had to look.\"", "{n} [promised to keep the secret|came back every day] and took good care of the {color} {thing}."],
                  "{n} the {k} finds a {color} {thing}, and it leads {o} and {h} to a hidden place.", "There are wonders everywhere if you look."),
    "gift": (["{h}, {ah}, was [sad|ill|lonely], and {n} wanted to [cheer {ho} up|give {ho} something].", "But {n} had no money. {S} had only [an old|a little] {thing}.", "\"[It is not much|It is all I have],\" {s} thought. {S} [cleaned it|painted it {color}] and [wrapped it in paper|tied a ribbon around it].",
              "On the way it [began to rain|grew dark], and {n} [held the {thing} under {p} coat|had to run].", "\"This is for you,\" said {n}. {h} opened it slowly, and {p2} face [lit up|began to shine].",
              "\"[Nobody has ever given me a {thing}|It is the best gift in the world],\" said {h}, \"because [you made it for me|it comes from you].\""],
             "{n} the {k} gives {h} {athing}, and it makes {ho} happy.", "A gift from the heart is worth more than gold."),
    "voyage": (["{n} had always wanted to see [the sea|what was on the other side of the water].", "So {s} built a small boat and painted it {color}. {h}, {ah}, wanted to come too.", "They sailed for [three|five|seven] days. [They saw fish that could fly and a whale as big as a house.|At night the stars were like lamps above them.]",
                "Then the wind stopped, and the boat did not move. \"What shall we do?\" asked {h}.", "\"[We can row|We must work together],\" said {n}. [They rowed all night, singing to keep awake.|They took turns until their arms hurt.]",
                "In the morning they saw land. It was a [green|small] island with [tall trees full of {fruit}|white sand and friendly people].", "[They stayed for a week and then sailed home with many stories to tell.|\"It was worth it,\" said {n}, and {h} agreed.]"],
               "{n} the {k} and {h} sail to an island in a small {color} boat.", "Together you can go very far."),
}


def record(rng, kind=None, name=None, thing=None, evaluation=False):
    """Who and what is in a story. Kinds and things that are held out appear in evaluation only."""
    pool = pick(rng, (PEOPLE, L.JOBS, list(L.ANIMALS), list(L.ANIMALS), FANCY, THINGS_ALIVE))
    while kind is None:
        k = pick(rng, pool)
        if held_out("story " + k, 15) == evaluation:
            kind = k
    girl = rng.random() < 0.5
    if kind in ("girl", "princess", "queen", "witch", "mermaid"):
        girl = True
    elif kind in ("boy", "prince", "king", "wizard", "knight", "fisherman", "giant"):
        girl = False
    name = name or pick(rng, L.GIRLS if girl else L.BOYS)
    if name in L.BOYS:
        girl = False
    hgirl = rng.random() < 0.5
    h = name
    while h == name:
        h = pick(rng, L.GIRLS if hgirl else L.BOYS)
    hk = pick(rng, pick(rng, (list(L.ANIMALS), ["girl", "boy", "woman", "man", "farmer", "baker", "teacher"])))
    if hk in ("girl", "woman"):
        h, hgirl = (h, True) if hgirl else (pick(rng, [x for x in L.GIRLS if x != name]), True)
    elif hk in ("boy", "man"):
        h, hgirl = (h, False) if not hgirl else (pick(rng, [x for x in L.BOYS if x != name]), False)
    hadj = pick(rng, ["", "", "old ", "little ", "young ", "small ", "grey "])
    spots = rng.sample(SPOTS, 3)
    thing = thing or pick(rng, L.ITEMS)
    kadj = pick(rng, ["", "", "little ", "young ", "small "]) if kind not in ("giant",) else ""
    trouble, solve = pick(rng, TROUBLES)
    s, o, p = ("she", "her", "her") if girl else ("he", "him", "his")
    ho, hs = ("her", "she") if hgirl else ("him", "he")
    return {
        "n": name, "k": kind, "ak": a(kadj + kind), "s": s, "o": o, "p": p, "S": cap(s), "P": cap(p), "h": h, "hk": hk, "ah": a(hadj + hk),
        "ho": ho, "hs": hs, "p2": "her" if hgirl else "his", "place": pick(rng, PLACES), "spot": spots[0], "spot2": spots[1], "spot3": spots[2], "spotC": cap(spots[2]) + ",",
        "thing": thing, "athing": a(thing), "adj": pick(rng, L.ADJ_NICE), "adj2": pick(rng, L.ADJ_NICE), "flaw": pick(rng, L.ADJ_FLAW),
        "walk": pick(rng, ["river", "hill", "market", "forest", "beach", "old bridge"]), "trouble": trouble, "solve2": solve.format(o=ho),
        "skill": pick(rng, SKILLS), "fear": pick(rng, FEARS), "fruit": pick(rng, L.FRUIT), "color": pick(rng, L.COLORS), "mood": "",
    }


def story(rng, plot=None, length=None, r=None):
    """(text, record, plot name, moral). length: None, 'short' or 'long'."""
    plot = plot or pick(rng, list(PLOTS))
    r = r or record(rng)
    slots, _, moral = PLOTS[plot]
    if r["adj2"] == r["adj"]:
        r["adj2"] = "kind" if r["adj"] != "kind" else "clever"
    r["mood"] = spin(rng, MOOD[0].join(["[", "]"]))
    opening = spin(rng, OPEN, r)
    parts = [opening]
    if length != "short":
        parts.append(spin(rng, TRAITS, r))
    middle = [spin(rng, s, r) for s in slots]
    if length == "short" and len(middle) > 5:
        drop = rng.randrange(2, len(middle) - 2)
        del middle[drop]
    end = [spin(rng, END, r)] if length != "short" or rng.random() < 0.4 else []
    if rng.random() < 0.3:
        end.append(spin(rng, "[The moral of the story is: |And the lesson is simple: |]", r) + moral)
    if length == "long" or (length is None and rng.random() < 0.5):
        half = len(middle) // 2
        paras = [" ".join(p for p in parts if p) + " " + middle[0], " ".join(middle[1:half + 1]), " ".join(middle[half + 1:]), " ".join(end)]
        text = "\n\n".join(p.strip() for p in paras if p.strip())
    else:
        text = " ".join(p for p in parts + middle + end if p)
    return text, r, plot, moral


ASK = ["[Tell|Write|Give] me a [short |little |nice |]story about {subject}[.|, please.|]", "[Can|Could|Will] you [tell|write] [me |]a [short |]story about {subject}?",
       "[I want|I would like] a story about {subject}[.|]", "[Please |]write [a|a short|a small] story about {subject}[.|]", "story about {subject}",
       "[Make up|Invent] a story about {subject}[.|]", "Do you know a story about {subject}?", "[A|One] [bedtime |]story about {subject}, please[.|]",
       "Write a [short |]tale about {subject}[.|]"]


def ask_story(rng, evaluation=False):
    """(request, reply, record, plot) for a story on a named subject."""
    r = record(rng, evaluation=evaluation)
    plot = pick(rng, list(PLOTS))
    form = rng.random()
    if form < 0.25:
        subject = pick(rng, [a(r["k"]), "a " + r["adj"] + " " + r["k"] if r["adj"][0] not in "aeiouh" else a(r["adj"] + " " + r["k"])])
    elif form < 0.45:
        subject = a(r["k"]) + pick(rng, [" named ", " called "]) + r["n"]
    elif form < 0.6:
        plot = pick(rng, ["lost", "treasure", "invent", "honest", "mystery", "party", "discovery", "gift"])
        subject = a(r["k"]) + " and " + a(r["thing"])
    elif form < 0.75:
        theme = pick(rng, list(THEMES))
        plot, subject = THEMES[theme], theme
        if rng.random() < 0.5:
            subject = a(r["k"]) + " and " + theme if rng.random() < 0.5 else theme + " with " + a(r["k"])
    elif form < 0.85:
        plot, subject = "learn", a(r["k"]) + " who " + pick(rng, ["wants", "learns"]) + " to " + r["skill"]
    elif form < 0.92:
        plot, subject = "fear", a(r["k"]) + " who is afraid of " + r["fear"]
    elif form < 0.97:
        plot, subject = "discovery", a(r["k"]) + pick(rng, [" who finds", " who discovers", " and"]) + " a " + r["color"] + " " + r["thing"] + pick(rng, ["", " " + r["spot"]])
    else:
        subject = r["n"] + " and " + r["h"]
    length = pick(rng, [None, "short", "long"])
    text, r, plot, _ = story(rng, plot, length, r)
    ask = spin(rng, ASK, subject=subject)
    if length == "long" and rng.random() < 0.2 and "short" not in ask and "story" in ask:
        ask = ask.replace("story", "long story", 1).replace("a little long", "a long").replace("nice long", "long")
    return ask, text, r, plot


def summary(r, plot):
    return PLOTS[plot][1].format_map(r)


def follow_ups(rng, r, plot, moral):
    """Question and answer pairs about a story that was just told."""
    qa = [
        ("[Who is the story about|Who is the main character|What is the main character called]?", "[The story is about {n}, {ak}.|The main character is {n}, {ak}.|It is about {n}.]"),
        ("[Where did {n} live|Where does {n} live|Where does the story take place]?", "[{n} lived {place}.|{S} lived {place}.]"),
        ("[Who is {h}|Who was {h}]?", "{h} [is|was] {ah} in the story."),
        ("[What is the moral|What is the lesson|What can we learn from it|What is the moral of the story]?", "[The moral is: |]" + moral),
        ("[Can you sum it up|Summarise the story|Give me a summary|Say it in one sentence|What happens in the story]?", PLOTS[plot][1]),
        ("[What kind of animal or person is {n}|What is {n}]?", "{n} is {ak}."),
    ]
    rng.shuffle(qa)
    return [(spin(rng, q, r), cap(spin(rng, ans, r))) for q, ans in qa[: rng.randrange(1, 3)]]
