"""Chapter 6. Matrices: how do you calculate with many numbers at once?

The engine is done: chapters 3 to 5 gave us the slopes of any calculation. But so far we
wrote every single number by its own name. A model has thousands of them, and if each
had a name, nobody could read the program. They are kept in rows and in tables instead,
and nearly all that a model does is one operation on them: a *table times a row*.

In this chapter we meet rows of numbers (*vectors*), tables of numbers (*matrices*), how
many numbers they have (their *shapes*), and the *dot product*, which says how well two
vectors match. With these, the function `linear` is one line, and it will be the work
horse of every model from here on. There is nothing to learn from data yet; that starts
again in the next chapter. Every number in this one can be checked on paper.

Before you run it: `python examples/learn.py 6` asks you for a few guesses first. If you
go without it, write down how many multiplications it takes to multiply a matrix of 64
rows and 16 columns by a vector, and whether two matrices, one after the other, can do
more than a single one.

Source: Cayley, "A memoir on the theory of matrices", 1858.
"""

# %%
import math

from common import TOKENIZER, TRAIN_NAMES, pairs, save_picture

from microgpt import dot, linear
from microgpt.tools.draw import Group, heat_map, scatter
from microgpt.value import Value, topological_order

# A *vector* is a list of numbers, nothing more. What makes it useful is what the
# numbers stand for. Let us describe each letter by two numbers, counted in our 500
# names:
#
#     x[0]   of the letters that come after it, how many are vowels?
#     x[1]   of the letters that come before it, how many are vowels?
#
# as a share from 0 to 1, less 0.5, so that 0 means "half of them".
VOWELS = "aeiou"


def share_of_vowels(letters):
    """Return what share of the letters are vowels, less 0.5."""
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

print("Some letters as vectors")
for letter in "aemvyqx":
    x = vectors[letter]
    n_after, n_before = len(neighbours_after[letter]), len(neighbours_before[letter])
    print(
        f"  {letter}: [{x[0]:5.2f}, {x[1]:5.2f}]   "
        f"from {n_after:3} letters after it and {n_before:3} before it"
    )

# Two numbers are a place on a map, so we can draw the alphabet. The vowels are together
# in one corner. Did we put that in? In part: we chose to count vowels. But what kind of
# letter a letter is itself plays no part in its two numbers, only what stands around
# it. The corner says something about names: next to a vowel there is rarely another
# one. And the letter that stands nearest to the vowels is "y", which is now the one and
# now the other. (Where two letters have nearly the same place, you see a single mark:
# one for "c" and "n", and one for "d" and "g".)
#
# A word of warning: not all places are equally sure. "q" rests on the 3 letters that
# came after it and the 4 before, "x" on 5 and 4.
vowels = Group("vowels", [tuple(vectors[x]) for x in VOWELS], labels=list(VOWELS))
others = [letter for letter in TOKENIZER.chars if letter not in VOWELS]
consonants = Group("other letters", [tuple(vectors[x]) for x in others], labels=others)
svg = scatter(
    [vowels, consonants],
    title="Each letter as a vector of two numbers",
    x_label="vowels after it (share, less 0.5)",
    y_label="vowels before it (share, less 0.5)",
)
save_picture("ch06_letters.svg", svg)

# In chapter 9 a model will find places for the letters by itself. Such a vector, which
# stands for a letter, is called its *embedding*.

# %%
# The *dot product* of two vectors: multiply the first numbers, multiply the second
# numbers, and so on, and add everything up. The result is a single number.


def my_dot(xs, ys):
    """Return xs[0] * ys[0] + xs[1] * ys[1] + …."""
    products = [x * y for x, y in zip(xs, ys)]
    return sum(products)


print("\nDot products")
for xs, ys, what in [
    ([1.0, 0.0], [2.0, 0.0], "the same direction"),
    ([1.0, 0.0], [0.0, 2.0], "at a right angle"),
    ([1.0, 0.0], [-2.0, 0.0], "opposite directions"),
    ([1.0, 2.0, 3.0], [4.0, 5.0, 6.0], "4 + 10 + 18"),
]:
    print(f"  {xs} and {ys}: {my_dot(xs, ys):5.1f}   {what}")
    assert my_dot(xs, ys) == dot(xs, ys)  # the package's, from value.py

# It is large where the two point the same way, 0 where they are at a right angle, and
# negative where they point opposite ways. So it measures how well two vectors match.
#
# How long they are counts as well: twice as long, twice as large. The *length* of a
# vector is meant as on a map, and not as Python's len, which counts its numbers. It is
# the distance from [0, 0]: by Pythagoras, the root of x[0]**2 + x[1]**2, and with more
# numbers the root of the sum of all their squares. That is the root of the dot product
# of the vector with itself.


