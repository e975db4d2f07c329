"""The GPT that has learnt from 6,000 names, for the chapters that begin with it.

Chapter 14 trains it, which takes about two minutes, and keeps it in the folder out/.
Whichever chapter asks for it next reads it from there; one that asks first, trains it.
"""

from __future__ import annotations

import os
import sys

from common import ALL_TRAIN_NAMES, ROOT, make_out_folder, warn_if_not_saved

from microgpt import (
    Run,
    TrainConfig,
    load_checkpoint,
    read_documents,
    save_checkpoint,
)
from microgpt.tools.terminal import Progress
from microgpt.training import start, train


def trained_gpt(n_names: int = 6000) -> Run:
    """Return a run trained on the first n_names names: kept in out/, or trained now.

    It is the default model, trained as `python -m microgpt.train --steps 6000` trains
    it: one name a step, each name once.
    """
    path = os.path.join("out", f"ch14_gpt_{n_names}.json")
    if os.path.exists(path):
        print(f"(the GPT is the one kept in {path})", file=sys.stderr)
        return load_checkpoint(path)
    documents = read_documents(os.path.join(ROOT, "input.txt"))
    run, train_names, _ = start(documents, TrainConfig(steps=n_names))
    assert train_names == ALL_TRAIN_NAMES
    progress = Progress(
        "GPT, the first time: name", n_names, every=1000, stream=sys.stderr
    )
    for _ in train(run, train_names):
        progress.show(run.step)
    progress.finish()
    with warn_if_not_saved("the GPT"):
        make_out_folder()
        save_checkpoint(path, run)
    return run
