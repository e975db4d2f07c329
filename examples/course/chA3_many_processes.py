"""Appendix 3. Many processes: can two cores learn twice as fast as one?

Appendix 2 left only the arithmetic, but all of it one step after another. Nearly every
computer has several *cores*, each a processor of its own, and so far we have used one.
What could two of them do at the same time?

Not two training steps: the second needs the weights that the first one leaves. But a
step may be taken on several names, a batch (chapter 16), and the names of a batch do
not depend on each other. So deal the names out, like cards. Every *process*, which is a
running program with a memory of its own, has a copy of the model, finds the gradients
of its share, and sends them back. Added up, they are the gradients of the batch, and
the step is the same as if one process had done everything. This is called *data
parallelism*, and large language models are trained with it, on thousands of processors.

The chapter's questions are asked by `python examples/learn.py A3`; otherwise write down
your guess before you run this: are the gradients equal to the last bit, whoever
computed them? And how many times as fast are two processes with a batch of one name, of
two, of three, and of sixteen?

Paper: Dean and others, "Large scale distributed deep networks", 2012.
"""

# %%
from __future__ import annotations

import math
import multiprocessing
import os
import pickle
import random
import sys
import time
from statistics import median

from common import TOKENIZER, TRAIN_NAMES, save_picture

from microgpt import GPTConfig, document_loss, flatten, init_params
from microgpt.tools.draw import Line, line_chart
from microgpt.tools.terminal import Progress
from microgpt.training import collector_paused

CONFIG = GPTConfig(TOKENIZER.vocab_size)


# %%
# What each process does.
#
# Here is the work of one process: gradients for its share of the names. One detail
# matters. Each loss is divided by the size of the *whole* batch, not of the share. Then
# the gradients of all shares simply add up to the gradient of the mean loss, even if
# the shares are of different size.
def gradients(params, weights, names, batch_size):
    """Return (the names' part of the mean loss, its slope for each weight)."""
    parameters = flatten(params)
    for parameter, weight in zip(parameters, weights):
        parameter.data = weight
        parameter.grad = 0.0
    loss = 0.0
    for name in names:
        tokens = TOKENIZER.encode_document(name)
        part = document_loss(params, CONFIG, tokens) / batch_size
        part.backward()
        loss += part.data
    return loss, [parameter.grad for parameter in parameters]


# %%
# How they talk.
#
# Processes share no memory. What one of them knows, another only learns if it is sent
# through a *pipe*: packed into a row of bytes (Python calls that *pickling*), and
# unpacked at the other end. A graph of Values would be a very long row of bytes. So no
# Value travels, only floats and names. Each process has a model of its own, whose
# numbers are replaced by those that arrive.
def serve(pipe):
    """Answer each (weights, names, batch_size) with gradients, until None comes."""
    params = init_params(CONFIG, random.Random(0))
    with collector_paused():
        while True:
            task = pipe.recv()
            if task is None:
                return
            weights, names, batch_size = task
            pipe.send(gradients(params, weights, names, batch_size))


def start_team(n_processes, method):
    """Start processes, and return our ends of the pipes to them."""
    context = multiprocessing.get_context(method)
    our_ends = []
    for _ in range(n_processes):
        our_end, their_end = context.Pipe()
        process = context.Process(target=serve, args=[their_end], daemon=True)
        process.start()
        our_ends.append(our_end)
    return our_ends


def dismiss(pipes):
    """Tell the processes that there is nothing left to do."""
    for pipe in pipes:
        pipe.send(None)


def together(pipes, weights, names):
    """Return the loss and the gradients of a batch, computed by all processes."""
    # Tell all of them before waiting for any: otherwise they would work in turn.
    for rank, pipe in enumerate(pipes):
        share = names[rank :: len(pipes)]  # every second name, if there are two
        pipe.send((weights, share, len(names)))
    answers = [pipe.recv() for pipe in pipes]
    loss = sum([part for part, _ in answers])
    slopes = [sum(parts) for parts in zip(*[slopes for _, slopes in answers])]
    return loss, slopes


