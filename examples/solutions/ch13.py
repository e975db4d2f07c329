"""Solutions to chapter 13, whose functions they use. (Its script part does not run.)"""

import gc
import os
import random
import sys
from statistics import median
from time import process_time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import ch13_atoms as chapter

from microgpt.gpt import GPTConfig, document_loss, flatten, init_params, param_shapes
from microgpt.value import Value

config, rng = GPTConfig(vocab_size=27), random.Random(13)
params = init_params(config, rng)
for weight in flatten(params):
    weight.data = rng.gauss(0, 0.2)
tokens = chapter.TOKENIZER.encode_document("elmeda")
gc.disable()

# 1. A token meets every weight of its seven matrices once: a product and a sum for
#    each. (wte and wpe are looked up, not multiplied with.) The rest are norms,
#    attention, residuals and the losses.
shapes = param_shapes(config)
weights = sum(a * b for name, (a, b) in shapes.items() if name not in ("wte", "wpe"))
loss = chapter.build_loss("stored slopes", params, config, tokens)
in_matrices, nodes = 7 * 2 * weights, chapter.count_nodes(loss)
print(f"{in_matrices:,} of {nodes:,}: {in_matrices / nodes:.0%}")
# expect: 49,056 of 55,889: 88%


# 2. The hidden layer has 64 numbers, so each of the 7 tokens saves 64 nodes of 493. But
#    these are the cheapest ones, with a single input, and the relu is made as before.
#    The gain is small: most time goes to the dots.
class Squared(Value):
    """What relu() makes here: max(0, x), whose square is made from x directly."""

    __slots__ = ()

    def __pow__(self, exponent):
        if exponent != 2:
            return super().__pow__(exponent)
        (x,) = self.inputs
        return Value(self.data**2, (x,), (2 * self.data,), "relu ** 2")


def relu(x):
    """Return max(0, x); the node is skipped if it is squared."""
    return Squared(max(0.0, x.data), (x,), (float(x.data > 0),), "relu")


nodes, seconds = {}, {"two nodes": [], "one node": []}
gradients = {}
before = Value.relu
for _ in range(15):
    for way, function in zip(seconds, (before, relu)):
        Value.relu = function
        start = process_time()
        loss = document_loss(params, config, tokens)
        loss.backward()
        seconds[way].append(process_time() - start)
        nodes[way] = chapter.count_nodes(loss)
        gradients[way] = [weight.grad for weight in flatten(params)]
        for weight in flatten(params):
            weight.grad = 0.0
Value.relu = before
print(nodes)
# expect: {'two nodes': 3453, 'one node': 3005}
pairs = zip(gradients["two nodes"], gradients["one node"])
assert max(abs(a - b) for a, b in pairs) < 1e-12
two, one = [median(times) for times in seconds.values()]
print(f"two nodes take {two / one:.2f} times as long as one")


# 3. No faster, for two reasons. It comes too late: the collector runs while the graph
#    is built, over a growing heap of closures, cells and sets. And it misses some:
#    softmax makes 27 probabilities for a token, and the loss is made of one. backward()
#    never meets the other 26, whose cycles hold on to all that is below.
class Cut(chapter.CLASSIC["Scalar"]):
    """The classic number, whose backward() leaves no closure behind."""

    def backward(self):
        super().backward()
        stack = [self]
        while stack:
            node = stack.pop()
            if "_backward" in vars(node):
                del node._backward
                stack += node.children


chapter.ENGINES["cut"] = {**chapter.CLASSIC, "Scalar": Cut}
seconds = {"closures and sets": [], "cut": [], "stored slopes": []}
for _ in range(2):
    for engine, times in seconds.items():
        numbers = chapter.new_params(engine, params)
        gc.collect()
        gc.enable()
        start = process_time()
        loss = chapter.build_loss(engine, numbers, config, tokens)
        loss.backward()
        gc.disable()
        del loss
        times.append(process_time() - start)
        gc.set_debug(gc.DEBUG_SAVEALL)  # put what is found in gc.garbage
        gc.collect()
        missed = [
            x for x in gc.garbage if isinstance(x, Cut) and "_backward" in vars(x)
        ]
        gc.set_debug(0)
        gc.garbage.clear()
        if engine == "cut":
            print("closures were missed:", len(missed) > 0)
# expect: closures were missed: True
classic, cut, stored = [median(times) for times in seconds.values()]
print(f"times as long as stored slopes: {classic / stored:.1f}, cut {cut / stored:.1f}")
