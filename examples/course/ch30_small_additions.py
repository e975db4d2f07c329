"""Chapter 30. Small additions: must every weight change to learn a new task?

In the last two chapters a trained model learnt something new, and mostly all of its
weights changed. The result was a second whole model beside the first. For ours that is
4,064 numbers. For a model of 7 billion weights, at two bytes a weight, it is 14
gigabytes for each new task, and while it learns, the optimizer Adam holds two more
numbers for every weight. Does it have to be all of them?

This chapter leaves the trained weights as they are; the field says that they are
*frozen*. It trains something small instead. There are four ways to do so: train only
the language-model head; train only some of the other matrices; put narrow layers, the
*adapters*, behind the two halves of a layer; or lay two thin matrices beside each
frozen one, which is called *LoRA* (low-rank adaptation). All of this goes by the name
*parameter-efficient fine-tuning*. (To *fine-tune* is to train an already trained model
further, on something new.)

The new task: the GPT that has learnt 6,000 given names is to predict the letters of
English words. It gets 100 of them to learn from, which is little, as it usually is when
a model is fine-tuned. We ask what each way costs and what it brings, in one table. In
the end we save what LoRA has learnt in a file of a few kilobytes, and look closely at
that file before we believe it.

Before you run it: `python examples/learn.py 30` asks you for a few guesses first. If
you go without it, write down which of the four small ways comes closest to training
all weights, and what share of the weights it trains.

Papers: Houlsby et al., "Parameter-efficient transfer learning for NLP", 2019; Hu et
al., "LoRA: low-rank adaptation of large language models", 2021.
"""

# %%
import math
import os
import random
import sys
import time

from additions import (
    frozen_linear,
    gpt_with,
    lora,
    merged,
    new_adapters,
    new_lora,
    token_losses_with,
)
from common import (
    HELD_OUT_NAMES,
    ROOT,
    TOKENIZER,
    course_loss,
    difference_and_error,
    loss_and_error,
    make_out_folder,
    mean_and_error,
    pairs,
    save_picture,
)
from lora_file import load_lora, save_lora
from trained import trained_gpt

from microgpt import (
    Adam,
    Value,
    as_floats,
    cross_entropy,
    empty_cache,
    flatten,
    generate,
    gpt,
    linear,
    param_shapes,
    token_losses,
    total,
)
from microgpt.model import add
from microgpt.tools.draw import Group, Line, scatter
from microgpt.tools.terminal import Progress
from microgpt.training import collector_paused

# %%
# The model, and the words. The words are those of Python's own manual, without those
# that are also given names. They come in three parts that have no word in common. From
# the first part the model learns. On the second, the validation words, we choose
# whatever has to be chosen, such as learning rates. The test words are asked once, in
# the end. (You will see that the first 200 of the shuffled words are left out. They
# were the test words at first. But then we looked at them, chose a learning rate anew,
# and looked at them again, and by that they were used up: a test that one chooses by is
# a validation. It happens easily. So the test words are now 200 others, on which no
# model had been measured before everything below was settled.)
make_out_folder()  # if nothing can be saved there, the chapter stops here
run = trained_gpt()
config = run.config
BASE = as_floats(run.params)  # plain floats: nothing can change them

with open(os.path.join(ROOT, "examples", "course", "english_words.txt")) as file:
    words = file.read().split()
random.Random(30).shuffle(words)
VALIDATION_WORDS = words[200:300]
TEST_WORDS = words[300:500]
WORDS_TO_LEARN_FROM = words[500:]
N_WORDS = 100  # how many of these a model gets


def nats_of_params(params):
    """Return the function word -> surprises that the common measure asks for."""

    def nats_of(word):
        return token_losses(params, config, TOKENIZER.encode_document(word))

    return nats_of


print("The GPT of 6,000 names, asked for letters of (nats a character)")
for what, texts in [("names, held out", HELD_OUT_NAMES[:200]), ("words", TEST_WORDS)]:
    loss, error = loss_and_error(nats_of_params(BASE), texts)
    print(f"  {what:<17} {loss:.3f} ± {error:.3f}   perplexity {math.exp(loss):.1f}")
print("  five of the words:", ", ".join(TEST_WORDS[:5]))

