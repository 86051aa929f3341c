"""Questions with known answers: fact tables and the answer styles.

A question is (user wording, short answer, full sentence). The short answer serves
"answer in one word" prompts; both come from the same table, so they agree.
"""
import lexicon as L
from gen_talk import EXPLAIN
from spin import a, cap, pick, spin

# country | capital | continent | language | people
COUNTRIES = [tuple(x.strip() for x in row.split("|")) for row in """France|Paris|Europe|French
Spain|Madrid|Europe|Spanish
Portugal|Lisbon|Europe|Portuguese
Italy|Rome|Europe|Italian
Germany|Berlin|Europe|German
Austria|Vienna|Europe|German
Switzerland|Bern|Europe|German, French and Italian
Belgium|Brussels|Europe|Dutch and French
the Netherlands|Amsterdam|Europe|Dutch
Denmark|Copenhagen|Europe|Danish
Norway|Oslo|Europe|Norwegian
Sweden|Stockholm|Europe|Swedish
Finland|Helsinki|Europe|Finnish and Swedish
Iceland|Reykjavik|Europe|Icelandic
Ireland|Dublin|Europe|English and Irish
the United Kingdom|London|Europe|English
England|London|Europe|English
Scotland|Edinburgh|Europe|English and Scots
Wales|Cardiff|Europe|English and Welsh
Poland|Warsaw|Europe|Polish
the Czech Republic|Prague|Europe|Czech
Slovakia|Bratislava|Europe|Slovak
Hungary|Budapest|Europe|Hungarian
Romania|Bucharest|Europe|Romanian
Bulgaria|Sofia|Europe|Bulgarian
Greece|Athens|Europe|Greek
Croatia|Zagreb|Europe|Croatian
Serbia|Belgrade|Europe|Serbian
Slovenia|Ljubljana|Europe|Slovene
Ukraine|Kyiv|Europe|Ukrainian
Russia|Moscow|Europe and Asia|Russian
Estonia|Tallinn|Europe|Estonian
Latvia|Riga|Europe|Latvian
Lithuania|Vilnius|Europe|Lithuanian
Turkey|Ankara|Asia and Europe|Turkish
Israel|Jerusalem|Asia|Hebrew
Egypt|Cairo|Africa|Arabic
Morocco|Rabat|Africa|Arabic and Berber
Algeria|Algiers|Africa|Arabic and Berber
Tunisia|Tunis|Africa|Arabic
Libya|Tripoli|Africa|Arabic
Ethiopia|Addis Ababa|Africa|Amharic
Kenya|Nairobi|Africa|Swahili and English
Tanzania|Dodoma|Africa|Swahili and English
Uganda|Kampala|Africa|English and Swahili
Ghana|Accra|Africa|English
Nigeria|Abuja|Africa|English
Senegal|Dakar|Africa|French
Mali|Bamako|Africa|French and Bambara
Madagascar|Antananarivo|Africa|Malagasy and French
Zambia|Lusaka|Africa|English
Zimbabwe|Harare|Africa|English and Shona
Angola|Luanda|Africa|Portuguese
Namibia|Windhoek|Africa|English
Saudi Arabia|Riyadh|Asia|Arabic
Iraq|Baghdad|Asia|Arabic and Kurdish
Iran|Tehran|Asia|Persian
Jordan|Amman|Asia|Arabic
Lebanon|Beirut|Asia|Arabic
Syria|Damascus|Asia|Arabic
Afghanistan|Kabul|Asia|Dari and Pashto
Pakistan|Islamabad|Asia|Urdu and English
India|New Delhi|Asia|Hindi and English
Nepal|Kathmandu|Asia|Nepali
Bangladesh|Dhaka|Asia|Bengali
China|Beijing|Asia|Chinese
Japan|Tokyo|Asia|Japanese
South Korea|Seoul|Asia|Korean
North Korea|Pyongyang|Asia|Korean
Mongolia|Ulaanbaatar|Asia|Mongolian
Thailand|Bangkok|Asia|Thai
Vietnam|Hanoi|Asia|Vietnamese
Cambodia|Phnom Penh|Asia|Khmer
Indonesia|Jakarta|Asia|Indonesian
Malaysia|Kuala Lumpur|Asia|Malay
the Philippines|Manila|Asia|Filipino and English
Australia|Canberra|Oceania|English
New Zealand|Wellington|Oceania|English and Maori
Fiji|Suva|Oceania|English and Fijian
Canada|Ottawa|North America|English and French
the United States|Washington, D.C.|North America|English
Mexico|Mexico City|North America|Spanish
Cuba|Havana|North America|Spanish
Jamaica|Kingston|North America|English
Guatemala|Guatemala City|North America|Spanish
Panama|Panama City|North America|Spanish
Costa Rica|San Jose|North America|Spanish
Colombia|Bogota|South America|Spanish
Venezuela|Caracas|South America|Spanish
Ecuador|Quito|South America|Spanish
Peru|Lima|South America|Spanish
Brazil|Brasilia|South America|Portuguese
Argentina|Buenos Aires|South America|Spanish
Chile|Santiago|South America|Spanish
Uruguay|Montevideo|South America|Spanish
Paraguay|Asuncion|South America|Spanish and Guarani""".split("\n")]

