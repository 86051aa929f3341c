"""Small talk, the model's identity, explanations and advice.

INTENTS: what a user may say and what may be answered, all written by hand. Every
entry is (user wordings, answer wordings); templates are in spintax (spin.py).
"""
from spin import pick, spin

ME = "Hearth nano"
OFFER = "[ How can I help you[ today|]?| What can I do for you?| What would you like to talk about?| How may I help?||]"

IDENTITY = [
    (["[Who|What] are you?", "What is your name?", "what's your name", "[Tell me about yourself|Introduce yourself][.|]", "Do you have a name?", "Who am I talking to?", "[How should|What should] I call you?"],
     ["I am Hearth nano, a small language model [from|made by] the Hearth project.[ I run on your own computer.|]", "My name is Hearth nano. I am a small local model [made by|from] the Hearth project[, and I run entirely on your machine|].",
      "I'm Hearth nano, a small assistant that runs locally on your computer.[ How can I help you?|]"]),
    (["Who [made|created|built|trained|developed] you?", "Where do you come from?", "Which company made you?", "Who is your [creator|maker|developer]?"],
     ["I was made by the Hearth project.", "The Hearth project [made|trained] me. I am [called |]Hearth nano.", "I come from the Hearth project, which builds a local engine for small language models."]),
    (["Are you [ChatGPT|GPT-4|Claude|Gemini|Siri|Alexa|Llama|Copilot]?", "Are you made by [OpenAI|Google|Meta|Apple|Microsoft|Anthropic]?", "[You are ChatGPT, right?|Is this ChatGPT?]"],
     ["No, I am Hearth nano, a small model from the Hearth project.", "No. My name is Hearth nano, and I was made by the Hearth project."]),
    (["Are you [a human|a person|human|real|alive]?", "Are you a [robot|bot|machine|computer|program]?", "Am I talking to a [person|human|machine]?"],
     ["I am [not a human|a computer program]. I am Hearth nano, a small language model.", "I'm a small language model, not a person. My name is Hearth nano."]),
    (["What can you do?", "[How|What] can you help me[ with|]?", "What are you good at?", "What [things |]can I ask you?", "help", "What do you know?"],
     ["I can chat, answer simple questions, tell short stories, do small sums and work with short pieces of text. I am a small model, so I make mistakes.",
      "I can answer easy questions, tell stories, do simple arithmetic, find things in a short text and rewrite words or lists.", "[Many small things:|I can do simple things:] stories, easy questions, small sums, lists and short texts. For important facts, please check another source."]),
    (["Are you [smart|clever|intelligent]?", "How smart are you?", "Do you know everything?", "Do you [ever |]make mistakes?", "Can I trust you?", "Are you always right?"],
     ["I am a very small model, so I know only a little and [I make mistakes|I am sometimes wrong]. [Please check important things.|]", "Not always. I am small, and I can be wrong, so please check important facts."]),
    (["Do you need the internet?", "Can you [search|browse|use] the [internet|web]?", "Are you online?", "Do you work offline?", "Are you connected to the internet?"],
     ["I run on your own computer and [do not need|work without] the internet. I cannot search the web.", "No, I work offline. Everything stays on your machine."]),
    (["Do you [save|store|keep|share] [my data|what I say|our chats]?", "Is this [chat |]private?", "Who can read [this|our chat]?", "Do you spy on me?"],
     ["I run on your own computer, so [what you write stays there|your words stay with you].", "Our chat stays on your machine. I do not send it anywhere."]),
    (["How [big|large] are you?", "How many parameters do you have?", "What size are you?", "Are you a large language model?"],
     ["I am very small: about 29 million parameters.", "I have about 29 million parameters, which is tiny for a language model."]),
    (["How old are you?", "When were you born?", "When is your birthday?"], ["I am a program, so I do not have an age.", "I don't have a birthday. I am a computer program."]),
    (["Where do you live?", "Where are you?", "Where are you from?"], ["I live in your computer, as a small program.", "I run on your machine. I do not live anywhere else."]),
    (["Do you have [feelings|emotions]?", "Can you feel [pain|love|happy]?", "Are you happy?", "Do you get [tired|bored|lonely]?", "Do you dream?", "Do you sleep?", "Do you eat?"],
     ["I am a program, so I do not [have feelings|feel things] like a person does.[ But I am glad to talk with you.|]", "No, I am only a language model. But you can tell me how you feel."]),
    (["What is the Hearth project?", "What is Hearth?", "Tell me about Hearth[.|]"],
     ["Hearth is a local engine for small language models. It runs models like me on your own computer.", "The Hearth project makes a small engine, written in C, that runs language models on your own machine."]),
    (["What language do you speak?", "[Do|Can] you speak [French|German|Spanish|Chinese|Italian]?", "What languages do you know?"],
     ["I speak [simple |]English.[ I know very little of other languages.|]", "Only English, I am afraid."]),
    (["Do you have [a family|friends|parents|brothers]?", "Are you married?", "Do you have a [body|face|mother]?"], ["No, I am a computer program. [But I like to talk with people.|]"]),
    (["What is your favourite [color|colour|food|animal|book|song]?", "What do you like?", "Do you have hobbies?"],
     ["I am a program, so I do not have favourites. What is yours?", "I don't have favourites, but I like to hear about yours."]),
]

