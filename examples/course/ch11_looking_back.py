"""Chapter 11. Looking back: when does attention pay?

Chapter 10 took attention apart and trained it on names. It was no better than an MLP
that reads the last three letters, and worse than a model that does not look back at
all. Names hardly ask for it: their next letter depends mostly on its neighbours. So was
it worth the trouble?

Here is a task that does ask for more. A word of random letters is followed by a dot,
and then by the word's first letter again: "cabf.c", "dea.d". The letters between are
random, so they tell you nothing. Whoever wants to know the last letter must look back
to the first one, and that is 3, 4, 5 or 6 letters before the dot. Real texts are full
of such questions. Which bracket was opened? What was the name of the man in the first
chapter? What is the subject that this verb must agree with?

We train three models on it: a window of three letters, a window that is wide enough for
the longest word, and attention. Then we look at where attention looks, and, since a
picture of where something looks proves little, we also switch parts of it off.

Before you run it: `python examples/learn.py 11` asks you for a few guesses first. If
you go without it, write down how often each of the three will be right. There are six
letters, so guessing at random is right once in six times. And guess this as well: words
of five letters will not occur in training at all. Who can still solve those?

Task: a small relative of the "copying" tasks on which memory in neural networks has
been tested since Hochreiter and Schmidhuber, "Long short-term memory", 1997.
"""

# %%
import random
import sys

from common import save_picture
from looks import first_layer_looks, heat_map_rows, with_zeros, without_heads
from window_mlp import new_window_mlp, window_mlp

from microgpt import (
    Adam,
    CharTokenizer,
    GPTConfig,
    as_floats,
    cross_entropy,
    empty_cache,
    flatten,
    gpt,
    init_params,
)
from microgpt.tools.draw import Line, heat_map, line_chart
from microgpt.tools.terminal import Progress
from microgpt.training import collector_paused

# %%
# The task. Words in training have 3, 4 or 6 letters. Words of 5 we keep for the test.
LETTERS = "abcdef"
TRAINED_LENGTHS = [3, 4, 6]
TEST_LENGTHS = [3, 4, 5, 6]
TOKENIZER = CharTokenizer(LETTERS + ".")
CHANCE = 1 / len(LETTERS)


def random_text(rng, length):
    """Return a random word of this length, a dot, and the word's first letter."""
    word = "".join([rng.choice(LETTERS) for _ in range(length)])
    return word + "." + word[0]


def question_and_answer(text):
    """Return (the tokens up to the dot, the token that should follow)."""
    tokens = TOKENIZER.encode_document(text)  # BOS, the text, BOS
    return tokens[:-2], tokens[-2]


rng = random.Random(1)
train_texts = []
for _ in range(1000):
    train_texts.append(random_text(rng, rng.choice(TRAINED_LENGTHS)))
test_texts = {}
for length in TEST_LENGTHS:
    test_texts[length] = [random_text(rng, length) for _ in range(200)]

print("The task: what comes after the dot?")
for text in train_texts[:3]:
    question, answer = question_and_answer(text)
    print(f'  "{text[:-1]}"  answer "{text[-1]}"   as tokens: {question}, {answer}')
    assert text[-1] == text[0]

# %%
# The models. Each is a function that takes the tokens so far, and returns the logits of
# the next one.
#
# First, the MLP of chapter 9, once with a window of three tokens and once with a window
# of seven, which holds the longest word and the dot. `window_mlp`, from window_mlp.py
# in this folder, reads the width of the window off the parameters.
#
# Second, microgpt's own model, with one layer and a single attention head of 16
# numbers. There is more in it than chapter 10 has shown: what attention finds is
# *added* to x (chapter 12), and an MLP follows that works on each letter by itself
# (chapter 13). So the comparison is not quite a fair one. This is a whole GPT against
# an MLP with 32 neurons; if it needs fewer words, that need not be due to attention
# alone. What can be compared is what either of them is *able* to learn. And to be sure
# that it is attention that solves the task, we shall switch it off.
config = GPTConfig(vocab_size=TOKENIZER.vocab_size, n_head=1)


