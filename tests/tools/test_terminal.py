"""Output that fails, text that acts, Ctrl-C at any instant, and progress."""

from __future__ import annotations

import errno
import gc
import io
import os
import signal
import subprocess
import sys
import threading

import pytest

from microgpt.tools import terminal
from microgpt.tools.terminal import (
    CtrlC,
    OneLineParser,
    OutputFailed,
    Progress,
    cut,
    display_width,
    is_terminal,
    padded,
    quoted,
    run_command,
    say,
    shown,
)
from tests.helpers import environment

# Text


@pytest.mark.parametrize(
    ("text", "as_shown"),
    [
        ("zoë 李娜 🙂 \\n", "zoë 李娜 🙂 \\n"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("a\rb\nc\td", "a\\rb\\nc\\td"),
        ("a\u2028b\u2029", "a\\u2028b\\u2029"),
        ("\u202egpj.exe", "\\u202egpj.exe"),  # would be read from right to left
        ("\x9b31m\x7f\x00", "\\x9b31m\\x7f\\x00"),
        ("\udcff", "\\udcff"),  # a byte of a file's name that is no text
        ("می\u200cخواهم 👨\u200d👩\u200d👧", "می\u200cخواهم 👨\u200d👩\u200d👧"),
    ],
)
def test_what_would_act_on_a_terminal_is_shown_as_an_escape(text, as_shown):
    assert shown(text) == as_shown


def test_on_windows_a_word_is_quoted_as_its_shell_reads_it(monkeypatch):
    assert [quoted(word) for word in ("run", "my run")] == ["run", "'my run'"]
    with monkeypatch.context() as patched:
        patched.setattr(terminal.os, "name", "nt")
        words = [quoted(word) for word in ("run", "my run", "it's")]
    assert words == ["run", '"my run"', "it's"]


@pytest.mark.parametrize(
    ("text", "width"),
    [
        ("ann", 3),
        ("李娜", 4),
        ("한글", 4),
        ("zoe\u0308", 3),  # an accent of its own, over the e
        ("🙂", 2),
        ("ｱ", 1),  # half width
        ("Ａ", 2),  # full width
        ("", 0),
    ],
)
def test_width_is_counted_in_columns(text, width):
    assert display_width(text) == width
    assert display_width(padded(text, 7)) == 7
    assert padded(text, width) == text


@pytest.mark.parametrize(
    ("text", "width", "beginning"),
    [("abcdef", 4, "abcd"), ("李娜李", 5, "李娜"), ("abc", 9, "abc"), ("李", 1, "")],
)
def test_a_text_is_cut_between_characters(text, width, beginning):
    assert cut(text, width) == beginning


# Output


class Failing(io.StringIO):
    """A stream that can take so much, and then raises an error at each write."""

    def __init__(self, error, room=0):
        super().__init__()
        self.error, self.room = error, room

    def write(self, text):
        if self.tell() + len(text) > self.room:
            raise self.error
        return super().write(text)


def test_saying_escapes_what_acts_and_keeps_the_lines(capsys):
    say("a\x1b[2J\nb\u2028")
    assert capsys.readouterr().out == "a\\x1b[2J\nb\\u2028\n"


def test_where_there_is_no_stream_nothing_is_said(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    say("hello")
    assert run_command(lambda: 0) == 0

    def bad():
        raise ValueError("bad")

    assert run_command(bad) == 2


def test_a_stream_that_cannot_show_a_character_gets_an_escape(monkeypatch):
    ascii_only = io.TextIOWrapper(io.BytesIO(), encoding="ascii", newline="\n")
    say("zoë", stream=ascii_only)
    assert ascii_only.buffer.getvalue() == b"zo\\xeb\n"


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 1, ""),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            2,
            "error: cannot write the output: No space left on device\n",
        ),
        (OSError(errno.EIO, "Input/output error"), 2, None),
        (ValueError("I/O operation on closed file."), 2, None),
    ],
)
def test_output_that_fails_is_one_line_unless_nobody_is_there(
    monkeypatch, capsys, error, code, line
):
    monkeypatch.setattr(sys, "stdout", Failing(error))

    def command():
        with pytest.raises(OutputFailed) as caught:
            say("hello")
        raise caught.value

    assert run_command(command) == code
    err = capsys.readouterr().err
    if line is None:
        assert (
            err == f"error: cannot write the output: {error.strerror or error}\n"
            if (isinstance(error, OSError))
            else err.count("\n") == 1
        )
    else:
        assert err == line


