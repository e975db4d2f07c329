"""How the commands speak to a person: one line for an error, progress, and Ctrl-C.

A command runs inside `run_command`, which turns what happens into an exit code:

    0    all went well
    1    whoever read the output has gone away (as in `| head -3`): not worth a word
    2    bad input: one line on stderr that says what it is and what to do
    130  stopped by Ctrl-C; 128 + 2, the number of that signal, as shells have it

Three things make this more than a `try`. Output can fail, since a disk may be full and
a window may be closed, and then a training run must still be saved: `say` reports such
a failure as `OutputFailed`, which a command can tell from other errors. Ctrl-C can come
at any instant, also while an earlier one is being served: `CtrlC` decides what each of
them does. And text from a file may hold characters that do something to a terminal
rather than show on it: `shown` writes those as escapes, such as \\x1b.

A chapter of the course is no command but a plain script, which a reader steps through
and changes. `script_manners` gives it what it can have of this.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import functools
import gc
import math
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, NoReturn

# Text as a terminal shows it.


def shown(text: str) -> str:
    """Return text with an escape in place of each character that would not be seen.

    Those are the control characters, such as ESC, with which a file's name could clear
    the screen, the line breaks of Unicode, and marks that reverse the direction of what
    follows. Backslashes stay as they are, so a path on Windows does too.

    >>> print(shown("a\\x1b[2Jb\\u2028c"))
    a\\x1b[2Jb\\u2028c
    """
    if text.isprintable():  # true of nearly all text, and quickly found out
        return text
    return "".join(
        char.encode("unicode_escape").decode("ascii") if _acts(char) else char
        for char in text
    )


def _acts(char: str) -> bool:
    """Say whether a character does something on a terminal rather than be seen."""
    # Persian and Hindi are written with these two, and emoji are joined by the second.
    if char in "\u200c\u200d":
        return False
    # Control characters, other formatting, surrogates (halves of a character, which
    # stand for bytes that are no text), line and paragraph separators.
    return unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")


def typed_bytes(argument: str) -> bytes:
    """Return the bytes that were typed, whatever the terminal takes them for.

    Where the locale says ASCII, Python reads "ü" on a command line as two characters
    that stand for its bytes. Text in UTF-8 is meant nearly everywhere.
    """
    try:
        return os.fsencode(argument)
    except UnicodeEncodeError:
        pass
    try:
        # PyPy reads an argument as UTF-8 even where the terminal's encoding is ASCII.
        return argument.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return argument.encode("utf-8", "surrogatepass")


def quoted(word: str) -> str:
    """Return a word as it has to be typed into this system's shell."""
    return subprocess.list2cmdline([word]) if os.name == "nt" else shlex.quote(word)


def display_width(text: str) -> int:
    """Return how many columns of a terminal the text takes.

    Chinese, Japanese and Korean characters and most emoji take two, and accents that
    are put over the letter before them take none.

    >>> display_width("ann"), display_width("李娜"), display_width("e\\u0301")
    (3, 4, 1)
    """
    width = 0
    for char in text:
        if unicodedata.east_asian_width(char) in ("W", "F"):
            width += 2
        elif unicodedata.category(char) not in ("Mn", "Me", "Cf"):
            width += 1
    return width


def padded(text: str, width: int) -> str:
    """Return text with spaces after it, up to `width` columns.

    >>> padded("李娜", 6) + "|"
    '李娜  |'
    """
    return text + " " * (width - display_width(text))


def cut(text: str, width: int) -> str:
    """Return the beginning of text that fits into `width` columns."""
    end = len(text)
    while display_width(text[:end]) > width:
        end -= 1
    return text[:end]


# Output, which may fail.


class OutputFailed(Exception):
    """What was to be shown could not be written: the disk is full, the reader gone."""

    def __init__(self, error: Exception) -> None:
        reason = getattr(error, "strerror", None) or str(error)
        super().__init__(f"cannot write the output: {reason}")
        # Windows reports a closed pipe as an invalid argument.
        self.reader_is_gone = isinstance(error, BrokenPipeError) or (
            os.name == "nt" and getattr(error, "errno", None) == errno.EINVAL
        )


_STDOUT: Any = object()  # "sys.stdout as it is then"; None already means "no stream"


def say(text: str, end: str = "\n", stream: Any = _STDOUT) -> None:
    """Write text to stdout, at once; where there is none, do nothing.

    It can be missing altogether: `>&-` in a shell closes it, and pythonw on Windows has
    none to begin with. Nobody wants to hear anything then, and the command goes on. A
    stream that is there but cannot be written to: OutputFailed.
    """
    # Only line breaks act: those of `text`, and what `end` says.
    lines = [shown(line) for line in text.split("\n")]
    write("\n".join(lines) + end, stream)


def write(text: str, stream: Any = _STDOUT) -> None:
    """Write text as it is, control characters and all; otherwise like `say`."""
    stream = sys.stdout if stream is _STDOUT else stream
    if stream is None:
        return
    try:
        try:
            stream.write(text)
        except UnicodeEncodeError as error:  # a stream that `run_command` cannot set up
            encoded = text.encode(error.encoding, "backslashreplace")
            stream.write(encoded.decode(error.encoding))
        stream.flush()
    except (OSError, ValueError) as error:  # ValueError: it has been closed
        discard(stream)
        raise OutputFailed(error) from None


def discard(stream: Any) -> None:
    """Lead a stream that has failed to nowhere, for what it still holds.

    Otherwise Python would try to write that when it ends, fail again, print "Exception
    ignored …", and exit with 120 whatever the command has said.
    """
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)


