"""Chapter 10. Attention: how can a letter look back as far as it likes?

The MLP of chapter 9 reads the last three letters through a window. A fourth letter back
does not exist for it. And each place in the window has weights of its own: whatever the
model learns about an "a" one letter back, it has to learn once more for an "a" two
letters back. Make the window wider, and there are more such places, each to be learnt
separately.

*Attention* does it another way. A letter does not receive the letters before it through
fixed slots; it looks something up among them. It asks a question, the *query*. Each
letter so far has a label by which it can be found, its *key*, and something to hand
over, its *value*. The letter takes a mixture of all values, with most of it from where
the key fits the query. It does not matter how far back that is, and the same weights
serve every place. One such look-up is called an *attention head*.

This is the idea that the T in GPT, the *transformer*, is built on, so we take our time.
First comes a look-up that you know, a Python dictionary, and what keeps it from being
learnt. Then we go through one name with numbers small enough to check by hand. Then we
ask, of each part, what would happen without it. Only then do we train, and compare the
result with what it has to beat: the MLP of chapter 9, and the same model without any
attention. Be prepared for a surprise.

Before you run it: `python examples/learn.py 10` asks you for a few guesses first. If
you go without it, write down whether a head that is not told where the letters stand
can distinguish "lena" from "nela", and which predictions for a name change if you
change its last letter.

Source: Vaswani et al., "Attention is all you need", 2017, section 3.2.
"""

# %%
import math
import random
import sys

from common import (
    BLOCK_SIZE,
    HELD_OUT_NAMES,
    TOKENIZER,
    TRAIN_NAMES,
    difference_and_error,
    loss_and_error,
    save_picture,
)
from window_mlp import train_window_mlp, window_mlp_nats

from microgpt import (
    GPTConfig,
    Value,
    as_floats,
    attention,
    cross_entropy,
    dot,
    empty_cache,
    flatten,
    linear,
    softmax,
    total,
)
from microgpt.model import add
from microgpt.tools.draw import heat_map
from microgpt.tools.terminal import Progress
from microgpt.training import collector_paused

# %%
# A look-up you know. A dictionary has keys and values. It compares what you ask for,
# the query, with every key, and hands you the one value whose key is equal.
dictionary = {"vowel": 10.0, "consonant": 20.0}
print("A look-up in a dictionary")
print(f'  the query "vowel" gives {dictionary["vowel"]}')


# The same with the comparison written out. Every entry gets a *weight*: 1 if its key is
# equal to the query, and otherwise 0. The answer is the sum of all values, each times
# its weight. That is a long way round for a dictionary, but look at the shape of it.
def exact_look_up(query, entries):
    """Return the sum of all values, those with the wrong key multiplied by 0."""
    answer = 0.0
    for key, value in entries.items():
        weight = 1.0 if key == query else 0.0
        answer += weight * value
    return answer


print(f"  weights and a sum say   {exact_look_up('vowel', dictionary)}")
assert exact_look_up("vowel", dictionary) == dictionary["vowel"]

# %%
# Could a model learn what to ask for? Learning means: change a number a little and see
# how the result changes. But a query that is nearly equal to a key is not equal, so the
# weight is still 0, and the answer does not move. All slopes are 0. Nothing can be
# learnt through an exact look-up.
#
# So we make it soft. A query becomes a list of numbers, and so does a key: here the
# first number says how much "vowel" and the second how much "consonant". How well they
# match is measured by their dot product, which chapter 6 introduced: it is large if
# both lists are large in the same places. This number is called the *score*. And
# instead of giving everything to the winner, softmax (chapter 2) turns the scores into
# shares that sum to 1. These shares are the *attention weights*.


def attend(q, keys, values, scale=1.0):  # (n), (t, n), (t, m) -> (m), (t)
    """Return (a mixture of the values, the weight that each of them has in it).

    There are t keys and t values. The scores are multiplied by `scale`, for a reason
    that comes further down; until then it is 1 and changes nothing.
    """
    scores = [dot(q, k) * scale for k in keys]
    weights = softmax(scores)
    mixture = [dot(weights, column) for column in zip(*values)]
    return mixture, weights


# That is all of attention. The last line deserves a second look. Each value is a list
# of m numbers. zip(*values) goes through these lists in columns: first all their first
# numbers, then all their second numbers. The dot product of the weights with a column
# is a weighted mean. So the mixture has m numbers, like each of the values.
#
# Here are the two entries of the dictionary as vectors. The slope in the last column is
# the one that decides about learning: d(answer) / d(first number of the query).
vowel_key = [Value(1.0), Value(0.0)]
consonant_key = [Value(0.0), Value(1.0)]
soft_keys = [vowel_key, consonant_key]
soft_values = [[Value(10.0)], [Value(20.0)]]
print("\nA soft look-up: vowel holds 10, consonant holds 20")
print("  query         weight of vowel   of consonant   answer     slope")
slopes_of_queries = {}
for query in [(1.0, 1.0), (1.0, 0.0), (3.0, 0.0), (10.0, 0.0), (0.0, 3.0)]:
    q = [Value(number) for number in query]
    mixture, weights = attend(q, soft_keys, soft_values)
    answer = mixture[0]
    answer.backward()
    slopes_of_queries[query] = q[0].grad
    print(
        f"  {query!s:<13} {weights[0].data:15.3f} {weights[1].data:14.3f} "
        f"{answer.data:8.3f} {q[0].grad:9.4f}"
    )