# It is not lost among the words, since a blind guess would have 3.296. But they
# surprise it clearly more than names do.

# %%
# LoRA, step by step. Take one matrix w of the model, 16 by 16, frozen. To change
# what it computes, we would have to change some of its 256 numbers. LoRA adds to its
# result instead:
#
#     y = w times x + scale * (b times (a times x))
#
# a makes 2 numbers out of the 16 of x, and b makes 16 out of these 2. Both are thin:
# together they hold 2 * 16 + 16 * 2 = 64 numbers. The 2 is the *rank*: so many
# directions there are in which y can be changed.
#
# And `scale`? b could learn any size, so why a fixed number in front of it? Because
# Adam moves each number by about the learning rate in a step, whatever the loss. So
# `scale` says how far such a step moves y: it is a learning rate for the addition. By
# custom it is written as alpha / rank, with an alpha that stays the same. The higher
# the rank, the more terms are summed up, and dividing by it keeps the sum near one
# size; so whoever tries another rank need not look for another learning rate at once.
# Our alpha is 4, which was not tuned.
RANK = 2
ALPHA = 4.0
SCALE = ALPHA / RANK
rng = random.Random(0)
x = [rng.gauss(0, 1) for _ in range(config.n_embd)]
w = BASE["layer0.attn_wq"]
a = [[rng.gauss(0, 0.25) for _ in range(16)] for _ in range(RANK)]
b = [[rng.gauss(0, 0.25) for _ in range(RANK)] for _ in range(16)]

narrow = linear(x, a)  # (16) -> (2)
wide = linear(narrow, b)  # (2) -> (16)
y_beside = add(linear(x, w), [SCALE * number for number in wide])

# That is what `lora` in additions.py computes:
y_of_helper = add(linear(x, w), lora(x, a, b, SCALE))

# b times a is itself a matrix of 16 by 16: its number in row i and column j is the dot
# product of row i of b and column j of a. Add it to w, and the addition has vanished
# into the weights. The field says that it has been *merged*.
w_merged = []
for row_of_w, row_of_b in zip(w, b):
    row = []
    for j, weight in enumerate(row_of_w):
        row.append(weight + SCALE * sum([row_of_b[k] * a[k][j] for k in range(RANK)]))
    w_merged.append(row)
y_merged = linear(x, w_merged)

print("\nLoRA beside one matrix of 16 by 16 (the first three of 16 outputs)")
for what, y in [
    ("w times x", linear(x, w)),
    ("with LoRA beside it", y_beside),
    ("merged into w", y_merged),
]:
    print(f"  {what:<21}" + "".join([f"{number:8.4f}" for number in y[:3]]))
for by_hand, helper, from_merged in zip(y_beside, y_of_helper, y_merged):
    assert abs(by_hand - helper) < 1e-12
    assert abs(by_hand - from_merged) < 1e-12

# Can every change of w be written in this way? No. b times a has 256 numbers, but they
# are made of 64, so it can only be one of a special kind, a matrix *of low rank*: all
# of its rows are mixtures of the two rows of a. The hope is that a new task needs a
# change in few directions. And the larger the matrix, the more is saved:
print("\nWhat a matrix of n by n and its LoRA hold")
print("  n        weights   rank       LoRA   share")
for n, rank in [(16, 2), (768, 8), (4096, 8)]:
    in_lora = rank * n + n * rank
    print(f"  {n:<5} {n * n:10,} {rank:6} {in_lora:10,}   {in_lora / (n * n):6.2%}")
# (768 is the width of GPT-2, 4,096 that of a model of 7 billion.) Keep the first row in
# mind: our matrices are so narrow that even a rank of 2 is a quarter of them.

# %%
# How does it start? b begins as zeros and a at random. So at first LoRA adds exactly
# nothing, and the model begins as the trained model that it is. You know this start
# from chapter 12: b has slopes from the first step on, and a from the second, when b is
# no longer 0. Why not both at zero? The slope of a number in b is a multiple of what a
# makes of x, and the slope of a number in a goes through b. If both were 0, all of
# these slopes would be 0, and neither would ever move.
SHAPES = {}
for name, shape in param_shapes(config).items():
    if name not in ("wte", "wpe"):  # the embeddings are looked up, not multiplied
        SHAPES[name] = shape