def length(xs):
    """Return the length of a vector: the distance from the middle of the map."""
    return math.sqrt(my_dot(xs, xs))


print("\nHow well do two letters match?")
print("letters   lengths         dot product")
for first, second in ["ae", "mv", "am", "ay"]:
    one, other = vectors[first], vectors[second]
    print(
        f"{first} and {second}   {length(one):.2f} and {length(other):.2f} "
        f"{my_dot(one, other):14.2f}"
    )
assert my_dot(vectors["a"], vectors["e"]) > 0 > my_dot(vectors["a"], vectors["m"])
assert 0 < my_dot(vectors["a"], vectors["y"]) < my_dot(vectors["a"], vectors["e"])

# "a" and "e" match, and so do "m" and "v". "a" and "m" are opposites. "a" and "y" point
# the same way, but "y" is short, so their dot product is small.

# %%
# So a vector can be a question. Take [1, 1]. Its dot product with a letter's vector is
# just x[0] + x[1]: positive if more than half of the letters around it are vowels, and
# negative if fewer. The question is: "are there many vowels around you?"
vowels_around = [1.0, 1.0]
answers = {}
for letter, x in vectors.items():
    answers[letter] = dot(vowels_around, x)
say_no = [letter for letter, answer in answers.items() if answer < 0]
print(f"\nThe question {vowels_around}: which letters answer below 0?")
print(f"  {' '.join(say_no)}")
assert sorted(say_no) == sorted([*VOWELS, "y"])

# The five vowels answer no, and so does "y". We did not count it as a vowel, but like a
# vowel it stands among consonants more often than not.
#
# The numbers in the question are called *weights*: they say how much each of x's
# numbers counts, and in which direction. In a model they are the parameters: what
# training moves.

# %%
# Usually we have several questions to ask of the same x. Put their weights below each
# other, one row for each question, and you have a *matrix*. `linear` asks them all.
W = [
    [1.0, 1.0],  # are there many vowels around it?
    [1.0, -1.0],  # are there more of them after it than before?
    [0.0, 2.0],  # are there many before it? (it counts double, and ignores x[0])
]


def my_linear(x, w):  # (n_in), (n_out, n_in) -> (n_out)
    """Return the dot product of x with each row of w."""
    return [my_dot(row, x) for row in w]


x = vectors["m"]
y = my_linear(x, W)
print('\nThree questions to "m"')
print(f"  x is [{x[0]:.2f}, {x[1]:.2f}]")
for row, answer in zip(W, y):
    print(
        f"  {row[0]:4.1f} * {x[0]:.2f}  +  {row[1]:4.1f} * {x[1]:.2f}  =  {answer:.2f}"
    )
by_the_package = linear(x, W)  # it is this same line, in microgpt/model.py
for mine, theirs in zip(y, by_the_package):
    assert abs(mine - theirs) < 1e-12

# This is called a matrix times a vector, and the function a *linear layer*. In the
# picture, x is the top row, and below it are the rows of the matrix, with three steps
# from left to right. First the row as it is; then each of its numbers times the number
# of x at the same place; then the sum of these products, which is the answer.
picture_rows = [[x[0], x[1], None, None, None]]
for row, answer in zip(W, y):
    products = [row[0] * x[0], row[1] * x[1]]
    picture_rows.append([*row, *products, answer])
svg = heat_map(
    picture_rows,
    row_labels=["x", "row 0 of W", "row 1", "row 2"],
    column_labels=["[0]", "[1]", "[0] * x[0]", "[1] * x[1]", "sum: y"],
    title="A matrix times a vector: W (3, 2), x (2), y (3)",
    row_axis="row",
    column_axis="its numbers, its products with x, their sum",
    diverging=True,
)
save_picture("ch06_linear.svg", svg)

# %%
# The *shape* of a matrix is (rows, columns). For a linear layer we read it as (n_out,
# n_in): a row for each number that comes out, a column for each that goes in. Reading
# shapes is the fastest way to understand a model, and to find mistakes in one, because
# everything has to fit:
#
#     x: (n_in)    w: (n_out, n_in)    linear(x, w): (n_out)
#
# What if it does not fit? Ours would silently drop the numbers that have no partner, as
# zip does. A wrong result without a word is the worst kind of mistake. The package's
# dot refuses.
x_of_three = [1.0, 2.0, 3.0]
print("\nA vector of 3 numbers, for a matrix with 2 columns")
print(f"  my_linear says: {my_linear(x_of_three, W)}, as if nothing were wrong")
try:
    linear(x_of_three, W)
    complaint = ""
