"""The loss that a GPT is trained on: how surprised is it by the letters of a name?"""

from microgpt.model import cross_entropy, empty_cache, gpt
from microgpt.value import total


def document_loss(params, config, tokens):
    """Return the mean surprise of the model over a document, in nats.

    tokens is BOS, the letters, BOS. At each position the model is given the token there
    and asked for the one that follows; at most block_size positions count.
    """
    n = min(config.block_size, len(tokens) - 1)
    keys, values = empty_cache(config)
    losses = []
    for pos_id, token_id in enumerate(tokens[:n]):
        # Mended: pos_id + 1 for pos_id. The model was asked for the token it was given.
        target_id = tokens[pos_id + 1]
        logits = gpt(params, config, token_id, pos_id, keys, values)
        losses.append(cross_entropy(logits, target_id))
    return total(losses) * (1 / n)
