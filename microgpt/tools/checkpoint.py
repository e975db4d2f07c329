"""A run that is saved whole can stop at any instant and go on as if it never had.

What a run does next depends on its parameters, Adam's settings and two means, the
random generator (for the samples), the training settings, the losses so far (whose
number is the step count) and the documents. All but the last are in one JSON file, with
every digit; of the documents it holds a fingerprint. JSON is data, and reading it runs
nothing; a pickle, Python's own way to save objects, can run anything.

    save_checkpoint(path, run)    the file is replaced whole, or stays as it was
    load_checkpoint(path)         the run, or a ValueError that says what is wrong

A checkpoint comes from a disk, or from somebody else. So it is checked twice: a
checksum finds accidents, and after that each part must be what it should be, because a
forged file has the right checksum. `save_checkpoint` puts what it is about to write
through the same checks, so that it never replaces a good file by one that cannot be
loaded.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import random
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from microgpt.adam import Adam
from microgpt.data import read_documents, read_windows
from microgpt.model import GPTConfig, flatten, init_params, param_shapes
from microgpt.tokenizer import CharTokenizer
from microgpt.tools.files import check_readable, replace_file
from microgpt.training import Run, TrainConfig
from microgpt.value import as_float

FORMAT = "microgpt checkpoint"
VERSION = 2
LARGEST = 1e300  # of all settings; whole numbers up to here can become floats


@dataclass(frozen=True)
class CommandSettings:
    """What the training command was told besides `TrainConfig`; it is saved as well."""

    data: str = ""  # path of the documents; "": the names that come with the package
    data_sha256: str = ""  # the fingerprint of these documents
    running_text: bool = False  # whether they are windows cut from one long text
    val_documents: int = 500  # how many held-out documents are measured at most
    samples: int = 20  # how many samples are printed when training is done
    temperature: float = 0.6  # of these samples

    def __post_init__(self) -> None:
        for name in ("val_documents", "samples"):
            number = getattr(self, name)
            least = 1 if name == "val_documents" else 0
            if type(number) is not int or number < least:
                raise ValueError(
                    f"{name} is {number!r}: make it a whole number, {least} or more"
                )
        t = self.temperature
        if type(t) not in (int, float) or not 0 < t < math.inf:
            raise ValueError(f"temperature is {t!r}: make it a finite number above 0")
        if type(self.data) is not str or type(self.data_sha256) is not str:
            raise ValueError("data and data_sha256 are text")
        if type(self.running_text) is not bool:
            raise ValueError("running_text is true or false")


def documents_sha256(documents: Iterable[str]) -> str:
    """Return a fingerprint of the documents, by which a saved run recognises them.

    For a file of stripped lines, it is what the command sha256sum prints of the file.
    """
    fingerprint = hashlib.sha256()
    for document in documents:
        fingerprint.update((document + "\n").encode("utf-8"))
    return fingerprint.hexdigest()


def read_data(path: str, running_text: bool, block_size: int) -> list[str]:
    """Return the documents of a file, or if it is running text, its windows.

    A file that cannot be read, or that holds nothing to learn from: ValueError.
    """
    check_readable(path)
    if not running_text:
        return read_documents(path)
    if block_size < 1:
        raise ValueError(f"--block-size is {block_size}: make it 1 or more")
    return read_windows(path, block_size)


def default_data_path() -> str:
    """Return the working folder's input.txt if there is one, else the package's."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    installed = os.path.join(package, "input.txt")
    checkout = os.path.join(os.path.dirname(package), "input.txt")
    for path in ("input.txt", installed):
        if os.path.isfile(path):
            return path
    return checkout


def what_to_lower(training: TrainConfig) -> str:
    """Return what to do when the numbers of a run have grown beyond all bounds."""
    # Each step multiplies the weights by 1 - lr * weight_decay. Below -1, they grow.
    if training.learning_rate * training.weight_decay >= 2:
        return "lower --weight-decay"
    return "lower --learning-rate"


# Saving.


def save_checkpoint(
    path: str, run: Run, settings: CommandSettings | None = None
) -> None:
    """Write all of run to path as JSON.

    Whole numbers where floats belong are converted. A run that could not be loaded
    again as it is, and a file that cannot be written: ValueError, and what was at path
    is still there.
    """
    settings = settings or CommandSettings()
    try:
        text = json.dumps(_content(run, settings), allow_nan=False)
    except (ValueError, TypeError, OverflowError) as error:
        if not str(error).startswith("Out of range float"):
            raise ValueError(f"this run cannot be saved: {error}") from None
        raise ValueError(
            f"step {run.step} left numbers that are not finite, and was not saved: "
            f"{what_to_lower(run.training)}"
        ) from None
    try:
        _checked(json.loads(text))
    except (ValueError, *LAID_OUT_OTHERWISE) as error:
        raise ValueError(f"this run cannot be saved: {error}") from None
    head = {"format": FORMAT, "version": VERSION, "sha256": _sha256(text)}
    replace_file(path, json.dumps(head)[:-1] + f',\n"run": {text}}}\n')


