"""Sampling: probabilities by hand, text token by token, and the command."""

from __future__ import annotations

import gc
import math
import random
import re
import sys
from collections import Counter

import pytest
from run import call, contents, small_run

from microgpt import sample
from microgpt.checkpoint import save_checkpoint
from microgpt.gpt import empty_cache, flatten, gpt
from microgpt.sample import generate, main, next_tokens, token_probabilities
from microgpt.value import Value

# Logits of which softmax makes 1/8, 2/8 and 5/8.
EIGHTHS = [math.log(1), math.log(2), math.log(5)]
INF, NAN = float("inf"), float("nan")


# token_probabilities


@pytest.mark.parametrize(
    ("how", "probs"),
    [
        ({}, [1 / 8, 2 / 8, 5 / 8]),
        # Half the temperature squares the odds 1 : 2 : 5, twice takes their root.
        ({"temperature": 0.5}, [1 / 30, 4 / 30, 25 / 30]),
        (
            {"temperature": 2.0},
            [x / (1 + 2**0.5 + 5**0.5) for x in (1, 2**0.5, 5**0.5)],
        ),
        ({"top_k": 1}, [0, 0, 1]),
        ({"top_k": 2}, [0, 2 / 7, 5 / 7]),
        ({"top_k": 3}, [1 / 8, 2 / 8, 5 / 8]),
        ({"top_k": 99}, [1 / 8, 2 / 8, 5 / 8]),  # more than there are: all
        ({"top_p": 0.01}, [0, 0, 1]),  # never none
        ({"top_p": 0.62}, [0, 0, 1]),  # 5/8 is 0.625
        ({"top_p": 0.63}, [0, 2 / 7, 5 / 7]),
        ({"top_p": 0.87}, [0, 2 / 7, 5 / 7]),  # 7/8 is 0.875
        ({"top_p": 0.88}, [1 / 8, 2 / 8, 5 / 8]),
        ({"top_p": 1.0}, [1 / 8, 2 / 8, 5 / 8]),
        # top_p counts in what top_k has left: there, the likeliest has 5/7 = 0.714.
        ({"top_k": 2, "top_p": 0.71}, [0, 0, 1]),
        ({"top_k": 2, "top_p": 0.72}, [0, 2 / 7, 5 / 7]),
        ({"top_k": 2, "top_p": 1.0}, [0, 2 / 7, 5 / 7]),
        # All three: 25/29 = 0.862 at half the temperature, of the two that are left.
        ({"temperature": 0.5, "top_k": 2, "top_p": 0.86}, [0, 0, 1]),
        ({"temperature": 0.5, "top_k": 2, "top_p": 0.87}, [0, 4 / 29, 25 / 29]),
    ],
)
def test_temperature_top_k_and_top_p_by_hand(how, probs):
    assert token_probabilities(EIGHTHS, **how) == pytest.approx(probs, rel=1e-12)


@pytest.mark.parametrize(
    ("how", "probs"),
    [
        ({}, [0.25, 0.25, 0.25, 0.25]),
        ({"top_k": 1}, [1, 0, 0, 0]),
        ({"top_k": 3}, [1 / 3, 1 / 3, 1 / 3, 0]),
        ({"top_p": 0.5}, [0.5, 0.5, 0, 0]),
        ({"top_p": 0.51}, [1 / 3, 1 / 3, 1 / 3, 0]),
    ],
)
def test_of_equal_logits_the_first_are_kept(how, probs):
    assert token_probabilities([7.0] * 4, **how) == pytest.approx(probs)


@pytest.mark.parametrize(
    ("logits", "temperature", "probs"),
    [
        ([800.0, 0.0], 1.0, [1, 0]),
        ([0.0, -800.0], 1.0, [1, 0]),
        ([-800.0, 0.0, 800.0], 1.0, [0, 0, 1]),
        ([1e308, -1e308], 1.0, [1, 0]),
        ([1.0, 1.001], 1e-6, [0, 1]),  # 1000 apart
        ([800.0, 0.0], 1e-6, [1, 0]),
        ([800.0, 800.0], 1e-6, [0.5, 0.5]),
        ([2.0, 1.0], 5e-324, [1, 0]),  # the smallest float above 0
        ([2.0, 1.0], 1e300, [0.5, 0.5]),
    ],
)
def test_no_logits_and_no_temperature_are_too_far_apart(logits, temperature, probs):
    assert token_probabilities(logits, temperature) == pytest.approx(probs)


def test_only_differences_of_logits_count():
    shifted = [logit + 1000.0 for logit in EIGHTHS]
    assert token_probabilities(shifted) == pytest.approx([1 / 8, 2 / 8, 5 / 8])


