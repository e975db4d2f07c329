"""Solutions to chapter 6. Read the hint first, try again, and then look at the code."""

# %%
from common import TOKENIZER, TRAIN_NAMES, pairs

from microgpt import dot, linear

VOWELS = "aeiou"


def share_of_vowels(letters):
    n_vowels = sum([letter in VOWELS for letter in letters])
    return n_vowels / len(letters) - 0.5


neighbours_after = {letter: [] for letter in TOKENIZER.chars}
neighbours_before = {letter: [] for letter in TOKENIZER.chars}
for name in TRAIN_NAMES:
    for first, second in zip(name, name[1:]):
        neighbours_after[first].append(second)
        neighbours_before[second].append(first)

vectors = {}
for letter in TOKENIZER.chars:
    vectors[letter] = [
        share_of_vowels(neighbours_after[letter]),
        share_of_vowels(neighbours_before[letter]),
    ]

# %%
# Exercise 1. Positive for y, h and the vowels, negative for j.
#
# Hint 1: the letters whose dot product with [w0, w1] is 0 lie on a line through the
# middle of the map. On one side of it the answers are positive, on the other negative.
# Hint 2: in the picture, h lies to the right and low, j far to the right and a little
# above 0. The line has to pass between the two, and the vowels must be on h's side.
#
# "Few vowels before it" is a good question: [0, -1]. Its line is the horizontal through
# the middle: all vowels, y and h are below it, and j is above. But t, d and g are below
# it too: one straight line cannot pick out any group one likes.
question = [0.0, -1.0]
answers = {letter: dot(question, x) for letter, x in vectors.items()}
positive = [letter for letter, answer in answers.items() if answer > 0]
print("Exercise 1")
print(f"  positive: {' '.join(positive)}")
assert all(answers[letter] > 0 for letter in VOWELS + "yh")
assert answers["j"] < 0

# %%
# Exercise 2. Swap, and leave alone.
#
# Hint 1: the first row must pick out x[1] and ignore x[0].
# Hint 2: so the first row is [0, 1]. And the second?
#
# The matrix that changes nothing has 1s from the upper left to the lower right and 0s
# elsewhere. It is called the identity matrix.
swap = [[0.0, 1.0], [1.0, 0.0]]
identity = [[1.0, 0.0], [0.0, 1.0]]
print("\nExercise 2")
print(f"  swap:     [3, 7] -> {linear([3.0, 7.0], swap)}")
print(f"  identity: [3, 7] -> {linear([3.0, 7.0], identity)}")
assert linear([3.0, 7.0], swap) == [7.0, 3.0]
assert linear([3.0, 7.0], identity) == [3.0, 7.0]

# %%
# Exercise 3. Half an "m" and half an "n".
#
# Hint 1: in each dot product, two products are not 0.
# Hint 2: compare the result with the two rows of counts.
#
# A linear layer treats a mixture as the same mixture of the answers, and the answer for
# a one-hot vector is a row of counts. So the result must be half of the row of "m" plus
# half of the row of "n": how often each letter follows, on average over the two.
# Attention, in chapter 10, makes such mixtures of letters all the time.
counts = [[0] * 27 for _ in range(27)]
for name in TRAIN_NAMES:
    for context, target in pairs(name):
        counts[context[-1]][target] += 1
transposed = [list(column) for column in zip(*counts)]
m, n, a = TOKENIZER.encode("mna")
mixture = [0.0] * 27
mixture[m] = mixture[n] = 0.5
mixed = linear(mixture, transposed)
print("\nExercise 3")
print(f'  "a" after m: {counts[m][a]}, after n: {counts[n][a]}, mixed: {mixed[a]}')
for k in range(27):
    assert mixed[k] == (counts[m][k] + counts[n][k]) / 2
