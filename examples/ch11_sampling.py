"""Chapter 11. Sampling: a model gives 27 chances, so which letter should it write?

The last chapters built a model and trained it, and all it ever says is 27
probabilities. A name needs one letter, and then the next. Chapter 1 rolled dice, by
which a letter of 1% is written once in 100 times. One may also always take the
likeliest letter, or load the dice towards it. No weight changes for this: the same
answers are only used in another way.

Write down what you expect, before you run this:
- Begin a name with each letter of the alphabet, and add the likeliest letter until the
  name ends. How different will the 26 names be?
- Load the dice towards the likely letters: will more of the names be real, or fewer?
- How many of 100 names will be copies of the 300 that the model was trained on?

Source: Holtzman et al., "The curious case of neural text degeneration", 2020.
"""

import os
import random
import string

from course import ROOT, TRAIN_NAMES, save_picture

from microgpt.checkpoint import TrainConfig
from microgpt.data import read_documents
from microgpt.draw import Line, bars, line_chart
from microgpt.gpt import empty_cache, gpt
from microgpt.sample import generate, token_probabilities
from microgpt.train import start, train

# The model of chapter 9 after only 300 steps, a name each: enough to sample from.
documents = read_documents(os.path.join(ROOT, "input.txt"))
run, _, _ = start(documents, TrainConfig(steps=300))
for _ in train(run, TRAIN_NAMES):
    pass
model = (run.params, run.config, run.tokenizer)


def logits_after(text):
    """Return the 27 logits, as floats, for what comes after text."""
    keys, values = empty_cache(run.config)
    for pos_id, token_id in enumerate([0, *run.tokenizer.encode(text)]):
        logits = gpt(run.params, run.config, token_id, pos_id, keys, values)
    return [logit.data for logit in logits]


# One answer: the 7 likeliest tokens, and the other 20, the tail, each less than 1%.
probs = token_probabilities(logits_after("m"))
likeliest = sorted(range(27), key=lambda token_id: -probs[token_id])
rows = [(run.tokenizer.decode([i]), probs[i]) for i in likeliest[:7]]
tail = sum(probs[i] for i in likeliest[7:])
print("after 'm':")
print(bars([*rows, ("the others", tail)], top=0.5))
# expect: a  34.2% #####################
# expect: i  26.0% ################
# expect: e  15.5% #########
# expect: o   9.3% ######
# expect: the others   6.1% ####
assert probs[likeliest[7]] < 0.01
# But there are 20 of them. If six letters were drawn like this one, the chance that at
# least one is from the tail, and the name goes on as if it had been meant, would be
print(f"1 - {1 - tail:.3f} ** 6 = {1 - (1 - tail) ** 6:.2f}")
# expect: 1 - 0.939 ** 6 = 0.31

# Greedy: always the likeliest. top_k=1 leaves one token to draw, so no dice matter.
letters = string.ascii_lowercase
greedy = [generate(*model, random.Random(0), letter, top_k=1) for letter in letters]
print("greedy:", *greedy[:8])
# expect: greedy: arana bara cara daran erana fara garan hara
vowels = {name[1:] for name in greedy if name[0] in "aeiou"}
consonants = {name[1:] for name in greedy if name[0] not in "aeiou"}
print("after a vowel", sorted(vowels), "after a consonant", sorted(consonants))
# expect: after a vowel ['lana', 'rana'] after a consonant ['ara', 'aran']
# 26 beginnings have four ends. What makes names differ is what greedy leaves out.

# Temperature: divide all logits by T before softmax. Since exp(x / T) is exp(x) to the
# power 1 / T, it raises every probability to that power, and scales the sum back to 1.
# Below 1 the likely gain; above 1 they lose. Near 0 it is greedy, far up all are equal.
for temperature in [0.1, 0.3, 0.6, 1.0, 1.5, 100.0]:
    loaded = token_probabilities(logits_after("m"), temperature)
    powers = [p ** (1 / temperature) for p in probs]
    assert all(abs(p - q / sum(powers)) < 1e-12 for p, q in zip(loaded, powers))
    a, i, o, q = [loaded[token_id] for token_id in run.tokenizer.encode("aioq")]
    print(f"T = {temperature:<5}  a {a:.3f}  i {i:.3f}  o {o:.3f}  q {q:.3f}")
