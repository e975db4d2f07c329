"""Solutions to chapter 30. Read the hint first, try again, then look at the code."""

# %%
import os
import random
from statistics import mean

from additions import merged, new_lora, token_losses_with
from common import ROOT, TOKENIZER, course_loss
from trained import trained_gpt

from microgpt import (
    Adam,
    Value,
    as_floats,
    flatten,
    param_shapes,
    token_losses,
    total,
)
from microgpt.training import collector_paused

# What the chapter begins with: the trained model, and the words. The exercises are
# measured on the validation words. The test words are for the end, and this is not the
# end: whoever tries things out should not wear them off.
run = trained_gpt()
config = run.config
BASE = as_floats(run.params)
ALPHA = 4.0
RANK = 2
SEEDS = [0, 1, 2]
with open(os.path.join(ROOT, "examples", "course", "english_words.txt")) as file:
    words = file.read().split()
random.Random(30).shuffle(words)
VALIDATION_WORDS = words[200:300]
WORDS_TO_LEARN_FROM = words[500:]  # words[300:500] are the test words
SHAPES = {}
for name, shape in param_shapes(config).items():
    if name not in ("wte", "wpe"):
        SHAPES[name] = shape


def validation_loss(params):
    """Return the loss of a model, given as floats, on the validation words."""

    def nats_of(word):
        return token_losses(params, config, TOKENIZER.encode_document(word))

    return course_loss(nats_of, VALIDATION_WORDS)


def fine_tune(params, additions, learning_rate, seed=0, scale=ALPHA / RANK):
    """Train all Values in params and additions on 100 words; return merged floats."""
    learnt_from = random.Random(seed).sample(WORDS_TO_LEARN_FROM, 100)
    numbers = flatten(params) + flatten(additions)
    optimizer = Adam([number for number in numbers if isinstance(number, Value)])
    with collector_paused():
        for step, word in enumerate(learnt_from):
            tokens = TOKENIZER.encode_document(word)
            losses = token_losses_with(params, config, tokens, additions, scale)
            (total(losses) / len(losses)).backward()
            optimizer.step(learning_rate * (1 - step / 100))
            del losses
    return merged(params, additions, scale)


loss_before = validation_loss(BASE)

# %%
# Exercise 1. b at random, and not at zeros.
#
# Hint 1: make LoRA with new_lora, and change the data of the Values in its "lora_b".
# Hint 2: for the loss before the first step, merge it and measure.
#
# Before the first step the model is spoilt: its loss is beyond that of a blind guess
# among 27 (3.296). A random addition is noise beside every matrix. But look at the
# losses after 100 words, which are the mean of three seeds. Most of the damage is
# repaired by then, since a and b learn, and can take the noise out again. What remains
# between the two is a few hundredths of a nat. So zeros are no condition for learning
# anything. They are the better start, and a safe one: with b = 0 training begins where
# the old one ended, and no step has to be spent on repairs. With fewer words to learn
# from there would be fewer steps for these.
losses = {"zeros": [], "random": []}  # before, and after 100 words, for each seed
for start in losses:
    for seed in SEEDS:
        additions = new_lora(SHAPES, RANK, random.Random(seed))
        rng = random.Random(100 + seed)
        if start == "random":
            for name, matrix in additions.items():
                for number in flatten({name: matrix}):
                    if name.endswith("lora_b"):
                        number.data = rng.gauss(0, 0.25)
        before = validation_loss(merged(BASE, additions, ALPHA / RANK))
        after = validation_loss(fine_tune(BASE, additions, 0.03, seed))
        losses[start].append((before, after))
print("Exercise 1: the loss on 100 validation words, means of three seeds")
print("  b at      before the first step   after 100 words")
mean_of = {}
for start, pairs_of_losses in losses.items():
    mean_of[start] = [mean(column) for column in zip(*pairs_of_losses)]
    before, after = mean_of[start]
    print(f"  {start:<9} {before:21.3f} {after:17.3f}")
assert mean_of["random"][0] > 3.296
assert abs(mean_of["random"][1] - mean_of["zeros"][1]) < 0.1

# %%
# Exercise 2. Other ranks.
#
# Hint 1: the number of LoRA's numbers is len(flatten(additions)).
# Hint 2: the scale is alpha / rank. And beside a matrix of 16 by 16, a rank of 16 takes
# 16 * 16 + 16 * 16 numbers.
#
# All three ranks learn, and from one seed one cannot say more than that: single runs
# differ by a few hundredths. What is sure is the count. At rank 8, LoRA beside a matrix
# of 16 by 16 has 256 numbers, as many as the matrix itself, and at rank 16 twice as
# many. It saves only where the rank is less than half of the width, and much only where
# it is far less, as in the matrices of large models.
print("\nExercise 2: LoRA of other ranks (one seed, 100 validation words)")
print("  rank   numbers    loss")
loss_at_rank = {}
for rank in [1, 2, 8]:
    additions = new_lora(SHAPES, rank, random.Random(0))
    tuned = fine_tune(BASE, additions, 0.03, scale=ALPHA / rank)
    loss_at_rank[rank] = validation_loss(tuned)
    print(f"  {rank:4} {len(flatten(additions)):9,} {loss_at_rank[rank]:7.3f}")
    assert loss_at_rank[rank] < loss_before - 0.05

# %%
# Exercise 3. The token embeddings alone.
#
# Hint 1: params = dict(BASE), and a matrix of Values in place of one of its matrices.
# Hint 2: what does x at the end still have of the embedding, and who reads it?
#
# The head learns more. Its rows belong to the letter that comes *next*: to make "t"
# likelier everywhere, one row has to change. A row of the embeddings belongs to the
# letter that is *read*. It can only change what follows this one letter, and it has to
# do so through attention, the MLP and a head that all stay as they are. And many
# letters are read in few of the 100 words, while each step of the head moves all 27
# rows.
print("\nExercise 3: one matrix alone (one seed, 100 validation words)")
loss_of = {}
for name, learning_rate in [("lm_head", 0.03), ("wte", 0.03)]:
    params = dict(BASE)
    params[name] = [[Value(weight) for weight in row] for row in BASE[name]]
    loss_of[name] = validation_loss(fine_tune(params, {}, learning_rate))
    print(f"  {name:<8} {loss_of[name]:.3f}")
print(f"  {'neither':<8} {loss_before:.3f}")
assert loss_of["lm_head"] < loss_of["wte"] - 0.02
