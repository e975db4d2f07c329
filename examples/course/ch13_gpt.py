"""Chapter 13. GPT: what do all the pieces make, put together?

You have seen nearly all of them. Embeddings turn tokens and positions into numbers.
Attention lets a letter look back, with several heads at once. Residual connections and
norms hold the layers together. One piece is missing. Attention gathers what other
letters have to say, but all it can do with it is to mix and to add. Nothing yet works
on what was gathered. That is the task of an MLP, which you know from chapter 9. Here it
reads a single letter's x, after attention, and adds what it makes of it to x.

With that the model is a GPT. In this chapter we look at its plan, count its parameters,
train it, and then go through `gpt` in microgpt/model.py line by line, on a real name,
with all numbers in sight. Then we write it once more ourselves, and compare: its logits
and gradients must be equal to the package's, to the last bit. At the end comes the
question of chapter 12 once more. What is the layer worth beside no layer at all?

Before you run it: `python examples/learn.py 13` asks you for a few guesses first. If
you go without it, write down which part has the most parameters: the embeddings,
attention or the MLP. And which has more: one head for all 16 numbers, or four heads for
4 each?

Sources: Vaswani et al., "Attention is all you need", 2017; Radford et al., "Language
models are unsupervised multitask learners" (GPT-2), 2019; So et al., "Primer: searching
for efficient transformers for language modeling", 2021, for the squared ReLU.
"""

# %%
import math
import os
import random
import sys

from common import (
    BLOCK_SIZE,
    HELD_OUT_NAMES,
    ROOT,
    TOKENIZER,
    TRAIN_NAMES,
    difference_and_error,
    loss_and_error,
    save_picture,
)
from looks import first_layer_looks, heat_map_rows, with_zeros, without_heads

from microgpt import (
    Adam,
    GPTConfig,
    as_floats,
    cross_entropy,
    document_loss,
    dot,
    empty_cache,
    flatten,
    gpt,
    init_params,
    linear,
    read_documents,
    relu,
    rmsnorm,
    softmax,
    token_losses,
    total,
)
from microgpt.model import add
from microgpt.tools.draw import bars, heat_map, side_by_side
from microgpt.tools.terminal import Progress
from microgpt.training import collector_paused, start, train

# %%
# The plan. A token goes in at the top, and 27 logits come out at the bottom.
PLAN = """
    token_id          pos_id
        |                |
     [ wte ]          [ wpe ]            a row of 16 numbers from each matrix
        |                |
        +----- add ------+
                |
             rmsnorm
                |                        x, the residual stream: 16 numbers
        +-------+              ----+
        |       |                  |
        |    rmsnorm               |
        |       |                  |
        |   attention              |     also reads the keys and values of the
        |       |                  |     tokens so far, and adds its own to them
        +----> add                 |
                |                  |     this is one layer; a larger model has
        +-------+                  |     several, each with weights of its own
        |       |                  |
        |    rmsnorm               |
        |       |                  |
        |      mlp                 |
        |       |                  |
        +----> add             ----+
                |
           [ lm_head ]
                |
            27 logits                    softmax makes probabilities of them
"""
print("The plan of a GPT" + PLAN)

# Follow the line in the middle. That is x. Nothing on its way replaces it: attention
# and the MLP each read a normalised copy of it, and what they make is added. You can
# think of x as a sheet of paper that is handed down, on which each part writes a note,
# for those below to read.

# %%
# How many parameters does each part have? A matrix of a linear layer has a row for each
# output and a column for each input.
#
# `start`, from microgpt/training.py, gets everything ready for a training and returns
# it as one object, called a *run*: run.config holds the sizes of the model, run.params
# its matrices with random numbers in them, and run.step says how many steps have been
# taken, so far none. It also splits the documents into those to train on and those held
# out.
documents = read_documents(os.path.join(ROOT, "input.txt"))
run, train_names, _ = start(documents)
config = run.config
PARTS = {
    "embeddings": ["wte", "wpe"],
    "attention": [
        "layer0.attn_wq",
        "layer0.attn_wk",
        "layer0.attn_wv",
        "layer0.attn_wo",
    ],
    "MLP": ["layer0.mlp_fc1", "layer0.mlp_fc2"],
    "head": ["lm_head"],
}
MEANINGS = {
    "wte": "token to embedding",
    "wpe": "position to embedding",
    "layer0.attn_wq": "x to query",
    "layer0.attn_wk": "x to key",
    "layer0.attn_wv": "x to value",
    "layer0.attn_wo": "what the heads gathered, to x",
    "layer0.mlp_fc1": "x to hidden",
    "layer0.mlp_fc2": "hidden to x",
    "lm_head": "x to logits",
}
n_parameters = len(flatten(run.params))
parameters_of = {}
print("The parameters of the default model")
for part, names in PARTS.items():
    parameters_of[part] = 0
    for name in names:
        matrix = run.params[name]
        n_rows, n_columns = len(matrix), len(matrix[0])
        parameters_of[part] += n_rows * n_columns
        size = f"{n_rows} x {n_columns}"
        print(f"  {name:<15} {size:<8} {n_rows * n_columns:6,}   {MEANINGS[name]}")
    share = parameters_of[part] / n_parameters
    print(
        f"      {part + ' together':<20}{parameters_of[part]:7,}   {share:.0%} of all"
    )