def gpt_logits(params, tokens):
    """Return the model's logits after the last of the tokens."""
    keys, values = empty_cache(config)
    for pos_id, token_id in enumerate(tokens):
        logits = gpt(params, config, token_id, pos_id, keys, values)
    return logits


def which_are_right(logits_of, params, texts):
    """Return True for each text whose answer gets the largest logit, else False."""
    right = []
    for text in texts:
        question, answer = question_and_answer(text)
        logits = logits_of(params, question)
        right.append(logits.index(max(logits)) == answer)
    return right


def accuracy(logits_of, params, texts):
    """Return the share of texts that are answered right."""
    return sum(which_are_right(logits_of, params, texts)) / len(texts)


# %%
# Training. The loss is the surprise at the answer, and at nothing else. The letters of
# the word are random, so nobody can predict them; asking for them would only add noise
# to the slopes. (Chat models are trained in the same way: the loss counts the answer,
# and not the question.)
#
# The steps are taken by `Adam`, which adapts the length of the step to each parameter.
# Chapter 15 takes it apart. All three models get the same words in the same order.
LEARNING_RATE = 0.01


def train(name, logits_of, params, texts):
    """Train params; return what they were every 50 words: [(words seen, floats), …]."""
    optimizer = Adam(flatten(params))
    snapshots = [(0, as_floats(params))]
    progress = Progress(
        f"{name}: word", len(texts), every=len(texts) // 2, stream=sys.stderr
    )
    for step, text in enumerate(texts):
        question, answer = question_and_answer(text)
        with collector_paused():
            loss = cross_entropy(logits_of(params, question), answer)
            loss.backward()
            del loss
        optimizer.step(LEARNING_RATE * (1 - step / len(texts)))
        words_seen = step + 1
        if words_seen % 50 == 0:
            snapshots.append((words_seen, as_floats(params)))
        progress.show(words_seen)
    progress.finish()
    return snapshots


n_tokens = TOKENIZER.vocab_size
three_snapshots = train(
    "window of three", window_mlp, new_window_mlp(3, n_tokens), train_texts
)
seven_snapshots = train(
    "window of seven", window_mlp, new_window_mlp(7, n_tokens), train_texts
)
attention_snapshots = train(
    "attention", gpt_logits, init_params(config, random.Random(1)), train_texts[:500]
)
_, three_params = three_snapshots[-1]
_, seven_params = seven_snapshots[-1]
_, attention_params = attention_snapshots[-1]

# %%
# The result. Each cell is the share of 200 test words that was answered right. (Even a
# model that guesses will not be right in exactly 17 % of 200 words. By chance the share
# is typically off by sqrt(0.17 * 0.83 / 200), or about 3 points.)
models = {
    "window of three": (window_mlp, three_params, 1000),
    "window of seven": (window_mlp, seven_params, 1000),
    "attention": (gpt_logits, attention_params, 500),
}
print("\nHow often is the first letter remembered? (200 new words of each length)")
print("                    words   letters in the word:         5 (never")
print("                     seen        3      4      6        in training)")
right = {}
for name, (logits_of, params, words_seen) in models.items():
    row = {}
    for length in TEST_LENGTHS:
        row[length] = accuracy(logits_of, params, test_texts[length])
    right[name] = row
    print(
        f"  {name:<16} {words_seen:6,} {row[3]:10.0%} {row[4]:6.0%} {row[6]:6.0%} "
        f"{row[5]:15.0%}"
    )
print(f"  guessing at random {CHANCE:14.0%} {CHANCE:6.0%} {CHANCE:6.0%} {CHANCE:15.0%}")

