"""Solutions to chapter 15, which runs first and prints its own lines before these."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import random
import threading
import time
from statistics import median

import ch15_many_processes as chapter
from course import HELD_OUT_NAMES

from microgpt.adam import Adam
from microgpt.gpt import document_loss, flatten, init_params

NAMES = chapter.TRAIN_NAMES
INITIAL = init_params(chapter.CONFIG, random.Random(1))
WEIGHTS = [parameter.data for parameter in flatten(INITIAL)]


# 1. Nothing, in the usual Python: its one lock (the GIL, global interpreter lock) lets
#    only one thread run Python code at a time. Two threads take turns, and so take as
#    long as one. They do help where a program waits, for a disk or a network. (Builds
#    without the lock, "free-threaded", have existed since Python 3.13.)
def two_threads(names):
    """Return the gradients of the batch, each half found by a thread."""
    found = [None, None]

    def work(rank):
        params = init_params(chapter.CONFIG, random.Random(0))
        share = names[rank::2]
        found[rank] = chapter.gradients(params, WEIGHTS, share, len(names))[1]

    threads = [threading.Thread(target=work, args=[rank]) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [a + b for a, b in zip(*found)]


def exercise_1():
    """Let one thread and two take turns."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        _, grads = chapter.gradients(INITIAL, WEIGHTS, NAMES[:8], 8)
        middle = time.perf_counter()
        thread_grads = two_threads(NAMES[:8])
        times.append((middle - start, time.perf_counter() - middle))
        assert chapter.largest_gap(thread_grads, grads) < 1e-12
    one, two = map(median, zip(*times))
    print(f"two threads: {one / two:.2f} times as fast")
    print("the gradients are right")
    # expect: the gradients are right


# 2. No. The shares have 3, 2 and 2 names, and in the mean of the means a name of a
#    share of 2 counts 1/6, one of the share of 3 only 1/9; all should count 1/7. With
#    weights 3/7, 2/7 and 2/7 for the means it is right: that is what dividing by the
#    size of the whole batch does.
def exercise_2():
    """Average the means of uneven shares, without weights and with them."""
    names = NAMES[:7]
    _, grads = chapter.gradients(INITIAL, WEIGHTS, names, 7)
    shares = [names[rank::3] for rank in range(3)]
    means = [
        chapter.gradients(INITIAL, WEIGHTS, share, len(share))[1] for share in shares
    ]
    mean_of_means = [sum(column) / 3 for column in zip(*means)]
    sizes = [len(share) for share in shares]
    weighted = [
        sum(size / 7 * mean for size, mean in zip(sizes, column))
        for column in zip(*means)
    ]
    off = chapter.largest_gap(mean_of_means, grads)
    print(f"off by up to {off:.3f}; gradients up to {max(map(abs, grads)):.3f}")
    # expect: off by up to 0.027; gradients up to 0.154
    assert chapter.largest_gap(weighted, grads) < 1e-12


# 3. Not for each name. 20 steps of 8 names cost as much arithmetic as 160 steps of one,
#    but each goes no farther: the batch makes its direction surer, not longer. Longer
#    steps, with a three times larger learning rate, make up for some of it. So large
#    batches pay when there are names, and processors, in plenty.
def train(pipes, batch_size, learning_rate):
    """Return the loss on 60 held-out names after one pass over 160 names."""
    params = init_params(chapter.CONFIG, random.Random(1))
    optimizer = Adam(flatten(params))
    n_steps = 160 // batch_size
    for step in range(n_steps):
        names = NAMES[step * batch_size : (step + 1) * batch_size]
        weights = [parameter.data for parameter in optimizer.parameters]
        if batch_size > 1:
            _, grads = chapter.together(pipes, weights, names)
        else:
            _, grads = chapter.gradients(params, weights, names, 1)
        for parameter, grad in zip(optimizer.parameters, grads):
            parameter.grad = grad
        optimizer.step(learning_rate * (1 - step / n_steps))
    nats = characters = 0
    for name in HELD_OUT_NAMES[:60]:
        tokens = chapter.TOKENIZER.encode_document(name)
        n = min(chapter.CONFIG.block_size, len(tokens) - 1)
        nats += document_loss(params, chapter.CONFIG, tokens).data * n
        characters += n
    return nats / characters


@chapter.collector_paused()
def exercise_3():
    """Train with small batches and with large ones."""
    pipes = chapter.start_team(2, "spawn")
    losses = {}
    for batch_size, learning_rate in [(1, 0.01), (8, 0.01), (8, 0.03)]:
        loss = train(pipes, batch_size, learning_rate)
        losses[batch_size, learning_rate] = loss
        print(f"{batch_size} a step, learning rate {learning_rate}: {loss:.3f}")
    # expect: 1 a step, learning rate 0.01: 2.550
    # expect: 8 a step, learning rate 0.01: 2.731
    # expect: 8 a step, learning rate 0.03: 2.648
    chapter.dismiss(pipes)
    assert losses[1, 0.01] < losses[8, 0.03] < losses[8, 0.01]


if __name__ == "__main__":
    chapter.main()
    exercise_1()
    exercise_2()
    exercise_3()
