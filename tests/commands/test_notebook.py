"""The lines in README's section "In a notebook" run in one, and show two pictures."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[2]


def cells_in_readme() -> list[str]:
    """Return the Python code in the section, a cell for each block."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    _, _, after = readme.partition("\n## In a notebook\n")
    section, _, _ = after.partition("\n## ")
    return re.findall(r"^```python\n(.*?)^```$", section, re.M | re.S)


def texts(svg: str) -> list[str]:
    found = ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
    return [text.text or "" for text in found]


@pytest.mark.slow
def test_the_cells_in_the_readme_train_and_show_the_loss_and_a_graph() -> None:
    why = "runs only where nbclient and ipykernel are installed"
    nbclient = pytest.importorskip("nbclient", reason=why)
    pytest.importorskip("ipykernel", reason=why)
    nbformat = pytest.importorskip("nbformat", reason=why)
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(cell) for cell in cells_in_readme()]
    resources = {"metadata": {"path": str(ROOT)}}
    nbclient.NotebookClient(notebook, timeout=600, resources=resources).execute()

    pictures = []
    for cell in notebook.cells:
        (output,) = cell.outputs  # nothing but the picture: no warnings, no printing
        pictures.append(output.data["image/svg+xml"])
    chart, graph = pictures
    assert {"Loss", "step", "nats", "500"} <= set(texts(chart))
    # y = (2 * -3 + 10).relu() ** 2 = 16; dy/db = 2 * 4 = 8, dy/dw = 8 * -3 = -24.
    assert {"w", "**2", "data 16", "grad 8", "grad -24"} <= set(texts(graph))