def logits_of(params, additions, scale):
    """Return the logits after each letter of "jonathan"."""
    keys, values = empty_cache(config)
    logits = []
    for pos_id, token_id in enumerate(TOKENIZER.encode_document("jonathan")[:-1][:8]):
        logits.append(
            gpt_with(params, config, token_id, pos_id, keys, values, additions, scale)
        )
    return logits


def logits_of_gpt(params):
    """Return the same from the package's `gpt`, which knows no additions."""
    keys, values = empty_cache(config)
    logits = []
    for pos_id, token_id in enumerate(TOKENIZER.encode_document("jonathan")[:-1][:8]):
        logits.append(gpt(params, config, token_id, pos_id, keys, values))
    return logits


def largest_difference(some_logits, other_logits):
    """Return how far apart two numbers in the same place are at most."""
    differences = []
    for some, other in zip(some_logits, other_logits):
        differences += [abs(p - q) for p, q in zip(some, other)]
    return max(differences)


new_additions = new_lora(SHAPES, RANK, random.Random(0))
at_the_start = largest_difference(
    logits_of(BASE, as_floats(new_additions), SCALE), logits_of_gpt(BASE)
)
print("\nA new LoRA beside all seven matrices")
print(f"  it holds {len(flatten(new_additions))} numbers")
print(f"  largest difference of a logit from the model without it: {at_the_start:g}")
assert at_the_start == 0

# %%
# The frozen weights also save work. For an ordinary `linear`, each output is a node
# with 2 * 16 inputs, the weights and the x, and `backward()` visits all of them. If the
# weights are frozen, nobody asks for their gradients. So `frozen_linear` in
# additions.py makes nodes with 16 inputs, the x alone. Adam, too, has only the
# additions to move, and only for these it keeps its two means.
x_values = [Value(number) for number in x]
w_values = [[Value(weight) for weight in row] for row in w]
slopes_of_x = {}
n_inputs = {}
for what, outputs in [
    ("ordinary", linear(x_values, w_values)),
    ("frozen", frozen_linear(x_values, w)),
]:
    for number in x_values:
        number.grad = 0.0
    total(outputs).backward()
    slopes_of_x[what] = [number.grad for number in x_values]
    n_inputs[what] = len(outputs[0].inputs)
print("\nInputs of the node of one output, for a matrix of 16 by 16")
print(f"  weights that learn {n_inputs['ordinary']:4}")
print(f"  frozen weights     {n_inputs['frozen']:4}")
# What comes before hears the same of the loss, whichever of the two it is.
assert slopes_of_x["ordinary"] == slopes_of_x["frozen"]

# %%
# Where nothing that learns comes before, there is no graph at all. If only the head
# learns, all of attention and the MLP runs on plain floats.

# %%
# Adapters are the older idea. Behind attention, and again behind the MLP, stands a
# narrow MLP of its own: down from 16 numbers to 4, a ReLU, and up to 16 again. Because
# of its shape it is called a *bottleneck*. What it makes is added to what came in, and
# its last matrix begins as zeros, so it, too, adds nothing at first. Unlike LoRA it
# cannot be merged, because of the ReLU in between: the adapted model has a few more
# steps to compute, for ever.
#
# Now the ways to learn. Each function returns the weights, in which those that are to
# learn are Values and all others floats, and the additions. There are five ways, and
# LoRA comes once more, beside the head alone. So we shall see how much of its work is
# done there.
RANK_OF_ADAPTERS = 4


def with_values(names):
    """Return the weights, with the named matrices as Values."""
    params = dict(BASE)
    for name in names:
        params[name] = [[Value(weight) for weight in row] for row in BASE[name]]
    return params


def head_alone(rng):
    """Train the language-model head, 27 by 16."""
    return with_values(["lm_head"]), {}


def attention_alone(rng):
    """Train the four matrices of attention, 16 by 16 each."""
    names = [name for name in SHAPES if "attn" in name]
    return with_values(names), {}


def adapters(rng):
    """Train an adapter behind attention and one behind the MLP."""
    return BASE, new_adapters(config, RANK_OF_ADAPTERS, rng)