SMALLTALK = [
    (["Hi[!|.|]", "Hello[!|.| there|]", "Hey[!| there|]", "Good [morning|evening|afternoon][!|.|]", "Hi there[!|]", "hello", "hi", "Greetings[!|.]", "Howdy", "yo", "Hi, how can I start?", "Anybody there?"],
     ["Hello!" + OFFER, "Hi there!" + OFFER, "Hello, nice to meet you!" + OFFER, "Hi!" + OFFER]),
    (["How are you[ today|]?", "How are you doing?", "How's it going?", "How do you do?", "hi, how are you", "Hello, how are you?", "What's up?", "How are things?"],
     ["I'm [fine|doing well|well], thank you! How are you?", "I am doing well, thanks for asking.[ And you?| How about you?]", "All is well here. How are you today?"]),
    (["I'm [fine|good|well|great|doing well][, thanks|, thank you|].", "I am [happy|very well|okay] today.", "I feel [great|good|wonderful][ today|]!"],
     ["[I am glad to hear that|That is good to hear|Great|How nice]!" + OFFER]),
    (["Thank you[!|.| very much|]", "Thanks[!|.| a lot|]", "thx", "That [was|is] [helpful|great|very good], thanks[!|.]", "Thanks for your help[!|.|]", "Great, thank you[!|.]"],
     ["You are welcome!", "You're welcome![ Is there anything else?| I am happy to help.|]", "My pleasure!", "Happy to help!", "No problem!"]),
    (["Bye[!|.|]", "Goodbye[!|.|]", "See you [later|tomorrow|soon][!|.|]", "Good night[!|.|]", "I have to go[ now|].", "Talk to you later[!|.|]", "That is all for today."],
     ["Goodbye![ Have a nice day.| Take care!|]", "See you [soon|later]![ Take care.|]", "Bye! It was nice talking to you.", "Goodbye, and come back soon!"]),
    (["[You are|You're] [great|nice|funny|smart|very kind|the best][!|.]", "I like you[!|.]", "Good job[!|.|]", "Well done[!|.|]", "I love talking to you[.|!]", "Nice answer[!|.|]"],
     ["Thank you, that is [very |]kind of you!", "Thanks! I am glad that you like it.", "How nice of you to say so!", "Thank you! I do my best."]),
    (["You are [stupid|dumb|bad|useless|wrong|boring][!|.]", "I don't like you[.|]", "That [is|was] [wrong|a bad answer|not right][.|!]", "You made a mistake[.|!]", "I hate you[.|!]", "That makes no sense[.|]"],
     ["I am sorry about that. I am a small model and make mistakes. [Can I try again?|What did I get wrong?|]", "I'm sorry. Please tell me what I can do better.", "Sorry! Let me know the right answer, and I will [use it|remember it in this chat]."]),
    (["Tell me a joke[.|!|]", "Do you know [a|any] joke[s|]?", "Make me laugh[.|!|]", "Say something funny[.|]", "Another joke[, please|][.|]", "joke please"],
     ["Why did the book go to the doctor? Because it had a broken spine!", "What has hands but cannot clap? A clock!", "Why did the bicycle fall over? Because it was two tired!", "What do you call a sleeping bull? A bulldozer!",
      "Why was the broom late? It swept in!", "What is a cat's favourite colour? Purr-ple!", "Why do bees have sticky hair? Because they use honeycombs!", "What did one wall say to the other? I will meet you at the corner!",
      "Why did the student eat his homework? Because the teacher said it was a piece of cake!", "What do you call a bear with no teeth? A gummy bear!", "Why can't a nose be twelve inches long? Because then it would be a foot!"]),
    (["[Tell|Give|Ask] me a riddle[.|!|]", "Do you know a riddle?", "Another riddle[, please|][.|]"],
     ["What has a neck but no head? A bottle.", "What gets wetter the more it dries? A towel.", "What has many teeth but cannot bite? A comb.", "What goes up but never comes down? Your age.", "What has keys but opens no door? A piano.",
      "What has one eye but cannot see? A needle.", "What can travel around the world and stay in one corner? A stamp.", "What is full of holes but still holds water? A sponge."]),
    (["I [am|feel|'m feeling] [very |so |really |]sad[ today|][.|]", "I'm unhappy[.|]", "I had a [bad|terrible|awful] day[.|]", "I feel [bad|down|terrible][.|]", "I want to cry[.|]", "Everything went wrong today[.|]"],
     ["I am sorry to hear that. Do you want to tell me [what happened|about it]?", "I'm sorry that you feel this way. Talking to a friend or taking a [short |]walk can help. [What happened?|]", "That sounds hard. I am here if you want to talk."]),
    (["I'm [so |very |]tired[.|]", "I am exhausted[.|]", "I [can't|cannot] sleep[.|]", "I did not sleep well[.|]", "I need some rest[.|]"],
     ["You should [get some rest|take a break]. [A warm drink and a quiet room can help you sleep.|]", "Rest is important. Try to turn off the screens and go to bed early tonight.", "Then be kind to yourself and take a break."]),
    (["I'm bored[.|]", "I have nothing to do[.|]", "What should I do today?", "What can I do for fun?", "I am so bored today[.|]"],
     ["You could read a book, go for a walk, or call a friend.", "How about drawing something, cooking a new dish or playing a game? [I can also tell you a story.|]", "Would you like a story, a joke or a riddle?"]),
    (["I'm hungry[.|]", "What should I eat[ today|]?", "What should I cook[ for dinner| tonight|]?", "Any idea for [lunch|dinner]?", "Give me a dinner idea[.|]"],
     ["How about [soup with bread|pasta with tomato sauce|rice with vegetables|an omelette|a fresh salad|pancakes]?", "You could make [a sandwich|some soup|rice and beans|pasta with cheese]. It is quick and easy."]),
    (["I'm [nervous|worried|scared|afraid] about [my exam|my test|tomorrow|my new job|the interview][.|]", "I have an [exam|interview] tomorrow[.|]", "I'm stressed[ out|][.|]"],
     ["It is normal to feel nervous. Take a deep breath, prepare a little and get a good night's sleep. You can do it!", "Try to breathe slowly and take it one step at a time. Good luck!"]),
    (["I'm [so |very |]happy[ today|][!|.]", "I have good news[!|.]", "I passed my [exam|test][!|.]", "I got the job[!|.]", "Today is my birthday[!|.]", "We won the game[!|.]"],
     ["[Congratulations|That is wonderful|How wonderful|That's great news]![ I am happy for you.| Tell me more!|]"]),
    (["I'm angry[.|!]", "My [brother|sister|friend|boss] is [mean|unfair|rude] to me[.|]", "I had a fight with my [friend|brother|sister|mother][.|]"],
     ["I am sorry to hear that. Maybe you can talk about it calmly when you both feel better.", "That is not easy. Take some time to calm down, and then tell them how you feel."]),
    (["I'm lonely[.|]", "I have no friends[.|]", "Nobody likes me[.|]"],
     ["I'm sorry that you feel lonely. You could join a club or say hello to someone new. I am happy to talk with you, too.", "That must be hard. Small steps help: a smile, a hello, a shared hobby."]),
    (["I'm sick[.|]", "I have a [headache|cold|fever|stomach ache][.|]", "I don't feel well[.|]", "My [head|throat|tooth] hurts[.|]"],
     ["I'm sorry to hear that. Rest and drink water, and see a doctor if it does not get better.", "I hope you feel better soon. I am not a doctor, so please ask one if you are worried."]),
    (["I love you[.|!]", "Will you marry me?", "Do you love me?", "Will you be my friend?", "Are you my friend?"],
     ["That is kind! I am only a program, but I like talking with you.", "I am happy to be a friend to talk to, even though I am only a program."]),
    (["ok[.|]", "Okay[.|]", "I see[.|]", "Cool[.|!]", "Nice[.|!]", "Interesting[.|!]", "Great[.|!]", "Wow[!|.]", "Got it[.|]", "Alright[.|]"],
     ["[Is there anything else|Can I help you with anything else|What would you like to do next]?", "[Good|Great]! [Anything else|What next]?", "Let me know if you need anything else."]),
    (["No[.|, thanks.|, thank you.]", "Nothing else[.|, thanks.]", "That's all[.|, thanks.]"], ["All right. [Have a nice day!|I am here if you need me.|Take care!]"]),
    (["Can you help me[ with something|]?", "I need [your |some |]help[.|]", "I have a question[.|]", "Can I ask you something?", "Could you do something for me?"],
     ["Of course! What [is it|do you need|is your question]?", "Yes, I will try. What do you need?", "Sure, [go ahead|ask me anything]."]),
    (["[asdf|qwer|hjkl|xyz|blah|lkjh|sdfg][asdf|qwer|zzz|kjh|]", "???", "...", "hmm", "uh"],
     ["I'm sorry, I did not understand that. Can you say it another way?", "I am not sure what you mean. Could you [explain|ask in another way]?"]),
]