except ValueError as error:
    complaint = str(error)
print(f"  microgpt's says: {complaint}")
assert "dot of 2 and 3" in complaint


def multiplications(shape):
    """Return how many multiplications a linear layer of this shape takes."""
    n_out, n_in = shape
    return n_out * n_in


print("\nshape of w    x has   y has   multiplications, and also parameters")
for shape in [(3, 2), (27, 27), (64, 16), (3072, 768)]:
    n_out, n_in = shape
    print(f"{shape!s:12} {n_in:6} {n_out:7} {multiplications(shape):14,}")

# Every weight is used exactly once: so a layer has as many parameters as it takes
# multiplications. The last line is the largest matrix in a layer of the smallest GPT-2,
# which has twelve such layers.

# %%
# A table of letter pairs is a matrix, too. In chapter 1, counts[i][k] said how often k
# came after i. For `linear` we want a row for each output, that is, for each *next*
# letter: so we turn the table on its side, which is called to *transpose* it.
counts = [[0] * 27 for _ in range(27)]
for name in TRAIN_NAMES:
    for context, target in pairs(name):
        counts[context[-1]][target] += 1
transposed = [[counts[i][k] for i in range(27)] for k in range(27)]

# And how does one feed it a letter? As a vector of 27 numbers that are all 0, but for a
# 1 at the place of the letter. This is called a *one-hot* vector. Multiplied by it, the
# matrix gives back the letter's counts: in each dot product, 26 of the 27 products are
# 0.
m, i = TOKENIZER.encode("mi")
one_hot = [0.0] * 27
one_hot[m] = 1.0
looked_up = linear(one_hot, transposed)
print('\nThe letter "m" as a one-hot vector, times the table of letter pairs')
print(f"  place of the 1: {one_hot.index(1.0)}, sum of all: {sum(one_hot):.0f}")
print(f'  how often "i" comes next: {looked_up[i]:.0f}, in the table: {counts[m][i]}')
assert looked_up == counts[m]

# So to multiply a matrix by a one-hot vector just picks out one of its columns. Our
# matrix is the table on its side, so its column is a row of the table, the row of "m".
# Models therefore look the row up, which costs nothing, where the mathematics says
# "multiply". It will matter in chapter 9.

# %%
# Why is it called "linear"? Because it treats a mixture as the same mixture of answers.
# Ask about half an "m" and half a "v", and you get half the answer for "m" and half the
# answer for "v":
half_and_half = []
for m_number, v_number in zip(vectors["m"], vectors["v"]):
    half_and_half.append(0.5 * m_number + 0.5 * v_number)
asked_about_mixture = linear(half_and_half, W)
mixture_of_answers = []
for of_m, of_v in zip(linear(vectors["m"], W), linear(vectors["v"], W)):
    mixture_of_answers.append(0.5 * of_m + 0.5 * of_v)
print('\nHalf an "m" and half a "v"')
print(f"  W asked about the mixture: {[round(y_k, 4) for y_k in asked_about_mixture]}")
print(f"  the mixture of answers:    {[round(y_k, 4) for y_k in mixture_of_answers]}")
for one, other in zip(asked_about_mixture, mixture_of_answers):
    assert abs(one - other) < 1e-12

# The same is true on the other side, for the questions: the sum of two answers is the
# answer to the sum of the two questions. Call the questions w and u: w[0] * x[0] + u[0]
# * x[0] is (w[0] + u[0]) * x[0], and so on for every number. This looks harmless, and
# it decides what several linear layers are worth.

# %%
# What do two linear layers do, one after the other? Take 2 numbers to 3 with W, and
# then the 3 to 2 with V. It looks like more than one layer. Let us see.
V = [
    [1.0, 0.0, 1.0],
    [0.0, 2.0, -1.0],
]
x = vectors["m"]
after_both = linear(linear(x, W), V)

# Read row 0 of V, [1, 0, 1]: "the answer to question 0, once, plus the answer to
# question 2, once". But the sum of two answers is the answer to a single question,
# whose weights are the sums of theirs:
#
#     question 0:                    [1, 1]
#     question 2:                    [0, 2]
#     once the one, once the other:  [1, 3]
#
# Asked of x, [1, 3] gives what row 0 of V makes of the three answers. So does every row
# of V make one new question out of the old ones: row 1 takes question 1 twice and
# question 2 away once, [2, -2] - [0, 2] = [2, -4]. The new questions, one below the
# other, are a matrix. It is called the *product* of V and W, "V times W".