# (question, short answer, full answer)
GENERAL = [tuple(x.strip() for x in row.split(" # ")) for row in """How many days are [in a week|there in a week]? # Seven # There are seven days in a week.
How many months are [in a year|there in a year]? # Twelve # There are twelve months in a year.
How many days are [in a year|there in a year]? # 365 # There are 365 days in a year, and 366 in a leap year.
How many hours are [in a day|there in a day]? # 24 # There are 24 hours in a day.
How many minutes are [in an hour|there in an hour]? # 60 # There are 60 minutes in an hour.
How many seconds are [in a minute|there in a minute]? # 60 # There are 60 seconds in a minute.
How many weeks are [in a year|there in a year]? # 52 # There are 52 weeks in a year.
How many years are in a [century|hundred years]? # 100 # There are 100 years in a century.
How many years are in a decade? # Ten # There are ten years in a decade.
How many letters are in the [English |]alphabet? # 26 # There are 26 letters in the English alphabet.
How many continents are there? # Seven # There are seven continents.
How many planets are [there in our solar system|in the solar system]? # Eight # There are eight planets in our solar system.
How many centimetres are in a metre? # 100 # There are 100 centimetres in a metre.
How many metres are in a kilometre? # 1000 # There are 1000 metres in a kilometre.
How many grams are in a kilogram? # 1000 # There are 1000 grams in a kilogram.
How many colours are in a rainbow? # Seven # A rainbow has seven colours: red, orange, yellow, green, blue, indigo and violet.
How many fingers [are on one hand|does a hand have]? # Five # A hand has five fingers.
How many bones does an adult [human |]have? # 206 # An adult human has 206 bones.
How many players are in a football team? # Eleven # A football team has eleven players.
How many strings does a [guitar|normal guitar] have? # Six # A guitar has six strings.
How many strings does a violin have? # Four # A violin has four strings.
How many sides does a [triangle|triangle have in total] have? # Three # A triangle has three sides.
How many sides does a square have? # Four # A square has four sides.
How many sides does a hexagon have? # Six # A hexagon has six sides.
How many sides does a pentagon have? # Five # A pentagon has five sides.
How many sides does an octagon have? # Eight # An octagon has eight sides.
How many wheels does a bicycle have? # Two # A bicycle has two wheels.
How many wheels does a car have? # Four # A car has four wheels.
[What|Which] is the largest ocean? # Pacific # The Pacific Ocean is the largest ocean.
[What|Which] is the largest planet? # Jupiter # Jupiter is the largest planet in our solar system.
[What|Which] is the smallest planet? # Mercury # Mercury is the smallest planet in our solar system.
Which planet is [closest|nearest] to the Sun? # Mercury # Mercury is the planet closest to the Sun.
Which planet is [called |known as |]the red planet? # Mars # Mars is called the red planet.
Which planet [has rings|is famous for its rings]? # Saturn # Saturn is famous for its rings.
[What|Which] planet do we live on? # Earth # We live on the planet Earth.
[What|Which] is the largest [animal|animal in the world]? # Whale # The blue whale is the largest animal in the world.
[What|Which] is the tallest animal? # Giraffe # The giraffe is the tallest animal.
[What|Which] is the fastest land animal? # Cheetah # The cheetah is the fastest land animal.
[What|Which] is the largest land animal? # Elephant # The elephant is the largest land animal.
[What|Which] is the highest mountain [in the world|on Earth]? # Everest # Mount Everest is the highest mountain in the world.
[What|Which] is the largest continent? # Asia # Asia is the largest continent.
[What|Which] is the smallest continent? # Australia # Australia is the smallest continent.
[What|Which] is the largest country[ in the world|]? # Russia # Russia is the largest country in the world.
[What|Which] is the smallest country[ in the world|]? # Vatican City # Vatican City is the smallest country in the world.
[What|Which] is the largest desert? # Antarctica # Antarctica is the largest desert; the Sahara is the largest hot desert.
[What|Which] is the longest river in Africa? # Nile # The Nile is the longest river in Africa.
[What|Which] is the longest river in South America? # Amazon # The Amazon is the longest river in South America.
[What|Which] is the coldest continent? # Antarctica # Antarctica is the coldest continent.
[What|Which] is the [hardest|hardest natural] material? # Diamond # Diamond is the hardest natural material.
[What|Which] is the [biggest|largest] organ of the [human |]body? # Skin # The skin is the largest organ of the human body.
What is the chemical symbol [for|of] gold? # Au # The chemical symbol for gold is Au.
What is the chemical symbol [for|of] silver? # Ag # The chemical symbol for silver is Ag.
What is the chemical symbol [for|of] iron? # Fe # The chemical symbol for iron is Fe.
What is the chemical symbol [for|of] oxygen? # O # The chemical symbol for oxygen is O.
What is the chemical symbol [for|of] hydrogen? # H # The chemical symbol for hydrogen is H.
What is the chemical symbol [for|of] carbon? # C # The chemical symbol for carbon is C.
What is the [chemical |]formula [of|for] water? # H2O # The formula of water is H2O.
What is water made of? # Hydrogen and oxygen # Water is made of hydrogen and oxygen.
At what temperature does water boil? # 100 degrees Celsius # Water boils at 100 degrees Celsius.
At what temperature does water freeze? # 0 degrees Celsius # Water freezes at 0 degrees Celsius.
What do [we|people] breathe[ in|]? # Oxygen # We breathe air and need the oxygen in it.
What gas do plants take in? # Carbon dioxide # Plants take in carbon dioxide.
What do bees make? # Honey # Bees make honey from nectar.
What do cows give us? # Milk # Cows give us milk.
What do hens lay? # Eggs # Hens lay eggs.
What do we get from sheep? # Wool # We get wool from sheep.
What is bread made [of|from]? # Flour # Bread is made from flour, water, salt and yeast.
What is cheese made [of|from]? # Milk # Cheese is made from milk.
What is paper made [of|from]? # Wood # Paper is made from wood.
What is glass made [of|from]? # Sand # Glass is made from sand.
What is butter made [of|from]? # Milk # Butter is made from the cream of milk.
What is wine made [of|from]? # Grapes # Wine is made from grapes.
What is ice? # Frozen water # Ice is frozen water.
What is the opposite of north? # South # The opposite of north is south.
Who wrote Romeo and Juliet? # Shakespeare # William Shakespeare wrote Romeo and Juliet.
Who wrote Hamlet? # Shakespeare # William Shakespeare wrote Hamlet.
Who wrote Alice in Wonderland? # Carroll # Lewis Carroll wrote Alice in Wonderland.
Who wrote Pride and Prejudice? # Austen # Jane Austen wrote Pride and Prejudice.
Who wrote Oliver Twist? # Dickens # Charles Dickens wrote Oliver Twist.
Who wrote Peter Pan? # Barrie # J. M. Barrie wrote Peter Pan.
Who wrote [The Jungle Book|the Jungle Book]? # Kipling # Rudyard Kipling wrote The Jungle Book.
Who wrote Tom Sawyer? # Twain # Mark Twain wrote Tom Sawyer.
Who wrote Treasure Island? # Stevenson # Robert Louis Stevenson wrote Treasure Island.
Who wrote Frankenstein? # Shelley # Mary Shelley wrote Frankenstein.
Who wrote Dracula? # Stoker # Bram Stoker wrote Dracula.
Who wrote Little Women? # Alcott # Louisa May Alcott wrote Little Women.
Who created Sherlock Holmes? # Doyle # Arthur Conan Doyle created Sherlock Holmes.
Who wrote [War and Peace|Anna Karenina]? # Tolstoy # Leo Tolstoy wrote it.
Who wrote the Ugly Duckling? # Andersen # Hans Christian Andersen wrote The Ugly Duckling.
Who painted the Mona Lisa? # Leonardo # Leonardo da Vinci painted the Mona Lisa.
Who painted [the Starry Night|The Starry Night]? # Van Gogh # Vincent van Gogh painted The Starry Night.
Who invented the [telephone|phone]? # Bell # Alexander Graham Bell is known as the inventor of the telephone.
Who invented the light bulb? # Edison # Thomas Edison is best known for the light bulb.
Who [discovered|found] penicillin? # Fleming # Alexander Fleming discovered penicillin.
Who discovered gravity? # Newton # Isaac Newton described the law of gravity.
Who was Albert Einstein? # A physicist # Albert Einstein was a physicist who developed the theory of relativity.
Who was Isaac Newton? # A scientist # Isaac Newton was an English scientist who described gravity and motion.
Who was Marie Curie? # A scientist # Marie Curie was a scientist who studied radioactivity and won two Nobel Prizes.
Who was Charles Darwin? # A scientist # Charles Darwin was a scientist who explained evolution.
Who was William Shakespeare? # A writer # William Shakespeare was an English writer of plays and poems.
Who was Mozart? # A composer # Mozart was a composer from Austria.
Who was Beethoven? # A composer # Beethoven was a German composer.
Who was Leonardo da Vinci? # A painter # Leonardo da Vinci was an Italian painter and inventor.
Who was the first [man|person] on the moon? # Armstrong # Neil Armstrong was the first person on the moon.
Who was the first president of the United States? # Washington # George Washington was the first president of the United States.
[In which|In what|What] year did [people|men|the first person] first walk on the moon? # 1969 # People first walked on the moon in 1969.
[When|In which year] did [the Second World War|World War II] end? # 1945 # The Second World War ended in 1945.
[When|In which year] did [the First World War|World War I] begin? # 1914 # The First World War began in 1914.
What is the fastest thing in the universe? # Light # Light is the fastest thing in the universe.
What is the [centre|center] of our solar system? # The Sun # The Sun is at the centre of our solar system.
Is the [Sun|sun] a star[ or a planet|]? # Star # The Sun is a star.
What [do|does] you use to cut paper? # Scissors # You use scissors to cut paper.
What do you use to write? # A pen # You use a pen or a pencil to write.
What do you wear on your feet? # Shoes # You wear shoes on your feet.
What do you wear on your head? # A hat # You wear a hat on your head.
What do we use to see? # Eyes # We use our eyes to see.
What do we use to hear? # Ears # We use our ears to hear.
What do we use to smell? # The nose # We use the nose to smell.
Where does the sun rise? # East # The sun rises in the east.
Where does the sun set? # West # The sun sets in the west.
What season comes after winter? # Spring # Spring comes after winter.
What season comes after summer? # Autumn # Autumn comes after summer.
What season comes after spring? # Summer # Summer comes after spring.
What season comes after autumn? # Winter # Winter comes after autumn.
What are the [four |]seasons? # Spring, summer, autumn and winter # The four seasons are spring, summer, autumn and winter.
What are the primary colours? # Red, yellow and blue # The primary colours are red, yellow and blue.
[What colour do you get when you mix|What do you get if you mix] [blue and yellow|yellow and blue]? # Green # Blue and yellow make green.
[What colour do you get when you mix|What do you get if you mix] [red and yellow|yellow and red]? # Orange # Red and yellow make orange.
[What colour do you get when you mix|What do you get if you mix] [red and blue|blue and red]? # Purple # Red and blue make purple.
[What colour do you get when you mix|What do you get if you mix] [red and white|white and red]? # Pink # Red and white make pink.
[What colour do you get when you mix|What do you get if you mix] [black and white|white and black]? # Grey # Black and white make grey.
What colour is the sky[ on a clear day|]? # Blue # The sky is blue on a clear day.
What colour is grass? # Green # Grass is green.
What colour is snow? # White # Snow is white.
What colour is a banana? # Yellow # A ripe banana is yellow.
What colour is a lemon? # Yellow # A lemon is yellow.
What colour is a carrot? # Orange # A carrot is orange.
What colour is blood? # Red # Blood is red.
What colour is coal? # Black # Coal is black.
What colour is milk? # White # Milk is white.
What colour is a tomato? # Red # A ripe tomato is red.
What colour is chocolate? # Brown # Chocolate is brown.
What colour is the sun? # Yellow # The sun looks yellow from the Earth.
Is fire hot or cold? # Hot # Fire is hot.
Is ice hot or cold? # Cold # Ice is cold.
Can fish fly? # No # No, fish swim; they do not fly, although flying fish can glide for a short way.
Can penguins fly? # No # No, penguins cannot fly, but they swim very well.
Can [a bird|birds] fly? # Yes # Yes, most birds can fly.
Can [humans|people] breathe under water? # No # No, people cannot breathe under water.
Is the Earth flat? # No # No, the Earth is round like a ball.
Is the Earth round? # Yes # Yes, the Earth is round like a ball.
Is a whale a fish? # No # No, a whale is a mammal.
Is a spider an insect? # No # No, a spider is an arachnid; it has eight legs.
Is a tomato a fruit? # Yes # Yes, a tomato is a fruit, although we use it like a vegetable.
Is water wet? # Yes # Yes, water is wet.
Do plants need water? # Yes # Yes, plants need water to live.
Do fish live in water? # Yes # Yes, fish live in water.
Do cats [bark|lay eggs]? # No # No, cats do not do that.
Do dogs bark? # Yes # Yes, dogs bark.
Does the Sun go around the Earth? # No # No, the Earth goes around the Sun.
Does the Earth go around the Sun? # Yes # Yes, the Earth goes around the Sun once a year.
Does the moon go around the Earth? # Yes # Yes, the moon goes around the Earth.
Is the moon bigger than the Earth? # No # No, the moon is smaller than the Earth.
Is the Sun bigger than the Earth? # Yes # Yes, the Sun is much bigger than the Earth.""".split("\n")]


