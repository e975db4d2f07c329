"""To write, a model is asked for the next token, over and over, and chance decides.

Before this came `training.py`; next comes `evaluation.py`, which measures how good the
model is. The model's answer is a probability for each token that could come next. We
*sample* from it: a token with probability 0.3 is chosen in 3 of 10 cases. Why not
always take the likeliest? Then the model would write the same text every time, and
often a dull one that goes round in circles.

After its training on names, the default model writes, for instance:

    milera  cerilana  tahen  karela  juvira  mioniss  kararin  jilen  jaza  dimera

Only plain floats are needed here, since nobody asks for gradients. `as_floats(params)`
gives them; with Values the same text comes out, but several times more slowly.

Papers: for top_k Fan, Lewis and Dauphin, "Hierarchical neural story generation", 2018;
for top_p Holtzman et al., "The curious case of neural text degeneration", 2020.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence

from microgpt.model import GPTConfig, Params, empty_cache, gpt
from microgpt.tokenizer import CharTokenizer
from microgpt.value import as_float


def token_probabilities(
    logits: Sequence[float],
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> list[float]:
    """Return the probability of each token, given the model's logits.

    Without further settings this is softmax(logits). Three settings change it:

    temperature   The logits are divided by it. Below 1, the differences between them
                  grow and likely tokens become likelier still; above 1 they shrink, and
                  unlikely tokens get a better chance.
    top_k         Only the k likeliest tokens are kept. With top_k=1 the likeliest token
                  is certain: this is called greedy.
    top_p         Of what top_k has left, only the likeliest are kept, and only until
                  they add up to the share p of it. With top_p=0.9 the model's
                  favourites are kept, few of them where it is sure and many where it is
                  not, and the unlikely tokens that make up the last tenth are dropped.

    Why cut off at all? There are many unlikely tokens, and together they are chosen
    quite often. One wrong letter is enough to spoil a name. What is kept is scaled up
    to sum to 1 again.

    A setting out of its range, or a logit that is not finite: ValueError.

    >>> [round(p, 2) for p in token_probabilities([2.0, 1.0, 0.0])]
    [0.67, 0.24, 0.09]
    >>> [round(p, 2) for p in token_probabilities([2.0, 1.0, 0.0], temperature=0.5)]
    [0.87, 0.12, 0.02]
    >>> [round(p, 2) for p in token_probabilities([2.0, 1.0, 0.0], top_k=2)]
    [0.73, 0.27, 0.0]
    """
    if not (temperature > 0 and math.isfinite(temperature)):
        raise ValueError(
            f"temperature is {temperature}: make it a finite number above 0 "
            "(top_k=1 always takes the likeliest token)"
        )
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k is {top_k}: make it 1 or more")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p is {top_p}: make it more than 0, at most 1")
    if not all(math.isfinite(logit) for logit in logits):
        raise ValueError("a logit is not finite: train with a lower learning rate")
    maximum = max(logits)
    # Subtract first, then divide: nothing can overflow, however small the temperature.
    exps = [math.exp((logit - maximum) / temperature) for logit in logits]
    exps_sum = sum(exps)
    probs = [e / exps_sum for e in exps]
    if top_k is None and top_p is None:
        return probs

    likeliest_first = sorted(range(len(probs)), key=lambda i: -probs[i])
    kept = likeliest_first[:top_k]  # all of them if top_k is None
    kept_sum = sum([probs[i] for i in kept])
    if top_p is not None:
        needed = top_p * kept_sum
        candidates = kept
        kept = []
        kept_sum = 0.0
        for i in candidates:
            if kept and kept_sum >= needed:
                break
            kept.append(i)
            kept_sum += probs[i]
    cut = [0.0] * len(probs)
    for i in kept:
        cut[i] = probs[i] / kept_sum
    return cut


def next_tokens(
    params: Params,
    config: GPTConfig,
    tokenizer: CharTokenizer,
    rng: random.Random,
    prompt: str = "",
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> Iterator[tuple[int, list[float]]]:
    """Write on from a prompt: yield (token id, the probabilities it was chosen by).

    It ends after BOS, with which the model says that the text is complete. Otherwise it
    ends when the model can see no further. With a block_size of 3 it sees, for example,
    BOS a b, and still writes what follows b. So a text has at most block_size
    characters. A prompt of that length or more: ValueError.
    """
    if len(prompt) >= config.block_size:
        raise ValueError(
            f"a prompt of {len(prompt)} characters, but block_size is "
            f"{config.block_size}: shorten it to {config.block_size - 1} at most"
        )
    tokens = [tokenizer.bos, *tokenizer.encode(prompt)]
    keys, values = empty_cache(config)
    for pos_id in range(config.block_size):
        logits = gpt(params, config, tokens[pos_id], pos_id, keys, values)
        if pos_id + 1 < len(tokens):
            continue  # still reading the prompt: the next token is known
        logits = [as_float(logit) for logit in logits]
        probs = token_probabilities(logits, temperature, top_k, top_p)
        [token_id] = rng.choices(range(config.vocab_size), weights=probs)
        yield token_id, probs
        if token_id == tokenizer.bos:
            return
        tokens.append(token_id)


def generate(
    params: Params,
    config: GPTConfig,
    tokenizer: CharTokenizer,
    rng: random.Random,
    prompt: str = "",
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> str:
    """Return the prompt together with what the model adds to it.

    For the settings see `token_probabilities`, for where it ends `next_tokens`.
    """
    written = []
    for token_id, _ in next_tokens(
        params, config, tokenizer, rng, prompt, temperature, top_k, top_p
    ):
        written.append(token_id)
    return prompt + tokenizer.decode(written)


def likeliest(probs: Sequence[float], n: int = 5) -> list[tuple[int, float]]:
    """Return (token id, probability) of the n likeliest tokens, the likeliest first.

    Those with probability 0 are left out.

    >>> likeliest([0.25, 0.0, 0.75])
    [(2, 0.75), (0, 0.25)]
    """
    best = sorted(range(len(probs)), key=lambda i: -probs[i])[:n]
    return [(token_id, probs[token_id]) for token_id in best if probs[token_id] > 0]
