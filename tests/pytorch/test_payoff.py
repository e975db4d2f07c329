"""The contestants of the payoff, and the table that compares them."""

from __future__ import annotations

import math
import random
import signal

import pytest

torch = pytest.importorskip("torch")

import payoff  # noqa: E402
from mini_model import MiniConfig, MiniGPT  # noqa: E402
from mini_run import load_run  # noqa: E402

from microgpt.model import as_floats, token_losses  # noqa: E402
from microgpt.training import TrainConfig, start, train  # noqa: E402
from tests.helpers import ROOT, assert_one_line_error, call  # noqa: E402

CPU = torch.device("cpu")


def test_the_blended_table_is_the_formula_of_chapter_14_worked_out_by_hand():
    table = payoff.BlendedTable(["ab", "ac"], n_back=1)
    table.strength = 2.0
    a, b, bos = 1, 2, 0
    # Seen anywhere: a twice, b and c once each, the end twice: 6 in all.
    p_b = (1 + 2 / 27) / (6 + 2)
    # After a: b once, c once.
    expected = (1 + 2 * p_b) / (2 + 2)
    assert table.probs([bos, a])[b] == pytest.approx(expected)
    assert sum(table.probs([bos, a])) == pytest.approx(1)
    # z was never seen, so no window that ends in z says anything.
    assert table.probs([bos, 26])[b] == pytest.approx(p_b)
    first, second, end = table.nats("ab")
    assert second == pytest.approx(-math.log(expected))
    # 4 tokens anywhere; after BOS a; after a b, c; after b the end; after c the end.
    assert table.n_counts() == 4 + 1 + 2 + 1 + 1
    assert first > 0 and end > 0


def test_tables_write_names_of_letters_that_follow_each_other():
    table = payoff.BlendedTable(["abab"], n_back=1)
    table.strength = 1e-9
    texts = {table.write(random.Random(seed)) for seed in range(30)}
    assert all("aa" not in text and "bb" not in text for text in texts)
    assert {"ab", "abab"} <= texts


def test_a_gpt_is_measured_on_the_first_eight_characters_of_each_name():
    torch.manual_seed(1)
    model = MiniGPT(MiniConfig(27, block_size=16, n_layer=1, n_head=2, n_embd=8))
    nats_of = payoff.kept_nats(model, ["ann", "maximiliane"], CPU)
    assert len(nats_of("ann")) == 4  # the end counts
    assert len(nats_of("maximiliane")) == 8  # and here it is not asked for
    tokens = payoff.TOKENIZER.encode_document("maximiliane")
    logprobs = model(torch.tensor([tokens[:-1]]))[0].log_softmax(dim=1)
    expected = [-logprobs[i, t].item() for i, t in enumerate(tokens[1:9])]
    assert nats_of("maximiliane") == pytest.approx(expected, abs=1e-5)


@pytest.mark.slow
def test_the_default_gpt_of_the_table_is_the_one_of_the_book():
    names = payoff.ALL_TRAIN_NAMES[:60]
    contestant = payoff.default_gpt(names, seed=1)
    run, documents, _ = start(
        payoff.read_documents(str(ROOT / "input.txt")), TrainConfig(steps=60)
    )
    assert documents[:60] == names
    list(train(run, documents))
    assert contestant.numbers == 4064
    for name in payoff.MEASURED_NAMES[:20]:
        tokens = run.tokenizer.encode_document(name)
        ours = token_losses(as_floats(run.params), run.config, tokens)
        assert contestant.nats_of(name) == pytest.approx(ours, abs=1e-9)


@pytest.mark.slow
def test_the_whole_comparison_runs_and_goes_on_where_ctrl_c_has_stopped_it(
    capsys, tmp_path, monkeypatch
):
    flags = ("--names", 40, "--steps", 2, "--out", tmp_path)
    steps = payoff.train

    def steps_with_ctrl_c(run, rows, place):
        for loss in steps(run, rows, place):
            signal.raise_signal(signal.SIGINT)
            yield loss

    with monkeypatch.context() as patched:
        patched.setattr(payoff, "train", steps_with_ctrl_c)
        stopped = call(capsys, payoff.main, *flags)
    assert stopped.code == 130
    assert "stopped after step 1, saved in" in stopped.out
    assert load_run(str(tmp_path / "payoff.pt"), CPU).step == 1
    outcome = call(capsys, payoff.main, *flags)
    assert outcome.code == 0
    assert load_run(str(tmp_path / "payoff.pt"), CPU).step == 2
    other = call(capsys, payoff.main, "--names", 41, "--steps", 2, "--out", tmp_path)
    assert_one_line_error(other, "is another run")
    table, _ = outcome.out.split("on the 1,000 names of chapter 14 alone")
    rows = [line.split() for line in table.splitlines() if " ± " in line]
    assert [row[0] for row in rows] == ["letter", "default", "larger"]
    with torch.device("meta"):
        n = MiniGPT(payoff.CONFIG).n_parameters()
    assert f"{n:,}" in rows[2]
    assert "kept" in rows[2]
    assert "4,064" in rows[1]
    # Two steps and forty names: nobody has learnt much, and the tables lead.
    assert "standard errors behind the tables" in outcome.out


def test_validation_names_are_neither_trained_on_nor_measured_on():
    validation = set(payoff.VALIDATION_NAMES)
    assert validation.isdisjoint(payoff.ALL_TRAIN_NAMES)
    assert validation.isdisjoint(payoff.MEASURED_NAMES)
    assert len(payoff.MEASURED_NAMES) == 3183
    assert len(validation) == 1000
    both = {*payoff.MEASURED_NAMES, *validation}
    assert both == set(payoff.ALL_HELD_OUT_NAMES)


def test_bad_input_is_named_in_one_line(capsys, tmp_path):
    for flags, words in [
        (("--names", 0), "--names is 0"),
        (("--names", 10**6), "--names is 1000000"),
        (("--steps", 0), "steps is 0"),
        (("--seed", -1), "seed is -1"),
    ]:
        assert_one_line_error(
            call(capsys, payoff.main, *flags, "--out", tmp_path), words
        )
