"""The loss of an instruction: only what the model should write itself counts."""

from microgpt.model import cross_entropy, empty_cache, gpt
from microgpt.value import total


def completion_loss(params, config, prompt, completion):
    """Return the model's mean surprise over the completion, in nats.

    prompt and completion are lists of tokens, one or more each. The model reads the
    prompt, then the completion, and is asked for each token of the completion. The
    prompt comes from the user: the model is never asked for a token of that.
    """
    tokens = [*prompt, *completion]
    # Mended: the same token may stand in the prompt too, and was found there.
    first = len(prompt)
    keys, values = empty_cache(config)
    losses = []
    for pos_id, token_id in enumerate(tokens[:-1]):
        logits = gpt(params, config, token_id, pos_id, keys, values)
        target_id = tokens[pos_id + 1]
        if pos_id + 1 >= first:
            losses.append(cross_entropy(logits, target_id))
    return total(losses) * (1 / len(losses))
