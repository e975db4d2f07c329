"""Checkpoints: equal to the bit, whole or not at all, and hard to fool."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from microgpt.adam import Adam
from microgpt.model import flatten
from microgpt.sampling import generate
from microgpt.tokenizer import CharTokenizer
from microgpt.tools.checkpoint import (
    CommandSettings,
    documents_sha256,
    load_checkpoint,
    read_checkpoint,
    save_checkpoint,
)
from tests.helpers import NAMES, SIZES, contents, environment, small_run, take_steps

INF, NAN = float("inf"), float("nan")

# The least model: 64 parameters, so that a thousand damaged copies are read in seconds.
LEAST = {"block_size": 2, "n_head": 1, "n_embd": 2}


def least_run(take=3, **settings):
    run, _, _ = small_run(["ab", "ba", "bb"], LEAST, take=take, steps=9, **settings)
    return run


def saved(folder, run, settings=None):
    """Save run, and return (the file's path, its text)."""
    path = folder / "checkpoint.json"
    save_checkpoint(str(path), run, settings)
    return path, path.read_text(encoding="utf-8")


def load(path):
    return load_checkpoint(str(path))


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


# What is in the file


def test_the_file_is_json_with_all_that_decides_how_a_run_goes_on(tmp_path):
    run, _, _ = small_run(take=5, seed=7, learning_rate=0.02)
    settings = CommandSettings("some/names.txt", documents_sha256(NAMES), samples=3)
    _, text = saved(tmp_path, run, settings)
    record = json.loads(text)
    assert (record["format"], record["version"]) == ("microgpt checkpoint", 2)
    said = record["run"]
    command = said.pop("command")
    # Floats too are equal to the last bit: JSON holds every digit.
    assert repr(said) == repr(contents(run))
    assert said["step"] == 5
    assert len(said["losses"]) == 5
    assert len(said["rng"][1]) == 625
    assert said["vocabulary"] == "".join(sorted(set("".join(NAMES))))
    assert said["training"]["learning_rate"] == 0.02
    assert said["config"] == {"vocab_size": 18, "n_layer": 1, **SIZES}
    assert command == {
        "data": "some/names.txt",
        # That is what sha256sum prints of a file with these lines.
        "data_sha256": hashlib.sha256(("\n".join(NAMES) + "\n").encode()).hexdigest(),
        "running_text": False,
        "val_documents": 500,
        "samples": 3,
        "temperature": 0.6,
    }
    assert read_checkpoint(str(tmp_path / "checkpoint.json"))[1] == settings


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
        {"weight_decay": 0.3, "grad_clip": 0.5, "seed": 5, "learning_rate": 0.05},
    ],
)
@pytest.mark.parametrize(("n", "m"), [(0, 8), (3, 5), (7, 1)])
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


def test_what_was_set_on_the_optimizer_is_saved_too(tmp_path):
    names = ["ab", "ba", "bb"]
    runs = [small_run(names, LEAST, steps=20)[0] for _ in range(3)]
    for run in runs[:2]:
        run.optimizer.beta1, run.optimizer.beta2 = 0.8, 0.99
        run.optimizer.eps, run.optimizer.weight_decay = 1e-4, 0.5
    _, documents, _ = small_run(names, LEAST)
    for run in runs:
        take_steps(run, documents, 3)
    path, _ = saved(tmp_path, runs[1])
    loaded = load(path)
    for run in (*runs, loaded):
        take_steps(run, documents, 17)
    assert repr(contents(loaded)) == repr(contents(runs[0]))
    # The defaults would have led elsewhere.
    assert abs(loaded.losses[-1] - runs[2].losses[-1]) > 1e-3


def test_the_dice_go_on_where_they_were_with_their_spare_gaussian_number(tmp_path):
    # random.gauss makes numbers in pairs, and keeps the second for the next call.
    run = least_run()
    run.rng.gauss(0, 1)
    path, _ = saved(tmp_path, run)
    loaded = load(path)
    assert [loaded.rng.gauss(0, 1) for _ in range(3)] == [
        run.rng.gauss(0, 1) for _ in range(3)
    ]