# expect: T = 0.1    a 0.939  i 0.060  o 0.000  q 0.000
# expect: T = 1.0    a 0.342  i 0.260  o 0.093  q 0.000
# expect: T = 100.0  a 0.039  i 0.039  o 0.038  q 0.036

# Another way cuts off the tail and leaves the rest as it was, scaled to sum to 1: top_k
# keeps the k likeliest tokens; top_p keeps the likeliest that together reach p.
for text in ["m", "ma"]:
    before = token_probabilities(logits_after(text))
    for how in [{"top_k": 5}, {"top_p": 0.8}]:
        after = token_probabilities(logits_after(text), **how)
        kept = [p for p, p_after in zip(before, after) if p_after > 0]
        print(f"after {text!r}, {how}: {len(kept)} tokens kept, with {sum(kept):.0%}")
# expect: after 'm', {'top_k': 5}: 5 tokens kept, with 89%
# expect: after 'm', {'top_p': 0.8}: 4 tokens kept, with 85%
# expect: after 'ma', {'top_k': 5}: 5 tokens kept, with 49%
# expect: after 'ma', {'top_p': 0.8}: 15 tokens kept, with 81%
# After "m" come vowels; after "ma", 15 letters make sense, and a fixed k throws ten of
# them away. A fixed share keeps few tokens or many, as the case may be.

# Now roll, 100 names each. Different: from each other. Real: in the file of 41,833, of
# which the model has seen 300. Both: how many different real names. Copied: seen ones.
real, seen = set(documents), set(TRAIN_NAMES[:300])
temperatures = [0.1, 0.3, 0.6, 1.0, 1.5]
table = []
print("  T  top_k  different  real  both  copied")
for temperature, top_k in [*((T, 27) for T in temperatures), (1.0, 5)]:
    rng = random.Random(1)
    how = {"temperature": temperature, "top_k": top_k}
    names = [generate(*model, rng, **how) for _ in range(100)]
    n_real, n_copied = [sum(name in known for name in names) for known in (real, seen)]
    table.append([len(set(names)), n_real, len(set(names) & real), n_copied])
    row = [temperature, top_k, *table[-1]]
    print("{:>3} {:>6} {:>10} {:>5} {:>5} {:>7} ".format(*row), *names[:3])
# expect: 0.1     27         13    92     9       0  jara jara jara
# expect: 0.3     27         87    53    41       2  diran lelan marilin
# expect: 0.6     27        100    15    15       0  dirde midan ranieri
# expect: 1.0     27         99     6     6       0  crokh nodaren jlawt
# expect: 1.5     27         99     3     3       0  ctrenenn baulq johwu
# expect: 1.0      5         99    25    24       0  armana malone jilyn
different, n_real, n_both, n_copied = zip(*table)
# Colder is more real and more of the same; the most real names lie in between. Cutting
# the tail helps too. (Of 100 names, a count of 50 may be off by 10, one of 6 by 5.)
assert list(n_real[:5]) == sorted(n_real[:5], reverse=True)
assert max(n_both) == n_both[1] and n_both[5] > n_both[3]
# And it does not copy: most real names it has never seen. The 300 are 0.7% of the file,
# so that a model without any memory of them would hit about as many.
by_chance = sum(n_real) * 300 / len(documents)
print(f"{sum(n_real)} real, {sum(n_copied)} copied, by chance {by_chance:.1f}")
# expect: 194 real, 2 copied, by chance 1.4
columns = {"different from each other": different, "real": n_real, "both": n_both}
lines = [Line(name, list(zip(temperatures, n))) for name, n in columns.items()]
svg = line_chart(lines, "100 names at each temperature", "temperature", "names")
save_picture("ch11_sampling.svg", svg)

# What production does: both at once, such as a temperature of 0.7 and a top_p of 0.9.
# GPT-2's published samples drew from the 40 likeliest of 50,257 tokens. Where answers
# should not vary, it is greedy ("temperature 0").
#
# What is left unsolved: for every letter the model reads all letters before it. Must it
# do all their arithmetic again each time?
#
# Exercises (solutions in solutions/ch11.py):
# 1. Which temperature gives the least loss on held-out names? Predict it, then measure.
# 2. Greedy takes the likeliest letter each time. Is what it writes the likeliest name?
#    Search: keep beginnings with their probabilities, and always extend the likeliest.
# 3. What does it take to make the model copy? Train it on 3 names, 40 times each.
