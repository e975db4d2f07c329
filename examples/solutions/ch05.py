"""Solutions to chapter 5, which runs first and prints its own lines before these."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import ch05_descent as chapter


# 1. A step follows the slope at its start. If it is too long, it lands on the far side
#    of the valley, higher than it began; the slope there throws it back further still.
#    A tenth of the rate is safe and slow, ten times the rate never arrives.
def loss_after(steps, learning_rate):
    """Return the loss of a table that has descended for so many steps."""
    table = [[chapter.Value(0.0) for _ in range(27)] for _ in range(27)]
    for step in range(steps + 1):
        losses = [
            chapter.cross_entropy(table[a], b) * n
            for (a, b), n in chapter.pair_counts.items()
        ]
        loss = chapter.total(losses) / len(chapter.asked)
        if step < steps:
            chapter.descend({"table": table}, loss, learning_rate)
    return loss.data


slow, good, wild = [loss_after(50, learning_rate) for learning_rate in (6, 60, 600)]
print(f"after 50 steps: {slow:.3f} at rate 6, {good:.3f} at rate 60")
print(f"at rate 600 it is above the {loss_after(0, 1):.3f} that it started from")
# expect: after 50 steps: 2.737 at rate 6, 2.497 at rate 60
# expect: at rate 600 it is above the 3.296 that it started from
assert good < slow < loss_after(0, 1) < wild

# 2. Two were too few, four enough, and with three it depended on the start: descent
#    finds only what lies downhill from there. More neurons are more ways down, which is
#    why people take more than would be needed.
for n_hidden, seed in [(2, 1), (3, 1), (3, 2), (4, 2)]:
    _, n_right = chapter.train(chapter.Value.tanh, n_hidden, seed=seed)
    print(f"{n_hidden} hidden neurons, start {seed}: {n_right} points right")
# expect: 2 hidden neurons, start 1: 84 points right
# expect: 3 hidden neurons, start 1: 100 points right
# expect: 3 hidden neurons, start 2: 86 points right
# expect: 4 hidden neurons, start 2: 100 points right

# 3. The slope of an output weight is a sum over what its hidden neuron answered, and
#    all answer tanh(0) = 0. The slope of a hidden weight is a sum over the output
#    weights it acts through, and these are 0. Nothing can begin. (The two classes are
#    equally frequent, so even the weights of the 1 have nothing to correct.) Any equal
#    start is bad: neurons with equal weights get equal slopes, and stay one neuron.
params, n_right = chapter.train(chapter.Value.tanh, std=0)
largest = max(abs(weight.data) for weight in chapter.flatten(params))
print(f"from zeros: {n_right} points right, largest weight {largest:.0f}")
# expect: from zeros: 50 points right, largest weight 0
assert largest < 1e-9
