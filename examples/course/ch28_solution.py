"""Solutions to chapter 28. Each begins with hints: read them one at a time."""

# %%
from __future__ import annotations

import math
import random
from statistics import mean, stdev

from common import TOKENIZER
from last_token import last_streams
from name_or_word import NAME, VALIDATION, WORD, training_examples
from trained import trained_gpt

from microgpt import (
    Adam,
    Value,
    as_floats,
    cross_entropy,
    empty_cache,
    flatten,
    gpt,
    linear,
    token_losses,
    total,
)
from microgpt.training import collector_paused

run = trained_gpt()
config = run.config
floats = as_floats(run.params)
SEEDS = [0, 1, 2, 3, 4]


def tokens_of(text):
    """Return BOS and the letters, at most 8 tokens."""
    return [TOKENIZER.bos, *TOKENIZER.encode(text)][: config.block_size]


def mean_and_error(accuracies):
    """Return the mean and its standard error, as text."""
    error = stdev(accuracies) / math.sqrt(len(accuracies))
    return f"{mean(accuracies):.1f} % ± {error:.1f}"


# %%
# Exercise 1. The head that we threw away.
#
# Hint 1: token_losses(floats, config, TOKENIZER.encode_document(text)) are the
#         surprises at the letters of a text. Take their mean.
# Hint 2: try every surprise of the training examples as the threshold, and keep the one
#         that gets most of these examples right.
#
# One number, the mean surprise, does about as well as a new head does, and all that has
# to be learnt is one threshold. The old head is the part of the model that was trained
# to know what a name is like. But there are names that surprise the model, and words
# that could be names ("line", "tone"), and a single number cannot tell why.
surprises = {}


def surprise_at(text):
    """Return the mean surprise of the trained GPT at the letters of a text."""
    if text not in surprises:
        losses = token_losses(floats, config, TOKENIZER.encode_document(text))
        surprises[text] = mean(losses)
    return surprises[text]


def share_right(threshold, examples):
    """Return the percentage of right answers if more than the threshold means WORD."""
    right = []
    for text, label in examples:
        guess = WORD if surprise_at(text) > threshold else NAME
        right.append(guess == label)
    return 100 * mean(right)


accuracies = []
for seed in SEEDS:
    examples = training_examples(200, seed)
    candidates = [surprise_at(text) for text, _ in examples]
    threshold = max(candidates, key=lambda t: share_right(t, examples))
    accuracies.append(share_right(threshold, VALIDATION))
print("Exercise 1: the mean surprise of the old head, and a threshold")
print(f"  200 examples: {mean_and_error(accuracies)}")
assert mean(accuracies) > 60


# %%
# Exercise 2. The mean of all tokens.
#
# Hint 1: `gpt` gives x itself, if "lm_head" is the identity matrix: row i of it has a 1
#         at place i and 0 elsewhere.
# Hint 2: add up x of all tokens of a text, divide by their number, and train a head on
#         that as the chapter does.
#
# It is called *mean pooling*. It has a little of every letter in it, while x of the
# last token need not hold on to what came long before. And yet it is no better here:
# what says most about a text seems to be how it ends, and in the mean that is only a
# part.
n_embd = config.n_embd
identity = [[1.0 if i == j else 0.0 for j in range(n_embd)] for i in range(n_embd)]
without_head = {**floats, "lm_head": identity}
means = {}


def mean_stream(text):
    """Return the mean of x over all tokens of a text."""
    if text not in means:
        keys, values = empty_cache(config)
        streams = []
        for pos_id, token_id in enumerate(tokens_of(text)):
            x = gpt(without_head, config, token_id, pos_id, keys, values)
            streams.append(x)
        means[text] = [mean(column) for column in zip(*streams)]
    return means[text]


def last_stream(text):
    """Return x of the last token."""
    return last_streams(floats, config, [tokens_of(text)])[0]


def train(parameters, logits_of, examples, n_epochs, learning_rate, seed):
    """Train on batches of ten (input, label), as the chapter does."""
    optimizer = Adam(parameters)
    rng = random.Random(seed)
    n_batches = len(examples) // 10
    n_steps = n_epochs * n_batches
    for step in range(n_steps):
        if step % n_batches == 0:
            shuffled = rng.sample(examples, len(examples))
        first = 10 * (step % n_batches)
        batch = shuffled[first : first + 10]
        with collector_paused():
            all_logits = logits_of([x for x, _ in batch])
            losses = []
            for logits, (_, label) in zip(all_logits, batch):
                losses.append(cross_entropy(logits, label))
            loss = total(losses) / len(losses)
            loss.backward()
            del all_logits, losses, logits, loss
        optimizer.step(learning_rate * (1 - step / n_steps))


def accuracy_of(all_logits, examples):
    """Return the percentage of right answers."""
    right = []
    for logits, (_, label) in zip(all_logits, examples):
        guess = WORD if logits[WORD] > logits[NAME] else NAME
        right.append(guess == label)
    return 100 * mean(right)


def head_accuracy(stream_of, seed):
    """Train a head on what stream_of gives for 200 texts; return its accuracy."""
    head = [[Value(0.0) for _ in range(n_embd)] for _ in range(2)]

    def logits_of(batch):
        return [linear(x, head) for x in batch]

    examples = []
    for text, label in training_examples(200, seed):
        examples.append((stream_of(text), label))
    parameters = flatten({"lm_head": head})
    train(parameters, logits_of, examples, n_epochs=10, learning_rate=0.03, seed=seed)
    learnt = as_floats({"lm_head": head})["lm_head"]
    all_logits = [linear(stream_of(text), learnt) for text, _ in VALIDATION]
    return accuracy_of(all_logits, VALIDATION)


print("Exercise 2: a head on frozen features, 200 examples")
for name, stream_of in [("the last token", last_stream), ("the mean", mean_stream)]:
    accuracies = [head_accuracy(stream_of, seed) for seed in SEEDS]
    print(f"  {name:<15} {mean_and_error(accuracies)}")
    assert mean(accuracies) > 60

# %%
# Exercise 3. By heart.
#
# Hint 1: 20 epochs of 50 examples are 100 steps of 10.
# Hint 2: after training, ask for the 50 examples themselves, and for VALIDATION.
#
# The fine-tuned model knows its 50 examples by heart and gets no better at others. It
# has 3,664 weights and 50 answers to remember; chapter 16 called this overfitting. The
# loss on the 50 goes to 0, and would say that all is well.
params = {}
for name, matrix in run.params.items():
    params[name] = [[Value(weight.data) for weight in row] for row in matrix]
params["lm_head"] = [[Value(0.0) for _ in range(n_embd)] for _ in range(2)]


def logits_of_texts(batch):
    """Return the logits of a batch of texts, given as tokens."""
    streams = last_streams(params, config, batch)
    return [linear(x, params["lm_head"]) for x in streams]


examples = training_examples(50, seed=0)
train(
    parameters=flatten(params),
    logits_of=logits_of_texts,
    examples=[(tokens_of(text), label) for text, label in examples],
    n_epochs=20,
    learning_rate=0.02,
    seed=0,
)
learnt = as_floats(params)
accuracies = []
for asked in [examples, VALIDATION]:
    streams = last_streams(learnt, config, [tokens_of(text) for text, _ in asked])
    all_logits = [linear(x, learnt["lm_head"]) for x in streams]
    accuracies.append(accuracy_of(all_logits, asked))
print("Exercise 3: 50 examples, 20 epochs")
print(f"  right of the 50 examples   {accuracies[0]:.0f} %")
print(f"  right of others            {accuracies[1]:.0f} %")
assert accuracies[0] > 95 > accuracies[1]
