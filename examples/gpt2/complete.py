"""Asked for one more token, again and again, GPT-2 writes.

Before this came `load.py`; this file puts the pieces together, as the command

    python examples/gpt2/complete.py gpt2 "Alan Turing theorized that" --greedy

which downloads the model if it is not there yet (see `hub.py`). Lay `continuation`
beside `next_tokens` in microgpt/sampling.py: letters or pieces of English, the loop is
the same. Two things are new. A token is some bytes, and may end inside a character,
which is printed once the rest of it has come. And the keys and values of the prompt
are used again, for a second sample or when the conversation goes on.

With this file you have seen all of GPT-2, on the plain path (`--exact`). What is left,
`bigmatrix.py` and `fast.py`, computes the same several times faster.

The text goes to stdout; progress, and how fast it was, to stderr.
"""

from __future__ import annotations

import argparse
import codecs
import heapq
import math
import os
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from bpe import BPE
from fast import FastGPT2  # the same model, faster; the last file to read
from hub import SHORT_NAMES, ask_on_terminal, model_folder
from load import load_gpt2, read_config
from model import GPT2, GPT2Config, NotFinite, gpt2, read_token
from vocabulary import is_openai, read_tokenizer

from microgpt.sampling import token_probabilities
from microgpt.tools.draw import bars
from microgpt.tools.sample_command import add_sampling_arguments, sampling_settings
from microgpt.tools.terminal import (
    OneLineParser,
    Progress,
    run_command,
    say,
    say_error,
    shown,
    typed_bytes,
    write,
)

MILLION = 10**6

Choices = tuple[Sequence[int], Sequence[float]]  # ids, and the probability of each


def logits_after(
    model: GPT2, tokens: Sequence[int], show: Callable[[int], None] | None = None
) -> list[float]:
    """Return the logits of the token that follows; only what is new has to be read.

    What the model has read already agrees with all tokens but the last, as far as it
    goes. The last is always read, if need be again, since its logits were not kept.
    show, if given, is told how many have been read.
    """
    last = len(tokens) - 1
    for pos_id in range(min(model.n_read, last), last):
        read_token(model, tokens[pos_id], pos_id)
        if show:
            show(pos_id + 1)
    logits = gpt2(model, tokens[last], last)
    if not math.isfinite(sum(logits)):
        raise NotFinite("the model's logits are not finite numbers")
    return logits


def continuation(
    model: GPT2,
    tokens: Sequence[int],
    logits: Sequence[float],
    known: Sequence[int],
    rng: random.Random,
    **how: Any,
) -> Iterator[tuple[int, Choices]]:
    """Yield (token id, what it was chosen among) to the end of the context.

    tokens are the text so far, and logits those that follow it. Of the ids, only those
    in `known` have a token; others are never written. how: the settings of
    token_probabilities.
    """
    text = list(tokens)
    while True:
        candidates, some_logits = likeliest_of(known, logits, how.get("top_k"))
        probs = token_probabilities(some_logits, **how)
        [token_id] = rng.choices(candidates, weights=probs)
        yield token_id, (candidates, probs)
        text.append(token_id)
        if len(text) > model.config.n_positions:
            return  # the context is full: for this token it has no position
        logits = logits_after(model, text)


def likeliest_of(
    known: Sequence[int], logits: Sequence[float], top_k: int | None
) -> tuple[Sequence[int], Sequence[float]]:
    """Return the ids that can be chosen, in their order, and the logits of those.

    With top_k they are the likeliest, and the others need no probability. Without it
    they are all that are known. Of 50,000 numbers a heap finds the five largest ten
    times as fast as sorting all of them.
    """
    if top_k is not None and top_k < len(known):
        best = heapq.nlargest(top_k, known, key=logits.__getitem__)
        return sorted(best), [logits[token_id] for token_id in sorted(best)]
    if len(known) == len(logits):
        return known, logits
    return known, [logits[token_id] for token_id in known]