# The window of three is as good as rolling a die: its shares lie around 17 %, as far
# off as chance explains. No training can help it. It reads the dot and the last two
# letters, and the answer is in neither.
#
# The window of seven does contain the answer, and with enough words it learns to find
# it. But look at the last column. In a word of three, the first letter is in the fourth
# slot from the right, in a word of four in the fifth, in a word of six in the seventh.
# For each length the MLP learns separately which slot to copy, with weights of their
# own. In a word of five the answer is in the sixth slot. No training word has taught it
# to copy from there, and so it has no idea. What it learnt was three special cases.
#
# Attention learns one rule, "look at position 1", with one query, and the rule holds
# for words of all lengths that the block has room for, those of five included. (The
# query comes from x, and x says two things: this is a dot, and this is place 6. No dot
# ever stood at place 6 in training. But the part that is about the dot is the same
# everywhere, and it is that part which asks.) That is what it means to share weights
# between all places.
#
# (Is that luck? The words and the first parameters are random. Change the seeds, the 1
# in random.Random(1), and run it again. Every seed that we have tried left attention at
# 100 % in every column.)
assert max(right["window of three"].values()) < 2 * CHANCE
assert right["window of seven"][6] > 0.9 and right["window of seven"][5] < 2 * CHANCE
assert min(right["attention"].values()) > 0.95

# %%
# How did it go? The chart shows the share of right answers as the words go by, on words
# of the lengths that occur in training: 300 of them, so a share is typically off by two
# or three points.
chart_texts = []
for length in TRAINED_LENGTHS:
    chart_texts += test_texts[length][:100]


def right_at(logits_of, snapshots):
    """Return {words seen: which of the chart's texts are then answered right}."""
    right = {}
    for words_seen, params in snapshots:
        right[words_seen] = which_are_right(logits_of, params, chart_texts)
    return right


def curve_of(right):
    """Return [(words seen, share of right answers), …]."""
    return [(words, sum(answers) / len(answers)) for words, answers in right.items()]


# After 300 words attention has learnt all there is, so we ask it only once more, at the
# end.
asked_snapshots = [*attention_snapshots[:7], attention_snapshots[-1]]
attention_right = right_at(gpt_logits, asked_snapshots)
attention_curve = curve_of(attention_right)
seven_curve = curve_of(right_at(window_mlp, seven_snapshots))
three_curve = curve_of(right_at(window_mlp, three_snapshots))
lines = [
    Line("attention, one head", attention_curve),
    Line("window of seven", seven_curve),
    Line("window of three", three_curve),
    Line("guessing at random", [(0, CHANCE), (1000, CHANCE)], "dashed"),
]
svg = line_chart(
    lines,
    title="Which model learns to look back?",
    x_label="words seen in training",
    y_label="share of right answers",
    y_include=[0, 1],
)
print()
save_picture("ch11_accuracy.svg", svg)


def words_until(curve, level):
    """Return after how many words the accuracy was first at least this high."""
    reached = [words for words, share in curve if share >= level]
    return min(reached) if reached else None


attention_words = words_until(attention_curve, 0.95)
seven_words = words_until(seven_curve, 0.95)
print("Words seen until 95 % of the answers are right")
print(f"  attention:       {attention_words}")
print(f"  window of seven: {seven_words}")
print(f"  window of three: {words_until(three_curve, 0.95) or 'never'}")
assert attention_words < seven_words

# %%
# Look at the curve of attention. Up to 200 words it climbs no faster than the window of
# seven, and then, within 50 words, it goes up to 100 %. What happens inside? For the
# first 300 words, here is how much of its attention the dot gives to the first letter,
# on average over 50 words of six letters. (There are BOS, six letters and the dot to
# look at, so equal shares would be 1/8.) Beside it are the right answers, and these
# also for each letter by itself: of the words that begin with "a", how many are
# answered with "a"?
#
# `first_layer_looks`, from looks.py in this folder, computes the attention weights once
# more, as chapter 10 did, since the package's `attention` does not keep them.


def share_for_first_letter(params, texts):
    """Return the mean weight that the dot gives to the first letter of the word."""
    shares = 0.0
    for text in texts:
        question, _ = question_and_answer(text)
        weights_of_dot = first_layer_looks(params, config, question)[-1][0]
        shares += weights_of_dot[1]  # position 0 is BOS, position 1 the first letter
    return shares / len(texts)


