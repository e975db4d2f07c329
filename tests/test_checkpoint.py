"""Checkpoints: whole or not at all, equal to the bit, and hard to fool."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import math
import os
import random
import re
import signal
import subprocess
import sys
import time

import pytest
from run import NAMES, SIZES, contents, environment, small_run, take_steps

from microgpt.checkpoint import (
    TrainConfig,
    load_checkpoint,
    replace_file,
    save_checkpoint,
)
from microgpt.data import documents_sha256
from microgpt.sample import generate

INF, NAN = float("inf"), float("nan")

# The least model: 64 parameters, so that a thousand damaged copies are read in seconds.
LEAST = {"block_size": 2, "n_head": 1, "n_embd": 2}


def least_run(take=3, **settings):
    run, _, _ = small_run(["ab", "ba", "bb"], LEAST, take=take, steps=9, **settings)
    return run


def saved(folder, run):
    """Save run, and return (the file's path, its text)."""
    path = folder / "checkpoint.json"
    save_checkpoint(str(path), run)
    return path, path.read_text(encoding="utf-8")


def load(path):
    return load_checkpoint(str(path))


# What is in the file


def test_the_file_is_json_with_all_that_decides_how_a_run_goes_on(tmp_path):
    run, _, _ = small_run(take=5, seed=7, learning_rate=0.02, data="some/names.txt")
    _, text = saved(tmp_path, run)
    record = json.loads(text)
    assert record["version"] == 1
    said = record["run"]
    # Floats too are equal to the last bit: JSON holds every digit.
    assert repr(said) == repr(contents(run))
    assert said["step"] == 5
    assert len(said["losses"]) == 5
    assert len(said["rng"][1]) == 625
    assert said["vocabulary"] == "".join(sorted(set("".join(NAMES))))
    assert said["data_sha256"] == documents_sha256(NAMES)
    assert said["training"]["learning_rate"] == 0.02
    assert said["training"]["data"] == "some/names.txt"
    assert said["config"] == {"vocab_size": 18, "n_layer": 1, **SIZES}
    assert [len(said["params"]["wte"]), len(said["params"]["wte"][0])] == [18, 4]


def test_a_loaded_run_is_the_saved_one_to_the_last_bit(tmp_path):
    run, _, _ = small_run(take=5, seed=7, weight_decay=0.1)
    path, _ = saved(tmp_path, run)
    assert repr(contents(load(path))) == repr(contents(run))


@pytest.mark.parametrize("odd", [5e-324, -0.0, 0.1 + 0.2, 1e308, -1e-308, 1 / 3])
def test_floats_of_every_size_come_back_the_same(tmp_path, odd):
    run = least_run()
    run.params["wte"][0][0].data = odd
    run.optimizer.m[1] = odd
    path, _ = saved(tmp_path, run)
    loaded = load(path)
    assert repr(loaded.params["wte"][0][0].data) == repr(odd)
    assert repr(loaded.optimizer.m[1]) == repr(odd)


def test_saving_does_not_touch_the_run(tmp_path):
    run, _, _ = small_run(take=2)
    before = repr(contents(run))
    _, once = saved(tmp_path, run)
    _, twice = saved(tmp_path, run)
    assert once == twice
    assert repr(contents(run)) == before


def test_a_run_that_has_not_begun_can_be_saved(tmp_path):
    run, documents, _ = small_run(steps=4)
    path, _ = saved(tmp_path, run)
    loaded = load(path)
    assert loaded.step == 0
    for one in (run, loaded):
        take_steps(one, documents, 4)
    assert repr(contents(loaded)) == repr(contents(run))


def test_loaded_parameters_know_their_names_and_have_no_gradients(tmp_path):
    path, _ = saved(tmp_path, least_run())
    loaded = load(path)
    weight = loaded.params["layer0.attn_wq"][1][0]
    assert weight.label == "layer0.attn_wq[1][0]"
    assert {parameter.grad for parameter in loaded.optimizer.parameters} == {0.0}
    # The optimizer moves the very Values that the model is made of.
    assert any(parameter is weight for parameter in loaded.optimizer.parameters)


def test_a_vocabulary_beyond_ascii_comes_back(tmp_path):
    run, _, _ = small_run(["zoë", "łucja", "🙂", 'a"\\b'])
    path, _ = saved(tmp_path, run)
    loaded = load(path)
    assert loaded.tokenizer.decode(loaded.tokenizer.encode('łë🙂"\\')) == 'łë🙂"\\'


# Going on


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"batch_size": 3},
        {"weight_decay": 0.3, "grad_clip": 0.5},
        {"seed": 5, "learning_rate": 0.05, "temperature": 1.5},
    ],
)
@pytest.mark.parametrize(("n", "m"), [(1, 19), (10, 10), (19, 1)])
def test_n_steps_then_saved_then_m_steps_are_n_plus_m_steps(tmp_path, n, m, settings):
    whole, documents, _ = small_run(take=n + m, steps=n + m, **settings)
    first, _, _ = small_run(take=n, steps=n + m, **settings)
    path, _ = saved(tmp_path, first)
    second = load(path)
    take_steps(second, documents, m)
    assert second.step == n + m
    assert repr(contents(second)) == repr(contents(whole))

    texts = [
        [generate(r.params, r.config, r.tokenizer, r.rng) for _ in range(10)]
        for r in (whole, second)
    ]
    assert texts[0] == texts[1]