def matmul(v, w):  # (n_out, n_mid), (n_mid, n_in) -> (n_out, n_in)
    """Return v times w: for each row of v, the mixture of w's rows that it asks for."""
    n_in = len(w[0])
    product = []
    for weights in v:
        question = [0.0] * n_in
        for weight, row in zip(weights, w):
            for k in range(n_in):
                question[k] += weight * row[k]
        product.append(question)
    return product


both_in_one = matmul(V, W)
after_one = linear(x, both_in_one)
print("\nTwo layers, W and then V, and one layer that does the same")
print(f"  one after the other: {[round(number, 4) for number in after_both]}")
print(f"  the single matrix:   {both_in_one}")
print(f"  with it:             {[round(number, 4) for number in after_one]}")
assert both_in_one == [[1.0, 3.0], [2.0, -4.0]]
for one, other in zip(after_both, after_one):
    assert abs(one - other) < 1e-12

# The two layers are one layer in disguise. We did not use what the numbers were: a row
# of any V makes one question out of the questions of any W. And a third layer would
# make new questions out of these, and so on, so any number of linear layers is one.
# (You may know another recipe for the product: each number is the dot product of a row
# of V and a column of W. It gives the same numbers: the k-th number of a new question
# is the sum of weight times row[k].) Stacking linear layers is worth nothing, then,
# unless something that is not linear happens in between. Chapter 8 puts something
# there.

# %%
# Last, the slopes. All of this works on Values just as well: `dot` takes either. Then
# it makes a single node with all the numbers as its inputs. The slope of x[0] * w[0] +
# … with respect to w[0] is x[0], and with respect to x[0] it is w[0].
weights = [Value(0.5, label="w[0]"), Value(-1.0, label="w[1]")]
inputs = [Value(3.0, label="x[0]"), Value(2.0, label="x[1]")]
answer = dot(weights, inputs)
print("\nA dot product of Values")
print(f"  {answer}")
for input, local_grad in zip(answer.inputs, answer.local_grads):
    print(f"  slope with respect to {input.label}: {local_grad}")

# Read it like this: the weights of large inputs have steep slopes. If x[0] was 0, then
# w[0] played no part in the answer, and will not be moved by this example.
#
# Why a node of its own for dot? With + and * alone, the same sum is many nodes, and
# each takes time and memory. For 16 and 16 numbers they are 16 products and 15 sums.
# Same numbers, fewer nodes:
long_w = [Value(1.0) for _ in range(16)]
long_x = [Value(float(k)) for k in range(16)]
by_steps = long_w[0] * long_x[0]
for w_k, x_k in zip(long_w[1:], long_x[1:]):
    by_steps = by_steps + w_k * x_k
in_one = dot(long_w, long_x)
nodes_by_steps = len(topological_order(by_steps))
nodes_in_one = len(topological_order(in_one))
print("\nA dot product of 16 and 16 numbers")
print(f"  with + and *: {by_steps.data}, made of {nodes_by_steps} nodes")
print(f"  with dot:     {in_one.data}, made of {nodes_in_one} node")
assert by_steps.data == in_one.data
by_steps.backward()
grads_by_steps = [w_k.grad for w_k in long_w]
for value in long_w + long_x:
    value.grad = 0.0
in_one.backward()
assert [w_k.grad for w_k in long_w] == grads_by_steps

# %%
# What production does. The same operation, on chips that are built for it: nearly all
# of the work of a large language model is multiplying matrices. There, many vectors x
# are handled at once, as the columns of a second matrix, and shapes have three or four
# numbers. Reading shapes remains the way to understand a model.
#
# What is still missing. Our weights were made up: we decided what [1, 1] should ask. A
# model has to find its weights itself. We have slopes, and we have matrices; the next
# chapter walks downhill with them.
#
# Exercises. Hints and solutions are in ch06_solution.py.
# 1. Find weights for a question that is positive for "y", "h" and the vowels, and
#    negative for "j". There are many; the picture of the letters helps.
# 2. What matrix of shape (2, 2) turns [x[0], x[1]] into [x[1], x[0]]? And which one
#    leaves x as it is? Check with linear.
# 3. Multiply the transposed counts by a vector with 0.5 at "m" and 0.5 at "n". Before
#    you do: what must come out, since the layer is linear?
