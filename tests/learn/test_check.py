"""`check` rejects what is wrong, names the mistake, and accepts what is right.

The wrong and the right versions are in versions/, one file a piece. Each begins with
"# wrong: …" and "# says: …" (what the message has to say) or with "# right: …". More
wrong ones are in slips.txt, each as a change to the package's own text: its lines "-"
are replaced by its lines "+", and "..", if it is there, begins another replacement. A
slip says what is said of it, or "names nothing": then no mistake may be named.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest
from learning import judge as judging
from learning import source
from learning.command import main
from learning.judge import judge
from learning.pieces import PIECES, find_piece
from learning.progress import Progress

from tests.helpers import PYPY, ROOT

pytestmark = pytest.mark.slow

VERSIONS = Path(__file__).with_name("versions")
HEAD = re.compile(r"^# (wrong|right): (.+)\n(?:# says: (.+)\n)?", re.MULTILINE)


class Version(NamedTuple):
    """One way to write a function of a piece."""

    piece: str
    name: str
    says: str | None  # None: it is right
    text: str


def versions():
    found = []
    for piece in PIECES:
        content = (VERSIONS / f"{piece.name}.txt").read_text(encoding="utf-8")
        heads = list(HEAD.finditer(content))
        ends = [head.start() for head in heads[1:]] + [len(content)]
        for head, end in zip(heads, ends):
            assert (head[3] is not None) == (head[1] == "wrong"), head[2]
            text = content[head.end() : end].strip() + "\n"
            found.append(Version(piece.name, head[2], head[3], text))
    return found


def with_function(module, name, text, content=None):
    """Return a module, the package's own by default, with another function's text."""
    content = content or source.package_source(module)
    function = source.find_function(source.ast.parse(content), name)
    lines = content.split("\n")
    indent = " " * function.col_offset
    new = textwrap.indent(text.rstrip(), indent).split("\n")
    lines[function.lineno - 1 : function.end_lineno] = new
    return "\n".join(lines)


class Slip(NamedTuple):
    """One small mistake in one function, as a change to the package's text."""

    function: str
    name: str
    says: str  # "": no mistake may be named
    changes: tuple[tuple[str, str], ...]


def slips():
    found = []
    content = Path(__file__).with_name("slips.txt").read_text(encoding="utf-8")
    for block in f"\n{content}".split("\n== ")[1:]:
        head, says, *lines = block.rstrip("\n").split("\n")
        changes = []
        for change in "\n".join(lines).split("\n..\n"):
            old = [line[2:] for line in change.split("\n") if line[:1] == "-"]
            new = [line[2:] for line in change.split("\n") if line[:1] == "+"]
            changes.append(("\n".join(old), "\n".join(new)))
        function, _, name = head.partition(": ")
        assert says.startswith("says: ") or says == "names nothing", head
        text = says[6:] if says.startswith("says: ") else ""
        found.append(Slip(function, name, text, tuple(changes)))
    return found


def write_slip(folder, slip):
    """Write the reader's file with this slip, all else being as in the package."""
    [piece] = [piece for piece in PIECES if slip.function in piece.functions]
    content = source.package_source(piece.module)
    text = before = source.function_text(content, slip.function)
    for old, new in slip.changes:
        assert old in text, f"{slip.function}: {slip.name}: the package has no {old!r}"
        text = text.replace(old, new)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{piece.module}.py"
    path.write_text(content.replace(before, text), encoding="utf-8")
    return piece


def write_version(folder, version):
    """Write the reader's file with this version, all else being as in the package."""
    piece = find_piece(version.piece)
    short_name = re.search(r"^def (\w+)", version.text, re.MULTILINE)[1]
    names = {name.split(".")[-1]: name for name in piece.functions}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{piece.module}.py").write_text(
        with_function(piece.module, names[short_name], version.text), encoding="utf-8"
    )
    return piece