def test_sampling_goes_on_where_the_saved_dice_were(tmp_path):
    run, _, _ = small_run(take=3)
    how = (run.params, run.config, run.tokenizer, run.rng)
    first = [generate(*how, temperature=3.0) for _ in range(5)]
    path, _ = saved(tmp_path, run)
    second = [generate(*how, temperature=3.0) for _ in range(5)]
    loaded = load(path)
    how = (loaded.params, loaded.config, loaded.tokenizer, loaded.rng)
    assert [generate(*how, temperature=3.0) for _ in range(5)] == second != first


def test_the_dice_s_spare_gaussian_number_is_saved_too(tmp_path):
    # random.gauss makes numbers in pairs, and keeps the second for the next call.
    run = least_run()
    run.rng.gauss(0, 1)
    path, _ = saved(tmp_path, run)
    loaded = load(path)
    assert [loaded.rng.gauss(0, 1) for _ in range(3)] == [
        run.rng.gauss(0, 1) for _ in range(3)
    ]


# Whole or not at all


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path, monkeypatch, call, error
):
    old = least_run(take=3)
    path, text = saved(tmp_path, old)

    def fail(*args):
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(os, call, fail)
        kind = ValueError if isinstance(error, OSError) else KeyboardInterrupt
        with pytest.raises(kind) as caught:
            save_checkpoint(str(path), least_run(take=5))
    if kind is ValueError:
        assert "checkpoint.json" in str(caught.value)
        assert "No space left" in str(caught.value)
    assert os.listdir(tmp_path) == ["checkpoint.json"]
    assert path.read_text(encoding="utf-8") == text
    assert repr(contents(load(path))) == repr(contents(old))


def test_a_first_write_that_fails_leaves_no_file(tmp_path, monkeypatch):
    def fail(*args):
        raise OSError(28, "No space left")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(ValueError, match="No space left"):
        save_checkpoint(str(tmp_path / "checkpoint.json"), least_run())
    assert os.listdir(tmp_path) == []


def test_a_new_file_is_whole_and_on_the_disk_before_it_takes_the_old_one_s_name(
    tmp_path, monkeypatch
):
    old, new = least_run(take=3), least_run(take=5)
    path, _ = saved(tmp_path, old)
    calls = []
    fsync, replace = os.fsync, os.replace

    def watched_fsync(descriptor):
        calls.append(("fsync", os.fstat(descriptor).st_ino))
        fsync(descriptor)

    def watched_replace(source, target):
        calls.append(("replace", os.stat(source).st_ino))
        assert os.path.dirname(source) == str(tmp_path)
        assert repr(contents(load(source))) == repr(contents(new))
        assert repr(contents(load(target))) == repr(contents(old))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "replace", watched_replace)
    save_checkpoint(str(path), new)
    assert [name for name, _ in calls] == ["fsync", "replace"]
    assert calls[0][1] == calls[1][1]  # the same file
    assert repr(contents(load(path))) == repr(contents(new))


