"""A run that is saved whole can stop at any instant and go on as if it never had.

Before this came `adam.py`; next comes `draw.py`. What a run does next depends on its
parameters, Adam's two means, the random generator (for the samples), the settings and
the documents. All but the last are in one JSON file, with every digit; of the documents
it holds a fingerprint. JSON is data, and reading it runs nothing; a pickle can run
anything.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import random
import sys
from dataclasses import asdict, dataclass, field
from typing import Any

from microgpt.adam import Adam
from microgpt.gpt import GPTConfig, Params, flatten, init_params, param_shapes
from microgpt.tokenizer import CharTokenizer

FORMAT = "microgpt checkpoint"
VERSION = 1
# Of the settings below, those with which 0 would leave nothing to do, or divide by it.
NO_ZERO = ("steps", "batch_size", "learning_rate", "val_documents", "temperature")


@dataclass(frozen=True)
class TrainConfig:
    """How to train; a setting that makes no sense: ValueError."""

    steps: int = 500
    batch_size: int = 1  # documents a step
    learning_rate: float = 1e-2  # at the first step; it falls to 0 in a straight line
    weight_decay: float = 0.0
    grad_clip: float = 0.0  # longest gradient allowed; 0: any
    val_fraction: float = 0.1  # of the documents, held out
    val_documents: int = 500  # of these, measured at most
    seed: int = 42
    samples: int = 20  # drawn when training is done
    temperature: float = 0.6
    data: str = ""  # path of the documents; "": the names that come with the package

    def __post_init__(self) -> None:
        for name, number in vars(self).items():
            kind = type(vars(TrainConfig)[name])  # each default is of the right type
            if type(number) is not kind and not (kind is float and type(number) is int):
                raise ValueError(f"{name} is {number!r}: make it a {kind.__name__}")
            if kind is str:
                continue
            no_zero = name in NO_ZERO
            finite = number <= sys.float_info.max
            if not (finite and number >= 0) or (no_zero and number == 0):
                least = "more than 0" if no_zero else "0 or more"
                raise ValueError(f"{name} is {number}: make it finite and {least}")


@dataclass
class Run:
    """A training run at some step: all that is needed to go on with it."""

    config: GPTConfig
    training: TrainConfig
    tokenizer: CharTokenizer
    params: Params
    optimizer: Adam
    rng: random.Random
    data_sha256: str
    losses: list[float] = field(default_factory=list)  # one for each step taken

    @property
    def step(self) -> int:
        """How many steps have been taken."""
        return len(self.losses)


def replace_file(path: str, text: str) -> None:
    """Make path hold text, whole, or leave it as it was; cannot write: ValueError.

    The text goes to a new file in the same folder, down to the disk, and only then
    takes the old one's name. A stop at any instant leaves the old file or the new one.
    """
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with open(temporary, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise ValueError(f"cannot write {path}: {error.strerror}") from None
    finally:
        with contextlib.suppress(OSError):
            os.remove(temporary)


def save_checkpoint(path: str, run: Run) -> None:
    """Write all of run to path as JSON. A number that is not finite: ValueError."""
    rng_version, rng_state, rng_gauss = run.rng.getstate()
    content = {
        "config": asdict(run.config),
        "training": asdict(run.training),
        "vocabulary": run.tokenizer.chars,
        "data_sha256": run.data_sha256,
        "step": run.step,
        "losses": run.losses,
        "rng": [rng_version, list(rng_state), rng_gauss],
        "params": {
            name: [[weight.data for weight in row] for row in matrix]
            for name, matrix in run.params.items()
        },
        "adam_m": run.optimizer.m,
        "adam_v": run.optimizer.v,
    }
    try:
        text = json.dumps(content, allow_nan=False)
    except ValueError:
        raise ValueError(
            f"step {run.step} left numbers that are not finite, and was not saved: "
            "lower --learning-rate"
        ) from None
    head = {"format": FORMAT, "version": VERSION, "sha256": _sha256(text)}
    replace_file(path, json.dumps(head)[:-1] + f',\n"run": {text}}}\n')


def load_checkpoint(path: str) -> Run:
    """Return the run saved at path.

    A file that is missing, cut short, changed by a single digit or never was a
    checkpoint: ValueError, in one line.
    """
    try:
        with open(path, encoding="utf-8") as file:
            return _run_from(json.load(file))
    except OSError as error:
        raise ValueError(
            f"cannot read {path}: {error.strerror} (python -m microgpt.train makes one)"
        ) from None
    except json.JSONDecodeError:
        raise ValueError(f"{path} is no checkpoint, or is cut short") from None
    except ValueError as error:
        raise ValueError(f"{path} is no good checkpoint: {error}") from None
    except (TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        # The many ways in which Python says that JSON does not have the expected form.
        raise ValueError(f"{path} is no checkpoint: it is laid out otherwise") from None


def _run_from(record: dict[str, Any]) -> Run:
    if record["format"] != FORMAT or record["version"] != VERSION:
        raise ValueError(f"not a {FORMAT} of version {VERSION}, all that this can read")
    content = record["run"]
    if record["sha256"] != _sha256(json.dumps(content)):
        raise ValueError("its content is not what was saved (the checksum differs)")

    # The checksum finds accidents. The rest must hold against a forged file too: build
    # nothing that is larger than the file, let no number in that is not a finite float.
    config = GPTConfig(**content["config"])
    training = TrainConfig(**content["training"])
    if content["config"] != vars(config) or content["training"] != vars(training):
        raise ValueError("it lacks a setting")
    tokenizer = CharTokenizer(content["vocabulary"])
    matrices = content["params"]
    shapes = {name: (len(m), *{len(row) for row in m}) for name, m in matrices.items()}
    if config.n_layer > len(shapes) or shapes != param_shapes(config):
        raise ValueError("its matrices do not have the shapes that its config asks for")
    if config.vocab_size != tokenizer.vocab_size:
        raise ValueError("its vocabulary does not have the size that its config says")
    params = init_params(config, random.Random(0))
    parameters = flatten(params)
    saved = [number for name in params for row in matrices[name] for number in row]
    for parameter, number in zip(parameters, _floats(saved, len(parameters))):
        parameter.data = number
    losses = _floats(content["losses"], content["step"])
    optimizer = Adam(parameters, weight_decay=training.weight_decay)
    optimizer.t = len(losses)
    optimizer.m = _floats(content["adam_m"], len(parameters))
    optimizer.v = _floats(content["adam_v"], len(parameters))
    if min(optimizer.v) < 0:
        raise ValueError("adam_v, a mean of squares, has a number below 0")
    rng = random.Random()
    version, state, gauss_next = content["rng"]
    if gauss_next is not None:
        _floats([gauss_next], 1)
    if not all(type(word) is int and 0 <= word < 2**32 for word in state):
        raise ValueError("rng is not the state of a random generator")
    rng.setstate((version, tuple(state), gauss_next))
    sha256 = content["data_sha256"]
    if type(sha256) is not str:
        raise ValueError("data_sha256 is not text")
    return Run(config, training, tokenizer, params, optimizer, rng, sha256, losses)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _floats(numbers: list[float], n: int) -> list[float]:
    if type(numbers) is not list or len(numbers) != n:
        raise ValueError(f"{len(numbers)} numbers where a list of {n} belongs")
    if not all(type(number) is float and math.isfinite(number) for number in numbers):
        raise ValueError("there is something among its numbers that is not finite")
    return numbers