def largest_gap(xs, ys):
    """Return the largest difference between two lists, number by number."""
    return max([abs(x - y) for x, y in zip(xs, ys)])


# %%
# Why the rest stands under an `if`.
#
# Python can start a process in several ways. With *fork* the new process is a copy of
# this one as it is, with everything in its memory. With *spawn* it is a fresh Python,
# which imports this file to find the function `serve`. On Windows there is only spawn,
# on a Mac it is the default, and on Linux there is both. Importing a file runs it. So
# if the lines below stood there without their `if`, each new process would run them,
# too, and start processes of its own, and so on. `__name__` is "__main__" only in the
# process that was started by you.
if __name__ == "__main__":
    rng = random.Random(15)
    params = init_params(CONFIG, rng)
    # Random numbers everywhere: weights that start at 0 would hide mistakes.
    weights = [rng.gauss(0, 0.2) for _ in flatten(params)]

    # The same gradients?
    # Seven names, by one process and by three: shares of 3, 2 and 2 names.
    names = TRAIN_NAMES[:7]
    loss_alone, slopes_alone = gradients(params, weights, names, batch_size=7)
    print("1. Seven names: one process, and three of them")
    print()
    gaps, n_equal = {}, {}
    for method in ("spawn", "fork"):
        if method not in multiprocessing.get_all_start_methods():
            print(f"~ {method}: this system does not have it")
            continue
        started = time.perf_counter()
        pipes = start_team(3, method)
        loss, slopes = together(pipes, weights, names)
        seconds = time.perf_counter() - started
        dismiss(pipes)
        gaps[method] = largest_gap([loss, *slopes], [loss_alone, *slopes_alone])
        assert gaps[method] < 1e-12
        n_equal[method] = sum([a == b for a, b in zip(slopes, slopes_alone)])
        print(f"~ {method}: three processes started and done in {seconds:.2f} seconds")
    all_are_close = gaps["spawn"] < 1e-12
    all_are_equal = n_equal["spawn"] == len(slopes_alone)
    print(f"spawn: equal to one process, to 1e-12: {all_are_close}")
    print(f"spawn: equal to the last bit, all of them: {all_are_equal}")
    print(f"why not: (0.1 + 0.2) + 0.3 is {(0.1 + 0.2) + 0.3}")
    print(f"         0.1 + (0.2 + 0.3) is {0.1 + (0.2 + 0.3)}")
    print()

    # Sums of floats are rounded after each addition, so the order of the names decides
    # about the last digit. Nothing is wrong; but a run on three processes is not
    # bit-for-bit the run on one.

    # How fast?
    # What may we hope for? The names are dealt out, and the process with the most of
    # them decides how long it takes. Two processes with n names: the larger share has
    # n / 2 of them, rounded up. So the ideal is n / (larger share): 1 for one name, 2
    # for two, 1.5 for three.
    #
    # Besides, messages cost time. To find out how much, we send a task with no names at
    # all: the weights go there, slopes come back, and nothing is computed. From these
    # two the speed on cores that have nothing else to do can be worked out:
    #
    #     time of one / (time of one * larger share / n + time of a message)
    #
    # And then we measure. Is the computer busy with other things, and one of the two
    # processes has to wait for a core, then what is measured stays below that.
    names_of_batch = {n: TRAIN_NAMES[:n] for n in (1, 2, 3, 4, 8, 16)}
    pipes = start_team(2, "spawn")
    together(pipes, weights, names)  # once before the measuring, so that both are up
    message_times = []
    for _ in range(10):
        started = time.perf_counter()
        together(pipes, weights, [])
        message_times.append(time.perf_counter() - started)
    seconds_message = median(message_times)
    kilobytes = len(pickle.dumps(weights)) / 1000
    print("2. How fast are two processes?")
    print()
    print(f"{len(weights):,} weights: {kilobytes:.0f} kB to each process, and back")
    print(
        f"~ there and back, without any work: {1000 * seconds_message:.1f} milliseconds"
    )
    print(f"~ cores of this computer: {os.cpu_count()}")
    if hasattr(os, "getloadavg"):  # Windows does not say
        print(f"~ programs that want a core just now: {os.getloadavg()[0]:.1f}")
    print()
    print("~ names  one: ms   two: ms   measured   idle cores   ideal")
    points = {"ideal": [], "worked out for idle cores": [], "measured here": []}
    speed_up, ideal_speed_up = {}, {}
    progress = Progress("batches", total=6, every=2, stream=sys.stderr)
    with collector_paused():
        for n_done, (n_names, names) in enumerate(names_of_batch.items(), start=1):
            times_of_one, times_of_two = [], []
            for _ in range(5):
                started = time.perf_counter()
                _, slopes_alone = gradients(params, weights, names, n_names)
                times_of_one.append(time.perf_counter() - started)
                started = time.perf_counter()
                _, slopes = together(pipes, weights, names)
                times_of_two.append(time.perf_counter() - started)
                assert largest_gap(slopes, slopes_alone) < 1e-12
            one, two = median(times_of_one), median(times_of_two)
            larger_share = math.ceil(n_names / 2)
            ideal_speed_up[n_names] = n_names / larger_share
            on_idle_cores = one / (one * larger_share / n_names + seconds_message)
            speed_up[n_names] = one / two
            points["ideal"].append((n_names, ideal_speed_up[n_names]))
            points["worked out for idle cores"].append((n_names, on_idle_cores))
            points["measured here"].append((n_names, one / two))
            row = f"{n_names:>5} {1000 * one:>9.1f} {1000 * two:>9.1f}"
            speeds = f"{one / two:>10.2f} {on_idle_cores:>12.2f}"
            print(f"~ {row} {speeds} {ideal_speed_up[n_names]:>7.2f}")
            progress.show(n_done)
    progress.finish()
    dismiss(pipes)
    print()
    lines = []
    for label, style in [
        ("measured here", "bold"),
        ("worked out for idle cores", "bold"),
        ("ideal", "dashed"),
    ]:
        lines.append(Line(label, points[label], style))
    title = "Two processes, compared with one"
    x_label = "names in a batch"
    picture = line_chart(lines, title, x_label, "times as fast", y_include=[0, 2])
    save_picture("chA3_many_processes.svg", picture)