def share_of_letter(right, letter):
    """Return the share of right answers among the texts that begin with the letter."""
    own = [right[i] for i in range(len(right)) if chart_texts[i][0] == letter]
    return sum(own) / len(own)


print("\n  words   attention for     right     of those that begin with")
print("   seen   first letter    answers" + "".join([f"{c:>7}" for c in LETTERS]))
first_letter_shares = {}
shares_of_letters = {}
for i in range(7):
    words_seen, params = attention_snapshots[i]
    right_answers = attention_right[words_seen]
    first_share = share_for_first_letter(params, test_texts[6][:50])
    first_letter_shares[words_seen] = first_share
    right_share = sum(right_answers) / len(right_answers)
    line = f"  {words_seen:5} {first_share:14.0%} {right_share:10.0%}"
    for letter in LETTERS:
        share = share_of_letter(right_answers, letter)
        shares_of_letters[words_seen, letter] = share
        line += f"{share:7.0%}"
    print(line)

# First comes the place, then the letters. At 50 words the dot still looks everywhere,
# and what it gathers is a blend of all letters, from which little can be read. From 50
# to 100 words it finds the first letter. But now it also has to learn what to make of
# the value that arrives from there, and this is a lesson for each letter by itself,
# which only the words that begin with it can teach. It takes longer than finding the
# place. And it goes letter by letter: at 200 words four of them are right every time
# and two never. When these two have been learnt as well, the curve jumps. (In the first
# row, before any training, the model gives nearly always the same answer, and is right
# where it happens to fit.)
assert first_letter_shares[50] < 0.2 < 0.7 < first_letter_shares[100]
shares_at_200 = [shares_of_letters[200, letter] for letter in LETTERS]
assert sorted(shares_at_200) == [0, 0, 1, 1, 1, 1]

# %%
# Where does it look, in the end? We ask for a word of five letters, a length that it
# has never seen.
WORD = "cabfe."
labels = ["BOS", *WORD]
tokens = [TOKENIZER.bos, *TOKENIZER.encode(WORD)]
looks = first_layer_looks(attention_params, config, tokens)
svg = heat_map(
    heat_map_rows(looks, head=0),
    row_labels=labels,
    column_labels=labels,
    title="The dot, and not only the dot, looks at the first letter",
    row_axis="looks from",
    column_axis="looks at",
    unit="attention weight (each row sums to 1)",
    low=0.0,
    high=1.0,
)
save_picture("ch11_looks.svg", svg)
weights_of_dot = looks[-1][0]
print(f'Where the dot of "{WORD}" looks')
for label, weight in zip(labels, weights_of_dot):
    print(f"  at {label:<4} {weight:6.1%}")
assert weights_of_dot[1] == max(weights_of_dot)

# The dot gives nearly all of its attention to the first letter. In the picture you see
# that all letters from the second on do much the same. Why? The model has never been
# asked anything at those letters, so it does not matter where they look, and nothing
# that it learnt kept them from following the rule which the dot needs. The rule even
# gets simpler by it: look at position 1, whoever you are.

# %%
# Is looking what matters? A picture of attention weights is not a proof. Perhaps the
# model gets its answer in another way, and looks at the first letter for no reason. Two
# tests are stronger.
#
# The first: change what is looked at. We replace one letter of a word and ask again. If
# the answer is copied from the first letter, it should follow when the first letter is
# changed, and stay when any other letter is.


def answer_to(word):
    """Return the letter that the model puts after this word and a dot."""
    logits = gpt_logits(
        attention_params, [TOKENIZER.bos, *TOKENIZER.encode(word + ".")]
    )
    return TOKENIZER.decode([logits.index(max(logits))])


def with_letter(word, place, letter):
    """Return the word with another letter at one place."""
    return word[:place] + letter + word[place + 1 :]