def _nation(rng, country=None):
    c, capital, continent, lang = country or pick(rng, COUNTRIES)
    k = rng.random()
    if k < 0.5:
        return (spin(rng, ["What is the capital of {c}?", "[What's|Name|Tell me] the capital [city |]of {c}[?|.]", "Which city is the capital of {c}?", "capital of {c}?", "Do you know the capital of {c}?"], c=c),
                capital, spin(rng, ["The capital of {c} is {x}.", "{x} is the capital of {c}.", "The capital of {c} is {x}."], c=c, x=capital))
    if k < 0.62:
        return spin(rng, ["[In which|On which] continent is {c}?", "Where is {c}?", "What continent is {c} in?"], c=c), continent, f"{cap(c)} is in {continent}."
    if k < 0.76:
        return spin(rng, ["What language [do people|do they] speak in {c}?", "Which language is spoken in {c}?", "What is the language of {c}?"], c=c), lang, f"People in {c} speak {lang}."
    if k < 0.9:
        return (spin(rng, ["{x} is the capital of which country?", "Which country has the capital {x}?", "[Which country is {x} in|In which country is {x}|Where is {x}]?"], x=capital),
                cap(c), f"{capital} is the capital of {c}.")
    other = pick(rng, COUNTRIES)
    right = rng.random() < 0.5 or other[1] == capital
    city = capital if right else other[1]
    return (f"Is {city} the capital of {c}?", "Yes" if right else "No",
            f"Yes, {city} is the capital of {c}." if right else f"No, the capital of {c} is {capital}.")


