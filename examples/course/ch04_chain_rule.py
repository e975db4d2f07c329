"""Chapter 4. The chain rule: why does one walk backward account for every path?

In chapter 3 we built a number that remembers how it was computed. Its `backward()`
starts at the result, visits each node once, and leaves in each the slope of the result
with respect to it. We checked it by nudging, and it was right. Now we want to see why.

A number may influence the result in several ways: through one calculation, through
another, through both together. Each way is a *path* through the graph. In this chapter
we follow the paths one by one, with a number on every step, and find a rule that your
school calculus calls the *chain rule*: along a path the slopes multiply, and the paths
add up. Then we count paths, and there are far too many of them. The main thing to take
away is how `backward()` gets the sum over all paths without ever following one.

Before you run it: `python examples/learn.py 4` asks you for a few guesses first. If you
go without it, write down the slope of e with respect to a for c = a * b, d = c + a,
e = d ** 2 at a = 2 and b = -3, and in how many ways a number that is doubled ten times
(x + x, and so on) reaches the result.

Source: Rumelhart, Hinton and Williams, "Learning representations by back-propagating
errors", 1986.
"""

# %%
import math
import random
import time

from common import save_picture

from microgpt.tools.draw import graph_svg
from microgpt.value import Value, topological_order

# The example of chapter 3, with one step more: the result is squared.
a = Value(2.0, label="a")
b = Value(-3.0, label="b")
c = a * b
d = c + a
e = d**2
print("The values")
print(f"  a = {a.data}, b = {b.data}")
print(f"  c = a * b  = {c.data}")
print(f"  d = c + a  = {d.data}")
print(f"  e = d ** 2 = {e.data}")

# Each step knows its own slopes, the local gradients. For the square: d ** 2 has the
# slope 2 * d, and d is -4, so that is -8.
print("\nThe slopes of each step alone")
print(f"  of c with respect to a: {c.local_grads[0]:4}, to b: {c.local_grads[1]:4}")
print(f"  of d with respect to c: {d.local_grads[0]:4}, to a: {d.local_grads[1]:4}")
print(f"  of e with respect to d: {e.local_grads[0]:4}")

# %%
# Nudge a by 0.001, and follow what happens, step by step. To tell the two ways apart in
# which a gets into d, we nudge it in one place at a time.
nudge = 0.001
moved_c = (2 + nudge) * -3 - c.data
moved_d_through_c = moved_c
moved_d_directly = nudge
moved_d = moved_d_through_c + moved_d_directly
moved_e = (d.data + moved_d) ** 2 - e.data
print(f"\nNudge a by {nudge}")
print(f"  c moves by {moved_c:7.3f}   -3 times as far as a")
print(f"  d moves by {moved_d_through_c:7.3f}   because c did: 1 times as far as c")
print(f"    and also {moved_d_directly:7.3f}   because of a itself")
print(f"      in all {moved_d:7.3f}")
print(f"  e moves by {moved_e:7.3f}   about -8 times as far as d")
print(f"  so e moves {moved_e / nudge:.0f} times as far as a")

# See what was done with the slopes on the way. From a to c to d to e, each step passes
# on its own multiple of what it received: -3, then 1, then -8, and what arrives is the
# product. And where two ways come together, in d, what they bring is added.
#
# This is the chain rule. The slope of the result with respect to a number is
#
#     the sum, over all paths from the number to the result,
#     of the product of the local gradients along the path.


# %%
# We can write exactly that as a function. It walks from a node back to a leaf, against
# the direction of the calculation, in all possible ways, and notes the local gradients
# on each.
def paths(node, leaf):
    """Return a list of paths from node to leaf, each a list of its local gradients."""
    if node is leaf:
        return [[]]  # one path, with no steps in it; [] would mean: no path
    found = []
    for input, local_grad in zip(node.inputs, node.local_grads):
        for rest in paths(input, leaf):
            found.append([local_grad, *rest])
    return found


def show_paths(node, leaf):
    """Print each path from node to leaf with its product, and return the sum."""
    total_slope = 0.0
    for path in paths(node, leaf):
        product = math.prod(path)
        steps = " * ".join([f"{local_grad:g}" for local_grad in path])
        print(f"  to {leaf.label}: {steps:>11} = {product:5g}")
        total_slope += product
    print(f"{'  added up':19} = {total_slope:5g}")
    return total_slope


print("\nEvery path from e, with the slopes on it")
slope_of_a = show_paths(e, a)
slope_of_b = show_paths(e, b)

# backward() puts the same numbers into grad.
e.backward()
print(f"\nbackward() says: a {a.grad:g}, b {b.grad:g}")
assert a.grad == slope_of_a
assert b.grad == slope_of_b
slope_on_paper = 2 * (a.data * b.data + a.data) * (b.data + 1)
print(f"on paper, e = (a * b + a) ** 2: 2 * (a * b + a) * (b + 1) = {slope_on_paper:g}")
assert a.grad == slope_on_paper