def _content(run: Run, settings: CommandSettings) -> dict[str, Any]:
    """Return what the file is to hold of a run."""
    parameters = flatten(run.params)
    optimizer = run.optimizer
    # A file holds numbers, and not which objects are one and the same. These three are
    # so in every run that `start` makes; in another, loading would lose something.
    if list(map(id, optimizer.parameters)) != list(map(id, parameters)):
        raise ValueError(
            "its optimizer does not move the parameters of its model: make it with "
            "Adam(flatten(params))"
        )
    if len(set(map(id, parameters))) != len(parameters):
        raise ValueError("one parameter stands in two places of its model")
    if list(run.params) != list(param_shapes(run.config)):
        raise ValueError("its matrices are not those of its config, in their order")
    if optimizer.t != run.step:
        raise ValueError(
            f"its optimizer has taken {optimizer.t} steps, but it has {run.step} losses"
        )
    rng_version, rng_state, rng_gauss = run.rng.getstate()
    return {
        "config": asdict(run.config),
        "training": asdict(run.training),
        "command": asdict(settings),
        "vocabulary": run.tokenizer.chars,
        "step": run.step,
        "losses": [float(loss) for loss in run.losses],
        "rng": [rng_version, list(rng_state), rng_gauss],
        "params": {
            name: [[float(as_float(weight)) for weight in row] for row in matrix]
            for name, matrix in run.params.items()
        },
        "adam": {
            "beta1": float(optimizer.beta1),
            "beta2": float(optimizer.beta2),
            "eps": float(optimizer.eps),
            "weight_decay": float(optimizer.weight_decay),
            "m": [float(number) for number in optimizer.m],
            "v": [float(number) for number in optimizer.v],
        },
    }


# Loading.


def load_checkpoint(path: str) -> Run:
    """Return the run saved at path; what can go wrong is said at read_checkpoint."""
    run, _ = read_checkpoint(path)
    return run


def read_checkpoint(path: str) -> tuple[Run, CommandSettings]:
    """Return the run saved at path, and the settings of the command that saved it.

    A file that is missing, cut short, changed by a single digit or never was a
    checkpoint: ValueError, in one line.
    """
    check_readable(path)
    try:
        # utf-8-sig: some editors put an invisible mark at the beginning of a file.
        with open(path, encoding="utf-8-sig") as file:
            text = file.read()
    except OSError as error:
        raise ValueError(
            f"cannot read {path}: {error.strerror} (python -m microgpt.train makes one)"
        ) from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no checkpoint: it is not text") from None
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(f"{path} is no checkpoint, or is cut short") from None
    try:
        return _built(_checked(_content_of(record)))
    except LAID_OUT_OTHERWISE:
        raise ValueError(f"{path} is no checkpoint: it is laid out otherwise") from None
    except ValueError as error:
        raise ValueError(f"{path} is no good checkpoint: {error}") from None


# The many ways in which Python says that JSON does not have the expected form.
LAID_OUT_OTHERWISE = (
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    RecursionError,
    OverflowError,
)


def _content_of(record: dict[str, Any]) -> dict[str, Any]:
    """Return what the file says of the run, laid out as in the newest version."""
    version = record["version"]
    if record["format"] != FORMAT or type(version) is not int:
        raise ValueError(f"not a {FORMAT}")
    if version not in (1, VERSION):
        raise ValueError(
            f"it is a {FORMAT} of version {version}, and this program knows 1 and "
            f"{VERSION}"
        )
    content: dict[str, Any] = record["run"]
    if record["sha256"] != _sha256(json.dumps(content)):
        raise ValueError("its content is not what was saved (the checksum differs)")
    if version == 1:
        return _from_version_1(content)
    # A file that does not say so was written before there was running text.
    content["command"].setdefault("running_text", False)
    return content


def _from_version_1(content: dict[str, Any]) -> dict[str, Any]:
    """Return what a checkpoint of version 1 holds, laid out as in version 2."""
    content = dict(content)
    training = dict(content["training"])
    command = {
        name: training.pop(name)
        for name in ("data", "val_documents", "samples", "temperature")
    }
    command["data_sha256"] = content.pop("data_sha256")
    command["running_text"] = False
    defaults = Adam([])  # version 1 did not save these, and they could not be set
    content["training"] = training
    content["command"] = command
    content["adam"] = {
        "beta1": defaults.beta1,
        "beta2": defaults.beta2,
        "eps": defaults.eps,
        "weight_decay": float(training["weight_decay"]),
        "m": content.pop("adam_m"),
        "v": content.pop("adam_v"),
    }
    return content


