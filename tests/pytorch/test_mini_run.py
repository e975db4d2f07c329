"""A run of the larger model and its file: every bit is kept, and nothing is run."""

from __future__ import annotations

import doctest
import io
import math
import os
import random

import pytest

torch = pytest.importorskip("torch")

import mini_data  # noqa: E402
import mini_run  # noqa: E402
from mini_data import PAD, Rows, Windows, read_corpus  # noqa: E402
from mini_gpt import train  # noqa: E402
from mini_model import MiniConfig  # noqa: E402
from mini_run import MiniTraining, load_run, new_run, save_run  # noqa: E402
from processes import Place  # noqa: E402

from microgpt.tools.files import CannotWrite  # noqa: E402
from tests.helpers import write_names  # noqa: E402

CPU = torch.device("cpu")


@pytest.fixture
def corpus(tmp_path):
    path = write_names(tmp_path)
    return read_corpus(path, False, block_size=5, val_fraction=0.2, seed=42)


def run_on(corpus, steps=6, take=0, **changes):
    config = MiniConfig(
        corpus.tokenizer.vocab_size, block_size=5, n_layer=2, n_head=2, n_embd=8,
        dropout=changes.pop("dropout", 0.2),
    )  # fmt: skip
    training = MiniTraining(steps=steps, whole_batch=3, warmup=2, **changes)
    run = new_run(config, training, corpus.tokenizer, corpus.sha256, CPU)
    take_steps(run, corpus, take)
    return run


def take_steps(run, corpus, n):
    turns = train(run, corpus.train, Place(CPU))
    for _ in range(n):
        next(turns)
    turns.close()


def everything(run):
    """Return all that decides how a run goes on, in things that can be compared."""
    means = {
        (name, which): tensor.tolist()
        for name, pair in mini_run.means_of(run).items()
        for which, tensor in pair.items()
    }
    weights = {name: tensor.tolist() for name, tensor in run.model.state_dict().items()}
    counts = {float(state["step"]) for state in run.optimizer.state.values()}
    return repr(
        (run.config, run.training, run.tokenizer.chars, run.data_sha256, run.losses,
         run.held_out, weights, means, counts)
    )  # fmt: skip


# The text


def test_the_examples_are_true():
    for module in (mini_data, mini_run):
        result = doctest.testmod(module)
        assert result.attempted >= 2
        assert result.failed == 0


def test_every_epoch_has_each_row_once_in_another_order_and_batches_run_across():
    rows = Rows([[0, n, 0] for n in range(1, 8)], block_size=4, seed=5)
    seen = []
    for first in range(0, 21, 3):
        tokens, _ = rows.take(first, 3)
        seen += tokens[:, 1].tolist()
    epochs = [seen[:7], seen[7:14], seen[14:]]
    for epoch in epochs:
        assert sorted(epoch) == [1, 2, 3, 4, 5, 6, 7]
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert rows.take(0, 21)[0][:, 1].tolist() == seen  # more than an epoch at once
    other = Rows([[0, n, 0] for n in range(1, 8)], block_size=4, seed=6)
    assert other.take(0, 7)[0][:, 1].tolist() != seen[:7]


def test_a_row_is_cut_at_block_size_and_its_end_is_asked_for_if_it_is_seen():
    rows = Rows([[0, 1, 2, 3, 0], [0, 4, 0]], block_size=3, seed=1)
    assert rows.tokens.tolist() == [[0, 1, 2], [0, 4, 0]]
    assert rows.targets.tolist() == [[1, 2, 3], [4, 0, PAD]]


def test_windows_lie_in_the_text_side_by_side_and_move_from_epoch_to_epoch():
    windows = Windows(list(range(50)), block_size=7, seed=3)
    firsts = set()
    for epoch in range(10):
        tokens, targets = windows.take(epoch * windows.n, windows.n)
        assert torch.equal(targets, tokens + 1)
        starts = sorted(tokens[:, 0].tolist())
        assert [b - a for a, b in zip(starts, starts[1:])] == [7] * (windows.n - 1)
        assert starts[0] >= 0 and targets.max() <= 49
        firsts.add(starts[0])
    assert len(firsts) > 3
    [(tokens, _)] = windows.held_out_batches()
    assert tokens.flatten().tolist() == list(range(49))


