"""What common things are, how things differ, simple advice, and 'tell me about'."""
import gen_facts
import lexicon as L
from spin import a, cap, join_and, pick, spin

DEFINITIONS = dict(row.split(": ", 1) for row in """bridge: A bridge is a structure that lets people and cars cross a river or a road.
lake: A lake is a large area of water with land all around it.
river: A river is a stream of water that flows across the land to a lake or the sea.
mountain: A mountain is a very high hill of rock.
forest: A forest is a large area with many trees.
island: An island is a piece of land with water all around it.
ocean: An ocean is a very large body of salt water.
beach: A beach is a strip of sand or stones beside the sea.
village: A village is a small group of houses in the country.
city: A city is a large town where many people live and work.
castle: A castle is a large old building with thick walls that protected the people inside.
hospital: A hospital is a place where doctors and nurses help sick people.
museum: A museum is a building where you can see old, beautiful or interesting things.
restaurant: A restaurant is a place where you can buy and eat a meal.
bakery: A bakery is a shop that makes and sells bread and cakes.
farm: A farm is a place where people grow food and keep animals.
garden: A garden is a piece of land where people grow flowers, fruit or vegetables.
kitchen: A kitchen is a room where people cook food.
bedroom: A bedroom is a room where people sleep.
window: A window is an opening in a wall, usually with glass, that lets in light.
door: A door is something you open and close to go into a room or a house.
chair: A chair is a seat for one person.
table: A table is a piece of furniture with a flat top and legs.
bed: A bed is a piece of furniture for sleeping.
lamp: A lamp is a thing that gives light.
clock: A clock is a device that shows the time.
mirror: A mirror is a glass in which you can see yourself.
umbrella: An umbrella is a thing you hold over your head to keep off the rain.
key: A key is a small piece of metal that opens a lock.
book: A book is a set of pages with words or pictures.
newspaper: A newspaper is a set of printed pages with the news.
letter: A letter is a written message to someone, or a sign of the alphabet.
map: A map is a drawing that shows where places are.
pen: A pen is a tool for writing with ink.
knife: A knife is a tool with a sharp blade for cutting.
spoon: A spoon is a tool for eating soup or stirring drinks.
hammer: A hammer is a tool for hitting nails.
rope: A rope is a strong thick string.
ladder: A ladder has steps and is used for climbing up to high places.
basket: A basket is a container made of thin wood or straw.
bicycle: A bicycle is a vehicle with two wheels that you move with your feet.
car: A car is a vehicle with an engine and four wheels.
train: A train is a row of cars that runs on rails.
boat: A boat is a small vehicle that travels on water.
ship: A ship is a large boat that travels across the sea.
plane: A plane is a machine with wings that flies and carries people.
telephone: A telephone is a device for talking to people far away.
camera: A camera is a device that takes pictures.
radio: A radio is a device that receives sound through the air.
piano: A piano is a musical instrument with black and white keys.
violin: A violin is a musical instrument with four strings, played with a bow.
drum: A drum is a musical instrument that you hit.
song: A song is music with words.
poem: A poem is a piece of writing with short lines that often rhyme.
story: A story tells about things that happened, real or imagined.
fairy tale: A fairy tale is an old story for children, often with magic.
dictionary: A dictionary is a book that explains the meaning of words.
teacher: A teacher is a person who helps others to learn.
doctor: A doctor is a person who helps sick people to get well.
nurse: A nurse is a person who cares for sick people.
farmer: A farmer is a person who grows food and keeps animals.
baker: A baker is a person who makes bread and cakes.
pilot: A pilot is a person who flies a plane.
sailor: A sailor is a person who works on a ship.
king: A king is a man who rules a country.
queen: A queen is a woman who rules a country, or the wife of a king.
neighbour: A neighbour is a person who lives near you.
family: A family is a group of people who belong together, such as parents and children.
birthday: A birthday is the day on which a person was born.
holiday: A holiday is a time when you do not work or go to school.
breakfast: Breakfast is the first meal of the day.
lunch: Lunch is the meal in the middle of the day.
dinner: Dinner is the main meal, often in the evening.
bread: Bread is a food made from flour and water and baked in an oven.
cheese: Cheese is a food made from milk.
honey: Honey is a sweet food that bees make from nectar.
apple: An apple is a round fruit that grows on a tree.
banana: A banana is a long yellow fruit.
carrot: A carrot is a long orange vegetable that grows in the ground.
soup: Soup is a hot liquid food, often made with vegetables or meat.
water: Water is a clear liquid that all living things need.
fire: Fire is the heat and light of something that burns.
cloud: A cloud is made of many tiny drops of water in the sky.
storm: A storm is bad weather with strong wind and often rain.
fog: Fog is a thick cloud close to the ground.
tree: A tree is a tall plant with a trunk and branches.
flower: A flower is the part of a plant that often has bright colours and makes seeds.
grass: Grass is a green plant that covers fields and gardens.
seed: A seed is the small part of a plant from which a new plant grows.
leaf: A leaf is the flat green part of a plant that makes its food.
egg: An egg is a round object from which young birds and some other animals come.
wing: A wing is the part of a bird or a plane that helps it to fly.
love: Love is a strong feeling of caring for someone or something.
happiness: Happiness is the feeling of being glad and content.
fear: Fear is the feeling you have when you think that something is dangerous.
dream: A dream is a set of pictures and feelings you have while you sleep.
secret: A secret is something that only a few people know.
promise: A promise is when you say that you will surely do something.
question: A question is what you say when you want to know something.
idea: An idea is a thought about what to do or how something might be.
game: A game is something that people play for fun, often with rules.
football: Football is a game in which two teams try to kick a ball into a goal.
chess: Chess is a board game for two players with kings, queens and other pieces.
music: Music is sound arranged in a way that is pleasant to hear.
art: Art is the making of things that are beautiful or express ideas.
history: History is the study of what happened in the past.
science: Science is the careful study of nature and how things work.
mathematics: Mathematics is the study of numbers, shapes and patterns.
alphabet: An alphabet is the set of letters used to write a language.
number: A number is a word or sign that tells how many.
circle: A circle is a round shape.
triangle: A triangle is a shape with three sides.
square: A square is a shape with four equal sides.
keyboard: A keyboard is a set of keys for typing on a computer.
robot: A robot is a machine that can do work by itself.
password: A password is a secret word that lets you use something.
file: A file is a piece of information stored on a computer under a name.
email: An email is a message sent from one computer to another.
website: A website is a set of pages on the internet.
engine: An engine is a machine that makes things move.
battery: A battery stores electricity for small devices.
satellite: A satellite is something that goes around a planet.
comet: A comet is a ball of ice and dust that goes around the Sun.
energy: Energy is what makes things move, grow or become warm.
oxygen: Oxygen is a gas in the air that people and animals need to live.
metal: Metal is a hard material, such as iron or gold, that often shines.
pirate: A pirate is a person who robs ships at sea.
dragon: A dragon is a large animal in stories that has wings and breathes fire.
ghost: A ghost is the spirit of a dead person in stories.
unicorn: A unicorn is a horse with one horn that lives in stories.""".split("\n"))