print(f"  the whole model {n_parameters:17,}")
assert sum(parameters_of.values()) == n_parameters == 4064

# Half of all parameters are in the MLP, a quarter in attention. And the number of heads
# is in none of these shapes. Four heads share the 16 numbers that one head would have
# for itself, so they take neither more parameters nor more work.
one_head_model = init_params(GPTConfig(vocab_size=27, n_head=1), random.Random(1))
four_head_model = init_params(GPTConfig(vocab_size=27, n_head=4), random.Random(1))
assert len(flatten(one_head_model)) == len(flatten(four_head_model)) == n_parameters

# %%
# Now train it: 500 steps, one name each, with the package's own `train`. It is a
# generator: each turn of the `for` loop takes one step, and run.step counts them. In a
# step it does what we did by hand in the chapters before: the loss of a name,
# backward(), and a step against the slopes. The step is taken by Adam, which is the
# subject of chapter 15.
#
# As in chapter 12, a layer starts by adding nothing. attn_wo begins with zeros, and so
# does mlp_fc2, the last matrix of the MLP.
assert train_names[:500] == TRAIN_NAMES
progress = Progress("training: step", total=500, every=100, stream=sys.stderr)
for _ in train(run, train_names):
    progress.show(run.step)
progress.finish()
params = as_floats(run.params)  # plain numbers are enough from here on

# %%
# We walk through `gpt`. The model has read BOS and "m", and now comes the "a" of
# "mari". What does it expect next? Open microgpt/model.py beside this, at `def gpt`.
# What follows are its lines, one after the other, for this one token. First, though,
# the two tokens before it have to leave their keys and values.


def show(name, numbers):
    """Print how many numbers a list has, and the first four of them."""
    first = " ".join([f"{number:6.2f}" for number in numbers[:4]])
    print(f"  {name:<27} {len(numbers):3} numbers: {first} …")


keys, values = empty_cache(config)
bos, m, a = [TOKENIZER.bos, *TOKENIZER.encode("ma")]
gpt(params, config, bos, 0, keys, values)
gpt(params, config, m, 1, keys, values)
print('\nA walk through gpt: "BOS m" has been read, and now comes "a", at position 2')

# %%
# Look up the two embeddings, add them, and bring the sum to size 1. From here on this
# list of 16 numbers is x, the residual stream of this token.
token_embedding = params["wte"][a]
pos_embedding = params["wpe"][2]
x = rmsnorm(add(token_embedding, pos_embedding))
show("token_embedding", token_embedding)
show("pos_embedding", pos_embedding)
show("x", x)

# %%
# The first half of the layer: attention. It reads a normalised copy of x, and makes a
# query, a key and a value of it. Key and value join those of the earlier tokens.
x_read = rmsnorm(x)
q = linear(x_read, params["layer0.attn_wq"])
k = linear(x_read, params["layer0.attn_wk"])
v = linear(x_read, params["layer0.attn_wv"])
keys[0].append(k)
values[0].append(v)
show("q, the query", q)
show("k, the key", k)
show("v, the value", v)
print(f"  keys in the cache: {len(keys[0])} (of BOS, m and a)")

# %%
# Each head takes its own 4 of the 16 numbers, compares its slice of the query with its
# slices of the keys, and mixes its slices of the values. Chapter 10 did this by hand.
head_dim = config.head_dim
gathered = []
print("  attention weights               BOS      m      a")
for h in range(config.n_head):
    head = slice(h * head_dim, (h + 1) * head_dim)
    keys_head = [k_t[head] for k_t in keys[0]]
    values_head = [v_t[head] for v_t in values[0]]
    scores = [dot(q[head], k_t) * head_dim**-0.5 for k_t in keys_head]
    weights = softmax(scores)
    gathered += [dot(weights, column) for column in zip(*values_head)]
    shares = "".join([f"{weight:7.2f}" for weight in weights])
    print(f"    head {h}                    {shares}")
