"""Chapter 3. The chain rule: where do all the slopes come from at once?

Chapter 2 left this unsolved: nudging finds slopes one by one, and each costs two
losses. But a loss is made in small steps, a sum here, a product there, and the slope of
one such step is known from school. So let every number remember the step that made it,
and that step's slopes: such a number is a `Value`. What remains is to combine them.

Write down what you expect, before you run this:
- c = a * b, d = c + a, e = d * d, at a = 2 and b = -3: what is the slope of e towards
  a, and in how many ways does a reach e?
- A number is doubled, x + x, ten times over. How many ways are there then?
- How much more work than one loss are all its 27 slopes?

Source: Rumelhart, Hinton and Williams, "Learning representations by back-propagating
errors", 1986.
"""

import math
import random

from course import save_picture

from microgpt.draw import graph_svg, graph_text
from microgpt.value import Value, topological_order, total

# One step at a time. Each number is a node, with a line to it from all it was made of:
# a graph. a and b, which no step made, are its leaves. A label says what the step was.
a, b = Value(2.0, label="a"), Value(-3.0, label="b")
c = a * b
d = c + a
e = d * d
print(e)  # grad: 0 until backward() fills it, below
# expect: Value(16.0, grad=0.0, '*')
c.label, d.label, e.label = "c = a * b", "d = c + a", "e = d * d"

# What each step knows before anyone asks for a gradient: its inputs, and its slopes
# towards them, the local gradients. If a moves by 1, a * b moves by b: its slope
# towards a is b. And d * d? To that step, d and d are two inputs like any others.
for node in (c, d, e):
    print(f"{node.label}: local_grads {node.local_grads}")
assert e.inputs == (d, d)
# expect: c = a * b: local_grads (-3.0, 2.0)
# expect: d = c + a: local_grads (1.0, 1.0)
# expect: e = d * d: local_grads (-4.0, -4.0)

# Nudge a by 0.001, and follow it. c moves -3 times as far. d moves as far as c, and as
# far as a on top, for it is made of both. e moves -4 times as far as d, twice.
nudged_a = 2.001
nudged_c = nudged_a * -3.0
nudged_d = nudged_c + nudged_a
nudged_e = nudged_d * nudged_d
print(f"a moves {nudged_a - 2:.3f}, c {nudged_c + 6:.3f}, d {nudged_d + 4:.3f}")
print(f"e moves {nudged_e - 16:.3f}: 16 times as far as a")
# expect: a moves 0.001, c -0.003, d -0.002
# expect: e moves 0.016: 16 times as far as a


# The chain rule says no more than that: along a path the local gradients multiply, and
# where paths meet, what comes along each adds up.
def paths(node, leaf):
    """Return the local gradients along each path from node to leaf."""
    if node is leaf:
        return [[]]
    found = []
    for input, local_grad in zip(node.inputs, node.local_grads):
        found += [[local_grad, *rest] for rest in paths(input, leaf)]
    return found


for leaf in (a, b):
    for path in paths(e, leaf):
        product = math.prod(path)
        print(f"to {leaf.label}: {' * '.join(map(str, path))} = {product}")
# expect: to a: -4.0 * 1.0 * -3.0 = 12.0
# expect: to a: -4.0 * 1.0 = -4.0
# expect: to a: -4.0 * 1.0 * -3.0 = 12.0
# expect: to a: -4.0 * 1.0 = -4.0
# expect: to b: -4.0 * 1.0 * 2.0 = -8.0
# expect: to b: -4.0 * 1.0 * 2.0 = -8.0

# Four paths lead to a, and add up to 16. backward() puts this sum in each node's grad.
e.backward()
for leaf in (a, b):
    assert leaf.grad == sum([math.prod(path) for path in paths(e, leaf)])
print(graph_text(e))
# expect: [1] e = d * d  data=16  grad=1
# expect: [2] d = c + a  data=-4  grad=-8  local_grad=-4
# expect: [3] c = a * b  data=-6  grad=-8  local_grad=1
# expect: [4] a  data=2  grad=16  local_grad=-3
# expect: [5] b  data=-3  grad=-16  local_grad=2
# expect: see [4] a  local_grad=1
# expect: see [2] d = c + a  local_grad=-4
save_picture("ch03_chain_rule.svg", graph_svg(e))

# backward() cannot have followed the paths: every doubling makes twice as many of them.
x = Value(1.0)
y = x
for doublings in range(1, 101):
    y = y + y
    if doublings == 10:
        print(f"{len(paths(y, x)):,} paths")
y.backward()
print(f"after 100 doublings: slope 2 ** {math.log2(x.grad):.0f}")
# expect: 1,024 paths
# expect: after 100 doublings: slope 2 ** 100

# It starts at the result, and a node adds up what arrives before it passes anything on:
# p * q + p * r is p * (q + r), so what paths have in common is multiplied once. Each
# line of the picture costs one multiplication, however many paths run along it. (Why
# not start at a? From there, one walk finds slopes towards a alone.)


# Now for a loss: chapter 2's surprise, at token 9, an "i", with 27 logits.
def surprise_at_i(logits):
    """Return -log(softmax(logits)[9]), which is log(sum of exps) - logits[9]."""
    exps = [logit.exp() for logit in logits]
    return total(exps).log() - logits[9]  # total adds up a list, in one node


rng = random.Random(1)
logits = [Value(rng.gauss(0, 1)) for _ in range(27)]
loss = surprise_at_i(logits)
loss.backward()
for logit in logits:
    above = surprise_at_i([x + 1e-5 if x is logit else x for x in logits])
    below = surprise_at_i([x - 1e-5 if x is logit else x for x in logits])
    assert abs((above.data - below.data) / 2e-5 - logit.grad) < 1e-9

# On paper it was: the probability, and 1 less for the right answer. Those are the two
# paths to logits[9]: through the sum, and straight. The other logits have only one.
through_sum, straight = [math.prod(path) for path in paths(loss, logits[9])]
print(f"{through_sum:.3f} + {straight} = {logits[9].grad:.3f}")
# expect: 0.024 + -1.0 = -0.976

# The price, in lines. (topological_order lists the nodes that steps made: chapter 4.)
# backward() walks each line once more. Nudging walks all of them for every loss.
n_lines = sum([len(node.inputs) for node in topological_order(loss)])
print(f"backward: {n_lines} lines. Nudging: 54 losses of {n_lines}, {54 * n_lines:,}")
# expect: backward: 57 lines. Nudging: 54 losses of 57, 3,078

# What production does: PyTorch and JAX do the same, with a matrix at each node.
#
# What is left unsolved: a node must not pass anything on before all has arrived. In
# which order are nodes visited, in any graph, so that this is sure?
#
# Exercises (solutions in solutions/ch03.py):
# 1. Write d * d * d in place of d * d, and then d**3. How many paths lead to a in each,
#    and what do they add up to?
# 2. Write d.relu() * d; relu makes 0 of a number below 0. What arrives at a, and why?
# 3. Make the sine of a Value, one node with its slope. Check it by nudging.