DIFFERENCES = [tuple(r.split(" | ")) for r in """a lake | a river | A lake stands still and has land around it, while a river flows towards a lake or the sea.
a frog | a toad | A frog has smooth wet skin, while a toad has dry rough skin.
a city | a village | A city is large and has many people, while a village is small.
a boat | a ship | A boat is small, while a ship is large and can cross the sea.
a mountain | a hill | A mountain is very high, while a hill is lower.
day | night | During the day the Sun shines, and at night it is dark.
a bird | a mammal | A bird has feathers and lays eggs, while a mammal has hair and feeds its young with milk.
an insect | a spider | An insect has six legs, while a spider has eight.
fruit | vegetables | Fruit is often sweet and holds seeds, while vegetables are other parts of plants, such as roots and leaves.
a star | a planet | A star makes its own light, while a planet goes around a star and does not shine by itself.
tea | coffee | Tea is made from leaves, and coffee is made from roasted beans.
summer | winter | Summer is the warm season, and winter is the cold season.
a doctor | a nurse | A doctor finds out what is wrong and decides how to treat it, while a nurse cares for the patients.
a car | a bus | A car carries a few people, while a bus carries many.
a house | a flat | A house is a building of its own, while a flat is a part of a larger building.
a poem | a story | A poem has short lines that often rhyme, while a story tells what happened in sentences.
ice | water | Ice is solid and cold; it is water that has frozen.
a violin | a guitar | A violin is played with a bow, while a guitar is played with the fingers.
a dog | a wolf | A dog lives with people, while a wolf is wild.
a donkey | a horse | A donkey is smaller than a horse and has longer ears.""".split("\n")]