# In the picture, the result is the lowest box. The two lines that leave a are the first
# steps of its two paths: one goes to d directly, the other by way of c.
c.label, d.label, e.label = "c = a * b", "d = c + a", "e = d ** 2"
save_picture("ch04_chain_rule.svg", graph_svg(e))

# %%
# Now to the heart of it. Look at the two paths from e to a: both begin with the step
# from e to d, whose slope is -8.
#
#     through c:   -8 * 1 * -3
#     directly:    -8 * 1
#
# We could multiply by -8 once for each path. Or we could first add up what the paths do
# between d and a, which is (1 * -3) + 1 = -2, and then multiply that sum by -8, once:
# the result is 16 either way. backward() does the multiplication that paths have in
# common a single time. Watch it on its way back from the result:
#
#     e.grad = 1
#     d.grad = -8 * e.grad = -8             all that lies between d and e
#     c.grad =  1 * d.grad = -8
#     a.grad = -3 * c.grad + 1 * d.grad     = 24 - 8 = 16
#
# When it has come to d, the number -8 in d.grad already stands for everything between d
# and the result, however much that may be. None of it has to be looked at again. That
# is why backward() can start at the result, visit each node a single time, and still
# account for every path.
print("\nEach grad stands for all paths between the result and its node")
for node in [e, d, c, a, b]:
    n_paths = len(paths(e, node))
    print(f"  {node.label:11} grad {node.grad:5g}   paths from e to it: {n_paths}")

# %%
# How much does that save? Two paths or one: hardly anything. But paths multiply. Take a
# number and double it, again and again, each time by adding it to itself. Every
# doubling offers two ways on, so there are twice as many paths as before. We count the
# paths, and the nodes that backward() visits. (One doubling, y = x + x, has two nodes,
# y and x. But x is a leaf: it has no inputs to pass anything on to, so it receives its
# grad and needs no visit.)
x = Value(1.0)
y = x
print("\ndoublings   nodes visited   paths from y to x")
for doublings in range(1, 101):
    y = y + y
    if doublings in (1, 2, 3, 10):
        n_paths = len(paths(y, x))
        print(f"{doublings:9}   {len(topological_order(y)):13}   {n_paths:,}")
    if doublings == 10:
        paths_after_ten = n_paths
y.backward()
print(f"{doublings:9}   {len(topological_order(y)):13}   2 ** 100, never listed")
print(f"and the slope is 2 ** {math.log2(x.grad):.0f}, found by 100 visits")
assert x.grad == 2.0**100

# Following the paths one at a time, a billion each second, would take about three
# thousand times as long as the universe is old. backward() was done at once. (That is
# why `paths` was not asked to list the last ones. `topological_order`, from value.py,
# lists the nodes that are visited; chapter 5 is about it.)
#
# Why not walk the other way, from a forward to the result? That works too: nudge a, and
# pass on how much everything moves, as we did by hand above. It is called *forward
# mode*. But one such walk is about a single input, a. A model has thousands of
# parameters and one loss. Walking back from the loss, one walk finds the slopes of them
# all. This is the *reverse mode*, and why training uses it.

# %%
# Let us try it on a loss. The surprise of chapter 2, for the right answer 0 among three
# logits, is
#
#     loss = log(exp(x[0]) + exp(x[1]) + exp(x[2])) - x[0]
#
# In chapter 2 we derived the slopes on paper: probability minus share. There the share
# was that of a letter among 500 names. Here we look at one name, so the share is 1 for
# the right answer and 0 for all others. The slope is the probability, and for the right
# answer it is 1 less. There we took derivatives of the whole formula. Now the steps do
# it.
logits = [Value(2.0, label="x[0]"), Value(1.0, label="x[1]"), Value(-1.0, label="x[2]")]
exps = [logit.exp() for logit in logits]
exps_sum = exps[0] + exps[1] + exps[2]
loss = exps_sum.log() - logits[0]
loss.backward()

print("\nA loss: the slopes of the surprise at answer 0")
print("logit        exp   probability   share   on paper   by backward()")
for logit, its_exp in zip(logits, exps):
    probability = its_exp.data / exps_sum.data
    share = 1 if logit is logits[0] else 0
    on_paper = probability - share
    print(
        f"{logit.label} {its_exp.data:10.3f} {probability:13.3f} {share:7} "
        f"{on_paper:10.3f} {logit.grad:14.3f}"
    )
    assert abs(on_paper - logit.grad) < 1e-12
print(
    f"the sum of the exps is {exps_sum.data:.3f}, and 1 / sum {1 / exps_sum.data:.3f}"
)

# Where does the "1 less" come from? x[0] has two paths to the loss, the others only
# one. For x[0] and x[1], the path through the sum of the exps has five steps: the minus
# sign, the log, two plus signs, and exp. (x[2] is added last, and has one plus sign
# fewer.) The other path of x[0] has one step, the minus sign.
through_the_sum, straight = paths(loss, logits[0])
[only_path] = paths(loss, logits[1])
steps = ["minus", "log", "plus", "plus", "exp"]
print("\nThe paths from the loss to x[0] and to x[1], with the slope of each step")
for what, path in [
    ("x[0], through the sum", through_the_sum),
    ("x[0], straight", straight),
    ("x[1], its only path", only_path),
]:
    words = ", ".join([f"{step} {slope:.3f}" for step, slope in zip(steps, path)])
    print(f"  {what}: {words}")
    print(f"    multiplied: {math.prod(path):.3f}")