def lora_everywhere(rng):
    """Train LoRA beside all seven matrices."""
    return BASE, new_lora(SHAPES, RANK, rng)


def lora_of_head(rng):
    """Train LoRA beside the head alone."""
    return BASE, new_lora({"lm_head": SHAPES["lm_head"]}, RANK, rng)


def all_weights(rng):
    """Train the whole model, as before."""
    return with_values(list(BASE)), {}


WAYS = {
    "head alone": head_alone,
    "attention alone": attention_alone,
    "adapters": adapters,
    "LoRA": lora_everywhere,
    "LoRA, head alone": lora_of_head,
    "all weights": all_weights,
}


def values_in(params):
    """Return the parameters that learn: all Values among the numbers."""
    return [number for number in flatten(params) if isinstance(number, Value)]


def rounded(additions):
    """Return the additions as floats of six digits, which is how they will be saved."""
    short = {}
    for name, matrix in as_floats(additions).items():
        short[name] = [[float(f"{number:.6g}") for number in row] for row in matrix]
    return short


def fine_tune(way, learning_rate, seed):
    """Learn from 100 words, chosen by the seed; one word a step, each once.

    Return (the weights as floats, the additions as floats, how many numbers have
    learnt, seconds).
    """
    rng = random.Random(seed)
    learnt_from = rng.sample(WORDS_TO_LEARN_FROM, N_WORDS)
    params, additions = WAYS[way](rng)
    parameters = values_in(params) + values_in(additions)
    optimizer = Adam(parameters)
    started = time.process_time()
    with collector_paused():
        for step, word in enumerate(learnt_from):
            tokens = TOKENIZER.encode_document(word)
            losses = token_losses_with(params, config, tokens, additions, SCALE)
            loss = total(losses) / len(losses)
            loss.backward()
            optimizer.step(learning_rate * (1 - step / N_WORDS))
            del loss, losses
    seconds = time.process_time() - started
    return as_floats(params), rounded(additions), len(parameters), seconds


def asked(params, additions, words):
    """Return two dictionaries: word -> surprises, and word -> 1 or 0 for each letter.

    The 1 says that the model's likeliest token was the right one.
    """
    nats, hits = {}, {}
    for word in words:
        keys, values = empty_cache(config)
        nats[word], hits[word] = [], []
        for pos_id, (context, target) in enumerate(pairs(word)):
            token_id = context[-1]
            logits = gpt_with(
                params, config, token_id, pos_id, keys, values, additions, SCALE
            )
            nats[word].append(cross_entropy(logits, target))
            hits[word].append(float(logits[target] == max(logits)))
    return nats, hits


# %%
# The learning rates. Each way wants its own: a rate that is right for 4,064 weights
# need not be right for an adapter. To give all the same rate would be unfair to most of
# them. So for each way five rates were tried, with five seeds each, and measured on the
# validation words. That takes two minutes, so it was done beforehand, by this same
# code: `python examples/course/ch30_small_additions.py --choose` does it again. (A
# first time two seeds seemed enough. They preferred the rate 0.06 for LoRA, by a
# hundredth of a nat, which was luck.)
VALIDATION_LOSSES = {
    # the loss at a rate of     0.003, 0.01, 0.03, 0.06, 0.12
    "head alone": [2.648, 2.571, 2.535, 2.560, 2.655],
    "attention alone": [2.686, 2.634, 2.629, 2.672, 2.759],
    "adapters": [2.731, 2.705, 2.681, 2.685, 2.714],
    "LoRA": [2.678, 2.609, 2.571, 2.620, 2.839],
    "LoRA, head alone": [2.712, 2.674, 2.644, 2.629, 2.648],
    "all weights": [2.573, 2.500, 2.530, 2.694, 3.698],
}
RATES = [0.003, 0.01, 0.03, 0.06, 0.12]
VALIDATION_SEEDS = [100, 101, 102, 103, 104]


def validation_losses(way):
    """Return the loss on the validation words at each rate: the mean of the seeds."""
    losses = []
    for rate in RATES:
        losses_of_seeds = []
        for seed in VALIDATION_SEEDS:
            params, additions, _, _ = fine_tune(way, rate, seed)
            nats, _ = asked(params, additions, VALIDATION_WORDS)
            losses_of_seeds.append(course_loss(nats.get, VALIDATION_WORDS))
        losses.append(sum(losses_of_seeds) / len(VALIDATION_SEEDS))
    return losses