def test_a_plain_print_to_a_reader_who_has_gone_is_no_error(monkeypatch, capsys):
    gone = Failing(BrokenPipeError(errno.EPIPE, "Broken pipe"))
    monkeypatch.setattr(sys, "stdout", gone)
    assert run_command(lambda: print("hello") or 0) == 1
    assert capsys.readouterr().err == ""


def test_an_error_that_cannot_be_said_keeps_its_exit_code(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Failing(OSError(errno.ENOSPC, "No space left")))

    def bad():
        raise ValueError("bad")

    assert run_command(bad) == 2


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("no\nsuch\x1b file"), "error: no\\nsuch\\x1b file\n"),
        (OSError("broken"), "error: broken\n"),
        (OverflowError("too large"), "error: too large\n"),
        (MemoryError(), "error: this machine has not enough memory for that\n"),
        (ValueError("1" * 5000), "error: " + "1" * 493 + " … " + "1" * 400 + "\n"),
    ],
    ids=["value", "os", "arithmetic", "memory", "digits"],
)
def test_an_error_is_one_line_and_exit_code_2(capsys, error, line):
    def command():
        raise error

    assert run_command(command) == 2
    assert capsys.readouterr() == ("", line)


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps a folder that is in use")
def test_a_folder_that_is_gone_is_named(capsys, tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()

    def command():
        return len(os.path.abspath("out"))

    assert run_command(command) == 2
    line = "error: the folder that this was started in is no longer there\n"
    assert capsys.readouterr().err == line


def test_a_mistake_of_the_program_s_own_is_not_hidden():
    def command():
        raise TypeError("a bug")

    with pytest.raises(TypeError):
        run_command(command)


# A script

SCRIPT = """\
import sys, time
from microgpt.tools.files import CannotWrite, replace_file
from microgpt.tools.terminal import script_manners
script_manners(CannotWrite)
for number in range(3):
    print("é", number)
"""


def script(tmp_path, last_lines="", shell="", **env):
    """Run a script whose output goes where the shell says."""
    path = tmp_path / "script.py"
    path.write_text(SCRIPT + last_lines, encoding="utf-8")
    words = f'"{sys.executable}" "{path}" {shell}'
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", words],
        cwd=tmp_path,
        env=environment(**env),
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )


bash_only = pytest.mark.skipif(
    os.name == "nt" or not os.path.exists("/dev/full"), reason="needs Linux's devices"
)


@bash_only
def test_a_script_whose_reader_has_gone_ends_without_a_word(tmp_path):
    # The reader goes before the script ends, and so while it writes.
    done = script(tmp_path, "time.sleep(1)\nprint(1)\nprint(2)\n", "| head -1")
    assert (done.returncode, done.stderr) == (1, "")


@bash_only
@pytest.mark.parametrize("last_lines", ["", "print(1)\n"])
def test_a_script_whose_disk_is_full_ends_with_one_line(tmp_path, last_lines):
    done = script(tmp_path, last_lines, "> /dev/full")
    line = "error: cannot write the output: No space left on device\n"
    assert (done.returncode, done.stderr) == (2, line)


