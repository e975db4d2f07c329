"""A run of the larger model, and its file: whole or not at all, and nothing executed.

Before this came `mini_data.py`; next comes `mini_gpt.py`, the training itself and the
command. What a run does next depends on its settings, its parameters, AdamW's two means
and the number of steps taken. (Not on the state of any random generator: the dice of a
step are made from the seed and the step's number, see `mini_data.py`.) All this is in
one file, with every bit.

PyTorch's format for files is a zip archive with a *pickle* in it, which is Python's own
way to save objects, and a pickle can run any code when it is opened.
`weights_only=True` allows tensors, numbers, text, lists and dicts, and nothing that
runs. What comes out is then checked like everything that somebody else may have
written.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import need_torch  # noqa: F401  (says in one line how to install PyTorch)
import torch
from mini_model import MiniConfig, MiniGPT
from torch import Tensor, nn

from microgpt.tokenizer import CharTokenizer
from microgpt.tools.files import check_readable, replace_file

FORMAT = "microgpt mini_gpt"
VERSION = 1
PRECISIONS = ("float32", "bfloat16", "float64")
# How much of Adam's two means is kept at each step. In the book it is 0.9 and 0.95. A
# batch of many examples has steadier gradients, and v may look back further.
BETAS = (0.9, 0.99)


@dataclass(frozen=True)
class MiniTraining:
    """How to train. A setting that makes no sense: ValueError.

    The learning rate rises in even steps (the *warm-up*), since the first gradients of
    a new model are large and say little, and Adam's means have yet to fill. Then it
    falls along half a wave of the cosine, from its highest to `last_rate` of that.
    """

    data: str = ""  # path of the text; "": the names that come with the package
    running_text: bool = False  # windows of one text, in place of a document a row
    steps: int = 5000
    whole_batch: int = 64  # examples in a step, over all processes
    learning_rate: float = 1e-3  # the highest
    warmup: int = 100  # steps until it is reached
    last_rate: float = 0.1  # share of it that is left at the last step
    weight_decay: float = 0.1  # on matrices only
    grad_clip: float = 1.0  # the largest norm of the gradients; 0 means no limit
    val_fraction: float = 0.1
    seed: int = 42
    precision: str = "float32"

    def __post_init__(self) -> None:
        least = {"steps": 1, "whole_batch": 1, "warmup": 0, "seed": 0}
        for name, smallest in least.items():
            number = getattr(self, name)
            if type(number) is not int or not smallest <= number < 2**62:
                raise ValueError(
                    f"{name} is {number!r}: make it a whole number, {smallest} or more"
                )
        for name in ("learning_rate", "weight_decay", "grad_clip"):
            number = getattr(self, name)
            if type(number) not in (int, float) or not 0 <= number < math.inf:
                enough = "above 0" if name == "learning_rate" else "0 or more"
                raise ValueError(f"{name} is {number!r}: make it a number, {enough}")
        if self.learning_rate == 0:
            raise ValueError("learning_rate is 0: make it above 0, to learn anything")
        for name in ("last_rate", "val_fraction"):
            number = getattr(self, name)
            if type(number) not in (int, float) or not 0 <= number <= 1:
                raise ValueError(f"{name} is {number!r}: make it from 0 to 1")
        if not 0 < self.val_fraction < 1:
            raise ValueError(
                f"val_fraction is {self.val_fraction}: make it more than 0, less than 1"
            )
        if type(self.data) is not str or type(self.running_text) is not bool:
            raise ValueError("data is text, and running_text True or False")
        if self.precision not in PRECISIONS:
            raise ValueError(
                f"precision is {self.precision!r}: make it {', '.join(PRECISIONS)}"
            )

    def rate_at(self, step: int) -> float:
        """Return the learning rate of this step, from 0.

        >>> training = MiniTraining(steps=1100, warmup=100, learning_rate=1.0)
        >>> [round(training.rate_at(step), 2) for step in (0, 49, 99, 600, 1099)]
        [0.01, 0.5, 1.0, 0.55, 0.1]
        """
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        share_done = (step - self.warmup) / max(1, self.steps - self.warmup)
        wave = (1 + math.cos(math.pi * share_done)) / 2  # from 1 to 0
        return self.learning_rate * (self.last_rate + (1 - self.last_rate) * wave)


@dataclass(repr=False)
class MiniRun:
    """A training run at some step."""

    config: MiniConfig
    training: MiniTraining
    tokenizer: CharTokenizer
    data_sha256: str  # the fingerprint of the text
    model: MiniGPT
    optimizer: torch.optim.AdamW
    losses: list[float] = field(default_factory=list)  # one for each step
    held_out: list[list[float]] = field(default_factory=list)  # [step, loss], …

    @property
    def step(self) -> int:
        """How many steps have been taken."""
        return len(self.losses)


def new_run(
    config: MiniConfig,
    training: MiniTraining,
    tokenizer: CharTokenizer,
    data_sha256: str,
    device: torch.device,
) -> MiniRun:
    """Return a run before its first step; the seed decides the parameters."""
    torch.manual_seed(training.seed)  # on the CPU, so that every device gets the same
    model = MiniGPT(config)
    if training.precision == "float64":
        model.double()
    model.to(device)
    optimizer = new_optimizer(model, training)
    return MiniRun(config, training, tokenizer, data_sha256, model, optimizer)


def new_optimizer(model: nn.Module, training: MiniTraining) -> torch.optim.AdamW:
    """Return AdamW for two groups of parameters: only matrices are pulled to 0.

    A gain is meant to be near 1, and a bias is one number for each output: there is
    little that they could learn by heart.
    """
    parameters = list(model.parameters())
    matrices = [parameter for parameter in parameters if parameter.dim() >= 2]
    others = [parameter for parameter in parameters if parameter.dim() < 2]
    groups = [
        {"params": matrices, "weight_decay": training.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    # fused: all parameters in one call, where otherwise each takes ten calls.
    return torch.optim.AdamW(groups, lr=0.0, betas=BETAS, fused=True)


# The file.


def save_run(path: str, run: MiniRun) -> None:
    """Write all of run to path, whole or not at all; it cannot be written: ValueError.

    (The content is put together in memory first. A model of billions of parameters is
    saved in pieces, by every process its own.)
    """
    content = {
        "format": FORMAT,
        "version": VERSION,
        "config": asdict(run.config),
        "training": asdict(run.training),
        "vocabulary": run.tokenizer.chars,
        "data_sha256": run.data_sha256,
        "losses": run.losses,
        "held_out": run.held_out,
        "model": dict(run.model.state_dict()),
        "means": means_of(run),
    }
    file = io.BytesIO()
    torch.save(content, file)
    replace_file(path, file.getvalue())


def means_of(run: MiniRun) -> dict[str, dict[str, Tensor]]:
    """Return AdamW's two means for each parameter, by name; none before a step."""
    means = {}
    for name, parameter in run.model.named_parameters():
        state = run.optimizer.state.get(parameter)
        if state:
            means[name] = {"m": state["exp_avg"], "v": state["exp_avg_sq"]}
    return means


