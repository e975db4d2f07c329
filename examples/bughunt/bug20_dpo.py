"""DPO: raise the better of two texts over the worse, beside a model that stays."""

from microgpt.model import cross_entropy
from microgpt.value import as_float, logsumexp, total


def log_probability(table, tokens):
    """Return the log of a text's probability.

    Row i of the table holds the logits of what follows token i, as Values or as floats.
    """
    pairs = zip(tokens, tokens[1:])
    return total([cross_entropy(table[i], target) for i, target in pairs]) * -1.0


def train(policy, pairs, beta, lr, n_steps):
    """Change the policy, a table of Values; return the loss before each step.

    A step looks at one pair, (the better text, the worse text), and at how much more
    the policy has raised the better one than the worse one. "Raised" is seen from the
    reference: the policy as it was before the first step. The reference stays there.
    """
    reference = [list(row) for row in policy]
    losses = []
    for step in range(n_steps):
        moved = []
        for tokens in pairs[step % len(pairs)]:
            start = as_float(log_probability(reference, tokens))
            moved.append(log_probability(policy, tokens) - start)
        loss = logsumexp([0.0, (moved[0] - moved[1]) * -beta])
        loss.backward()
        for logit in [logit for row in policy for logit in row]:
            logit.data -= lr * logit.grad
            logit.grad = 0.0
        losses.append(loss.data)
    return losses