attention_out = linear(gathered, params["layer0.attn_wo"])
show("gathered by all heads", gathered)
show("attention, through attn_wo", attention_out)
x = add(x, attention_out)
show("x, after adding it", x)

# %%
# The second half: the MLP. fc1 asks 64 questions of x, each of them a row of 16
# weights. What comes out is positive where x matches the row. The *activation function*
# sets the negative ones to 0 and squares the others: `relu(h) ** 2`. The results are
# called the *activations*. fc2 then adds up, for each question that was answered with
# yes, what should follow from it. (Without a function in between, fc1 and fc2 would be
# one linear function, as chapter 8 showed.)
#
# Why squared? The slope of ReLU jumps from 0 to 1 where the function has its corner;
# the slope of its square grows from 0 without a jump, and strong matches count for
# more. It was found by a program that tried out many variants of a transformer. This
# one learnt more than others in the same time ("Primer", see above).
hidden = linear(rmsnorm(x), params["layer0.mlp_fc1"])
activations = [relu(h) ** 2 for h in hidden]
mlp_out = linear(activations, params["layer0.mlp_fc2"])
x = add(x, mlp_out)
n_active = len([activation for activation in activations if activation > 0])
show("hidden", hidden)
show("the largest activations", sorted(activations, reverse=True))
print(f"  {n_active} of the {len(activations)} activations are not 0")
show("the MLP's output", mlp_out)
show("x, after adding it", x)

# %%
# Last, the language-model head compares x with a row of 16 weights for each of the 27
# tokens, and softmax makes probabilities of the 27 logits.
logits = linear(x, params["lm_head"])
show("logits", logits)
probs = softmax(logits)
likeliest = sorted(range(27), key=lambda token_id: -probs[token_id])[:5]
print('\nWhat comes after "ma"? The five likeliest, in percent')
rows = [(TOKENIZER.decode([i]) or "BOS", probs[i]) for i in likeliest]
print(bars(rows, width=60))

# And the package? It must have computed exactly these numbers.
package_keys, package_values = empty_cache(config)
for pos_id, token_id in enumerate([bos, m, a]):
    package_logits = gpt(params, config, token_id, pos_id, package_keys, package_values)
assert logits == package_logits
print("The package's gpt has the same 27 logits, to the last bit.")

# %%
# Stop here, and write it yourself! Open my_gpt.py in this folder. It has three empty
# functions, two for the halves of a layer and one that puts them together, and
#
#     python examples/course/my_gpt.py
#
# compares each with the package's, to the last bit. You have seen all the pieces. If
# you can do this from memory, with this file closed, you know what a GPT is.
#
# Done? Then compare with ours.


def our_attention(x, params, config, layer, keys, values):
    """Return what this token gathers from the tokens so far."""
    q = linear(x, params[f"layer{layer}.attn_wq"])
    keys[layer].append(linear(x, params[f"layer{layer}.attn_wk"]))
    values[layer].append(linear(x, params[f"layer{layer}.attn_wv"]))
    head_dim = config.head_dim
    gathered = []
    for h in range(config.n_head):
        head = slice(h * head_dim, (h + 1) * head_dim)
        scores = [dot(q[head], k[head]) * head_dim**-0.5 for k in keys[layer]]
        weights = softmax(scores)
        values_head = [v[head] for v in values[layer]]
        gathered += [dot(weights, column) for column in zip(*values_head)]
    return linear(gathered, params[f"layer{layer}.attn_wo"])


def our_mlp(x, params, layer):
    """Return what this token makes of its own x."""
    hidden = linear(x, params[f"layer{layer}.mlp_fc1"])
    activations = [relu(h) ** 2 for h in hidden]
    return linear(activations, params[f"layer{layer}.mlp_fc2"])


def our_gpt(params, config, token_id, pos_id, keys, values):
    """Return the logits of the token that follows token_id."""
    x = rmsnorm(add(params["wte"][token_id], params["wpe"][pos_id]))
    for layer in range(config.n_layer):
        found = our_attention(rmsnorm(x), params, config, layer, keys, values)
        x = add(x, found)
        x = add(x, our_mlp(rmsnorm(x), params, layer))
    return linear(x, params["lm_head"])