# The many ways in which Python says that a content does not have the expected form.
LAID_OUT = (TypeError, KeyError, AttributeError, IndexError, OverflowError)


def load_run(path: str, device: torch.device) -> MiniRun:
    """Return the run saved at path, on this device.

    A file that is missing, cut short, changed or forged: ValueError, in one line.
    """
    check_readable_archive(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, *LAID_OUT):
        raise ValueError(
            f"{path} is no checkpoint of mini_gpt.py, or is damaged"
        ) from None
    try:
        return _checked(content, device)
    except LAID_OUT:
        raise ValueError(
            f"{path} is no checkpoint of mini_gpt.py: it is laid out otherwise"
        ) from None
    except ValueError as error:
        raise ValueError(f"{path} is no good checkpoint: {error}") from None


def check_readable_archive(path: str) -> None:
    """Raise a ValueError if path is not an archive as torch.save writes it, undamaged.

    Every part of a zip archive has a checksum. torch.load does not look at those of
    tensors (tried: with one bit changed, it loads another weight), so we do.
    """
    bad = f"{path} is no checkpoint of mini_gpt.py, or is damaged"
    try:
        with open(path, "rb") as file:
            is_archive = file.read(4) == b"PK\x03\x04"
        if not is_archive:
            check_readable(path)  # may know what it is instead
            raise ValueError(bad)
        with zipfile.ZipFile(path) as archive:
            for part in archive.infolist():
                # A packed part could grow beyond all bounds. torch.save packs none.
                if part.compress_type != zipfile.ZIP_STORED:
                    raise ValueError(bad)
            damaged = archive.testzip()  # the name of a part, or None
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    except (zipfile.BadZipFile, RuntimeError, EOFError, OverflowError, struct.error):
        raise ValueError(bad) from None
    if damaged is not None:
        raise ValueError(bad)