def test_whatever_the_settings_the_probabilities_sum_to_1():
    rng = random.Random(1)
    for _ in range(300):
        logits = [rng.gauss(0, 3) for _ in range(rng.randrange(1, 30))]
        top_k = rng.choice([None, rng.randrange(1, 40)])
        top_p = rng.choice([None, 1 - rng.random()])
        probs = token_probabilities(logits, rng.choice([0.1, 0.6, 3.0]), top_k, top_p)
        assert sum(probs) == pytest.approx(1.0, abs=1e-12)
        assert min(probs) >= 0


def test_top_p_keeps_the_fewest_tokens_that_reach_p():
    rng = random.Random(2)
    for _ in range(300):
        logits = [rng.gauss(0, 2) for _ in range(rng.randrange(2, 12))]
        top_p = 1 - rng.random()
        plain = token_probabilities(logits)
        cut = token_probabilities(logits, top_p=top_p)
        kept = [p for p, kept in zip(plain, cut) if kept]
        dropped = [p for p, kept in zip(plain, cut) if not kept]
        assert min(kept) >= max(dropped, default=0)
        assert sum(kept) >= top_p - 1e-12
        assert sum(kept) - min(kept) < top_p
        assert [p for p in cut if p] == pytest.approx([p / sum(kept) for p in kept])


@pytest.mark.parametrize(
    ("setting", "number"),
    [
        ("temperature", 0),
        ("temperature", 0.0),
        ("temperature", -0.6),
        ("temperature", NAN),
        ("temperature", INF),
        ("top_k", 0),
        ("top_k", -1),
        ("top_p", 0.0),
        ("top_p", -0.5),
        ("top_p", 1.0001),
        ("top_p", NAN),
        ("top_p", INF),
    ],
)
def test_a_setting_out_of_range_is_named_with_its_value(setting, number):
    with pytest.raises(ValueError, match=rf"{setting} is {number}\b"):
        token_probabilities(EIGHTHS, **{setting: number})


@pytest.mark.parametrize("logits", [[NAN, 0.0], [0.0, NAN], [INF, 0.0], [INF, INF]])
def test_logits_that_are_no_numbers_have_no_probabilities(logits):
    with pytest.raises(ValueError, match=r"finite|nan|inf"):
        token_probabilities(logits)


# generate


@pytest.fixture(scope="module")
def run():
    """A small model after enough steps that its letters are far from equally likely."""
    run, _, _ = small_run(take=60, steps=60, learning_rate=0.03)
    return run


def model(run, seed=0):
    return run.params, run.config, run.tokenizer, random.Random(seed)


def logits_after(run, text):
    """Return the logits after BOS and text, fed to gpt() one by one."""
    keys, values = empty_cache(run.config)
    for pos_id, token_id in enumerate([0, *run.tokenizer.encode(text)]):
        logits = gpt(run.params, run.config, token_id, pos_id, keys, values)
    return [logit.data for logit in logits]


def test_each_token_is_drawn_from_what_the_text_so_far_makes_likely(run):
    how = {"temperature": 0.7, "top_k": 9, "top_p": 0.95}
    for seed in range(20):
        text = ""
        for token_id, probs in next_tokens(*model(run, seed), **how):
            by_hand = token_probabilities(logits_after(run, text), 0.7, 9, 0.95)
            assert probs == pytest.approx(by_hand, rel=1e-12)
            assert probs[token_id] > 0
            text += run.tokenizer.decode([token_id])


@pytest.mark.parametrize("prompt", ["", "a", "zo", "bob"])
def test_greedy_is_the_argmax_at_every_step_whatever_the_seed(run, prompt):
    text = prompt
    while len(text) < run.config.block_size:
        logits = logits_after(run, text)
        best = logits.index(max(logits))
        if best == run.tokenizer.bos:
            break
        text += run.tokenizer.decode([best])
    greedy = {generate(*model(run, seed), prompt, top_k=1) for seed in range(10)}
    assert greedy == {text}


def test_a_prompt_is_continued_as_if_the_model_had_written_it(run):
    by_text = {}
    for seed in range(40):
        text = ""
        for token_id, probs in next_tokens(*model(run, seed)):
            by_text[text] = probs
            text += run.tokenizer.decode([token_id])
    prompts = [text for text in by_text if text]
    assert len(prompts) > 20
    for prompt in prompts:
        _, probs = next(next_tokens(*model(run), prompt))
        assert probs == by_text[prompt]
        assert generate(*model(run), prompt).startswith(prompt)


def test_the_same_seed_writes_the_same_text(run):
    texts = [[generate(*model(run, seed)) for seed in range(30)] for _ in range(2)]
    assert texts[0] == texts[1]
    assert len(set(texts[0])) > 10