def said_by(verdict):
    return " ".join(verdict.lines)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder with the package itself: every piece is solved."""
    folder = tmp_path_factory.mktemp("whole")
    shutil.copytree(
        ROOT / "microgpt",
        folder / "microgpt",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    return folder


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory):
    """The verdict on each version. They are judged side by side, to save time."""
    places = []
    # One after the other: two threads that parse at once can fail in Python 3.11.
    for version in [*versions(), *slips()]:
        folder = tmp_path_factory.mktemp("version", numbered=True)
        write = write_slip if isinstance(version, Slip) else write_version
        places.append((str(folder), write(folder / "microgpt", version)))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(lambda place: judge(*place), places)
        return dict(zip([*versions(), *slips()], found))


def test_every_piece_has_three_wrong_versions_and_two_right_ones():
    for piece in PIECES:
        mine = [version for version in versions() if version.piece == piece.name]
        assert sum(version.says is not None for version in mine) >= 3, piece.name
        assert sum(version.says is None for version in mine) >= 2, piece.name


@pytest.mark.slow
@pytest.mark.parametrize(
    "version",
    [version for version in versions() if version.says],
    ids=lambda version: f"{version.piece}: {version.name}",
)
def test_a_wrong_version_is_rejected_and_its_mistake_is_named(version, verdicts):
    verdict = verdicts[version]
    assert verdict.state in ("wrong", "stuck"), said_by(verdict)
    assert version.says.lower() in said_by(verdict).lower()


@pytest.mark.slow
@pytest.mark.parametrize(
    "slip", slips(), ids=lambda slip: f"{slip.function}: {slip.name}"
)
def test_a_slip_is_rejected_and_no_other_mistake_is_named(slip, verdicts):
    verdict = verdicts[slip]
    assert verdict.state == "wrong", said_by(verdict)
    named = [line for line in verdict.lines if line.startswith(judging.MISTAKE)]
    assert slip.says.lower() in " ".join(named).lower()
    assert bool(named) == bool(slip.says), named


@pytest.mark.slow
@pytest.mark.parametrize(
    "version",
    [version for version in versions() if not version.says],
    ids=lambda version: f"{version.piece}: {version.name}",
)
def test_a_right_version_is_accepted_however_it_is_written(version, verdicts):
    verdict = verdicts[version]
    assert verdict.state == "right", said_by(verdict)


@pytest.mark.slow
def test_the_packages_own_bodies_put_back_pass_every_check(tmp_path, capfd):
    my = tmp_path / "my"
    assert main(["build", "--folder", str(my)]) == 0
    assert main(["check", "--all", "--folder", str(my)]) == 1
    assert "0 of 18 are right" in capfd.readouterr().out
    for piece in PIECES:
        path = my / "microgpt" / f"{piece.module}.py"
        for name in piece.functions:
            text = source.function_text(source.package_source(piece.module), name)
            content = path.read_text(encoding="utf-8")
            gap = source.function_text(content, name)
            assert "raise NotImplementedError" in gap
            path.write_text(content.replace(gap, text), encoding="utf-8")
    for path in (ROOT / "microgpt").rglob("*.py"):
        mine = my / path.relative_to(ROOT)
        assert mine.read_text(encoding="utf-8") == path.read_text(encoding="utf-8")
    assert main(["check", "--all", "--folder", str(my)]) == 0
    assert "18 of 18 are right" in capfd.readouterr().out


# What else a reader's file may do.

LINEAR = find_piece("linear")


def verdict_on(folder, text, seconds=judging.SECONDS):
    """Return the verdict on model.py with this text for `linear`."""
    path = folder / "microgpt" / "model.py"
    before = path.read_text(encoding="utf-8")
    try:
        content = with_function("model", "linear", text)
        path.write_text(content, encoding="utf-8")
        return judge(str(folder), LINEAR, seconds)
    finally:
        path.write_text(before, encoding="utf-8")


def line_of(text):
    """Return the line number that the first line of `linear` has in model.py."""
    lines = source.package_source("model").split("\n")
    return next(i for i, line in enumerate(lines, 1) if line.startswith("def linear"))


def test_an_endless_loop_is_stopped_and_its_line_is_named(whole):
    text = "def linear(x, w):\n    while True:\n        x = list(x)\n    return x\n"
    verdict = verdict_on(whole, text, seconds=3)
    assert verdict.state == "stuck"
    assert "After 3 seconds it was still running" in said_by(verdict)
    # (PyPy, in the middle of a loop that it has compiled, may name the def's line.)
    first = line_of(text)
    lines = [first + 1, first + 2] + ([first] if PYPY else [])
    assert int(re.search(r"line (\d+) of", said_by(verdict))[1]) in lines


def test_a_syntax_error_names_its_line(whole):
    verdict = verdict_on(
        whole, "def linear(x, w):\n    return [dot(row, x for row in w]\n"
    )
    assert verdict.state == "broken"
    assert f"line {line_of('') + 1}" in said_by(verdict)


def test_a_renamed_function_is_missed_by_its_name(whole):
    verdict = verdict_on(
        whole, "def lineal(x, w):\n    return [dot(r, x) for r in w]\n"
    )
    assert verdict.state == "broken"
    assert "there is no function linear here" in said_by(verdict)


def test_sys_exit_is_named(whole):
    verdict = verdict_on(whole, "def linear(x, w):\n    import sys\n    sys.exit(0)\n")
    assert verdict.state == "wrong"
    assert "your code ended the program" in said_by(verdict)


def test_a_process_that_ends_itself_is_not_taken_for_right(whole):
    verdict = verdict_on(whole, "def linear(x, w):\n    import os\n    os._exit(0)\n")
    assert verdict.state == "stuck"
    assert "ended itself" in said_by(verdict)


def test_a_flood_of_prints_is_one_line_and_no_mistake(whole):
    verdict = verdict_on(
        whole,
        "def linear(x, w):\n"
        "    for i in range(20_000):\n"
        "        print('here I am', i)\n"
        "    return [dot(row, x) for row in w]\n",
    )
    assert verdict.state == "right"
    assert len(verdict.lines) == 1
    assert re.search(
        r"printed \d+,000 lines, beginning with: here I am 0", verdict.lines[0]
    )


def test_where_the_readers_own_line_stopped_is_shown(whole):
    verdict = verdict_on(whole, "def linear(x, w):\n    y = w[7]\n    return y\n")
    assert f"line {line_of('') + 1} of" in said_by(verdict)
    assert "y = w[7]" in said_by(verdict)


def test_a_mistake_in_one_piece_does_not_show_in_another(whole):
    path = whole / "microgpt" / "model.py"
    before = path.read_text(encoding="utf-8")
    try:
        broken = with_function(
            "model", "linear", "def linear(x, w):\n    return x[:1]\n"
        )
        path.write_text(broken, encoding="utf-8")
        assert judge(str(whole), find_piece("attention")).state == "right"
        assert judge(str(whole), LINEAR).state == "wrong"
    finally:
        path.write_text(before, encoding="utf-8")


def test_operations_may_be_written_one_by_one(tmp_path):
    assert main(["build", "--folder", str(tmp_path)]) == 0
    path = tmp_path / "microgpt" / "value.py"
    content = path.read_text(encoding="utf-8")
    gap = source.function_text(content, "Value.__neg__")
    mine = gap.replace(
        "raise NotImplementedError", 'return Value(-self.data, (self,), (-1.0,), "-")'
    )
    path.write_text(content.replace(gap, mine), encoding="utf-8")
    verdict = judge(str(tmp_path), find_piece("operations"))
    assert verdict.state == "unwritten"
    assert verdict.lines[0] == "Right so far: __neg__."
    assert verdict.lines[1].startswith("Not written yet: __add__, __sub__")


def test_check_goes_on_to_the_next_piece_and_remembers(whole, capfd):
    folder = ["--folder", str(whole)]
    assert main(["check", *folder]) == 0
    out = capfd.readouterr().out
    assert "operations: right." in out
    assert "Next: topological_order" in out
    assert main(["check", *folder]) == 0
    assert "topological_order: right." in capfd.readouterr().out


def test_a_solved_piece_that_has_been_broken_since_is_named(tmp_path, whole, capfd):
    folder = tmp_path / "my"
    shutil.copytree(whole / "microgpt", folder / "microgpt")
    for name in ("linear", "softmax"):
        assert main(["check", name, "--folder", str(folder)]) == 0
    path = folder / "microgpt" / "model.py"
    text = with_function(
        "model", "linear", "def linear(x, w):\n    return [dot(w[0], x) for row in w]\n"
    )
    path.write_text(text, encoding="utf-8")
    capfd.readouterr()
    assert main(["check", "softmax", "--folder", str(folder)]) == 0
    out = capfd.readouterr().out
    assert "linear was right, and is not any more" in out
    assert not Progress(str(folder)).is_solved("linear")


def test_hints_come_one_at_a_time_and_stay_after_solving(whole, capfd):
    folder = ["--folder", str(whole)]
    hints = find_piece("gpt").hints

    def shown():
        assert main(["check", "gpt", "--hint", *folder]) == 0
        return len(re.findall(r"^\d\. ", capfd.readouterr().out, re.MULTILINE))

    assert [shown(), shown()] == [1, 2]
    assert main(["check", "gpt", *folder]) == 0
    capfd.readouterr()
    assert shown() == len(hints)


def test_the_solution_is_a_diff_against_the_readers(tmp_path, capfd):
    assert main(["build", "--folder", str(tmp_path)]) == 0
    capfd.readouterr()
    assert main(["check", "linear", "--solution", "--folder", str(tmp_path)]) == 0
    out = capfd.readouterr().out
    assert "-    raise NotImplementedError" in out
    assert "+    return [dot(row, x) for row in w]" in out


def test_without_a_package_it_says_how_to_build_one(tmp_path, capfd):
    assert main(["check", "--folder", str(tmp_path)]) == 2
    assert "build" in capfd.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is sent as on Unix")
def test_watch_checks_again_at_each_save_until_ctrl_c(tmp_path):
    assert main(["build", "--folder", str(tmp_path)]) == 0
    path = tmp_path / "microgpt" / "model.py"
    command = [sys.executable, str(ROOT / "examples" / "learn.py"), "check", "linear"]
    process = subprocess.Popen(
        [*command, "--watch", "--folder", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )

    def read_until(text):
        for line in process.stdout:
            if text in line:
                return
        raise AssertionError(f"{text!r} never came")

    read_until("waiting for you to save")
    content = path.read_text(encoding="utf-8")
    gap = source.function_text(content, "linear")
    mine = gap.replace("raise NotImplementedError", "return [dot(row, x) for row in w]")
    path.write_text(content.replace(gap, mine), encoding="utf-8")
    read_until("linear: right.")
    # It was named, so it stays with it: the next save may break it again.
    read_until("waiting for you to save")
    path.write_text(content, encoding="utf-8")
    read_until("linear: not written yet.")
    process.send_signal(signal.SIGINT)
    rest = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in rest[1]


@pytest.mark.parametrize("flags", ["--hint --solution", "--hint --watch"])
def test_flags_that_ask_for_different_things_are_refused(tmp_path, capfd, flags):
    assert main(["build", "--folder", str(tmp_path)]) == 0
    capfd.readouterr()
    assert main(["check", *flags.split(), "--folder", str(tmp_path)]) == 2
    assert "give only one of" in capfd.readouterr().err


def test_building_again_names_the_piece_that_is_next(tmp_path, capfd):
    assert main(["build", "--folder", str(tmp_path)]) == 0
    assert "The first piece is operations, in value.py" in capfd.readouterr().out
    progress = Progress(str(tmp_path))
    progress.piece("operations")["solved"] = True
    progress.save()
    assert main(["build", "--folder", str(tmp_path)]) == 0
    printed = capfd.readouterr().out
    assert "The next piece is topological_order, in value.py" in " ".join(
        printed.split()
    )
