"""Chapter 13. Atoms: where does the time go?

Chapter 12 counted multiplications: a processor needs microseconds for those of a name,
and our model milliseconds. The rest is bookkeeping: objects are made, kept and freed,
so that backward() finds its way. Here is an engine with much of it, in the style of
micrograd: tests/atoms.py has a node for every single + * ** exp log relu, in each a
closure (chapter 4) and a set of its inputs, and our GPT written with nothing else. We
change one thing at a time until it is microgpt.

Write down what you expect, before you run this:
- How many nodes does a name of six letters take, made of such atoms?
- How much of its time does the classic engine spend on the calculation itself?
- Which brings more: a cheaper node, or fewer nodes?

Source: Griewank and Walther, "Evaluating derivatives", 2nd edition, 2008.
"""

import gc
import random
import sys
from statistics import median
from time import process_time

from course import ROOT, TOKENIZER, save_picture

from microgpt.draw import graph_svg
from microgpt.gpt import GPTConfig, document_loss, flatten, init_params, softmax
from microgpt.value import Value, dot

sys.path.insert(0, f"{ROOT}/tests")
import atoms

# The model in atoms.py looks up these names whenever it uses them. With another meaning
# for them, the same lines run on another engine.
CLASSIC = {"Scalar": atoms.Scalar, "dot": atoms.dot, "softmax": atoms.softmax}
ENGINES = {
    "closures and sets": CLASSIC,
    "stored slopes": {**CLASSIC, "Scalar": Value},
    "and dot": {**CLASSIC, "Scalar": Value, "dot": dot},
    "and logsumexp": {"Scalar": Value, "dot": dot, "softmax": softmax},
    "microgpt": {},
}


def new_params(engine, params):
    """Return a copy of params, made of the engine's own numbers."""
    number = ENGINES[engine].get("Scalar", Value)
    return {
        name: [[number(weight.data) for weight in row] for row in matrix]
        for name, matrix in params.items()
    }


def build_loss(engine, params, config, tokens):
    """Return the mean loss of a document: the engine's number, on top of its graph."""
    if engine == "microgpt":
        return document_loss(params, config, tokens)
    vars(atoms).update(ENGINES[engine])
    tokens = tokens[: config.block_size + 1]
    logits = atoms.gpt(params, config.n_layer, config.n_head, tokens[:-1])
    pairs = zip(logits, tokens[1:])
    losses = [atoms.softmax(row)[target_id].log() * -1 for row, target_id in pairs]
    return sum(losses, atoms.Scalar(0.0)) * (1 / len(losses))


def count_nodes(root):
    """Return how many nodes were computed from others, root among them."""
    seen, stack, n = {root}, [root], 0
    while stack:
        node = stack.pop()
        inputs = set(node.inputs if isinstance(node, Value) else node.children)
        n += bool(inputs)
        stack += inputs - seen
        seen |= inputs
    return n


# From here on it runs only as a script: benchmark.py imports what is above.
if __name__ == "__main__":
    # The sum of three products: six atoms (it starts from a 0), or one node.
    vars(atoms).update(ENGINES["stored slopes"])
    xs, ys = [Value(1), Value(2), Value(3)], [Value(4), Value(5), Value(6)]
    slow, fast = atoms.dot(xs, ys), dot(xs, ys)
    save_picture("ch13_dot_of_atoms.svg", graph_svg(slow))
    save_picture("ch13_dot.svg", graph_svg(fast))
    assert (count_nodes(slow), count_nodes(fast)) == (6, 1)

    # Whatever the engine, it is the same GPT, with equal loss and gradients.
    config, rng = GPTConfig(vocab_size=27), random.Random(13)
    params = init_params(config, rng)
    for weight in flatten(params):
        weight.data = rng.gauss(0, 0.2)  # some would be 0, and hide mistakes
    tokens = TOKENIZER.encode_document("elmeda")
    (right := document_loss(params, config, tokens)).backward()
    numbers = {engine: new_params(engine, params) for engine in ENGINES}
    gc.disable()
    for engine in ENGINES:
        before = len(gc.get_objects())  # all that the collector watches
        loss = build_loss(engine, numbers[engine], config, tokens)
        watched, n = len(gc.get_objects()) - before, count_nodes(loss)
        print(f"{engine:<17} {n:>6,} nodes, {watched / n:.0f} objects each")
        loss.backward()
        pairs = zip(flatten(numbers[engine]), flatten(params))
        assert max(abs(weight.grad - twin.grad) for weight, twin in pairs) < 1e-12
        assert abs(loss.data - right.data) < 1e-12
        del loss
    # expect: closures and sets 55,889 nodes, 7 objects each
    # expect: stored slopes     55,889 nodes, 3 objects each
    # expect: and dot            5,377 nodes, 3 objects each
    # expect: and logsumexp      4,810 nodes, 3 objects each
    # expect: microgpt           3,453 nodes, 3 objects each

    # Now the time, with the collector (it tells when it starts and stops) and without.
    calls, seconds = [], {engine: [] for engine in ENGINES}
    gc.callbacks.append(lambda phase, info: calls.append(process_time()))
    for _ in range(3):
        for engine, rows in seconds.items():
            row = []
            for switch in (gc.enable, gc.disable):
                gc.collect()
                calls.clear()
                switch()
                start = process_time()
                loss = build_loss(engine, numbers[engine], config, tokens)
                loss.backward()
                del loss
                row += [process_time() - start, sum(calls[1::2]) - sum(calls[::2])]
            gc.collect()  # finds what the last graph left
            rows.append([*row, calls[-1] - calls[-2]])
    print("ms: with collector (its part), without, to sweep up afterwards")
    for engine, rows in seconds.items():
        on, part, off, _, sweep = [1000 * median(column) for column in zip(*rows)]
        print(f"{engine:<17} {on:>6.1f} ({part:>5.1f}) {off:>6.1f} {sweep:>6.1f}")

# Most of the classic's time is the collector's, in vain: while a graph is built, none
# of it is garbage, but the collector looks at the newest objects again and again, and
# at times at all. Without it, closures must be swept up by hand (chapter 4). Stored
# slopes are freed at once: no collector is needed. The rest is the number of nodes. One
# of two inputs takes about a microsecond, a small part of it for the multiplication. A
# dot of 32 takes a few; the model is nearly all dots, so the other fusions save little.
#
# What production does: a node is a product of whole matrices. PyTorch's bookkeeping for
# one takes microseconds as well, but a model has dozens of them, not thousands.
#
# What is left unsolved: could we do without nodes?
#
# Exercises (solutions in solutions/ch13.py):
# 1. A dot of n products is 2n atoms. How many of the 55,889 belong to matrices?
# 2. Make x.relu() ** 2 one node too. How many does it save, and is it felt?
# 3. Let the classic's backward() drop the closures it used. How fast is it then?
