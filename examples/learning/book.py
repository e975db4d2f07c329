"""The reader's package, module by module, and how the cases look at numbers."""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from types import ModuleType
from typing import Any

Floats = list[float]


class Book:
    """The modules of the reader's package, by name."""

    def __init__(self) -> None:
        self.value: Any = self.module("value")
        self.tokenizer: Any = self.module("tokenizer")
        self.model: Any = self.module("model")
        self.adam: Any = self.module("adam")
        self.training: Any = self.module("training")
        self.sampling: Any = self.module("sampling")

    def module(self, name: str) -> ModuleType:
        """Return microgpt.name."""
        return importlib.import_module(f"microgpt.{name}")


def slopes(root: Any, leaves: Sequence[Any]) -> Floats:
    """Return the gradient of root with respect to each leaf, none left from before."""
    for leaf in leaves:
        leaf.grad = 0.0
    root.backward()
    return [leaf.grad for leaf in leaves]


def data(numbers: Sequence[Any]) -> Floats:
    """Return Values or floats as floats."""
    return [float(getattr(x, "data", x)) for x in numbers]


def same_to(came: Sequence[float], expected: Floats, rel: float = 1e-5) -> bool:
    """Say whether numbers agree to five digits."""
    return len(came) == len(expected) and all(
        math.isclose(c, e, rel_tol=rel) for c, e in zip(came, expected)
    )
