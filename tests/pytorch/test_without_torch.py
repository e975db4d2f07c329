"""On a Python without PyTorch, every command says in one line how to install it."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

from tests.helpers import ROOT, environment

FOLDER = ROOT / "examples" / "pytorch"
COMMANDS = ["twin.py", "mini_gpt.py", "payoff.py", "benchmark.py"]


@pytest.mark.parametrize("flags", [(), ("--help",)])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_missing_pytorch_is_named_in_one_line_that_says_how_to_install_it(
    command, flags, tmp_path
):
    # -S leaves out the folder in which installed packages are.
    done = subprocess.run(
        [sys.executable, "-S", str(FOLDER / command), *flags],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        "error: this needs PyTorch; install it with: "
        "python -m pip install torch==2.13.0\n"
    )


def test_the_extra_installs_the_same_version_and_is_no_dependency():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'pytorch = ["torch==2.13.0"]' in text.splitlines()
    assert "dependencies = []" in text.splitlines()


def imported_by(path):
    """Return the first parts of the names of all modules that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.skipif(
    not hasattr(sys, "stdlib_module_names"), reason="Python 3.9 does not list them"
)
def test_this_folder_alone_imports_anything_but_the_standard_library():
    examples = ROOT / "examples"
    files = [path for path in examples.rglob("*.py") if path.parent != FOLDER]
    assert len(files) > 80
    ours = {path.stem for path in files} | {path.parent.name for path in files}
    allowed = ours | set(sys.stdlib_module_names) | {"microgpt"}
    for path in files:
        assert imported_by(path) <= allowed, path
    here = set().union(*[imported_by(path) for path in FOLDER.glob("*.py")])
    here -= {path.stem for path in FOLDER.glob("*.py")}
    assert here - allowed == {"torch"}