ADVICE = [tuple(r.split(" | ")) for r in """read books | yes | Yes, reading is good for you: you learn new things and new words.
eat vegetables | yes | Yes, vegetables keep you healthy.
drink water | yes | Yes, your body needs water every day.
sleep eight hours | yes | Yes, most people feel well with about eight hours of sleep.
go for a walk every day | yes | Yes, a daily walk is good for body and mind.
brush your teeth every day | yes | Yes, brush them twice a day to keep them healthy.
tell lies | no | No, lies hurt trust. It is better to be honest.
eat only sweets | no | No, too many sweets are bad for your teeth and your body.
help other people | yes | Yes, helping others is kind, and it makes you happy too.
play with fire | no | No, fire is dangerous.
learn a language | yes | Yes, it lets you talk with more people and trains your mind.
stay up all night | no | No, you need sleep to feel well.
swim alone in the sea | no | No, that can be dangerous. Swim where someone can see you.
save money | yes | Yes, it helps when something unexpected happens.
say sorry after a mistake | yes | Yes, saying sorry helps to make things right.
wear a helmet on a bicycle | yes | Yes, a helmet protects your head.
share your password | no | No, keep your password secret.
listen to music | yes | Yes, music can make you calm or happy.
drive very fast | no | No, driving too fast is dangerous.
play outside | yes | Yes, fresh air and movement are good for you.
practise every day | yes | Yes, a little practice every day brings the best results.
give up after one try | no | No, try again. Most things need more than one try.
smoke | no | No, smoking harms your health.
be kind to animals | yes | Yes, animals can feel pain and joy, so we should be kind to them.
look directly at the Sun | no | No, it can hurt your eyes.""".split("\n")]

WHY = [tuple(r.split(" | ")) for r in """Why do cats purr? | Cats often purr when they are content, and sometimes to calm themselves.
Why do dogs bark? | Dogs bark to warn others, to get attention or because they are excited.
Why do birds sing? | Birds sing to find a mate and to tell others that a place is theirs.
Why do birds fly south in winter? | They fly to warmer places where they can find food.
Why do people wear clothes? | Clothes keep us warm, protect us and let us show who we are.
Why do we eat? | Food gives the body energy and what it needs to grow.
Why do we drink water? | The body is mostly water and loses some every day, so we must drink.
Why do we dream? | Nobody knows exactly, but dreams may help the brain to sort what happened during the day.
Why do we laugh? | We laugh when something is funny, and it helps us to feel close to others.
Why do we cry? | We cry when we feel strong emotions; tears also keep the eyes clean.
Why do fish live in water? | Fish breathe with gills, which take oxygen out of the water.
Why is snow white? | Snow is made of many tiny crystals that scatter all colours of light, which together look white.
Why is grass green? | Grass contains a green substance that uses sunlight to make food.
Why is fire hot? | Burning sets free energy as heat and light.
Why is exercise good? | Exercise makes the heart and muscles strong and improves your mood.
What is the meaning of life? | People have many answers. For many it is to love, to learn and to help others.
How can I be happy? | Spend time with people you like, do things you enjoy and be kind to yourself.
How can I be a good friend? | Listen, be honest, keep promises and help when you can.
How can I learn faster? | Learn a little every day, test yourself and sleep well.
How can I become a better cook? | Start with easy dishes, taste while you cook and try one new thing each week.
What should I do if it rains? | Take an umbrella or a raincoat, or do something nice indoors.
What should I do if I am lost? | Stay calm, look for a sign or a safe place and ask someone for help.
What should I do if there is a fire? | Leave the house, stay low if there is smoke and call the fire brigade.
What should I do when I am angry? | Take a deep breath, count to ten and speak calmly.
What should I give my friend for a birthday? | A book, a plant, a cake or something you made yourself is a nice gift.
What should I wear when it is cold? | Wear a warm coat, a scarf, a hat and gloves.
What is a good name for a cat? | You could call it Whiskers, Luna or Pepper.
What is a good name for a dog? | You could call it Biscuit, Rusty or Bella.
What can I cook with eggs? | You can make an omelette, pancakes, boiled eggs or a cake.
What can I do in the garden? | You can plant flowers, cut the grass or sit in the sun.
What can I do on a rainy day? | You can read, bake, play a board game or watch the rain.""".split("\n")]


