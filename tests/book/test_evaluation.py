"""What is measured: the held-out loss, the table of letter pairs, means."""

from __future__ import annotations

import math

import pytest

from microgpt.evaluation import bigram_loss, held_out_loss, perplexity, smooth
from microgpt.model import document_loss, flatten
from tests.helpers import NAMES, contents, small_run


def test_the_held_out_loss_weighs_every_character_the_same():
    run, _, _ = small_run(take=10)
    documents = ["a", "bob", "zoemia"]  # of the last, 4 characters fit the block

    def loss(name):
        tokens = run.tokenizer.encode_document(name)
        return document_loss(run.params, run.config, tokens).data

    by_hand = (2 * loss("a") + 4 * loss("bob") + 4 * loss("zoemia")) / (2 + 4 + 4)
    assert held_out_loss(run, documents) == pytest.approx(by_hand, rel=1e-14)
    unweighted = (loss("a") + loss("bob") + loss("zoemia")) / 3
    assert by_hand != pytest.approx(unweighted, rel=1e-6)


def test_a_model_that_knows_nothing_has_the_loss_of_a_blind_guess():
    run, _, _ = small_run()
    for row in run.params["lm_head"]:
        for weight in row:
            weight.data = 0.0
    assert held_out_loss(run, NAMES) == pytest.approx(math.log(18))


def test_measuring_changes_nothing_in_the_run():
    # No gradient is left for the next step, and no random number is used up.
    run, _, held_out = small_run(take=3)
    before = repr(contents(run))
    held_out_loss(run, held_out)
    bigram_loss(run, NAMES, held_out)
    assert repr(contents(run)) == before
    assert {parameter.grad for parameter in flatten(run.params)} == {0.0}


def test_documents_may_come_one_by_one():
    run, _, held_out = small_run(take=3)
    assert held_out_loss(run, iter(held_out)) == held_out_loss(run, held_out)


def test_the_loss_of_no_documents_is_an_error_and_not_0():
    run, _, _ = small_run()
    for nothing in ([], iter([])):
        with pytest.raises(ValueError, match="there are no documents to measure"):
            held_out_loss(run, nothing)
    with pytest.raises(ValueError, match="there are no documents to measure"):
        bigram_loss(run, NAMES, [])


def test_a_held_out_letter_that_the_model_does_not_know_is_named():
    run, _, _ = small_run()
    with pytest.raises(ValueError, match="'q'"):
        held_out_loss(run, ["ann", "q"])


def test_perplexity_is_the_number_of_equally_likely_letters():
    assert perplexity(0.0) == 1.0
    assert perplexity(math.log(18)) == pytest.approx(18.0, rel=1e-14)


# The table of letter pairs.


def test_the_table_of_letter_pairs_by_hand():
    run, _, _ = small_run(["ab", "b"], val_fraction=0.0)
    # Counted on "ab": BOS a, a b and b BOS, each once. With one more for each of the 3
    # tokens, these have a share of 2/4, and every other pair has 1/4.
    assert bigram_loss(run, ["ab"], ["ab"]) == pytest.approx(math.log(2))
    # In "b", BOS b was not counted, b BOS was.
    by_hand = (math.log(4) + math.log(2)) / 2
    assert bigram_loss(run, ["ab"], ["b"]) == pytest.approx(by_hand)
    # Nothing was counted: 1/3 for every pair.
    assert bigram_loss(run, [], ["ab", "b"]) == pytest.approx(math.log(3))


def test_the_table_weighs_every_character_the_same():
    run, _, _ = small_run(["ab", "b"], val_fraction=0.0)
    # Of "ab" three pairs with a share of 2/4, of "b" one with 1/4 and one with 2/4.
    by_hand = (3 * math.log(2) + math.log(4) + math.log(2)) / 5
    assert bigram_loss(run, ["ab"], ["ab", "b"]) == pytest.approx(by_hand)


def test_a_pair_that_is_counted_twice_has_twice_the_count():
    run, _, _ = small_run(["ab", "b"], val_fraction=0.0)
    # After BOS: a twice and b once, and one more for each of 3 tokens: (2 + 1) / 6 and
    # (1 + 1) / 6. After b: BOS three times: (3 + 1) / (3 + 3).
    loss = bigram_loss(run, ["ab", "b", "ab"], ["b"])
    assert loss == pytest.approx((math.log(6 / 2) + math.log(6 / 4)) / 2)


def test_the_end_of_a_window_is_not_counted_as_the_end_of_a_text():
    run, _, _ = small_run(["ab", "b"], val_fraction=0.0)
    # Counted on the window "ab": BOS a and a b, but not b BOS. After b nothing has been
    # seen, so each of the 3 tokens has a share of 1/3.
    by_hand = (2 * math.log(2) + math.log(3)) / 3
    assert bigram_loss(run, ["ab"], ["ab"], ends=False) == pytest.approx(by_hand)


def test_the_table_of_letter_pairs_is_asked_for_what_the_model_is_asked_for():
    # Of a name of 6 letters, 4 fit the block: the pairs after them are not asked for.
    run, _, _ = small_run(["aaaabb"])
    assert run.config.block_size == 4
    first_four = [(0, 1), (1, 1), (1, 1), (1, 1)]
    shares = {(0, 1): 2 / 4, (1, 1): 4 / 7}  # counted on all of it
    by_hand = -sum(math.log(shares[pair]) for pair in first_four) / 4
    assert bigram_loss(run, ["aaaabb"], ["aaaabb"]) == pytest.approx(by_hand)


# The mean of the last few.


@pytest.mark.parametrize(
    ("losses", "window", "means"),
    [
        ([], 3, []),
        ([5.0], 3, [5.0]),
        ([6.0, 0.0, 3.0, 9.0], 1, [6.0, 0.0, 3.0, 9.0]),
        ([6.0, 0.0, 3.0, 9.0], 2, [6.0, 3.0, 1.5, 6.0]),
        ([6.0, 0.0, 3.0, 9.0], 99, [6.0, 3.0, 3.0, 4.5]),
    ],
)
def test_smoothing_takes_the_mean_of_the_last_few(losses, window, means):
    assert smooth(losses, window) == pytest.approx(means)


def test_smoothing_looks_back_50_steps_unless_told_otherwise():
    # The 1 in front is in the mean of the first 50 steps, and in no later one.
    means = smooth([1.0] + [0.0] * 60)
    assert means[49] == 1 / 50
    assert means[50] == 0.0