def test_a_text_of_just_one_window_is_enough_and_a_shorter_one_is_not():
    tokens, targets = Windows([1, 2, 3, 4], block_size=3, seed=1).take(0, 2)
    assert tokens.tolist() == [[1, 2, 3]] * 2
    assert targets.tolist() == [[2, 3, 4]] * 2
    with pytest.raises(ValueError, match="3 characters"):
        Windows([1, 2, 3], block_size=3, seed=1)


def test_names_are_split_as_the_training_command_splits_them(corpus):
    from microgpt.training import TrainConfig, shuffle_and_split
    from tests.helpers import NAMES

    _, ours, held_out = shuffle_and_split(NAMES, TrainConfig(val_fraction=0.2))
    assert corpus.known == set(ours)
    assert (corpus.train.n, corpus.held_out.n) == (len(ours), len(held_out))


# The schedule


def test_the_learning_rate_rises_evenly_and_falls_along_a_cosine():
    training = MiniTraining(steps=104, warmup=4, learning_rate=8.0, last_rate=0.25)
    assert [training.rate_at(step) for step in range(4)] == [2, 4, 6, 8]
    # Half way down the wave is at 1/2, and so the rate at 8 * (0.25 + 0.75 / 2).
    assert training.rate_at(54) == pytest.approx(5.0)
    # After a quarter of the way, cos(pi / 4) = sqrt(1 / 2).
    quarter = 8 * (0.25 + 0.75 * (1 + math.sqrt(0.5)) / 2)
    assert training.rate_at(29) == pytest.approx(quarter)
    assert 2 < training.rate_at(103) < 2.01


def test_only_matrices_are_pulled_to_0(corpus):
    run = run_on(corpus)
    groups = run.optimizer.param_groups
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0]
    assert {p.dim() for p in groups[0]["params"]} == {2}
    assert {p.dim() for p in groups[1]["params"]} == {1}
    assert sum([len(group["params"]) for group in groups]) == len(
        list(run.model.parameters())
    )


# The file


@pytest.mark.parametrize("precision", ["float32", "float64", "bfloat16"])
def test_steps_and_a_file_and_more_steps_are_as_many_steps_at_once_to_the_bit(
    corpus, tmp_path, precision
):
    whole = run_on(corpus, take=6, precision=precision)
    run = run_on(corpus, take=2, precision=precision)
    path = str(tmp_path / "checkpoint.pt")
    for _ in range(2):
        save_run(path, run)
        torch.manual_seed(99)  # another process has other dice
        run = load_run(path, CPU)
        take_steps(run, corpus, 2)
    assert everything(run) == everything(whole)
    assert len(set(whole.losses)) == 6


def test_a_run_without_a_step_is_loaded_too(corpus, tmp_path):
    path = str(tmp_path / "checkpoint.pt")
    run = run_on(corpus)
    save_run(path, run)
    assert everything(load_run(path, CPU)) == everything(run)


def saved(corpus, tmp_path):
    path = tmp_path / "checkpoint.pt"
    save_run(str(path), run_on(corpus, take=2))
    return path


def refusal(path):
    with pytest.raises(ValueError) as caught:
        load_run(str(path), CPU)
    line = str(caught.value)
    assert line.isprintable()
    assert str(path) in line
    return line


