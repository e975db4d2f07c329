"""The default run, loss by loss and letter by letter, as another program computed it.

reference/data/default_run.json was made by an implementation that shares nothing with
this one: its engine knows only + * ** log exp relu. The 500 steps are taken twice, with
the package's own start, train and generate, and by hand with its parts, and both times
the same seed must lead to the same numbers.
"""

from __future__ import annotations

import hashlib
import json
import random

import pytest

from microgpt import evaluation, sampling
from microgpt.adam import Adam
from microgpt.data import read_documents
from microgpt.evaluation import bigram_loss, held_out_loss, perplexity
from microgpt.model import (
    GPTConfig,
    as_floats,
    document_loss,
    empty_cache,
    flatten,
    gpt,
    init_params,
    softmax,
)
from microgpt.sampling import generate
from microgpt.tokenizer import CharTokenizer
from microgpt.training import TrainConfig, start, train
from tests.helpers import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def golden():
    record = ROOT / "tests" / "reference" / "data" / "default_run.json"
    return json.loads(record.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def documents(golden):
    documents = read_documents(str(ROOT / "input.txt"))
    text = "".join([f"{document}\n" for document in documents])
    assert hashlib.sha256(text.encode("utf-8")).hexdigest() == golden["data_sha256"]
    assert len(documents) == golden["documents"]
    return documents


def assert_losses(losses, golden):
    assert len(losses) == len(golden["losses"]) == 500
    for step, (loss, golden_loss) in enumerate(zip(losses, golden["losses"])):
        assert loss == pytest.approx(golden_loss, rel=0, abs=1e-9), step


@pytest.fixture(scope="module")
def default_run(documents):
    """The run of nothing but defaults, complete, and its two lists of documents."""
    run, train_documents, val_documents = start(documents)
    losses = list(train(run, train_documents))
    assert run.losses == losses
    return run, train_documents, val_documents


def written_by(run, temperature, n=20):
    """Return the first n samples after training, which leave the run as it was."""
    rng = random.Random()
    rng.setstate(run.rng.getstate())
    how = (as_floats(run.params), run.config, run.tokenizer, rng)
    return [generate(*how, temperature=temperature) for _ in range(n)]


def test_the_package_itself_has_the_recorded_losses_and_samples(golden, default_run):
    run, _, _ = default_run
    assert_losses(run.losses, golden)
    assert written_by(run, golden["settings"]["temperature"]) == golden["samples"]


def test_the_default_run_ends_as_the_text_says(default_run):
    # Numbers in sentences go stale: see test_text.py.
    run, train_documents, val_documents = default_run
    assert round(run.losses[0], 1) == 3.3
    assert sum(run.losses[-50:]) / 50 == pytest.approx(2.5, abs=0.1)

    text = evaluation.__doc__.replace("\n", " ")
    loss = held_out_loss(run, val_documents[:500])
    assert f"reaches {loss:.2f} nats a character" in text
    assert f"exp({loss:.2f}) = {perplexity(loss):.1f}" in text
    table = bigram_loss(run, train_documents[:500], val_documents[:500])
    assert f"it has {table:.2f}" in text

    shown = [line for line in sampling.__doc__.splitlines() if line.startswith("    ")]
    assert shown
    assert set(" ".join(shown).split()) <= set(written_by(run, temperature=0.6))


def test_another_val_fraction_trains_on_the_same_documents_first(golden, documents):
    # What is held out is the end of the list, and the run does not come that far.
    run, train_documents, _ = start(documents, TrainConfig(val_fraction=0.5))
    for loss, golden_loss in zip(train(run, train_documents), golden["losses"][:20]):
        assert loss == pytest.approx(golden_loss, rel=0, abs=1e-9)


def sample(params, config, tokenizer, rng, temperature):
    """Return one name: choose a token, feed it in, until BOS or a full block."""
    token_id = tokenizer.bos
    keys, values = empty_cache(config)
    chosen = []
    for pos_id in range(config.block_size):
        logits = gpt(params, config, token_id, pos_id, keys, values)
        probs = softmax([logit / temperature for logit in logits])
        weights = [p.data for p in probs]
        [token_id] = rng.choices(range(config.vocab_size), weights=weights)
        if token_id == tokenizer.bos:
            break
        chosen.append(token_id)
    return tokenizer.decode(chosen)


def test_its_parts_have_the_recorded_losses_and_samples(golden, documents):
    settings = golden["settings"]
    documents = list(documents)
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
    losses = []
    for step in range(n_steps):
        loss = document_loss(params, config, tokenizer.encode_document(documents[step]))
        losses.append(loss.data)
        loss.backward()
        # The learning rate goes down in a straight line to 0.
        adam.step(settings["learning_rate"] * (1 - step / n_steps))
    assert_losses(losses, golden)

    how = (params, config, tokenizer, rng, settings["temperature"])
    samples = [sample(*how) for _ in golden["samples"]]
    assert len(samples) == 20
    assert samples == golden["samples"]