# Is it the same? We compare on a model with three layers, since with one layer it would
# not be noticed if keys of different layers got mixed up. And none of its weights is 0.
# In a new model attn_wo and mlp_fc2 are, so both halves of a layer add nothing,
# whatever they have computed. Our functions could be full of mistakes, and the logits
# would still be equal. We compare the logits of a whole name, and, after backward(),
# the gradient of each parameter.
rng = random.Random(13)
three_layers = GPTConfig(vocab_size=27, n_layer=3)
big_params = init_params(three_layers, rng)
for weight in flatten(big_params):
    weight.data = rng.gauss(0, 0.3)
tokens = TOKENIZER.encode_document("mariann")


def logits_and_gradients(model):
    """Return all logits of the model on "mariann", and the gradients of its loss."""
    keys, values = empty_cache(three_layers)
    all_logits, losses = [], []
    for pos_id, token_id in enumerate(tokens[:-1]):
        logits = model(big_params, three_layers, token_id, pos_id, keys, values)
        all_logits += [logit.data for logit in logits]
        losses.append(cross_entropy(logits, tokens[pos_id + 1]))
    loss = total(losses) * (1 / len(losses))
    loss.backward()
    gradients = [weight.grad for weight in flatten(big_params)]
    for weight in flatten(big_params):
        weight.grad = 0.0
    return all_logits, gradients, loss.data


our_logits, our_gradients, our_loss = logits_and_gradients(our_gpt)
their_logits, their_gradients, their_loss = logits_and_gradients(gpt)
print("\nOur gpt and the package's, three layers, on the name mariann")
print(
    f"  {len(our_logits):5,} logits equal to the bit:    {our_logits == their_logits}"
)
same_gradients = our_gradients == their_gradients
print(f"  {len(our_gradients):5,} gradients equal to the bit: {same_gradients}")
assert our_logits == their_logits and our_gradients == their_gradients
assert our_loss == document_loss(big_params, three_layers, tokens).data

# %%
# How good is it? The common measure, on the model that was trained on 500 names.


def nats_of_model(params):
    """Return the function name -> surprises that the common measure asks for."""

    def nats_of(name):
        return token_losses(params, config, TOKENIZER.encode_document(name))

    return nats_of


def kept(nats_of):
    """Ask nats_of for every held-out name once; return a function that remembers."""
    surprises_at = {name: nats_of(name) for name in HELD_OUT_NAMES}

    def nats_kept(name):
        return surprises_at[name]

    return nats_kept


whole_nats = kept(nats_of_model(params))
loss, error = loss_and_error(whole_nats)
print(f"\nloss per character: {loss:.3f} ± {error:.3f} (nats, the default GPT)")
print(f"  a perplexity of {math.exp(loss):.1f}")

# Chapter 12 had 2.525 with one layer, which had no MLP and only a single head. So have
# an MLP and three more heads brought nothing? We cannot say that. Two things have
# changed at once: the model, and the way it is trained, Adam instead of plain descent.
# Whoever changes two things does not know which of them did what.
#
# So we train the baseline of the last chapters in exactly the same way: the same names,
# the same numbers to start from, and the same Adam. It has wte, wpe and lm_head, and no
# layer. It knows the letter and its position, and looks at nothing else.


def surprises_without_layer(params, name):
    """Return the surprise at each of the first 8 characters of a name."""
    tokens = TOKENIZER.encode_document(name)[: BLOCK_SIZE + 1]
    losses = []
    for pos_id, token_id in enumerate(tokens[:-1]):
        x = rmsnorm(add(params["wte"][token_id], params["wpe"][pos_id]))
        logits = linear(x, params["lm_head"])
        losses.append(cross_entropy(logits, tokens[pos_id + 1]))
    return losses


fresh_run, _, _ = start(documents)
baseline = {name: fresh_run.params[name] for name in ["wte", "wpe", "lm_head"]}
optimizer = Adam(flatten(baseline))
for step, name in enumerate(TRAIN_NAMES):
    with collector_paused():
        losses = surprises_without_layer(baseline, name)
        mean_loss = total(losses) / len(losses)
        mean_loss.backward()
        del losses, mean_loss
    optimizer.step(fresh_run.training.learning_rate * (1 - step / len(TRAIN_NAMES)))
baseline_floats = as_floats(baseline)


def baseline_nats(name):
    """Return the surprises of the trained baseline."""
    return surprises_without_layer(baseline_floats, name)


baseline_loss, baseline_error = loss_and_error(baseline_nats)
gain, gain_error = difference_and_error(whole_nats, baseline_nats)
n_in_layer = parameters_of["attention"] + parameters_of["MLP"]
print("\nBoth trained with Adam on the same 500 names")
print(f"  the default GPT                     {loss:.3f} ± {error:.3f}")
print(
    f"  no layer: letter and position only  {baseline_loss:.3f} ± {baseline_error:.3f}"
)
print(f"  what the layer changes             {gain:+.3f} ± {gain_error:.3f}")
print("  (Each ± covers the choice of held-out names, not the luck of the start.)")

