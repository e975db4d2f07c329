"""The functions of a chapter, for tests: without running the chapter itself.

A chapter of the course is a program: to import it is to run it, training included. Here
only its imports, its functions and classes, and such constants in capital letters as
need no calculation are taken from the file and executed. What a test calls is so the
very code that the reader reads.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Any

COURSE = Path(__file__).resolve().parents[2] / "examples" / "course"


def _is_simple_constant(statement: ast.stmt) -> bool:
    """Return whether the statement is NAME = something that calls nothing."""
    if not isinstance(statement, ast.Assign):
        return False
    names = [target for target in statement.targets if isinstance(target, ast.Name)]
    is_capital = [name.id for name in names if name.id.isupper()]
    calls = [node for node in ast.walk(statement) if isinstance(node, ast.Call)]
    return bool(is_capital) and not calls


def functions_of(chapter: str) -> dict[str, Any]:
    """Return {name: function, class or constant} of examples/course/{chapter}.py."""
    path = COURSE / f"{chapter}.py"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kept = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
    tree.body = [
        statement
        for statement in tree.body
        if isinstance(statement, kept) or _is_simple_constant(statement)
    ]
    variables: dict[str, Any] = {"__name__": chapter}
    sys.path.insert(0, str(COURSE))
    try:
        exec(compile(tree, str(path), "exec"), variables)
    finally:
        sys.path.remove(str(COURSE))
    return variables
