"""The weights before training: a matrix of small random numbers."""

from microgpt.value import Value


def random_row(n_in, rng, std):  # -> (n_in)
    """Return one row of weights, drawn from a normal distribution."""
    return [Value(rng.gauss(0, std)) for _ in range(n_in)]


def random_matrix(n_out, n_in, rng, std=0.02):  # -> (n_out, n_in)
    """Return n_out rows of n_in weights, each a number that can be learnt by itself.

    They are random so that they differ: two that begin equal, and always get the same
    gradient, would stay equal for ever.
    """
    # Mended: a row is drawn n_out times. `[row] * n_out` is the same row n_out times.
    return [random_row(n_in, rng, std) for _ in range(n_out)]
