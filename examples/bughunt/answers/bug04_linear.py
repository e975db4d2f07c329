"""A linear layer: every number that comes out is a weighted sum of those that go in."""

from microgpt.value import dot


def linear(x, w):  # (n_in), (n_out, n_in) -> (n_out)
    """Return w times x. Row i of w holds the weights of out[i], one for each x."""
    out = []
    # Mended: `in w` for `in zip(*w)`, which goes through the columns, not the rows.
    for weights in w:
        out.append(dot(weights, x))
    return out


def mlp(x, fc1, fc2):  # (n_embd), (4 * n_embd, n_embd), (n_embd, 4 * n_embd)
    """Return what a small network with one hidden layer makes of x: (n_embd)."""
    hidden = [xi.relu() ** 2 for xi in linear(x, fc1)]
    return linear(hidden, fc2)