def _animal(rng):
    n = pick(rng, list(L.ANIMALS))
    kind, legs, sound, young, food, home = L.ANIMALS[n]
    k = rng.randrange(8)
    if k == 0:
        num = "no" if legs == 0 else L.number_word(legs)
        arms = "arms" if n == "octopus" else "legs"
        return spin(rng, ["How many {l} does {a} have?", "How many {l} has {a} got?"], l=arms, a=a(n)), cap("zero" if legs == 0 else num), f"{cap(a(n))} has {num} {arms}."
    if k == 1 and not sound.startswith("make"):
        plural = {"mouse": "mice", "wolf": "wolves", "fox": "foxes", "goose": "geese", "sheep": "sheep", "deer": "deer", "monkey": "monkeys"}.get(n, n + "s")
        return spin(rng, ["What sound does {a} make?", "What noise does {a} make?", "What does {a} say?"], a=a(n)), cap(sound), f"{cap(plural)} {sound}."
    if k == 2:
        return spin(rng, ["What is a baby {n} called?", "What do you call a [baby|young] {n}?", "What is the young of {a} called?"], n=n, a=a(n)), cap(young), f"A baby {n} is called {a(young)}."
    if k == 3:
        return spin(rng, ["What [does {a} eat|do {n}s eat]?", "What is the food of {a}?"], a=a(n), n=n).replace("wolfs", "wolves").replace("foxs", "foxes").replace("mouses", "mice").replace("gooses", "geese").replace("sheeps", "sheep").replace("deers", "deer"), cap(food), f"{cap(a(n))} eats {food}."
    if k == 4:
        return spin(rng, ["Where does {a} live?", "What is the home of {a}?"], a=a(n)), cap(home), f"{cap(a(n))} lives in {home}." if not home.startswith(("the savanna", "the plains", "cold", "the seashore", "the sea floor", "warm rivers")) else f"{cap(a(n))} lives {'on' if home.startswith(('the sav', 'the pl', 'the sea', 'cold')) else 'in'} {home}."
    if k == 5:
        return spin(rng, ["What kind of animal is {a}?", "What type of animal is {a}?", "To which group of animals does {a} belong?"], a=a(n)), cap(kind), f"{cap(a(n))} is {a(kind)}."
    if k == 6:
        other = pick(rng, ["mammal", "bird", "insect", "reptile", "fish", kind, kind])
        yes = other == kind
        return f"Is {a(n)} {a(other) if other != 'fish' else 'a fish'}?", "Yes" if yes else "No", (f"Yes, {a(n)} is {a(kind)}." if yes else f"No, {a(n)} is {a(kind)}.")
    x, y = rng.sample(range(len(L.BY_SIZE)), 2)
    big = rng.random() < 0.5
    w = L.BY_SIZE[max(x, y) if big else min(x, y)]
    l_ = L.BY_SIZE[min(x, y) if big else max(x, y)]
    p, q = (w, l_) if rng.random() < 0.5 else (l_, w)
    comp = "bigger" if big else "smaller"
    return (spin(rng, ["Which is {c}, {p} or {q}?", "What is {c}: {p} or {q}?", "Which animal is {c}, {p} or {q}?"], c=comp, p=a(p), q=a(q)), cap(w), f"{cap(a(w))} is {comp} than {a(l_)}.")


