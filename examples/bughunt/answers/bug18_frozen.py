"""Fine-tuning: some matrices of a model learn, and all others stay as they are."""

from microgpt.adam import Adam
from microgpt.model import flatten


def fine_tune(params, trained, loss_of, n_steps, lr):
    """Take n_steps of Adam that change the matrices in trained, a list of names.

    All other matrices are frozen: afterwards they hold the same numbers as before. A
    weight decay of 0.1 pulls the trained weights towards 0. loss_of() builds the loss
    from the parameters as they are now.
    """
    frozen = [name for name in params if name not in trained]
    # Mended: decay acts without any gradient, on all that the optimizer was given.
    moving = flatten({name: params[name] for name in trained})
    optimizer = Adam(moving, weight_decay=0.1)
    for _ in range(n_steps):
        loss_of().backward()
        for name in frozen:
            for row in params[name]:
                for weight in row:
                    weight.grad = 0.0  # so that it has no reason to move
        optimizer.step(lr)
