"""Word lists for the generators, written for this project (no outside source)."""

GIRLS = """Anna Lily Mia Emma Zoe Clara Ruby Nora Alice Grace Rosa Ella Ivy Maya Sara Lucy Hana Leila Nina Tara Amy Eva
Freya Holly Iris Jane Kate Lena Molly Olive Penny Rita Sofia Tess Uma Vera Willa Yara Ada Bella Cora Daisy Edith Fiona
Gina Hazel Ingrid Julia Kira Luna Maria Naomi Opal Priya Rachel Stella Thea Ursula Violet Wendy Ximena Yuki Zara Beatrice
Carmen Diana Elena Flora Gloria Helen Isabel Joan Karen Laura Martha Nadia Olga Paula Rebecca Susan Teresa Victoria Amina
Fatima Mei Aisha Lin Sana Kaya Noor Ines Marta Greta Heidi Lotte Saoirse Maeve Bridget Sienna Pearl Agnes Mabel Dora""".split()
BOYS = """Tom Ben Max Sam Leo Jack Finn Noah Omar Ravi Hugo Oscar Theo Luke Adam Eli Ivan Jonas Karl Liam Milo Nils Otto
Paul Quinn Remy Simon Tim Umar Victor Will Xavier Yusuf Zane Arthur Bruno Carlos David Emil Felix George Henry Isaac James
Kai Louis Mark Nathan Oliver Peter Robert Stefan Thomas Vincent Walter Alan Brian Colin Daniel Edward Frank Gavin Harry
Ian Jacob Kevin Leon Martin Neil Owen Patrick Rory Steven Tobias Uri Vlad Wesley Yan Zack Ahmed Ali Hassan Kenji Hiro Chen
Wei Arjun Dev Mateo Diego Pablo Lars Sven Erik Anton Dmitri Kofi Kwame Tunde Jamal Andre Marcel Pierre Luca Marco Enzo""".split()
SURNAMES = """Smith Jones Brown Taylor Wilson Evans Walker Green Hall Wood Clarke Baker Hill Moore Scott King Wright Turner
Parker Cook Bell Murphy Bailey Cooper Ward Gray Hughes Price Rossi Garcia Lopez Silva Costa Novak Kowalski Larsen Berg
Lindqvist Tanaka Sato Kim Park Nguyen Chen Wang Patel Singh Khan Ali Hassan Okafor Mensah Diallo Petrov Ivanova Weber
Fischer Klein Dubois Moreau Laurent Haddad Cohen Levy Santos Romero Vega Marsh Stone Frost Hart Lane Fox Reed""".split()
CITIES = """Paris London Rome Madrid Berlin Vienna Oslo Dublin Lisbon Prague Athens Cairo Tokyo Delhi Lima Boston Chicago
Toronto Sydney Nairobi Seoul Kyoto Bergen Porto Milan Naples Lyon Hamburg Munich Seattle Denver Austin Dallas Atlanta
Miami Montreal Vancouver Havana Lagos Accra Tunis Amman Beirut Mumbai Bangkok Hanoi Manila Perth Auckland Wellington
Glasgow Leeds Bristol York Cardiff Cork Galway Krakow Warsaw Budapest Zagreb Sofia Riga Tallinn Helsinki Turku Malmo
Geneva Zurich Basel Antwerp Utrecht Rotterdam Seville Valencia Granada Bologna Turin Verona Salzburg Graz Split""".split()
COLORS = "red blue green yellow orange purple pink brown black white grey silver gold violet turquoise".split()
FOODS = """pizza|soup|pasta|rice|salad|bread|cheese|apples|pancakes|sushi|curry|tacos|noodles|chocolate|ice cream|
strawberries|honey|potatoes|mangoes|cookies|porridge|toast|beans|dumplings|waffles|grapes|carrots|cake|lasagna""".replace("\n", "").split("|")
SPORTS = "tennis football swimming running chess basketball hockey cycling volleyball badminton golf skiing climbing judo cricket rugby".split()
HOBBIES = """painting reading gardening cooking dancing singing hiking fishing knitting drawing baking photography
swimming cycling writing sewing camping juggling""".split()
JOBS = """teacher doctor baker farmer nurse driver painter writer cook gardener pilot sailor tailor carpenter dentist
librarian engineer musician plumber mechanic shepherd fisherman potter vet firefighter postman lawyer chemist singer
waiter miner weaver beekeeper photographer builder scientist blacksmith florist""".split()
PETS = "dog|cat|rabbit|parrot|hamster|turtle|goldfish|pony|kitten|puppy|canary|mouse|guinea pig|lizard|duck".split("|")
PET_NAMES = """Biscuit Pepper Shadow Coco Luna Milo Rusty Ginger Snowy Patch Bubbles Oreo Toffee Pickle Muffin Domino
Ziggy Nutmeg Pebble Rocket Sunny Whiskers Dusty Simba Olive Maple Cocoa Pip Bandit Tiger Smokey Waffle Mango Noodle""".split()
MONTHS = "January February March April May June July August September October November December".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
INSTRUMENTS = "piano violin guitar flute drums trumpet harp cello clarinet".split()
LANGUAGES = "French Spanish German Italian Japanese Chinese Arabic Portuguese Russian Polish Greek Turkish Korean Hindi Dutch".split()
SUBJECTS = "maths history science music art geography biology chemistry physics English".split()
ITEMS = """book lamp pen cup hat bag key coin ring map kite ball clock chair table box candle scarf mirror basket
bottle spoon blanket drum ladder rope umbrella bell brush button needle pillow plate shoe glove coat whistle lantern
letter picture jar bucket hammer teapot notebook pencil ribbon shell feather stone toy bicycle sled boat wagon""".split()
FRUIT = "apples pears plums oranges bananas lemons peaches cherries grapes figs melons berries".split()
COUNTED = FRUIT + """books pens coins marbles stickers shells stamps cookies balloons eggs candies flowers cards buttons
toys cups stones pencils keys tickets chairs fish hens bottles boxes""".split()
ADJ_NICE = "kind brave clever gentle curious cheerful patient honest quiet friendly careful hopeful polite generous".split()
ADJ_FLAW = "shy lonely lazy grumpy proud forgetful nervous clumsy impatient stubborn messy greedy".split()
SIZES = "little small tiny young old big tall".split()

