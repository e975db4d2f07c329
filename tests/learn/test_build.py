"""The reader's package is the package itself, with the pieces' bodies cut out."""

from __future__ import annotations

import ast
import os
import shlex

import pytest
from learning import build, course_map, source
from learning.command import main
from learning.pieces import PIECES, find_piece

from tests.helpers import ROOT

MODULES = sorted({piece.module for piece in PIECES})


def stripped(text, functions):
    """Return the syntax tree of a file as text, with these functions' bodies emptied.

    Docstrings stay: they are compared.
    """
    tree = ast.parse(text)
    for name in functions:
        function = source.find_function(tree, name)
        has_docstring = ast.get_docstring(function) is not None
        function.body = function.body[:1] if has_docstring else []
    return ast.dump(tree)


@pytest.mark.parametrize("module", MODULES)
def test_only_the_bodies_of_the_pieces_are_cut(module):
    names = [name for p in PIECES if p.module == module for name in p.functions]
    text, cut = source.package_source(module), build.skeleton(module)
    assert stripped(cut, names) == stripped(text, names)
    for name in names:
        last = source.find_function(ast.parse(cut), name).body[-1]
        assert ast.unparse(last) == "raise NotImplementedError"


@pytest.mark.parametrize("module", MODULES)
def test_every_line_of_the_skeleton_but_the_raises_is_a_line_of_the_package(module):
    left = iter(source.package_source(module).split("\n"))
    for line in build.skeleton(module).split("\n"):
        if line.strip() != "raise NotImplementedError":
            assert line in left  # in the same order: `in` goes on where it stopped


def test_build_writes_the_whole_package_and_never_writes_over_a_file(tmp_path, capfd):
    folder = tmp_path / "my"
    assert main(["build", "--folder", str(folder)]) == 0
    names = {str(p.relative_to(folder)) for p in folder.rglob("*.py")}
    assert names == {
        str(path.relative_to(ROOT)) for path in (ROOT / "microgpt").rglob("*.py")
    }
    mine = folder / "microgpt" / "value.py"
    mine.write_text("# mine\n")
    (folder / "microgpt" / "adam.py").unlink()
    capfd.readouterr()
    assert main(["build", "--folder", str(folder)]) == 0
    assert mine.read_text() == "# mine\n"
    assert "raise NotImplementedError" in (folder / "microgpt" / "adam.py").read_text()
    assert ": 1 file." in capfd.readouterr().out.replace("\n", " ")


@pytest.mark.skipif(os.name == "nt", reason="quoted as Unix shells want it")
def test_suggested_commands_can_be_pasted_where_a_path_has_a_space(
    tmp_path, monkeypatch, capfd
):
    folder = tmp_path / "my own"
    assert main(["build", "--folder", str(folder)]) == 0
    last_lines = capfd.readouterr().out.splitlines()
    [command] = [line for line in last_lines if line.startswith("  python")]
    assert shlex.split(command)[-3:] == ["check", "--folder", str(folder)]
    monkeypatch.setattr(course_map, "EXAMPLES", str(tmp_path / "a copy" / "examples"))
    program = shlex.split(course_map.call("4", course_map.MY))[1]
    assert program.endswith(os.path.join("a copy", "examples", "learn.py"))
    assert course_map.call("4", "-my").endswith("--folder=-my")


@pytest.mark.parametrize("what", ["check", "train"])
def test_the_book_itself_is_not_judged(what, capfd):
    assert main([what, "--folder", str(ROOT)]) == 2
    assert "holds the package itself" in capfd.readouterr().err
    assert main([what, "--folder", ""]) == 2
    assert "--folder is empty" in capfd.readouterr().err


def test_build_does_not_write_into_the_package_itself(capfd):
    assert main(["build", "--folder", str(ROOT)]) == 2
    assert "holds the package itself" in capfd.readouterr().err


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path, capfd):
    (tmp_path / "my").write_text("a file")
    assert main(["build", "--folder", str(tmp_path / "my")]) == 2
    error = capfd.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("error: cannot make")


def test_a_piece_is_found_by_its_name_or_that_of_a_function():
    assert find_piece("backward").functions == ("Value.backward",)
    assert find_piece("adam.step") is find_piece("step")
    assert find_piece("encode").name == "tokenizer"
    with pytest.raises(ValueError, match="no piece 'nothing'"):
        find_piece("nothing")
    with pytest.raises(ValueError, match="did you mean logsumexp"):
        find_piece("logsumex")


def test_every_piece_has_hints_and_comes_after_those_that_it_needs():
    names = [piece.name for piece in PIECES]
    assert len(set(names)) == 18
    assert names.index("backward") < names.index("dot") < names.index("linear")
    assert all(len(piece.hints) >= 2 for piece in PIECES)