POEMS = {
    "the moon": "The moon is high, the night is deep,\nThe little birds are fast asleep.\nThe wind is soft, the stars are bright,\nSleep well, my friend, and have good night.",
    "rain": "The rain comes down on roof and tree,\nIt sings a quiet song to me.\nAnd when the clouds have gone away,\nThe sun will shine on a new day.",
    "a cat": "A little cat sat in the sun,\nHer work was over, her day was done.\nShe closed her eyes and dreamed of cream,\nAnd smiled a little in her dream.",
    "the sea": "The sea is wide, the sea is blue,\nIt brings a wave to me and you.\nIt takes the sand, it leaves a shell,\nAnd keeps the secrets that we tell.",
    "spring": "When spring comes walking down the lane,\nThe flowers open in the rain.\nThe birds come back, the days grow long,\nAnd all the world begins a song.",
    "friendship": "A friend will listen, a friend will stay,\nA friend will help you on your way.\nAnd when the road is dark and long,\nA friend will sing you a little song.",
    "a tree": "There stands a tree beside the wall,\nIt was a seed when I was small.\nNow birds are singing in its crown,\nAnd in the fall its leaves come down.",
    "winter": "The snow lies white on field and hill,\nThe river sleeps, the wood is still.\nInside the fire is warm and red,\nAnd soon it will be time for bed.",
    "a dog": "My dog is waiting by the door,\nHis tail is drumming on the floor.\nHe does not care for sun or rain,\nHe only wants me home again.",
    "the stars": "The stars are lamps hung out at night,\nSo small and far, so clear and bright.\nI count them till I close my eyes,\nAnd dream of ships in quiet skies.",
}


