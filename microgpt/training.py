"""Training: show the model a document, ask for the gradients, take a step, repeat.

Before this came `adam.py`, and all the pieces are there; next comes `sampling.py`,
which lets the trained model write. The loop you came for is `train()`, below, and its
heart is five lines: a document, its tokens, the loss, backward, and a step of Adam.

In a notebook, or in a program of your own:

    from microgpt import read_documents, held_out_loss
    from microgpt.training import start, train

    run, train_documents, val_documents = start(read_documents("input.txt"))
    for loss in train(run, train_documents):
        print(run.step, loss)
    print(held_out_loss(run, val_documents[:500]))    # 500 are enough, and quick

With the names in input.txt this takes 5 to 10 seconds. The loss falls from 3.3, which
is log(27), that of a blind guess among 27 tokens, to about 2.5. To train on a file of
your own, give its path in place of input.txt. The characters that it uses become the
vocabulary, together with BOS, and the loss begins at the log of its size. And make
block_size one more than the longest line has characters: with
`start(documents, block_size=41)` the model learns lines of 40 characters, and that they
end there. With the 8 that it has unless you say so, it learns only the first 8
characters of a line, the end counted as one: a name of 7 letters and its end, but of
longer names never how they end.

Some words. A *step* is one change of the parameters. It follows from the gradients of
one *batch*, the documents that are looked at together. A larger batch gives a steadier
direction, since the oddities of single documents average out, but each step takes that
much longer. An *epoch* is one pass over all documents to train on. Here a batch is one
document unless you ask for more. So the default run sees 500 names, one for each step,
out of the 37,650 that are left to train on when a tenth is held out: about 1/75 of an
epoch.

The loss of a document is the mean surprise of its characters (see `cross_entropy`), and
a step's loss is the mean over the documents of its batch. So in training every document
counts the same, however long it is: each one is one example of how a text goes.
"""

from __future__ import annotations

import contextlib
import gc
import math
import random
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from microgpt.adam import Adam, clip_grad_norm
from microgpt.data import split_documents
from microgpt.model import GPTConfig, Params, document_loss, flatten, init_params
from microgpt.tokenizer import CharTokenizer


@dataclass(frozen=True)
class TrainConfig:
    """How to train. A setting that makes no sense: ValueError.

    The numbers below were found by trying, as is usual: for this model and these names
    they work well.

    Why does the learning rate fall? Early on, long steps make quick progress. But each
    gradient comes from a few documents, and the next ones pull in another direction, so
    long steps keep the parameters jumping around the best place without settling there.
    Ever shorter steps average that out.

    Signpost: GPT-2's training began with a warm-up, in which the learning rate rises,
    and then lowered it along a cosine curve.
    """

    steps: int = 500
    batch_size: int = 1  # documents in a step
    learning_rate: float = 1e-2  # of the first step; it falls evenly, almost to 0
    weight_decay: float = 0.0  # see Adam
    grad_clip: float = 0.0  # the largest norm of the gradients; 0 means no limit
    val_fraction: float = 0.1  # the share of the documents that is held out
    seed: int = 42  # decides all that is random: order, parameters and samples

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "seed"):
            number = getattr(self, name)
            least = 0 if name == "seed" else 1
            if type(number) is not int or number < least:
                raise ValueError(
                    f"{name} is {number!r}: make it a whole number, {least} or more"
                )
        for name in ("learning_rate", "weight_decay", "grad_clip", "val_fraction"):
            number = getattr(self, name)
            if type(number) not in (int, float) or not 0 <= number < math.inf:
                enough = "above 0" if name == "learning_rate" else "0 or more"
                raise ValueError(f"{name} is {number!r}: make it a number, {enough}")
        if self.learning_rate == 0:
            raise ValueError("learning_rate is 0: make it above 0, to learn anything")
        if self.val_fraction >= 1:
            raise ValueError(
                f"val_fraction is {self.val_fraction}: make it less than 1, "
                "or nothing is left to train on"
            )


@dataclass(repr=False)
class Run:
    """A training run at some step: all that is needed to go on with it."""

    config: GPTConfig
    training: TrainConfig
    tokenizer: CharTokenizer
    params: Params
    optimizer: Adam
    rng: random.Random
    losses: list[float] = field(default_factory=list)  # one for each step taken

    @property
    def step(self) -> int:
        """How many steps have been taken."""
        return len(self.losses)

    def __repr__(self) -> str:
        loss = f"loss {self.losses[-1]:.3f}" if self.losses else "no loss yet"
        return (
            f"<Run: step {self.step} of {self.training.steps}, {loss}, "
            f"{len(self.optimizer.parameters):,} parameters>"
        )