def test_a_wilder_temperature_writes_more_different_texts(run):
    def n_different(temperature):
        how = {"temperature": temperature}
        return len({generate(*model(run, seed), **how) for seed in range(60)})

    assert n_different(0.05) < n_different(0.6) < n_different(5.0)


def test_tokens_come_as_often_as_their_probabilities_say(run):
    # Pearson's chi-squared: with 18 tokens it is above 48 once in 10,000 times.
    rng = random.Random(3)
    first_token = next_tokens(run.params, run.config, run.tokenizer, rng)
    _, probs = next(first_token)
    n = 3000
    how = (run.params, run.config, run.tokenizer, rng)
    counts = Counter(next(next_tokens(*how))[0] for _ in range(n))
    expected = [n * p for p in probs]
    assert min(expected) > 5
    off = sum((counts[i] - e) ** 2 / e for i, e in enumerate(expected))
    assert off < 48
    # The same counts would not pass for equally likely tokens.
    even = n / len(probs)
    assert sum((counts[i] - even) ** 2 / even for i in range(len(probs))) > 100


def test_a_text_ends_at_bos_which_is_no_part_of_it(run, monkeypatch):
    # A model that says a, b, a, BOS, whatever it is fed.
    script = [*run.tokenizer.encode("aba"), run.tokenizer.bos]

    def scripted(params, config, token_id, pos_id, keys, values):
        assert token_id == [run.tokenizer.bos, *script][pos_id]
        for layer in range(config.n_layer):
            keys[layer].append([])
            values[layer].append([])
        return [Value(99.0 * (i == script[pos_id])) for i in range(config.vocab_size)]

    monkeypatch.setattr(sample, "gpt", scripted)
    assert generate(*model(run)) == "aba"
    assert generate(*model(run), prompt="ab") == "aba"
    # And one that never ends: as many characters as there are positions.
    script = run.tokenizer.encode("abab")
    assert generate(*model(run)) == "abab"
    assert generate(*model(run), prompt="aba") == "abab"


def test_a_prompt_that_fills_the_block_is_refused_with_both_numbers(run):
    assert len(generate(*model(run), prompt="bob")) in (3, 4)
    with pytest.raises(ValueError, match=r"\b4 .*block_size is 4\b.*\b3\b"):
        generate(*model(run), prompt="bobb")


def test_a_prompt_character_that_the_model_does_not_know_is_named(run):
    with pytest.raises(ValueError, match="'q'"):
        generate(*model(run), prompt="aq")


def test_writing_changes_nothing_in_the_model(run):
    before = repr(contents(run))
    for seed in range(5):
        generate(*model(run, seed))
    assert repr(contents(run)) == before
    assert {parameter.grad for parameter in flatten(run.params)} == {0.0}


@pytest.fixture
def caches(monkeypatch):
    """The (keys, values) of every text that is written during a test."""
    made = []

    def watched(config):
        made.append(empty_cache(config))
        return made[-1]

    monkeypatch.setattr(sample, "empty_cache", watched)
    return made


def long_writer():
    """A model of 64 positions and 2 layers, whose dice never show BOS."""
    run, _, _ = small_run(sizes={"block_size": 64, "n_layer": 2, "n_embd": 8})

    class Dice(random.Random):
        def choices(self, population, weights=None, **more):
            return super().choices(population, [0.0, *weights[1:]], **more)

    return run.params, run.config, run.tokenizer, Dice(1)


def test_the_keys_and_values_of_a_long_text_remember_no_graph(caches):
    writer = long_writer()
    assert len(generate(*writer)) == 64
    [(keys, values)] = caches
    assert [len(layer) for layer in keys + values] == [64] * 4
    for layer in keys + values:
        assert all(number.inputs == () for row in layer for number in row)


@pytest.mark.skipif(
    sys.implementation.name != "cpython", reason="counts objects by their references"
)
def test_a_long_text_needs_room_for_its_newest_token_only():
    def live():
        return sum(type(thing) is Value for thing in gc.get_objects())

    writer = long_writer()
    config = writer[1]
    gc.collect()
    gc.disable()
    try:
        before = live()
        alive = [live() - before for _ in next_tokens(*writer)]
        after = live() - before
    finally:
        gc.enable()
    # A token leaves 2 keys and values of n_embd numbers behind, a layer; and attention
    # to one more token makes a few nodes more, a head: a score before and after it is
    # scaled, a shifted score and a weight.
    kept = config.n_layer * 2 * config.n_embd
    looked_at = config.n_layer * config.n_head * 4
    growth = [later - earlier for earlier, later in zip(alive, alive[1:])]
    assert len(growth) == 63
    assert max(growth) <= kept + looked_at
    assert after == 0


# The command


