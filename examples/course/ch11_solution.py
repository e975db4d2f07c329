"""Solutions to chapter 11. Read the hint first, try again, then look at the code."""

# %%
import random
import sys

from looks import first_layer_looks, without_heads
from window_mlp import new_window_mlp, window_mlp

from microgpt import (
    Adam,
    CharTokenizer,
    GPTConfig,
    as_floats,
    cross_entropy,
    document_loss,
    empty_cache,
    flatten,
    gpt,
    init_params,
)
from microgpt.tools.terminal import Progress
from microgpt.training import collector_paused

LETTERS = "abcdef"
TOKENIZER = CharTokenizer(LETTERS + ".")
N_WORDS = 500


def random_text(rng, asked_for=0):
    """Return a word of 3, 4 or 6 letters, a dot, and the letter at place asked_for."""
    length = rng.choice([3, 4, 6])
    word = "".join([rng.choice(LETTERS) for _ in range(length)])
    return word + "." + word[asked_for]


def gpt_logits(params, config, tokens):
    """Return the logits after the last of the tokens."""
    keys, values = empty_cache(config)
    for pos_id, token_id in enumerate(tokens):
        logits = gpt(params, config, token_id, pos_id, keys, values)
    return logits


def answer_loss(logits_of, params, text):
    """Return the surprise at the last letter of the text."""
    tokens = TOKENIZER.encode_document(text)
    return cross_entropy(logits_of(params, tokens[:-2]), tokens[-2])


def accuracy(logits_of, params, texts):
    """Return the share of texts whose last letter gets the largest logit."""
    n_right = 0
    for text in texts:
        tokens = TOKENIZER.encode_document(text)
        logits = logits_of(params, tokens[:-2])
        n_right += logits.index(max(logits)) == tokens[-2]
    return n_right / len(texts)


def train(name, loss_of, params, texts):
    """Take a step of Adam for each text; loss_of(params, text) is what it lowers."""
    optimizer = Adam(flatten(params))
    progress = Progress(name, len(texts), every=len(texts), stream=sys.stderr)
    for step, text in enumerate(texts):
        with collector_paused():
            loss = loss_of(params, text)
            loss.backward()
            del loss
        optimizer.step(0.01 * (1 - step / len(texts)))
        progress.show(step + 1)
    progress.finish()
    return as_floats(params)


rng = random.Random(1)
train_texts = [random_text(rng) for _ in range(N_WORDS)]
test_texts = [random_text(rng) for _ in range(100)]

# %%
# Exercise 1. Four heads of 4 numbers.
#
# Hint 1: with n_head=4, first_layer_looks gives four lists of weights for each token.
# Hint 2: without_heads(params, config, heads=[2]) switches one of them off.
#
# All four look at the first letter, more or less. And when any one of them is switched
# off, most answers are still right: the others carry the letter as well. Alone, none of
# them is enough. So the question "which head does it?" has no good answer here. The
# work is spread out, and to switch off one part says little if others can stand in for
# it.
config = GPTConfig(TOKENIZER.vocab_size, n_head=4)


def logits_of_four_heads(params, tokens):
    return gpt_logits(params, config, tokens)


def loss_of_four_heads(params, text):
    return answer_loss(logits_of_four_heads, params, text)


four_heads = train(
    "four heads",
    loss_of_four_heads,
    init_params(config, random.Random(2)),
    train_texts,
)
all_right = accuracy(logits_of_four_heads, four_heads, test_texts)
print(f"Exercise 1: four heads, {all_right:.0%} right")
print("  head   looks at the first letter   right without it   right with it alone")
without_one, alone = [], []
for h in range(4):
    share = 0.0
    for text in test_texts:
        tokens = TOKENIZER.encode_document(text)
        looks = first_layer_looks(four_heads, config, tokens[:-2])
        share += looks[-1][h][1] / len(test_texts)
    others = [other for other in range(4) if other != h]
    params = without_heads(four_heads, config, heads=[h])
    without_one.append(accuracy(logits_of_four_heads, params, test_texts))
    params = without_heads(four_heads, config, heads=others)
    alone.append(accuracy(logits_of_four_heads, params, test_texts))
    print(f"  {h:4} {share:20.0%} {without_one[h]:20.0%} {alone[h]:20.0%}")
nothing_left = without_heads(four_heads, config, heads=range(4))
without_all = accuracy(logits_of_four_heads, nothing_left, test_texts)
print(f"  without all four: {without_all:.0%}")
assert min(without_one) > 0.6 > 0.35 > without_all

# %%
# Exercise 2. The surprise at every letter.
#
# Hint 1: document_loss(params, config, tokens) is the mean over all letters and the
# end.
# Hint 2: how many of the letters in a text can be predicted at all?
#
# Of the five to eight things that are asked of a text, only two can be known: the
# answer, and the end after it. (Where the dot comes can be guessed a little.) The
# others are noise. The slope that matters is now one among many, and divided by their
# number. After 500 words it has not got far; with several times as many it gets there
# too.
one_head = GPTConfig(TOKENIZER.vocab_size, n_head=1)


def logits_of_one_head(params, tokens):
    return gpt_logits(params, one_head, tokens)


def loss_of_every_letter(params, text):
    return document_loss(params, one_head, TOKENIZER.encode_document(text))


every_letter = train(
    "loss of every letter",
    loss_of_every_letter,
    init_params(one_head, random.Random(1)),
    train_texts,
)
right_with_every_letter = accuracy(logits_of_one_head, every_letter, test_texts)
print(f"\nExercise 2: trained on every letter, {right_with_every_letter:.0%} right")
assert right_with_every_letter < 0.5

# %%
# Exercise 3. The last letter instead of the first.
#
# Hint 1: where does the last letter stand, counted from the dot?
# Hint 2: and counted from the beginning?
#
# Now the answer is always one place before the dot: in the window of three, and always
# in the same slot. The MLP learns it at once. For attention it is harder: seen from the
# beginning, the place is another one for each length, so it has to learn, for each
# position of the dot, to look one place back. Neither model is the better one for
# everything. What decides is whether the answer is at a fixed distance.
last_texts = [random_text(rng, asked_for=-1) for _ in range(N_WORDS)]
last_test_texts = [random_text(rng, asked_for=-1) for _ in range(100)]


def loss_of_window(params, text):
    return answer_loss(window_mlp, params, text)


def loss_of_one_head(params, text):
    return answer_loss(logits_of_one_head, params, text)


window_params = train(
    "window of three",
    loss_of_window,
    new_window_mlp(3, TOKENIZER.vocab_size),
    last_texts[:100],
)
attention_params = train(
    "attention",
    loss_of_one_head,
    init_params(one_head, random.Random(1)),
    last_texts[:100],
)
window_right = accuracy(window_mlp, window_params, last_test_texts)
attention_right = accuracy(logits_of_one_head, attention_params, last_test_texts)
print("\nExercise 3: the last letter, after only 100 words")
print(f"  window of three: {window_right:.0%} right")
print(f"  attention:       {attention_right:.0%}")
assert window_right > attention_right + 0.2