# animal: (class, legs, sound it makes, young, food, home)
ANIMALS = {
    "dog": ("mammal", 4, "bark", "puppy", "meat", "a kennel"), "cat": ("mammal", 4, "meow", "kitten", "meat and fish", "a house"),
    "cow": ("mammal", 4, "moo", "calf", "grass", "a barn"), "horse": ("mammal", 4, "neigh", "foal", "grass and hay", "a stable"),
    "sheep": ("mammal", 4, "bleat", "lamb", "grass", "a field"), "goat": ("mammal", 4, "bleat", "kid", "grass and leaves", "a farm"),
    "pig": ("mammal", 4, "oink", "piglet", "plants and scraps", "a sty"), "lion": ("mammal", 4, "roar", "cub", "meat", "the savanna"),
    "tiger": ("mammal", 4, "roar", "cub", "meat", "the jungle"), "bear": ("mammal", 4, "growl", "cub", "fish, berries and honey", "a den"),
    "wolf": ("mammal", 4, "howl", "pup", "meat", "a den"), "fox": ("mammal", 4, "bark", "cub", "small animals and berries", "a den"),
    "rabbit": ("mammal", 4, "squeak", "kit", "grass and vegetables", "a burrow"), "mouse": ("mammal", 4, "squeak", "pup", "seeds and grain", "a hole"),
    "elephant": ("mammal", 4, "trumpet", "calf", "grass, leaves and fruit", "the savanna"), "giraffe": ("mammal", 4, "hum", "calf", "leaves", "the savanna"),
    "monkey": ("mammal", 4, "chatter", "infant", "fruit and leaves", "the trees"), "kangaroo": ("mammal", 4, "grunt", "joey", "grass", "the plains of Australia"),
    "deer": ("mammal", 4, "grunt", "fawn", "grass and leaves", "the forest"), "squirrel": ("mammal", 4, "chatter", "kit", "nuts and seeds", "the trees"),
    "hedgehog": ("mammal", 4, "snuffle", "hoglet", "insects", "a nest of leaves"), "whale": ("mammal", 0, "sing", "calf", "krill and fish", "the ocean"),
    "dolphin": ("mammal", 0, "click and whistle", "calf", "fish", "the ocean"), "bat": ("mammal", 2, "squeak", "pup", "insects or fruit", "a cave"),
    "camel": ("mammal", 4, "grunt", "calf", "dry plants", "the desert"), "panda": ("mammal", 4, "bleat", "cub", "bamboo", "the mountain forests of China"),
    "duck": ("bird", 2, "quack", "duckling", "plants, seeds and insects", "a pond"), "hen": ("bird", 2, "cluck", "chick", "grain and insects", "a coop"),
    "goose": ("bird", 2, "honk", "gosling", "grass", "a lake"), "owl": ("bird", 2, "hoot", "owlet", "mice", "a hollow tree"),
    "eagle": ("bird", 2, "screech", "eaglet", "small animals and fish", "a nest high up"), "crow": ("bird", 2, "caw", "chick", "almost anything", "a nest in a tree"),
    "penguin": ("bird", 2, "honk", "chick", "fish", "cold southern coasts"), "swan": ("bird", 2, "hiss", "cygnet", "water plants", "a lake"),
    "frog": ("amphibian", 4, "croak", "tadpole", "insects", "a pond"), "snake": ("reptile", 0, "hiss", "hatchling", "small animals", "a hole in the ground"),
    "crocodile": ("reptile", 4, "growl", "hatchling", "fish and other animals", "warm rivers"), "turtle": ("reptile", 4, "hiss", "hatchling", "plants and small animals", "the sea or a pond"),
    "lizard": ("reptile", 4, "hiss", "hatchling", "insects", "warm dry places"), "shark": ("fish", 0, "make no sound", "pup", "fish", "the ocean"),
    "salmon": ("fish", 0, "make no sound", "fry", "small fish and insects", "rivers and the sea"), "bee": ("insect", 6, "buzz", "larva", "nectar and pollen", "a hive"),
    "ant": ("insect", 6, "make almost no sound", "larva", "seeds and small insects", "an anthill"), "butterfly": ("insect", 6, "make no sound", "caterpillar", "nectar", "meadows and gardens"),
    "beetle": ("insect", 6, "click", "grub", "plants or small insects", "the soil and wood"), "spider": ("arachnid", 8, "make no sound", "spiderling", "insects", "a web"),
    "scorpion": ("arachnid", 8, "make no sound", "scorpling", "insects", "dry places"), "crab": ("crustacean", 10, "click", "larva", "small sea animals and plants", "the seashore"),
    "snail": ("mollusc", 0, "make no sound", "hatchling", "leaves", "its own shell"), "octopus": ("mollusc", 8, "make no sound", "larva", "crabs", "the sea floor"),
}
# Rough order of size, for "which is bigger" questions.
BY_SIZE = "ant bee snail mouse frog squirrel hedgehog rabbit hen cat fox dog goat pig wolf lion bear horse giraffe elephant whale".split()

