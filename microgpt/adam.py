"""The gradient points uphill; Adam steps the other way, and decides how far.

Before this came `model.py`, whose parameters are to be improved; next comes
`training.py`, which does so step by step. After `backward()`, each parameter knows its
gradient: the slope of the loss with respect to it. Going against the slope makes the
loss smaller. But how far should we go? Plain *gradient descent* moves each parameter by
`lr * gradient`, where lr, the *learning rate*, is one number for all of them. That
number cannot suit all. If it is small enough for a parameter with large gradients not
to overshoot, a parameter with small gradients takes for ever to get where it should be.

Adam therefore keeps two numbers for each parameter, both running means, in which older
steps count less and less:

    m   the mean of its gradients, over about the last 10 steps. One document may say
        "up" and the next one "down"; the mean keeps what they agree on. (This is called
        momentum.)
    v   the mean of its squared gradients, over about the last 20 steps. sqrt(v) is the
        usual size of its gradients.

The step is lr * m / sqrt(v). Dividing by the usual size makes the length of a step
about lr, whatever the scale of the gradients: lr if all gradients so far were equal,
and much less if they disagree and cancel out in m.

Paper: Kingma and Ba, "Adam: a method for stochastic optimization", 2015, algorithm 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import hypot, isfinite, sqrt

from microgpt.value import Value


class Adam:
    """The Adam optimizer for a list of parameters.

    `m` and `v` hold one number for each parameter, in the order of `parameters`, and
    `t` counts the steps taken. beta1 and beta2 say how much of the old mean is kept at
    each step. If 0.9 is kept, the latest gradient counts 0.1 in the mean, the one
    before it 0.09, then 0.081 and so on, and the last ten together make up two thirds.
    So we say that the mean looks back over about 1 / (1 - 0.9) = 10 steps. (The letters
    m and v are those of the paper; this v has nothing to do with attention's.)

    `weight_decay` pulls every parameter towards 0 a little at each step, so that only
    those stay large that the data keeps pushing. Large weights are often the mark of a
    model that has learnt its training documents by heart. With it, the method is called
    AdamW (Loshchilov and Hutter, "Decoupled weight decay regularization", 2019).
    """

    def __init__(
        self,
        parameters: Sequence[Value],
        beta1: float = 0.9,
        beta2: float = 0.95,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        self.parameters = parameters
        self.beta1 = beta1
        self.beta2 = beta2
        self.eps = eps
        self.weight_decay = weight_decay
        self.m = [0.0] * len(parameters)
        self.v = [0.0] * len(parameters)
        self.t = 0

    def step(self, lr: float) -> None:
        """Move every parameter by one step of about lr, and set its gradient to 0.

        The gradients are cleared because the next backward() adds to what it finds.

        >>> w = Value(1.0)
        >>> w.grad = 5000.0        # a huge slope, and still a step of 0.1
        >>> Adam([w]).step(lr=0.1)
        >>> round(w.data, 6), w.grad
        (0.9, 0.0)
        """
        self.t += 1
        beta1, beta2, eps = self.beta1, self.beta2, self.eps
        new1, new2 = 1 - beta1, 1 - beta2  # how much a new gradient counts in the means
        # m and v start at 0, and at first they are mostly that 0: after the first step,
        # m is 0.9 * 0 + 0.1 * grad, only a tenth of the gradient. In general the
        # gradients of t steps make up a share of 1 - beta ** t in the mean, and the 0
        # from the beginning the rest. Dividing by that share makes up for it.
        bias_correction1 = 1 - beta1**self.t
        bias_correction2 = 1 - beta2**self.t
        decay = lr * self.weight_decay

        m, v = self.m, self.v
        for i, parameter in enumerate(self.parameters):
            grad = parameter.grad
            m[i] = beta1 * m[i] + new1 * grad
            v[i] = beta2 * v[i] + new2 * grad * grad
            m_hat = m[i] / bias_correction1
            v_hat = v[i] / bias_correction2
            if decay:
                # Decay acts on the weight itself. Older programs added a share of the
                # weight to its gradient instead. Like the gradient, it was then divided
                # by sqrt(v_hat), and so it pulled hardest on weights with small
                # gradients, which nobody had intended.
                parameter.data -= decay * parameter.data
            # eps, a tiny number, prevents 0 / 0 for a parameter without any gradient.
            parameter.data -= lr * m_hat / (sqrt(v_hat) + eps)
            parameter.grad = 0.0


def clip_grad_norm(parameters: Sequence[Value], max_norm: float) -> float:
    """Scale all gradients down together so that their norm is at most max_norm.

    The norm is the length of all gradients together, as one long vector:
    sqrt(grad[0] ** 2 + grad[1] ** 2 + …). This function returns the norm that they had
    before. All of them are multiplied by the same factor, so their direction stays.

    Why clip, when the length of Adam's step does not depend on the scale of the
    gradients? Because means remember. Suppose that one odd document has gradients 100
    times as large as usual. It makes m ten times as large as usual (0.1 * 100), and so
    for the next ten or twenty steps m points where that one document pointed, whatever
    the others say. And it makes v 500 times as large (0.05 * 100**2). When m has
    forgotten, v has not, and keeps the steps short for about a hundred more: only after
    120 steps is 500 * 0.95**120 down to 1. Clipping limits the say of one document.

    A max_norm that is not above 0: ValueError. Gradients that are not finite, or too
    large to have a norm: FloatingPointError.

    Paper: Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural
    networks", 2013, algorithm 1.

    >>> a, b = Value(0.0), Value(0.0)
    >>> a.grad, b.grad = 3.0, 4.0
    >>> clip_grad_norm([a, b], max_norm=1.0)
    5.0
    >>> a.grad, b.grad
    (0.6000000000000001, 0.8)
    """
    if not max_norm > 0:
        raise ValueError(f"max_norm is {max_norm}: make it more than 0")
    norm = hypot(*[parameter.grad for parameter in parameters])
    if not isfinite(norm):
        raise FloatingPointError(f"the norm of the gradients is {norm}")
    if norm > max_norm:
        scale = max_norm / norm
        for parameter in parameters:
            parameter.grad *= scale
    return norm