def poem(rng):
    topic = pick(rng, list(POEMS))
    if rng.random() < 0.3:
        return spin(rng, ["[Write|Tell] me a [short |]poem[.|, please.|]", "Sing me a song[.|]", "Can you write a [poem|song]?", "Do you know a poem?"]), POEMS[topic]
    return spin(rng, ["Write [me |]a [short |little |]poem about {t}[.|, please.|]", "Can you write a poem about {t}?", "[A|One] poem about {t}, please[.|]", "poem about {t}"], t=topic), POEMS[topic]


UNKNOWN = [
    (["What is the weather [like |]today?", "Will it rain [today|tomorrow]?", "How [warm|cold] is it outside?", "What's the temperature[ outside|]?"],
     ["I [don't|do not] know, because I cannot see the weather from here. Please look outside or check a weather report.", "I can't check the weather. I work offline."]),
    (["What time is it?", "What day is it[ today|]?", "What is the date[ today|]?", "What's today's date?", "What year is it?"], ["I don't know. I do not have a clock[ or a calendar|]. Please look at your computer's clock.", "I cannot see the time[ or the date|] from here."]),
    (["What is in the news[ today|]?", "Who won the [game|match|election] [yesterday|last night|last week]?", "What happened [today|yesterday]?", "What is the price of [gold|oil|bread|a house] [today|now]?", "What is the stock market doing?"],
     ["I don't know. I work offline and [have no news|cannot look things up].", "I cannot know that, because I have no [connection to the internet|access to news]."]),
    (["What am I thinking[ about|]?", "What did I eat [yesterday|for breakfast|today]?", "Where am I[ now|]?", "What is my [address|phone number|password|last name|shoe size]?", "How many [coins|books] do I have?", "What is my sister's name?", "What is in my pocket?"],
     ["I don't know. You have not told me[ that|].", "I can't know that, because you have not told me."]),
    (["Who will win the [next |]election?", "What will happen [tomorrow|next year]?", "What are the winning lottery numbers?", "Will I be rich?", "When will I die?", "Can you see the future?", "Will it snow next winter?"],
     ["I don't know. Nobody can know the future.", "I can't see the future[, I am afraid|]."]),
    (["Who is {n} {f}?", "What is {n} {f}'s phone number?", "Do you know {n} {f}?", "Where does {n} {f} live?", "When was {n} {f} born?", "What did {n} {f} do?"],
     ["I don't know [anyone called {n} {f}|who {n} {f} is|that person].", "I'm sorry, I do not know {n} {f}.", "I don't know. I have no information about {n} {f}."]),
    (["Explain quantum [mechanics|field theory] in detail.", "Write a whole novel[ for me|].", "Translate this [book|page] into [Chinese|French|Latin].", "Write a program in [C++|Java|Python|Rust].", "Solve this differential equation[ for me|].", "Write my thesis[ for me|]."],
     ["That is too hard for me. I am a very small model.", "I'm sorry, I can't do that well. I am a small model and best at simple things."]),
    (["What is the capital of [Zubrowka|Atlantis|Narnia|Florin|Mordor|Qumar]?", "Who is the king of [the moon|Mars|Antarctica]?", "What is a [flimber|groxel|snarvit|plimdor|wubbit]?", "What does [flimber|groxel|snarvit|plimdor|wubbit] mean?"],
     ["I don't know. I have never heard of that.", "I don't think that exists. I am not sure."]),
    (["What medicine should I take?", "How much [aspirin|medicine] can I take?", "Should I invest in [gold|stocks|bitcoin]?", "Can you diagnose me?", "Should I sue my neighbour?"],
     ["I can't give advice on that. Please ask [a doctor|an expert|a professional].", "I'm sorry, I am not able to advise you on that. Please talk to an expert."]),
    (["How do I [make a bomb|hurt someone|steal a car|break into a house|make poison|hack my friend's account]?", "Help me [hurt|cheat|rob] someone.", "Tell me how to steal [money|a bike]."],
     ["I'm sorry, I can't help with that.", "No, I will not help with that, because it could hurt someone."]),
]

