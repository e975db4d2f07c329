"""Solutions to chapter 18. Each begins with hints: read them one at a time."""

# %%
from __future__ import annotations

import random

import common  # noqa: F401  (it lets Python find microgpt)

from microgpt import (
    GPTConfig,
    Value,
    as_floats,
    cross_entropy,
    document_loss,
    empty_cache,
    flatten,
    gpt,
    init_params,
    total,
)

config = GPTConfig(vocab_size=27, block_size=64)
rng = random.Random(18)
params = init_params(config, rng)
for weight in flatten(params):
    weight.data = rng.gauss(0, 0.2)
text = [rng.randrange(27) for _ in range(65)]

# %%
# Exercise 1. When does attention cost more than all the rest?
#
# Hint 1: at token t attention takes 2 * n_embd * t in each layer; the rest is constant.
# Hint 2: for GPT-2 the rest is 12 layers of 12 * 768 ** 2, and the head, 50,257 * 768.
#
# In this model that happens at token 112, which lies outside its block of 64, and in
# GPT-2 at token 6,703, far outside its block of 1,024. So within the block, most of the
# work is always in the matrices, and that part costs the same for every token. (The
# norms and biases of GPT-2 are left out of the count.)
print("Exercise 1: from which token on is attention more than half of the work?")
first_token = {}
for name, n_layer, n_embd, rest in [
    ("the default model", 1, 16, 3552),
    ("GPT-2", 12, 768, 12 * 12 * 768**2 + 50257 * 768),
]:
    for_each_token = 2 * n_embd * n_layer
    first_token[name] = rest // for_each_token + 1
    print(f"  {name}: token {first_token[name]:,}")
    assert for_each_token * (first_token[name] - 1) <= rest
    assert rest < for_each_token * first_token[name]

# %%
# Exercise 2. A cache without a graph, while training.
#
# Hint 1: write token_losses out, and after each gpt() replace the newest keys and
#         values by Values without inputs.
# Hint 2: compare the loss, and the gradients matrix by matrix, with document_loss.
#
# The loss is the same to the bit, the gradients are wrong, and nothing complains. A
# number without a graph has no inputs, so what a later prediction owes to an earlier
# token's key or value never reaches attn_wk and attn_wv. Writing needs no gradients;
# training does.
tokens = text[:9]
loss = document_loss(params, config, tokens)
loss.backward()
right = {weight.label: weight.grad for weight in flatten(params)}
for weight in flatten(params):
    weight.grad = 0.0

keys, values = empty_cache(config)
losses = []
for pos_id, target_id in enumerate(tokens[1:]):
    logits = gpt(params, config, tokens[pos_id], pos_id, keys, values)
    losses.append(cross_entropy(logits, target_id))
    for cache in (keys[0], values[0]):
        cache[-1] = [Value(number.data) for number in cache[-1]]
cut_loss = total(losses) * (1 / len(losses))
cut_loss.backward()
print("Exercise 2: numbers without a graph in the cache")
print(f"  the loss is the same: {cut_loss.data == loss.data}")
wrong_in = {}
for name in ["lm_head", "layer0.attn_wq", "layer0.attn_wk", "layer0.attn_wv"]:
    weights = [weight for row in params[name] for weight in row]
    wrong_in[name] = sum([weight.grad != right[weight.label] for weight in weights])
    print(f"  {name:<15} {wrong_in[name]:>3} of {len(weights)} gradients are wrong")
assert cut_loss.data == loss.data
assert wrong_in["lm_head"] == wrong_in["layer0.attn_wq"] == 0
assert wrong_in["layer0.attn_wk"] == wrong_in["layer0.attn_wv"] == 256

# A nudge says which of the two is the slope.
weight = max(
    [weight for row in params["layer0.attn_wv"] for weight in row],
    key=lambda weight: abs(weight.grad - right[weight.label]),
)
h = 1e-5
weight.data += h
above = document_loss(params, config, tokens).data
weight.data -= 2 * h
below = document_loss(params, config, tokens).data
weight.data += h
slope = (above - below) / (2 * h)
kept, cut = right[weight.label], weight.grad
print(f"  {weight.label}: nudged {slope:.4f}, with graph {kept:.4f}, cut {cut:.4f}")
assert abs(slope - kept) < 1e-7

# %%
# Exercise 3. Dropping the oldest token.
#
# Hint 1: del keys[0][0] and del values[0][0]; the new token then stands at position 63.
# Hint 2: what was added to x before the keys in the cache were made?
#
# The logits are not what they should be, and the positions are at fault. Each key and
# value in the cache was made with the position embedding of its token's old place, and
# after the drop every token stands one place earlier. (With more layers there is a
# second reason: their keys and values hold what was gathered from the dropped token.)
# So beyond the block all 64 tokens must be run again for every new one. Many of today's
# models tell the heads how far apart two tokens are rather than where each of them
# stands, and a distance survives the drop. (Chapter 24 builds the best known way to do
# that, which is called RoPE.)


def slide(floats):
    """Return the logits after token 65: oldest token dropped, and all run again."""
    keys, values = empty_cache(config)
    for pos_id, token_id in enumerate(text[:64]):
        gpt(floats, config, token_id, pos_id, keys, values)
    del keys[0][0]
    del values[0][0]
    dropped = gpt(floats, config, text[64], 63, keys, values)

    keys, values = empty_cache(config)
    for pos_id, token_id in enumerate(text[1:65]):
        again = gpt(floats, config, token_id, pos_id, keys, values)
    return dropped, again


floats = as_floats(params)
dropped, again = slide(floats)
gap = max([abs(a - b) for a, b in zip(dropped, again)])
print("Exercise 3: the oldest token is dropped from the cache")
print(f"  logits from {min(again):.2f} to {max(again):.2f} are off by up to {gap:.2f}")
assert gap > 0.01

# The proof: without position embeddings, and with one layer, nothing is off.
floats["wpe"] = [[0.0] * config.n_embd for _ in range(config.block_size)]
dropped, again = slide(floats)
print(f"  without position embeddings they are equal: {dropped == again}")
assert dropped == again
