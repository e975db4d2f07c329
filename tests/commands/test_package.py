"""The package as a whole: its names, what it imports, and how its commands start."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import inspect
import json
import re
import subprocess
import sys

import pytest

import microgpt
from tests.helpers import ROOT, environment

PACKAGE = ROOT / "microgpt"
# A module imports only modules that stand before it. The first eight are the book.
# fmt: off
BOOK = [
    "value", "tokenizer", "data", "model", "adam", "training", "sampling", "evaluation",
]
TOOLS = [
    "tools.terminal", "tools.draw", "tools.files", "tools.checkpoint", "tools.folder",
    "tools.report", "__init__", "tools.train_command", "tools.sample_command",
]
DOORS = ["train", "sample", "__main__"]
# fmt: on
READING_ORDER = [*BOOK, *TOOLS, *DOORS]

# Where the public names come from. `train` is missing: it would hide the command.
PUBLIC = {
    "value": [
        *("Value", "dot", "total", "logsumexp", "exp", "relu", "as_float"),
        "topological_order",
    ],
    "tokenizer": ["CharTokenizer"],
    "data": ["read_documents", "read_windows", "split_documents"],
    "model": [
        *("GPTConfig", "init_params", "flatten", "as_floats", "linear", "softmax"),
        *("rmsnorm", "attention", "mlp", "gpt", "cross_entropy", "token_losses"),
        "document_loss",
    ],
    "adam": ["Adam", "clip_grad_norm"],
    "training": ["TrainConfig", "Run", "start"],
    "sampling": ["token_probabilities", "next_tokens", "generate", "likeliest"],
    "evaluation": ["held_out_loss", "bigram_loss", "perplexity", "smooth"],
    "tools.checkpoint": ["save_checkpoint", "load_checkpoint"],
}

# Python 3.9 has no list of its standard library; these are the likely parts of it.
# fmt: off
STANDARD = {
    "argparse", "array", "collections", "contextlib", "dataclasses", "errno",
    "functools", "gc", "hashlib", "html", "io", "itertools", "json", "math", "operator",
    "os", "pathlib", "random", "re", "resource", "secrets", "shlex", "shutil", "signal",
    "stat", "string", "subprocess", "sys", "tempfile", "textwrap", "threading", "time",
    "types", "typing", "unicodedata", "warnings", "xml",
}
# fmt: on


def module_of(name):
    return importlib.import_module(f"microgpt.{name}")


def path_of(name):
    return PACKAGE.joinpath(*name.split(".")).with_suffix(".py")


def imported_by(name):
    """Return the names of all modules imported anywhere in a module, in full."""
    found = []
    for node in ast.walk(ast.parse(path_of(name).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0  # written in full, never relative
            found.append(node.module)
    return found


# Names


@pytest.mark.parametrize(
    ("module", "name"),
    [(module, name) for module, names in PUBLIC.items() for name in names],
)
def test_every_public_name_comes_with_the_package(module, name):
    assert getattr(microgpt, name) is getattr(module_of(module), name)
    assert name in microgpt.__all__


def test_all_lists_each_public_name_once_and_each_can_be_imported():
    assert len(set(microgpt.__all__)) == len(microgpt.__all__)
    space = {}
    exec("from microgpt import *", space)
    assert set(microgpt.__all__) <= set(space)


def test_no_public_name_hides_a_module_of_the_same_name():
    for name in READING_ORDER:
        if "." not in name and not name.startswith("__"):
            assert inspect.ismodule(module_of(name))
            assert name not in microgpt.__all__
            assert inspect.ismodule(getattr(microgpt, name))


# Imports


def test_the_modules_are_the_ones_of_the_reading_order():
    paths = [path for path in PACKAGE.rglob("*.py") if path.parent.name != "tools"]
    tools = [path for path in PACKAGE.glob("tools/*.py") if path.stem != "__init__"]
    found = {path.stem for path in paths} | {f"tools.{path.stem}" for path in tools}
    assert found == set(READING_ORDER)


@pytest.mark.parametrize("name", READING_ORDER)
def test_a_module_imports_the_standard_library_alone(name):
    standard = getattr(sys, "stdlib_module_names", STANDARD)
    foreign = {module.split(".")[0] for module in imported_by(name)}
    assert foreign - set(standard) - {"microgpt", "__future__"} == set()


@pytest.mark.parametrize("name", READING_ORDER)
def test_a_module_imports_only_modules_that_come_before_it(name):
    before = READING_ORDER[: READING_ORDER.index(name)]
    names = {f"microgpt.{earlier}" for earlier in before if earlier != "__init__"}
    if "__init__" in before:
        names.add("microgpt")
    ours = [module for module in imported_by(name) if module.startswith("microgpt")]
    assert set(ours) <= names


# Run in a fresh interpreter: reports what importing the package did.
WATCHER = """
import json, os, random, sys
import argparse, collections, dataclasses, hashlib, html, typing, secrets, shutil
import subprocess, unicodedata
opened = []
def watch(event, args):
    if event == "open" and isinstance(args[0], (str, bytes)):
        opened.append(os.fsdecode(args[0]))
    elif event.startswith(("socket.", "subprocess.", "os.system", "os.exec")):
        opened.append(event)
sys.addaudithook(watch)
random.seed(1)
dice, limit = random.getstate(), sys.getrecursionlimit()
import microgpt
from microgpt import *
import microgpt.train
print(json.dumps({
    "opened": [p for p in opened if not p.endswith((".py", ".pyc", ".so"))],
    "n_opened": len(opened),
    "dice": random.getstate() == dice,
    "limit": sys.getrecursionlimit() == limit,
    "files": os.listdir("."),
}))
"""


def test_importing_reads_no_file_touches_no_dice_and_prints_nothing(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", WATCHER],
        cwd=tmp_path,
        env=environment(PYTHONDONTWRITEBYTECODE="1"),
        capture_output=True,
        encoding="utf-8",
    )
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)  # and so nothing else was printed
    assert report["n_opened"] > 5  # its own source files: the watcher was awake
    assert report["opened"] == []
    assert report["dice"]
    assert report["limit"]
    assert report["files"] == []


def test_the_package_alone_does_not_import_the_commands():
    # Else `python -m microgpt.sample` would run a second copy of it, with a warning.
    probe = "import sys, microgpt; print([m for m in sys.modules if 'microgpt' in m])"
    done = subprocess.run(
        [sys.executable, "-c", probe],
        env=environment(),
        capture_output=True,
        encoding="utf-8",
    )
    loaded = ast.literal_eval(done.stdout)
    assert "microgpt.model" in loaded
    assert {"microgpt.train", "microgpt.sample"} & set(loaded) == set()
    assert not [name for name in loaded if name.endswith("_command")]


# Commands that an installation makes


@pytest.mark.parametrize("name", ["train", "sample"])
def test_an_installation_makes_a_command_that_leads_to_the_same_function(name):
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    [target] = re.findall(rf'^microgpt-{name} = "(.*)"$', text, flags=re.MULTILINE)
    module, function = target.split(":")
    assert module == f"microgpt.{name}"
    door = module_of(name)
    assert getattr(door, function) is module_of(f"tools.{name}_command").main


def test_the_version_is_the_one_that_is_installed():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'version = "{microgpt.__version__}"' in text.splitlines()