def _language(rng):
    k = rng.randrange(4)
    if k == 0:
        x, y = pick(rng, L.OPPOSITES)
        if rng.random() < 0.5:
            x, y = y, x
        return spin(rng, ["What is the opposite of {x}?", "Give me the opposite of {x}.", "[Tell me|Name] the opposite of \"{x}\".", "opposite of {x}", "What's the antonym of {x}?"], x=x), cap(y), f"The opposite of {x} is {y}."
    if k == 1:
        x = pick(rng, list(L.PLURALS))
        return spin(rng, ["What is the plural of {x}?", "Give me the plural of {x}.", "plural of {x}?", "How do you write the plural of \"{x}\"?"], x=x), cap(L.PLURALS[x]), f"The plural of {x} is {L.PLURALS[x]}."
    if k == 2:
        x = pick(rng, list(L.PAST))
        return spin(rng, ["What is the past tense of {x}?", "Give me the past tense of \"{x}\".", "past tense of {x}?", "What is the past of {x}?"], x=x), cap(L.PAST[x]), f"The past tense of {x} is {L.PAST[x]}."
    x = pick(rng, list(L.PLURALS))
    if rng.random() < 0.5:
        c = pick(rng, list(L.CATEGORIES))
        items = rng.sample(L.CATEGORIES[c], rng.choice([3, 3, 4, 5, 2]))
        n = len(items)
        ask = spin(rng, ["Name {w} {cs}.", "[List|Give me|Tell me] {w} {cs}.", "Can you name {w} {cs}?", "What are {w} {cs}?"], w=pick(rng, [L.number_word(n), str(n)]), cs=L.plural_category(c))
        ans = spin(rng, ["{i}.", "{i}."], i=cap(", ".join(items[:-1]) + " and " + items[-1]))
        return ask, ", ".join(items), ans
    c = pick(rng, list(L.CATEGORIES))
    item = pick(rng, L.CATEGORIES[c])
    other = pick(rng, list(L.CATEGORIES))
    yes = rng.random() < 0.5
    name = item if c in ("country", "planet") else a(item)
    if c in ("colour", "metal", "drink", "sport"):
        name = item
    if yes or item in L.CATEGORIES[other]:
        return f"Is {name} {a(c)}?", "Yes", f"Yes, {name} is {a(c)}."
    if c in ("bird", "insect") and other == "animal" or {c, other} <= {"flower", "tree", "fruit"} or {c, other} <= {"colour", "fruit", "metal", "flower"}:
        return f"What is {name}?", cap(c), f"{cap(name)} is {a(c)}."
    return f"Is {name} {a(other)}?", "No", f"No, {name} is {a(c)}."


