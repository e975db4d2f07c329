"""What a run tells a person: its sizes, how good it is, a picture, and samples.

Everything here is printed with `say`, line by line as soon as it is known.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence

from microgpt.adam import Adam
from microgpt.evaluation import bigram_loss, held_out_loss, perplexity, smooth
from microgpt.model import as_floats, document_loss, flatten
from microgpt.sampling import generate
from microgpt.tools.checkpoint import CommandSettings, what_to_lower
from microgpt.tools.draw import Line, line_chart
from microgpt.tools.files import CannotWrite, replace_file
from microgpt.tools.terminal import (
    Progress,
    display_width,
    padded,
    say,
    say_error,
    shown,
)
from microgpt.training import Run, collector_paused
from microgpt.value import Value


def counted(n: int, thing: str) -> str:
    """Return a number of things in words.

    >>> counted(1, "document"), counted(41833, "document")
    ('1 document', '41,833 documents')
    """
    return f"{n:,} {thing}" if n == 1 else f"{n:,} {thing}s"


def steps_a_line(run: Run) -> int:
    """Return after how many steps a line of progress is due.

    It is 50 for the default model with its 4,064 parameters, and for a larger one about
    as much work.
    """
    return 50 * 4064 // (len(run.optimizer.parameters) * run.training.batch_size)


def thing_of(settings: CommandSettings) -> str:
    """Return what a run learns from, in a word."""
    return "window" if settings.running_text else "document"


def print_sizes(run: Run, settings: CommandSettings, documents: Sequence[str]) -> None:
    """Print how much there is to learn from, and how large the model is."""
    vocab_size, block_size = run.config.vocab_size, run.config.block_size
    things = counted(len(documents), thing_of(settings))
    if settings.running_text:
        things += f" of {counted(block_size, 'character')}"
    say(
        f"{things}, vocabulary {vocab_size}, "
        f"{counted(len(run.optimizer.parameters), 'parameter')}; a blind guess has "
        f"loss log({vocab_size}) = {math.log(vocab_size):.3f}"
    )
    # The end of a document is asked for as well, so one of block_size is too long.
    n_long = sum([len(document) >= block_size for document in documents])
    if n_long and not settings.running_text:
        n_characters = sum([len(document) for document in documents])
        n_used = sum([min(len(document), block_size) for document in documents])
        are = "is" if n_long == 1 else "are"
        say(
            f"{n_long:,} {are} longer than --block-size {block_size} sees, and cut "
            f"there: {share_in_words(n_used, n_characters)} of the text is used"
        )


def share_in_words(part: int, whole: int) -> str:
    """Return part / whole in percent, never rounded to all or to nothing.

    >>> share_in_words(8, 1_000_000), share_in_words(999_999, 1_000_000)
    ('0.0008 %', 'over 99.9 %')
    """
    percent = 100 * part / whole
    if part < whole and percent > 99.9:
        return "over 99.9 %"
    return f"{percent:.3g} %"


def print_profile(run: Run, documents: Sequence[str], steps: int = 20) -> None:
    """Print where the time of a step goes, timed on a few steps of a copied model."""
    params = {
        name: [[Value(weight.data) for weight in row] for row in matrix]
        for name, matrix in run.params.items()
    }
    optimizer = Adam(flatten(params))
    clock = time.perf_counter
    seconds = {"forward": 0.0, "backward": 0.0, "adam": 0.0}
    for step in range(steps):
        document = documents[step % len(documents)][: run.config.block_size]
        tokens = run.tokenizer.encode_document(document)
        with collector_paused():
            started = clock()
            loss = document_loss(params, run.config, tokens)
            forward_done = clock()
            loss.backward()
            backward_done = clock()
            optimizer.step(run.training.learning_rate)
            adam_done = clock()
            del loss
        seconds["forward"] += forward_done - started
        seconds["backward"] += backward_done - forward_done
        seconds["adam"] += adam_done - backward_done
    for part, spent in seconds.items():
        say(f"{part:>8}: {1000 * spent / steps:6.2f} ms a step")


def measure(
    run: Run,
    settings: CommandSettings,
    trained_on: Sequence[str],
    held_out: Sequence[str],
) -> float | None:
    """Print and return the held-out loss, with what it means; None if there is none."""
    measured = held_out[: settings.val_documents]
    if not measured:
        say(f"held-out loss: none, since no {thing_of(settings)}s were held out")
        return None
    progress = Progress("measured", len(measured), 20 * steps_a_line(run))
    val_loss = held_out_loss(run, progress.over(measured))
    if not val_loss < 700:  # or exp(val_loss) is too large a number
        raise ValueError(
            f"the held-out loss is {val_loss:.4g}: {what_to_lower(run.training)}"
        )
    thing, ends = thing_of(settings), not settings.running_text
    table_loss = bigram_loss(run, trained_on, measured, ends)
    say(
        f"held-out loss: {val_loss:.3f} nats a character, as unsure as if choosing "
        f"among {perplexity(val_loss):.1f} letters evenly\n"
        "  (each character counts the same here; in the losses of the steps, each "
        f"{thing})\n"
        f"  a table of letter pairs: {table_loss:.3f}, as if among "
        f"{perplexity(table_loss):.1f} (counted on the "
        f"{counted(len(trained_on), thing)} trained on;\n"
        f"  both measured on {len(measured):,} of {len(held_out):,} held out)"
    )
    return val_loss


def save_losses(run: Run, folder: str, val_loss: float | None = None) -> list[str]:
    """Write losses.csv and the picture of it, loss.svg; return those that are written.

    What is wrong with one of them is only a warning: the run itself is saved, and a
    table that is open in a spreadsheet, which keeps it from being replaced on Windows,
    is no reason to stop.
    """
    rows = [f"{step},{loss!r}\n" for step, loss in enumerate(run.losses, start=1)]
    texts = {"losses.csv": "step,loss\n" + "".join(rows)}
    try:
        texts["loss.svg"] = loss_chart(run, val_loss)
    except (ValueError, ArithmeticError):  # of numbers as large as 1e308
        say_error("warning: no picture of the losses: they are too large to be drawn")
    written = []
    for name, text in texts.items():
        try:
            replace_file(os.path.join(folder, name), text)
            written.append(name)
        except CannotWrite as error:
            say_error(f"warning: {error}")
    return written


def loss_chart(run: Run, val_loss: float | None = None) -> str:
    """Return an SVG picture of the losses of a run."""
    steps = range(1, run.step + 1)
    averaged = smooth(run.losses)
    lines = [
        Line("each step", list(zip(steps, run.losses)), "pale"),
        Line(
            "mean of 50 steps: each document counts the same",
            list(zip(steps, averaged)),
            "bold",
        ),
    ]
    if val_loss is not None:
        ends = [(1, val_loss), (run.step, val_loss)]
        name = "held-out, at the end: each character counts the same"
        lines.append(Line(name, ends, "dashed"))
    return line_chart(lines, "Loss", "step", "nats a character")


# The most columns that a sample is given before the word about its origin.
WIDEST = 32


def print_samples(
    run: Run,
    settings: CommandSettings,
    documents: Sequence[str],
    trained_on: Sequence[str],
) -> None:
    """Print samples, and say of each whether the model may just know it by heart.

    A sample that has as many characters as the model can see is cut there: the model
    had no chance to say whether the text is complete. It is compared with what the
    model saw of each document, which is as much. Running text has no end, so there
    every sample is cut; it may be a window that was trained on, or stand elsewhere in
    the file.
    """
    n, temperature = settings.samples, settings.temperature
    block_size = run.config.block_size
    learnt = {document[:block_size] for document in trained_on}
    in_file = {document[:block_size] for document in documents}
    whole_text = "".join(documents) if settings.running_text else ""
    if n:
        say(f"{counted(n, 'sample')} at temperature {temperature}:")
    widest_character = max([display_width(shown(char)) for char in run.tokenizer.chars])
    width = min(block_size * widest_character, WIDEST)
    any_cut = False
    how = (as_floats(run.params), run.config, run.tokenizer, run.rng)
    for _ in range(n):
        text = generate(*how, temperature=temperature)
        origin = "new"
        if text in learnt:
            origin = "seen in training"
        elif text in in_file:
            origin = "in the file, not trained on"
        elif text and text in whole_text:
            origin = "somewhere in the file"
        if len(text) == block_size and not settings.running_text:
            origin += ", cut"
            any_cut = True
        say(f"  {padded(shown(text), width)}  {origin}")
    if any_cut:
        say(
            f"  (cut: the model sees --block-size {block_size} characters, and the "
            "text could go on)"
        )
    if n and settings.running_text:
        say(
            f"  (a sample has at most --block-size {block_size} characters, as many as "
            "the model sees)"
        )
