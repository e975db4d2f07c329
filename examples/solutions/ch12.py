"""Solutions to chapter 12, which runs first and prints its own lines before these."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import ch12_kv_cache as chapter

from microgpt.gpt import cross_entropy, document_loss, empty_cache, flatten, gpt
from microgpt.value import Value, total

# 1. Attention takes 2 * n_embd * t in each layer, the rest is always the same. Here it
#    is overtaken at token 112, past the 64 of the block; in GPT-2 at about token 6,700,
#    far past its 1,024. Up to there the matrices are most of the work, and that part of
#    the cost is the same for every token. (Norms and biases of GPT-2 are left out.)
gpt2_fixed = 12 * 12 * 768**2 + 50257 * 768
for name, fixed, n_embd, n_layer in [
    ("here", chapter.fixed, 16, 1),
    ("GPT-2", gpt2_fixed, 768, 12),
]:
    for_each_t = 2 * n_embd * n_layer
    t = fixed // for_each_t + 1
    assert for_each_t * (t - 1) <= fixed < for_each_t * t
    print(f"{name}: from token {t:,} on")
# expect: here: from token 112 on
# expect: GPT-2: from token 6,703 on

# 2. The loss is the same to the bit. The gradients are wrong, and nothing complains: a
#    bare number has no graph behind it, so an earlier token never learns what its key
#    and value did to later predictions. Writing needs no gradients; training does.
params, config = chapter.random_model(1)
tokens = chapter.tokens[:8]
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
    for cache in [*keys, *values]:
        cache[-1] = [Value(x.data) for x in cache[-1]]
detached_loss = total(losses) * (1 / len(losses))
detached_loss.backward()
print("loss the same to the bit:", detached_loss.data == loss.data)
for name in ["lm_head", "layer0.attn_wq", "layer0.attn_wk", "layer0.attn_wv"]:
    weights = [weight for row in params[name] for weight in row]
    wrong = sum(weight.grad != right[weight.label] for weight in weights)
    print(f"{name}: {wrong} of {len(weights)} gradients differ")

# expect: loss the same to the bit: True
# expect: lm_head: 0 of 432 gradients differ
# expect: layer0.attn_wq: 0 of 256 gradients differ
# expect: layer0.attn_wk: 256 of 256 gradients differ
# expect: layer0.attn_wv: 256 of 256 gradients differ

# Nudging the weight where they differ most says which of the two is the slope.
values_matrix = params["layer0.attn_wv"]
weight = max(
    [weight for row in values_matrix for weight in row],
    key=lambda weight: abs(weight.grad - right[weight.label]),
)
h = 1e-5
weight.data += h
above = document_loss(params, config, tokens).data
weight.data -= 2 * h
below = document_loss(params, config, tokens).data
weight.data += h
slope = (above - below) / (2 * h)
print(f"nudged {slope:.4f}, kept {right[weight.label]:.4f}, cut {weight.grad:.4f}")
# expect: nudged -0.2629, kept -0.2629, cut -0.0152
assert abs(slope - right[weight.label]) < 1e-7

# 3. No. The positions are at fault: each key and value in the cache was made with the
#    position embedding of its token's old place, and after the drop each token stands
#    one place earlier. (With more layers there is a second reason: their keys and
#    values were made from what the dropped token had said.) So all 64 must be run again
#    for every token past the block. Production models tell heads the distance between
#    two tokens instead of their places (such as RoPE; Su et al., 2021): it stays as it
#    is when a token is dropped.
model = chapter.random_model(1)


def slide(new_token):
    """Return the logits after new_token: oldest token dropped, and all run again."""
    keys, values = empty_cache(model[1])
    chapter.read(model, chapter.tokens, keys, values)
    for cache in [*keys, *values]:
        del cache[0]
    dropped, _ = chapter.read(model, [new_token], keys, values)
    window = [*chapter.tokens[1:], new_token]
    again, _ = chapter.read(model, window, *empty_cache(model[1]))
    return dropped, again


dropped, again = slide(new_token=5)
gap = max(abs(a - b) for a, b in zip(dropped, again))
print(f"logits from {min(again):.2f} to {max(again):.2f} are off by up to {gap:.2f}")
# expect: logits from -3.30 to 2.20 are off by up to 0.18

# The proof: without position embeddings, and with one layer, it is the same bits.
for row in model[0]["wpe"]:
    for weight in row:
        weight.data = 0.0
dropped, again = slide(new_token=5)
print("the same without positions:", dropped == again)
# expect: the same without positions: True