print("\nOne letter of a word of five is replaced: what does the answer do?")
print("  replaced     answer stays   answer becomes the new letter")
words_of_five = [text[:5] for text in test_texts[5][:50]]
follows = {}
for place in range(5):
    n_stays, n_follows = 0, 0
    for word in words_of_five:
        others = [letter for letter in LETTERS if letter not in word]
        new_letter = others[0] if others else LETTERS[0]
        old_answer = answer_to(word)
        new_answer = answer_to(with_letter(word, place, new_letter))
        n_stays += new_answer == old_answer
        n_follows += new_answer == new_letter
    follows[place] = n_follows / len(words_of_five)
    stays = n_stays / len(words_of_five)
    print(f"  letter {place + 1} {stays:16.0%} {follows[place]:23.0%}")
assert follows[0] > 0.95 and max([follows[place] for place in range(1, 5)]) < 0.05

# %%
# The second test: switch a part off, without training again, and see what is lost. Such
# an experiment is called an *ablation*. What attention has gathered enters the model
# through the matrix attn_wo, so with zeros there nothing of it arrives. With zeros in
# the matrix of the queries, all scores are 0, and it still gathers, but from all
# letters evenly: it no longer chooses. And with zeros in wpe, nobody knows the
# positions.
all_test_texts = []
for length in TEST_LENGTHS:
    all_test_texts += test_texts[length][:50]
switched_off = {
    "nothing": attention_params,
    "attention": without_heads(attention_params, config, heads=[0]),
    "choosing where to look": with_zeros(attention_params, "layer0.attn_wq"),
    "positions": with_zeros(attention_params, "wpe"),
    "the MLP": with_zeros(attention_params, "layer0.mlp_fc2"),
}
print("\nSwitched off               right answers (200 words of 3 to 6 letters)")
left_without = {}
for what, params in switched_off.items():
    left_without[what] = accuracy(gpt_logits, params, all_test_texts)
    print(f"  {what:<24} {left_without[what]:7.0%}")
print(f"  (guessing at random)     {CHANCE:7.0%}")
share_by_picking = 0.0
for text in all_test_texts:
    word, answer = text[:-2], text[-1]
    share_by_picking += word.count(answer) / len(word) / len(all_test_texts)
print(f"  (picking a letter of the word) {share_by_picking:.0%}")

# Without attention the model is back to rolling a die. (With 200 words, a die is
# typically off by 3 points.) If attention can still gather but not choose, or if nobody
# knows the positions, most answers are lost as well, though not quite as many: without
# positions clearly more are right than a die would get. Why? A blend of all letters no
# longer tells which one came first, but it does tell something about which letters
# there were. Whoever knows these, and picks one of them at random, is right in more
# than a third of the cases, as the last line says.
#
# And the MLP, which holds more than half of the parameters, is not even missed. So the
# model does indeed solve the task by looking, and by looking at a position.
assert left_without["nothing"] > 0.95
for what in ["attention", "choosing where to look", "positions"]:
    assert left_without[what] < 2.5 * CHANCE
assert left_without["the MLP"] > left_without["attention"] + 0.3

# What production does. Heads like this one are found in large models. The best known
# are called *induction heads*: they look for an earlier place where the same token
# stood, and copy what followed it there (Olsson et al., "In-context learning and
# induction heads", 2022). It is a good part of what lets a model pick up a new word or
# a pattern from the text in front of it. How well a model finds one fact in a very long
# text is tested with a "needle in a haystack", which is our task with more hay.
#
# What is still missing. We borrowed the whole model, and two parts of it have not been
# explained. Next come the sums and the normalisation that hold its layers together.
#
# Exercises. Hints and solutions are in ch11_solution.py.
# 1. Give the model four heads of 4 numbers instead of one of 16 (n_head=4). Which of
#    them look at the first letter? Switch each of them off alone. What do you find?
# 2. Put into the loss what we left out: the surprise at every letter, `document_loss`.
#    How far does the model get with the same 500 words, and why?
# 3. Ask for the *last* letter of the word instead ("cabf.f"). Which model wins now?