if "--choose" in sys.argv:
    for way in WAYS:
        losses = validation_losses(way)
        print(f"{way:<16}", [round(loss, 3) for loss in losses], flush=True)
    sys.exit()

chosen_rate = {}
print("\nLearning rates: loss on 100 validation words (nats a character, quoted)")
print(f"  {'way':<19}" + "".join([f"{rate:8}" for rate in RATES]) + "   chosen")
for way, losses in VALIDATION_LOSSES.items():
    chosen_rate[way] = RATES[losses.index(min(losses))]
    columns = "".join([f"{loss:8.3f}" for loss in losses])
    print(f"  {way:<19}{columns}   {chosen_rate[way]:6}")

# %%
# The comparison. Five seeds for each way: each seed chooses 100 other words to learn
# from, and the random start of the additions. Measured on the same 200 test words.
SEEDS = [0, 1, 2, 3, 4]
learnt = {}  # way, seed: (weights, additions)
nats_of_run, hits_of_run = {}, {}
n_trained, seconds_of = {}, {}
progress = Progress("fine-tuning: run", len(WAYS) * len(SEEDS), 5, stream=sys.stderr)
for way in WAYS:
    seconds_of[way] = 0.0
    for seed in SEEDS:
        params, additions, n, seconds = fine_tune(way, chosen_rate[way], seed)
        learnt[way, seed] = (params, additions)
        nats, hits = asked(params, additions, TEST_WORDS)
        nats_of_run[way, seed], hits_of_run[way, seed] = nats, hits
        n_trained[way] = n
        seconds_of[way] += seconds / len(SEEDS)
        progress.show(len(nats_of_run))
progress.finish()
base_nats, base_hits = asked(BASE, {}, TEST_WORDS)
for seed in SEEDS:
    nats_of_run["as it was", seed] = base_nats
    hits_of_run["as it was", seed] = base_hits
n_trained["as it was"], seconds_of["as it was"] = 0, 0.0


def mean_per_letter(numbers_of):
    """Return the mean of all numbers of all test words."""
    return mean_and_error([numbers_of[word] for word in TEST_WORDS])[0]


def mean_of_seeds(results, way):
    """Return word -> for each letter the mean over the five seeds."""
    means = {}
    for word in TEST_WORDS:
        columns = zip(*[results[way, seed][word] for seed in SEEDS])
        means[word] = [sum(column) / len(SEEDS) for column in columns]
    return means


def scatter_of_seeds(results, way, other_way):
    """Return the standard error, over the seeds, of the mean difference of two ways."""
    differences = []
    for seed in SEEDS:
        mean = mean_per_letter(results[way, seed])
        other_mean = mean_per_letter(results[other_way, seed])
        differences.append(mean - other_mean)
    center = sum(differences) / len(SEEDS)
    squares = [(difference - center) ** 2 for difference in differences]
    return math.sqrt(sum(squares) / (len(SEEDS) - 1) / len(SEEDS))


# There are two kinds of luck in these numbers: which words we measure on, and which
# seed a model had. The standard error of the first comes from `difference_and_error`,
# that of the second from the five seeds. They are independent, so their squares are
# added, as in chapter 19.
def compare(results, way, other_way):
    """Return (the mean of a way less that of another, its standard error)."""
    means, other_means = mean_of_seeds(results, way), mean_of_seeds(results, other_way)
    difference, error_of_words = difference_and_error(
        means.get, other_means.get, TEST_WORDS
    )
    error_of_seeds = scatter_of_seeds(results, way, other_way)
    return difference, math.hypot(error_of_words, error_of_seeds)


# "Accuracy" is the share of characters at which the likeliest token was the right one.
# The rows begin with "~", since seconds are another number on every computer.
print(f"\nFine-tuned on {N_WORDS} words: means of five seeds, on 200 test words")
print("  way                  trained   share    loss   accuracy   seconds")
loss_of, accuracy_of = {}, {}
for way in ["as it was", *WAYS]:
    loss_of[way] = mean_per_letter(mean_of_seeds(nats_of_run, way))
    accuracy_of[way] = mean_per_letter(mean_of_seeds(hits_of_run, way))
    share = n_trained[way] / len(flatten(BASE))
    print(
        f"~ {way:<20} {n_trained[way]:7,}  {share:6.1%}  {loss_of[way]:6.3f} "
        f"{accuracy_of[way]:10.1%} {seconds_of[way]:9.2f}"
    )

