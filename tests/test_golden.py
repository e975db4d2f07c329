"""The default run, loss by loss and letter by letter, as another program computed it.

data/default_run.json was made by an implementation that shares nothing with this one:
its engine knows only + * ** log exp relu. Here the 500 steps are taken by hand with the
parts of the package: the same seed must lead to the same numbers.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from microgpt.adam import Adam
from microgpt.data import documents_sha256, read_documents
from microgpt.gpt import (
    GPTConfig,
    document_loss,
    empty_cache,
    flatten,
    gpt,
    init_params,
    softmax,
)
from microgpt.tokenizer import CharTokenizer

TESTS = Path(__file__).parent


def sample(params, config, tokenizer, rng, temperature):
    """Return one name: draw a token, feed it in, until BOS or a full block."""
    token_id = tokenizer.bos
    keys, values = empty_cache(config)
    drawn = []
    for pos_id in range(config.block_size):
        logits = gpt(params, config, token_id, pos_id, keys, values)
        probs = softmax([logit / temperature for logit in logits])
        weights = [p.data for p in probs]
        [token_id] = rng.choices(range(config.vocab_size), weights=weights)
        if token_id == tokenizer.bos:
            break
        drawn.append(token_id)
    return tokenizer.decode(drawn)


def test_the_default_run_has_the_recorded_losses_and_samples():
    record = (TESTS / "data" / "default_run.json").read_text(encoding="utf-8")
    golden = json.loads(record)
    settings = golden["settings"]

    documents = read_documents(str(TESTS.parent / "input.txt"))
    assert documents_sha256(documents) == golden["data_sha256"]
    assert len(documents) == golden["documents"]
    rng = random.Random(settings["seed"])
    rng.shuffle(documents)
    tokenizer = CharTokenizer.from_documents(documents)
    assert tokenizer.vocab_size == golden["vocabulary"]

    config = GPTConfig(
        tokenizer.vocab_size,
        settings["block_size"],
        settings["n_layer"],
        settings["n_head"],
        settings["n_embd"],
    )
    params = init_params(config, rng)
    adam = Adam(flatten(params), settings["beta1"], settings["beta2"], settings["eps"])
    assert len(flatten(params)) == golden["parameters"]

    n_steps = settings["steps"]
    assert len(golden["losses"]) == n_steps == 500
    for step, golden_loss in enumerate(golden["losses"]):
        loss = document_loss(params, config, tokenizer.encode_document(documents[step]))
        assert loss.data == pytest.approx(golden_loss, rel=0, abs=1e-9), step
        loss.backward()
        # The learning rate goes down in a straight line to 0.
        adam.step(settings["learning_rate"] * (1 - step / n_steps))

    samples = [
        sample(params, config, tokenizer, rng, settings["temperature"])
        for _ in golden["samples"]
    ]
    assert len(samples) == 20
    assert samples == golden["samples"]