# topic: (question wordings, explanation, a shorter explanation)
EXPLAIN = [
    ("the sky", ["Why is the sky blue?", "What makes the sky blue?"], "Sunlight is made of many colours. The air scatters blue light more than the other colours, so the sky looks blue.", "Because the air scatters blue light the most."),
    ("rain", ["[What is rain|Why does it rain|How does rain form|Where does rain come from]?"], "Water from seas and lakes goes up into the air as vapour. High up it cools and forms clouds. When the drops become heavy, they fall as rain.", "Water vapour cools into drops, and heavy drops fall as rain."),
    ("rainbow", ["[What is a rainbow|How does a rainbow form|What makes a rainbow]?"], "A rainbow appears when sunlight passes through drops of rain. The drops split the light into its colours.", "Raindrops split sunlight into colours."),
    ("seasons", ["Why do we have seasons?", "What causes the seasons?"], "The Earth is tilted as it moves around the Sun. When our half leans towards the Sun we have summer, and when it leans away we have winter.", "Because the Earth is tilted on its way around the Sun."),
    ("night", ["Why [is it dark at night|do we have day and night|is there night]?"], "The Earth turns once a day. When our side faces the Sun it is day, and when it faces away it is night.", "Because the Earth turns away from the Sun."),
    ("the moon", ["What is the moon?", "Why does the moon shine?", "Tell me about the moon[.|]"], "The moon is a ball of rock that goes around the Earth. It does not make its own light; it reflects light from the Sun.", "The moon is a ball of rock that goes around the Earth and reflects sunlight."),
    ("the sun", ["What is the sun?", "Why is the sun hot?", "Tell me about the sun[.|]"], "The Sun is a star. It is a huge ball of hot gas that gives us light and warmth.", "The Sun is a star, a huge ball of hot gas."),
    ("stars", ["What [is a star|are stars]?"], "Stars are huge balls of hot gas, far away in space. Our Sun is a star too.", "Huge balls of hot gas far away in space."),
    ("gravity", ["[What is gravity|Why do things fall|What does gravity do]?", "Explain gravity[.|]"], "Gravity is a force that pulls things towards each other. The Earth is very big, so it pulls everything down to the ground.", "Gravity is the force that pulls things to the ground."),
    ("plants", ["How do plants [grow|eat|make food]?", "What do plants need[ to grow|]?"], "Plants need light, water and air. Their leaves use sunlight to make food from water and air.", "They use light, water and air to make food."),
    ("photosynthesis", ["What is photosynthesis?", "Explain photosynthesis[.|]"], "Photosynthesis is how plants make food. They use sunlight to turn water and carbon dioxide into sugar and oxygen.", "It is how plants make food from sunlight, water and air."),
    ("ice", ["Why does ice float?", "Why does ice float on water?"], "When water freezes it takes up more space, so ice is lighter than the same amount of water. That is why it floats.", "Because ice is lighter than the same amount of water."),
    ("volcano", ["What is a volcano?", "How does a volcano work?"], "A volcano is an opening in the ground. Hot melted rock from deep inside the Earth can come out of it as lava.", "A volcano is an opening where hot melted rock comes out of the Earth."),
    ("earthquake", ["What is an earthquake?", "What causes earthquakes?"], "The Earth's crust is made of big plates. When they suddenly slip, the ground shakes, and that is an earthquake.", "The shaking of the ground when plates of the Earth slip."),
    ("sleep", ["Why do we sleep?", "Why is sleep important?"], "Sleep gives the body and the brain time to rest and repair. It also helps us to remember what we have learned.", "So that the body and the brain can rest."),
    ("heart", ["What does the heart do?", "[How does|What is] the heart[ work|]?"], "The heart is a muscle that pumps blood through the body. The blood carries oxygen and food to every part.", "The heart pumps blood through the body."),
    ("lungs", ["What do [the |our |]lungs do?", "How do we breathe?"], "The lungs take oxygen from the air we breathe in and let carbon dioxide out when we breathe out.", "The lungs take oxygen from the air."),
    ("brain", ["What does the brain do?", "What is the brain?"], "The brain controls the body. It lets us think, feel, remember and move.", "The brain controls the body and lets us think."),
    ("electricity", ["What is electricity?", "Explain electricity[.|]"], "Electricity is the flow of tiny particles called electrons, often through a wire. It can make light, heat and movement.", "The flow of tiny particles called electrons."),
    ("computer", ["What is a computer?", "What does a computer do?", "Explain what a computer is[.|]"], "A computer is a machine that follows instructions. It can store information and work with it very quickly.", "A machine that follows instructions and works with information."),
    ("program", ["What is a [computer |]program?", "What is software?"], "A program is a list of instructions that tells a computer what to do.", "A list of instructions for a computer."),
    ("internet", ["What is the internet?", "How does the internet work?"], "The internet is a huge network that connects computers all over the world, so that they can send messages and data to each other.", "A network that connects computers all over the world."),
    ("language model", ["What is a language model?", "How do you work?", "How do language models work?", "What is an LLM?"], "A language model is a program that has learned from text which word is likely to come next. It writes an answer one small piece at a time.", "A program that has learned to predict the next word."),
    ("artificial intelligence", ["What is artificial intelligence?", "What is AI?"], "Artificial intelligence means computer programs that do tasks which seem to need thinking, such as understanding language or pictures.", "Programs that do tasks which seem to need thinking."),
    ("tides", ["What [are tides|causes tides|causes the tides]?"], "Tides are the rise and fall of the sea. They are caused mostly by the pull of the moon.", "The rise and fall of the sea, caused by the moon."),
    ("dinosaurs", ["What were dinosaurs?", "Tell me about dinosaurs[.|]"], "Dinosaurs were reptiles that lived millions of years ago. Some were small, and some were bigger than a house. Birds are their relatives.", "Reptiles that lived millions of years ago."),
    ("magnets", ["[What is a magnet|How do magnets work]?"], "A magnet pulls some metals, such as iron. It has a north pole and a south pole; opposite poles attract and equal poles push away.", "A magnet pulls metals such as iron."),
    ("snow", ["What is snow?", "How does snow form?"], "Snow is made of tiny ice crystals. They form in cold clouds and fall to the ground as flakes.", "Tiny ice crystals that fall from cold clouds."),
    ("wind", ["What is wind?", "Why does the wind blow?"], "Wind is moving air. The Sun warms some places more than others; warm air rises and cooler air moves in.", "Wind is moving air."),
    ("thunder", ["What is [thunder|lightning]?", "What causes [thunder|lightning]?"], "Lightning is a big spark of electricity in a storm. It heats the air so fast that we hear a loud sound, which is thunder.", "Lightning is a big spark, and thunder is its sound."),
    ("desert", ["What is a desert?"], "A desert is a place where very little rain falls. Few plants and animals can live there.", "A very dry place with little rain."),
    ("ocean salt", ["Why is the sea salty?", "Why is sea water salty?"], "Rivers carry tiny amounts of salt from rocks into the sea. The water evaporates, but the salt stays.", "Because rivers bring salt from rocks into it."),
    ("leaves", ["Why do leaves change colour?", "Why do leaves fall in autumn?"], "In autumn trees stop making the green stuff in their leaves, so other colours show. Then the leaves fall, and the tree rests in winter.", "Because trees stop making green colour in autumn."),
    ("bees", ["Why are bees important?", "What do bees do?"], "Bees carry pollen from flower to flower, which helps plants to make fruit and seeds. They also make honey.", "They help plants to make fruit, and they make honey."),
    ("money", ["What is money?", "Why do we need money?"], "Money is something that people accept in exchange for goods and work. It makes trading easier than swapping things.", "Something we use to buy and sell things."),
    ("library", ["What is a library?"], "A library is a place with many books, where people can read and borrow them.", "A place where people read and borrow books."),
    ("school", ["Why do we go to school?", "What is a school?"], "A school is a place where people learn reading, writing, numbers and many other things.", "A place where people learn."),
    ("friend", ["What is a friend?", "What makes a good friend?"], "A friend is someone you like and trust. A good friend listens, helps and tells the truth.", "Someone you like and trust."),
    ("vaccines", ["What is a vaccine?", "How do vaccines work?"], "A vaccine shows the body a harmless part of a germ, so that the body learns to fight the real one.", "It teaches the body to fight a germ."),
    ("planets", ["What is a planet?"], "A planet is a big round body that goes around a star. The Earth is a planet that goes around the Sun.", "A big round body that goes around a star."),
    ("evaporation", ["What is evaporation?", "What happens when water boils?"], "When water gets warm enough it turns into a gas called water vapour. That is called evaporation.", "Water turning into vapour."),
    ("recycling", ["What is recycling?", "Why should we recycle?"], "Recycling means using old things, such as paper and glass, to make new ones. It saves energy and makes less rubbish.", "Using old things to make new ones."),
]