print("\nCompared word by word (± from the words and the seeds together)")
print(f"  {'way':<38} loss             accuracy, in points of 100")
difference_of = {}
for way, other_way in [
    ("head alone", "as it was"),
    ("attention alone", "as it was"),
    ("adapters", "as it was"),
    ("LoRA", "as it was"),
    ("LoRA, head alone", "as it was"),
    ("all weights", "as it was"),
    ("head alone", "all weights"),
    ("LoRA", "all weights"),
    ("LoRA", "head alone"),
    ("LoRA", "attention alone"),
    ("LoRA", "adapters"),
    ("LoRA", "LoRA, head alone"),
    ("LoRA, head alone", "head alone"),
    ("LoRA, head alone", "attention alone"),
]:
    difference, error = compare(nats_of_run, way, other_way)
    points, points_error = compare(hits_of_run, way, other_way)
    difference_of[way, other_way] = (difference, error)
    what = f"{way}, less {other_way}"
    print(
        f"  {what:<38} {difference:+.3f} ± {error:.3f}   "
        f"{100 * points:+5.1f} ± {100 * points_error:.1f}"
    )

print("Found once, and quoted: LoRA beside all but the head (576 numbers, rate 0.03)")
print(f"  {'less as it was':<38} -0.102 ± 0.012    +2.8 ± 1.1")
print(f"  {'LoRA, head alone, less this':<38} -0.012 ± 0.016    +2.5 ± 1.2")

gain_of_all = loss_of["as it was"] - loss_of["all weights"]
share_of_gain = {}
print("\nHow much of what all weights gain does each small way gain?")
for way in WAYS:
    share_of_gain[way] = (loss_of["as it was"] - loss_of[way]) / gain_of_all
    print(f"  {way:<19} {share_of_gain[way]:4.0%}")

# %%
# What does the table say?
#
# - All weights learn most. The head alone and LoRA are behind by more than two standard
#   errors, with about three quarters and two thirds of the gain. In accuracy neither of
#   the two can be told from all weights.
# - The head alone and LoRA cannot be told apart. Nor should that surprise you too much:
#   words differ from names above all in which letters are common and which follow
#   which, and the head is where that is decided. Each of its rows belongs to one next
#   letter.
# - Attention alone and the adapters gain less than LoRA, by more than two standard
#   errors in the loss. The first trains more numbers than LoRA and the second fewer, so
#   it is not a matter of how many.
# - What is it, then? Look where LoRA stands. Beside the head alone it has 86 numbers,
#   and gains as much as attention alone with its 1,024: the two cannot be told apart.
#   Beside all but the head it has 576, and again the gain in loss is about the same.
#   Both together, which is LoRA beside all seven matrices, gain more in loss than
#   either. So where the numbers stand counts for more than how many they are.
#
# So for our little model one would take the head alone, which gains as much as LoRA in
# a quarter of the time, and this is what has to be said honestly: with matrices of 16
# by 16 there is not much for LoRA to save. Its case is the last row of the table
# further up, where it is 0.39 % of a matrix. In a model of 7 billion (32 layers, 4,096
# wide, 11,008 in the MLP, 32,000 tokens), LoRA of rank 8 beside every matrix of every
# layer (seven there, since the MLP of chapter 27 has three) has 20 million numbers. The
# head alone has 131 million.
#
# And the seconds? LoRA's are hardly fewer than those of all weights. Every letter still
# has to pass through the whole model, and back. What is saved is the gradients of the
# frozen weights, and for that there are the gradients and the steps through LoRA's own
# matrices. In large models, too, it is the memory that is saved: Adam holds two means
# for each number that learns, here 1,324 in place of 8,128.
for way in ["head alone", "attention alone", "adapters", "LoRA"]:
    difference, error = difference_of[way, "as it was"]
    assert difference < -4 * error  # every way learns something