# Read it line by line. If the query wants both equally, the answer is the mean, 15. If
# it wants vowels, the answer moves towards 10. If it wants them very much, with a query
# of length 10, the soft look-up gives what the dictionary gave. But look at the slope
# there: it is nearly 0 again. A look-up that is sure of itself is hard to change. Keep
# that in mind; it comes back when we ask why there is a scale.
assert abs(slopes_of_queries[10.0, 0.0]) < 0.001 < abs(slopes_of_queries[1.0, 0.0])

# %%
# Now a name, with every number in sight: "lena". We have read it up to the last "a",
# and ask what the "a" can find out about the letters before it. Suppose it would be
# useful to know what the last consonant was.
#
# As in chapter 9, a letter is represented by an *embedding*, a list of numbers that
# stands for it. A trained model finds these numbers itself. We choose them, so that we
# can read them: 1 for what the letter is, and 0 for what it is not.
#
#               is a vowel   is an l   is an n   place
embedding_of = {
    "l": [0.0, 1.0, 0.0, 0.0],
    "e": [1.0, 0.0, 0.0, 0.0],
    "n": [0.0, 0.0, 1.0, 0.0],
    "a": [1.0, 0.0, 0.0, 0.0],
}
# The fourth number is for the place where the letter stands. It does not depend on
# which letter it is, so it comes from a second list, with an entry for each position.
# The two are added. (In the package they are called wte and wpe: "weights, token
# embedding" and "weights, position embedding".)
position_embedding = [[0.0, 0.0, 0.0, float(place)] for place in range(4)]


def embed(word):
    """Return x, a list of four numbers, for each letter of the word."""
    xs = []
    for place, letter in enumerate(word):
        xs.append(add(embedding_of[letter], position_embedding[place]))
    return xs


# Query, key and value are three linear functions of x, each with a matrix of its own.
# `linear` makes one number for each row of the matrix: the dot product of the row with
# x. Read each row as a question to x.
attn_wk = [
    [0.0, 1.0, 1.0, 0.0],  # is it an l or an n? That is: is it a consonant?
    [0.0, 0.0, 0.0, 1.0],  # at which place does it stand?
]
attn_wq = [
    [4.0, 0.0, 0.0, 0.0],  # a vowel looks for consonants, and wants them much (4) …
    [1.0, 0.0, 0.0, 0.0],  # … and the later their place, the better (1)
]
attn_wv = [
    [0.0, 1.0, 0.0, 0.0],  # what it tells those who find it: am I an l?
    [0.0, 0.0, 1.0, 0.0],  # am I an n?
]


def text(numbers):
    """Return the numbers as a short text, such as "0 1 0 2"."""
    return " ".join([f"{number:g}" for number in numbers])


word = "lena"
xs = embed(word)
queries = [linear(x, attn_wq) for x in xs]
keys = [linear(x, attn_wk) for x in xs]
values = [linear(x, attn_wv) for x in xs]
print(f'\nOne name by hand: "{word}"')
print("  letter   x = (vowel, l, n, place)   query   key    value")
for letter, x, q, k, v in zip(word, xs, queries, keys, values):
    print(f"  {letter:<8} {text(x):<26} {text(q):<7} {text(k):<6} {text(v)}")

# Check a few of these by hand. The key of "n" is (1, 2): the first row of attn_wk asks
# 0*0 + 1*0 + 1*1 + 0*2 = 1, so it is a consonant, and the second finds place 2. The
# query of "a" is (4, 1): it looks for consonants, and prefers late ones. The value of
# "n" is (0, 1): it says "I am an n". The "l" and the "n" have the query (0, 0). They
# look for nothing in particular; we will see what comes of that.

# %%
# The "a" now looks back. It compares its query, (4, 1), with the key of each letter so
# far, itself included. The products are divided by sqrt(2), because queries and keys
# have two numbers (the reason follows). Then softmax: e to the power of each score,
# divided by the sum of them all.
HEAD_DIM = 2
SCALE = HEAD_DIM**-0.5  # n ** -0.5 is 1 / sqrt(n); the package spells it like this
q_of_a = queries[3]
products = [dot(q_of_a, k) for k in keys]
scores = [product * SCALE for product in products]
exponentials = [math.exp(score) for score in scores]
sum_of_exponentials = sum(exponentials)
weights_of_a = [e / sum_of_exponentials for e in exponentials]
print(f'\nWhat the "a" finds: its query is ({text(q_of_a)})')
print("  letter    key   query·key     score   e^score   weight   value   weight*value")
for i, letter in enumerate(word):
    a_key, a_value = keys[i], values[i]
    q0, q1 = q_of_a
    by_hand = f"{q0:g}*{a_key[0]:g} + {q1:g}*{a_key[1]:g} = {products[i]:g}"
    share = [weights_of_a[i] * number for number in a_value]
    print(
        f"  {letter}  {text(a_key):>8}   {by_hand:<11} {scores[i]:7.3f} "
        f"{exponentials[i]:9.2f} {weights_of_a[i]:8.3f}   {text(a_value):<7} "
        f"{share[0]:.3f} {share[1]:.3f}"
    )
