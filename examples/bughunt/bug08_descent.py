"""Gradient descent, the loop of all training: downhill, step by step."""


def descend(parameters, loss_of, n_steps, lr):
    """Take n_steps against the gradient, and return the loss before each of them.

    loss_of() builds the loss from the parameters as they are now. A step moves each
    parameter by lr times the slope of that loss, and no other.
    """
    losses = []
    for _ in range(n_steps):
        loss = loss_of()
        loss.backward()
        for parameter in parameters:
            parameter.data -= lr * parameter.grad
        losses.append(loss.data)
    return losses
