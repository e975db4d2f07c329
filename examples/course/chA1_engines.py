"""Appendix 1. Engines: the same GPT, a hundred times slower. Where does the time go?

"Everything else is just efficiency": with this sentence microgpt.py, Andrej Karpathy's
GPT in one file of plain Python, introduces itself, and it is true of this appendix too.
The chapters before it contain all the ideas. What follows changes nothing about what is
computed, only how long it takes.

A name of six letters needs about 26,000 multiplications in our GPT (chapter 18 counted
them). A processor does them in well under a millisecond. Yet the package takes about
ten milliseconds for the loss and its gradients, and an engine in the classic style
takes up to a hundred times as long as the package. An *engine* is whatever keeps track
of the calculation so that `backward()` can find its way. Its work is called
*bookkeeping* or *overhead*: objects are made, linked, kept and freed.

Here are three engines for the same GPT, from slow to fast (engines.py, beside this
file). They differ in two decisions: what a node stores, and how much arithmetic is in
one node.

The chapter's questions are asked by `python examples/learn.py A1`; otherwise write down
your guess before you run this: how many nodes does a name of six letters make, if each
+ and * is a node? And what brings more, a cheaper node or fewer nodes?

Sources: Karpathy, micrograd, 2020, for the classic style; Griewank and Walther,
"Evaluating derivatives", 2nd edition, 2008.
"""

# %%
from __future__ import annotations

import contextlib
import gc
import random
import sys
import time
from statistics import median

from common import TOKENIZER, save_picture
from engines import (
    CLOSURES,
    ENGINES,
    MICROGPT,
    STORED,
    Closure,
    count_nodes,
    loss_on,
    params_for,
)

from microgpt import GPTConfig, Value, dot, flatten, init_params
from microgpt.tools.draw import graph_svg, side_by_side
from microgpt.tools.terminal import Progress


# %%
# First decision: what does a node store?
#
# `Value` stores its slopes: for c = a * b two numbers, b and a. The classic engine
# stores a *function* instead, which backward() calls and which then does the work:
#
#     def _backward():
#         self.grad += other.data * out.grad
#         other.grad += self.data * out.grad
#
# That function is written inside of `__mul__`, and it uses the variables `self`,
# `other` and `out` of the call in which it was made, long after that call has returned.
# Such a function, together with the variables it holds on to, is a *closure*. It is a
# pretty idea: each operation carries its own rule. Besides, the classic engine keeps
# the inputs of a node in a *set*, so that an input used twice is listed once.
#
# What does that cost? We make one node of each kind, and ask Python what objects have
# come into being. (It counts those that can refer to others; floats are not among
# them.)
def objects_made(make_node):
    """Return the types of the objects that exist after make_node() and not before."""
    gc.collect()
    known = {id(thing) for thing in gc.get_objects()}
    node = make_node()
    new_types = []
    for thing in gc.get_objects():
        if id(thing) not in known and thing is not known:
            new_types.append(type(thing).__name__)
    del node
    return sorted([name for name in new_types if name not in ("frame", "list")])


@contextlib.contextmanager
def collector_off():
    """Keep the garbage collector from running in this block."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


closure_a, closure_b = Closure(2.0), Closure(-3.0)
value_a, value_b = Value(2.0), Value(-3.0)


def closure_product():
    """Make one node of the classic engine."""
    return closure_a * closure_b


def value_product():
    """Make one node of microgpt's engine."""
    return value_a * value_b


with collector_off():
    made_by_closure = objects_made(closure_product)
    made_by_value = objects_made(value_product)
print("1. The objects that one product is made of")
print()
print("~ closures and sets:", len(made_by_closure))
print("~ stored slopes:", len(made_by_value))
assert len(made_by_closure) >= 2 * len(made_by_value)
print(f"stored slopes: {', '.join(made_by_value)}")
print()

# %%
# A Value and two tuples (its inputs, and its slopes) on one side; on the other the
# node, its set, the function, a "cell" for each variable the function holds on to, and
# a tuple for these cells. (How many exactly depends on the Python version.)


# %%
# The circle.
#
# There is a second, hidden difference. In the classic engine the node `out` knows its
# function, and the function knows `out`, because it needs out.grad. They point at each
# other, in a *reference cycle*.
#
# Why does that matter? Python counts, for each object, how many references there are to
# it. When the last one goes, the object is freed at once, and so is all that only it
# referred to. In a circle, however, each is still referred to by the other. The counts
# never reach 0. Such objects stay in memory until the *garbage collector*, a separate
# part of Python, finds them: it searches for groups of objects that are referred to
# only by each other.
#
# Here a graph of 1,000 nodes is made and let go of, with the collector switched off.
def left_behind(a, b):
    """Make 1,000 nodes, let go of them, and return how many objects are left."""
    gc.collect()
    before = len(gc.get_objects())
    result = a
    for _ in range(500):
        result = result * b + a
    del result
    return len(gc.get_objects()) - before