mixture_of_a = [dot(weights_of_a, column) for column in zip(*values)]
total_of_l, total_of_n = mixture_of_a
print(
    f"  together {sum_of_exponentials:35.2f}    1.000           "
    f"{total_of_l:.3f} {total_of_n:.3f}"
)

# The mixture is about (0.175, 0.718). It is not the value of any one letter. It says:
# the last consonant was mostly an "n", and a little bit an "l". (The other 0.107 of the
# attention went to the vowels, and their value is (0, 0).) The rest of the model can
# work with that. And the three steps in `attend` compute these numbers:
mixture_attended, weights_attended = attend(q_of_a, keys, values, SCALE)
for by_hand, attended in zip(mixture_of_a, mixture_attended):
    assert abs(by_hand - attended) < 1e-12


# %%
# Each letter looks back in this way, at all letters up to itself. As a loop: a letter
# makes its query, key and value, adds key and value to the lists, and attends to what
# is in the lists so far. Letters that come later have no key yet, so nobody can see
# them.
def one_head(xs, wq, wk, wv, scale=SCALE):  # (t, n) -> (t, m), (t, up to t)
    """Return (what each token gathers, the weights with which it looks back)."""
    keys, values, mixtures, looks = [], [], [], []
    for x in xs:
        q = linear(x, wq)
        keys.append(linear(x, wk))
        values.append(linear(x, wv))
        mixture, weights = attend(q, keys, values, scale)
        mixtures.append(mixture)
        looks.append(weights)
    return mixtures, looks


def print_looks(looks, letters):
    """Print a row for each token that looks, a column for each that it looks at."""
    print(
        "  looks from      looks at" + "".join([f"{letter:>7}" for letter in letters])
    )
    for letter, weights in zip(letters, looks):
        shares = "".join([f"{weight:7.3f}" for weight in weights])
        print(f"  {letter:<24}{shares}")


mixtures, looks = one_head(xs, attn_wq, attn_wk, attn_wv)
print("\nWhere every letter looks")
print_looks(looks, word)
assert mixtures[3] == mixture_attended

# The first row can only be 1: the "l" sees nothing but itself. The "e" finds the "l".
# The "n" has the query (0, 0), so all its scores are 0, and it gives equal shares to
# all: attention cannot answer "nothing", it always gives away exactly 1. (Trained heads
# that have nothing to look for often put their weight on a token that says nothing.)
#
# Here is the same as a picture, a *heat map*. You will see many of these. A row is a
# letter that looks, a column a letter that is looked at.


def padded(looks):
    """Return the rows of weights, with None for the tokens that were still to come."""
    return [list(weights) + [None] * (len(looks) - len(weights)) for weights in looks]


svg = heat_map(
    padded(looks),
    row_labels=list(word),
    column_labels=list(word),
    title='Attention by hand: vowels in "lena" look for the last consonant',
    row_axis="looks from",
    column_axis="looks at",
    unit="attention weight (each row sums to 1)",
    low=0.0,
    high=1.0,
)
save_picture("ch10_lena.svg", svg)

# %%
# Why three projections? ("Projection" is the usual name for these linear functions.) We
# could have saved the three matrices, and let x itself be query, key and value. Let us
# see what that does.
identity = [[float(row == column) for column in range(4)] for row in range(4)]
_, looks_without = one_head(xs, identity, identity, identity)
print("\nThe same without projections: query = key = value = x")
print_looks(looks_without, word)

# The "a" now gives 0.931 to itself. Let us see how its scores come about. The x of the
# "a" is (1, 0, 0, 3): a vowel, in place 3.
x_of_a = xs[3]
print('\nThe x of the "a" with the x of each letter')
print("         vowel    l     n   place")
for letter, x in zip(word, xs):
    terms = [a * b for a, b in zip(x_of_a, x)]
    columns = "".join([f"{term:6g}" for term in terms])
    print(f"  {letter}  {columns}   together {sum(terms):g}")

