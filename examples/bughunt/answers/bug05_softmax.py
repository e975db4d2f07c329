"""Softmax: from any numbers to probabilities."""

from microgpt.value import total


def softmax(logits):  # (n) -> (n)
    """Return positive numbers that sum to 1, larger where the logit is larger.

    They are the shares of a whole, such as the chances of what may come next:
    probs[i] = exp(logits[i]) / (exp(logits[0]) + exp(logits[1]) + …). Only differences
    count: a thousand added to every logit changes nothing.
    """
    # Mended: subtract the maximum first; exp() of a large logit does not fit a float.
    maximum = max(logit.data for logit in logits)
    exps = [(logit - maximum).exp() for logit in logits]
    exps_sum = total(exps)
    return [e / exps_sum for e in exps]