def test_a_checkpoint_of_version_1_loads_and_goes_on():
    # Recorded with the program of that time: three steps of nine on ba, ab and bb.
    path = Path(__file__).parent / "data" / "version1.json"
    run, settings = read_checkpoint(str(path))
    assert settings == CommandSettings(
        "names.txt", documents_sha256(["ab", "ba", "bb"]), samples=7
    )
    assert run.optimizer.weight_decay == run.training.weight_decay == 0.1
    take_steps(run, ["ba", "ab", "bb"], 6)
    # fmt: off
    losses_then = [
        1.1236023591207078, 1.0589422567716462, 1.0589863055386473, 1.067532149851333,
        0.9601395050114565, 0.8871390737042011, 1.0055104899835663, 0.9387773277088,
        0.8179142748490721,
    ]
    # fmt: on
    assert run.losses == pytest.approx(losses_then, rel=0, abs=1e-9)
    weight = run.params["lm_head"][1][1].data
    assert weight == pytest.approx(-0.09461965833804468, rel=0, abs=1e-9)


# What cannot be saved


def test_whole_numbers_among_the_floats_are_converted(tmp_path):
    run = least_run()
    run.params["wte"][0][0].data = 3
    run.losses[1] = 2
    run.optimizer.m[5] = 0
    run.optimizer.weight_decay = 1
    path, _ = saved(tmp_path, run)
    loaded = load(path)
    found = [
        loaded.params["wte"][0][0].data,
        loaded.losses[1],
        loaded.optimizer.m[5],
        loaded.optimizer.weight_decay,
    ]
    assert repr(found) == "[3.0, 2.0, 0.0, 1.0]"
    assert run.losses[1] == 2
    assert type(run.losses[1]) is int  # in the run itself, nothing was changed


def optimizer_over_some(run):
    run.optimizer = Adam(flatten(run.params)[:10])
    run.optimizer.t = run.step


def optimizer_over_others(run):
    run.optimizer = Adam(flatten(least_run().params))
    run.optimizer.t = run.step


def optimizer_that_has_gone_further(run):
    run.optimizer.t += 1


def another_vocabulary(run):
    run.tokenizer = CharTokenizer("abc")


def one_weight_in_two_places(run):
    run.params["wte"][0][0] = run.params["wte"][1][1]
    steps = run.step
    run.optimizer = Adam(flatten(run.params))
    run.optimizer.t = steps


def matrices_in_another_order(run):
    run.params = dict(reversed(run.params.items()))
    steps = run.step
    run.optimizer = Adam(flatten(run.params))
    run.optimizer.t = steps


def a_row_too_many(run):
    run.params["wte"].append(run.params["wte"].pop()[:1])


def text_for_a_number(run):
    run.params["wte"][0][0].data = "much"


def a_mean_of_squares_below_0(run):
    run.optimizer.v[0] = -1.0


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (optimizer_over_some, "optimizer"),
        (optimizer_over_others, "optimizer"),
        (optimizer_that_has_gone_further, "4 steps"),
        (another_vocabulary, "vocabulary has 4 tokens"),
        (one_weight_in_two_places, "two places"),
        (matrices_in_another_order, "order"),
        (a_row_too_many, "optimizer"),
        (text_for_a_number, "much"),
        (a_mean_of_squares_below_0, "below 0"),
    ],
)
def test_a_run_that_could_not_be_loaded_never_replaces_one_that_can(
    tmp_path, spoil, word
):
    path, text = saved(tmp_path, least_run())
    run = least_run()
    spoil(run)
    with pytest.raises(ValueError, match=word) as caught:
        save_checkpoint(str(path), run)
    assert "\n" not in str(caught.value)
    assert path.read_text(encoding="utf-8") == text
    assert os.listdir(tmp_path) == ["checkpoint.json"]


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
    with pytest.raises(ValueError, match=r"\b5\b.*not finite.*--learning-rate"):
        save_checkpoint(str(path), run)
    assert path.read_text(encoding="utf-8") == text


def test_weights_that_decay_by_more_than_themselves_are_blamed_on_the_decay(tmp_path):
    # A step of 0.01 with a decay of 1000 multiplies each weight by 1 - 10 = -9.
    run = least_run(weight_decay=1000.0, take=0)
    run.params["wte"][0][0].data = INF
    with pytest.raises(ValueError, match="lower --weight-decay"):
        save_checkpoint(str(tmp_path / "checkpoint.json"), run)


# Killed at any moment

