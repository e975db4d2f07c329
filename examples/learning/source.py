"""The source text of the package and of the reader's, as `ast` sees it.

Nothing here imports microgpt, so that it can be used in the process in which the name
microgpt stands for the reader's package.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Sequence

from learning.course_map import ROOT

PACKAGE = os.path.join(ROOT, "microgpt")
Function = ast.FunctionDef


def find_function(tree: ast.Module, name: str) -> Function | None:
    """Return the function `name`, as in "dot" or "Value.backward"; None: not there.

    Of several with one name the last counts, as in Python: those before it say
    @overload.
    """
    body: Sequence[ast.stmt] = tree.body
    *classes, function = name.split(".")
    for class_name in classes:
        found = [
            node
            for node in body
            if isinstance(node, ast.ClassDef) and node.name == class_name
        ]
        if not found:
            return None
        body = found[-1].body
    functions = [
        node for node in body if isinstance(node, Function) and node.name == function
    ]
    return functions[-1] if functions else None


def package_source(module: str) -> str:
    """Return the text of the package's own microgpt/module.py."""
    path = os.path.join(PACKAGE, f"{module}.py")
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None


def find_class(tree: ast.Module, name: str) -> ast.ClassDef | None:
    """Return the class `name` of a file; None: not there."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return node
    return None


def is_unwritten(function: Function) -> bool:
    """Say whether a function's body is still the line that `build` put there."""
    last = function.body[-1]
    if len(function.body) > 1 + (ast.get_docstring(function) is not None):
        return False
    if not isinstance(last, ast.Raise) or last.exc is None:
        return False
    raised = last.exc.func if isinstance(last.exc, ast.Call) else last.exc
    return isinstance(raised, ast.Name) and raised.id == "NotImplementedError"


def function_texts(source: str, names: Sequence[str]) -> str:
    """Return the lines of these functions, one after the other."""
    tree, lines, found = ast.parse(source), source.split("\n"), []
    for name in names:
        function = find_function(tree, name)
        if function is not None:
            found.extend(lines[function.lineno - 1 : function.end_lineno])
    return "\n".join(found)


def function_text(source: str, name: str) -> str:
    """Return the lines of a function in source; "" if it is not there."""
    try:
        function = find_function(ast.parse(source), name)
    except (SyntaxError, ValueError):
        return ""
    if function is None:
        return ""
    lines = source.split("\n")[function.lineno - 1 : function.end_lineno]
    return "\n".join(lines) + "\n"