with collector_off():
    left_by_closures = left_behind(closure_a, closure_b)
    found_by_collector = gc.collect()
    left_by_values = left_behind(value_a, value_b)
print("2. After `del`, with the garbage collector off")
print()
print(f"stored slopes: everything was freed at once: {left_by_values < 10}")
print(f"closures: everything was freed at once: {left_by_closures < 10}")
print("~ closures: objects left behind:", left_by_closures)
print("~ closures: objects that the collector then found:", found_by_collector)
print()
assert left_by_values < 10 and left_by_closures > 3000

# %%
# Second decision: how much arithmetic is in a node?
#
# A dot product of three numbers and three numbers is six operations (it starts at 0):
# three products and three sums. Or it is one *fused* node, with six inputs and six
# slopes, that computes all of it inside. The slopes are known anyway: with respect to
# each x it is the y that it is multiplied by. The picture shows both graphs.
xs = [Value(number, label=f"x{number}") for number in (1, 2, 3)]
ys = [Value(number, label=f"y{number}") for number in (4, 5, 6)]
of_atoms = Value(0.0)
for x, y in zip(xs, ys):
    of_atoms = of_atoms + x * y
fused = dot(xs, ys)
assert of_atoms.data == fused.data == 32.0
print("3. A dot product of 3 and 3 numbers")
print()
print(f"of single operations: {count_nodes(of_atoms)} nodes")
print(f"fused:                {count_nodes(fused)} node")
of_atoms.backward()
picture_of_atoms = graph_svg(of_atoms, explained=False)
for leaf in (*xs, *ys):
    leaf.grad = 0.0  # both graphs have the same leaves
fused.backward()
graphs = [picture_of_atoms, graph_svg(fused, explained=False)]
title = "A dot product of single operations, and as one node"
save_picture("chA1_dot.svg", side_by_side(graphs, columns=2, title=title))
print()

# %%
# The three engines.
#
# Now the whole GPT, on a name of six letters: once with closures, once with Values but
# still of single operations, and once with the package's own fused nodes. All three
# must have the same loss and the same 4,064 gradients.
NAME = "elmeda"
tokens = TOKENIZER.encode_document(NAME)
config = GPTConfig(TOKENIZER.vocab_size)
rng = random.Random(13)
params = init_params(config, rng)
for weight in flatten(params):
    weight.data = rng.gauss(0, 0.2)  # some would be 0, and hide mistakes

own_params, gradients, losses, n_nodes = {}, {}, {}, {}
for engine in ENGINES:
    own_params[engine] = params_for(engine, params)
    loss = loss_on(engine, own_params[engine], config, tokens)
    n_nodes[engine] = count_nodes(loss)
    loss.backward()
    losses[engine] = loss.data
    gradients[engine] = [weight.grad for weight in flatten(own_params[engine])]
    del loss
print(f"4. The loss of {NAME!r}, on three engines")
print()
print(
    "engine                       nodes        loss   largest difference of a gradient"
)
for engine in ENGINES:
    gaps = []
    for grad, right in zip(gradients[engine], gradients[MICROGPT]):
        gaps.append(abs(grad - right))
    assert max(gaps) < 1e-12
    line = f"{engine.name:<24} {n_nodes[engine]:>9,} {losses[engine]:>11.6f}"
    print(f"{line}   below 1e-12: {max(gaps) < 1e-12}")
print()
n_multiplied = sum([3552 + 32 * t for t in range(1, len(tokens))])  # see chapter 18
nodes_ratio = n_nodes[STORED] / n_nodes[MICROGPT]
print(f"Fusing leaves one node in {nodes_ratio:.0f}.")
print(f"Multiplications in the matrices and in attention: {n_multiplied:,}.")
print()


# %%
# The time.
#
# Each engine in turn computes the loss and all gradients, and lets go of the graph:
# with the garbage collector on and with it off, three times, and the medians count. The
# collector tells us when it starts and when it stops (gc.callbacks), so that its part
# of the time is known, too. With the collector off, the closures' graph has to be swept
# up afterwards all the same; that time stands in the last column.
class CollectorClock:
    """Adds up the time between the collector's "start" and "stop"."""

    def __init__(self):
        self.seconds = 0.0
        self.started = 0.0

    def __call__(self, phase, info):
        now = time.perf_counter()
        if phase == "start":
            self.started = now
        else:
            self.seconds += now - self.started