class Printer:
    """Turns tokens into text as they come, and ends the text where a stop text begins.

    A character is given out once it is whole. What could be the beginning of the stop
    text is kept back until it is clear that it is not.
    """

    def __init__(self, bpe: BPE, stop: str | None = None) -> None:
        self.bpe, self.stop = bpe, stop
        self.characters = codecs.getincrementaldecoder("utf-8")("replace")
        self.text = ""  # of all tokens so far
        self.n_printed = 0  # characters of it
        self.stopped = False
        self.ids: list[int] = []
        # How many (tokens, characters) there were, wherever a character was complete.
        self.whole = [(0, 0)]

    def add(self, token_id: int) -> str:
        """Return what can be printed after this token."""
        self.ids.append(token_id)
        self.text += self.characters.decode(self.bpe.decode_bytes([token_id]))
        bytes_left, _ = self.characters.getstate()
        if not bytes_left:
            self.whole.append((len(self.ids), len(self.text)))
        return self._release(len(self.stop or "") - 1)

    def rest(self) -> str:
        """Return what was kept back, when nothing more comes."""
        if not self.stopped:
            self.text += self.characters.decode(b"", final=True)
        return self._release(0)

    def printed_tokens(self) -> tuple[list[int], list[int]]:
        """Return (the tokens that were printed whole, the ids of what follows them).

        A stop text may begin within a token. Then some characters of that one were
        printed, too, and they are encoded anew.
        """
        if not self.stopped:
            return self.ids, []
        # The last place, of what was printed, where a token and a character both end.
        n_ids, n_characters = max([w for w in self.whole if w[1] <= self.n_printed])
        rest = self.text[n_characters : self.n_printed]
        return self.ids[:n_ids], self.bpe.encode(rest)

    def _release(self, n_kept_at_most: int) -> str:
        if self.stopped:
            return ""
        text = self.text[self.n_printed :]
        if self.stop and self.stop in text:
            self.stopped = True
            text = text[: text.index(self.stop)]
        elif self.stop:
            for n in range(min(n_kept_at_most, len(text)), 0, -1):
                if self.stop.startswith(text[-n:]):
                    text = text[:-n]
                    break
        self.n_printed += len(text)
        return text


# From here on it is only the command: what it prints, asks and refuses.