# In the columns of "l" and "n" there are only zeros. The "a" is no consonant, so its x
# has a 0 there, and whatever a letter has in these places is multiplied by that 0. The
# one thing that it was to look for does not count at all. If x is both query and key, a
# letter can only look for what it has itself.
#
# What does count is the place, and by sheer size: a dot product is large if two lists
# are large in the same places, and the "a" has the largest place of all. That need not
# even be a resemblance. The "n" with itself makes 5, but the "n" with the "a" makes 6.
#
# And there is a second fault. A dot product does not care about the order of its two
# lists, so the "a" fits the "n" exactly as well as the "n" fits the "a". But looking is
# one-sided: the "a" wants to know the consonant, and the consonant may want something
# else.
assert dot(xs[2], xs[2]) == 5 < dot(xs[2], xs[3]) == 6
n_place, a_place = 2, 3
print("\nDoes a fit n as well as n fits a?    a looks at n   n looks at a")
score_a_to_n = dot(xs[a_place], xs[n_place])
score_n_to_a = dot(xs[n_place], xs[a_place])
print(f"  x with x                         {score_a_to_n:14.1f} {score_n_to_a:14.1f}")
assert score_a_to_n == score_n_to_a
score_a_to_n = dot(queries[a_place], keys[n_place])
score_n_to_a = dot(queries[n_place], keys[a_place])
print(f"  query with key                   {score_a_to_n:14.1f} {score_n_to_a:14.1f}")
assert score_a_to_n != score_n_to_a

# That is why the query is separate from the key. Why is the value separate from the key
# as well? Because what something is found by is not what it has to say. Suppose the
# letters handed over their keys, in the same proportions:
mixture_of_keys = [dot(weights_of_a, column) for column in zip(*keys)]
print('\nWhat the "a" receives')
print(f"  if values are mixed: {mixture_of_a[0]:.3f} an l, {mixture_of_a[1]:.3f} an n")
print(
    f"  if keys are mixed:   {mixture_of_keys[0]:.3f} a consonant, "
    f"{mixture_of_keys[1]:.3f} the place"
)

# It would learn that it has found a consonant, which is what it had asked for, and not
# which one. It is the same in a library. The question, the words on the spine of a
# book, and what is written in it are three different things, and so they get three
# matrices.

# %%
# Why the scale? Each score was divided by the root of the number of numbers in a
# key. We saw above that a long query makes the look-up sure of itself, and its slope
# almost 0. A sum of n random products, each about 1 in size, some positive and some
# negative, is about sqrt(n) in size. So in a wide head, even before anything has been
# learnt, scores are large by chance alone. Let us measure that: a random query looks at
# 8 random keys.
#
# "slope" is d(weight) / d(score) for the likeliest key, which is weight * (1 - weight).
rng = random.Random(10)


def random_vector(n):
    """Return n random numbers, about 1 in size."""
    return [rng.gauss(0, 1) for _ in range(n)]


N_TRIALS = 200
print("\nRandom queries and keys: what the scale is for")
print("  numbers   size of a   not divided by sqrt(n)     divided by sqrt(n)")
print("  in a key    score     largest weight   slope   largest weight   slope")
largest_weights = {}
for n in [4, 16, 64, 256]:
    squares = 0.0
    largest = {"raw": 0.0, "scaled": 0.0}
    slope = {"raw": 0.0, "scaled": 0.0}
    for _ in range(N_TRIALS):
        q = random_vector(n)
        products = [dot(q, random_vector(n)) for _ in range(8)]
        squares += dot(products, products) / 8
        for how, scale in [("raw", 1.0), ("scaled", n**-0.5)]:
            weight = max(softmax([product * scale for product in products]))
            largest[how] += weight / N_TRIALS
            slope[how] += weight * (1 - weight) / N_TRIALS
    largest_weights[n] = largest
    size_of_score = math.sqrt(squares / N_TRIALS)
    print(
        f"  {n:8} {size_of_score:9.1f} {largest['raw']:15.2f} {slope['raw']:9.3f} "
        f"{largest['scaled']:13.2f} {slope['scaled']:9.3f}"
    )

# Without the scale, a head of 256 numbers would begin by staring at a single token that
# chance has picked, with hardly a slope by which to learn to look elsewhere. With it,
# heads of every width begin undecided, and can be taught.
assert largest_weights[256]["raw"] > 0.9 > 0.5 > largest_weights[256]["scaled"]

# %%
# Why positions? Look at `attend` once more. It forms a sum over all letters so far,
# and a sum is the same in any order. If nothing in x says where a letter stands, the
# letters are a bag: attention knows which there are, and not in which order. We take
# the place out of x, and swap the "l" and the "n".


def what_a_finds(word, with_positions):
    """Return the mixture that the last letter of the word gathers."""
    xs = embed(word) if with_positions else [embedding_of[letter] for letter in word]
    mixtures, _ = one_head(xs, attn_wq, attn_wk, attn_wv)
    return mixtures[-1]