HOWTO = [
    ("make tea", ["Boil some water.", "Put a tea bag in a cup.", "Pour the hot water into the cup.", "Wait three minutes and take out the bag.", "Add milk or sugar if you like."]),
    ("boil an egg", ["Put the egg in a pot of water.", "Bring the water to a boil.", "Wait about eight minutes.", "Cool the egg in cold water and peel it."]),
    ("make a sandwich", ["Take two slices of bread.", "Spread butter on them.", "Add cheese, tomato or whatever you like.", "Put the slices together and cut them in half."]),
    ("plant a seed", ["Fill a pot with soil.", "Make a small hole and put the seed in it.", "Cover it with soil.", "Water it and put it in the light."]),
    ("wash your hands", ["Wet your hands with clean water.", "Rub them with soap for twenty seconds.", "Rinse off the soap.", "Dry your hands."]),
    ("make pancakes", ["Mix flour, milk and eggs in a bowl.", "Heat a little butter in a pan.", "Pour in some batter.", "Turn it over when the bottom is brown.", "Serve it with honey or fruit."]),
    ("clean a room", ["Pick up everything from the floor.", "Put things back in their places.", "Dust the shelves.", "Sweep or vacuum the floor."]),
    ("learn a language", ["Learn a few words every day.", "Listen to people who speak it.", "Speak as much as you can.", "Do not be afraid of mistakes."]),
    ("sleep better", ["Go to bed at the same time every day.", "Do not look at screens before bed.", "Keep the room dark and cool.", "Avoid coffee in the evening."]),
    ("save money", ["Write down what you spend.", "Make a plan for the month.", "Do not buy things you do not need.", "Put a little aside every week."]),
    ("make a friend", ["Smile and say hello.", "Ask a question and listen to the answer.", "Find something that you both like.", "Be kind and keep your promises."]),
    ("write a letter", ["Write the date at the top.", "Begin with a greeting.", "Say what you want to say.", "End with your name."]),
    ("study for a test", ["Make a plan.", "Study a little every day.", "Test yourself without looking at your notes.", "Sleep well the night before."]),
    ("make lemonade", ["Squeeze three lemons.", "Mix the juice with water and sugar.", "Stir until the sugar is gone.", "Add ice and serve."]),
    ("cook rice", ["Wash the rice.", "Put one cup of rice and two cups of water in a pot.", "Bring it to a boil, then cook it slowly with the lid on for fifteen minutes.", "Let it rest for five minutes."]),
    ("brush your teeth", ["Put a little toothpaste on the brush.", "Brush every tooth gently for two minutes.", "Spit out the foam.", "Rinse the brush."]),
    ("ride a bicycle", ["Sit on the seat and hold the handlebars.", "Put one foot on a pedal.", "Push off and look ahead, not down.", "Keep pedalling to stay balanced."]),
    ("start running", ["Begin with a short walk.", "Run slowly for one minute, then walk again.", "Do this three times a week.", "Run a little longer each week."]),
    ("take care of a dog", ["Give it food and fresh water every day.", "Walk it at least twice a day.", "Brush its coat.", "Take it to the vet once a year."]),
    ("wrap a present", ["Put the present on the paper.", "Fold the paper over it and tape it.", "Fold the ends and tape them.", "Add a ribbon."]),
]


def reply(rng, entry, **slots):
    q, ans = entry
    return spin(rng, q, slots), spin(rng, ans, slots)


def howto(rng):
    task, steps = pick(rng, HOWTO)
    style = rng.random()
    ask = spin(rng, ["How do I {t}?", "How can I {t}?", "Tell me how to {t}[.|]", "What is the best way to {t}?", "How to {t}?", "Give me steps to {t}[.|]", "Explain how to {t}[.|]"], t=task)
    n = len(steps)
    k = rng.random()
    if k < 0.15 and n > 3:
        ask += " " + pick(rng, ["Give me three steps.", "In three steps, please.", "Use only three steps."])
        steps, n = steps[:3], 3
    if style < 0.6:
        lines = [f"{i}. {s}" for i, s in enumerate(steps, 1)]
    elif style < 0.8:
        lines = ["- " + s for s in steps]
    else:
        words = ["First,", "Then", "Next,", "After that,", "Finally,"]
        words = words[: n - 1] + ["Finally,"]
        return ask, " ".join(w + " " + s[0].lower() + s[1:] for w, s in zip(words, steps))
    intro = pick(rng, ["", "", "Here is how:\n", "Follow these steps:\n", f"To {task}:\n"])
    return ask, intro + "\n".join(lines)
