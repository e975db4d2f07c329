"""The default model in PyTorch: the same lines, the same numbers, the same files."""

from __future__ import annotations

import doctest
import json
import math
import os
import random
import re
import signal
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")

import twin  # noqa: E402
import weights  # noqa: E402

import microgpt  # noqa: E402
from microgpt.model import (  # noqa: E402
    GPTConfig,
    as_floats,
    document_loss,
    empty_cache,
    flatten,
    gpt,
    init_params,
    param_shapes,
)
from microgpt.sampling import generate  # noqa: E402
from microgpt.tools import sample_command, train_command  # noqa: E402
from microgpt.training import TrainConfig, start, train  # noqa: E402
from tests.helpers import (  # noqa: E402
    ROOT,
    assert_one_line_error,
    call,
    contents,
    environment,
    small_run,
    take_steps,
    write_names,
)

TWO_LAYERS = {"block_size": 6, "n_layer": 2, "n_head": 2, "n_embd": 8}


def numbers_of(model):
    """Return all numbers of a twin, in the order of flatten(params)."""
    return torch.cat([p.flatten() for p in model.matrices().values()]).tolist()


def gradients_of(model):
    return torch.cat([p.grad.flatten() for p in model.matrices().values()]).tolist()


def shaken(run, seed=3):
    """Give every parameter a random number: a new model has many that are 0."""
    dice = random.Random(seed)
    for parameter in flatten(run.params):
        parameter.data = dice.gauss(0, 0.4)
    return run


def assert_close(ours, theirs, tolerance):
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs):
        assert abs(a - b) <= tolerance
        assert math.isfinite(a) and math.isfinite(b)


# Lines


def squeezed(text):
    """Return text without spaces, line breaks, and commas before a bracket."""
    return re.sub(r",(?=[)\]])", "", re.sub(r"\s", "", text))


def test_every_line_that_is_quoted_from_the_book_stands_in_the_book():
    source = (ROOT / "examples" / "pytorch" / "twin.py").read_text(encoding="utf-8")
    quoted = re.findall(r"# book: (.*?)(?:  # .*)?$", source, flags=re.MULTILINE)
    assert len(quoted) > 35
    book = ""
    for name in ("model", "adam", "training", "sampling"):
        text = (ROOT / "microgpt" / f"{name}.py").read_text(encoding="utf-8")
        book += "".join(
            [line.split("  # ")[0] for line in text.splitlines(keepends=False)]
        )
    book = squeezed(book)
    for line in quoted:
        assert squeezed(line) in book, line


def test_the_examples_are_true():
    result = doctest.testmod(twin)
    assert result.attempted >= 2
    assert result.failed == 0


def test_the_matrices_have_the_names_shapes_and_order_of_the_book():
    run, _, _ = small_run(sizes=TWO_LAYERS)
    model = twin.from_run(run).model
    shapes = {name: tuple(p.shape) for name, p in model.matrices().items()}
    assert list(shapes.items()) == list(param_shapes(run.config).items())
    assert numbers_of(model) == [weight.data for weight in flatten(run.params)]


# Numbers


def test_all_logits_are_equal_to_1e_12():
    run, documents, _ = small_run(sizes=TWO_LAYERS)
    shaken(run)
    model = twin.from_run(run).model
    for document in [*documents, "leanna"]:
        tokens = run.tokenizer.encode_document(document)[: run.config.block_size]
        theirs = model(torch.tensor([tokens]))[0]
        keys, values = empty_cache(run.config)
        for pos_id, token_id in enumerate(tokens):
            params = as_floats(run.params)
            ours = gpt(params, run.config, token_id, pos_id, keys, values)
            assert max(map(abs, ours)) > 0.1
            assert_close(ours, theirs[pos_id].tolist(), 1e-12)


def test_the_loss_and_all_gradients_of_a_batch_are_equal_to_1e_12():
    run, _, _ = small_run(sizes=TWO_LAYERS)
    shaken(run)
    # Of different lengths, so that short ones are filled up.
    batch = [run.tokenizer.encode_document(name) for name in ("ada", "v", "leeann")]
    batch = [tokens[: run.config.block_size + 1] for tokens in batch]
    loss = sum([document_loss(run.params, run.config, tokens) for tokens in batch]) / 3
    loss.backward()
    model = twin.from_run(run).model
    their_loss = twin.batch_loss(model, batch)
    their_loss.backward()
    assert abs(loss.data - their_loss.item()) < 1e-12
    ours = [weight.grad for weight in flatten(run.params)]
    assert max(map(abs, ours)) > 0.1
    assert_close(ours, gradients_of(model), 1e-12)