for way, other_way in [("head alone", "all weights"), ("LoRA", "all weights")]:
    difference, error = difference_of[way, other_way]
    assert difference > 2 * error
for other_way in ["attention alone", "adapters", "LoRA, head alone"]:
    difference, error = difference_of["LoRA", other_way]
    assert difference < -2 * error
for way, other_way in [("LoRA", "head alone"), ("LoRA, head alone", "attention alone")]:
    difference, error = difference_of[way, other_way]
    assert abs(difference) < 2 * error  # they cannot be told apart
print("\nMeans that Adam holds: ", end="")
print(f"{2 * n_trained['LoRA']:,} for LoRA, {2 * n_trained['all weights']:,} for all")
lora_of_layer = 4 * 8 * (4096 + 4096) + 3 * 8 * (4096 + 11008)
print("In a model of 7 billion, in millions of numbers: ", end="")
print(f"the head {32000 * 4096 / 1e6:.0f}, LoRA {32 * lora_of_layer / 1e6:.0f}")

# The picture has the six ways: how many numbers they train, and what loss they come
# to. Further down is better, and further to the left is smaller. The dashed line is the
# loss before anything was learnt; the ± is the standard error of the gain over it.
groups = []
for way in WAYS:
    point = (math.log10(n_trained[way]), loss_of[way])
    error = difference_of[way, "as it was"][1]
    groups.append(Group(way, [point], labels=[f"{way} ± {error:.3f}"]))
ends = [(x_end, loss_of["as it was"]) for x_end in (1.0, 4.0)]
svg = scatter(
    groups,
    title=f"Six ways to learn from {N_WORDS} words",
    x_label="numbers trained, as a power of ten (3 is 1,000)",
    y_label="loss on test words (nats)",
    lines=[Line("as it was, before it learnt any word", ends, "dashed")],
)
save_picture("ch30_additions.svg", svg)

# %%
# Merged. We take the LoRA of seed 0, add it into a copy of the weights, and ask the
# package's own `gpt`, which knows nothing of additions. The logits are the same up to
# rounding, so whoever uses the model need not know that there was a LoRA. It costs
# nothing when the model writes: the merged model has exactly the steps of the old one.
_, lora_of_words = learnt["LoRA", 0]
word_params = merged(BASE, lora_of_words, SCALE)
apart = largest_difference(
    logits_of(BASE, lora_of_words, SCALE), logits_of_gpt(word_params)
)
moved = largest_difference(logits_of_gpt(word_params), logits_of_gpt(BASE))
print("\nLoRA merged into the weights: the logits after each letter of a name")
print(f"  they are the same as with LoRA beside the weights: {apart < 1e-12}")
print(f"  how far LoRA has moved a logit, at most:           {moved:.2f}")
assert apart < 1e-12 < moved

rng = random.Random(3)
writes = [
    generate(word_params, config, TOKENIZER, rng, temperature=0.7) for _ in range(8)
]
print(f"  it writes: {', '.join(writes)}")

# %%
# And the names? The model could predict them before it learnt words. Whoever trains all
# weights has overwritten what it knew, the catastrophic forgetting of chapter 29. With
# LoRA the old weights are still there. While it is added, the names suffer too. But
# leave it out, and the model is what it was, to the last bit. So one model can serve
# many tasks, each with its own small file.
NAMES_ASKED = HELD_OUT_NAMES[:200]
params_of_all, _ = learnt["all weights", 0]
before = nats_of_params(BASE)
nats_on_names = {
    "as it was": before,
    "all weights": nats_of_params(params_of_all),
    "LoRA, merged": nats_of_params(word_params),
    "LoRA, left out": nats_of_params(BASE),
}
print("\nWhat became of the names: 200 held-out names, seed 0 (nats a character)")
forgotten = {}
for what, nats_of in nats_on_names.items():
    loss, _ = loss_and_error(nats_of, NAMES_ASKED)
    line = f"  {what:<16} {loss:.3f}"
    if what != "as it was":
        difference, error = difference_and_error(nats_of, before, NAMES_ASKED)
        forgotten[what] = difference
        line += f"   {difference:+.3f} ± {error:.3f}"
    print(line)
