"""A schedule: how large is the learning rate at each step of the training?"""


def learning_rate_at(step, n_steps, peak, n_warmup):
    """Return the learning rate of a step; steps count from 0 to n_steps - 1.

    In the first n_warmup steps it rises evenly, to reach peak with the last of them.
    From there it falls evenly, to reach 0 where step n_steps would be: large steps to
    get near, small ones to settle.
    """
    if step < n_warmup:
        return peak * (step + 1) / n_warmup
    # Mended: / for //, which rounds down: the share that is done was always 0.
    done = (step - n_warmup) / (n_steps - n_warmup)
    return peak * (1 - done)


def train(step_with, n_steps, peak=0.1, n_warmup=10):
    """Call step_with(learning rate) for each step."""
    for step in range(n_steps):
        step_with(learning_rate_at(step, n_steps, peak, n_warmup))