@bash_only
def test_a_script_shows_escapes_where_characters_cannot_be_shown(tmp_path):
    done = script(tmp_path, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "\\xe9 0\n\\xe9 1\n\\xe9 2\n"


@bash_only
def test_a_file_that_a_script_cannot_write_is_one_line(tmp_path):
    done = script(tmp_path, "replace_file('nowhere/x', '')\n")
    line = "error: cannot write nowhere/x: No such file or directory\n"
    assert (done.returncode, done.stderr) == (2, line)


@bash_only
@pytest.mark.parametrize(
    ("mistake", "last_line"),
    [
        ("open('nowhere')", "No such file or directory: 'nowhere'"),
        ("raise ValueError('mine')", "ValueError: mine"),
    ],
)
def test_a_reader_s_own_mistake_in_a_script_shows_its_traceback(
    tmp_path, mistake, last_line
):
    done = script(tmp_path, mistake + "\n")
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback (most recent call last):\n")
    assert mistake in done.stderr
    assert done.stderr.endswith(last_line + "\n")


@bash_only
def test_ctrl_c_in_a_script_says_in_which_of_its_lines_it_was(tmp_path):
    done = script(
        tmp_path, "import signal\nx = 1\nsignal.raise_signal(signal.SIGINT)\n"
    )
    assert done.returncode in (130, -signal.SIGINT)
    assert done.stderr.startswith("\nstopped in line 9 of script.py\n")
    assert "Traceback" not in done.stderr


def test_a_script_leaves_an_editor_its_own_way_to_show_errors(monkeypatch):
    monkeypatch.setattr(sys, "excepthook", print)
    terminal.script_manners()
    assert sys.excepthook is print


# Flags


@pytest.mark.parametrize("flag", ["--seed", "--rate"])
def test_two_dashes_for_a_number_are_no_number_on_any_python(flag):
    parser = OneLineParser()
    parser.add_argument("--seed", type=int)
    parser.add_argument("--rate", type=float)
    with pytest.raises(ValueError, match=f"argument {flag}: invalid .* value: '--'"):
        parser.parse_args([f"{flag}=--"])


def test_two_dashes_for_a_text_are_that_text():
    parser = OneLineParser()
    parser.add_argument("--prompt")
    assert parser.parse_args(["--prompt=--"]).prompt == "--"


# Ctrl-C


@pytest.fixture(autouse=True)
def default_ctrl_c():
    """Ctrl-C as Python has it at first, whatever pytest made of it; and so after."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def press():
    signal.raise_signal(signal.SIGINT)


def test_a_press_stops_a_command_with_130(capsys):
    assert run_command(press) == 130
    assert capsys.readouterr() == ("", "\nstopped\n")


def test_a_second_press_does_not_disturb_what_the_first_one_started():
    log = []

    def command():
        try:
            press()
        finally:
            press()
            log.append("tidied up")
            press()

    assert run_command(command) == 130
    assert log == ["tidied up"]


def test_patience_decides_which_press_stops():
    ctrl_c = CtrlC()
    log = []

    def command():
        ctrl_c.after_this_step()
        press()
        log.append(ctrl_c.presses)
        ctrl_c.hold()
        press()
        press()
        log.append(ctrl_c.presses)
        ctrl_c.now()  # what was held back stops it here
        log.append("never")

    assert run_command(command, ctrl_c) == 130
    assert log == [1, 3]


def test_the_first_press_in_a_step_is_answered_at_once_and_once(capfd):
    ctrl_c = CtrlC()
    answers = []

    def command():
        ctrl_c.after_this_step()
        press()
        answers.append(capfd.readouterr().err)
        ctrl_c.hold()
        press()
        answers.append(capfd.readouterr().err)
        return 0

    assert run_command(command, ctrl_c) == 130
    first = "\nfinishing this step, to save the run after it"
    assert answers == [f"{first} (Ctrl-C again gives the step up)\n", ""]


def test_a_press_is_answered_though_stderr_is_being_written_to_or_is_none(monkeypatch):
    ctrl_c = CtrlC()

    class Busy(io.StringIO):
        """A stream that is in the middle of something, and not to be entered twice."""

        def write(self, text):
            raise RuntimeError("reentrant call")

    def command():
        ctrl_c.after_this_step()
        press()
        return 0

    for stream in (Busy(), None):
        monkeypatch.setattr(sys, "stderr", stream)
        assert run_command(command, ctrl_c) == 130


def test_a_command_chooses_its_last_word(capsys):
    ctrl_c = CtrlC()

    def command():
        ctrl_c.last_word = "stopped; all is saved in a\x1bb"
        press()

    assert run_command(command, ctrl_c) == 130
    assert capsys.readouterr().err == "\nstopped; all is saved in a\\x1bb\n"


def test_a_second_press_stops_a_step_that_takes_long():
    ctrl_c = CtrlC()
    log = []

    def command():
        ctrl_c.after_this_step()
        press()
        log.append("went on")
        press()
        log.append("never")

    assert run_command(command, ctrl_c) == 130
    assert log == ["went on"]


def test_a_press_that_was_only_noted_still_ends_with_130():
    ctrl_c = CtrlC()

    def command():
        ctrl_c.hold()
        press()
        return 0

    assert run_command(command, ctrl_c) == 130


def test_a_press_during_output_that_fails_is_130_not_1(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Failing(BrokenPipeError()))
    ctrl_c = CtrlC()

    def command():
        ctrl_c.hold()
        press()
        say("hello")
        return 0

    assert run_command(command, ctrl_c) == 130


def test_where_ctrl_c_was_ignored_it_stays_so():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:

        def command():
            press()
            return 0

        assert run_command(command) == 0
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def test_in_a_thread_a_command_just_runs():
    codes = []
    thread = threading.Thread(target=lambda: codes.append(run_command(lambda: 7)))
    thread.start()
    thread.join()
    assert codes == [7]


@pytest.mark.slow
@pytest.mark.skipif(
    sys.implementation.name != "cpython", reason="elsewhere a signal may come later"
)
def test_at_no_line_of_it_do_one_or_two_presses_give_a_traceback():
    # A trace function is called at each line of the command and of what it calls.
    ctrl_c_file = terminal.__file__

    def command():
        gc.disable()  # as training does
        try:
            for _ in range(3):
                say("x", stream=io.StringIO())
            raise ValueError("bad")
        finally:
            gc.enable()

    def outcome(at):
        n_lines = 0

        def trace(frame, event, argument):
            nonlocal n_lines
            inside = frame.f_code.co_filename in (ctrl_c_file, __file__)
            if inside and event == "line":
                n_lines += 1
                if n_lines in at:
                    press()
            return trace if inside else None

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            code = run_command(command)
        except KeyboardInterrupt:
            code = f"raised at {at} of {n_lines}"
        finally:
            sys.settrace(before)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler, at
        assert gc.isenabled(), at
        return code, n_lines

    code, n = outcome(())
    assert code == 2
    assert n > 100
    # Before the first line of run_command, which is `try:`, Ctrl-C is not yet its own.
    firsts = range(2, n + 1)
    codes = [outcome((first,))[0] for first in firsts]
    # In the last lines the exit code stands already, and Ctrl-C is given back.
    assert set(codes[:-5]) == {130}
    assert set(codes[-5:]) <= {130, 2}
    firsts = range(2, n - 4)
    pairs = [(first, first + more) for first in firsts for more in (1, 2, 7)]
    assert {outcome(pair)[0] for pair in pairs} == {130}


# Progress


class Screen:
    """A terminal with so many columns that shows what is written to it."""

    def __init__(self, monkeypatch, columns):
        self.columns = columns
        self.written = ""
        monkeypatch.setattr(terminal, "is_terminal", lambda stream: True)
        monkeypatch.setattr(terminal, "debugging", lambda: False)
        monkeypatch.setattr(terminal, "terminal_columns", lambda stream: self.columns)
        clock = iter(range(10**6))  # a second passes whenever one looks
        monkeypatch.setattr(terminal.time, "perf_counter", lambda: next(clock))

    def write(self, text):
        self.written += text

    def flush(self):
        pass

    def lines(self):
        """Return what is to be seen: \\r goes back, and text covers what is there."""
        lines = [[]]
        column = 0
        for char in self.written:
            if char == "\n":
                lines.append([])
                column = 0
            elif char == "\r":
                column = 0
            else:
                if column == self.columns:  # the terminal begins a new line by itself
                    lines.append([])
                    column = 0
                lines[-1][column : column + 1] = [char]
                column += 1
        return ["".join(line).rstrip() for line in lines]


def test_on_a_terminal_one_line_is_shown_over_and_over(monkeypatch):
    screen = Screen(monkeypatch, 80)
    progress = Progress("step", 10, 50, stream=screen)
    for step in range(1, 11):
        progress.show(step, f", loss {10 - step}.5")
        [line] = screen.lines()
        bar = "#" * (2 * step) + "-" * (20 - 2 * step)
        assert line.startswith(f"[{bar}] step {step}/10, loss {10 - step}.5, ")
        assert line.endswith(" s left")
    progress.finish()
    assert screen.lines()[1:] == [""]
    assert "\033" not in screen.written


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        (60, "[##########----------] step 500/1000, loss 2.345"),
        (49, "[##########----------] step 500/1000, loss 2.345"),
        (48, "step 500/1000, loss 2.345"),
        (26, "step 500/1000, loss 2.345"),
        (20, "step 500/1000, loss"),
        (2, "s"),
    ],
)
def test_a_narrow_terminal_gets_what_fits_in_one_line(monkeypatch, columns, line):
    screen = Screen(monkeypatch, columns)
    progress = Progress("step", 1000, 50, stream=screen)
    progress.show(499, ", loss 2.345, and much more to say")
    progress.show(500, ", loss 2.345")
    assert screen.lines() == [line]


def test_a_line_that_gets_shorter_leaves_nothing_of_the_longer_one(monkeypatch):
    screen = Screen(monkeypatch, 80)
    progress = Progress("step", 3, 50, stream=screen)
    progress.show(1, ", loss 12345.678")
    long = screen.lines()[0]
    progress.show(2, ", loss 2")
    [line] = screen.lines()
    assert len(line) < len(long)
    assert line.endswith(" s left")


def test_elsewhere_plain_lines_come_after_equal_amounts_of_work():
    stream = io.StringIO()
    progress = Progress("measured", 10, every=4, stream=stream)
    assert list(progress.over("abcdefghij")) == list("abcdefghij")
    assert stream.getvalue() == "measured 4/10\nmeasured 8/10\n"


def test_under_a_debugger_each_line_of_progress_ends_before_the_prompt(monkeypatch):
    screen = Screen(monkeypatch, 80)
    monkeypatch.setattr(terminal, "debugging", lambda: True)
    progress = Progress("step", 4, every=2, stream=screen)
    for step in range(1, 5):
        progress.show(step)
        assert screen.lines()[-1] == ""
    assert screen.lines() == ["step 2/4", "step 4/4", ""]


def test_a_trace_function_and_pdb_are_debuggers(monkeypatch):
    monkeypatch.setattr(sys, "gettrace", lambda: None)
    for name in ("bdb", "pydevd", "_pydevd_bundle"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert not terminal.debugging()
    monkeypatch.setitem(sys.modules, "bdb", terminal)
    assert terminal.debugging()
    monkeypatch.delitem(sys.modules, "bdb")
    monkeypatch.setattr(sys, "gettrace", lambda: print)
    assert terminal.debugging()


def test_a_window_without_a_file_is_no_terminal():
    class Window(io.StringIO):  # IDLE's is like that
        def isatty(self):
            return True

    assert not is_terminal(Window())
    assert not is_terminal(None)
    closed = io.StringIO()
    closed.close()
    assert not is_terminal(closed)
    if os.name != "nt":  # there, the null device says that it is a terminal
        with open(os.devnull, encoding="utf-8") as file:
            assert not is_terminal(file)


def test_where_stderr_is_missing_progress_meant_for_it_is_not_printed(capsys):
    progress = Progress("read", 2, 1, stream=None)
    progress.show(1)
    progress.show(2)
    progress.finish()
    assert capsys.readouterr() == ("", "")
