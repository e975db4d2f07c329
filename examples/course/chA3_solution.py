"""Solutions to appendix 3. Each begins with hints: read them one at a time."""

# %%
from __future__ import annotations

import math
import random
import threading
import time
from statistics import median

from chA3_many_processes import CONFIG, gradients, largest_gap
from common import TRAIN_NAMES

from microgpt import flatten, init_params
from microgpt.training import collector_paused

rng = random.Random(15)
params = init_params(CONFIG, rng)
weights = [rng.gauss(0, 0.2) for _ in flatten(params)]

# %%
# Exercise 1. Two threads.
#
# Hint 1: give each thread a model of its own: they would write into the same grads.
# Hint 2: search for "GIL", the global interpreter lock.
#
# In the usual Python, the two threads gain nothing. It has a lock that lets only one
# thread run Python code at a time, so they take turns and need as long as one. Threads
# help where a program waits, for a disk or for the network. (From 3.13 on, there are
# builds of Python without the lock, called "free-threaded".)


def with_two_threads(names):
    """Return the gradients of a batch; each half is found by a thread."""
    found = [[], []]

    def work(rank):
        own_params = init_params(CONFIG, random.Random(0))
        share = names[rank::2]
        _, found[rank] = gradients(own_params, weights, share, len(names))

    threads = [threading.Thread(target=work, args=[rank]) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [a + b for a, b in zip(*found)]


names = TRAIN_NAMES[:8]
times_of_one, times_of_two = [], []
with collector_paused():
    for _ in range(5):
        started = time.perf_counter()
        _, alone = gradients(params, weights, names, batch_size=8)
        times_of_one.append(time.perf_counter() - started)
        started = time.perf_counter()
        threaded = with_two_threads(names)
        times_of_two.append(time.perf_counter() - started)
        assert largest_gap(alone, threaded) < 1e-12
ratio = median(times_of_one) / median(times_of_two)
print("Exercise 1: two threads, a batch of 8 names")
print(f"  the gradients are right, and it is {ratio:.2f} times as fast")

# %%
# Exercise 2. The mean of the means.
#
# Hint 1: the shares have 3, 2 and 2 names. How much does a single name count in the
#         end, if it is in a share of 3? If it is in a share of 2?
#
# The mean of the means is not the mean of all names. A name in a share of 2 counts 1/2
# of 1/3, which is 1/6; one in the share of 3 only 1/9; and all should count 1/7. The
# means have to be weighted by the sizes of their shares, 3/7, 2/7 and 2/7. Dividing by
# the size of the whole batch, as `gradients` does, comes to the same.
names = TRAIN_NAMES[:7]
_, right = gradients(params, weights, names, batch_size=7)
shares = [names[rank::3] for rank in range(3)]
means = [gradients(params, weights, share, len(share))[1] for share in shares]
mean_of_means = [sum(slopes) / 3 for slopes in zip(*means)]
weighted = []
for slopes in zip(*means):
    parts = [len(share) / 7 * slope for share, slope in zip(shares, slopes)]
    weighted.append(sum(parts))
print("Exercise 2: largest mistake in a gradient")
print(f"  mean of the means      {largest_gap(mean_of_means, right):.4f}")
print(f"  weighted by the shares {largest_gap(weighted, right):.4f}")
print(f"  (largest gradient      {max([abs(slope) for slope in right]):.4f})")
assert largest_gap(mean_of_means, right) > 0.001
assert largest_gap(weighted, right) < 1e-12

# %%
# Exercise 3. How many of 100 cores?
#
# Hint 1: time = 8 * (names of the largest share) + 2 * (processes).
# Hint 2: 800 / n + 2 * n is smallest where both parts are equal.
#
# 1 process: 800 + 2 = 802 ms (or 800, without any message). 10: 80 + 20 = 100 ms. 100:
# 8 + 200 = 208 ms. Best are 20: 40 + 40 = 80 ms, ten times as fast with twenty cores.
# With more, the time goes to messages. This is why gradients are not gathered by one
# process in the middle, but in a ring, where all of them send at the same time.
times = {n: 8 * math.ceil(100 / n) + 2 * n for n in range(1, 101)}
best = min(times, key=times.get)
print("Exercise 3: milliseconds for 100 names")
for n in sorted({1, 10, best, 100}):
    print(f"  {n:>3} processes: {times[n]}")
assert (times[1], times[10], times[100]) == (802, 100, 208)
assert best == 20 and times[best] == 80
