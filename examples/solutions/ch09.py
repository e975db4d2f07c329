"""Solutions to chapter 9, which runs first and prints its own lines before these."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import ch09_gpt as chapter

from microgpt.gpt import Value, dot, linear

# 1. With n = n_embd, a layer has 4 * n * n in attention and 8 * n * n in the MLP. What
#    we do not have is a bias for every output of a linear: 3 * n for queries, keys and
#    values, n for attn_wo, 4 * n and n in the MLP. And LayerNorms, two a layer and one
#    at the end, each with n gains and n biases.
n, n_layer = 768, 12
ours = 50_257 * n + 1_024 * n + n_layer * 12 * n * n
others = n_layer * (9 * n + 2 * 2 * n) + 2 * n
print(f"ours {ours:,}, others {others:,}, together {ours + others:,}")
# expect: ours 124,318,464, others 121,344, together 124,439,808

# 2. Row i of fc2 times column j of fc1: the product of the matrices. Sums of sums are
#    sums, so 2,048 parameters did the work of 256.
fc1 = chapter.run.params["layer0.mlp_fc1"]
fc2 = chapter.run.params["layer0.mlp_fc2"]
product = [[dot(row, column) for column in zip(*fc1)] for row in fc2]
x = [Value(chapter.rng.gauss(0, 1)) for _ in range(16)]
in_two_steps, in_one = linear(linear(x, fc1), fc2), linear(x, product)
assert max(abs(a.data - b.data) for a, b in zip(in_two_steps, in_one)) < 1e-12
print(len(product), "x", len(product[0]))
# expect: 16 x 16

# 3. A head's answer reaches x through its own 4 columns of attn_wo, the MLP's through
#    mlp_fc2. The MLP is missed, attention hardly. After 500 names the model knows what
#    follows a letter at its position, and little of the letters before. After 6,000 the
#    order has turned round: then it is attention that is missed most. Try it.
attn_wo = chapter.run.params["layer0.attn_wo"]
names = chapter.HELD_OUT_NAMES[:50]


def loss_without(weights):
    """Return the loss with these weights at 0, and put them back."""
    saved = [weight.data for weight in weights]
    for weight in weights:
        weight.data = 0.0
    loss = chapter.held_out_loss(chapter.run, names)
    for weight, number in zip(weights, saved):
        weight.data = number
    return loss


parts = {
    "nothing": [],
    "head 1": [weight for row in attn_wo for weight in row[4:8]],
    "all heads": [weight for row in attn_wo for weight in row],
    "the MLP": [weight for row in fc2 for weight in row],
}
losses = {part: loss_without(weights) for part, weights in parts.items()}
for part, loss in losses.items():
    print(f"without {part}: {loss:.3f}")
assert losses["the MLP"] > losses["all heads"] + 0.03
# expect: without nothing: 2.420
# expect: without head 1: 2.421
# expect: without all heads: 2.426
# expect: without the MLP: 2.476