both_paths = math.prod(through_the_sum) + math.prod(straight)
assert abs(both_paths - logits[0].grad) < 1e-12

# The path through the sum brings the probability: the log's slope is 1 / sum, and that
# of exp is exp(x[0]), together exp(x[0]) / sum. The straight path, the "- x[0]" at the
# end, brings -1.

# %%
# And the price? On the way back, each line of the graph costs one multiplication and
# one addition, whatever the number of leaves. So backward() should take about as long
# as it took to compute the loss with Values, while nudging has to compute the loss
# twice for every logit. On the other hand nudging can do with plain numbers, which
# Python adds and multiplies much faster than our objects. So let us not argue but
# measure: the same kind of loss, with 3, with 27 and with 243 logits.


def loss_of_floats(xs):
    """Return the surprise at answer 0, computed from plain numbers."""
    exps_sum = 0.0
    for x in xs:
        exps_sum += math.exp(x)
    return math.log(exps_sum) - xs[0]


def loss_of_values(logits):
    """Return the surprise at answer 0, computed from Values."""
    exps_sum = logits[0].exp()
    for logit in logits[1:]:
        exps_sum = exps_sum + logit.exp()
    return exps_sum.log() - logits[0]


def gradient_by_nudging(xs, h=1e-5):
    """Return all slopes by central differences, as in chapter 2."""
    gradient = []
    for k in range(len(xs)):
        above = list(xs)
        above[k] += h
        below = list(xs)
        below[k] -= h
        gradient.append((loss_of_floats(above) - loss_of_floats(below)) / (2 * h))
    return gradient


def microseconds(function, argument, repeats=21):
    """Return how long function(argument) takes: the shortest of several times.

    The shortest, because whatever else the computer is doing can only make it longer.
    """
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function(argument)
        times.append(time.perf_counter() - start)
    return min(times) * 1e6


rng = random.Random(1)
runs_of_backward = {}  # how many losses with Values one backward() takes
runs_of_nudging = {}  # how many losses with plain numbers all the nudging takes
print("\nMicroseconds (lines that begin with ~ differ from computer to computer)")
print("           loss,     loss,              all slopes    all slopes")
print("logits    floats    Values   backward   by backward   by nudging")
for n_logits in [3, 27, 243]:
    xs = [rng.gauss(0, 1) for _ in range(n_logits)]
    leaves = [Value(x) for x in xs]
    root = loss_of_values(leaves)
    for_floats = microseconds(loss_of_floats, xs)
    for_values = microseconds(loss_of_values, leaves)
    for_backward = microseconds(Value.backward, root)
    for_nudging = microseconds(gradient_by_nudging, xs)
    print(
        f"~{n_logits:5} {for_floats:9.1f} {for_values:9.1f} {for_backward:10.1f} "
        f"{for_values + for_backward:13.1f} {for_nudging:12.1f}"
    )
    runs_of_backward[n_logits] = for_backward / for_values
    runs_of_nudging[n_logits] = for_nudging / for_floats

print("\nlogits   backward() takes as long as   nudging takes as long as")
for n_logits in runs_of_backward:
    print(
        f"~{n_logits:5} {runs_of_backward[n_logits]:12.1f} losses of Values "
        f"{runs_of_nudging[n_logits]:12.0f} losses of floats"
    )
assert runs_of_nudging[243] > 20 * runs_of_backward[243]

# backward() takes one to three times as long as the loss itself (with Values), and it
# stays like that, however many logits there are. Nudging takes two losses for every
# logit. (With few logits it takes somewhat more, since copying the list counts too.)
# With 3 logits it is the quicker of the two, because it works with plain numbers. With
# 27 it has fallen behind, with 243 far behind, and with the thousands of parameters of
# a model it is out of the question.

# %%
# To walk along such paths with the mouse, in the graph of a whole GPT: the command
# `python examples/xray/xray.py` opens a page on which you can press any number and see
# what it was computed from, with each local gradient, down to the parameters.
#
# What production does. Exactly this, with a matrix at each node in place of a number.
# The multiplications along a path are then products of matrices. That they can be
# grouped, so that everything shared is multiplied once, holds for matrices as well.
#
# What is still missing. We said that d.grad stands for everything between d and the
# result. That is true only if all of it has already arrived when d passes its grad on.
# In our example that was easy to see to. In a graph of thousands of nodes, who makes
# sure of it? The order of the visits does, and that is the next chapter.
#
# Exercises. Hints and solutions are in ch04_solution.py.
# 1. Write d * d * d instead of d ** 2, and then d ** 3. How many paths lead from e to a
#    in each case, and what do they add up to?
# 2. Write e = d.relu() * d. What is the grad of a, and why? (d is -4.)
# 3. A number is halved and then both halves are added: y = x * 0.5 + x * 0.5, thirty
#    times over. How many paths are there, what is the product of each, and the slope?
