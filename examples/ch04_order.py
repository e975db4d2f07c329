"""Chapter 4. Order: when may a node pass its gradient on?

Chapter 3 left this unsolved: a node must not pass anything on before all has arrived,
on every path. It cannot know when that is. The order of visits has to see to it.

Write down what you expect, before you run this:
- b = a + a and c = b + b, so c = 4 * a. What would a.grad become if a node passed on
  all it has once for each of its uses? And what, if backward() runs twice?
- A node could store a function instead of its slopes. Would that be faster?

Source: Kahn, "Topological sorting of large networks", 1962.
"""

import gc
from itertools import product
from statistics import median
from time import process_time

from course import save_picture

from microgpt.draw import graph_svg
from microgpt.value import Value, topological_order


# What is wanted is called a topological order: every node comes after all its inputs.
# Read backwards, every node comes after all that use it, and then all has arrived. To
# list a node, first list its inputs, and before these theirs: depth-first search.
def list_in_order(node, order):
    """Append to order all that node is made of and that is not there yet, then node."""
    for input in node.inputs:
        if input not in order:
            list_in_order(input, order)
    order.append(node)


a = Value(1.0, label="a")
d = (a * 3 + a).exp() * a
order = []
list_in_order(d, order)
print("order:", [node.label for node in order])
# expect: order: ['a', '*', '+', 'exp', '*']
assert topological_order(d) == order[1:]  # without leaves: they pass nothing on
save_picture("ch04_order.svg", graph_svg(d))  # the same order, from left to right


# Three famous mistakes show what the order is for, and the += in backward(). First, no
# order. c uses b twice, so b passes on twice: all of its 1 + 1, each time.
def pass_on_at_once(node):
    """Give node's inputs their share of its grad; then let each of them do the same."""
    for input, local_grad in zip(node.inputs, node.local_grads):
        input.grad += local_grad * node.grad
    for input in node.inputs:
        pass_on_at_once(input)


b = a + a
c = b + b
c.grad = 1.0
pass_on_at_once(c)
print(f"at once: a.grad {a.grad}")
# expect: at once: a.grad 8.0

# Second, = in place of +=. Of all that arrives at a node, only the last is kept.
for node in reversed(topological_order(c)):
    for input, local_grad in zip(node.inputs, node.local_grads):
        input.grad = local_grad * node.grad
print(f"with =: a.grad {a.grad}")
# expect: with =: a.grad 1.0

# Third, backward() twice, the leaf not cleared: it adds to what is there. That is often
# wanted: a sum of losses has the sum of their slopes, so each may go backward alone.
# Other nodes start from 0, or the first gradient would be passed on again (exercise 3).
a.grad = 0.0
for call in (1, 2):
    c.backward()
    print(f"call {call}: a.grad {a.grad}, b.grad {b.grad}")
# expect: call 1: a.grad 4.0, b.grad 2.0
# expect: call 2: a.grad 8.0, b.grad 2.0


# Many small engines store no slopes, but in each node a function, which still knows the
# self, other and out of the place where it was made: a closure. One that can multiply:
class Closure(Value):
    """A Value that keeps a function which passes its gradient on."""

    __slots__ = ("pass_on",)

    def __mul__(self, other):
        out = Closure(self.data * other.data, (self, other))

        def pass_on():
            self.grad += other.data * out.grad
            other.grad += self.data * out.grad

        out.pass_on = pass_on
        return out

    def backward(self):
        self.grad = 1.0  # all others are 0: this one is called only once
        for node in reversed(topological_order(self)):
            node.pass_on()


# What a debugger can show of each before backward() has run: two slopes, or a name.
print((Value(2.0) * Value(-3.0)).local_grads)
print((Closure(2.0) * Closure(-3.0)).pass_on.__qualname__)
# expect: (-3.0, 2.0)
# expect: Closure.__mul__.<locals>.pass_on


def build_and_drop(kind):
    """Build a graph of 3,000 products, take it backward, and let go of it."""
    x = y = kind(1.001)
    for _ in range(3000):
        y = y * x
    y.backward()


# Python frees a thing once nothing refers to it. But out refers to pass_on, and pass_on
# to out: a reference cycle. It stays until the garbage collector searches for such.
gc.collect()
gc.disable()
for kind in (Value, Closure):
    build_and_drop(kind)
    print(f"{kind.__name__} left garbage: {gc.collect() > 0}")
# expect: Value left garbage: False
# expect: Closure left garbage: True

# Which is faster, and what does the collector cost? (Only Values can do without it.)
seconds = {mode: [] for mode in product((Value, Closure), (gc.enable, gc.disable))}
for _ in range(15):
    for (kind, switch), times in seconds.items():
        gc.collect()
        switch()
        started = process_time()
        build_and_drop(kind)
        times.append(process_time() - started)
gc.enable()
v_on, v_off, c_on, c_off = map(median, seconds.values())
print(f"closures take {c_on / v_on:.2f} times as long with the collector on,")
print(f"{c_off / v_off:.2f} with it off, {c_on / v_off:.2f} if off for Values only")

# What production does: PyTorch adds up in leaves too; every loop calls zero_grad().
#
# What is left unsolved: all slopes now cost about one loss. What can be done with them?
#
# Exercises (solutions in solutions/ch04.py):
# 1. Try list_in_order and topological_order on a chain of 10,000 sums.
# 2. Write backward() in Kahn's way: count a node's uses; it may go when all have gone.
# 3. What would a.grad be after two calls if b.grad did not start at 0 again?
