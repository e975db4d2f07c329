"""A minute of random input; and that the fuzzer would notice what it looks for."""

from __future__ import annotations

import os

import pytest

from tests.commands import fuzz

pytestmark = pytest.mark.skipif(
    os.name == "nt" or not os.path.exists("/dev/full"), reason="needs Linux's devices"
)


@pytest.mark.slow
def test_nothing_is_found_in_a_minute_of_random_input():
    n, found = fuzz.fuzz(seconds=45, seed=11, most=150)
    assert found == []
    assert n >= 10


GOOD = b'{"run": {"losses": [1.0]}}'


@pytest.mark.parametrize(
    ("outcome", "word"),
    [
        (fuzz.Outcome(0, "fine\n", "", False), None),
        (fuzz.Outcome(2, "", "error: bad\n", False), None),
        (fuzz.Outcome(3, "", "", False), "exit code 3"),
        (fuzz.Outcome(2, "", "", False), "0 lines of error"),
        (fuzz.Outcome(2, "", "error: a\nerror: b\n", False), "2 lines of error"),
        (fuzz.Outcome(0, "", "error: bad\n", False), "exit code 0"),
        (fuzz.Outcome(1, "", "", False), "the reader was there"),
        (fuzz.Outcome(130, "", "Traceback (most …\n", False), "Traceback"),
        (fuzz.Outcome(0, "", "Exception ignored in\n", False), "Exception ignored"),
        (fuzz.Outcome(0, "a\x1b[2J\n", "", False), "\\x1b"),
        (fuzz.Outcome(0, "a\r\n", "", False), "\\r"),
        (fuzz.Outcome(2, "", "error: embedded null byte\n", False), "own words"),
        (fuzz.Outcome(-9, None, None, True), "did not end"),
    ],
)
def test_what_must_not_happen_is_noticed(tmp_path, outcome, word):
    case = fuzz.Case("microgpt.train", [], "plain", b"", GOOD, [])
    fuzz.prepare(tmp_path, case)
    wrong = fuzz.complaints(tmp_path, case, outcome)
    if word is None:
        assert wrong == []
    else:
        assert any(word in complaint for complaint in wrong)


def test_a_run_that_is_gone_or_cannot_be_read_is_noticed(tmp_path):
    case = fuzz.Case("microgpt.train", [], "plain", b"", GOOD, [])
    fuzz.prepare(tmp_path, case)
    path = tmp_path / "out" / "checkpoint.json"
    fine = fuzz.Outcome(0, "", "", False)
    path.unlink()
    assert fuzz.complaints(tmp_path, case, fine) == ["the run that was there is lost"]
    path.write_bytes(b"cut sho")
    (tmp_path / "out" / ".1234.tmp").write_bytes(b"")
    wrong = fuzz.complaints(tmp_path, case, fine)
    assert any("cannot be read" in complaint for complaint in wrong)
    assert any("left behind" in complaint for complaint in wrong)
    # Moved aside, it is not lost.
    (tmp_path / "out" / "previous-1").mkdir()
    (tmp_path / "out" / "previous-1" / "checkpoint.json").write_bytes(GOOD)
    path.unlink()
    (tmp_path / "out" / ".1234.tmp").unlink()
    assert fuzz.complaints(tmp_path, case, fine) == []


def test_a_case_follows_from_its_seed_and_number():
    cases = [fuzz.random_case(3, number, GOOD + b"x" * 50) for number in (1, 2, 1)]
    assert cases[0] == cases[2] != cases[1]