assert forgotten["LoRA, left out"] == 0.0
assert forgotten["all weights"] > 0.05 and forgotten["LoRA, merged"] > 0.05

# %%
# The file. LoRA's matrices are all that has to be kept. (Their numbers were cut to six
# digits as soon as they were trained, see `rounded`, so what is saved is exactly what
# was measured. Large models are content with three.) `save_lora` in lora_file.py
# writes them as JSON, with every digit, and `load_lora` reads them again.
#
# Such files are passed around: you will get one from somebody else. So we believe
# nothing of it before it is checked, as the package does it with a *checkpoint*, the
# file to which chapter 14 saved the whole trained model. First, the file is JSON, which
# is data, and reading it runs nothing. (Python's own way to save objects, pickle, can
# run anything when it is read.) Second, it holds a *checksum*: a short number computed
# from all of its text, which comes out as another one if a single digit differs. The
# loader computes it again, and so notices what was damaged on the way. But whoever
# forges a file on purpose computes the checksum as well. So, third, every matrix must
# have a place in this model, the shape that belongs there, and finite numbers. And one
# check more: LoRA means something only beside the weights that it was trained with. So
# the file also holds a checksum of those weights, their *fingerprint*, and is refused
# beside any others.
path = os.path.join("out", "ch30_words.lora.json")
save_lora(path, BASE, lora_of_words, SCALE)
loaded, loaded_scale = load_lora(path, BASE)
size = os.path.getsize(path)
size_of_model = os.path.getsize(os.path.join("out", "ch14_gpt_6000.json"))
print("\nSaved")
print(f"  LoRA's file      {size / 1000:6.1f} kB for {len(flatten(loaded))} numbers")
print(f"  the checkpoint   {size_of_model / 1000:6.1f} kB, with the two means of Adam")
print(f"  loaded again, equal to the last bit: {loaded == lora_of_words}")
assert loaded == lora_of_words and loaded_scale == SCALE

with open(path, encoding="utf-8") as file:
    text = file.read()
digit = text.index("0.", text.index("matrices")) + 2  # the first digit of a number
other_digit = "1" if text[digit] != "1" else "2"
spoilt = {
    "one digit changed": text[:digit] + other_digit + text[digit + 1 :],
    "cut short": text[: len(text) // 2],
    "a web page": "<html>Not found</html>",
}
spoilt_path = os.path.join("out", "ch30_spoilt.json")
print("What happens to files that are not good:")
n_refused = 0
for what, content in spoilt.items():
    with open(spoilt_path, "w", encoding="utf-8") as file:
        file.write(content)
    try:
        load_lora(spoilt_path, BASE)
    except ValueError as problem:
        n_refused += 1
        reason = str(problem).replace(spoilt_path, "it")
        print(f"  {what + ':':<20}{reason}")
try:
    load_lora(path, word_params)
except ValueError as problem:
    n_refused += 1
    reason = str(problem).replace(path, "it")
    print(f"  {'other weights:':<20}{reason}")
os.remove(spoilt_path)
assert n_refused == 4

# What production does. Models of billions of weights are fine-tuned with LoRA of rank 8
# to 64 beside the matrices of attention and of the MLP, which is often less than one
# percent of the weights. The frozen weights can be held in fewer bits meanwhile
# (QLoRA). A server holds one large model in memory and hundreds of small additions, and
# takes for each request the one that belongs to it. Weights are exchanged as
# `safetensors`, a format which, like our JSON, holds numbers and can run nothing.
#
# What is still missing. In all of part VII somebody had to write down the right answer:
# the class of a name, the completion of an instruction, the words. What if nobody can
# write it down, and one can only say of two samples which is the better one? That is
# chapter 31.
#
# Exercises. Hints and solutions are in ch30_solution.py.
# 1. Start b at random instead of at zeros, as large as a. What is the loss on the words
#    before the first step, and what is left of the damage after 100 words?
# 2. Give LoRA a rank of 1 and of 8. How many numbers are that, and what is the loss? Is
#    a rank of 16 beside a matrix of 16 by 16 still an addition that saves anything?
# 3. Train the token embeddings alone (the matrix "wte"), which are as many numbers as
#    the head. Which of the two learns more from the same words, and why?
