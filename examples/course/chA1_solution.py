"""Solutions to appendix 1. Each begins with hints: read them one at a time."""

# %%
from __future__ import annotations

import gc
import random

from common import TOKENIZER
from engines import (
    CLOSURES,
    MICROGPT,
    STORED,
    Closure,
    count_nodes,
    loss_on,
    params_for,
)

from microgpt import GPTConfig, flatten, init_params, param_shapes

config = GPTConfig(TOKENIZER.vocab_size)
rng = random.Random(13)
params = init_params(config, rng)
for weight in flatten(params):
    weight.data = rng.gauss(0, 0.2)
tokens = TOKENIZER.encode_document("elmeda")
n_tokens = len(tokens) - 1

# %%
# Exercise 1. How many nodes are in the matrices?
#
# Hint 1: a token meets every weight of a matrix once: one product and one sum.
# Hint 2: wte and wpe are not multiplied with: their rows are looked up.
#
# 2 nodes for each weight and token. They are nearly all of the graph.
n_weights = 0
for name, (n_rows, n_columns) in param_shapes(config).items():
    if name not in ("wte", "wpe"):
        n_weights += n_rows * n_columns
in_matrices = 2 * n_weights * n_tokens
loss = loss_on(STORED, params_for(STORED, params), config, tokens)
n_single = count_nodes(loss)
print("Exercise 1: nodes of single operations")
print(f"  in matrices {in_matrices:,} of {n_single:,}: {in_matrices / n_single:.0%}")
assert 0.85 < in_matrices / n_single < 0.95
del loss


# %%
# Exercise 2. Closures that clean up after themselves.
#
# Hint 1: a stack and a set of nodes seen, as in count_nodes.
# Hint 2: to count what only the collector can free, use gc.set_debug(gc.DEBUG_SAVEALL):
#         then gc.collect() puts what it finds into gc.garbage.
# Hint 3: which nodes does the walk from the loss never meet?
#
# It breaks nearly all circles, but not all. softmax makes 27 probabilities for each
# token, and the loss is computed from one. A walk that starts at the loss never meets
# the other 26. They are still in circles of their own, and hold on to everything that
# they were computed from. Besides, it comes too late to save time: the collector
# searches while the graph is being built.
def nothing():
    """Do nothing; hold on to nothing."""


def let_go_of_functions(root):
    """Replace the function of every node below root."""
    stack, seen = [root], {root}
    while stack:
        node = stack.pop()
        node._backward = nothing
        for node_input in node.inputs:
            if node_input not in seen:
                seen.add(node_input)
                stack.append(node_input)


def closures_found_by_collector(clean_up):
    """Return how many functions only the collector could free after a pass."""
    own_params = params_for(CLOSURES, params)
    gc.collect()
    gc.disable()
    loss = loss_on(CLOSURES, own_params, config, tokens)
    loss.backward()
    if clean_up:
        let_go_of_functions(loss)
    del loss
    gc.set_debug(gc.DEBUG_SAVEALL)  # put what is found into gc.garbage
    gc.collect()
    n_found = 0
    for thing in gc.garbage:
        if isinstance(thing, Closure) and thing._backward is not nothing:
            n_found += 1
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()
    return n_found


as_before = closures_found_by_collector(clean_up=False)
cleaned_up = closures_found_by_collector(clean_up=True)
print("Exercise 2: nodes in circles that only the garbage collector could free")
print(f"  without cleaning up {as_before:>7,}")
print(f"  after cleaning up   {cleaned_up:>7,}")
assert 0 < cleaned_up < as_before / 10

# %%
# Exercise 3. A fused squared ReLU.
#
# Hint 1: 64 hidden numbers for each token, and one node fewer for each of them.
#
# 448 of 3,565, one in eight. That is much for so small a change, but these nodes have a
# single input each and are the cheapest of all: most of the time goes to dots.
saved = 64 * n_tokens
loss = loss_on(MICROGPT, params_for(MICROGPT, params), config, tokens)
n_fused = count_nodes(loss)
print("Exercise 3: nodes saved by a fused squared ReLU")
print(f"  {saved} of {n_fused:,}: {saved / n_fused:.0%}")
assert saved == 448