@pytest.mark.slow
def test_a_hundred_steps_on_names_are_equal_to_1e_9_and_samples_letter_for_letter():
    names = microgpt.read_documents(str(ROOT / "input.txt"))
    run, documents, _ = start(names, TrainConfig(steps=100))
    copy = twin.from_run(run)
    list(train(run, documents))
    list(twin.train_twin(copy, documents))
    assert len(run.losses) == 100
    assert_close(run.losses, copy.losses, 1e-9)
    assert_close([w.data for w in flatten(run.params)], numbers_of(copy.model), 1e-9)
    back = twin.to_run(copy)
    assert_close(run.optimizer.m, back.optimizer.m, 1e-9)
    assert_close(run.optimizer.v, back.optimizer.v, 1e-9)

    params = as_floats(run.params)
    texts = []
    for number in range(40):
        how = {"temperature": 0.5 + number / 40, "top_k": [None, 5][number % 2]}
        ours = generate(params, run.config, run.tokenizer, run.rng, **how)
        assert ours == twin.generate_twin(copy, **how)
        texts.append(ours)
    assert len(set(texts)) > 20
    assert run.rng.getstate() == copy.rng.getstate()
    ours = generate(params, run.config, run.tokenizer, run.rng, prompt="ma")
    assert ours == twin.generate_twin(copy, prompt="ma")
    assert ours.startswith("ma")


def test_batches_clipping_and_weight_decay_are_equal_too():
    settings = {"steps": 12, "batch_size": 3, "weight_decay": 0.1, "grad_clip": 0.5}
    run, documents, _ = small_run(sizes=TWO_LAYERS, **settings)
    shaken(run)
    copy = twin.from_run(run)
    list(train(run, documents))
    list(twin.train_twin(copy, documents))
    assert_close(run.losses, copy.losses, 1e-9)
    assert_close([w.data for w in flatten(run.params)], numbers_of(copy.model), 1e-9)
    without = twin.from_run(shaken(small_run(sizes=TWO_LAYERS, steps=12)[0]))
    list(twin.train_twin(without, documents))
    assert numbers_of(without.model) != numbers_of(copy.model)


def test_a_loss_that_is_not_finite_stops_before_a_parameter_has_moved():
    run, documents, _ = small_run()
    run.params["lm_head"][0][0].data = math.inf
    copy = twin.from_run(run)
    before = numbers_of(copy.model)
    with pytest.raises(FloatingPointError):
        next(twin.train_twin(copy, documents))
    assert numbers_of(copy.model) == before
    assert copy.losses == []


# Files


@pytest.mark.parametrize("take", [0, 5])
def test_a_run_comes_back_from_tensors_as_it_was_to_the_bit(take):
    run, _, _ = small_run(take=take, weight_decay=0.25)
    run.optimizer.beta1 = 0.875
    back = twin.to_run(twin.from_run(run))
    assert repr(contents(back)) == repr(contents(run))
    assert [w.label for w in flatten(back.params)] == [
        w.label for w in flatten(run.params)
    ]


def test_one_can_go_back_and_forth_in_the_middle_of_a_run():
    whole, documents, _ = small_run(steps=9, take=9)
    run, _, _ = small_run(steps=9, take=3)
    there = twin.from_run(run)
    turns = twin.train_twin(there, documents)
    for _ in range(3):
        next(turns)
    turns.close()
    back = twin.to_run(there)
    assert back.step == 6
    take_steps(back, documents, 3)
    assert_close(whole.losses, back.losses, 1e-9)
    ours = [weight.data for weight in flatten(whole.params)]
    assert_close(ours, [weight.data for weight in flatten(back.params)], 1e-9)


def trained_checkpoint(capsys, folder, steps=6):
    """Let our own command train on a few names, and return its checkpoint's path."""
    names = write_names(folder)
    flags = ("--steps", steps, "--block-size", 4, "--n-head", 2, "--n-embd", 4)
    out = folder / "out"
    outcome = call(
        capsys,
        train_command.main,
        "--data",
        names,
        "--out",
        out,
        "--samples",
        0,
        *flags,
    )
    assert outcome.code == 0
    return str(out / "checkpoint.json")


