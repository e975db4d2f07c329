"""Solutions to chapter 27. Read the hint first, try again, then look at the code."""

# %%
import os

from common import ROOT, TOKENIZER
from llama import LlamaConfig, empty_cache, llama, param_shapes, read_llama

FOLDER = os.path.join(ROOT, "tests", "reference", "data", "llama_names")
config, params = read_llama(FOLDER)
tokens = [TOKENIZER.bos, *TOKENIZER.encode("mariann")]


def logits_after_each(params, first_position=0):
    """Return the logits after each token, if the first one stands at that position."""
    keys, values = empty_cache(config)
    rows = []
    for i, token_id in enumerate(tokens):
        logits = llama(params, config, token_id, first_position + i, keys, values)
        rows.append(logits)
    return rows


def largest_difference(rows, other_rows):
    """Return the largest difference between two numbers in the same place."""
    largest = 0.0
    for row, other_row in zip(rows, other_rows):
        for number, other in zip(row, other_row):
            largest = max(largest, abs(number - other))
    return largest


expected = logits_after_each(params)

# %%
# Exercise 1. How many parameters does Llama 3 of "8 billion" have?
#
# Hint 1: the matrices of a layer are those in `param_shapes` of llama.py. Queries have
# n_head * head_dim numbers, keys and values n_kv_head * head_dim.
# Hint 2: `param_shapes` makes no matrix. It only says the shapes, so it can be asked
# about a model that fits into no memory.
#
# Five sixths of them are in the MLPs, the embeddings and the head. Attention has only
# a sixth, and with a key for each head it would have more.
llama_3 = LlamaConfig(
    vocab_size=128256,
    block_size=8192,
    n_layer=32,
    n_head=32,
    n_kv_head=8,
    n_embd=4096,
    head_dim=128,
    n_hidden=14336,
    rope_theta=500000.0,
)
counts = {"embeddings and head": 0, "attention": 0, "MLP": 0, "norms": 0}
for name, (n_rows, n_columns) in param_shapes(llama_3):
    if name.endswith("norm"):
        part = "norms"
    elif "attn" in name:
        part = "attention"
    elif "mlp" in name:
        part = "MLP"
    else:
        part = "embeddings and head"
    counts[part] += n_rows * n_columns
n_llama_3 = sum(counts.values())
print("Exercise 1: the parameters of Llama 3 8B")
for part, count in counts.items():
    print(f"  {part:<20} {count:14,}   {count / n_llama_3:6.1%}")
print(f"  {'together':<20} {n_llama_3:14,}")
assert n_llama_3 == 8030261248

# %%
# Exercise 2. The gains, moved into the matrices.
#
# Hint 1: which matrices read what a norm has made? attn_norm is read by three of them,
# mlp_norm by two, final_norm by one.
# Hint 2: multiply column j of each by gain[j], and set the gain to 1.
#
# The logits are the same but for rounding. So the trained model does not need its gains
# any more. Programs that make models fast do this, since it saves a step.
READERS = {
    "attn_norm": ["attn_wq", "attn_wk", "attn_wv"],
    "mlp_norm": ["mlp_gate", "mlp_up"],
}


def columns_times(matrix, gain):
    """Return the matrix with column j multiplied by gain[j]."""
    rows = []
    for row in matrix:
        rows.append([weight * gain_j for weight, gain_j in zip(row, gain)])
    return rows


folded = dict(params)
ones = [[1.0] * config.n_embd]
for layer in range(config.n_layer):
    for norm, readers in READERS.items():
        gain = params[f"layer{layer}.{norm}"][0]
        for reader in readers:
            name = f"layer{layer}.{reader}"
            folded[name] = columns_times(params[name], gain)
        folded[f"layer{layer}.{norm}"] = ones
folded["lm_head"] = columns_times(params["lm_head"], params["final_norm"][0])
folded["final_norm"] = ones
difference = largest_difference(logits_after_each(folded), expected)
print("\nExercise 2: the gains are moved into the matrices")
print(f"  logits the same to ten digits after the point: {difference < 1e-10}")
assert difference < 1e-10

# A proof that the gains do something: set to 1 without moving them, they are missed.
without = {name: ones if name.endswith("norm") else params[name] for name in params}
assert largest_difference(logits_after_each(without), expected) > 0.1

# %%
# Exercise 3. The text begins at position 5.
#
# Hint 1: give `llama` positions that start at 5, with a cache that starts empty.
# Hint 2: what do the angles of query and key have to do with a score?
#
# The logits are the same but for rounding. All queries and keys are turned five places
# further, so the angles between them stay. Only values and x are left, and they know
# nothing of positions. A model with learned positions would look up other rows of wpe,
# and say something else. And if only the last token is moved? Then its distance to all
# others has changed, and so have its logits.
moved = logits_after_each(params, first_position=5)
difference = largest_difference(moved, expected)
print("\nExercise 3: the text begins at position 5")
print(f"  logits the same to ten digits after the point: {difference < 1e-10}")
assert difference < 1e-10

keys, values = empty_cache(config)
for i, token_id in enumerate(tokens[:-1]):
    llama(params, config, token_id, i, keys, values)
last = len(tokens) - 1
jumped = llama(params, config, tokens[-1], last + 5, keys, values)
difference = largest_difference([jumped], [expected[last]])
print(f"  only the last token moved by 5: a logit changes by {difference:.2f}")
assert difference > 0.01
