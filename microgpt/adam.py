"""The gradient points uphill; Adam steps the other way, and decides how far.

Before this came `gpt.py`, whose parameters these are; next comes `checkpoint.py`. Adam
keeps two running means for each parameter: m of its gradient (over about the last 10
steps), which steadies the direction, and v of its gradient squared (over 20), which
measures the usual size. The step is lr * m / sqrt(v): about lr, the learning rate,
whatever the scale of the gradient. eps keeps 0 / 0 from happening.

Paper: Kingma and Ba, "Adam: a method for stochastic optimization", 2015, algorithm 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

from microgpt.value import Value


class Adam:
    """Adam for a list of Values; with weight_decay, AdamW (Loshchilov, Hutter 2019).

    `m` and `v` are two lists of floats, one of each a parameter; `t` counts the steps.
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
        """Move every parameter by one step of about lr, and clear its gradient.

        >>> w = Value(1.0)
        >>> w.grad = 5000.0
        >>> Adam([w]).step(lr=0.1)
        >>> round(w.data, 6), w.grad
        (0.9, 0.0)
        """
        self.t += 1
        beta1, beta2, eps = self.beta1, self.beta2, self.eps
        # m and v start at 0, so early means are too small, by just these factors.
        bias1 = 1 - beta1**self.t
        bias2 = 1 - beta2**self.t
        shrink = lr * self.weight_decay
        new_m, new_v = [], []
        for parameter, m, v in zip(self.parameters, self.m, self.v):
            grad = parameter.grad
            m = beta1 * m + (1 - beta1) * grad
            v = beta2 * v + (1 - beta2) * grad * grad
            new_m.append(m)
            new_v.append(v)
            m_hat = m / bias1
            v_hat = v / bias2
            # Decay pulls the weight itself towards 0. As a part of grad it would be
            # divided by sqrt(v_hat) too, and pull hardest where gradients are small.
            if shrink:
                parameter.data -= shrink * parameter.data
            parameter.data -= lr * m_hat / (sqrt(v_hat) + eps)
            parameter.grad = 0.0
        self.m, self.v = new_m, new_v


def clip_grad_norm(parameters: Sequence[Value], max_norm: float) -> float:
    """Scale all gradients down so that their norm is at most max_norm; return the norm.

    norm = sqrt(grad[0] ** 2 + grad[1] ** 2 + …). One odd document then cannot throw the
    model far, and the direction stays. Paper: Pascanu, Mikolov and Bengio, 2013.
    """
    norm = sqrt(sum([p.grad * p.grad for p in parameters]))
    if norm > max_norm:
        scale = max_norm / norm
        for parameter in parameters:
            parameter.grad *= scale
    return norm