print('\nWhat the last "a" finds          share of l   share of n')
for with_positions in [False, True]:
    found = {}
    for swapped in ["lena", "nela"]:
        found[swapped] = what_a_finds(swapped, with_positions)
        how = "with" if with_positions else "without"
        share_of_l, share_of_n = found[swapped]
        print(
            f"  in {swapped}, {how + ' positions':<18} {share_of_l:12.3f} "
            f"{share_of_n:12.3f}"
        )
    largest_difference = max([abs(a - b) for a, b in zip(found["lena"], found["nela"])])
    assert (largest_difference > 0.1) == with_positions

# Without positions, "lena" and "nela" are the same to it. With them, it finds the last
# consonant in both. (A window, as in chapter 9, does not have this problem, since each
# of its slots has its own weights. Attention has the same weights for all places, which
# is its strength, and so the place must be part of x.)

# %%
# Causality. A language model predicts the next letter from those before it. If it could
# look at later ones, it would only have to copy the answer, and in training it would
# learn nothing else. In `one_head` a later letter has no key yet when an earlier one
# looks, so this cannot happen. We test it as one tests any such claim: change a later
# letter, and see whether any earlier number moves.


def letters_that_moved(mixtures, mixtures_after):
    """Return the places whose numbers are not exactly the same as before."""
    places = range(len(mixtures))
    return [place for place in places if mixtures[place] != mixtures_after[place]]


def one_head_that_sees_all(xs, wq, wk, wv):
    """Do what one_head does, but with all keys there before the first one looks."""
    keys = [linear(x, wk) for x in xs]
    values = [linear(x, wv) for x in xs]
    return [attend(linear(x, wq), keys, values, SCALE)[0] for x in xs]


before, after = embed("lena"), embed("lenl")
matrices = (attn_wq, attn_wk, attn_wv)
moved_causal = letters_that_moved(
    one_head(before, *matrices)[0], one_head(after, *matrices)[0]
)
moved_all = letters_that_moved(
    one_head_that_sees_all(before, *matrices), one_head_that_sees_all(after, *matrices)
)
print(
    '\nThe last letter of "lena" becomes an "l". Whose numbers change, to the last bit?'
)
print("  letters see only what came before: place", *moved_causal)
print("  all letters see all:               places", *moved_all)
assert moved_causal == [3]
assert len(moved_all) > 1

# (Most implementations compute all scores at once, and then set those of later tokens
# to minus infinity before the softmax. This is called a *causal mask*. Our cache of
# keys comes to the same, with nothing to mask.)

# %%
# Several heads. The "a" has found the last consonant. Suppose it also wants to know how
# the name began. A second head, with a query of its own, can look for early places. Or
# could the one query ask for both? We add the two wishes up, once with a strong wish
# for early places (-3), and once with one that is as strong as the wish for late ones
# (-1 against +1).
wq_beginning = [[0.0, 0.0, 0.0, 0.0], [-3.0, 0.0, 0.0, 0.0]]  # the earlier, the better
wq_beginning_weak = [[0.0, 0.0, 0.0, 0.0], [-1.0, 0.0, 0.0, 0.0]]
wq_both = [add(row_a, row_b) for row_a, row_b in zip(attn_wq, wq_beginning)]
wq_both_even = [add(row_a, row_b) for row_a, row_b in zip(attn_wq, wq_beginning_weak)]
print('\nTwo things to look for: what the last "a" looks at')
print(" " * 34 + "".join([f"{letter:>7}" for letter in word]))
looks_for = {}
for what, wq in [
    ("head 0: the last consonant", attn_wq),
    ("head 1: the beginning", wq_beginning),
    ("one head asking for both", wq_both),
    ("the same, equally strong wishes", wq_both_even),
]:
    _, looks = one_head(xs, wq, attn_wk, attn_wv)
    looks_for[what] = looks[-1]
    print(f"  {what:<32}" + "".join([f"{weight:7.3f}" for weight in looks[-1]]))

# In the third row the stronger wish has won. Late places were worth +1 each, early ones
# -3, together that is -2, and the head does what head 1 does: the "n", the answer to
# the first question, has almost disappeared. In the last row the wishes cancel out.
# What is left is "a consonant, wherever it stands". The head finds the "l" and the "n"
# in equal parts, and in their mixture nothing says any more which of them was the last
# one and which the first. A query is a single list of numbers, so wishes that are put
# into it are added up, and they share one set of weights. Two heads with a query each
# keep the two findings apart.
strong_wish = looks_for["one head asking for both"]
equal_wishes = looks_for["the same, equally strong wishes"]
assert strong_wish[0] > 0.9
assert equal_wishes[0] > 0.4 and abs(equal_wishes[0] - equal_wishes[2]) < 1e-12

# So a model has several heads. They do not cost more: instead of one look-up with 16
# numbers, there are four with 4 numbers each. q, k and v are computed as before, with
# 16 numbers, and then cut into four slices. Each head attends with its own slice, and
# what the four have found is put side by side again.