OPPOSITES = """hot cold|big small|up down|fast slow|happy sad|light dark|old young|high low|wet dry|open closed|full empty
hard soft|early late|near far|strong weak|rich poor|long short|thick thin|loud quiet|clean dirty|left right|day night|begin end
front back|heavy light|sweet sour|true false|good bad|inside outside|above below|before after|win lose|buy sell|push pull
give take|love hate|laugh cry|brave afraid|easy difficult|wide narrow|deep shallow|rough smooth|sharp blunt|safe dangerous
asleep awake|alive dead|always never|many few|first last|tall short|arrive leave|remember forget|cheap expensive|north south
east west|summer winter|hello goodbye|yes no|friend enemy|same different|noisy quiet|lazy hardworking|polite rude|ugly beautiful""".replace("\n", "|").split("|")
OPPOSITES = [tuple(p.split()) for p in OPPOSITES if len(p.split()) == 2]

PLURALS = dict(p.split() for p in """cat cats|dog dogs|child children|mouse mice|foot feet|tooth teeth|man men|woman women
goose geese|leaf leaves|knife knives|wolf wolves|box boxes|bus buses|baby babies|city cities|story stories|tomato tomatoes
fish fish|sheep sheep|person people|wife wives|life lives|half halves|fox foxes|dish dishes|watch watches|key keys|toy toys
book books|tree trees|berry berries|lady ladies|potato potatoes|hero heroes|loaf loaves|shelf shelves|thief thieves|ox oxen
deer deer|house houses|horse horses|bush bushes|class classes|fly flies|penny pennies|monkey monkeys|day days""".replace("\n", "|").split("|"))
PAST = dict(p.split() for p in """go went|eat ate|see saw|run ran|come came|take took|give gave|make made|write wrote|read read
sing sang|swim swam|drink drank|think thought|buy bought|bring brought|catch caught|teach taught|find found|say said|tell told
know knew|grow grew|fly flew|draw drew|begin began|break broke|speak spoke|sleep slept|keep kept|feel felt|leave left|meet met
sit sat|stand stood|win won|lose lost|send sent|build built|hear heard|hold held|fall fell|drive drove|ride rode|wear wore
walk walked|play played|jump jumped|help helped|look looked|cook cooked|talk talked|clean cleaned|open opened|laugh laughed
stop stopped|plan planned|try tried|cry cried|carry carried|study studied|love loved|dance danced|live lived|hope hoped""".replace("\n", "|").split("|"))