def test_a_checkpoint_goes_through_pytorch_and_our_commands_go_on_with_it(
    tmp_path, capsys
):
    path = trained_checkpoint(capsys, tmp_path, steps=4)
    theirs = str(tmp_path / "torch" / "checkpoint.json")
    outcome = call(capsys, twin.main, "--load", path, "--save", theirs, "--steps", 6)
    assert outcome.code == 0
    assert outcome.err == ""
    assert f"saved in {theirs}, after step 6" in outcome.out

    # What our own command would have made of it.
    resume = ("--resume", "--steps", 6, "--samples", 0, "--out")
    assert call(capsys, train_command.main, *resume, tmp_path / "out").code == 0
    ours, back = microgpt.load_checkpoint(path), microgpt.load_checkpoint(theirs)
    assert back.step == 6
    assert_close(ours.losses, back.losses, 1e-9)
    assert_close(
        [w.data for w in flatten(ours.params)],
        [w.data for w in flatten(back.params)],
        1e-9,
    )
    texts = [
        call(capsys, sample_command.main, "--checkpoint", there, "--n", 5)
        for there in (path, theirs)
    ]
    assert texts[0].code == 0
    assert texts[0].out == texts[1].out
    longer = ("--resume", "--steps", 8, "--samples", 0, "--out")
    assert call(capsys, train_command.main, *longer, tmp_path / "torch").code == 0
    assert microgpt.load_checkpoint(theirs).step == 8


def test_a_run_on_running_text_goes_on_with_the_same_windows(tmp_path, capsys):
    text = tmp_path / "text.txt"
    text.write_text("the cat sat on the mat.\n" * 10, encoding="utf-8")
    flags = ("--data", text, "--running-text", "--samples", 0, "--block-size", 6)
    flags += ("--n-embd", 4, "--n-head", 2, "--steps", 3, "--out", tmp_path / "out")
    assert call(capsys, train_command.main, *flags).code == 0
    path = str(tmp_path / "out" / "checkpoint.json")
    saved = str(tmp_path / "torch.json")
    outcome = call(capsys, twin.main, "--load", path, "--save", saved, "--steps", 6)
    assert (outcome.code, outcome.err) == (0, "")
    resume = ("--resume", "--steps", 6, "--samples", 0, "--out", tmp_path / "out")
    assert call(capsys, train_command.main, *resume).code == 0
    ours, theirs = microgpt.load_checkpoint(path), microgpt.load_checkpoint(saved)
    assert len(ours.losses) == 6
    assert_close(ours.losses, theirs.losses, 1e-9)


def test_weights_go_through_safetensors_unchanged(tmp_path, capsys):
    path = trained_checkpoint(capsys, tmp_path)
    folder = str(tmp_path / "weights")
    assert call(capsys, twin.main, "--load", path, "--save", folder).code == 0
    run = microgpt.load_checkpoint(path)
    loaded = twin.load_weights(folder)
    assert loaded.config == run.config
    assert loaded.tokenizer.chars == run.tokenizer.chars
    assert numbers_of(loaded.model) == [weight.data for weight in flatten(run.params)]
    read = weights.read_weights(folder)
    assert {name: tensor.shape for name, tensor in read.items()} == param_shapes(
        run.config
    )
    # Once more, from the folder to a checkpoint.
    again = str(tmp_path / "again.json")
    assert call(capsys, twin.main, "--load", folder, "--save", again).code == 0
    assert as_floats(microgpt.load_checkpoint(again).params) == as_floats(run.params)


def test_the_package_safetensors_reads_the_same_weights(tmp_path):
    library = pytest.importorskip("safetensors.torch")
    copy = twin.from_run(small_run(take=2)[0])
    twin.save_weights(str(tmp_path), copy)
    theirs = library.load_file(str(tmp_path / "model.safetensors"))
    matrices = copy.model.matrices()
    assert set(theirs) == set(matrices)
    for name, matrix in matrices.items():
        assert torch.equal(theirs[name], matrix)
    # And the other way round.
    library.save_file(
        {name: matrix.detach() for name, matrix in matrices.items()},
        str(tmp_path / "model.safetensors"),
    )
    assert numbers_of(twin.load_weights(str(tmp_path)).model) == numbers_of(copy.model)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n_layer": 10**9}, "the matrices are not those that config.json names"),
        ({"n_embd": 8}, "the matrices are not those that config.json names"),
        ({"n_embd": 5}, "does not divide"),
        ({"vocabulary": "abc"}, "its vocab_size is not that of its vocabulary"),
        ({"vocabulary": 3}, "is not the config of such a model"),
        ({"model_type": "gpt2"}, "another kind of model"),
        ({"colour": "red"}, "is not the config of such a model"),
    ],
)
def test_a_fault_in_a_folder_of_weights_is_named_in_one_line(
    tmp_path, capsys, change, words
):
    folder = tmp_path / "weights"
    twin.save_weights(str(folder), twin.from_run(small_run()[0]))
    config = folder / "config.json"
    content = json.loads(config.read_text(encoding="utf-8"))
    config.write_text(json.dumps({**content, **change}), encoding="utf-8")
    assert_one_line_error(call(capsys, twin.main, "--load", folder), words)


