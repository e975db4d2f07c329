"""Solutions to chapter 13. Read the hint first, try again, then look at the code."""

# %%
import random

from common import TOKENIZER

from microgpt import (
    GPTConfig,
    as_floats,
    dot,
    empty_cache,
    flatten,
    gpt,
    init_params,
    linear,
    mlp,
    rmsnorm,
    softmax,
)
from microgpt.model import add

# %%
# Exercise 1. The parameters of GPT-2 small.
#
# Hint 1: with n = n_embd, attention has 4 * n * n weights in a layer, the MLP twice as
# many.
# Hint 2: what is left over are biases (a learnt number for each output of a linear
# layer) and LayerNorms (two numbers for each of the n, in two norms a layer and a
# last).
n, n_layer, vocab_size, block_size = 768, 12, 50_257, 1_024
token_embeddings = vocab_size * n  # they are used a second time as lm_head
position_embeddings = block_size * n
layers = n_layer * (4 * n * n + 8 * n * n)
our_plan = token_embeddings + position_embeddings + layers

biases_of_attention = 3 * n + n  # of the queries, keys and values; of attn_wo
biases_of_mlp = 4 * n + n  # of fc1 and fc2
norms_of_a_layer = 2 * (n + n)  # two of them, each with n gains and n biases
last_norm = n + n
others = n_layer * (biases_of_attention + biases_of_mlp + norms_of_a_layer) + last_norm
print("Exercise 1: the parameters of GPT-2 small")
print(f"  by our plan:          {our_plan:12,}")
print(f"  biases and norms:     {others:12,}")
print(f"  together:             {our_plan + others:12,}")
assert our_plan + others == 124_439_808

# %%
# Exercise 2. All tokens through a layer side by side.
#
# Hint 1: keep a list of xs, one for each token, and replace the whole list layer by
# layer.
# Hint 2: within a layer, let the token at position t see only keys[: t + 1].
#
# A token only ever needs what earlier tokens had in the *same* layer. So it does not
# matter whether we go through the table of tokens and layers row by row or column by
# column. Each number is computed from the same numbers in the same order, and so it is
# equal to the bit. (Training on a GPU does it side by side, since all tokens are there
# from the start. Writing has to do it token by token, as here: the next one is not
# known yet.)


def gpt_side_by_side(params, config, tokens):
    """Return the logits after each of the tokens."""
    xs = []
    for pos_id, token_id in enumerate(tokens):
        xs.append(rmsnorm(add(params["wte"][token_id], params["wpe"][pos_id])))
    head_dim = config.head_dim
    for layer in range(config.n_layer):
        xs_read = [rmsnorm(x) for x in xs]
        queries = [linear(x, params[f"layer{layer}.attn_wq"]) for x in xs_read]
        keys = [linear(x, params[f"layer{layer}.attn_wk"]) for x in xs_read]
        values = [linear(x, params[f"layer{layer}.attn_wv"]) for x in xs_read]
        new_xs = []
        for t, x in enumerate(xs):
            gathered = []
            for h in range(config.n_head):
                head = slice(h * head_dim, (h + 1) * head_dim)
                q_head = queries[t][head]
                scores = [dot(q_head, k[head]) * head_dim**-0.5 for k in keys[: t + 1]]
                weights = softmax(scores)
                values_head = [v[head] for v in values[: t + 1]]
                gathered += [dot(weights, column) for column in zip(*values_head)]
            found = linear(gathered, params[f"layer{layer}.attn_wo"])
            new_xs.append(add(x, found))
        xs = [add(x, mlp(rmsnorm(x), params, layer)) for x in new_xs]
    return [linear(x, params["lm_head"]) for x in xs]


rng = random.Random(13)
config = GPTConfig(vocab_size=27, n_layer=3)
random_params = init_params(config, rng)
for weight in flatten(random_params):
    weight.data = rng.gauss(0, 0.3)
params = as_floats(random_params)
tokens = TOKENIZER.encode_document("mariann")[:-1]
keys, values = empty_cache(config)
one_by_one = []
for pos_id, token_id in enumerate(tokens):
    one_by_one.append(gpt(params, config, token_id, pos_id, keys, values))
side_by_side = gpt_side_by_side(params, config, tokens)
print("\nExercise 2: side by side and one by one")
print(
    f"  {len(tokens)} tokens, all logits equal to the bit: {side_by_side == one_by_one}"
)
assert side_by_side == one_by_one

# %%
# Exercise 3. The multiplications for one token.
#
# Hint 1: linear uses each weight of its matrix once for each token.
# Hint 2: at position t there are t + 1 keys. Each head takes its 4 of the 16 numbers,
# so all heads together take 16 multiplications for each key, for the scores. So do the
# mixtures, for each value.
#
# The matrices take 3,504 multiplications at every position, and scores and mixtures
# take 32 for each token so far: 256 at position 7. They outgrow the rest when 32 * (t +
# 1) is more than 3,504, from position 109 on. In a text of thousands of tokens this is
# most of the work, which is why long texts are dear.
n = 16
multiplications = {
    "attention's four matrices": 4 * n * n,
    "the MLP": 8 * n * n,
    "the language-model head": 27 * n,
}
in_matrices = sum(multiplications.values())
position = 7
looking = 2 * n * (position + 1)
print("\nExercise 3: multiplications for the token at position 7 (norms left out)")
for part, number in multiplications.items():
    print(f"  {part:<26} {number:6,}")
print(f"  scores and mixtures        {looking:6,}")
first_position = 0
while 2 * n * (first_position + 1) <= in_matrices:
    first_position += 1
print(
    f"  scores and mixtures take more than all matrices from position {first_position}"
)
assert (in_matrices, looking, first_position) == (3504, 256, 109)
