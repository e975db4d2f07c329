"""Attention with a mask: all scores at once, then the forbidden ones taken away."""

from microgpt.model import linear, softmax
from microgpt.value import dot

# Mended: -1e9 for -4.0, which left a forbidden token exp(-4) of its share, about 2 %.
MASKED = -1e9


def causal_mask(n):  # -> (n, n)
    """Return what is added to the scores: 0 where token t may look, elsewhere MASKED.

    Token t may look at itself and at the tokens before it. Nothing of the others may
    come through, however large their scores: the share that softmax gives them is 0.
    """
    return [[0.0 if s <= t else MASKED for s in range(n)] for t in range(n)]


def attention(xs, wq, wk, wv):  # (t, n), three of (n, n) -> (t, n)
    """Return what each token gathers from itself and from the tokens before it.

    A GPU computes the scores of all pairs of tokens in one large product, as here, and
    it is quicker to add a mask to them than to leave some of them out.
    """
    queries, keys, values = ([linear(x, w) for x in xs] for w in (wq, wk, wv))
    mask = causal_mask(len(xs))
    gathered = []
    for q, mask_row in zip(queries, mask):
        scores = [dot(q, k) * len(q) ** -0.5 for k in keys]
        weights = softmax([score + m for score, m in zip(scores, mask_row)])
        gathered.append([dot(weights, column) for column in zip(*values)])
    return gathered