def look_back(x, params, n_head, keys, values):  # (n) -> (n), (n_head, up to t)
    """Return (what this token gathers, the attention weights of each head)."""
    q = linear(x, params["attn_wq"])
    keys.append(linear(x, params["attn_wk"]))
    values.append(linear(x, params["attn_wv"]))
    head_dim = len(q) // n_head
    gathered, weights_of_heads = [], []
    for h in range(n_head):
        head = slice(h * head_dim, (h + 1) * head_dim)
        head_keys = [k[head] for k in keys]
        head_values = [v[head] for v in values]
        mixture, weights = attend(q[head], head_keys, head_values, head_dim**-0.5)
        gathered += mixture
        weights_of_heads.append(weights)
    return gathered, weights_of_heads


# This is `attention` in microgpt/model.py, which you can now read. The package's does
# one thing more: at the end it sends what was gathered through another matrix, attn_wo
# (the *output projection*; chapter 12 says what it is good for). With an identity
# matrix, which changes nothing, in that place, the two give equal numbers, to the bit.
N = 16  # how many numbers an embedding, a query, a key and a value have
config = GPTConfig(vocab_size=27, n_embd=N, n_head=4)
random_params = {}
for name in ["attn_wq", "attn_wk", "attn_wv"]:
    random_params[name] = [random_vector(N) for _ in range(N)]
package_params = {f"layer0.{name}": matrix for name, matrix in random_params.items()}
package_params["layer0.attn_wo"] = [
    [float(row == column) for column in range(N)] for row in range(N)
]
our_keys, our_values = [], []
package_keys, package_values = empty_cache(config)
for _ in range(5):
    x = random_vector(N)
    ours, _ = look_back(x, random_params, 4, our_keys, our_values)
    theirs = attention(x, package_params, config, 0, package_keys, package_values)
    assert ours == theirs
print("\nFour heads, five tokens: equal to microgpt.attention, to the bit")

# %%
# Now the names. Nobody chooses the numbers any more: embeddings, positions and the
# three matrices start at random, and descent finds them, from the same 500 names and in
# the same way as in chapter 9. A last matrix makes 27 logits from what a letter has
# gathered. It is called lm_head, the *language-model head*. (It shares the word "head"
# with the attention heads, and nothing else.)
#
# To learn what each part is worth, we also train models that lack one. Whatever is not
# in `params`, a model does without:
#
#     without wpe                nobody knows the places
#     without attn_wq, attn_wk   nobody chooses: each letter takes the plain mean of all
#                                values so far, as if all attention weights were equal
#     without attn_wv as well    no attention at all: the logits are made from x, which
#                                knows the letter and its place, and no other letter
#
# The last of these is a *baseline*: what can be had without the thing that one is proud
# of. A result means little before it has been compared with one.


def logits_and_looks(params, tokens, n_head):  # (t) -> (t, 27), (t, n_head, up to t)
    """Return (the logits after each token, where each token looks with each head)."""
    keys, values, logits, looks = [], [], [], []
    for pos_id, token_id in enumerate(tokens):
        x = params["wte"][token_id]
        if "wpe" in params:
            x = add(x, params["wpe"][pos_id])
        weights_of_heads = []
        if "attn_wv" not in params:  # no attention
            gathered = x
        elif "attn_wq" not in params:  # the plain mean
            values.append(linear(x, params["attn_wv"]))
            gathered = [total(column) / len(values) for column in zip(*values)]
        else:
            gathered, weights_of_heads = look_back(x, params, n_head, keys, values)
        logits.append(linear(gathered, params["lm_head"]))
        looks.append(weights_of_heads)
    return logits, looks


def surprises(params, name, n_head):
    """Return the surprise at each of the first 8 characters of a name."""
    tokens = TOKENIZER.encode_document(name)[: BLOCK_SIZE + 1]
    logits, _ = logits_and_looks(params, tokens[:-1], n_head)
    targets = tokens[1:]
    return [cross_entropy(logits[i], targets[i]) for i in range(len(targets))]


def train(what, n_head=1, left_out=()):
    """Return the parameters after one pass over the 500 names, as plain floats."""
    rng = random.Random(42)
    rows = {"wte": 27, "attn_wq": N, "attn_wk": N, "attn_wv": N, "lm_head": 27}
    rows["wpe"] = BLOCK_SIZE
    params = {}
    for name, n_rows in rows.items():
        params[name] = []
        for _ in range(n_rows):
            params[name].append([Value(rng.gauss(0, 0.3)) for _ in range(N)])
    for name in left_out:  # only now, so that all models start from the same numbers
        del params[name]
    parameters = flatten(params)
    progress = Progress(
        f"{what}: name",
        total=len(TRAIN_NAMES),
        every=len(TRAIN_NAMES) // 2,
        stream=sys.stderr,
    )
    for step, name in enumerate(TRAIN_NAMES):
        learning_rate = 1 - step / len(TRAIN_NAMES)
        with collector_paused():
            losses = surprises(params, name, n_head)
            loss = total(losses) / len(losses)
            loss.backward()
            del losses, loss
        for parameter in parameters:
            parameter.data -= learning_rate * parameter.grad
            parameter.grad = 0.0
        progress.show(step + 1)
    progress.finish()
    return as_floats(params)


