"""The bug hunt: a planted bug shows, its answer passes, half a repair does not."""

from __future__ import annotations

import ast
import difflib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "examples" / "bughunt"))

import hunt  # noqa: E402

pytestmark = pytest.mark.slow

FOLDER = Path(hunt.HERE)
ANSWERS = FOLDER / "answers"
FILES = [bug.file for bug in hunt.BUGS]
NUMBERS = range(1, len(FILES) + 1)


def docstrings(text):
    """Return every docstring of a file, in order."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, kinds)]
    return [ast.get_docstring(node) for node in nodes]


def repaired(folder, number, *replacements):
    """Write bug number to folder with each (old, new) replaced, as a reader might."""
    text = (FOLDER / FILES[number - 1]).read_text(encoding="utf-8")
    for old, new in replacements:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (folder / FILES[number - 1]).write_text(text, encoding="utf-8")


def test_there_are_as_many_answers_as_bugs_and_nothing_else():
    assert len(FILES) >= 20
    assert sorted(path.name for path in FOLDER.glob("bug*.py")) == FILES
    assert sorted(path.name for path in ANSWERS.glob("*.py")) == FILES


@pytest.mark.parametrize("number", NUMBERS)
def test_a_planted_bug_shows_and_its_answer_passes(number, capsys):
    assert hunt.main([str(number)], str(FOLDER)) == 1
    shown = capsys.readouterr()
    assert shown.err == ""
    # The symptom itself is shown: the planted files run, and something in it is marked.
    assert "<--" in shown.out
    assert "stopped" not in shown.out
    # Where to look is told only to those who ask.
    hint = hunt.BUGS[number - 1].hint
    assert hint not in shown.out
    assert hunt.main([str(number), "--hint"], str(FOLDER)) == 1
    assert shown.out.replace("For a hint, add --hint.", f"Hint: look at {hint}") == (
        capsys.readouterr().out
    )

    assert hunt.main([str(number)], str(ANSWERS)) == 0
    shown = capsys.readouterr()
    assert "<--" not in shown.out
    assert "the bug is gone" in shown.out


@pytest.mark.parametrize("file", FILES)
def test_an_answer_differs_from_the_planted_file_in_one_place(file):
    planted = (FOLDER / file).read_text(encoding="utf-8")
    answer = (ANSWERS / file).read_text(encoding="utf-8")
    assert 15 <= len(planted.splitlines()) <= 45
    # What the code should do is said in both, in the same words.
    assert docstrings(planted) == docstrings(answer)
    assert all(docstrings(planted))
    assert answer.count("# Mended: ") == 1
    assert "Mended" not in planted
    lines = [line for line in answer.splitlines() if "# Mended: " not in line]
    difference = list(difflib.ndiff(planted.splitlines(), lines))
    assert 1 <= sum(line[:2] in ("- ", "+ ") for line in difference) <= 4


# number, replacements
OTHER_RIGHT_REPAIRS = [
    (1, ("input.grad = local_grad", "input.grad = input.grad + local_grad")),
    (
        3,
        ("    row = random_row(n_in, rng, std)\n", ""),
        (
            "[row] * n_out",
            "list(zip(*[random_row(n_out, rng, std) for _ in range(n_in)]))",
        ),
    ),
    (5, ("exps = [logit.exp()", "top = max(x.data for x in logits)\n"
         "    exps = [(logit - top - 1.0).exp()")),
    (8, ("losses.append(loss.data)", "losses.append(loss.data)\n"
         "        for parameter in parameters:\n            parameter.grad = 0.0")),
    (11, ("(logit - maximum) * temperature", "logit / temperature")),
    (12, ("pairs(names):\n        seen",
          "pairs(names[: len(names) // 2]):\n        seen")),
    (13, ("-4.0", "float('-inf')")),
    (14, ("len(q) ** -0.5", "(len(q) / n_head) ** -0.5")),
    (15, ("    losses = [cross",
          "    before, network.p = network.p, 0.0\n    losses = [cross"),
         ("    return sum(losses)", "    network.p = before\n    return sum(losses)")),
    (16, ("        self.keep(mean, variance)\n", ""),
         ("            mean, variance = self.mean, self.variance\n",
          "            mean, variance = self.mean, self.variance\n"
          "        else:\n            self.keep(mean, variance)\n")),
    (17, ("tokens.index(completion[0])", "len(tokens) - len(completion)")),
    (18, ("        optimizer.step(lr)",
          "        kept = flatten({name: params[name] for name in frozen})\n"
          "        before = [weight.data for weight in kept]\n"
          "        optimizer.step(lr)\n"
          "        for weight, data in zip(kept, before):\n"
          "            weight.data = data")),
    (19, ("    scale = alpha / len(a)\n    addition = [number * scale for",
          "    addition = [number for")),
    (20, ("[list(row) for row in policy]",
          "[[type(x)(x.data) for x in row] for row in policy]")),
]  # fmt: skip


@pytest.mark.parametrize("number, replacements", [
    (number, replacements) for number, *replacements in OTHER_RIGHT_REPAIRS
])  # fmt: skip
def test_another_right_repair_passes_too(number, replacements, tmp_path):
    repaired(tmp_path, number, *replacements)
    assert hunt.main([str(number)], str(tmp_path)) == 0


WRONG_REPAIRS = [
    (1, ("reversed(order)", "order")),
    (2, ("tokens[pos_id]", "tokens[pos_id - 1]")),
    # Other lists, but the same Values in them.
    (3, ("[row] * n_out", "[list(row) for _ in range(n_out)]")),
    (3, ("[row] * n_out", "[row] * n_in")),
    (4, ("in zip(*w)", "in reversed(w)")),
    (5, ("logit.exp()", "(logit - 1000.0).exp()")),
    # The right numbers, cut off from the logits.
    (5, ("logit.exp()", "(logit - max(x.data for x in logits)).exp() * 1"),
        ("e / exps_sum", "type(e)(e.data / exps_sum.data)")),
    (6, ("n_seen + 1", "n_seen - 1")),
    (6, ("slice(0, n_seen + 1)", "slice(t, n_seen)")),
    (7, ("[Value(number.data) for number in k]", "k"),
        ("append(v)", "append([Value(number.data) for number in v])")),
    (8, ("lr * parameter.grad",
         "lr * parameter.grad\n            parameter.grad /= 2")),
    (9, ("m_hat, v_hat = self.m[i], self.v[i]",
         "m_hat, v_hat = self.m[i] / (1 - self.beta1**self.t), self.v[i]")),
    # The same first step, but the factor must fade.
    (9, ("m_hat, v_hat = self.m[i], self.v[i]",
         "m_hat, v_hat = self.m[i] / (1 - self.beta1), self.v[i] / (1 - self.beta2)")),
    (10, ("(step - n_warmup) // (n_steps - n_warmup)", "step / n_steps")),
    (11, (" * temperature", "")),
    (12, ("pairs(names):\n        seen",
          "pairs(held_out_names):\n        seen")),
    # Nearly nothing comes through, until a score is large.
    (13, ("-4.0", "-30.0")),
    (13, ("s <= t", "s < t")),
    (13, ("-4.0", "-1e9"),
         ("s <= t", "s <= t + 1")),
    (14, ("len(q) ** -0.5", "n_head ** -0.5")),
    (14, ("len(q) ** -0.5", "head_dim ** -0.5"),
         ("(h + 1) * head_dim", "(h + 2) * head_dim")),
    # Without dropout the measure is right, and learning is not.
    (15, ("self.is_learning = True", "self.is_learning = False"),
         ("network.is_learning = True", "pass")),
    (15, ("k / (1 - self.p)", "k")),
    (16, ("        self.keep(mean, variance)\n", "")),
    (16, ("        self.keep(mean, variance)\n        if not is_learning:",
          "        if is_learning:\n            self.keep(mean, variance)")),
    (17, ("tokens.index(completion[0])", "len(prompt) + 1")),
    (17, ("tokens.index(completion[0])", "len(prompt) - 1")),
    (17, ("completion[0]", "completion[-1]")),
    (17, ("tokens.index(completion[0])", "len(prompt)"),
         ("1 / len(losses)", "1 / (len(tokens) - 1)")),
    # The frozen ones stay, but the trained ones are no longer pulled towards 0.
    (18, (", weight_decay=0.1", "")),
    (18, ("if name not in trained", "if name in trained")),
    (18, ("flatten(params), weight_decay=0.1",
          "flatten({name: params[name] for name in frozen}), weight_decay=0.1")),
    # Merged and beside the weight are equal, and both are wrong.
    (19, ("dot(row_of_b, column) * scale", "dot(row_of_b, column) * scale * scale")),
    (19, ("alpha / len(a)\n    narrow", "1 / len(a)\n    narrow")),
    (19, ("alpha / len(a)\n    addition", "len(a) / alpha\n    addition")),
    (20, ("[list(row) for row in policy]", "list(policy)")),
    # A copy, but a new one at each step.
    (20, ("        moved = []",
          "        moved = []\n"
          "        reference = [[x.data for x in row] for row in policy]")),
    # A reference that stays, and is not the start.
    (20, ("[list(row) for row in policy]", "[[0.0 for _ in row] for row in policy]")),
]  # fmt: skip


@pytest.mark.parametrize("number, replacements", [
    (number, replacements) for number, *replacements in WRONG_REPAIRS
])  # fmt: skip
def test_a_wrong_repair_does_not_pass(number, replacements, tmp_path, capsys):
    repaired(tmp_path, number, *replacements)
    assert hunt.main([str(number)], str(tmp_path)) == 1
    out = capsys.readouterr().out
    assert "<--" in out or "stopped in line" in out or "should be 27 x 27" in out


def test_an_edit_within_the_same_second_and_of_the_same_size_is_noticed(tmp_path):
    right = ("(logit - maximum) * temperature", "(logit - maximum) / temperature")
    repaired(tmp_path, 11)
    assert hunt.main(["11"], str(tmp_path)) == 1
    repaired(tmp_path, 11, right)
    assert hunt.main(["11"], str(tmp_path)) == 0
    repaired(tmp_path, 11)
    assert hunt.main(["11"], str(tmp_path)) == 1
    assert not (tmp_path / "__pycache__").exists()


def test_an_edit_that_broke_the_file_is_said_in_one_line(tmp_path, capsys):
    repaired(tmp_path, 1, ("root.grad = 1.0", "root.grad = = 1.0"))
    assert hunt.main(["1"], str(tmp_path)) == 1
    assert "bug01_backward.py cannot be read: line 17: " in capsys.readouterr().out
    repaired(tmp_path, 1, ("root.grad = 1.0", "root.grad = one"))
    assert hunt.main(["1"], str(tmp_path)) == 1
    stopped = "bug01_backward.py stopped in line 17: NameError: name 'one' is not"
    assert stopped in capsys.readouterr().out
    repaired(tmp_path, 1, ("def backward", "def backwards"))
    assert hunt.main(["1"], str(tmp_path)) == 1
    out = capsys.readouterr().out
    assert "bug01_backward.py stopped in what was asked of it: AttributeError" in out


@pytest.mark.parametrize("folder, n_found", [(FOLDER, 0), (ANSWERS, len(FILES))])
def test_the_list_says_what_is_found(folder, n_found, capsys):
    assert hunt.main([], str(folder)) == (0 if n_found == len(FILES) else 1)
    out = capsys.readouterr().out
    assert out.count(" not found yet ") == len(FILES) - n_found
    assert f"{n_found} of {len(FILES)} found" in out.splitlines()


@pytest.mark.parametrize(
    "argv",
    [["0"], [str(len(FILES) + 1)], ["three"], ["1", "2"], ["--all"], ["--hint"]],
)
def test_bad_input_is_one_line_and_exit_code_2(argv, capsys):
    assert hunt.main(argv) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("error: ")
    assert shown.err.count("\n") == 1


def test_a_missing_file_is_one_line_and_exit_code_2(tmp_path, capsys):
    assert hunt.main(["1"], str(tmp_path)) == 2
    error = "error: bug01_backward.py is missing: git checkout brings it back\n"
    assert capsys.readouterr().err == error


def test_the_command_works_from_another_folder_and_writes_nothing_there(tmp_path):
    result = subprocess.run(
        [sys.executable, str(FOLDER / "hunt.py"), "1"],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
    )
    assert result.returncode == 1
    assert result.stderr == ""
    # Hand-derived: x * x has the slope 2 * x = 6 at x = 3; one path alone brings 3.
    assert "x * x                     6         3  <--" in result.stdout
    assert list(tmp_path.iterdir()) == []