@pytest.fixture
def checkpoint(run, tmp_path):
    path = str(tmp_path / "model.json")
    save_checkpoint(path, run)
    return path


def drawn(run, n, seed=42, prompt="", temperature=0.6, top_k=None, top_p=None):
    """Return what the command must print: n texts, all from one generator."""
    how = model(run, seed)
    settings = (prompt, temperature, top_k, top_p)
    return "".join([generate(*how, *settings) + "\n" for _ in range(n)])


@pytest.mark.parametrize(
    ("flags", "settings"),
    [
        ((), {"n": 20}),
        (("--n", 3), {"n": 3}),
        (("--n", 5, "--seed", 7), {"n": 5, "seed": 7}),
        (("--n", 5, "--temperature", 2), {"n": 5, "temperature": 2.0}),
        (("--n", 5, "--top-k", 3), {"n": 5, "top_k": 3}),
        (("--n", 5, "--top-p", 0.5), {"n": 5, "top_p": 0.5}),
        (("--n", 5, "--prompt", "ab"), {"n": 5, "prompt": "ab"}),
        (("--n", 5, "--greedy"), {"n": 5, "top_k": 1}),
    ],
)
def test_the_command_prints_what_generate_writes(
    run, checkpoint, capsys, flags, settings
):
    outcome = call(capsys, main, "--checkpoint", checkpoint, *flags)
    assert outcome == (0, drawn(run, **settings), "")


def test_each_setting_makes_a_difference(run):
    # Else the test above would compare the same texts again and again.
    settings = [
        {},
        {"seed": 7},
        {"temperature": 2.0},
        {"top_k": 3},
        {"top_p": 0.5},
        {"prompt": "ab"},
        {"top_k": 1},
    ]
    assert len({drawn(run, 5, **setting) for setting in settings}) == len(settings)


def test_greedy_prints_the_same_whatever_the_seed_and_the_temperature(
    checkpoint, capsys
):
    outcomes = {
        call(capsys, main, "--checkpoint", checkpoint, "--greedy", *flags)
        for flags in ((), ("--seed", 1), ("--seed", 99), ("--temperature", 9))
    }
    [outcome] = outcomes
    assert outcome.code == 0
    assert len(set(outcome.out.splitlines())) == 1


def test_the_command_reads_the_checkpoint_of_the_folder_out(
    run, tmp_path, monkeypatch, capsys
):
    (tmp_path / "out").mkdir()
    save_checkpoint(str(tmp_path / "out" / "checkpoint.json"), run)
    monkeypatch.chdir(tmp_path)
    assert call(capsys, main, "--n", 2).out == drawn(run, 2)


@pytest.mark.parametrize(
    ("flags", "settings"),
    [
        ((), {}),
        (("--temperature", 1.5), {"temperature": 1.5}),
        (("--prompt", "am"), {"prompt": "am"}),
        (("--top-k", 3), {"top_k": 3}),
        (("--top-p", 0.8), {"top_p": 0.8}),
    ],
)
def test_the_probabilities_shown_are_those_of_each_draw(
    run, checkpoint, capsys, flags, settings
):
    flags = ("--checkpoint", checkpoint, "--n", 6, "--show-probabilities", *flags)
    outcome = call(capsys, main, *flags)
    assert outcome.code == 0

    # Rows such as "  a  12.3% ###", in groups, one a draw.
    row = re.compile(r"^ *(\S+) +([0-9.]+)%")
    groups = [[]]
    for line in outcome.out.splitlines():
        found = row.match(line)
        if found:
            groups[-1].append((found[1], float(found[2])))
        elif groups[-1]:
            groups.append([])
    groups = [group for group in groups if group]

    expected = []
    how = model(run, seed=42)
    for _ in range(6):
        for _, probs in next_tokens(*how, **{"temperature": 0.6, **settings}):
            likely = sorted(enumerate(probs), key=lambda pair: -pair[1])[:5]
            expected.append([(i, 100 * p) for i, p in likely if p])
    assert len(groups) == len(expected) >= 12
    for group, draws in zip(groups, expected):
        percents = [percent for _, percent in group]
        assert percents == pytest.approx([p for _, p in draws], abs=0.0501)
        for (name, _), (token_id, _) in zip(group, draws):
            if token_id != run.tokenizer.bos:
                assert name == run.tokenizer.decode([token_id])
            else:
                assert len(name) > 1  # no letter stands for the end


def test_showing_probabilities_changes_no_text(run, checkpoint, capsys):
    flags = ("--checkpoint", checkpoint, "--n", 6)
    shown = call(capsys, main, *flags, "--show-probabilities").out.splitlines()
    plain = call(capsys, main, *flags).out.splitlines()
    texts = iter(shown)
    assert all(text in texts for text in plain)  # all there, in this order