def kept(nats_of):
    """Ask nats_of for every held-out name once; return a function that remembers."""
    surprises_at = {name: nats_of(name) for name in HELD_OUT_NAMES}

    def nats_kept(name):
        return surprises_at[name]

    return nats_kept


def nats_of_model(params, n_head):
    """Return the function name -> surprises that the common measure asks for."""

    def nats_of(name):
        return surprises(params, name, n_head)

    return kept(nats_of)


bag_params = train("no positions", left_out=["wpe"])
one_head_params = train("one head")
four_heads_params = train("four heads", n_head=4)
even_params = train("plain mean", left_out=["attn_wq", "attn_wk"])
no_attention = ["attn_wq", "attn_wk", "attn_wv"]
no_attention_params = train("no attention", left_out=no_attention)
# And one that is not trained again: the four heads as they are, but with all queries
# set to 0. Then all scores are 0 and all weights equal.
nothing_asked = [[0.0] * N for _ in range(N)]
silenced_params = {**four_heads_params, "attn_wq": nothing_asked}

MLP = "MLP, window of three (ch. 9)"
NO_ATTENTION = "no attention: letter and position only"
nats_of_models = {
    MLP: kept(window_mlp_nats(train_window_mlp(n_back=3))),
    "one head, no positions": nats_of_model(bag_params, n_head=1),
    "one head": nats_of_model(one_head_params, n_head=1),
    "four heads": nats_of_model(four_heads_params, n_head=4),
    "four heads, then all queries set to 0": nats_of_model(silenced_params, n_head=4),
    "plain mean of all values": nats_of_model(even_params, n_head=1),
    NO_ATTENTION: nats_of_model(no_attention_params, n_head=1),
}
print("\nTrained on 500 names, measured on 500 others (nats a character)")
losses_of_models = {}
for model, nats_of in nats_of_models.items():
    loss, error = loss_and_error(nats_of)
    losses_of_models[model] = loss
    print(f"  {model:<38} {loss:8.3f} ± {error:.3f}")

print("\nCompared name by name: the first less the second")
differences = {}
for first, second in [
    ("one head, no positions", "one head"),
    ("four heads, then all queries set to 0", "four heads"),
    ("plain mean of all values", "four heads"),
    ("four heads", MLP),
    ("four heads", NO_ATTENTION),
]:
    difference, difference_error = difference_and_error(
        nats_of_models[first], nats_of_models[second]
    )
    differences[first, second] = difference
    print(f"  {first}")
    print(f"    less {second:<40} {difference:+.3f} ± {difference_error:.3f}")

# (Each ± says by how much a number would typically change with other held-out names.
# It does not cover the other chance that is at work here, the random numbers from which
# the training starts. So do not build on differences in the last digit. The large ones,
# of 0.05 and more, come out much the same if you change the seed in `train`.)
#
# What do we learn from that? One comparison at a time.
#
# - Positions matter. Without them a name is a bag of letters, and the loss is higher.
# - Choosing matters. One way to see it is to set the queries of the trained model to 0,
#   and its loss rises a lot. But that is not quite fair: this model has learnt to rely
#   on its weights, for instance on the share that a letter keeps for itself, and now
#   they are taken away. A model that has to manage with the plain mean from the start
#   arranges itself with it, and loses less than half as much. That is the fair measure
#   of what choosing is worth here.
# - Attention is no better than the MLP with its window of three. The difference is
#   smaller than its standard error.
# - And it is worse than no attention at all! A model that knows nothing but the letter
#   and its place, and looks at no other letter, is better by several standard errors.
#   And it has 992 parameters, where those with attention have 1,760. (It beats the MLP
#   as well, which sees two letters more, but not how far the name has got.)
#
# How can that be? Look at what reaches lm_head. Without attention it is x, whole. With
# attention it is the mixture, and of the letter's own x there is only as much in it as
# the letter gives attention to itself. Whatever it gives to others, it takes away from
# itself. But what comes next depends most of all on the letter that was just read. So
# our model pays for every look, and in 500 names it has found nothing to look at that
# is worth the price. (Why does it not learn to look at nothing but itself, then? It
# moves that way, as you will see below. We have not shown whether it would arrive with
# more names. And the looks may not be the whole price: attn_wv is one more matrix
# between x and the logits, which the model without attention does not have.)
#
# Two questions follow. Is there anything for which looking back is worth it? In names,
# the next letter depends mostly on its neighbours, so they are a poor place to find
# out; the next chapter has a better one. And can a letter look elsewhere without paying
# for it? Chapter 12 takes that price away. (Whether attention is then of use on names
# is a third question. The answer needs more names, and comes in chapter 14.)
assert differences["one head, no positions", "one head"] > 0.02
lost_silenced = differences["four heads, then all queries set to 0", "four heads"]
lost_by_plain_mean = differences["plain mean of all values", "four heads"]
assert 0.03 < lost_by_plain_mean < lost_silenced / 2
assert abs(differences["four heads", MLP]) < 0.01
assert differences["four heads", NO_ATTENTION] > 0.03
assert len(flatten(no_attention_params)) == 992
assert len(flatten(four_heads_params)) == 1760

