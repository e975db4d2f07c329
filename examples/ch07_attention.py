"""Chapter 7. Attention: how can a letter look back as far as it likes?

A window of three letters ends after three, and each place in it has weights of its own.
In attention a letter looks things up instead. It asks with a query; every letter so far
has a key to be found by and a value to hand over; the answer is a mix of all values,
most of it from where the key fits. One such look-up, the same for all letters, is
called a head.

Write down what you expect, before you run this:
- Such a head is given letters, but not where they stand. Can it tell "mar" from "amr"?
- If the last letter of a name is changed, which predictions for that name change?
- Without their order, are all letters so far worth more than the last one (2.632)?

Source: Vaswani et al., "Attention is all you need", 2017, section 3.2.1.
"""

import gc
import random

from course import HELD_OUT_NAMES, TOKENIZER, TRAIN_NAMES, held_out_loss, save_picture

from microgpt.gpt import cross_entropy, flatten, linear, softmax
from microgpt.value import Value, dot, total

gc.disable()  # it would look for reference cycles, and there are none (chapter 4)


def attend(q, keys, values, scale=1.0):  # (n), (t, n), (t, m) -> (m), (t)
    """Return (a mix of the values, their shares). Sizes: (t, n) is t lists of n."""
    # A dot product is large if both lists of numbers are large in the same places.
    scores = [dot(q, k) * scale for k in keys]
    weights = softmax(scores)
    return [dot(weights, column) for column in zip(*values)], weights


# {"vowel": 10, "consonant": 20}[query] is a hard look-up: one key equals the query. A
# soft one: let a key be two numbers, how much a vowel and how much a consonant. Every
# key answers, with its share of the softmax. The slope shown is d(answer)/d(query[0]).
keys = [[Value(1.0), Value(0.0)], [Value(0.0), Value(1.0)]]
values = [[Value(10.0)], [Value(20.0)]]
for query in ([1.0, 0.0], [1.0, 1.0], [10.0, 0.0]):
    q = [Value(number) for number in query]
    (answer,), weights = attend(q, keys, values)
    answer.backward()
    shares = " and ".join(f"{weight.data:.3f}" for weight in weights)
    print(f"{query}: {shares}, answer {answer.data:.3f}, slope {q[0].grad:.4f}")
# expect: [1.0, 0.0]: 0.731 and 0.269, answer 12.689, slope -1.9661
# expect: [1.0, 1.0]: 0.500 and 0.500, answer 15.000, slope -2.5000
# expect: [10.0, 0.0]: 1.000 and 0.000, answer 10.000, slope -0.0005

# A long query makes the look-up hard, with a slope near 0: little is learnt through it.
# A dot product of n random numbers of size 1 has a size of sqrt(n), so a large model
# would begin hard. The scale 1 / sqrt(n) takes that back (exercise 1).
#
# In a language model, query, key and value are three linear functions of the letter's
# embedding, to which one for its position is added: for place 0, place 1 and so on.
N = 16  # numbers in an embedding, a query, a key, a value
ROWS = {"wte": 27, "attn_wq": N, "attn_wk": N, "attn_wv": N, "lm_head": 27}


def one_head(params, tokens):  # (t) -> (t, 27), (t, up to t)
    """Return (the logits after each token, the weights with which it looks back)."""
    keys, values, logits, looks = [], [], [], []
    for pos_id, token_id in enumerate(tokens):
        x = params["wte"][token_id]
        if "wpe" in params:
            x = [t + p for t, p in zip(x, params["wpe"][pos_id])]
        q = linear(x, params["attn_wq"])
        keys.append(linear(x, params["attn_wk"]))
        values.append(linear(x, params["attn_wv"]))
        # Later letters have no key yet, so none of them can be looked up.
        head_out, weights = attend(q, keys, values, N**-0.5)
        logits.append(linear(head_out, params["lm_head"]))  # a matrix, no look-up
        looks.append([weight.data for weight in weights])
    return logits, looks


def losses_of(params, name):
    """Return the surprise at each of the first 8 characters of a name."""
    tokens = TOKENIZER.encode_document(name)[:9]
    logits, _ = one_head(params, tokens[:-1])
    return [cross_entropy(*pair) for pair in zip(logits, tokens[1:])]


def train(rows):
    """Return (parameters after the descent of chapter 6, their held-out loss)."""
    rng = random.Random(42)
    params = {}
    for name, n in rows.items():
        params[name] = [[Value(rng.gauss(0, 0.3)) for _ in range(N)] for _ in range(n)]
    for step, name in enumerate(TRAIN_NAMES):
        losses = losses_of(params, name)
        (total(losses) / len(losses)).backward()
        for weight in flatten(params):
            weight.data -= (1 - step / len(TRAIN_NAMES)) * weight.grad
            weight.grad = 0.0
    # held_out_loss asks name by name and letter by letter: in this very order.
    nats = (loss.data for name in HELD_OUT_NAMES for loss in losses_of(params, name))
    return params, held_out_loss(lambda context, target: next(nats))


blind_params, blind_loss = train(ROWS)
params, loss = train({**ROWS, "wpe": 8})
print(f"without positions: {blind_loss:.3f}\nloss per character: {loss:.3f}")
# expect: without positions: 2.626
# expect: loss per character: 2.588


def answers_to(text, params=params):
    """Return the logits after BOS and after each letter of text, as plain numbers."""
    logits, _ = one_head(params, [0, *TOKENIZER.encode(text)])
    return [[logit.data for logit in row] for row in logits]


# Without positions the earlier letters are a heap, and in any order mix to the same.
for model, has in ((blind_params, "without"), (params, "with")):
    pairs = zip(answers_to("mar", model)[-1], answers_to("amr", model)[-1])
    apart = max(abs(a - b) for a, b in pairs)
    print(f"{has} positions, the logits after mar and amr differ by {apart:.3f}")
    assert (apart < 1e-12) == (model is blind_params)

# Causality: no letter sees a later one. marie and marin differ after the last only.
same = [a == b for a, b in zip(answers_to("marie"), answers_to("marin"))]
print("the same to the last bit:", same)
# expect: the same to the last bit: [True, True, True, True, True, False]

# Where does each letter look? A row for each, darker where it takes more from.
letters = ["BOS", *"mariann"]
_, looks = one_head(params, [0, *TOKENIZER.encode("mariann")])
svg = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 390 370">']
svg += ['<rect width="100%" height="100%" fill="white"/>']
for t, row in enumerate(looks):
    print(f"{letters[t]:>3}", *[f"{share:4.0%}" for share in row])
    svg.append(f'<text x="15" y="{40 * t + 65}">{letters[t]}</text>')
    svg.append(f'<text x="{40 * t + 65}" y="30">{letters[t]}</text>')
    for s, share in enumerate(row):
        at = f'x="{40 * s + 60}" y="{40 * t + 40}" width="38" height="38"'
        svg.append(f'<rect {at} fill="#0072b2" fill-opacity="{share:.2f}"/>')
save_picture("ch07_attention.svg", "\n".join([*svg, "</svg>"]))

# What production does: the same, with many heads. Each token is compared with all that
# came before: in a text ten times as long that is about a hundred times the work.
#
# What is left unsolved: the head does no better than the MLP (2.574). All it passes on
# is the mix, of which the letter itself is but a share; a second would mix mixtures.
#
# Exercises (solutions in solutions/ch07.py):
# 1. Draw q and 8 keys, 256 numbers each. What does the scale do to the largest weight?
# 2. Let all tokens look at later ones too, and train 200 steps. What is wrong with it?
# 3. Multiply attn_wq of the trained model by 0: all weigh the same. What is that worth?