def _checked(content: dict[str, Any], device: torch.device) -> MiniRun:
    """Return the run that the content describes; the first fault: ValueError."""
    if content["format"] != FORMAT or content["version"] != VERSION:
        raise ValueError(f"it is not a {FORMAT} of version {VERSION}")
    config = MiniConfig(**content["config"])
    training = MiniTraining(**content["training"])
    for name, made in ("config", config), ("training", training):
        if content[name] != asdict(made):
            raise ValueError(f"it lacks a setting in {name!r}")
    tokenizer = CharTokenizer(content["vocabulary"])
    if config.vocab_size != tokenizer.vocab_size:
        raise ValueError("its vocabulary is not as large as its config says")
    if type(content["data_sha256"]) is not str:
        raise ValueError("data_sha256 is not text")
    losses = _finite_floats(content["losses"], "losses")
    held_out = content["held_out"]
    for pair in held_out:
        step, _ = _finite_floats(pair, "held_out")
        if not 0 <= step <= len(losses):
            raise ValueError("held_out has a step that was not taken")
    # A config with a billion layers must not build them: compare with what is there.
    tensors = content["model"]
    if config.n_layer > len(tensors):
        raise ValueError("it has fewer tensors than its config asks for")
    dtype = torch.float64 if training.precision == "float64" else torch.float32
    with torch.device("meta"):  # shapes without numbers, which take no memory
        expected = MiniGPT(config).to(dtype)
    _check_tensors(tensors, dict(expected.state_dict()), "model")
    for name in ("m", "v"):
        means = {key: pair[name] for key, pair in content["means"].items()}
        wanted = dict(expected.named_parameters()) if losses else {}
        _check_tensors(means, wanted, f"means {name}")
        if name == "v" and any(bool((mean < 0).any()) for mean in means.values()):
            raise ValueError("v, a mean of squares, has a number below 0")

    run = new_run(config, training, tokenizer, content["data_sha256"], device)
    run.model.load_state_dict(tensors)
    for name, parameter in run.model.named_parameters():
        if losses:
            run.optimizer.state[parameter] = {
                "step": torch.tensor(float(len(losses)), device=device),
                "exp_avg": content["means"][name]["m"].to(device),
                "exp_avg_sq": content["means"][name]["v"].to(device),
            }
    run.losses = losses
    run.held_out = held_out
    return run


def _finite_floats(numbers: Any, where: str) -> list[float]:
    if type(numbers) is not list:
        raise ValueError(f"{where} is not a list")
    if not all(type(n) in (int, float) and math.isfinite(n) for n in numbers):
        raise ValueError(f"{where} holds something that is not a finite number")
    return numbers


def _check_tensors(
    tensors: dict[str, Any], expected: Mapping[str, Tensor], where: str
) -> None:
    if set(tensors) != set(expected):
        raise ValueError(f"{where}: its tensors are not those that its config asks for")
    for name, tensor in tensors.items():
        wanted = expected[name]
        # A tensor that is not contiguous can claim more numbers than the file holds.
        if not (
            isinstance(tensor, Tensor)
            and tensor.device.type == "cpu"
            and tensor.layout == torch.strided
            and tensor.is_contiguous()
        ):
            raise ValueError(f"{where}: {name} is not a tensor of numbers")
        if tensor.shape != wanted.shape or tensor.dtype != wanted.dtype:
            raise ValueError(
                f"{where}: {name} is {tuple(tensor.shape)} of {tensor.dtype}, but "
                f"{tuple(wanted.shape)} of {wanted.dtype} belongs there"
            )
        if not bool(torch.isfinite(tensor).all()):
            raise ValueError(f"{where}: {name} holds a number that is not finite")
