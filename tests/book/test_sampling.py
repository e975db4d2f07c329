"""Sampling: probabilities by hand, and text token by token."""

from __future__ import annotations

import gc
import math
import random
import statistics
import sys
import time
from collections import Counter

import pytest

from microgpt import sampling
from microgpt.model import as_floats, empty_cache, flatten, gpt, softmax
from microgpt.sampling import generate, likeliest, next_tokens, token_probabilities
from microgpt.value import Value
from tests.helpers import contents, small_run

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
        ({"top_p": 5e-324}, [0, 0, 1]),  # 5/8 of the smallest float is 0 or itself
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


def test_each_token_is_chosen_by_what_the_text_so_far_makes_likely(run):
    how = {"temperature": 0.7, "top_k": 9, "top_p": 0.95}
    for seed in range(20):
        text = ""
        for token_id, probs in next_tokens(*model(run, seed), **how):
            by_hand = token_probabilities(logits_after(run, text), 0.7, 9, 0.95)
            assert probs == pytest.approx(by_hand, rel=1e-12)
            assert probs[token_id] > 0
            text += run.tokenizer.decode([token_id])


def test_without_settings_tokens_are_chosen_by_softmax(run):
    _, probs = next(next_tokens(*model(run)))
    assert probs == pytest.approx(softmax(logits_after(run, "")), rel=1e-12)
    for seed in range(20):
        plain = generate(*model(run, seed))
        assert plain == generate(*model(run, seed), temperature=1.0)


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
    how = (as_floats(run.params), run.config, run.tokenizer, rng)
    _, probs = next(next_tokens(*how))
    n = 3000
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

    monkeypatch.setattr(sampling, "gpt", scripted)
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


def long_writer(params_as=lambda params: params):
    """A model of 64 positions and 2 layers, whose dice never show BOS."""
    run, _, _ = small_run(sizes={"block_size": 64, "n_layer": 2, "n_embd": 8})

    class Dice(random.Random):
        def choices(self, population, weights=None, **more):
            return super().choices(population, [0.0, *weights[1:]], **more)

    return params_as(run.params), run.config, run.tokenizer, Dice(1)


def test_a_text_ends_where_the_model_can_see_no_further():
    assert len(generate(*long_writer(as_floats))) == 64


@pytest.mark.skipif(
    sys.implementation.name != "cpython", reason="counts objects by their references"
)
def test_writing_on_floats_builds_no_graph():
    def live_values():
        return sum(type(thing) is Value for thing in gc.get_objects())

    writer = long_writer(as_floats)
    gc.collect()
    before = live_values()
    for n, _ in enumerate(next_tokens(*writer)):
        assert n % 16 or live_values() == before


def test_values_and_floats_write_the_same_text_by_the_same_probabilities(run):
    how = {"temperature": 0.7, "top_k": 9, "top_p": 0.95}
    for seed in range(10):
        on_values = list(next_tokens(*model(run, seed), **how))
        params, config, tokenizer, rng = model(run, seed)
        on_floats = list(next_tokens(as_floats(params), config, tokenizer, rng, **how))
        assert on_values == on_floats


@pytest.mark.slow
def test_writing_on_floats_is_faster_than_on_values():
    # The default sizes, where it is about three times as fast. Taken in turns and by
    # the clock of this process, so that a busy machine slows down both.
    run, _, _ = small_run(sizes={}, take=20)
    numbers = as_floats(run.params)
    ratios = []
    for seed in range(15):
        seconds = []
        for params in (run.params, numbers):
            rng = random.Random(seed)
            began = time.process_time()
            for _ in range(3):
                generate(params, run.config, run.tokenizer, rng, temperature=0.6)
            seconds.append(time.process_time() - began)
        ratios.append(seconds[0] / seconds[1])
    assert statistics.median(ratios) > 1.5


# likeliest


def test_the_likeliest_tokens_come_in_order_with_their_probabilities():
    probs = [0.1, 0.3, 0.05, 0.25, 0.2, 0.1]
    in_order = [(1, 0.3), (3, 0.25), (4, 0.2), (0, 0.1), (5, 0.1), (2, 0.05)]
    for n in range(1, 8):
        assert likeliest(probs, n) == in_order[:n]
    assert likeliest(probs) == in_order[:5]


def test_impossible_tokens_are_not_among_the_likeliest():
    assert likeliest([0.0, 1.0, 0.0, 0.0]) == [(1, 1.0)]
    assert likeliest([0.0, 5e-324, 0.0], n=2) == [(1, 5e-324)]
