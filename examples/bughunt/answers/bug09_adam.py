"""Adam: the step is about lr, whatever the size of the gradient."""

from math import sqrt


class Adam:
    """Adam for a list of parameters.

    m and v are running means of the gradient and of its square. They start at 0, so
    after t steps they are too small, by 1 - beta1 ** t and 1 - beta2 ** t. With that
    undone the step is lr * m_hat / (sqrt(v_hat) + eps).
    """

    def __init__(self, parameters, beta1=0.9, beta2=0.95, eps=1e-8):
        """Start with running means of 0, one of each for a parameter."""
        self.parameters = parameters
        self.beta1, self.beta2, self.eps = beta1, beta2, eps
        self.m = [0.0] * len(parameters)
        self.v = [0.0] * len(parameters)
        self.t = 0

    def step(self, lr):
        """Move every parameter by one step of about lr, and clear its gradient."""
        self.t += 1
        for i, parameter in enumerate(self.parameters):
            grad = parameter.grad
            self.m[i] = self.beta1 * self.m[i] + (1 - self.beta1) * grad
            self.v[i] = self.beta2 * self.v[i] + (1 - self.beta2) * grad**2
            # Mended: the two divisions were missing, and early steps far too short.
            m_hat = self.m[i] / (1 - self.beta1**self.t)
            v_hat = self.v[i] / (1 - self.beta2**self.t)
            parameter.data -= lr * m_hat / (sqrt(v_hat) + self.eps)
            parameter.grad = 0.0