def visible(text: str) -> str:
    r"""Return text with an escape in place of what would do something to a terminal.

    Line feeds and tabs stay. A model has read web pages with all kinds of control
    characters, and one that begins with ESC could clear the screen.

    >>> visible("a\x1b[2J\tb\n")
    'a\\x1b[2J\tb\n'
    """
    lines = []
    for line in text.split("\n"):
        lines.append("\t".join([shown(part) for part in line.split("\t")]))
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `python examples/gpt2/complete.py`; return its exit code."""
    return run_command(lambda: _command(argv))


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = OneLineParser(
        prog="python examples/gpt2/complete.py",
        description="Let GPT-2 go on with a text.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    text = "gpt2, gpt2-medium, gpt2-large, gpt2-xl, distilgpt2, OWNER/NAME or a folder"
    add("model", metavar="MODEL", help=text)
    text = "the text to go on with (default: none)"
    add("prompt", metavar="PROMPT", nargs="?", default="", help=text)
    text = "add this many tokens at most (default: 20)"
    add("--tokens", metavar="N", type=int, default=20, help=text)
    add("--n", metavar="N", type=int, default=1, help="samples (default: 1)")
    text = "end where TEXT would come (default: at the end of the text)"
    add("--stop", metavar="TEXT", help=text)
    text = "then go on with what is typed, line by line (default: do not)"
    add("--interactive", action="store_true", help=text)
    add_sampling_arguments(parser, temperature=0.8)
    text = "the plain way, one process: starts at once, but is far slower"
    add("--exact", action="store_true", help=text)
    text = "how many processes share the work (default: as many as there are cores)"
    add("--processes", metavar="N", type=int, help=text)
    text = "download what is missing without asking (default: ask on a terminal)"
    add("--yes", action="store_true", help=text)
    text = "where downloads are kept (default: the user's cache)"
    add("--cache", metavar="DIR", help=text)
    text = "a server laid out as https://huggingface.co is (default: that)"
    add("--mirror", metavar="URL", help=text)
    # Intermixed: PROMPT may be left out, and then flags may still come before it.
    args = parser.parse_intermixed_args(argv)
    for name in ("tokens", "n"):
        if getattr(args, name) < 1:
            raise ValueError(f"--{name} is {getattr(args, name)}: make it 1 or more")
    if args.stop == "":
        raise ValueError("--stop is empty: give the text to stop at")
    if args.stop is not None:
        args.stop = typed_bytes(args.stop).decode("utf-8", "replace")
    if args.interactive and sys.stdin is None:
        raise ValueError("--interactive reads from stdin, but that is closed")
    if args.interactive and args.n > 1:
        raise ValueError(
            "--n and --interactive: a conversation has one sample, leave --n"
        )
    if args.exact and (args.processes or 1) > 1:
        raise ValueError("--exact runs in one process: leave out --processes")
    if args.processes is not None and args.processes < 1:
        raise ValueError(f"--processes is {args.processes}: make it 1 or more")
    return args


def _command(argv: Sequence[str] | None) -> int:
    args = _parse(argv)
    how, rng = sampling_settings(args)
    folder = model_folder(
        args.model,
        args.cache,
        args.mirror,
        may_download=lambda what: args.yes or ask_on_terminal(what),
        progress=_download_progress,
    )
    # All that is quickly checked comes before the weights, which take seconds.
    config = read_config(folder)
    bpe = read_tokenizer(folder)
    check_fit(bpe, config)
    # Of gpt2 and its three larger siblings it is known which vocabulary they have. (A
    # folder with such a name may hold anything.)
    is_gpt2 = args.model in SHORT_NAMES and args.model.startswith("gpt2")
    if is_gpt2 and folder != args.model and not is_openai(bpe):
        say_error("note: this vocabulary is not OpenAI's own")
    prompt_ids = bpe.encode_bytes(typed_bytes(args.prompt))
    if not prompt_ids:
        # In training, texts stood one after another with this token between them.
        prompt_ids = list(ends_of(bpe, config)[:1])
    if not 1 <= len(prompt_ids) <= config.n_positions:
        raise ValueError(
            f"a prompt of {len(prompt_ids)} tokens, but this model reads 1 to "
            f"{config.n_positions}"
        )
    started = time.perf_counter()
    with load(folder, args) as model:
        loaded = time.perf_counter()
        writer = Writer(args, bpe, model, rng, how, loaded - started)
        try:
            writer.write(prompt_ids)
        except NotFinite as error:
            raise ValueError(
                f"{error}. A weight in {folder} is not finite, or far too large: the "
                "model's file is damaged, so get it anew"
            ) from None
    return 0


def check_fit(bpe: BPE, config: GPT2Config) -> None:
    """Refuse a tokenizer with ids that the model does not have."""
    if bpe.vocab_size > config.vocab_size:
        raise ValueError(
            f"the tokenizer has {bpe.vocab_size} tokens, but config.json says "
            f"{config.vocab_size}: take both files from the same model"
        )


def ends_of(bpe: BPE, config: GPT2Config) -> tuple[int, ...]:
    """Return the ids by which the model says that a text is complete."""
    if config.end_of_text:
        return tuple([i for i in config.end_of_text if i in bpe.token_bytes])
    return () if bpe.end_of_text is None else (bpe.end_of_text,)


def load(folder: str, args: argparse.Namespace) -> GPT2:
    """Return the model, on the plain path or the fast one."""
    if args.exact:
        return load_gpt2(folder)
    processes = args.processes or cores()
    model = FastGPT2(folder, processes, show=_show_packing(processes))
    for note in model.notes:
        say_error(note)
    return model


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):  # where others may have been kept from it
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Writer:
    """What the command does once the model is there."""

    def __init__(
        self,
        args: argparse.Namespace,
        bpe: BPE,
        model: GPT2,
        rng: random.Random,
        how: dict[str, Any],
        load_seconds: float,
    ) -> None:
        self.args, self.bpe, self.model = args, bpe, model
        self.rng, self.how = rng, how
        self.known = sorted(bpe.token_bytes)
        self.ends = ends_of(bpe, model.config)
        self.load_seconds = load_seconds
        self.n_written, self.n_passes = 0, 0
        self.write_seconds, self.read_seconds = 0.0, 0.0

    def write(self, prompt_ids: list[int]) -> None:
        """Write the samples, or talk until nothing more is typed."""
        prompt = typed_bytes(self.args.prompt).decode("utf-8", "replace")
        if self.args.interactive:
            self.talk(prompt, prompt_ids)
        else:
            logits = self.read(prompt_ids)
            for i in range(1, self.args.n + 1):
                if self.args.n > 1:
                    say(f"--- sample {i} of {self.args.n}")
                # Each begins at the prompt's end: its keys and values are still there,
                # and those of the sample before it are forgotten.
                self.go_on(prompt, prompt_ids, logits)
        self.say_how_fast()

    def talk(self, prompt: str, tokens: list[int]) -> None:
        """Go on with the prompt, if there is one, and with each line that is typed."""
        n_positions = self.model.config.n_positions
        if prompt:
            tokens = self.go_on(prompt, tokens, self.read(tokens))
        say_error(
            "(Ctrl-Z and Enter end it)" if os.name == "nt" else "(Ctrl-D ends it)"
        )
        while len(tokens) < n_positions:
            say("> ", end="", stream=sys.stderr)
            typed = sys.stdin.buffer.readline()
            if not typed:
                say_error("")
                return
            new = self.bpe.encode_bytes(typed.rstrip(b"\r\n"))
            if len(tokens) + len(new) > n_positions:
                say_error(
                    f"that line has {len(new):,} tokens, but there is room for "
                    f"{n_positions - len(tokens):,}: type a shorter one"
                )
                continue
            tokens = [*tokens, *new]
            tokens = self.go_on("", tokens, self.read(tokens))
        self.say_full()

    def say_full(self) -> None:
        """Say on stderr why nothing more can be written."""
        say_error(
            f"the context is full: this model reads {self.model.config.n_positions:,} "
            "tokens, and the text so far has them"
        )

    def read(self, tokens: Sequence[int]) -> list[float]:
        """Read what is new of a text, and return the logits of what follows."""
        started = time.perf_counter()
        n_new = len(tokens) - 1 - self.model.n_read
        start = self.model.n_read
        progress = Progress("read", max(n_new, 1), every=10, stream=sys.stderr)
        logits = logits_after(
            self.model, tokens, lambda n_read: progress.show(n_read - start)
        )
        progress.finish()
        self.read_seconds += time.perf_counter() - started
        return logits

    def go_on(
        self, prompt: str, tokens: Sequence[int], logits: Sequence[float]
    ) -> list[int]:
        """Print the text, each piece as soon as it is there; return all its tokens.

        They are the tokens of what was printed. With --stop, the model has written and
        read more than that, and goes back.
        """
        started = time.perf_counter()
        show_probs = self.args.show_probabilities
        printer = Printer(self.bpe, self.args.stop)
        text = prompt
        if not show_probs:
            write(visible(text))
        steps = continuation(
            self.model, tokens, logits, self.known, self.rng, **self.how
        )
        if not show_probs:
            steps = self.ending_the_line(steps)
        for n, (token_id, choices) in enumerate(steps, start=1):
            self.n_written += 1
            # The logits for the first token were there when the text had been read.
            self.n_passes += n > 1
            if show_probs:
                taken = self.bpe.readable(token_id)
                say(f"after {text[-50:]!r}, the likeliest tokens; {taken} was taken:")
                say(bars(self.likeliest(choices)))
            if token_id in self.ends:
                break
            piece = printer.add(token_id)
            text += piece
            if not show_probs:
                write(visible(piece))
            if printer.stopped or n == self.args.tokens:
                break
        rest = printer.rest()
        write(visible(text + rest if show_probs else rest) + "\n")
        self.write_seconds += time.perf_counter() - started
        is_full = len(tokens) + len(printer.ids) > self.model.config.n_positions
        is_short = len(printer.ids) < self.args.tokens and not printer.stopped
        if is_full and is_short and not self.args.interactive:
            self.say_full()
        kept, anew = printer.printed_tokens()
        written = [*tokens, *kept]
        self.model.n_read = min(self.model.n_read, len(written))
        return [*written, *anew]

    def ending_the_line(self, steps: Iterator[Any]) -> Iterator[Any]:
        """Yield the steps; if one fails, the error begins a line of its own."""
        try:
            yield from steps
        except (ValueError, MemoryError):
            write("\n")
            raise

    def likeliest(self, choices: Choices, n: int = 5) -> list[tuple[str, float]]:
        """Return (token, probability) of the n likeliest, as rows of a picture."""
        ids, probs = choices
        best = heapq.nlargest(n, range(len(ids)), key=probs.__getitem__)
        return [(self.bpe.readable(ids[i]), probs[i]) for i in best if probs[i] > 0]

    def say_how_fast(self) -> None:
        """Say on stderr how long it took, and how much memory."""
        n = self.n_written
        speed = ""
        if self.n_passes:  # of one token alone, the work is done by reading the prompt
            speed = f", {self.n_passes / max(self.write_seconds, 1e-9):.2f} a second"
        read = "what was typed" if self.args.interactive else "the prompt"
        say_error(
            f"{n} token{'' if n == 1 else 's'}{speed} (besides, "
            f"{self.load_seconds:.1f} s to load the model and "
            f"{self.read_seconds:.1f} s to read {read}); "
            f"{peak_memory()} of memory at most in one process"
        )


def _download_progress(name: str, n_bytes: int, n_there: int) -> Callable[[int], None]:
    """Return a show(done) that counts in megabytes, from what was there before.

    A file of less than a megabyte is only named, once it is there.
    """
    total = round(n_bytes / MILLION)
    start = round(n_there / MILLION)
    progress = Progress(name, total, every=50, start=start, stream=sys.stderr)

    def show(done: int) -> None:
        megabytes = round(done / MILLION)
        if megabytes < progress.done:  # the server began at the beginning again
            progress.start = progress.done = 0
        if n_bytes < MILLION:
            if done == n_bytes:
                say_error(f"{name} {n_bytes:,} bytes")
            return
        if megabytes > progress.done or done == n_bytes:
            progress.show(megabytes, " MB")
        if done == n_bytes:
            progress.finish()

    return show


def _show_packing(processes: int = 1) -> Callable[[int, int], None]:
    """Return a show(done, total) that counts in millions, where there are any."""
    progress: Progress | None = None
    each = " in each process" if processes > 1 else ""

    def show(done: int, total: int) -> None:
        nonlocal progress
        if progress is None:
            progress = Progress("packed", total // MILLION, 10, stream=sys.stderr)
        if done // MILLION > progress.done:
            progress.show(done // MILLION, f" million weights{each}")
        if done == total:
            progress.finish()

    return show


def peak_memory() -> str:
    """Return the most that this process, or one it has waited for, had in memory."""
    try:
        import resource
    except ImportError:  # Windows has none
        return "an unknown amount"
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    peak = max([resource.getrusage(one).ru_maxrss for one in who])
    unit = 1 if sys.platform == "darwin" else 1024  # bytes
    return f"{peak * unit / MILLION:,.0f} MB"


if __name__ == "__main__":
    sys.exit(main())
