"""One head of attention, a token at a time, with a cache of keys and values."""

from microgpt.model import linear, softmax
from microgpt.value import dot


def attend(x, params, keys, values):  # (n) -> (n)
    """Return what a new token x gathers from the cache, once it is in there itself.

    keys and values hold a row for each earlier token, and get one more. The model is
    trained with this: the loss of a token must reach all weights that had a part in it,
    also by way of the tokens before.
    """
    q = linear(x, params["attn_wq"])
    k = linear(x, params["attn_wk"])
    v = linear(x, params["attn_wv"])
    # Mended: k, not new Values with its data: these did not know what k was made of.
    keys.append(k)
    values.append(v)
    scores = [dot(q, k_t) * len(q) ** -0.5 for k_t in keys]
    weights = softmax(scores)
    return [dot(weights, column) for column in zip(*values)]