# %%
# A batch of one cannot be dealt out: one process works, the other waits, and the
# messages cost time on top. Two names can be dealt out evenly, three cannot. The larger
# the batch, the less the messages and the odd name matter, and on two idle cores
# sixteen names come close to twice as fast: on the machine where this was written, with
# nothing else running, 1.97 times, eight names 1.88 times, and one name 0.90 times.
# More than that is impossible: n processes are at most n times as fast, and nearly
# always less. (If the last two columns are far from what was measured, something else
# is using the cores. Close it, and run again.)
#
# But chapter 16 has shown that large batches need more names for the same loss. Twice
# as many names in the same time is not twice the learning.
#
# What production does: the same, without the one process in the middle that gathers
# everything. Gradients go round in a ring until everybody has the sum (*all-reduce*).
# Models too large for one processor are also cut into pieces, by layers or by columns.
#
# What is still missing: nothing that we set out to explain. From here on there is the
# bug hunt, GPT-2, and your own ideas.
#
# Exercises (solutions and hints in chA3_solution.py):
# 1. Threads share their memory, so nothing has to be sent. Deal a batch of 8 names out
#    to two of them (threading.Thread). Are they faster than one? Why (not)?
# 2. Let each of three processes return the mean over *its* share of 7 names, and take
#    the mean of the three. Is that the gradient of the batch? What would make it right?
# 3. Somebody has 100 cores, messages take 2 milliseconds for each process, one after
#    another, and a name takes 8. How long does a batch of 100 names take with 1, 10 and
#    100 processes? How many processes are best?