loss, error = loss_and_error(nats_of_models["four heads"])
print(f"\nloss per character: {loss:.3f} ± {error:.3f} (nats, four attention heads)")
print(f"  a perplexity of {math.exp(loss):.1f}")

# %%
# And is the trained model causal? The names "marie" and "marin" differ in the last
# letter only. We compare the logits after each token, to the last bit.


def logits_after(text):
    """Return the logits of the trained model after BOS and after each letter."""
    tokens = [TOKENIZER.bos, *TOKENIZER.encode(text)]
    logits, _ = logits_and_looks(four_heads_params, tokens, n_head=4)
    return logits


print('\nThe trained model reads "marie" and "marin": are its logits the same?')
equal_logits = []
marie, marin = logits_after("marie"), logits_after("marin")
for i, letter in enumerate(["BOS", *"mari", "e or n"]):
    equal_logits.append(marie[i] == marin[i])
    print(f"  after {letter:<7} {'the same' if equal_logits[i] else 'different'}")
assert equal_logits == [True] * 5 + [False]

# %%
# Where does the trained head look? We take the model with one head, since four would
# need four pictures. In the row of each letter you see where it looks, and the row sums
# to 1. Look at the diagonal, where a letter looks at itself.
letters = ["BOS", *"mariann"]
tokens = [TOKENIZER.bos, *TOKENIZER.encode("mariann")]
_, looks = logits_and_looks(one_head_params, tokens, n_head=1)
looks_of_the_head = [weights_of_heads[0] for weights_of_heads in looks]
svg = heat_map(
    padded(looks_of_the_head),
    row_labels=letters,
    column_labels=letters,
    title="Where the trained head looks in mariann",
    row_axis="looks from",
    column_axis="looks at",
    unit="attention weight (each row sums to 1)",
    low=0.0,
    high=1.0,
)
print()
save_picture("ch10_mariann.svg", svg)

# One name is an anecdote: some of its letters keep much for themselves, and others
# little. So we ask 200 held-out names, at each place. BOS is left out, since it has
# nobody else to look at.
shares_at_place = {}
for name in HELD_OUT_NAMES[:200]:
    tokens = [TOKENIZER.bos, *TOKENIZER.encode(name)][:BLOCK_SIZE]
    _, looks = logits_and_looks(one_head_params, tokens, n_head=1)
    for place in range(1, len(tokens)):
        shares_at_place.setdefault(place, []).append(looks[place][0][place])
print("What a letter keeps for itself, on average over 200 names")
print("  letter of the name   trained head   equal shares")
all_shares, all_equal_shares = [], []
for place, shares in sorted(shares_at_place.items()):
    mean_share, equal_share = sum(shares) / len(shares), 1 / (place + 1)
    all_shares += shares
    all_equal_shares += [equal_share] * len(shares)
    print(f"  {place:<18} {mean_share:14.2f} {equal_share:14.2f}")
to_itself = sum(all_shares) / len(all_shares)
even_share = sum(all_equal_shares) / len(all_equal_shares)
print(f"  all letters        {to_itself:14.2f} {even_share:14.2f}")

# At every place a letter keeps more for itself than an equal share, on average nearly
# half. The head uses much of its freedom to choose for that: to hold on to the letter
# that did the looking. This fits what the table of losses said. And yet more than half
# goes elsewhere, which is why a model that keeps x whole is better.
assert to_itself > 1.5 * even_share
for place, shares in shares_at_place.items():
    assert sum(shares) / len(shares) > 1 / (place + 1)

# To see where the heads of the default model look in a name of your choosing, and
# how each of these weights came about: `python examples/xray/xray.py --text lena`.
#
# What production does. The same. GPT-2 has 12 heads in each of its layers, with 64
# numbers in a query and a key, so it divides by 8. Each token is compared with all that
# came before it, so a text ten times as long takes about a hundred times the work in
# attention: this is why long texts are dear, and why much research goes into it.
#
# What is still missing. A win! We have built attention, we know what each part of it is
# for, and on names we have found it worse than nothing. The next chapter has a task on
# which looking back is the only way.
#
# Exercises. Hints and solutions are in ch10_solution.py.
# 1. By hand: the "e" of "lena" has the query (4, 1) as well. Compute its two weights on
#    paper, and compare them with the table above.
# 2. Choose attn_wq and attn_wk so that each vowel of "lena" looks for the vowel before
#    it. What keeps the "a" from finding itself?
# 3. Let all tokens see all, train for 200 names, and look at the loss. Then ask the
#    same model for letters that are not there yet. What has it learnt?