def time_of_a_pass(engine, collector_is_on):
    """Return (seconds for loss and gradients, the collector's part, to sweep up)."""
    gc.collect()
    clock = CollectorClock()
    gc.callbacks.append(clock)
    if not collector_is_on:
        gc.disable()
    try:
        started = time.perf_counter()
        loss = loss_on(engine, own_params[engine], config, tokens)
        loss.backward()
        del loss
        seconds = time.perf_counter() - started
        part_of_collector = clock.seconds
        gc.collect()
        sweeping_up = clock.seconds - part_of_collector
    finally:
        gc.enable()
        gc.callbacks.remove(clock)
    return seconds, part_of_collector, sweeping_up


N_ROUNDS = 3
measured = {}
progress = Progress("rounds", total=N_ROUNDS, every=1, stream=sys.stderr)
for round_number in range(1, N_ROUNDS + 1):
    for engine in ENGINES:
        for collector_is_on in (True, False):
            times = time_of_a_pass(engine, collector_is_on)
            measured.setdefault((engine, collector_is_on), []).append(times)
    progress.show(round_number)
progress.finish()

print("5. Milliseconds for the loss and all gradients of a name")
print()
print("~ engine                 collector on   its part  collector off  to sweep up")
milliseconds = {}
for engine in ENGINES:
    on = [1000 * median(column) for column in zip(*measured[engine, True])]
    off = [1000 * median(column) for column in zip(*measured[engine, False])]
    milliseconds[engine] = (on[0], off[0])
    row = f"{on[0]:>12.1f} {on[1]:>10.1f} {off[0]:>14.1f} {off[2]:>12.1f}"
    print(f"~ {engine.name:<22} {row}")
print()
cheaper_nodes = milliseconds[CLOSURES][1] / milliseconds[STORED][1]
fewer_nodes = milliseconds[STORED][1] / milliseconds[MICROGPT][1]
both = milliseconds[CLOSURES][0] / milliseconds[MICROGPT][1]
print(
    "~ cheaper nodes, the collector off for both: times as fast:",
    f"{cheaper_nodes:.1f}",
)
print("~ fewer nodes besides: times as fast:", f"{fewer_nodes:.1f}")
print("~ from closures with their collector to microgpt:", f"{both:.0f}")
assert fewer_nodes > cheaper_nodes

# %%
# Where does the time go?
#
# A good part of what closures take with the collector on is the collector's, and it is
# in vain. Every so many new objects (gc.get_threshold() says how many) it searches the
# youngest objects for circles; what survives is searched again later, and at times all
# objects are. While a graph is being built, none of it is garbage: it is all in use.
# So the collector searches more and more objects and finds nothing.
#
# Why not switch it off, as the package does while it trains? With stored slopes that is
# safe: without circles there is nothing to find, and everything is freed at once
# (section 2). With closures, memory would grow by a graph a step until the program
# dies, so they need the collector, or have to be swept up by hand.
#
# (The last column is the time of one full search. It is not nothing even where there is
# nothing to sweep up: the search has to look at every object that Python has.)
#
# What is left is the number of nodes. A node with sixteen multiplications takes longer
# than a node with one, perhaps four times as long, but it does the work of 32: sixteen
# products and sixteen sums. Our model is nearly all dot products, so fusing these is
# nearly all there is to gain. The other fused sums, `total` and `logsumexp`, save
# little time; they make small graphs that fit on a page.
#
# What production does: a node is a product of whole matrices. PyTorch's bookkeeping
# takes microseconds for a node as well, but a model has a few hundred nodes, with
# millions of multiplications in each.
#
# What is still missing: could we do without any nodes? The next chapter does.
#
# Exercises (solutions and hints in chA1_solution.py):
# 1. A dot product of n numbers is 2 * n single operations here. How many of the nodes
#    of the first two engines are in the model's matrices? Predict it from the sizes.
# 2. Let closures clean up after themselves: after backward(), walk from the loss
#    through all `inputs`, and replace each node's `_backward` by a function that holds
#    on to nothing. Does that break all circles? (Count what the collector still finds.)
# 3. `x.relu() ** 2` is two nodes in each of the 64 hidden numbers. How many nodes would
#    a fused "squared ReLU" save in all, and which share of microgpt's nodes is that?
