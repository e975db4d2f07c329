"""Solutions to chapter 23. Each begins with hints: read them one at a time."""

# %%
import random
import sys

from common import HELD_OUT_NAMES, TOKENIZER, TRAIN_NAMES
from mini_gpt_values import (
    MiniAdamW,
    gelu,
    init_mini_gpt,
    layernorm,
    learning_rate,
    mini_gpt,
    mini_token_losses,
)

from microgpt import GPTConfig, Value, as_floats, empty_cache, rmsnorm, softmax, total
from microgpt.tools.terminal import Progress
from microgpt.training import collector_paused


def text(numbers):
    """Return the numbers as a short text."""
    return ", ".join([f"{number:.3f}" for number in numbers])


# %%
# Exercise 1. LayerNorm of two numbers.
#
# Hint 1: the mean of 3 and 5 is 4. What is left of each?
# Hint 2: and the usual size of -1 and 1?
#
# (3, 5) less its mean is (-1, 1), whose size is 1 already. (5, 3) becomes (1, -1). The
# same comes out for (3, 500), (-8, 2) and whatever else: after LayerNorm, two numbers
# say only which of them is the larger. One of the two has gone with the mean, the other
# with the size. RMSNorm takes away the size alone and leaves the direction, which is
# any point on a circle. With 16 or 768 numbers LayerNorm takes away two of as many, and
# nobody notices.
print("Exercise 1: two numbers, normalised")
print("  x              LayerNorm         RMSNorm")
for x in [[3.0, 5.0], [5.0, 3.0], [3.0, 500.0], [-8.0, 2.0]]:
    by_layernorm = layernorm(x, gain=[1.0, 1.0], bias=[0.0, 0.0])
    x_text = f"({x[0]:g}, {x[1]:g})"
    print(f"  {x_text:<12} {text(by_layernorm):>16}   {text(rmsnorm(x)):>13}")
    for number in by_layernorm:
        assert abs(abs(number) - 1) < 1e-4

# %%
# Exercise 2. The lowest point of GELU.
#
# Hint 1: gelu(Value(x)) stores its slope in local_grads. At -1 it is negative, at -0.5
#         positive.
# Hint 2: look at the slope in the middle. If it is negative, the lowest point is to the
#         right of the middle, otherwise to the left. Each look halves the interval.
#
# It is at x = -0.7518, and the lowest value is -0.1700. Far to the left GELU comes back
# up to 0: its gate shuts faster than x grows.
left, right = -1.0, -0.5
for _ in range(60):
    middle = (left + right) / 2
    [slope] = gelu(Value(middle)).local_grads
    if slope < 0:
        left = middle
    else:
        right = middle
lowest = gelu(middle)
print("Exercise 2: the lowest point of GELU")
print(f"  x = {middle:.6f}, where GELU is {lowest:.6f}")
assert lowest <= min([gelu(-i / 1000) for i in range(4000)])
assert abs(middle - -0.7518) < 0.0001

# %%
# Exercise 3. The same letter once more.
#
# Hint 1: train with the loop in section 19 of the chapter, without `drop`.
# Hint 2: with a tied head, init_mini_gpt(config, rng, tied_head=True), params has no
#         lm_head, and mini_gpt notices.
# Hint 3: go through held-out names letter by letter; softmax of the logits, at the
#         token that has just been read.
#
# In the names it happens in between 3 and 4 of 100 cases. The model with a head of its
# own thinks it a little less likely than it is, and the tied one thinks it half as
# likely again, or more. So the opinion with which a tied model begins is not gone after
# 300 names. (The chapter shows, in section 13, that this is only a small part of what
# the tied head costs.)
CONFIG = GPTConfig(vocab_size=27, n_head=2, n_embd=8)
N_NAMES = 300


def train(tied_head, progress):
    """Return a mini GPT that has seen 300 names, as floats."""
    params = init_mini_gpt(CONFIG, random.Random(1), tied_head)
    optimizer = MiniAdamW(params, weight_decay=0.1, max_norm=1.0)
    for step, name in enumerate(TRAIN_NAMES[:N_NAMES]):
        with collector_paused():
            tokens = TOKENIZER.encode_document(name)
            losses = mini_token_losses(params, CONFIG, tokens)
            loss = total(losses) / len(losses)
            loss.backward()
            del losses, loss
        optimizer.step(learning_rate(step, N_NAMES, highest=0.01, n_warm_up=20))
        progress.show(step + 1)
    progress.finish()
    return as_floats(params)


def once_more(params, names):
    """Return (the mean probability of the letter just read, how often it came)."""
    probabilities, came = [], []
    for name in names:
        tokens = TOKENIZER.encode_document(name)[: CONFIG.block_size + 1]
        keys, values = empty_cache(CONFIG)
        for pos_id, token_id in enumerate(tokens[:-1]):
            logits = mini_gpt(params, CONFIG, token_id, pos_id, keys, values)
            if token_id != TOKENIZER.bos:
                probabilities.append(softmax(logits)[token_id])
                came.append(tokens[pos_id + 1] == token_id)
    return sum(probabilities) / len(probabilities), sum(came) / len(came)


print("Exercise 3: how likely is the letter that has just been read once more?")
expected = {}
for what, tied_head in [("a head of its own", False), ("a tied head", True)]:
    progress = Progress(f"{what}: name", N_NAMES, every=100, stream=sys.stderr)
    params = train(tied_head, progress)
    expected[what], really = once_more(params, HELD_OUT_NAMES[:200])
    print(f"  {what:<18} {expected[what]:.3f}")
print(f"  in the names       {really:.3f}")
assert expected["a head of its own"] < really
assert expected["a tied head"] > 1.5 * really
