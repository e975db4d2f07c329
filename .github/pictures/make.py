"""Make readme.svg, the picture at the top of the README, out of a real training run.

    python .github/pictures/make.py

A small calculation as a graph with its gradients, the loss of the default run as it
falls, and the first names that the trained model makes up. A test makes the picture
again and compares.
"""

from __future__ import annotations

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, ROOT)

from microgpt import (  # noqa: E402
    Value,
    as_floats,
    generate,
    read_documents,
    smooth,
    start,
)
from microgpt.tools.draw import (  # noqa: E402
    Line,
    collage,
    graph_svg,
    line_chart,
    words,
)
from microgpt.training import train  # noqa: E402


def calculation() -> str:
    """Return the graph of the calculation in the README, after backward()."""
    w, x, b = Value(2.0, label="w"), Value(-3.0, label="x"), Value(10.0, label="b")
    y = (w * x + b).relu() ** 2
    y.backward()
    return graph_svg(y, explained=False)


def readme_picture() -> str:
    """Train the default model, and return the picture."""
    documents = read_documents(os.path.join(ROOT, "input.txt"))
    run, train_documents, _ = start(documents)
    for _ in train(run, train_documents):
        pass
    steps = range(1, run.step + 1)
    lines = [
        Line("each step", list(zip(steps, run.losses)), "pale"),
        Line("mean of the last 50", list(zip(steps, smooth(run.losses)))),
    ]
    loss = line_chart(
        lines, "A GPT learns in 500 steps", "step", "loss (surprise)", width=300
    )

    params = as_floats(run.params)
    known = set(documents)
    names: list[str] = []
    while len(names) < 6:
        name = generate(params, run.config, run.tokenizer, run.rng, temperature=0.6)
        if name not in known:
            names.append(name)
    heading = words(
        ["y = (w * x + b).relu() ** 2", "grad: how fast y grows with it"],
        title="Every number can be asked what it did",
    )
    made_up = words(names, title="It makes up new names")
    parts = [
        (0, 0, heading),
        (0, 66, calculation()),
        (214, 66, loss),
        (296, 400, made_up),
    ]
    return collage(parts, 516, 590, "microgpt: a GPT in plain Python")


if __name__ == "__main__":
    path = os.path.join(HERE, "readme.svg")
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write(readme_picture())
    print(f"picture: {path}")