def say_error(text: str) -> None:
    """Write a line to stderr, or give up: there is no other place to say it."""
    if len(text) > 1000:  # somebody gave a number with 4,000 digits
        text = text[:500] + " … " + text[-400:]
    with contextlib.suppress(OutputFailed):
        say(text, stream=sys.stderr)


def show_what_can_be_shown(*streams: Any) -> None:
    """Let a stream that cannot show a character, such as "é", show its escape."""
    for stream in streams:
        with contextlib.suppress(AttributeError, ValueError, OSError):
            stream.reconfigure(errors="backslashreplace")


# Ctrl-C, at any instant.


class CtrlC:
    """What a Ctrl-C does while a command runs: `with CtrlC() as ctrl_c: …`.

    By Python's default it raises KeyboardInterrupt wherever the program happens to be,
    and so does the next one, even while the first is being served. Here it is raised
    once at most; after that, all that is left to do is done in peace. And it is raised
    only if there were more presses than the command has patience for:

        now()              0: a press stops the command at once
        after_this_step()  1: one press is only noted in `presses`, a second one stops
        hold()             nothing stops it, as while it saves

    A press that is only noted during a step is answered at once by a line on stderr,
    since the step may take long. `last_word` is what `run_command` says when a press
    has stopped the command.

    Where Ctrl-C was ignored at the start (a job in the background, or `trap '' INT`) it
    stays so. In a thread it does nothing: Python gives it to the main thread.
    """

    def __init__(self) -> None:
        self.presses = 0
        self.patience = math.inf
        self.raised = False
        self.last_word = "stopped"
        self.before: Any = None  # the handler that was there, if we put ours in place
        self.collecting = gc.isenabled()

    def __enter__(self) -> CtrlC:
        in_main_thread = threading.current_thread() is threading.main_thread()
        before = signal.getsignal(signal.SIGINT)
        if in_main_thread and before not in (signal.SIG_IGN, None):
            self.before = before
            signal.signal(signal.SIGINT, self._pressed)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Training pauses the garbage collector, and a Ctrl-C can have come just then.
        if self.collecting:
            gc.enable()
        if self.before is not None:
            signal.signal(signal.SIGINT, self.before)

    def _pressed(self, signal_number: int, frame: object) -> None:
        self.presses += 1
        if self.presses == 1 and self.patience == 1:
            _answer(
                "finishing this step, to save the run after it "
                "(Ctrl-C again gives the step up)"
            )
        self._stop_if_due()

    def _stop_if_due(self) -> None:
        if self.presses > self.patience and not self.raised:
            self.raised = True
            raise KeyboardInterrupt

    def now(self) -> None:
        """From here on, a press stops the command at once; so does an earlier one."""
        self.patience = 0
        self._stop_if_due()

    def after_this_step(self) -> None:
        """From here on, the first press is noted, and a second one stops."""
        self.patience = 1
        self._stop_if_due()

    def hold(self) -> None:
        """From here on, presses are noted, and nothing stops."""
        self.patience = math.inf


def _answer(line: str) -> None:
    """Write a line to stderr from within a signal handler.

    The program may be just in the middle of writing to stderr, and Python's streams
    refuse to be entered twice. So this goes past them. A stream that is not a file, as
    in IDLE's window, gets nothing.
    """
    with contextlib.suppress(AttributeError, ValueError, OSError):
        # The line is broken off first: a terminal shows "^C" in it.
        os.write(sys.stderr.fileno(), f"\n{line}\n".encode("ascii"))