def test_a_weight_that_is_not_finite_is_refused(tmp_path, capsys):
    run, _, _ = small_run()
    run.params["wte"][1][1].data = math.nan
    twin.save_weights(str(tmp_path / "weights"), twin.from_run(run))
    outcome = call(capsys, twin.main, "--load", tmp_path / "weights")
    assert_one_line_error(outcome, "wte holds a number that is not finite")


# The command


def test_bad_input_is_named_in_one_line(tmp_path, capsys):
    path = trained_checkpoint(capsys, tmp_path)
    rows = [
        (("--load", tmp_path / "nowhere.json"), "cannot read"),
        (("--save", "x.json"), "--save needs --load"),
        (("--steps", 0), "steps is 0"),
        (("--steps", "many"), "invalid int value"),
        (("--load", path, "--save", path), "is there already"),
        (("--load", path, "--steps", 3), "is at step 6 already"),
        (("--load", write_names(tmp_path, file="x.json")), "no checkpoint"),
    ]
    for flags, words in rows:
        assert_one_line_error(call(capsys, twin.main, *flags), words)


def test_data_that_has_changed_is_refused(tmp_path, capsys):
    path = trained_checkpoint(capsys, tmp_path, steps=3)
    write_names(tmp_path, ["quite", "other"])
    outcome = call(capsys, twin.main, "--load", path, "--steps", 5)
    assert_one_line_error(outcome, "is no longer what this run was trained on")


def test_ctrl_c_saves_and_the_run_goes_on_from_there(tmp_path, capsys, monkeypatch):
    path = trained_checkpoint(capsys, tmp_path, steps=2)
    saved = str(tmp_path / "stopped.json")
    steps = twin.train_twin

    def steps_with_ctrl_c(copy, documents):
        for loss in steps(copy, documents):
            if len(copy.losses) == 4:
                signal.raise_signal(signal.SIGINT)
            yield loss

    monkeypatch.setattr(twin, "train_twin", steps_with_ctrl_c)
    outcome = call(capsys, twin.main, "--load", path, "--save", saved, "--steps", 7)
    assert (outcome.code, outcome.err) == (130, "")
    assert f"saved in {saved}, after step 4" in outcome.out
    monkeypatch.undo()
    end = str(tmp_path / "end.json")
    assert call(capsys, twin.main, "--load", saved, "--save", end).code == 0
    whole = str(tmp_path / "whole.json")
    never_stopped = ("--load", path, "--save", whole, "--steps", 7)
    assert call(capsys, twin.main, *never_stopped).code == 0
    assert repr(contents(microgpt.load_checkpoint(end))) == repr(
        contents(microgpt.load_checkpoint(whole))
    )


@pytest.mark.slow
def test_pytorch_without_numpy_is_enough_and_says_nothing_about_it(tmp_path, capsys):
    path = trained_checkpoint(capsys, tmp_path, steps=2)
    # A numpy that cannot be imported stands before any other.
    (tmp_path / "absent" / "numpy").mkdir(parents=True)
    (tmp_path / "absent" / "numpy" / "__init__.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'numpy'\", name='numpy')",
        encoding="utf-8",
    )
    env = environment(OMP_NUM_THREADS="1")
    env["PYTHONPATH"] = os.pathsep.join([str(tmp_path / "absent"), str(ROOT)])
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "pytorch" / "twin.py"),
         "--load", path, "--steps", "4", "--save", str(tmp_path / "weights")],
        env=env, cwd=tmp_path, capture_output=True, encoding="utf-8",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "after step 4" in done.stdout


def test_the_default_config_is_the_one_of_the_book():
    # With the names' 27 tokens: 27 * 16 twice, 8 * 16, 4 * 16 * 16, 2 * 4 * 16 * 16.
    config = GPTConfig(vocab_size=27)
    n = sum([p.numel() for p in twin.Twin(config).parameters()])
    assert n == 4064 == len(flatten(init_params(config, random.Random(1))))
