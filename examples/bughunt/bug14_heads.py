"""Attention with several heads: each looks in its own way, at its own slice."""

from microgpt.model import softmax
from microgpt.value import dot


def head_weights(q, keys, n_head):  # (n), (t, n) -> (n_head, t)
    """Return each head's shares of attention: one for each token that it can look at.

    A dot product of m numbers of size 1 is usually of size sqrt(m). Dividing by that
    keeps the scores near size 1, with any number of heads, so that softmax can tell the
    tokens apart and still does not give everything to a single one.
    """
    head_dim = len(q) // n_head
    scale = len(q) ** -0.5
    shares = []
    for h in range(n_head):
        head = slice(h * head_dim, (h + 1) * head_dim)
        scores = [dot(q[head], k[head]) * scale for k in keys]
        shares.append(softmax(scores))
    return shares