def shuffle_and_split(
    documents: Sequence[str], training: TrainConfig, running_text: bool = False
) -> tuple[random.Random, list[str], list[str]]:
    """Return (the random generator, the documents to train on, those held out).

    The generator is returned because it is used again: after it has shuffled the
    documents, it goes on to choose the parameters, and in the end the samples. So one
    seed decides everything.

    With running_text, the documents are windows cut from one long text, in their order.
    Windows that lie side by side speak of the same things, so a held-out window between
    two that were trained on would be easier than new text: a leak as well. So the end
    of the text is held out in one piece, and each part is shuffled by itself.
    """
    rng = random.Random(training.seed)
    if running_text:
        train_windows, val_windows = split_documents(documents, training.val_fraction)
        rng.shuffle(train_windows)
        rng.shuffle(val_windows)
        return rng, train_windows, val_windows
    shuffled = list(documents)
    rng.shuffle(shuffled)
    train_documents, val_documents = split_documents(shuffled, training.val_fraction)
    return rng, train_documents, val_documents


def start(
    documents: Sequence[str],
    training: TrainConfig | None = None,
    running_text: bool = False,
    **sizes: int,
) -> tuple[Run, list[str], list[str]]:
    """Return (a new run, the documents to train it on, those held out).

    sizes are those of GPTConfig: block_size, n_layer, n_head, n_embd. No documents at
    all: ValueError. With running_text the documents are windows of one long text; see
    shuffle_and_split.

    The vocabulary is taken from all documents, held-out ones among them, so that every
    character has a token. That gives nothing away: a parameter learns only from the
    documents that `train` is given.

    >>> run, train_documents, val_documents = start(["ann", "bob"], n_embd=8)
    >>> run
    <Run: step 0 of 500, no loss yet, 912 parameters>
    """
    if not documents:
        raise ValueError("there are no documents to train on: give one or more")
    training = training or TrainConfig()
    rng, train_documents, val_documents = shuffle_and_split(
        documents, training, running_text
    )
    tokenizer = CharTokenizer.from_documents(documents)
    config = GPTConfig(tokenizer.vocab_size, **sizes)
    params = init_params(config, rng)
    optimizer = Adam(flatten(params), weight_decay=training.weight_decay)
    run = Run(config, training, tokenizer, params, optimizer, rng)
    return run, train_documents, val_documents


def train(run: Run, documents: Sequence[str]) -> Iterator[float]:
    """Take the steps that the run has left, and yield the loss of each.

    It is a generator: every turn of the caller's `for` loop takes one step. Between two
    turns the run is complete. It can be saved, sampled from, or left and taken up again
    later with another call, which goes on at `run.step`. The same holds if the loop is
    stopped by Ctrl-C or a notebook's stop button, at any moment. If Adam has begun to
    move the parameters, it finishes the step first. Otherwise the step is forgotten,
    and the next call takes it again from its start.

    No documents: ValueError. A loss that is not finite, since the learning rate was too
    high: FloatingPointError, before that step has changed a parameter.
    """
    if not documents:
        raise ValueError("there are no documents to train on: give one or more")
    training = run.training
    parameters = run.optimizer.parameters
    batch_size = training.batch_size
    block_size = run.config.block_size
    for step in range(run.step, training.steps):
        for parameter in parameters:
            parameter.grad = 0.0  # a step that was stopped halfway may have left some
        step_loss = 0.0
        with collector_paused():
            for i in range(batch_size):
                document = documents[(step * batch_size + i) % len(documents)]
                # Of a document, the model sees no more than block_size characters.
                tokens = run.tokenizer.encode_document(document[:block_size])
                loss = document_loss(run.params, run.config, tokens)
                if not math.isfinite(loss.data):
                    raise FloatingPointError(f"the loss is {loss.data}")
                # The gradients of the batch add up in the parameters. Dividing here
                # makes their sum the gradient of the mean loss.
                (loss / batch_size).backward()
                step_loss += loss.data / batch_size
                del loss  # lets go of its graph now, not when the next one is complete
        lr = training.learning_rate * (1 - step / training.steps)
        with ctrl_c_waits():
            if training.grad_clip:
                clip_grad_norm(parameters, training.grad_clip)
            run.optimizer.step(lr)
            run.losses.append(step_loss)
        yield step_loss


# Two things about Python itself, which have nothing to do with learning.


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """Keep Python's garbage collector from searching for unused objects in this block.

    It looks for objects that point to each other in a circle, and it looks the more
    often, the more objects are made. A graph of Values is more than ten thousand
    objects without a circle, so the search takes time and finds nothing. (PyPy, another
    Python, has no other way to free anything; there it goes on.)
    """
    pause = gc.isenabled() and sys.implementation.name == "cpython"
    try:
        if pause:
            gc.disable()
        yield
    finally:
        if pause:
            gc.enable()


@contextlib.contextmanager
def ctrl_c_waits() -> Iterator[None]:
    """Let a Ctrl-C that arrives in this block take effect only when the block is done.

    Adam moves one parameter after another. Stopped in the middle, some would have taken
    the step and others not, and no later step could put that right.
    """
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or handler is None:
        # Python delivers Ctrl-C to the main thread only, so another thread need not
        # wait. And if the handler is None, it was not set from Python: we could not put
        # it back afterwards, and leave it alone.
        yield
        return
    arrived = []
    signal.signal(signal.SIGINT, lambda number, frame: arrived.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if arrived:
            signal.raise_signal(signal.SIGINT)
