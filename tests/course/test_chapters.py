"""Every chapter prints what stands in its .txt, and its questions have true answers.

    python -m pytest tests/course -k ch07              one chapter
    RECORD=1 python -m pytest tests/course -k ch07     write its .txt anew; then read it

Words must be equal, and numbers to the digits that are printed. On lines that begin
with "~" (times, memory, what depends on the Python version) only the words are
compared.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[2]
COURSE = ROOT / "examples" / "course"
RUN_CHAPTER = Path(__file__).with_name("run_chapter.py")
CHAPTERS = sorted(
    path for path in COURSE.glob("ch*.py") if not path.stem.endswith("_solution")
)
SOLUTIONS = sorted(COURSE.glob("ch*_solution.py"))

# What must be seen in a picture: texts of labels, slopes on lines, names of axes.
SHOWN = {
    "ch01_counting.svg": [
        "after \u2193",
        "comes (BOS: the name ends) \u2192",
        "share of the row",
    ],
    "ch02_nudge.svg": ["loss (nats)", "its slope where we stand, at 0: -0.071"],
    "ch03_value.svg": ["c = a * b", "d = c + a", "grad -2", "-3"],
    "ch04_chain_rule.svg": ["e = d ** 2", "grad 16", "grad -16", "-8", "-3"],
    "ch05_order.svg": ["d = b + c", "grad 4", "grad 8", "3", "2", "1"],
    "ch06_linear.svg": ["row 0 of W", "row 2", "[1] * x[1]", "sum: y", "-1.00"],
    "ch07_learning_rates.svg": ["learning rate 200: too large", "step"],
    "ch07_overfitting.svg": ["on 500 names it has never seen", "a blind guess"],
    "ch08_neurons.svg": ["one linear layer: 87 of 100", "kind 0", "kind 1"],
    "ch08_bump.svg": ["the curve", "five bumps, added up"],
    "ch08_bends.svg": ["the bend of neuron 1", "the bend of neuron 5", "kind 0"],
    "ch09_mlp.svg": ["vowels", "other letters", *"abcdefghijklmnopqrstuvwxyz"],
    "ch15_valley.svg": ["The path of RMSProp", "a (steep)", "b (gentle)", "height 5"],
    "ch15_names.svg": ["Adam, and the others", "step", "loss (nats)"],
    "ch16_schedules.svg": ["constant", "decay", "warm-up and decay", "step"],
    "ch16_epochs.svg": ["the 30 names it is trained on", "epochs"],
    "ch17_sampling.svg": ["different from each other", "real", "temperature"],
    "ch18_kv_cache.svg": ["millions of multiplications", "tokens in the text"],
    "ch19_leak.svg": ["the last 1,000, leaky", "letters back"],
    "ch20_tokens.svg": ["names", "manual", "measured", "merges learnt"],
    "ch21_places.svg": ["GPT", "characters before it in the window", "nats"],
    "ch22_mask.svg": ["Masked, after softmax", "looks at \u2192", "0.72", "4.2"],
    "ch22_batch.svg": ["jonathan", "looks at \u2192", "character \u2192", "(pad)"],
    "ch23_activations.svg": ["ReLU", "squared ReLU", "GELU", "what goes in"],
    "ch23_schedules.svg": ["20 steps of warm-up, then a cosine", "learning rate"],
    "ch23_looks.svg": ["head 0", "head 1", "looks from \u2193", "looks at \u2192"],
    "ch24_scores.svg": ["Places that are added", "Places that turn", "query at \u2193"],
    "ch24_speeds.svg": ["an arrow with speed 0.1", "the mean of all four arrows"],
    "ch24_echo.svg": ["no positions", "learned (wpe)", "RoPE"],
    "ch24_distance.svg": ["distances that occurred in training"],
    "ch25_cache.svg": ["grouped-query, 8 key heads", "gigabytes"],
    "ch26_tiles.svg": ["query \u2193", "key \u2192", "-1", "1", "11"],
    "ch26_memory.svg": ["the whole table", "tiles of 16 by 16: always 352"],
    "ch27_silu.svg": ["silu(x) = x * sigmoid(x)", "relu(x) ** 2, of microgpt"],
    "ch28_accuracy.svg": [
        "from scratch",
        "right answers, of 100 (bars: standard error)",
    ],
    "ch29_lengths.svg": ["before, any wish", "after: SHORT", "letters in the name"],
    "ch30_additions.svg": ["head alone", "LoRA", "loss on test words (nats)"],
    "ch31_preferences.svg": ["the reward", "nats a name", "step"],
    "chA1_dot.svg": ["dot", "data 32", "grad 1", "grad 6", "x1", "y6"],
    "chA2_lines.svg": ["2. x0 = rmsnorm(embedded)", "13. logits = linear(x2, lm_head)"],
    "chA3_many_processes.svg": ["ideal", "measured here", "names in a batch"],
}

pytestmark = pytest.mark.slow


def run(folder: Path, *argv: object) -> str:
    """Run a script in an empty folder; return what it prints."""
    done = subprocess.run(
        [sys.executable, *[str(arg) for arg in argv]],
        cwd=folder,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def comparable(text: str) -> list[str]:
    """Return the lines, those with "~" without their numbers and runs of spaces."""
    lines = []
    for line in text.splitlines():
        if line.startswith("~"):
            line = " ".join(re.sub(r"[-+]?\d[\d.,]*(e[-+]?\d+)?", "#", line).split())
        lines.append(line)
    return lines


def number_of(chapter: Path) -> str:
    return chapter.stem.split("_")[0]


def is_right(question: dict, computed: object, source: str) -> bool:
    """Say whether the answer in the file is what the chapter computed."""
    answer = question["answer"]
    if question["kind"] == "number":
        return abs(computed - answer) <= question["tolerance"]
    if question["kind"] == "choice":
        return computed == answer and answer in question["choices"]
    assert question["kind"] == "line"
    lines = [line.strip() for line in source.splitlines()]
    return lines.count(answer.strip()) == 1


def check_pictures(printed: str, folder: Path) -> None:
    """Assert that each picture announced is there, scales, and shows what it should."""
    announced = re.findall(r"^picture: (.+\.svg)$", printed, flags=re.MULTILINE)
    announced = sorted([Path(path.replace("\\", "/")).name for path in announced])
    assert announced == sorted(path.name for path in (folder / "out").glob("*.svg"))
    for name in announced:
        root = ElementTree.parse(folder / "out" / name).getroot()
        assert "viewBox" in root.attrib, f"{name} cannot be shown at another size"
        texts = [
            element.text for element in root.iter() if element.tag.endswith("text")
        ]
        for text in SHOWN.get(name, []):
            assert text in texts, f"{name} does not show {text!r}"


@pytest.fixture(scope="session")
def kept_model(tmp_path_factory):
    """Return where the model of chapter 14 is kept, once a chapter has trained it."""
    return tmp_path_factory.mktemp("kept") / "ch14_gpt_6000.json"


def run_with_model(folder: Path, kept_model: Path, *argv: object) -> str:
    """Run a script in a folder in which chapter 14 has, or has not yet, been run."""
    path = folder / "out" / kept_model.name
    if kept_model.exists():
        path.parent.mkdir()
        shutil.copy(kept_model, path)
    printed = run(folder, *argv)
    if path.exists():
        shutil.copy(path, kept_model)
    return printed


@pytest.mark.parametrize("chapter", CHAPTERS, ids=number_of)
def test_a_chapter_prints_its_txt_and_knows_the_answers(chapter, kept_model, tmp_path):
    answers_path = tmp_path / "answers.json"
    printed = run_with_model(tmp_path, kept_model, RUN_CHAPTER, chapter, answers_path)
    record = chapter.with_suffix(".txt")
    if os.environ.get("RECORD"):
        record.write_text(printed, encoding="utf-8")
    assert comparable(printed) == comparable(record.read_text(encoding="utf-8"))

    check_pictures(printed, tmp_path)

    questions_path = COURSE / f"{number_of(chapter)}_questions.json"
    questions = json.loads(questions_path.read_text(encoding="utf-8"))["questions"]
    assert len(questions) >= 2
    computed = json.loads(answers_path.read_text(encoding="utf-8"))
    source = chapter.read_text(encoding="utf-8")
    for question in questions:
        assert question["question"] and question["why"], question["id"]
        if question["kind"] != "line":
            assert question["id"] in computed, f"{question['id']} lacks `computed`"
        assert is_right(question, computed.get(question["id"]), source), question["id"]


@pytest.mark.parametrize("solution", SOLUTIONS, ids=number_of)
def test_a_solution_runs_and_its_assertions_hold(solution, kept_model, tmp_path):
    assert run_with_model(tmp_path, kept_model, solution) != ""


def run_where_out_is_a_file(folder, chapter, **env):
    """Run a chapter that can write nothing to out/; return what came of it."""
    (folder / "out").write_text("mine", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, chapter],
        cwd=folder,
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
    )
    assert (folder / "out").read_text(encoding="utf-8") == "mine"
    return done


def test_a_chapter_does_without_pictures_that_cannot_be_saved(tmp_path):
    # And with an escape in place of the "±" that its terminal cannot show.
    chapter = COURSE / "ch01_counting.py"
    done = run_where_out_is_a_file(tmp_path, chapter, PYTHONIOENCODING="ascii")
    why = "ch01_counting.svg is not saved: cannot make 'out': File exists"
    assert (done.returncode, done.stderr) == (0, f"warning: {why}\n")
    record = chapter.with_suffix(".txt").read_text(encoding="utf-8")
    lines = [line for line in record.splitlines() if not line.startswith("picture: ")]
    assert done.stdout.replace("\\xb1", "\u00b1").splitlines() == lines


def test_a_chapter_that_needs_to_save_says_so_before_it_trains(tmp_path):
    for number in ("ch27_llama", "ch30_small_additions"):
        done = run_where_out_is_a_file(tmp_path, COURSE / f"{number}.py")
        line = "error: cannot make 'out': File exists\n"
        assert (done.returncode, done.stdout, done.stderr) == (2, "", line)


def test_a_model_that_cannot_be_kept_is_still_trained(tmp_path):
    (tmp_path / "out").write_text("mine", encoding="utf-8")
    program = "from trained import trained_gpt; print(trained_gpt(3).step)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(COURSE)},
        capture_output=True,
        encoding="utf-8",
    )
    assert (done.returncode, done.stdout) == (0, "3\n"), done.stderr
    line = "warning: the GPT is not saved: cannot make 'out': File exists"
    assert done.stderr.splitlines()[-1] == line


def test_every_chapter_has_a_solution():
    assert [number_of(s) for s in SOLUTIONS] == [number_of(c) for c in CHAPTERS]