def test_a_file_that_is_cut_short_or_changed_is_never_loaded(corpus, tmp_path):
    path = saved(corpus, tmp_path)
    good = path.read_bytes()
    before = everything(load_run(str(path), CPU))
    dice = random.Random(4)
    n_refused = 0
    for _ in range(60):
        bad = bytearray(good)
        bad[dice.randrange(len(bad))] ^= 1 << dice.randrange(8)
        path.write_bytes(bad)
        try:
            # In the zip archive's own bytes, such as a date, a bit may not matter.
            assert everything(load_run(str(path), CPU)) == before
        except ValueError:
            refusal(path)
            n_refused += 1
    assert n_refused > 30
    for n in (0, 3, 100, len(good) // 2, len(good) - 1):
        path.write_bytes(good[:n])
        refusal(path)


class Harmful:
    """What a forger would put into a pickle: opening it runs a command."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return (os.system, (self.command,))


def test_code_in_a_file_is_not_executed(corpus, tmp_path):
    path = tmp_path / "checkpoint.pt"
    witness = tmp_path / "executed"
    torch.save({"format": Harmful(f"touch {witness}")}, path)
    assert "is damaged" in refusal(path)
    assert not witness.exists()
    import pickle

    path.write_bytes(pickle.dumps(Harmful(f"touch {witness}")))
    refusal(path)
    assert not witness.exists()


def longer(tensor):
    return torch.cat([tensor, tensor])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.update(format="other"), "it is not a microgpt mini_gpt"),
        (lambda c: c.update(version=2), "it is not a microgpt mini_gpt"),
        (lambda c: c["config"].update(n_layer=10**9), "fewer tensors"),
        (lambda c: c["config"].update(n_embd=16), "belongs there"),
        (lambda c: c["config"].pop("dropout"), "lacks a setting in 'config'"),
        (lambda c: c["training"].update(steps=0), "steps is 0"),
        (lambda c: c["training"].update(precision="int8"), "precision is 'int8'"),
        (lambda c: c["training"].update(extra=1), "laid out otherwise"),
        (lambda c: c.update(vocabulary="ab"), "vocabulary is not as large"),
        (lambda c: c.update(losses=[1.0, math.nan]), "not a finite number"),
        (lambda c: c.update(losses="12"), "losses is not a list"),
        (lambda c: c.update(held_out=[[9, 1.0]]), "a step that was not taken"),
        (lambda c: c["model"].pop("ln_f.bias"), "not those that its config asks for"),
        (
            lambda c: c["model"].update({"ln_f.bias": longer(c["model"]["ln_f.bias"])}),
            "belongs there",
        ),
        (
            lambda c: c["model"].update({"ln_f.bias": torch.tensor(1.0).expand(8)}),
            "not a tensor of numbers",
        ),
        (lambda c: c["model"].update({"ln_f.bias": 1}), "not a tensor of numbers"),
        (
            lambda c: c["model"].update({"ln_f.bias": torch.ones(8, device="meta")}),
            "not a tensor of numbers",
        ),
        (lambda c: c["model"]["ln_f.bias"].fill_(math.inf), "is not finite"),
        (lambda c: c["means"]["ln_f.bias"]["v"].fill_(-1), "below 0"),
        (lambda c: c["means"].pop("ln_f.bias"), "not those that its config asks for"),
        (lambda c: c.pop("means"), "laid out otherwise"),
    ],
)
def test_a_forged_file_is_refused_in_one_line(corpus, tmp_path, change, words):
    path = saved(corpus, tmp_path)
    content = torch.load(path, weights_only=True)
    change(content)
    torch.save(content, path)
    assert words in refusal(path)


def test_other_files_are_named(tmp_path):
    path = tmp_path / "checkpoint.pt"
    assert "cannot read" in refusal(path)
    path.write_text("<!doctype html>", encoding="utf-8")
    assert "a web page" in refusal(path)
    file = io.BytesIO()
    torch.save([1, 2], file)
    path.write_bytes(file.getvalue())
    assert "laid out otherwise" in refusal(path)


def test_a_save_that_fails_leaves_the_old_file(corpus, tmp_path, monkeypatch):
    path = saved(corpus, tmp_path)
    before = path.read_bytes()

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CannotWrite, match="No space left"):
        save_run(str(path), run_on(corpus, take=3))
    assert path.read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["checkpoint.pt", "names.txt"]
