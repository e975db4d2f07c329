"""Dropout: while it learns, a network has to do without some of its numbers."""

from microgpt.model import cross_entropy, linear
from microgpt.value import relu


class Network:
    """Two linear layers, with dropout between them."""

    def __init__(self, fc1, fc2, p, rng):
        """Take two matrices, the chance p to drop an activation, and a generator."""
        self.fc1, self.fc2, self.p, self.rng = fc1, fc2, p, rng
        self.is_learning = True

    def logits(self, x):
        """Return the logits. While learning, each activation is 0 with probability p.

        So none of them can be relied on alone. Those that stay are divided by 1 - p,
        which keeps their sum as large as it was, on average.
        """
        activations = [relu(h) for h in linear(x, self.fc1)]
        if self.is_learning:
            kept = [self.rng.random() >= self.p for _ in activations]
            activations = [a * (k / (1 - self.p)) for a, k in zip(activations, kept)]
        return linear(activations, self.fc2)


def learn(network, x, target_id):
    """Fill in the gradients for one example, with dropout; return its loss."""
    network.is_learning = True
    loss = cross_entropy(network.logits(x), target_id)
    loss.backward()
    return loss.data


def measure(network, examples):
    """Return the mean loss of examples, with all that the network has learnt in use."""
    # Mended: this line was missing, and what was measured was a network with holes.
    network.is_learning = False
    losses = [cross_entropy(network.logits(x), target).data for x, target in examples]
    return sum(losses) / len(losses)