def test_text_is_written_as_utf_8_with_plain_line_ends(tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes(b"a longer text that was there before")
    replace_file(str(path), "zoë\nbob\n")
    assert path.read_bytes() == b"zo\xc3\xab\nbob\n"


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere.*No such file"):
        save_checkpoint(str(tmp_path / "nowhere" / "checkpoint.json"), least_run())


@pytest.mark.parametrize("number", [NAN, INF, -INF])
@pytest.mark.parametrize("place", ["params", "m", "v", "losses"])
def test_a_run_with_a_number_that_is_not_finite_is_not_saved(tmp_path, place, number):
    path, text = saved(tmp_path, least_run(take=3))
    run = least_run(take=5)
    if place == "params":
        run.params["lm_head"][1][1].data = number
    elif place == "losses":
        run.losses[2] = number
    else:
        vars(run.optimizer)[place][4] = number
    with pytest.raises(ValueError, match=r"\b5\b.*not finite"):
        save_checkpoint(str(path), run)
    assert path.read_text(encoding="utf-8") == text
    assert os.listdir(tmp_path) == ["checkpoint.json"]


# Saves two runs in turn, for ever, and says when the first is there.
SAVER = """
import sys
sys.path.insert(0, sys.argv[1])
from run import small_run
from microgpt.checkpoint import save_checkpoint
runs = [small_run(take=take, steps=9)[0] for take in (2, 3)]
save_checkpoint(sys.argv[2], runs[0])
print("saved", flush=True)
while True:
    for run in runs:
        save_checkpoint(sys.argv[2], run)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no kill -9")
def test_killed_at_any_moment_a_save_leaves_a_whole_file(tmp_path):
    known = [repr(contents(small_run(take=take, steps=9)[0])) for take in (2, 3)]
    rng = random.Random(9)
    found = []
    for turn in range(20):
        path = tmp_path / str(turn) / "checkpoint.json"
        path.parent.mkdir()
        saver = subprocess.Popen(
            [sys.executable, "-c", SAVER, os.path.dirname(__file__), str(path)],
            env=environment(),
            stdout=subprocess.PIPE,
        )
        with saver:
            assert saver.stdout.readline() == b"saved\n"
            time.sleep(rng.uniform(0, 0.02))
            saver.kill()
        assert saver.returncode == -signal.SIGKILL
        found.append(known.index(repr(contents(load(path)))))
    assert len(found) == 20


# Files that are no checkpoints


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b" \n",
        b"ann\nbob\n",
        b"\x00\x01\x02\xff",
        b"\xff\xfe{\x00}\x00",
        b"\x89PNG\r\n\x1a\n",
        b"{}",
        b"[]",
        b"null",
        b"0",
        b'"microgpt checkpoint"',
        b'{"format": "microgpt checkpoint"}',
        b'{"format": "microgpt checkpoint", "version": 1}',
        b'{"format": "microgpt checkpoint", "version": 1, "run": {}, "sha256": ""}',
        b'{"format": "microgpt checkpoint", "version": 1, "run": {}, "sha256": 7}',
        b'{"format": "another", "version": 1, "run": {}, "sha256": ""}',
        b"[" * 200_000,
        b"[" * 200_000 + b"]" * 200_000,
        b'{"run": ' * 200_000,
        b"1" * 10_000,
    ],
    ids=lambda content: repr(content[:20]),
)
def test_another_file_is_refused_in_one_line_that_names_it(tmp_path, content):
    path = tmp_path / "other.json"
    path.write_bytes(content)
    assert "other.json" in refusal(path)


def test_a_missing_file_and_a_folder_are_refused_and_named(tmp_path):
    assert "nowhere.json" in refusal(tmp_path / "nowhere.json")
    (tmp_path / "folder.json").mkdir()
    assert "folder.json" in refusal(tmp_path / "folder.json")


@pytest.mark.parametrize("version", [0, 2, "1", None, [1]])
def test_another_version_is_refused(tmp_path, version):
    path, text = saved(tmp_path, least_run())
    record = json.loads(text)
    path.write_text(json.dumps({**record, "version": version}), encoding="utf-8")
    assert "version" in refusal(path)


def refusal(path):
    """Return the one line with which a file is refused."""
    with pytest.raises(ValueError) as caught:
        load(path)
    # Not a subclass such as JSONDecodeError, whose text may be anything.
    assert type(caught.value) is ValueError
    line = str(caught.value)
    assert line
    assert "\n" not in line
    return line


# Damage: what the checksum is for


def test_every_digit_counts(tmp_path):
    path, text = saved(tmp_path, least_run())
    rng = random.Random(4)
    digits = [i for i, char in enumerate(text) if char in "123456789"]
    n_refused = 0
    for place in rng.sample(digits, 100):
        digit = str(int(text[place]) % 9 + 1)
        changed = text[:place] + digit + text[place + 1 :]
        # The 17th digit of a float may stand for nothing: then this is the same file.
        if json.loads(changed) != json.loads(text):
            path.write_text(changed, encoding="utf-8")
            refusal(path)
            n_refused += 1
    assert n_refused > 90


def test_a_file_cut_short_anywhere_is_refused(tmp_path):
    path, text = saved(tmp_path, least_run())
    end = text.rindex("}")  # of what follows, a newline, nothing is missed
    rng = random.Random(5)
    for length in [0, 1, end - 1, end, *(rng.randrange(end) for _ in range(60))]:
        path.write_text(text[:length], encoding="utf-8")
        refusal(path)


def damaged(text, rng):
    """Return the bytes of text with a random accident."""
    kind = rng.randrange(7)
    if kind == 0:
        # Two numbers change places.
        numbers = list(re.finditer(r"-?[\d.e-]+", text))
        one, two = [numbers[i] for i in sorted(rng.sample(range(len(numbers)), 2))]
        parts = (text[: one.start()], two[0], text[one.end() : two.start()], one[0])
        return ("".join(parts) + text[two.end() :]).encode()
    content = bytearray(text.encode())
    place = rng.randrange(len(content))
    end = place + rng.randrange(1, 9)
    if kind == 1:
        content[place] ^= 1 << rng.randrange(8)
    elif kind == 2:
        del content[place:end]
    elif kind == 3:
        content[place:place] = bytes(rng.randrange(256) for _ in range(end - place))
    elif kind == 4:
        content[place:place] = rng.choice(b'0123456789 ,.-e"[]{}').to_bytes(1, "big")
    elif kind == 5:
        content[place:place] = content[place:end]
    else:
        other = rng.randrange(len(content))
        content[place], content[other] = content[other], content[place]
    return bytes(content)


def test_of_600_damaged_files_none_loads_as_another_run(tmp_path):
    run = least_run()
    path, text = saved(tmp_path, run)
    original = repr(contents(run))
    rng = random.Random(6)
    n_refused = 0
    for _ in range(600):
        path.write_bytes(damaged(text, rng))
        try:
            loaded = load(path)
        except ValueError as error:
            assert type(error) is ValueError
            assert "\n" not in str(error)
            n_refused += 1
        else:
            # A space more between two numbers changes nothing, and does no harm.
            assert repr(contents(loaded)) == original
    assert n_refused > 500


# Forgery: what the checksum cannot find, since it is right


def forge(path, said, marker=None, instead=None):
    """Write said as a checkpoint with the right checksum.

    A marker in it, a text, is written as something that json.dumps would not write.
    """
    text = json.dumps(said)
    if marker:
        assert text.count(json.dumps(marker)) == 1
        text = text.replace(json.dumps(marker), instead)
    sha256 = hashlib.sha256(text.encode("utf-8")).hexdigest()
    head = {"format": "microgpt checkpoint", "version": 1, "sha256": sha256}
    whole = json.dumps(head)[:-1] + f', "run": {text}}}'
    path.write_text(whole, encoding="utf-8")


@contextlib.contextmanager
def little_memory(megabytes=300):
    """Let this process have only so much more memory, where the system can do that."""
    try:
        import resource

        with open("/proc/self/statm", encoding="ascii") as file:
            in_use = int(file.read().split()[0]) * resource.getpagesize()
    except (ImportError, OSError):
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (in_use + megabytes * 2**20, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def edited(said, kind, place, thing=None):
    """Return a copy of what a checkpoint says with one edit.

    The place is a path such as "config n_layer". put: a thing goes there; drop: what is
    there goes; add: a thing at the end of the list there; swap: with what is elsewhere.
    """
    said = copy.deepcopy(said)
    *path, last = [int(step) if step.isdigit() else step for step in place.split(" ")]
    inside = said
    for step in path:
        inside = inside[step]
    if kind == "put":
        inside[last] = thing
    elif kind == "drop":
        del inside[last]
    elif kind == "add":
        inside[last].append(thing)
    else:
        assert kind == "swap"
        inside[last], inside[thing] = inside[thing], inside[last]
    return said


HUGE = 10**9
NO_FLOATS = [NAN, INF, -INF, 0, 1, 10**400, True, None, "0.5", "", [], [0.5], {}]
# fmt: off
PARTS = [
    "config", "training", "vocabulary", "data_sha256", "step", "losses", "rng",
    "params", "adam_m", "adam_v",
]
# fmt: on
FORGERIES = [
    # Parts that are missing, or too many.
    *[("drop", part) for part in PARTS],
    ("drop", "config vocab_size"),
    ("drop", "config n_embd"),
    ("drop", "config block_size"),
    ("put", "config dropout", 0.5),
    ("put", "training epochs", 5),
    ("drop", "params wpe"),
    ("drop", "params layer0.attn_wk"),
    ("put", "params layer1.attn_wq", [[0.5, 0.5], [0.5, 0.5]]),
    ("put", "params bias", [[0.5]]),
    # Shapes.
    ("drop", "params wte 0"),
    ("drop", "params wte 0 0"),
    ("add", "params wte", [0.5, 0.5]),
    ("add", "params wte 1", 0.5),
    *[("put", "params wte 0", row) for row in ([], 0.5, [[0.5], [0.5]], "ab", None)],
    ("put", "params wte 0", {"0": 0.5, "1": 0.5}),
    *[("put", "params wte", matrix) for matrix in ([], 0.5, "abc", None, {})],
    *[("put", "params", params) for params in ({}, [], [[[0.5]]], None, "params")],
    ("swap", "params wte", "wpe"),
    ("swap", "params layer0.mlp_fc1", "layer0.mlp_fc2"),
    ("drop", "adam_m 0"),
    ("add", "adam_m", 0.5),
    *[("put", "adam_m", thing) for thing in ([], None, "m" * 64, [[0.5]] * 64)],
    ("put", "adam_m", {str(i): 0.5 for i in range(64)}),
    ("drop", "adam_v 0"),
    ("add", "adam_v", 0.5),
    ("put", "adam_v", 5),
    # Sizes that do not fit, above all the huge ones.
    *[
        ("put", f"config {size}", number)
        for size in ("vocab_size", "block_size", "n_layer", "n_embd")
        for number in (4, HUGE, 10**400, 0, -1, 2.0, 1e300, True, None, "2", [2])
    ],
    *[("put", "config n_head", number) for number in (0, -1, 3, HUGE, 1.0, None, "1")],
    *[("put", "config", thing) for thing in ([], {}, None, 1)],
    # Numbers.
    *[("put", "params wte 0 0", thing) for thing in NO_FLOATS],
    *[("put", "adam_m 3", thing) for thing in NO_FLOATS],
    *[("put", "adam_v 63", thing) for thing in NO_FLOATS],
    *[("put", "losses 1", thing) for thing in NO_FLOATS],
    ("put", "adam_v 0", -0.5),
    ("put", "adam_v 63", -5e-324),
    # Steps and losses.
    *[("put", "step", thing) for thing in (0, 2, 4, -3, HUGE, "3", None, [3], 2.5)],
    ("drop", "losses 0"),
    ("add", "losses", 0.5),
    ("put", "losses", "abc"),
    ("put", "losses", None),
    # The vocabulary, which is ab.
    *[("put", "vocabulary", chars) for chars in ("", "a", "abc", "aa", ["ab", "c"])],
    *[("put", "vocabulary", thing) for thing in (["", "a"], 2, None, [1, 2], {})],
    # Settings.
    *[("put", "training steps", thing) for thing in (0, -1, 9.0, "9", None, True)],
    *[("put", "training batch_size", thing) for thing in (0, -1, 1.0, "1", [1])],
    *[("put", "training seed", thing) for thing in (-1, 1.5, "42", None, True)],
    *[("put", "training samples", thing) for thing in (-1, 1.5, NAN, "20", None)],
    *[
        ("put", f"training {name}", thing)
        for name in ("learning_rate", "temperature", "weight_decay", "grad_clip")
        for thing in (-0.1, NAN, INF, "0.1", None, True, [0.1])
    ],
    ("put", "training learning_rate", 0),
    ("put", "training temperature", 0.0),
    ("put", "training val_fraction", -0.5),
    *[
        ("put", f"training {name}", 10**400)  # more than a float can hold
        for name in ("learning_rate", "temperature", "weight_decay", "grad_clip")
    ],
    *[("put", "data_sha256", thing) for thing in (None, 7, ["a"])],
    ("put", "training data", 7),
    ("put", "training data", None),
    ("put", "training", []),
    ("put", "training", "training"),
    # The dice: a version, 624 numbers of 32 bits with a place among them, and a spare.
    ("drop", "rng 2"),
    ("add", "rng", None),
    *[("put", "rng 0", version) for version in (1, 4, "3", None)],
    *[("put", "rng 1", thing) for thing in ([], None, 5, "x" * 625, {})],
    ("drop", "rng 1 0"),
    ("add", "rng 1", 5),
    *[("put", "rng 1 624", place) for place in (625, -1, HUGE, 0.5, None)],
    *[("put", "rng 1 0", thing) for thing in (0.5, 2**70, "1", None, [1])],
    *[("put", "rng 2", thing) for thing in (NAN, INF, 1, True, "0.5", [0.5], {})],
    *[("put", "rng", thing) for thing in ([], {}, None, 5, "rng")],
    # What random.setstate() drops without a word: bits beyond 32, part of a number.
    *[("put", f"rng 1 {i}", thing) for i in (0, 9) for thing in (2**32, 2**40, -1)],
    ("put", "rng 1 624", 1.5),
    # A line break, which must not get into the message.
    ("put", "config n_layer", "1\n2"),
    ("put", "config bias\nn_layer", 1),
    ("put", "training steps", "1\n2"),
    ("put", "training data_sha256\nsteps", 1),
    ("put", "params w\nte", [[0.5]]),
]


@pytest.fixture(scope="module")
def least(tmp_path_factory):
    """(A run, what its checkpoint says), to be copied before it is changed."""
    run = least_run()
    _, text = saved(tmp_path_factory.mktemp("least"), run)
    said = json.loads(text)["run"]
    assert len(said["adam_m"]) == 64
    return run, said


def test_a_forgery_that_changes_nothing_loads(tmp_path, least):
    # So the ones below are refused for what is in them.
    run, said = least
    forge(tmp_path / "forged.json", said)
    assert repr(contents(load(tmp_path / "forged.json"))) == repr(contents(run))


@pytest.mark.parametrize("edit", FORGERIES, ids=lambda edit: ascii(edit)[1:40])
def test_no_forgery_is_built(tmp_path, least, edit):
    _, said = least
    forged = edited(said, *edit)
    assert repr(forged) != repr(said)
    path = tmp_path / "forged.json"
    forge(path, forged)
    with little_memory():
        assert "forged.json" in refusal(path)


@pytest.mark.parametrize(
    ("place", "instead"),
    [
        ("params wte 0 0", "1e999"),  # read as infinity
        ("params wte 0 0", "-1e999"),
        ("losses 0", "1" * 5000),  # more digits than some Pythons read
        ("config n_layer", "1" * 5000),
        ("training seed", "-" + "1" * 5000),
        ("step", "[" * 100_000 + "]" * 100_000),
        ("params wte 0", '{"a":' * 100_000 + "0" + "}" * 100_000),
        ("rng 1 5", "[" * 100_000),
    ],
    ids=lambda text: text[:20],
)
def test_what_json_dumps_would_not_write_is_refused(tmp_path, least, place, instead):
    _, said = least
    path = tmp_path / "forged.json"
    forge(path, edited(said, "put", place, "MARKER"), "MARKER", instead)
    with little_memory():
        refusal(path)


def test_a_setting_that_is_missing_is_not_made_up(tmp_path, least):
    # A default in its place would train on in another way than before.
    _, said = least
    path = tmp_path / "forged.json"
    made_up = []
    for part in ("config", "training"):
        for name in said[part]:
            forge(path, edited(said, "drop", f"{part} {name}"))
            try:
                load(path)
            except ValueError as error:
                assert "\n" not in str(error)
            else:
                made_up.append(name)
    assert made_up == []


def test_the_order_of_the_matrices_in_the_file_does_not_matter(tmp_path, least):
    # JSON objects have no order: a tool that sorts their keys says the same.
    run, said = least
    in_order = dict(sorted(said["params"].items()))
    assert list(in_order) != list(said["params"])
    path = tmp_path / "sorted.json"
    forge(path, edited(said, "put", "params", in_order))
    assert repr(contents(load(path))) == repr(contents(run))


@pytest.mark.parametrize("losses", [{}, "", None, 0])
def test_a_run_that_has_not_begun_has_a_list_of_no_losses(tmp_path, losses):
    path, text = saved(tmp_path, least_run(take=0))
    said = json.loads(text)["run"]
    assert said["losses"] == []
    forge(path, edited(said, "put", "losses", losses))
    refusal(path)


JUNK = [*NO_FLOATS, -1, 2, 624, 2**32, 2**64, -0.5, 1e308, "a", "a\nb", "\ud800", [[]]]


def forged_at_random(said, rng):
    """Return a copy of what a checkpoint says with something exchanged somewhere."""
    said = copy.deepcopy(said)
    inside, place = said, rng.choice(list(said))
    while isinstance(inside[place], (list, dict)) and inside[place]:
        if rng.random() < 0.2:
            break
        inside = inside[place]
        place = rng.choice(
            list(inside) if isinstance(inside, dict) else range(len(inside))
        )
    kind = rng.randrange(4)
    if kind == 0:
        del inside[place]
    elif kind == 1 and isinstance(inside, list):
        inside.insert(place, copy.deepcopy(inside[place]))
    elif kind == 1:
        inside[f"{place}2"] = copy.deepcopy(inside[place])
    elif kind == 2:
        other = rng.choice(
            list(inside) if isinstance(inside, dict) else range(len(inside))
        )
        inside[place], inside[other] = inside[other], inside[place]
    else:
        inside[place] = rng.choice(JUNK)
    return said


def test_of_400_random_forgeries_each_is_refused_or_taken_at_its_word(tmp_path, least):
    run, said = least
    original = contents(run)
    rng = random.Random(8)
    n_refused = 0
    for number in range(400):
        forged = forged_at_random(said, rng)
        path = tmp_path / f"{number}.json"
        forge(path, forged)
        try:
            with little_memory():
                loaded = contents(load(path))
        except ValueError as error:
            assert type(error) is ValueError
            assert "\n" not in str(error), number
            n_refused += 1
        else:
            # Another weight or seed makes another run, but never one that the file does
            # not speak of.
            if loaded != original:
                spoken_of = {part: forged.get(part) for part in loaded}
                differ = [part for part in loaded if loaded[part] != spoken_of[part]]
                assert differ == [], number
    assert 200 < n_refused < 400


# Settings


@pytest.mark.parametrize(
    ("setting", "thing"),
    [
        ("steps", 0),
        ("steps", -5),
        ("steps", 2.0),
        ("steps", True),
        ("steps", "9"),
        ("batch_size", 0),
        ("batch_size", -1),
        ("learning_rate", 0.0),
        ("learning_rate", -0.01),
        ("learning_rate", NAN),
        ("learning_rate", INF),
        ("learning_rate", "0.01"),
        ("weight_decay", -0.1),
        ("weight_decay", NAN),
        ("weight_decay", INF),
        ("grad_clip", -1.0),
        ("grad_clip", NAN),
        ("grad_clip", INF),
        ("val_fraction", -0.1),
        ("val_fraction", NAN),
        ("seed", -1),
        ("seed", 1.0),
        ("seed", None),
        ("samples", -1),
        ("samples", 2.5),
        ("temperature", 0.0),
        ("temperature", -1.0),
        ("temperature", NAN),
        ("temperature", INF),
        ("temperature", 10**400),
        ("learning_rate", 10**400),
        ("data", None),
    ],
    ids=lambda thing: repr(thing)[:20],
)
def test_a_setting_that_makes_no_sense_is_named_with_its_value(setting, thing):
    told = str(thing) if thing or thing is None else "0"
    with pytest.raises(
        ValueError, match=rf"{setting} is .*{re.escape(told)}"
    ) as caught:
        TrainConfig(**{setting: thing})
    assert "\n" not in str(caught.value)


def test_the_least_settings_that_make_sense_are_accepted():
    least = TrainConfig(
        steps=1,
        batch_size=1,
        learning_rate=5e-324,
        weight_decay=0,
        grad_clip=0,
        val_fraction=0,
        seed=0,
        samples=0,
        temperature=1,
    )
    assert (least.steps, least.samples, least.temperature) == (1, 0, 1)
    assert math.isfinite(least.learning_rate)


def test_settings_cannot_be_changed_behind_a_run_s_back():
    with pytest.raises(AttributeError):
        TrainConfig().steps = 5
