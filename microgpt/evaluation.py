"""How good is the model? Measure its surprise at text that it was not trained on.

Before this came `sampling.py`; this is the last file of the book. What follows in
`microgpt/tools/` is for the commands: saving, pictures, progress, messages.

The measure is the loss, as in training: the mean surprise at each character, in nats
(see `cross_entropy` in model.py). The default run reaches 2.53 nats a character on
held-out names. By itself that says little, so here are two ways to make it speak. The
*perplexity* translates it: exp(2.53) = 12.6, so the model is as unsure as if it had to
choose evenly among 12.6 letters. And a simple table of letter pairs, measured in the
same way, shows what a GPT must beat to be worth its work: counted on the same 500 names
that the model has seen, it has 2.63.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from microgpt.model import as_floats, token_losses
from microgpt.training import Run


def held_out_loss(run: Run, documents: Iterable[str]) -> float:
    """Return the mean loss over all characters of the documents, in nats a character.

    The model is asked for the first block_size characters of each document. The end of
    a document counts as a character too, if it comes within them.

    Every character counts the same here, so a long document counts for more than a
    short one. That is the usual measure, because it can be compared: the surprise at a
    character means the same for every model and every collection of texts. (The loss
    that training shows is another mean, in which each document counts the same. On
    names, which are all about equally long, the two are close.)

    No gradients are needed, so the model runs on plain floats. No documents:
    ValueError.
    """
    params = as_floats(run.params)
    nats = 0.0
    n_characters = 0
    for document in documents:
        seen = document[: run.config.block_size]
        tokens = run.tokenizer.encode_document(seen)
        losses = token_losses(params, run.config, tokens)
        nats += sum(losses)
        n_characters += len(losses)
    if n_characters == 0:
        raise ValueError("there are no documents to measure: give one or more")
    return nats / n_characters


def perplexity(loss: float) -> float:
    """Return exp(loss): the number of equally likely letters with the same surprise.

    >>> round(perplexity(math.log(27)), 1)    # a blind guess among 27 letters
    27.0
    """
    return math.exp(loss)


def bigram_loss(
    run: Run, counted: Sequence[str], documents: Sequence[str], ends: bool = True
) -> float:
    """Return what held_out_loss would be for a table of letter pairs (bigrams).

    The table is made by counting which character follows which in the documents
    `counted`. It is asked for the same characters as the model, but it looks back only
    one. Each pair counts as seen once more than it was, so that no pair, however rare,
    is called impossible: the surprise at an impossible event would be infinite. Hence
    the "+ 1" below, and "+ vocab_size" in the total, since each first token has that
    many pairs.

    ends=False is for windows that were cut from one long text. That a window ends
    somewhere says nothing about the text, so it is not counted.

    No documents to measure: ValueError.
    """
    if not documents:
        raise ValueError("there are no documents to measure: give one or more")
    vocab_size = run.config.vocab_size
    pair_counts: Counter[tuple[int, int]] = Counter()
    first_counts: Counter[int] = Counter()
    for document in counted:
        tokens = run.tokenizer.encode_document(document)
        if not ends:
            tokens = tokens[:-1]
        pair_counts.update(zip(tokens, tokens[1:]))
        first_counts.update(tokens[:-1])

    losses = []
    for document in documents:
        # The model sees block_size tokens and is asked for the one after each.
        tokens = run.tokenizer.encode_document(document)[: run.config.block_size + 1]
        for first, second in zip(tokens, tokens[1:]):
            n_pair = pair_counts[first, second] + 1
            n_first = first_counts[first] + vocab_size
            losses.append(-math.log(n_pair / n_first))
    return sum(losses) / len(losses)


def smooth(losses: Sequence[float], window: int = 50) -> list[float]:
    """Return, for each step, the mean of the last `window` losses up to there.

    The loss of a single step depends mostly on which document it happened to see; the
    mean shows where training is going. At the first steps the window is shorter.

    >>> smooth([4.0, 2.0, 6.0], window=2)
    [4.0, 3.0, 4.0]
    """
    means = []
    for end in range(1, len(losses) + 1):
        recent = losses[max(0, end - window) : end]
        means.append(sum(recent) / len(recent))
    return means
