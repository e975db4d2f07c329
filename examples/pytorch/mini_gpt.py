"""Train a real GPT: on names or any text, on one device or on many machines.

    python examples/pytorch/mini_gpt.py --n-layer 2 --n-embd 64 --steps 500
    python examples/pytorch/mini_gpt.py --data book.txt --running-text
    torchrun --nproc-per-node 2 examples/pytorch/mini_gpt.py

The first is small, and takes a minute or two on a laptop. The second learns from a file
of yours. The third has two processes, and so steps of twice as many examples.

Before this came `mini_run.py`. The loop is the book's: a batch, the loss, backward, a
step. Around it stands what a run of hours needs: a learning rate that rises and falls,
gradients that are clipped, a held-out loss and samples now and then, a file from which
it goes on exactly as it would have, and several processes that share the work.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import random
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from typing import Any

import need_torch  # noqa: F401  (says in one line how to install PyTorch)
import torch
from mini_data import Corpus, Rows, Windows, mixed, read_corpus
from mini_model import PAD, MiniConfig, MiniGPT, nats_of_tokens
from mini_run import MiniRun, MiniTraining, load_run, new_run, save_run
from processes import PeerLost, Place, Signals, chosen_device, join
from torch import nn

from microgpt.sampling import token_probabilities
from microgpt.tokenizer import CharTokenizer
from microgpt.tools.checkpoint import default_data_path
from microgpt.tools.files import CannotWrite
from microgpt.tools.terminal import (
    OneLineParser,
    OutputFailed,
    Progress,
    is_terminal,
    run_command,
    say,
    say_error,
    terminal_columns,
)
from microgpt.training import ctrl_c_waits

CHECKPOINT = "checkpoint.pt"
SAVE_SECONDS = 60.0  # the most that a kill without warning can lose


# The training.


def train(
    run: MiniRun, data: Rows | Windows, place: Place, compiled: bool = False
) -> Iterator[tuple[float, int]]:
    """Take the steps that are left; yield the loss of each, and its characters.

    This is the book's `train`. Between two turns of the caller's loop the run is
    complete, and can be saved. A loss that is not finite: FloatingPointError. Another
    process that has ended: PeerLost.
    """
    with lost_peers_are_named(place):
        model: Any = place.shared(run.model)
        if compiled:
            model = torch.compile(model)
    for step in range(run.step, run.training.steps):
        run.model.train()  # dropout on; whoever measured has turned it off
        with lost_peers_are_named(place):
            loss, n_counted = take_step(run, model, data, step, place)
        yield loss, n_counted


def take_step(
    run: MiniRun, model: nn.Module, data: Rows | Windows, step: int, place: Place
) -> tuple[float, int]:
    """Take one step: the same five lines as in the book, and what large runs add."""
    training, optimizer, device = run.training, run.optimizer, place.device
    tokens, targets = data.take(step * training.whole_batch, training.whole_batch)
    n_counted = int((targets != PAD).sum())  # characters to predict in the whole batch
    mine = slice(place.rank, None, place.world)  # of two processes: every second one
    tokens, targets = tokens[mine].to(device), targets[mine].to(device)

    torch.manual_seed(mixed(training.seed, step, place.rank))  # the dice of dropout
    optimizer.zero_grad()
    # In mixed precision, matrices are multiplied with numbers of 16 bits, and what
    # needs more digits, such as sums, is done with 32.
    mixed_precision = training.precision == "bfloat16"
    with torch.autocast(device.type, torch.bfloat16, enabled=mixed_precision):
        logits = model(tokens)
    nats = nats_of_tokens(logits, targets).sum()
    # The loss is the mean over all characters of the batch, wherever they are. DDP
    # takes the mean of the gradients over the processes, so each is multiplied by their
    # number first, and what comes out is the sum.
    (nats * (place.world / n_counted)).backward()
    [all_nats] = place.sums(nats.detach())
    loss = all_nats / n_counted
    if not math.isfinite(loss):
        raise FloatingPointError(f"the loss of step {step + 1} is {loss}")
    if training.grad_clip:
        nn.utils.clip_grad_norm_(run.model.parameters(), training.grad_clip)
    for group in optimizer.param_groups:
        group["lr"] = training.rate_at(step)
    with ctrl_c_waits():
        optimizer.step()
        run.losses.append(loss)
    return loss, n_counted


@torch.no_grad()
def held_out_loss(run: MiniRun, data: Rows | Windows, device: torch.device) -> float:
    """Return the mean loss over all characters of held-out text, in nats."""
    run.model.eval()  # dropout off: the whole model is measured
    nats, n_counted = 0.0, 0
    # On a terminal it shows how far it is; elsewhere there would be a line too many.
    progress = Progress("measuring", data.n, every=data.n + 1)
    for tokens, targets in data.held_out_batches():
        logits = run.model(tokens.to(device))
        nats += float(nats_of_tokens(logits, targets.to(device)).sum())
        n_counted += int((targets != PAD).sum())
        progress.show(min(data.n, progress.done + len(tokens)))
    progress.finish()
    return nats / n_counted


@torch.no_grad()
def generate(
    model: MiniGPT,
    tokenizer: CharTokenizer,
    rng: random.Random,
    prompt: str = "",
    length: int | None = None,
    **how: Any,
) -> str:
    """Return the prompt and what the model adds, up to BOS or a length in characters.

    Without a length, it ends at the latest where the model can see no further, as in
    the book. With one, the text is a running one: it has no BOS, so it needs a prompt,
    and the model goes on with the last block_size characters in view. `how` are the
    settings of `token_probabilities`.
    """
    model.eval()
    device = next(model.parameters()).device
    block_size = model.config.block_size
    bos = tokenizer.bos
    tokens = tokenizer.encode(prompt) if length else [bos, *tokenizer.encode(prompt)]
    most = length or block_size
    while len(tokens) <= most:
        seen = torch.tensor([tokens[-block_size:]], device=device)
        logits = model(seen)[0, -1].tolist()
        probs = token_probabilities(logits, **how)
        [token_id] = rng.choices(range(tokenizer.vocab_size), weights=probs)
        if token_id == tokenizer.bos:
            break
        tokens.append(token_id)
    return tokenizer.decode(tokens)


# The command.

# The settings of a run: type, what stands for it in --help, and what it means.
FLAGS: dict[str, tuple[type, str, str]] = {
    "data": (str, "FILE", "text file, one document a line"),
    "steps": (int, "N", "how many steps to train"),
    "block_size": (int, "N", "how many tokens the model can see"),
    "n_layer": (int, "N", "layers"),
    "n_head": (int, "N", "heads of attention in a layer"),
    "n_embd": (int, "N", "how many numbers stand for a token"),
    "dropout": (float, "X", "share of the numbers that training sets to 0"),
    "learning_rate": (float, "X", "the highest, after the warm-up"),
    "warmup": (int, "N", "steps until the highest rate is reached"),
    "last_rate": (float, "X", "share of the highest rate that the last step has"),
    "weight_decay": (float, "X", "how strongly matrices are pulled to 0"),
    "grad_clip": (float, "X", "longest gradient allowed; 0: any"),
    "val_fraction": (float, "X", "share of the text that is held out"),
    "seed": (int, "N", "starts all that is random"),
    "precision": (str, "P", "float32, bfloat16 (mixed precision), or float64"),
}
SIZES = ("block_size", "n_layer", "n_head", "n_embd", "dropout", "tied")


def main(argv: Sequence[str] | None = None) -> int:
    """Run `python examples/pytorch/mini_gpt.py`; return its exit code."""
    signals = Signals()
    return run_command(lambda: _command(argv, signals), signals)


def _parse(argv: Sequence[str] | None) -> tuple[argparse.Namespace, dict[str, Any]]:
    """Return (all arguments, the settings of the run that were really given)."""
    parser = OneLineParser(
        prog="python examples/pytorch/mini_gpt.py",
        description="Train a GPT with GPT-2's parts on names or on any text. Under "
        "torchrun, several processes share each batch.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    defaults = {**_defaults(MiniConfig), **_defaults(MiniTraining)}
    defaults["data"] = "the names that come with this"
    for name, (kind, metavar, meaning) in FLAGS.items():
        add(
            "--" + name.replace("_", "-"),
            metavar=metavar,
            type=kind,
            default=argparse.SUPPRESS,
            help=f"{meaning} (default: {defaults[name]})",
        )
    text = "read --data as one long text, in windows of --block-size"
    add("--running-text", action="store_true", default=argparse.SUPPRESS, help=text)
    text = "give the model a head of its own (default: the head is wte)"
    add("--untied", action="store_true", default=argparse.SUPPRESS, help=text)
    text = "examples a step, in each process (default: 64)"
    add("--batch-size", metavar="N", type=int, default=argparse.SUPPRESS, help=text)
    text = "folder for what is saved (default: out-mini)"
    add("--out", metavar="DIR", default="out-mini", help=text)
    text = "go on with the run in --out, with its settings"
    add("--resume", action="store_true", help=text)
    text = "measure and show samples each N steps (default: a tenth of --steps)"
    add("--show-every", metavar="N", type=int, default=None, help=text)
    text = "samples each time (default: 5)"
    add("--samples", metavar="N", type=int, default=5, help=text)
    text = "of the samples; below 1: safer, above: wilder (default: 0.8)"
    add("--temperature", metavar="X", type=float, default=0.8, help=text)
    text = "the best that is here, unless you choose"
    add("--device", choices=("cpu", "cuda", "mps"), default=None, help=text)
    text = "let torch.compile make the model faster; the first step takes a minute"
    add("--compile", action="store_true", help=text)
    args = parser.parse_args(argv)
    for name, least in ("show_every", 1), ("samples", 0):
        number = getattr(args, name)
        if number is not None and number < least:
            flag = "--" + name.replace("_", "-")
            raise ValueError(f"{flag} is {number}: make it {least} or more")
    if not 0 < args.temperature < math.inf:
        raise ValueError(
            f"--temperature is {args.temperature}: make it a finite number above 0"
        )
    if args.out == "":
        raise ValueError("--out is empty: name a folder, or do without --out")
    if vars(args).get("data") == "":
        raise ValueError("--data is empty: name a file, or do without --data")
    given = {name: vars(args)[name] for name in FLAGS if name in vars(args)}
    if "running_text" in vars(args):
        given["running_text"] = True
    if "untied" in vars(args):
        given["tied"] = False
    if "batch_size" in vars(args):
        given["batch_size"] = args.batch_size
    return args, given


def _defaults(kind: Any) -> dict[str, Any]:
    return {field.name: field.default for field in fields(kind)}


def _command(argv: Sequence[str] | None, signals: Signals) -> int:
    try:
        args, given = _parse(argv)
    except ValueError:
        if os.environ.get("RANK", "0") != "0":
            return 2  # every process was given the same flags, and one says it
        raise
    place = join(chosen_device(args.device))
    try:
        with flags_are_named():
            code = _run(args, given, place, signals)
    except (ValueError, OSError, ArithmeticError, MemoryError):
        if place.claims("error"):
            raise
        return 2  # another process has said it
    if code != 2:
        place.leave()
    return code


@contextlib.contextmanager
def flags_are_named() -> Iterator[None]:
    """Put flags in place of settings in an error: what a person can change."""
    try:
        yield
    except CannotWrite:
        raise
    except ValueError as error:
        names = "|".join(FLAGS)
        text = re.sub(
            rf"(?<![\w/.-])({names})(?= is | \d)",
            lambda found: "--" + found[0].replace("_", "-"),
            str(error),
        )
        raise ValueError(text) from None


def _run(
    args: argparse.Namespace, given: dict[str, Any], place: Place, signals: Signals
) -> int:
    path = os.path.join(args.out, CHECKPOINT)
    if args.resume:
        run = _resumed(path, given, place)
        corpus = _read(run.config.block_size, run.training)
        if corpus.sha256 != run.data_sha256:
            raise ValueError(
                f"{corpus.path} is not, or no longer, what {path} was trained on"
            )
    else:
        if os.path.exists(path):
            raise ValueError(
                f"{path} is there already: go on with it by --resume, or name another "
                "folder with --out"
            )
        run, corpus = _new(given, place)
        _make_folder(args.out)
    teller = Teller(args, run, corpus, place)
    return _train_and_save(run, corpus, path, teller, signals)


def _settings_of(given: dict[str, Any], place: Place) -> dict[str, Any]:
    """Return the given settings with the batch of one process as that of all."""
    settings = dict(given)
    if settings.get("batch_size", 1) < 1:
        raise ValueError(f"--batch-size is {settings['batch_size']}: make it 1 or more")
    if "batch_size" in settings:
        settings["whole_batch"] = settings.pop("batch_size") * place.world
    return settings


def _new(given: dict[str, Any], place: Place) -> tuple[MiniRun, Corpus]:
    settings = _settings_of({"batch_size": 64, **given}, place)
    sizes = {name: settings.pop(name) for name in SIZES if name in settings}
    training = MiniTraining(**settings)
    block_size = MiniConfig(vocab_size=1, **sizes).block_size
    corpus = _read(block_size, training)
    config = MiniConfig(vocab_size=corpus.tokenizer.vocab_size, **sizes)
    run = new_run(config, training, corpus.tokenizer, corpus.sha256, place.device)
    return run, corpus


def _read(block_size: int, training: MiniTraining) -> Corpus:
    return read_corpus(
        training.data or default_data_path(),
        training.running_text,
        block_size,
        training.val_fraction,
        training.seed,
    )


def _resumed(path: str, given: dict[str, Any], place: Place) -> MiniRun:
    """Return the run saved at path; of its settings, only the steps may change."""
    run = load_run(path, place.device)
    saved = {**vars(run.config), **vars(run.training)}
    settings = _settings_of(given, place)
    steps = settings.pop("steps", run.training.steps)
    settings.pop("data", None)  # it may have moved; its fingerprint is compared
    for name, setting in settings.items():
        if setting != saved[name]:
            was = {
                "tied": "without --untied",
                "whole_batch": f"with {saved['whole_batch']} examples in a step",
                "running_text": "without --running-text",
            }.get(name, f"with --{name.replace('_', '-')} {saved[name]}")
            raise ValueError(
                f"{path} was trained {was}, which cannot change: leave that flag out, "
                "or train anew without --resume"
            )
    if run.training.whole_batch % place.world:
        raise ValueError(
            f"{path} has {run.training.whole_batch} examples in a step, which cannot "
            f"be dealt out evenly to {place.world} processes"
        )
    if steps < run.step:
        raise ValueError(f"{path} is at step {run.step} already, past --steps {steps}")
    data = given.get("data", run.training.data)
    run.training = replace(run.training, steps=steps, data=data)
    return run


def _make_folder(folder: str) -> None:
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise ValueError(f"cannot make {folder!r}: {error.strerror}") from None
    except ValueError:  # a zero byte, or half a character
        raise ValueError(f"no folder can be called {folder!r}") from None


class Teller:
    """What the first of the processes tells a person; the others are silent."""

    def __init__(
        self, args: argparse.Namespace, run: MiniRun, corpus: Corpus, place: Place
    ) -> None:
        self.args, self.run, self.corpus, self.place = args, run, corpus, place
        steps = run.training.steps
        self.show_every = args.show_every or max(1, steps // 10)
        self.progress = Progress("step", steps, every=self.show_every, start=run.step)
        self.started = time.perf_counter()
        self.n_characters = 0  # trained on since then

    def say(self, text: str) -> None:
        """Print a line below the progress bar."""
        if self.place.is_first:
            self.progress.finish()
            say(text)

    def introduce(self) -> None:
        """Say what is trained, on what, and where."""
        run, corpus = self.run, self.corpus
        kind = "windows of the text" if run.training.running_text else "documents"
        processes = f", {self.place.world} processes" if self.place.world > 1 else ""
        self.say(
            f"{run.model.n_parameters():,} parameters on {self.place.device.type}"
            f"{processes}; {corpus.train.n:,} {kind} to train on, "
            f"{corpus.held_out.n:,} held out"
        )
        if self.args.compile:
            self.say("compiling: the first step takes about a minute")
        if run.step:
            self.say(f"resuming after step {run.step}/{run.training.steps}")

    def after_step(self, n_counted: int) -> None:
        """Show how far it is, and now and then what the model can do."""
        if not self.place.is_first:
            return
        run = self.run
        self.n_characters += n_counted
        recent = run.losses[-50:]
        text = f", loss {sum(recent) / len(recent):.3f}"
        if is_terminal(sys.stdout):
            # Plain lines hold no times, so that the same run prints the same text.
            seconds = time.perf_counter() - self.started
            text += f", {self.n_characters / seconds:,.0f} tokens/s"
            if terminal_columns(sys.stdout) < 100:
                # A wider one gets the time left from Progress itself.
                n_left = run.training.steps - run.step
                left = seconds / (run.step - self.progress.start) * n_left
                text += (
                    f", {left / 60:.0f} min left"
                    if left > 99
                    else f", {left:.0f} s left"
                )
        self.progress.show(run.step, text)
        if run.step % self.show_every == 0 or run.step == run.training.steps:
            self.show_what_it_can()

    def show_what_it_can(self) -> None:
        """Measure the held-out loss, and print it with a few samples."""
        run, args = self.run, self.args
        loss = held_out_loss(run, self.corpus.held_out, self.place.device)
        run.held_out.append([run.step, loss])
        self.say(
            f"after step {run.step}: held-out loss {loss:.3f}, a perplexity of "
            f"{math.exp(loss):.1f}"
        )
        # Samples have dice of their own, and so change nothing in the training.
        rng = random.Random(mixed(run.training.seed, run.step))
        how = {"temperature": args.temperature}
        if run.training.running_text:
            prompt = "\n" if "\n" in run.tokenizer.ids else run.tokenizer.chars[0]
            for _ in range(args.samples):
                text = generate(run.model, run.tokenizer, rng, prompt, 200, **how)
                self.say("  " + text.strip("\n").replace("\n", "\n  "))
                self.say("  --")
            return
        samples = []
        for _ in range(args.samples):
            samples.append(generate(run.model, run.tokenizer, rng, **how))
        # A star marks a name that is in the list, and was perhaps learnt by heart.
        marked = [text + "*" * (text in self.corpus.known) for text in samples]
        if marked:
            self.say("  " + "  ".join(marked))


def _train_and_save(
    run: MiniRun, corpus: Corpus, path: str, teller: Teller, signals: Signals
) -> int:
    """Train with progress; save at the end, when stopped, and now and then between."""
    place, steps = teller.place, run.training.steps
    failure: Exception | None = None
    lost = ""
    try:
        teller.introduce()
        if place.world == 1:
            signals.after_this_step()
        else:
            signals.hold()  # none may leave alone: they stop together, further down
        saved_at = time.monotonic()
        for _, n_counted in train(run, corpus.train, place, teller.args.compile):
            teller.after_step(n_counted)
            # All processes have to stop after the same step, so they ask each other.
            [asked_to_stop] = place.sums(float(signals.asked_to_stop))
            if asked_to_stop:
                break
            if place.is_first and time.monotonic() - saved_at > SAVE_SECONDS:
                _save_now(path, run, teller)
                saved_at = time.monotonic()
        signals.hold()
    except KeyboardInterrupt:  # the second Ctrl-C: the step is given up
        asked_to_stop = 1.0
    except (OutputFailed, MemoryError) as error:
        failure = error
        place.claims("error")  # so that the others do not speak of it
    except PeerLost as error:
        lost = str(error)
        if not place.claims("error"):
            return 2  # one of those that are left speaks and saves for all
    if run.step and (place.is_first or lost):
        save_run(path, run)
    if lost:
        saved = "nothing was saved yet"
        if run.step:
            saved = f"{path} holds step {run.step}: go on with --resume"
        say_error(f"error: another process of this job has ended ({saved})")
        return 2
    if failure:
        raise failure
    if run.step < steps:
        teller.say(f"stopped after step {run.step} of {steps}, saved in {path}")
        teller.say("to go on: the same command, with --resume")
        return 143 if signals.terminated and not signals.presses else 130
    signals.now()
    teller.say(f"saved in {path}")
    return 0


def _save_now(path: str, run: MiniRun, teller: Teller) -> None:
    """Save a run that goes on; if that does not work, the next time will."""
    try:
        save_run(path, run)
    except CannotWrite as error:
        teller.progress.finish()
        say_error(f"warning: {error}; training goes on, and this is tried again")


@contextlib.contextmanager
def lost_peers_are_named(place: Place) -> Iterator[None]:
    """Turn what PyTorch raises into errors that can be told from each other."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise MemoryError from None
    except RuntimeError as error:
        if place.world == 1:
            raise
        raise PeerLost(str(error).split("\n")[0]) from None


if __name__ == "__main__":
    sys.exit(main())
