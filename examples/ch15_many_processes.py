"""Chapter 15. Many processes: can two cores learn twice as fast as one?

Chapter 14 left only the arithmetic, but all of it one after another. Most computers
have several cores, each a processor of its own, and we used one. What could two do at
the same time? Not two steps: the second needs the parameters that the first one leaves.
But a step may be taken on several names, a batch, and the slope of a mean is the mean
of the slopes. So deal the names out like cards: every process (a running program, on a
core of its own) has a copy of the model and finds the gradients of its share. Added up,
they make the step that one process would have taken. This is called data parallelism.

Write down what you expect, before you run this:
- Will the gradients be equal to the last bit, whoever computed them?
- Two processes, batches of 1, 2, 4, 8 and 16 names: how many times as fast is each?

Source: Dean and others, "Large scale distributed deep networks", 2012.
"""

import multiprocessing
import pickle
import random
import time
from statistics import median

from course import TOKENIZER, TRAIN_NAMES, save_picture

from microgpt.draw import Line, line_chart
from microgpt.gpt import GPTConfig, document_loss, flatten, init_params
from microgpt.train import collector_paused

CONFIG = GPTConfig(TOKENIZER.vocab_size)


def gradients(params, weights, names, batch_size):
    """Return (their part of the batch's mean loss, its slope for each weight)."""
    parameters = flatten(params)
    for parameter, weight in zip(parameters, weights):
        parameter.data, parameter.grad = weight, 0.0
    loss = 0.0
    for name in names:
        # By the size of the whole batch, not of this share: so the shares just add up.
        tokens = TOKENIZER.encode_document(name)
        part = document_loss(params, CONFIG, tokens) / batch_size
        part.backward()
        loss += part.data
    return loss, [parameter.grad for parameter in parameters]


# Processes share no memory. What one holds, another sees only if it is sent: packed
# into bytes ("pickled"), through a pipe, and unpacked. So no Value travels, only floats
# and names, and each process keeps a model of its own to put the floats in.
def serve(pipe):
    """Answer each (weights, names, batch_size) with gradients, until None comes."""
    params = init_params(CONFIG, random.Random(0))
    with collector_paused():
        for task in iter(pipe.recv, None):
            pipe.send(gradients(params, *task))


def start_team(n, method):
    """Start n processes, and return our ends of the pipes to them."""
    context = multiprocessing.get_context(method)
    pipes = [context.Pipe() for _ in range(n)]  # each is a pair: our end, its end
    for _, theirs in pipes:
        context.Process(target=serve, args=[theirs], daemon=True).start()
    return [ours for ours, _ in pipes]


def dismiss(pipes):
    """Let the processes end."""
    for pipe in pipes:
        pipe.send(None)


def together(pipes, weights, names):
    """Return gradients(…, names, len(names)), computed by all processes."""
    # Tell all before waiting for any, or they would work one after the other.
    for rank, pipe in enumerate(pipes):
        pipe.send((weights, names[rank :: len(pipes)], len(names)))
    losses, grads = zip(*[pipe.recv() for pipe in pipes])
    return sum(losses), [sum(parts) for parts in zip(*grads)]


def largest_gap(xs, ys):
    """Return the largest difference between two lists, number by number."""
    return max(abs(x - y) for x, y in zip(xs, ys))


@collector_paused()
def main():
    """Compare one process with many: first what they compute, then how fast."""
    rng = random.Random(15)
    params, names = init_params(CONFIG, rng), TRAIN_NAMES[:7]
    # As in chapter 12: weights that start at 0 would hide mistakes.
    weights = [rng.gauss(0, 0.2) for _ in flatten(params)]
    loss, grads = gradients(params, weights, names, 7)

    # Python starts a process in one of several ways. "fork" copies this one as it is;
    # "spawn" starts a new Python, which imports this file to find `serve`. Hence the
    # `if` at the end of the file: the import must not start processes again.
    for method in multiprocessing.get_all_start_methods():
        start, pipes = time.perf_counter(), start_team(3, method)
        team_loss, team_grads = together(pipes, weights, names)
        print(f"{method}: up, and done, in {time.perf_counter() - start:.2f} seconds")
        assert largest_gap([team_loss, *team_grads], [loss, *grads]) < 1e-12
        dismiss(pipes)
    print("three processes: loss and gradients of one, to 1e-12")
    # expect: three processes: loss and gradients of one, to 1e-12
    # Not to the bit, since the order of a sum decides how it is rounded:
    print((0.1 + 0.2) + 0.3, "is not", 0.1 + (0.2 + 0.3))
    # expect: 0.6000000000000001 is not 0.6

    # How fast? One process and two take turns at the same batch; the middle one of five
    # times counts. It takes two cores that have nothing else to do.
    print(f"{len(pickle.dumps(weights)) / 1000:.0f} kB to each process, and back")
    # expect: 37 kB to each process, and back
    pipes, points = start_team(2, "spawn"), []
    together(pipes, weights, names)  # once before, so that both are up
    for batch_size in [1, 2, 4, 8, 16]:
        names, times = TRAIN_NAMES[:batch_size], []
        for _ in range(5):
            start = time.perf_counter()
            _, grads = gradients(params, weights, names, batch_size)
            middle = time.perf_counter()
            _, team_grads = together(pipes, weights, names)
            times.append((middle - start, time.perf_counter() - middle))
            assert largest_gap(team_grads, grads) < 1e-12
        one, two = map(median, zip(*times))
        points.append((batch_size, one / two))
        print(f"{batch_size:>2} names: {one:.3f} s, two {two:.3f} s: {one / two:.2f} x")
    dismiss(pipes)
    lines = [Line("two processes", points), Line("one", [(1, 1), (16, 1)], "dashed")]
    svg = line_chart(lines, "Speed-up", "names in a batch", "times as fast")
    save_picture("ch15_many_processes.svg", svg)


if __name__ == "__main__":
    main()

# A batch of one cannot be dealt out, and messages cost on top. The larger the batch,
# the less they matter, but n processes cannot be more than n times as fast.
#
# What production does: the same, on thousands of processors, without one that gathers
# all: gradients go round in a ring until all have the sum ("all-reduce").
#
# What is left unsolved: is a model better for more steps, and how sure is its 2.532?
#
# Exercises (solutions in solutions/ch15.py):
# 1. Threads share memory: nothing needs to be sent. Use two of them. What do you gain?
# 2. 3 processes return the means of their shares of 7 names. Is the mean of these it?
# 3. Do large batches learn as well? Train on 160 names, one a step and 8 a step.