# The command as a whole.


class OneLineParser(argparse.ArgumentParser):
    """An argument parser whose errors are ValueErrors, one line like all others."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message} (--help lists what there is)")

    def _print_message(self, message: str, file: Any = None) -> None:
        # Help and version. argparse itself prints to a stream that may not be there.
        say(message, end="")

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        # `--seed=--` is the text "--". Until Python 3.12, argparse takes that for the
        # mark after which no flags come, removes it, and makes an empty list of it.
        if action.option_strings and action.nargs is None and arg_strings == ["--"]:
            return self._get_value(action, "--")
        return super()._get_values(action, arg_strings)


def run_command(command: Callable[[], int], ctrl_c: CtrlC | None = None) -> int:
    """Run a command, and return its exit code; see the top of this file.

    A command that wants to say itself what a Ctrl-C does brings its own `ctrl_c`.
    """
    try:
        ctrl_c = ctrl_c or CtrlC()
        with ctrl_c:
            try:
                code = _exit_code(command, ctrl_c)
            finally:
                ctrl_c.hold()  # so that the end of this block is not cut short
            return 130 if ctrl_c.presses else code
    except KeyboardInterrupt:  # in the instant before ctrl_c was there, or after it
        return 130


def _exit_code(command: Callable[[], int], ctrl_c: CtrlC) -> int:
    # A name with an accent must not stop a terminal that cannot show it.
    streams: list[Any] = [sys.stdout, sys.stderr]
    show_what_can_be_shown(*streams)
    try:
        ctrl_c.now()
        code = _code_of(command)
        write("")  # what print() has left in the stream, if the command uses that
    except OutputFailed as failure:
        code = 1
        if not failure.reader_is_gone:
            say_error(f"error: {failure}")
            code = 2
    except KeyboardInterrupt:
        # The line is broken off first: a terminal shows "^C" in it.
        say_error("\n" + ctrl_c.last_word)
        code = 130
    except MemoryError:
        say_error("error: this machine has not enough memory for that")
        code = 2
    except (ValueError, OSError, ArithmeticError) as error:
        # One line, whatever a file is called.
        say_error("error: " + shown(str(_named(error))))
        code = 2
    for stream in streams:
        _flush_or_discard(stream)
    return code


def _named(error: Exception) -> Exception | str:
    """Return the error, or what is wrong if it is one that names nothing."""
    if isinstance(error, FileNotFoundError) and error.filename is None:
        try:
            os.getcwd()
        except FileNotFoundError:
            return "the folder that this was started in is no longer there"
    return error


def _code_of(command: Callable[[], int]) -> int:
    try:
        return command()
    except SystemExit as stop:  # how argparse ends after --help and --version
        return stop.code if isinstance(stop.code, int) else 0
    except BrokenPipeError as error:  # from a plain print()
        raise OutputFailed(error) from None


def _flush_or_discard(stream: Any) -> None:
    if stream is not None:
        try:
            stream.flush()
        except (OSError, ValueError):
            discard(stream)


# A script, which is no command.


def script_manners(*said: type[Exception]) -> None:
    """Let this process, if output fails, end with one line in place of a traceback.

    So do errors of the kinds in `said`. A chapter of the course calls this by importing
    common.py. All else stays as in any script: in a debugger, its errors stop where
    they are raised, and an error in what a reader has changed shows its traceback.
    """
    show_what_can_be_shown(sys.stdout, sys.stderr)
    # Each line is written at once. Otherwise what is still to be written when the
    # script ends could fail after the last moment at which anything can be done.
    stdout: Any = sys.stdout
    with contextlib.suppress(AttributeError, ValueError, OSError):
        stdout.reconfigure(line_buffering=True)
    # An editor or a notebook may have its own way to show what has happened.
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = functools.partial(_say_how_it_ended, said)


def _say_how_it_ended(
    said: tuple[type[Exception], ...],
    kind: type[BaseException],
    error: BaseException,
    traceback: TracebackType | None,
) -> None:
    """Say what has ended a script."""
    if isinstance(error, KeyboardInterrupt):
        say_error(f"\nstopped{_place_in_script(traceback)}")
        return  # Python ends with the exit code of Ctrl-C, as it does without us
    if isinstance(error, said):
        say_error(f"error: {shown(str(error))}")
        _end(2)
    if isinstance(error, OSError):
        try:
            say("")  # an empty line fails too, if it is the output that has failed
        except OutputFailed as failure:
            if failure.reader_is_gone:
                _end(1)
            say_error(f"error: {failure}")
            _end(2)
    sys.__excepthook__(kind, error, traceback)


def _end(code: int) -> NoReturn:
    """End with this exit code, from within an excepthook."""
    if sys.implementation.name != "pypy":
        raise SystemExit(code)
    # PyPy takes that for a fault of the hook, and would print both errors. So it ends
    # here and now, once all that was said is out.
    for stream in (sys.stdout, sys.stderr):
        _flush_or_discard(stream)
    os._exit(code)


def _place_in_script(traceback: TracebackType | None) -> str:
    """Return " in line 12 of NAME.py" for the line of the script that was running."""
    place = ""
    while traceback is not None:
        frame = traceback.tb_frame
        if frame.f_globals.get("__name__") == "__main__":
            file = os.path.basename(frame.f_code.co_filename)
            place = f" in line {traceback.tb_lineno} of {file}"
        traceback = traceback.tb_next
    return place


# Progress.


class Progress:
    """How far the work is: one line that updates on a terminal, plain lines elsewhere.

    Plain lines come after equal amounts of work, and hold no times: the same run always
    prints the same text. So they do under a debugger, even on a terminal, because its
    prompt would be glued to a line that has not ended.
    """

    def __init__(
        self,
        what: str,
        total: int,
        every: int,
        start: int = 0,
        stream: Any = _STDOUT,
    ) -> None:
        self.what, self.total, self.every = what, total, max(1, every)
        self.start = self.done = start
        self.stream = sys.stdout if stream is _STDOUT else stream
        self.started = time.perf_counter()
        self.shown_at = 0.0
        self.width = 0  # columns of the line that stands on the terminal, unfinished

    def show(self, done: int, text: str = "") -> None:
        """Say that `done` are done, of total. A stream that fails: OutputFailed."""
        line = f"{self.what} {done}/{self.total}{text}"
        if is_terminal(self.stream) and not debugging():
            now = time.perf_counter()
            if now - self.shown_at > 0.1 or done == self.total:
                self.shown_at = now
                self._show_over_the_last(line, (now - self.started), done)
        elif done // self.every > self.done // self.every and done > 1:
            self.finish()
            say(line, stream=self.stream)
        self.done = done

    def _show_over_the_last(self, line: str, seconds: float, done: int) -> None:
        each = seconds / max(1, done - self.start)
        bar = f"[{'#' * (20 * done // self.total):-<20}]"
        speed = f"{each * 1000:.1f} ms each"
        left = f"{each * (self.total - done):.0f} s left"
        # The last column stays free: some terminals go to the next line after it.
        columns = terminal_columns(self.stream) - 1
        longest_first = (f"{bar} {line}, {speed}, {left}", f"{bar} {line}", line)
        fitting = [text for text in longest_first if display_width(text) <= columns]
        line = fitting[0] if fitting else cut(line, columns)
        # A shorter line needs spaces over the rest of the one before it, unless the
        # window has been made narrower meanwhile.
        covered = padded(line, min(self.width, columns))
        self.width = display_width(line)
        write(f"\r{covered}", self.stream)

    def finish(self) -> None:
        """Leave the line as it is, and go on below it."""
        if self.width:
            self.width = 0
            write("\n", self.stream)

    def over(self, documents: Sequence[str]) -> Iterator[str]:
        """Yield the documents, and show how many of them have been used."""
        for done, document in enumerate(documents, start=1):
            yield document
            self.show(done)
        self.finish()


def is_terminal(stream: Any) -> bool:
    """Say whether a stream is a terminal, on which a line can be written over."""
    # IDLE's window says that it is one, but has no file, and shows no line twice.
    try:
        return os.isatty(stream.fileno())
    except (AttributeError, OSError, ValueError):
        return False


def terminal_columns(stream: Any) -> int:
    """Return how wide the terminal is; 80 where it does not say."""
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except (AttributeError, OSError, ValueError):
        columns = 0
    # With no arguments, get_terminal_size would ask stdout; it also knows $COLUMNS.
    return max(2, columns or shutil.get_terminal_size((80, 24)).columns)


def debugging() -> bool:
    """Say whether this process is, or may be, stopped by a debugger."""
    # bdb is the part of the standard library below pdb and IDLE's debugger, pydevd that
    # of VS Code and PyCharm. Since Python 3.12 they need not set a trace function.
    debuggers = ("bdb", "pydevd", "_pydevd_bundle")
    return sys.gettrace() is not None or any(name in sys.modules for name in debuggers)
