"""Batch normalisation: bring a number to mean 0 and size 1, by what others are like."""

from math import sqrt


class BatchNorm:
    """Normalises one feature of a network, such as one hidden number, over a batch.

    While the network learns, the mean and the variance are those of the batch, and a
    running mean of each is kept. The running ones belong to the model, as its weights
    do. Whoever measures or uses the network normalises with them, and changes nothing:
    then it does not matter what else is measured, or in which order.
    """

    def __init__(self, momentum=0.1):
        """Begin with a mean of 0 and a variance of 1."""
        self.momentum = momentum
        self.mean, self.variance = 0.0, 1.0

    def keep(self, mean, variance):
        """Move the running mean and variance towards those of a batch."""
        self.mean += self.momentum * (mean - self.mean)
        self.variance += self.momentum * (variance - self.variance)

    def normalise(self, xs, is_learning):  # (batch) -> (batch)
        """Return the numbers of a batch, shifted and scaled."""
        mean = sum(xs) / len(xs)
        variance = sum([(x - mean) ** 2 for x in xs]) / len(xs)
        self.keep(mean, variance)
        if not is_learning:
            mean, variance = self.mean, self.variance
        return [(x - mean) / sqrt(variance + 1e-5) for x in xs]