# The layer, attention and MLP together, holds three quarters of all parameters, and it
# has made the model better by a hundredth of a nat.
assert n_in_layer == 3072
assert -0.03 < gain < -0.005

# Which of its parts is it? As in chapter 11, we switch one off, without training again,
# and measure. 200 held-out names are enough to see it.
ABLATION_NAMES = HELD_OUT_NAMES[:200]
switched_off = {
    "attention head 0": without_heads(params, config, heads=[0]),
    "attention head 1": without_heads(params, config, heads=[1]),
    "attention head 2": without_heads(params, config, heads=[2]),
    "attention head 3": without_heads(params, config, heads=[3]),
    "all attention heads": without_heads(params, config, heads=range(4)),
    "the MLP": with_zeros(params, "layer0.mlp_fc2"),
    "positions": with_zeros(params, "wpe"),
}
print("\nWhat is lost if a part is switched off (nats a character, 200 names)")
lost_without = {}
for part, changed in switched_off.items():
    lost, lost_error = difference_and_error(
        nats_of_model(changed), whole_nats, ABLATION_NAMES
    )
    lost_without[part] = lost
    print(f"  {part:<20} {lost:+.4f} ± {lost_error:.4f}")

# So attention does next to nothing in this model! It has been trained, it could look
# wherever it likes, and without it hardly anything would be lost. What the layer has
# learnt, it has learnt in its MLP, which looks at a single letter. This confirms what
# chapter 12 found with a single head and other settings: with residual connections
# attention does no harm any more, but after 500 names it is of no use yet.
#
# (How can the MLP be missed by 0.039, when the whole layer brings only 0.011? The two
# numbers answer different questions. The baseline has never had a layer, and has learnt
# to do without. The model whose MLP is switched off has learnt to rely on it. What is
# missed is mostly more than what was gained, as with the queries in chapter 10.)
#
# Does it need more names, or are names a task on which it is never of use? Nothing in
# this chapter can decide that. Chapter 14 gives the same model twelve times as many
# names, and makes the same table again.
assert lost_without["all attention heads"] < lost_without["the MLP"]
assert lost_without["all attention heads"] < 0.02

# Here is where its four heads look, in "maria". You could tell a story about each of
# these pictures. The numbers above say that none of the stories matters yet.
labels = ["BOS", *"maria"]
tokens = [TOKENIZER.bos, *TOKENIZER.encode("maria")]
looks = first_layer_looks(params, config, tokens)
maps = []
for h in range(config.n_head):
    maps.append(
        heat_map(
            heat_map_rows(looks, h),
            row_labels=labels,
            column_labels=labels,
            title=f"head {h}",
            row_axis="looks from",
            column_axis="looks at",
            unit="attention weight",
            low=0.0,
            high=1.0,
        )
    )
title = "Where the four heads look in maria, after 500 names"
print()
save_picture("ch13_heads.svg", side_by_side(maps, columns=2, title=title))

# To go through gpt line by line on a page, forward and back, with every number it
# holds: `python examples/xray/xray.py --text maria`. A slider there moves all of them
# through the training run.
#
# What production does. The same plan. GPT-2 small has 12 layers, 12 heads and 768
# numbers in x, LayerNorm for RMSNorm, GELU for the squared ReLU, biases, and one more
# norm before the head; its lm_head is the matrix wte, used a second time. Models of
# today add other ways to say where a token stands (RoPE), and MLPs with a gate
# (SwiGLU). A model with 100 layers is still this plan.
#
# What is still missing. The payoff! So far nothing has shown that all this is better
# than counting, or that attention is worth its parameters on names. In the next chapter
# the same model gets 6,000 of them.
#
# Exercises. Hints and solutions are in ch13_solution.py.
# 1. GPT-2 small has a vocabulary of 50,257, n_embd 768, 12 layers, a block of 1,024,
#    and its lm_head is its wte. It is said to have 124,439,808 parameters. How many
#    does our plan give, and what are the others?
# 2. We take one token through all layers, then the next. A GPU wants it the other way
#    round: all tokens through the first layer side by side, then through the second.
#    Write that. Are the logits still equal?
# 3. How many multiplications does the model do for the token at position 7? Count them
#    by part. At which position would attention's scores and mixtures outgrow the rest?
