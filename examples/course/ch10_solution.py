"""Solutions to chapter 10. Read the hint first, try again, then look at the code."""

# %%
import math
import random

from common import BLOCK_SIZE, HELD_OUT_NAMES, TOKENIZER, TRAIN_NAMES

from microgpt import Value, as_floats, cross_entropy, dot, flatten, linear, softmax
from microgpt.model import add
from microgpt.training import collector_paused

# %%
# Exercise 1. What does the "e" of "lena" see?
#
# Hint 1: it sees two letters, the "l" with the key (1, 0) and itself with (0, 1).
# Hint 2: the products are 4 and 1. Divide both by sqrt(2) = 1.414, and then softmax.
#
# With two scores, only their difference matters: 4/1.414 - 1/1.414 = 2.121. The weight
# of the "l" is 1 / (1 + e^-2.121) = 1 / (1 + 0.120) = 0.893, and 0.107 is left.
score_of_l, score_of_e = 4 / math.sqrt(2), 1 / math.sqrt(2)
by_difference = 1 / (1 + math.exp(score_of_e - score_of_l))
weight_of_l, weight_of_e = softmax([score_of_l, score_of_e])
print("Exercise 1")
print(f"  weight of l {weight_of_l:.3f}, weight of e {weight_of_e:.3f}")
assert abs(weight_of_l - by_difference) < 1e-12

# %%
# Exercise 2. In "lena", each vowel shall look for the vowel before it.
#
# Hint 1: the key needs a number that says "I am a vowel", and one for the place.
# Hint 2: a letter cannot look past itself: it is a vowel as well, and the latest one.
# What in its query could make its own place less welcome than the places before?
#
# A query of (4, 1), "vowels, and late ones", finds the "a" itself. A linear function of
# x cannot say "not my own place": the score is linear in the key, so if late places are
# better, the latest is the best of all. What we can say is "vowels, and early ones",
# with a negative number for the place. In "lena" that finds the "e". In a longer name
# it would find the first vowel rather than the last one before. (Trained models get
# round this with embeddings of many numbers for each place, which are not in a line as
# ours are, and with a second layer, which can look from where the first one points.)
embedding_of = {
    "l": [0.0, 1.0, 0.0, 0.0],
    "e": [1.0, 0.0, 0.0, 0.0],
    "n": [0.0, 0.0, 1.0, 0.0],
    "a": [1.0, 0.0, 0.0, 0.0],
}
xs = []
for place, letter in enumerate("lena"):
    xs.append(add(embedding_of[letter], [0.0, 0.0, 0.0, float(place)]))
attn_wk = [[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]  # a vowel? at which place?
keys = [linear(x, attn_wk) for x in xs]
print("\nExercise 2: what the a of lena looks at")
print("                          l      e      n      a")
looks_of_a = {}
for what, wish_for_place in [("late vowels", 1.0), ("early vowels", -1.0)]:
    attn_wq = [[6.0, 0.0, 0.0, 0.0], [wish_for_place, 0.0, 0.0, 0.0]]
    q = linear(xs[3], attn_wq)
    weights = softmax([dot(q, k) / math.sqrt(2) for k in keys])
    looks_of_a[what] = weights
    print(f"  {what:<18}" + "".join([f"{weight:7.3f}" for weight in weights]))
assert looks_of_a["late vowels"][3] == max(looks_of_a["late vowels"])
assert looks_of_a["early vowels"][1] == max(looks_of_a["early vowels"])

# %%
# Exercise 3. Let all tokens see all, and train.
#
# Hint 1: the only change is that all keys and values exist before the first token
# looks.
# Hint 2: to ask it honestly, give it only the tokens so far, and take the last
# logits.
#
# It learns to look at the answer, which stands one place to the right, and its loss
# becomes smaller than that of any honest model. Asked to write, it finds nothing on the
# right, and it is worse than a blind guess. A causal model can be trusted because it
# was never able to look.
N = 16


def logits_when_all_see_all(params, tokens):
    """Return the logits after each token; each looks at all of them."""
    xs = []
    for pos_id, token_id in enumerate(tokens):
        xs.append(add(params["wte"][token_id], params["wpe"][pos_id]))
    keys = [linear(x, params["attn_wk"]) for x in xs]
    values = [linear(x, params["attn_wv"]) for x in xs]
    logits = []
    for x in xs:
        q = linear(x, params["attn_wq"])
        weights = softmax([dot(q, k) * N**-0.5 for k in keys])
        mixture = [dot(weights, column) for column in zip(*values)]
        logits.append(linear(mixture, params["lm_head"]))
    return logits


def losses_when_all_see_all(params, name):
    """Return the surprise at each character, when the next one is there to be seen."""
    tokens = TOKENIZER.encode_document(name)[: BLOCK_SIZE + 1]
    logits = logits_when_all_see_all(params, tokens[:-1])
    return [cross_entropy(logits[i], tokens[i + 1]) for i in range(len(logits))]


def losses_when_writing(params, name):
    """Return the surprise at each character, when only those before it are there."""
    tokens = TOKENIZER.encode_document(name)[: BLOCK_SIZE + 1]
    losses = []
    for end in range(1, len(tokens)):
        logits = logits_when_all_see_all(params, tokens[:end])
        losses.append(cross_entropy(logits[-1], tokens[end]))
    return losses


def mean_loss(losses_of, params):
    """Return the mean surprise at a character of 100 held-out names."""
    nats = []
    for name in HELD_OUT_NAMES[:100]:
        nats += losses_of(params, name)
    return sum(nats) / len(nats)


rng = random.Random(42)
rows = {"wte": 27, "wpe": BLOCK_SIZE, "lm_head": 27}
rows.update({"attn_wq": N, "attn_wk": N, "attn_wv": N})
params = {}
for matrix_name, n_rows in rows.items():
    params[matrix_name] = []
    for _ in range(n_rows):
        params[matrix_name].append([Value(rng.gauss(0, 0.3)) for _ in range(N)])
for name in TRAIN_NAMES[:200]:
    with collector_paused():
        losses = losses_when_all_see_all(params, name)
        (sum(losses) / len(losses)).backward()
        del losses
    for parameter in flatten(params):
        parameter.data -= 0.3 * parameter.grad
        parameter.grad = 0.0

trained = as_floats(params)
seeing = mean_loss(losses_when_all_see_all, trained)
writing = mean_loss(losses_when_writing, trained)
print("\nExercise 3: a model that sees all letters")
print(f"  loss while it sees them:           {seeing:.2f} nats")
print(f"  loss when only earlier ones exist: {writing:.2f}")
print(f"  a blind guess:                     {math.log(27):.2f}")
assert seeing < 2 and writing > math.log(27)