def _order(rng):
    kind, items = pick(rng, [("day", L.DAYS), ("month", L.MONTHS), ("letter", list("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))])
    i = rng.randrange(len(items))
    after = rng.random() < 0.6
    if kind == "letter":
        i = min(max(i, 1), 24)
    j = (i + (1 if after else -1)) % len(items)
    w = "after" if after else "before"
    return (spin(rng, ["[What|Which] {k} comes {w} {x}?", "What comes {w} {x}?", "Which {k} is {w} {x}?"], k=kind, w=w, x=items[i]), items[j], f"{items[j]} comes {w} {items[i]}.")


def question(rng, kind=None):
    """(question, short answer, full answer)."""
    k = rng.random()
    if k < 0.3:
        return _nation(rng)
    if k < 0.5:
        return _animal(rng)
    if k < 0.65:
        return _language(rng)
    if k < 0.72:
        return _order(rng)
    if k < 0.92:
        q, s, full = pick(rng, GENERAL)
        return spin(rng, q), s, full
    _, q, full, short = pick(rng, EXPLAIN)
    return spin(rng, q), None, full if rng.random() < 0.75 else short


# (system prompt or user suffix, how the answer looks). s: short answer, f: full answer.
STYLES = [
    (["Answer in one word.", "Answer with one word[ only|].", "[Reply|Respond] with a single word.", "Use only one word.", "One word answers only.", "Be extremely brief: one word."], lambda s, f: s),
    (["Answer briefly.", "Be [brief|concise|short].", "Keep your answers short.", "Give short answers[, please|]."], lambda s, f: s + "."),
    (["Answer in [a full sentence|complete sentences|one sentence].", "Use [a full sentence|full sentences].", "Always answer in a full sentence."], lambda s, f: f),
    (["Answer in [capital letters|uppercase|all caps].", "[Write|Reply] [everything |]in [capital letters|uppercase|ALL CAPS].", "Always write in capital letters."], lambda s, f: f.upper()),
    (["Answer in [lowercase|small letters][ only|].", "[Write|Reply] [everything |]in lowercase[ letters|]."], lambda s, f: f.lower()),
    (["Answer [in JSON|as JSON] with the key \"answer\".", "Reply only with JSON: {{\"answer\": ...}}", "Output JSON with one field, answer."], lambda s, f: '{"answer": "' + s + '"}'),
    (["[End|Finish] every answer with \"{w}\".", "Always end with \"{w}\"."], lambda s, f: f + " {w}"),
    (["[Begin|Start] every answer with \"{w}\".", "Always begin with \"{w}\"."], lambda s, f: "{w} " + f),
    (["You are a pirate.", "Talk like a pirate.", "Answer like a pirate."], lambda s, f: "Arr! " + f),
    (["You are a polite butler.", "Answer like a butler.", "Be very polite."], lambda s, f: "Certainly. " + f),
    (["Answer as a list item.", "Use a bullet point for [the|your] answer."], lambda s, f: "- " + f),
]
TAGS = ["Thank you!", "Good luck!", "Meow!", "Over and out.", "Have a nice day!", "Beep!", "Amen.", "Ahoy!", "Dear friend,", "Well,", "Hmm,", "Hello!", "Yes, sir!", "Listen:", "Okay,", "Cheers!"]


def style(rng):
    """(instruction, function from (short, full) to a reply)."""
    wording, render = pick(rng, STYLES)
    tag = pick(rng, TAGS)
    return spin(rng, wording, w=tag), lambda s, f: render(s, f).replace("{w}", tag)
