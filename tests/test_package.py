"""The package as a whole: its names, what it imports, and how it is written."""

from __future__ import annotations

import argparse
import ast
import importlib
import importlib.util
import inspect
import json
import subprocess
import sys
import types

import pytest
from run import ROOT, environment

import microgpt

PACKAGE = ROOT / "microgpt"
# fmt: off
READING_ORDER = [
    "value", "tokenizer", "data", "gpt", "adam", "checkpoint", "draw", "sample",
    "train",
]
# fmt: on

# Python 3.9 has no list of its standard library; these are the likely parts of it.
# fmt: off
STANDARD = {
    "argparse", "array", "bisect", "collections", "contextlib", "copy", "csv",
    "dataclasses", "enum", "errno", "functools", "gc", "hashlib", "heapq", "html", "io",
    "itertools", "json", "math", "operator", "os", "pathlib", "random", "re", "shlex",
    "shutil", "signal", "statistics", "string", "sys", "tempfile", "textwrap", "time",
    "types", "typing", "warnings",
}
# fmt: on

# Where each public name must come from.
PUBLIC = {
    "value": ["Value", "dot", "total", "logsumexp", "topological_order"],
    "tokenizer": ["CharTokenizer"],
    "data": ["read_documents", "split_documents"],
    "gpt": [
        "GPTConfig",
        "init_params",
        "linear",
        "softmax",
        "rmsnorm",
        "cross_entropy",
        "gpt",
        "document_loss",
    ],
    "adam": ["Adam", "clip_grad_norm"],
    "checkpoint": ["save_checkpoint", "load_checkpoint"],
    "sample": ["token_probabilities", "generate"],
}


def module_of(name):
    return importlib.import_module(f"microgpt.{name}")


def source_of(name):
    return (PACKAGE / f"{name}.py").read_text(encoding="utf-8")


def imported_by(name):
    """Return the names of all modules imported anywhere in a module, in full."""
    found = []
    for node in ast.walk(ast.parse(source_of(name))):
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


def test_gpt_is_the_function_even_after_its_module_was_imported():
    module = importlib.import_module("microgpt.gpt")
    assert isinstance(module, types.ModuleType)
    assert inspect.isfunction(microgpt.gpt)
    assert microgpt.gpt is module.gpt


def test_a_name_that_is_not_there_is_an_attribute_error_that_names_it():
    with pytest.raises(AttributeError, match="frobnicate"):
        microgpt.frobnicate  # noqa: B018
    assert not hasattr(microgpt, "__path_to_nowhere__")


# Imports


def test_the_modules_are_the_ones_of_the_reading_order():
    found = {path.stem for path in PACKAGE.glob("*.py")}
    assert found == {*READING_ORDER, "__init__"}


@pytest.mark.parametrize("name", [*READING_ORDER, "__init__"])
def test_a_module_imports_the_standard_library_alone(name):
    standard = getattr(sys, "stdlib_module_names", STANDARD)
    foreign = {module.split(".")[0] for module in imported_by(name)}
    assert foreign - set(standard) - {"microgpt", "__future__"} == set()


@pytest.mark.parametrize("name", READING_ORDER)
def test_a_module_imports_only_modules_that_come_before_it(name):
    before = READING_ORDER[: READING_ORDER.index(name)]
    ours = [module for module in imported_by(name) if module.startswith("microgpt")]
    assert set(ours) <= {f"microgpt.{earlier}" for earlier in before}


# Run in a fresh interpreter: reports what importing the package did.
WATCHER = """
import json, os, random, sys
import argparse, collections, dataclasses, hashlib, html, typing
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


def test_importing_reads_no_file_draws_no_dice_and_prints_nothing(tmp_path):
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
    assert "microgpt.gpt" in loaded
    assert "microgpt.sample" not in loaded
    assert "microgpt.train" not in loaded


# Style


def test_every_module_and_every_public_function_and_class_says_what_it_is():
    silent = []
    for module in [microgpt, *[module_of(name) for name in READING_ORDER]]:
        own = [
            thing
            for name, thing in vars(module).items()
            if not name.startswith("_")
            and (inspect.isfunction(thing) or inspect.isclass(thing))
            and thing.__module__ == module.__name__
        ]
        methods = [
            thing
            for owner in own
            if inspect.isclass(owner)
            for name, thing in vars(owner).items()
            if not name.startswith("_")
            and (inspect.isroutine(thing) or isinstance(thing, property))
        ]
        # A method without a docstring may be one whose base class has it.
        silent += [thing for thing in [module, *own, *methods] if not described(thing)]
    assert silent == []


def described(thing):
    thing = getattr(thing, "__func__", thing)
    return inspect.getdoc(thing) or thing.__name__ in dir(argparse.ArgumentParser)


def test_no_line_is_longer_than_88_columns():
    long = [
        f"{path.name}:{number}"
        for path in [*PACKAGE.glob("*.py"), *ROOT.glob("tests/*.py")]
        for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1)
        if len(line) > 88
    ]
    assert long == []


def test_every_function_says_the_types_it_takes_and_returns():
    untyped = []
    for name in READING_ORDER:
        for node in ast.walk(ast.parse(source_of(name))):
            if isinstance(node, ast.FunctionDef):
                arguments = [*node.args.posonlyargs, *node.args.args]
                arguments += node.args.kwonlyargs
                named = [a for a in arguments if a.arg not in ("self", "cls")]
                if node.returns is None or any(a.annotation is None for a in named):
                    untyped.append(f"{name}.{node.name}")
    assert untyped == []
