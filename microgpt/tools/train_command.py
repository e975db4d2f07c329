"""What `python -m microgpt.train` does: flags, saving, going on, progress, Ctrl-C.

The order of events: read the flags and the data, make or load the run, train it and
save it, and then tell what came of it. `RunFolder` sees to it that nothing that was
saved is lost, `run_command` that a person gets one line instead of a traceback.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import re
import time
from collections.abc import Sequence
from typing import Any

from microgpt import __version__
from microgpt.evaluation import smooth
from microgpt.model import GPTConfig, param_shapes
from microgpt.tokenizer import CharTokenizer
from microgpt.tools.checkpoint import (
    LARGEST,
    CommandSettings,
    default_data_path,
    documents_sha256,
    read_checkpoint,
    read_data,
    what_to_lower,
)
from microgpt.tools.files import CannotWrite, in_bytes, memory_here
from microgpt.tools.folder import CHECKPOINT, RunFolder
from microgpt.tools.report import (
    measure,
    print_profile,
    print_samples,
    print_sizes,
    save_losses,
    steps_a_line,
)
from microgpt.tools.terminal import (
    CtrlC,
    OneLineParser,
    OutputFailed,
    Progress,
    quoted,
    run_command,
    say,
    say_error,
)
from microgpt.training import Run, TrainConfig, shuffle_and_split, start, train

SIZES = ("block_size", "n_layer", "n_head", "n_embd")
TRAINING = (
    "steps",
    "batch_size",
    "learning_rate",
    "weight_decay",
    "grad_clip",
    "val_fraction",
    "seed",
)
# The settings of a run: type, what stands for it in --help, and what it means.
FLAGS = {
    "data": (str, "FILE", "text file, one document a line"),
    "steps": (int, "N", "how many steps to train"),
    "seed": (int, "N", "starts all that is random"),
    "batch_size": (int, "N", "documents a step"),
    "block_size": (int, "N", "how many tokens the model can see"),
    "n_layer": (int, "N", "layers"),
    "n_head": (int, "N", "heads of attention in a layer"),
    "n_embd": (int, "N", "how many numbers stand for a token"),
    "learning_rate": (
        float,
        "X",
        "at the first step; it falls to almost 0 at the last",
    ),
    "weight_decay": (float, "X", "how strongly weights are pulled to 0"),
    "grad_clip": (float, "X", "longest gradient allowed; 0: any"),
    "val_fraction": (float, "X", "share of the documents that is held out"),
    "val_documents": (int, "N", "measure the loss on at most so many of these"),
    "samples": (int, "N", "how many samples to draw at the end"),
    "temperature": (float, "X", "of the samples; below 1: safer, above: wilder"),
}
SAVE_SECONDS = 30.0  # the most that a kill without warning can lose


def main(argv: Sequence[str] | None = None) -> int:
    """Run `python -m microgpt.train`; return its exit code."""
    ctrl_c = CtrlC()
    return run_command(lambda: _command(argv, ctrl_c), ctrl_c)


def flag_of(name: str) -> str:
    """Return the flag of a setting: "--n-embd" for "n_embd"."""
    return "--" + name.replace("_", "-")


def _with_flags(error: ValueError) -> ValueError:
    """Return the error with flags in place of settings: what a person can change."""
    names = "|".join([*SIZES, *TRAINING, "val_documents", "samples", "temperature"])
    return ValueError(
        re.sub(rf"\b({names})\b", lambda found: flag_of(found[0]), str(error))
    )


def _parse(argv: Sequence[str] | None) -> tuple[argparse.Namespace, dict[str, Any]]:
    """Return (all arguments, the settings that were really given)."""
    parser = OneLineParser(
        prog="python -m microgpt.train",
        description="Train a GPT on a file of names, and draw new names from it.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    defaults = {
        **vars(GPTConfig(vocab_size=1)),
        **vars(TrainConfig()),
        **vars(CommandSettings()),
        "data": "input.txt here, else the names shipped with this",
    }
    for name, (kind, metavar, meaning) in FLAGS.items():
        add(
            flag_of(name),
            metavar=metavar,
            type=kind,
            default=argparse.SUPPRESS,  # so that we can tell which were given
            help=f"{meaning} (default: {defaults[name]})",
        )
    add(
        "--running-text",
        action="store_true",
        default=argparse.SUPPRESS,
        help="read the file as one long text, cut into windows of --block-size "
        "characters, line ends among them (default: a document a line)",
    )
    add(
        "--out",
        metavar="DIR",
        default="out",
        help="folder for what is saved (default: out)",
    )
    add(
        "--resume",
        action="store_true",
        help="go on with the run in --out, with its settings (default: train anew)",
    )
    add(
        "--profile",
        action="store_true",
        help="say where the time of a step went (default: do not)",
    )
    add("--version", action="version", version=f"microgpt {__version__}")
    args = parser.parse_args(argv)
    settings = (*FLAGS, "running_text")
    given = {name: vars(args)[name] for name in settings if name in vars(args)}
    for name, setting in given.items():
        if type(setting) is int and setting > LARGEST:
            raise ValueError(f"{flag_of(name)} is {setting}: make it smaller")
    if given.get("data") == "":
        raise ValueError("--data is empty: name a file, or do without --data")
    if args.out == "":
        raise ValueError("--out is empty: name a folder, or do without --out")
    return args, given


def _command(argv: Sequence[str] | None, ctrl_c: CtrlC) -> int:
    args, given = _parse(argv)
    place = RunFolder(args.out, resumed=args.resume)
    if args.resume:
        run, settings = _resume(place.path, given)
        documents = _documents_of(run, settings, place.path)
        _, train_documents, val_documents = shuffle_and_split(
            documents, run.training, settings.running_text
        )
    else:
        documents = read_data(
            given.get("data") or default_data_path(),
            given.get("running_text", False),
            given.get("block_size", GPTConfig(vocab_size=1).block_size),
        )
        training, settings, sizes = _settings_of(given, documents)
        run, train_documents, val_documents = start(
            documents, training, settings.running_text, **sizes
        )
    place.make()

    print_sizes(run, settings, documents)
    _train_and_save(run, settings, train_documents, place, ctrl_c)
    if run.step < run.training.steps or ctrl_c.presses:
        _say_how_to_go_on(run, place)
        return 130
    ctrl_c.last_word = f"stopped; the run itself is saved in {place.path}"
    ctrl_c.now()
    if args.profile:
        print_profile(run, train_documents)
    # The table it is compared with may count only what the model has seen.
    trained_on = train_documents[: run.step * run.training.batch_size]
    val_loss = measure(run, settings, trained_on, val_documents)
    written = save_losses(run, place.folder, val_loss)
    print_samples(run, settings, documents, trained_on)
    files = ", ".join([CHECKPOINT, *written]).replace(".svg", ".svg (a picture)")
    say(f"saved in {place.folder}: {files}")
    return 0


# Settings and data.


def _settings_of(
    given: dict[str, Any], documents: Sequence[str]
) -> tuple[TrainConfig, CommandSettings, dict[str, int]]:
    """Return the settings of a new run, after a look at how large it would be."""
    sizes = {name: given.pop(name) for name in SIZES if name in given}
    vocab_size = CharTokenizer.from_documents(documents).vocab_size
    try:
        training = TrainConfig(**{k: given.pop(k) for k in TRAINING if k in given})
        settings = CommandSettings(**given, data_sha256=documents_sha256(documents))
        config = GPTConfig(vocab_size, **sizes)
    except ValueError as error:
        raise _with_flags(error) from None
    longest = max([len(document) for document in documents])
    _check_that_it_fits(config, min(config.block_size, longest + 1))
    return training, settings, sizes


def n_parameters(config: GPTConfig) -> int:
    """Return how many parameters the model has, without making any of them."""

    def count(n_layer: int) -> int:
        shapes = param_shapes(dataclasses.replace(config, n_layer=n_layer))
        return sum([rows * columns for rows, columns in shapes.values()])

    # Every layer has as many, and a list of a billion layers would itself be too long.
    return count(1) + (config.n_layer - 1) * (count(2) - count(1))


def memory_needed(config: GPTConfig, n_tokens: int) -> int:
    """Return about how many bytes training takes, with texts of n_tokens tokens.

    The numbers were measured. A parameter takes 250 bytes: the Value with its number,
    gradient and label, its places in lists, and Adam's two means. In the graph of one
    document, each parameter is used once for each token, which takes 40 bytes: the
    places of two inputs and two slopes. Attention compares each token with those before
    it, in each head and each layer.
    """
    per_pair = 750 * config.n_head + 20 * config.n_embd
    attention = n_tokens * n_tokens * config.n_layer * per_pair
    return n_parameters(config) * (250 + 40 * n_tokens) + attention


def _check_that_it_fits(config: GPTConfig, n_tokens: int) -> None:
    needed, memory = memory_needed(config, n_tokens), memory_here()
    if memory is not None and needed > memory:
        raise ValueError(
            f"a model of {n_parameters(config):,} parameters would take about "
            f"{in_bytes(needed)} of memory, and there are {in_bytes(memory)} here: "
            "lower --n-embd, --n-layer or --block-size"
        )


def _resume(path: str, given: dict[str, Any]) -> tuple[Run, CommandSettings]:
    """Return the run saved at path, with the given settings if they can be changed."""
    run, settings = read_checkpoint(path)
    saved = {**vars(run.config), **vars(run.training)}
    for name in (*SIZES, "seed", "val_fraction", "batch_size"):
        if name in given and given.pop(name) != saved[name]:
            flag = flag_of(name)
            raise ValueError(
                f"{path} was trained with {flag} {saved[name]}, which cannot change: "
                f"leave {flag} out, or train anew without --resume"
            )
    if given.get("running_text", settings.running_text) != settings.running_text:
        raise ValueError(
            f"{path} was trained on a document a line: leave --running-text out, or "
            "train anew without --resume"
        )
    training = {name: given.pop(name) for name in TRAINING if name in given}
    try:
        run.training = dataclasses.replace(run.training, **training)
        settings = dataclasses.replace(settings, **given)
    except ValueError as error:
        raise _with_flags(error) from None
    if "weight_decay" in training:
        run.optimizer.weight_decay = run.training.weight_decay
    if run.step > run.training.steps:
        raise ValueError(
            f"{path} is at step {run.step} already, past --steps {run.training.steps}"
        )
    return run, settings


def _documents_of(run: Run, settings: CommandSettings, path: str) -> list[str]:
    """Return the documents that a saved run was trained on, and no others."""
    data = settings.data or default_data_path()
    documents = read_data(data, settings.running_text, run.config.block_size)
    if documents_sha256(documents) != settings.data_sha256:
        raise ValueError(
            f"{data} is not, or no longer, what {path} was trained on: name that file "
            "with --data, or train anew without --resume (what is saved is kept)"
        )
    return documents


# Training.


def _train_and_save(
    run: Run,
    settings: CommandSettings,
    documents: Sequence[str],
    place: RunFolder,
    ctrl_c: CtrlC,
) -> None:
    """Train with progress; save at the end, on Ctrl-C, and now and then between.

    What stops the training is dealt with after the run has been saved: a Ctrl-C, output
    that can no longer be written, memory that has run out. A second Ctrl-C gives up the
    step that is being taken, if that is a long one, and the run is saved as it was
    after the last.
    """
    steps = run.training.steps
    if run.step:
        say(
            f"resuming after step {run.step}/{steps}, loss {smooth(run.losses)[-1]:.3f}"
        )
    step_in_file = run.step
    saved_at = time.monotonic()
    progress = Progress("step", steps, steps_a_line(run), start=run.step)
    failure: Exception | None = None
    try:
        try:
            ctrl_c.after_this_step()
            for _ in train(run, documents):
                if run.step == 1:
                    first, guess = run.losses[0], math.log(run.config.vocab_size)
                    say(f"step 1/{steps}, loss {first:.3f} (blind guess {guess:.3f})")
                recent = run.losses[-50:]
                progress.show(run.step, f", loss {sum(recent) / len(recent):.3f}")
                if ctrl_c.presses:
                    break
                if time.monotonic() - saved_at > SAVE_SECONDS:
                    if _save_now(run, settings, place, progress):
                        step_in_file = run.step
                    saved_at = time.monotonic()
        except (OutputFailed, MemoryError) as error:
            failure = error
        ctrl_c.hold()
    except KeyboardInterrupt:
        pass  # the second; there will be no third
    except ArithmeticError as error:
        kept = (
            f"{place.path} holds step {step_in_file}"
            if step_in_file
            else "this run had saved nothing yet"
        )
        raise ValueError(
            f"stopped at step {run.step + 1}, {error}: "
            f"{what_to_lower(run.training)} ({kept})"
        ) from None
    finally:
        try:
            progress.finish()
        except OutputFailed as error:
            failure = failure or error

    if run.step:
        line = _save_at_last(run, settings, place)
        save_losses(run, place.folder)
        if line and not failure:
            say(line)
    if failure:
        raise failure


def _save_now(
    run: Run, settings: CommandSettings, place: RunFolder, progress: Progress
) -> bool:
    """Save a run that goes on; say whether that worked: if not, the next time will."""
    try:
        line = place.save(run, settings)
    except CannotWrite as error:
        progress.finish()
        say_error(f"warning: {error}; training goes on, and this is tried again")
        return False
    if line:
        progress.finish()
        say(line)
    return True


def _save_at_last(run: Run, settings: CommandSettings, place: RunFolder) -> str:
    """Save a run that ends here, if need be at the fifth try.

    On Windows, a virus scanner or an index of the disk may hold a file for a moment.
    """
    for _ in range(4):
        try:
            return place.save(run, settings)
        except CannotWrite:
            time.sleep(0.2)
    return place.save(run, settings)


def _say_how_to_go_on(run: Run, place: RunFolder) -> None:
    if not run.step:
        say("stopped in the first step: there is nothing to save yet")
        return
    say(f"stopped after step {run.step} of {run.training.steps}, saved in {place.path}")
    command = "python -m microgpt.train --resume"
    if place.folder != "out":
        # After "=", a name that begins with a dash is not taken for a flag.
        between = "=" if place.folder.startswith("-") else " "
        command += f" --out{between}{quoted(place.folder)}"
    say(f"to go on: {command}")