def definition(rng):
    w = pick(rng, list(DEFINITIONS))
    n = w if DEFINITIONS[w].lower().startswith(w) else a(w)
    return spin(rng, ["What is {n}?", "What's {n}?", "[Can you|Please] explain what {n} is[?|.]", "What does \"{w}\" mean?", "Explain the word {w}.", "[Define|Explain] {w}.", "Tell me what {n} is.", "What do we mean by {w}?", "what is {n}", "Do you know what {n} is?"], n=n, w=w), DEFINITIONS[w]


def difference(rng):
    x, y, text = pick(rng, DIFFERENCES)
    return spin(rng, ["What is the difference between {x} and {y}?", "How is {x} different from {y}?", "How do {x} and {y} differ?", "Explain the difference between {x} and {y}."], x=x, y=y), text


def advice(rng):
    what, yes, text = pick(rng, ADVICE)
    if rng.random() < 0.5:
        return spin(rng, ["Should I {w}?", "Should people {w}?", "Is it a good idea to {w}?", "Is it good to {w}?"], w=what), text
    return (spin(rng, ["Is it {j} to {w}?"], w=what, j="healthy" if yes == "yes" else "bad"), text if yes == "yes" else "Yes." + text[3:])


def why(rng):
    return pick(rng, WHY)


def about(rng):
    if rng.random() < 0.5:
        n = pick(rng, list(L.ANIMALS))
        kind, legs, sound, young, food, home = L.ANIMALS[n]
        plural = {"mouse": "mice", "wolf": "wolves", "fox": "foxes", "goose": "geese", "sheep": "sheep", "deer": "deer", "fish": "fish", "salmon": "salmon", "octopus": "octopuses", "butterfly": "butterflies"}.get(n, n + "s")
        parts = [f"{cap(a(n))} is {a(kind)}.", f"It eats {food}.", f"A young {n} is called {a(young)}."]
        if legs:
            parts.insert(1, f"It has {L.number_word(legs)} {'arms' if n == 'octopus' else 'legs'}.")
        return spin(rng, ["Tell me about {p}[.|]", "Tell me [something|a fact] about {p}[.|]", "What do you know about {p}?", "Describe {a}[.|]", "[Give me|I want] [some facts|information] about {p}[.|]"], p=plural, a=a(n)), " ".join(parts)
    c, capital, cont, lang = pick(rng, gen_facts.COUNTRIES)
    return spin(rng, ["Tell me about {c}[.|]", "Tell me [something|a fact] about {c}[.|]", "What do you know about {c}?", "[Give me|I want] some facts about {c}[.|]"], c=c), f"{cap(c)} is in {cont}. Its capital is {capital}, and people there speak {lang}."


def names(rng):
    n = rng.randint(2, 5)
    what, pool = pick(rng, [("a cat", L.PET_NAMES), ("a dog", L.PET_NAMES), ("a pet", L.PET_NAMES), ("a girl", L.GIRLS), ("a boy", L.BOYS), ("a baby", L.GIRLS + L.BOYS), ("a character in a story", L.GIRLS + L.BOYS)])
    return spin(rng, ["[Give|Tell] me {n} names for {w}[.|]", "Suggest {n} names for {w}[.|]", "What are {n} good names for {w}?"], n=L.number_word(n), w=what), join_and(rng.sample(pool, n)) + "."


def anything(rng):
    k = rng.random()
    f = definition if k < 0.38 else difference if k < 0.5 else advice if k < 0.62 else why if k < 0.77 else about if k < 0.94 else names
    return f(rng)