class _Parts(NamedTuple):
    """What a checkpoint holds, after every check."""

    config: GPTConfig
    training: TrainConfig
    settings: CommandSettings
    tokenizer: CharTokenizer
    parameters: list[float]  # in the order of flatten(params)
    losses: list[float]
    adam: dict[str, Any]
    rng: random.Random


def _checked(content: dict[str, Any]) -> _Parts:
    """Return the parts of a run, or a ValueError about the first that is not right.

    Two rules hold for what is done here with numbers that a forger may have chosen:
    build nothing that is larger than the file, and let no number in that is not a
    finite float.
    """
    config = GPTConfig(**content["config"])
    training = TrainConfig(**content["training"])
    settings = CommandSettings(**content["command"])
    for name, made in ("config", config), ("training", training), ("command", settings):
        # A default in place of a missing setting would go on in another way.
        if content[name] != vars(made):
            raise ValueError(f"it lacks a setting in {name!r}")
        # JSON knows no largest number, and what is computed from these are floats.
        if any(type(n) in (int, float) and n > LARGEST for n in content[name].values()):
            raise ValueError(f"it has a setting in {name!r} that is too large")

    vocabulary = content["vocabulary"]
    if type(vocabulary) is not str:
        raise ValueError("its vocabulary is not text")
    tokenizer = CharTokenizer(vocabulary)
    if config.vocab_size != tokenizer.vocab_size:
        raise ValueError(
            f"its vocabulary has {tokenizer.vocab_size} tokens, but its config says "
            f"{config.vocab_size}"
        )

    matrices = content["params"]
    # A matrix with rows of one length has a shape of two numbers, (rows, columns).
    shapes = {name: (len(m), *{len(row) for row in m}) for name, m in matrices.items()}
    # The first comparison is for a config with a billion layers.
    if config.n_layer > len(shapes) or shapes != param_shapes(config):
        raise ValueError("its matrices do not have the shapes that its config asks for")
    parameters: list[float] = []
    for name in param_shapes(config):
        for row in matrices[name]:
            parameters += _floats(row, len(row), name)

    step = content["step"]
    if type(step) is not int:
        raise ValueError("its step is not a whole number")
    losses = _floats(content["losses"], step, "losses")

    adam = content["adam"]
    settings_of_adam = ("beta1", "beta2", "eps", "weight_decay")
    if set(adam) != {*settings_of_adam, "m", "v"}:
        raise ValueError("it lacks a setting in 'adam'")
    _floats([adam[name] for name in settings_of_adam], 4, "adam")
    if not (0 <= adam["beta1"] < 1 and 0 <= adam["beta2"] < 1):
        raise ValueError("Adam's beta1 and beta2 are not from 0 to below 1")
    if adam["eps"] < 0 or adam["weight_decay"] < 0:
        raise ValueError("Adam's eps or weight_decay is below 0")
    _floats(adam["m"], len(parameters), "Adam's m")
    if min(_floats(adam["v"], len(parameters), "Adam's v")) < 0:
        raise ValueError("Adam's v, a mean of squares, has a number below 0")

    rng_version, words, gauss_next = content["rng"]
    if gauss_next is not None:
        _floats([gauss_next], 1, "rng")
    # random.setstate drops what is beyond 32 bits without a word.
    if not all(type(word) is int and 0 <= word < 2**32 for word in words):
        raise ValueError("rng is not the state of a random generator")
    rng = random.Random()
    try:
        rng.setstate((rng_version, tuple(words), gauss_next))
    except (ValueError, TypeError):
        raise ValueError("rng is not the state of a random generator") from None
    return _Parts(config, training, settings, tokenizer, parameters, losses, adam, rng)


def _floats(numbers: Any, n: int, where: str) -> list[float]:
    """Return numbers if they are a list of n finite floats."""
    if type(numbers) is not list or len(numbers) != n:
        raise ValueError(f"{where}: a list of {n} numbers belongs there")
    if not all(type(number) is float and math.isfinite(number) for number in numbers):
        raise ValueError(f"{where}: there is something that is not a finite number")
    return numbers


def _built(parts: _Parts) -> tuple[Run, CommandSettings]:
    """Return the run that the parts describe."""
    # The numbers are replaced at once; what stays of these parameters is the labels.
    params = init_params(parts.config, random.Random(0))
    parameters = flatten(params)
    for parameter, number in zip(parameters, parts.parameters):
        parameter.data = number
    adam = parts.adam
    optimizer = Adam(
        parameters,
        beta1=adam["beta1"],
        beta2=adam["beta2"],
        eps=adam["eps"],
        weight_decay=adam["weight_decay"],
    )
    optimizer.m = adam["m"]
    optimizer.v = adam["v"]
    optimizer.t = len(parts.losses)
    run = Run(
        config=parts.config,
        training=parts.training,
        tokenizer=parts.tokenizer,
        params=params,
        optimizer=optimizer,
        rng=parts.rng,
        losses=parts.losses,
    )
    return run, parts.settings


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
