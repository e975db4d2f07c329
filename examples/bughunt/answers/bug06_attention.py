"""One head of attention over a whole text at once."""

from microgpt.model import linear, softmax
from microgpt.value import dot


def attention(xs, wq, wk, wv):  # (t, n), three of (n, n) -> (t, n)
    """Return what each token gathers from itself and from the tokens before it.

    It never looks at a later one: when the model writes, that is not there yet.
    """
    queries = [linear(x, wq) for x in xs]
    keys = [linear(x, wk) for x in xs]
    values = [linear(x, wv) for x in xs]
    scale = len(xs[0]) ** -0.5
    gathered = []
    for t, q in enumerate(queries):
        # t counts from 0, so up to token t there are t + 1 of them.
        n_seen = t + 1
        # Mended: n_seen for n_seen + 1, with which a token also saw the next one.
        seen = slice(0, n_seen)
        weights = softmax([dot(q, k) * scale for k in keys[seen]])
        gathered.append([dot(weights, column) for column in zip(*values[seen])])
    return gathered
