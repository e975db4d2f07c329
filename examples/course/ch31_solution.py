"""Solutions to chapter 31. Read the hint first, try again, then look at the code."""

# %%
import math
import random
from collections import Counter
from statistics import mean

from common import ALL_HELD_OUT_NAMES, ALL_TRAIN_NAMES, TOKENIZER
from preferences import dpo_loss, log_probability
from trained import trained_gpt

from microgpt import Adam, Value, as_floats, flatten, next_tokens
from microgpt.training import collector_paused

# What the chapter begins with, shortened.
run = trained_gpt()
config = run.config
START = as_floats(run.params)
KNOWN_NAMES = {*ALL_TRAIN_NAMES, *ALL_HELD_OUT_NAMES}


def reward(name):
    """Return 1.0 for a name that is new and ends in a vowel, and otherwise 0.0."""
    return 1.0 if name[-1:] in set("aeiou") and name not in KNOWN_NAMES else 0.0


def write(params, rng):
    """Return (a name that the model writes, the log of the name's probability)."""
    tokens, log_p = [], 0.0
    for token_id, probs in next_tokens(params, config, TOKENIZER, rng):
        tokens.append(token_id)
        log_p += math.log(probs[token_id])
    return TOKENIZER.decode(tokens), log_p


def log_p_of(params, name):
    """Return the log of the probability of a name."""
    return log_probability(params, config, TOKENIZER.encode_document(name))


def measure(params, reward_of, n_names=100):
    """Return (mean reward, distance, how many are different, the names)."""
    rng = random.Random("measure")
    written = [write(params, rng) for _ in range(n_names)]
    names = [name for name, _ in written]
    distance = mean([log_p - log_p_of(START, name) for name, log_p in written])
    return mean([reward_of(name) for name in names]), distance, len(set(names)), names


def new_policy():
    """Return the weights of the start as Values, ready to learn."""
    params = {}
    for name, matrix in START.items():
        params[name] = [[Value(weight) for weight in row] for row in matrix]
    return params


def reinforce(reward_of, learning_rate, n_steps=20, n_written=8):
    """Return the weights after n_steps of REINFORCE without a penalty."""
    params = new_policy()
    optimizer = Adam(flatten(params))
    rng = random.Random("exercise")
    for _ in range(n_steps):
        floats = as_floats(params)
        names = [write(floats, rng)[0] for _ in range(n_written)]
        scores = [reward_of(name) for name in names]
        for name, score in zip(names, scores):
            advantage = score - (sum(scores) - score) / (n_written - 1)
            if abs(advantage) > 1e-12:
                with collector_paused():
                    (log_p_of(params, name) * -advantage / n_written).backward()
        optimizer.step(learning_rate)
    return as_floats(params)


def print_row(label, measured):
    """Print what was measured, in a row."""
    mean_reward, distance, n_different, names = measured
    print(
        f"  {label:<16} {mean_reward:.2f} {distance:10.2f} {n_different:10}   "
        f"{', '.join(names[:4])}"
    )


# %%
# Exercise 1. Without a penalty, and slowly.
#
# Hint 1: the chapter's `reinforce` with learning_rate=0.003, penalty=0.0, n_steps=100.
# Hint 2: which of the columns warns you, and does the reward?
#
# In 20 steps it comes to no harm: the reward rises, the distance stays below 1, and the
# names are names. A small step is a limit of the distance too, as long as there are few
# of them. After 100 steps nearly every name earns the reward, the distance is above 10,
# and you can read what has become of the names. So a small learning rate delays the
# gaming and does not stop it. And the reward alone, which only rises, would not tell
# you when to stop. It is the distance, and how many of the names are different, that
# show it.
print("Exercise 1: no penalty (one seed)")
print("  rate 0.003     reward   distance  different   names")
slow = measure(reinforce(reward, learning_rate=0.003), reward)
print_row("20 steps", slow)
long = measure(reinforce(reward, learning_rate=0.003, n_steps=100), reward)
print_row("100 steps", long)
assert slow[0] > 0.6 and slow[1] < 1 and slow[2] > 90
assert long[0] > 0.95 and long[1] > 10 and long[2] < slow[2]


# %%
# Exercise 2. A harmless reward?
#
# Hint 1: sum([letter in "aeiou" for letter in name]) / 8.
# Hint 2: what would be worth most, of all that the model can write?
#
# The most that can be had is eight vowels in a row, and that is what it goes for. That
# nice names have vowels is true. But it is true of nice *names*, and the reward does
# not ask for names.
def vowel_reward(name):
    """Return 1/8 for each vowel."""
    return sum([letter in "aeiou" for letter in name]) / 8


print("\nExercise 2: 1/8 for each vowel, no penalty (one seed)")
print("                 reward   distance  different   names")
before = measure(START, vowel_reward)
after = measure(reinforce(vowel_reward, learning_rate=0.02), vowel_reward)
print_row("before", before)
print_row("after 20 steps", after)
letters = Counter("".join(after[3]))
n_vowels = sum([letters[vowel] for vowel in "aeiou"])
print(f"  {n_vowels / sum(letters.values()):.0%} of its letters are vowels")
assert after[0] > 2 * before[0] and n_vowels > 0.8 * sum(letters.values())


# %%
# Exercise 3. Other betas.
#
# Hint 1: the slope of the loss is beta * sigmoid(-beta * margin), with a minus.
# Hint 2: at which margin does it fade?
#
# The smaller beta, the further the model moves. The slope of the loss fades when beta *
# margin is about 3: with beta = 5 at a margin of 0.6, with beta = 0.02 at 150, which is
# never. So beta is for DPO what the penalty is for REINFORCE: it says how much distance
# a preference is worth. (That the slope is also multiplied by beta matters little here,
# since Adam divides by the usual size of the gradients.)
def dpo(beta, n_pairs=64, learning_rate=0.01):
    """Return the weights after so many pairs, one a step."""
    rng = random.Random("pairs of the exercise")
    better_names, worse_names = [], []
    while min(len(better_names), len(worse_names)) < n_pairs:
        name, _ = write(START, rng)
        (better_names if reward(name) else worse_names).append(name)
    params = new_policy()
    optimizer = Adam(flatten(params))
    for step, (better, worse) in enumerate(zip(better_names, worse_names)):
        if step == n_pairs:
            break
        with collector_paused():
            loss = dpo_loss(
                log_p_of(params, better),
                log_p_of(params, worse),
                log_p_of(START, better),
                log_p_of(START, worse),
                beta,
            )
            loss.backward()
            del loss
        optimizer.step(learning_rate * (1 - step / n_pairs))
    return as_floats(params)


print("\nExercise 3: DPO with other betas (one seed)")
print("  beta           reward   distance  different   names")
distance_at = {}
for beta in [0.02, 5.0]:
    measured = measure(dpo(beta), reward)
    distance_at[beta] = measured[1]
    print_row(str(beta), measured)
assert distance_at[0.02] > 2 * distance_at[5.0]