CATEGORIES = {
    "fruit": "apple banana pear orange grape mango peach plum cherry lemon strawberry pineapple".split(),
    "vegetable": "carrot potato onion cabbage spinach pea broccoli turnip leek cauliflower".split(),
    "animal": "dog cat horse lion rabbit elephant wolf monkey sheep goat bear fox".split(),
    "bird": "owl eagle sparrow robin crow duck swan penguin parrot pigeon".split(),
    "colour": "red blue green yellow purple orange pink brown black white".split(),
    "flower": "rose tulip daisy lily sunflower violet daffodil poppy orchid".split(),
    "tree": "oak pine birch willow maple elm cedar beech fir".split(),
    "tool": "hammer saw screwdriver drill spanner chisel axe shovel".split(),
    "instrument": "piano violin guitar flute drum trumpet harp cello".split(),
    "vehicle": "car bus train bicycle truck boat plane tram van".split(),
    "country": "France Spain Japan Brazil Egypt Canada India Norway Kenya Peru".split(),
    "piece of clothing": "shirt coat hat sock shoe scarf glove dress jacket".split(),
    "drink": "water tea coffee milk juice lemonade cocoa".split(),
    "sport": "tennis football swimming hockey golf rugby judo basketball".split(),
    "insect": "ant bee wasp fly beetle butterfly moth cricket".split(),
    "planet": "Mercury Venus Earth Mars Jupiter Saturn Uranus Neptune".split(),
    "shape": "circle square triangle rectangle hexagon pentagon oval".split(),
    "metal": "iron gold silver copper tin zinc aluminium lead".split(),
    "piece of furniture": "table chair bed sofa desk shelf cupboard wardrobe".split(),
    "body part": "hand foot knee elbow nose ear shoulder neck".split(),
}
PLURAL_CATEGORY = {
    "fruit": "fruits", "country": "countries", "piece of clothing": "pieces of clothing", "piece of furniture": "pieces of furniture",
    "body part": "body parts", "metal": "metals",
}

ONES = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
eighteen nineteen""".split()
TENS = "_ _ twenty thirty forty fifty sixty seventy eighty ninety".split()


def number_word(n):
    if n < 20:
        return ONES[n]
    if n < 100:
        return TENS[n // 10] + ("-" + ONES[n % 10] if n % 10 else "")
    rest = n % 100
    return ONES[n // 100] + " hundred" + (" and " + number_word(rest) if rest else "")


def plural_category(c):
    return PLURAL_CATEGORY.get(c, c + "s")
