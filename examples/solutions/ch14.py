"""Solutions to chapter 14, which runs first and prints its own lines before these."""

import math
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import by_hand
import ch14_lists as chapter

from microgpt.value import Value

# 1. The slope of y = tanh(x) is 1 - y * y: the result is enough, x is not needed.
x = Value(0.5)
(x.tanh() * 3).backward()


def tanh_backward(d_ys, ys):
    """Return the slopes towards x, from those towards y = tanh(x)."""
    return [d * (1 - y * y) for d, y in zip(d_ys, ys)]


(d_x,) = tanh_backward([3.0], [math.tanh(0.5)])
print(f"tanh: {d_x:.4f}")
# expect: tanh: 2.3593
assert abs(d_x - x.grad) < 1e-12


# 2. No, nothing tells: it trains, and about as well. The loss is right, only the slopes
#    are not. A check against nudges (chapter 2) or against Values finds it at once.
def careless(d_ys, ys, scales):
    """Return the slopes as if the scale were a fixed number."""
    return [[scale * d for d in d_y] for d_y, scale in zip(d_ys, scales)]


def train(n_steps):
    """Return the mean loss of the last 50 of n_steps."""
    run, names, _ = chapter.start(chapter.documents)
    losses = []
    for step, name in enumerate(names[:n_steps]):
        tokens = chapter.TOKENIZER.encode_document(name)
        numbers = chapter.floats(run.params)
        loss, d_w, _ = by_hand.loss_and_gradients(numbers, 4, tokens)
        losses.append(loss)
        grads = chapter.in_one_list(run.params, d_w)
        for weight, grad in zip(run.optimizer.parameters, grads):
            weight.grad = grad
        run.optimizer.step(1e-2 * (1 - step / n_steps))
    return sum(losses[-50:]) / 50


right = train(150)
_, right_grads, _ = by_hand.loss_and_gradients(chapter.weights, 4, [0, 1, 14, 14, 1])
rmsnorm_backward = by_hand.rmsnorm_backward
by_hand.rmsnorm_backward = careless
wrong = train(150)
_, wrong_grads, _ = by_hand.loss_and_gradients(chapter.weights, 4, [0, 1, 14, 14, 1])
by_hand.rmsnorm_backward = rmsnorm_backward
pairs = zip(*[chapter.in_one_list(d, d) for d in (right_grads, wrong_grads)])
gap = max(abs(a - b) for a, b in pairs)
print(f"150 steps: {right:.4f}, with the mistake {wrong:.4f}, slopes off by {gap:.4f}")
assert right != wrong and gap > 1e-3

# 3. loss = -log(probs[target]) = log(sum of exp(logits)) - logits[target]. The slope of
#    the first part is exp(logit) / sum, the prob; that of the second is -1, for the
#    target alone. They sum to 0: what one token gains, the others lose.
logits = [Value(2.0), Value(0.0), Value(-1.0)]
chapter.softmax(logits)[1].log().backward()
probs = by_hand.softmax([2.0, 0.0, -1.0])
expected = [probs[0], probs[1] - 1, probs[2]]
print("slopes:", [round(d, 4) for d in expected])
# expect: slopes: [0.8438, -0.8858, 0.042]
assert all(abs(d + logit.grad) < 1e-12 for d, logit in zip(expected, logits))