# Saves two runs in turn, for ever, and says when the first is there.
SAVER = """
import sys
from tests.helpers import small_run
from microgpt import save_checkpoint
runs = [small_run(take=take, steps=9)[0] for take in (2, 3)]
save_checkpoint(sys.argv[1], runs[0])
print("saved", flush=True)
while True:
    for run in runs:
        save_checkpoint(sys.argv[1], run)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no kill -9")
def test_killed_at_any_moment_a_save_leaves_a_whole_file(tmp_path):
    known = [repr(contents(small_run(take=take, steps=9)[0])) for take in (2, 3)]
    rng = random.Random(9)
    for turn in range(12):
        path = tmp_path / str(turn) / "checkpoint.json"
        path.parent.mkdir()
        saver = subprocess.Popen(
            [sys.executable, "-c", SAVER, str(path)],
            env=environment(),
            stdout=subprocess.PIPE,
        )
        with saver:
            assert saver.stdout.readline() == b"saved\n"
            time.sleep(rng.uniform(0, 0.02))
            saver.kill()
        assert saver.returncode == -signal.SIGKILL
        assert repr(contents(load(path))) in known


# Files that are no checkpoints


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "cut short"),
        (b"ann\nbob\n", "cut short"),
        (b"\x00\x01\x02\xff", "not text"),
        (b"\xff\xfe{\x00}\x00", "not text"),
        (b"{}", "laid out otherwise"),
        (b"[]", "laid out otherwise"),
        (b"null", "laid out otherwise"),
        (b'"microgpt checkpoint"', "laid out otherwise"),
        (
            b'{"format": "another", "version": 2, "run": {}, "sha256": ""}',
            "not a micro",
        ),
        (
            b'{"format": "microgpt checkpoint", "version": 2, "run": {}, "sha256": 7}',
            "checksum",
        ),
        (b"[" * 200_000 + b"]" * 200_000, ""),
        (b"1" * 10_000, ""),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\n", "git-LFS"),
        (b"\n <!DOCTYPE html><html><head></head></html>", "web page"),
        (b"PK\x03\x04\x14\x00", "zip"),
        (b"\x1f\x8b\x08\x00", "gzip"),
    ],
    ids=lambda thing: repr(thing[:20]),
)
def test_another_file_is_refused_in_one_line_that_says_what_it_is(
    tmp_path, content, word
):
    path = tmp_path / "other.json"
    path.write_bytes(content)
    line = refusal(path)
    assert "other.json" in line
    assert word in line


def test_a_missing_file_and_a_folder_are_refused_and_named(tmp_path):
    assert "nowhere.json" in refusal(tmp_path / "nowhere.json")
    (tmp_path / "folder.json").mkdir()
    assert "folder.json" in refusal(tmp_path / "folder.json")


@pytest.mark.parametrize("version", [0, 3, "1", True, 2.0, None, [1]])
def test_another_version_is_refused(tmp_path, version):
    path, text = saved(tmp_path, least_run())
    record = json.loads(text)
    path.write_text(json.dumps({**record, "version": version}), encoding="utf-8")
    refusal(path)


def test_a_byte_order_mark_does_no_harm(tmp_path):
    run = least_run()
    path, text = saved(tmp_path, run)
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert repr(contents(load(path))) == repr(contents(run))


# Damage: what the checksum is for


def test_a_file_cut_short_anywhere_is_refused(tmp_path):
    path, text = saved(tmp_path, least_run())
    end = text.rindex("}")  # of what follows, a newline, nothing is missed
    rng = random.Random(5)
    for length in [0, 1, end - 1, end, *(rng.randrange(end) for _ in range(30))]:
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


def test_of_120_damaged_files_none_loads_as_another_run(tmp_path):
    run = least_run()
    path, text = saved(tmp_path, run)
    original = repr(contents(run))
    rng = random.Random(6)
    n_refused = 0
    for _ in range(120):
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
    assert n_refused > 95


# Forgery: what the checksum cannot find, since it is right. One for each check.


def forge(path, said, marker=None, instead=None):
    """Write said as a checkpoint with the right checksum.

    A marker in it, a text, is written as something that json.dumps would not write.
    """
    text = json.dumps(said)
    if marker:
        assert text.count(json.dumps(marker)) == 1
        text = text.replace(json.dumps(marker), instead)
    sha256 = hashlib.sha256(text.encode("utf-8")).hexdigest()
    head = {"format": "microgpt checkpoint", "version": 2, "sha256": sha256}
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
FORGERIES = [
    # A part or a setting is missing, unknown, or no part at all.
    ("drop", "vocabulary"),
    ("put", "params", None),
    ("drop", "config n_embd"),
    ("put", "config dropout", 0.5),
    ("drop", "config n_layer"),  # has a default, which must not be made up
    ("drop", "training seed"),
    ("drop", "command samples"),
    ("drop", "adam eps"),
    ("put", "adam amsgrad", 1.0),
    # Settings that their own classes refuse.
    ("put", "config n_layer", 2.0),
    ("put", "config n_head", 3),
    ("put", "training steps", 0),
    ("put", "training learning_rate", INF),
    ("put", "training weight_decay", 10**400),
    ("put", "command temperature", 0.0),
    ("put", "command data", 7),
    ("put", "command running_text", 1),
    # Sizes that do not fit, above all the huge ones, of which nothing may be built.
    ("put", "config n_layer", HUGE),
    ("put", "config block_size", HUGE),
    ("put", "config n_embd", HUGE),
    ("put", "config vocab_size", 4),
    ("put", "vocabulary", "abc"),
    ("put", "vocabulary", "aa"),
    ("put", "vocabulary", ["a", "b"]),
    ("drop", "params wpe"),
    ("put", "params bias", [[0.5]]),
    ("drop", "params wte 0"),
    ("drop", "params wte 0 0"),
    ("put", "params wte 0", {"0": 0.5, "1": 0.5}),
    ("swap", "params layer0.mlp_fc1", "layer0.mlp_fc2"),
    ("drop", "adam m 0"),
    ("put", "adam m", "m" * 64),
    ("add", "adam v", 0.5),
    ("add", "losses", 0.5),
    ("put", "step", HUGE),
    ("put", "step", 3.0),
    # Numbers that are not finite floats, in each place that holds some.
    ("put", "params wte 0 0", NAN),
    ("put", "params wte 0 0", True),
    ("put", "adam m 3", 0),
    ("put", "adam v 63", 10**400),
    ("put", "losses 1", "0.5"),
    ("put", "adam beta1", INF),
    ("put", "rng 2", NAN),
    # Numbers that are finite, and impossible.
    ("put", "adam v 0", -0.5),
    ("put", "adam beta2", 1.0),
    ("put", "adam eps", -1.0),
    # The dice: a version, 624 numbers of 32 bits with a place among them, and a spare.
    ("put", "rng 0", 4),
    ("drop", "rng 1 0"),
    ("put", "rng 1 624", 625),
    ("put", "rng 1 0", 2**32),  # random.setstate() drops the bits beyond 32
    # A line break, which must not get into the message.
    ("put", "config bias\nn_layer", 1),
]


@pytest.fixture(scope="module")
def least(tmp_path_factory):
    """(A run, what its checkpoint says), to be copied before it is changed."""
    run = least_run()
    _, text = saved(tmp_path_factory.mktemp("least"), run)
    said = json.loads(text)["run"]
    assert len(said["adam"]["m"]) == 64
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
        ("config n_layer", "1" * 5000),  # more digits than some Pythons read
        ("step", "[" * 100_000 + "]" * 100_000),
    ],
    ids=["infinity", "digits", "depth"],
)
def test_what_json_dumps_would_not_write_is_refused(tmp_path, least, place, instead):
    _, said = least
    path = tmp_path / "forged.json"
    forge(path, edited(said, "put", place, "MARKER"), "MARKER", instead)
    with little_memory():
        refusal(path)


def test_the_order_of_the_matrices_in_the_file_does_not_matter(tmp_path, least):
    # JSON objects have no order: a tool that sorts their keys says the same.
    run, said = least
    in_order = dict(sorted(said["params"].items()))
    assert list(in_order) != list(said["params"])
    path = tmp_path / "sorted.json"
    forge(path, edited(said, "put", "params", in_order))
    assert repr(contents(load(path))) == repr(contents(run))


def test_a_file_from_before_there_was_running_text_learnt_from_documents(
    tmp_path, least
):
    run, said = least
    path = tmp_path / "older.json"
    forge(path, edited(said, "drop", "command running_text"))
    assert repr(contents(load(path))) == repr(contents(run))
    assert read_checkpoint(str(path))[1].running_text is False


def test_a_setting_that_makes_no_sense_is_named_with_its_value():
    for setting, thing in [
        ("samples", -1),
        ("samples", 2.5),
        ("val_documents", 0),
        ("temperature", 0.0),
        ("temperature", NAN),
    ]:
        with pytest.raises(ValueError, match=rf"{setting} is {re.escape(str(thing))}"):
            CommandSettings(**{setting: thing})
