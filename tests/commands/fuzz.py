"""Start the commands with random input, as real processes, in awkward environments.

    python tests/commands/fuzz.py                            for a minute
    python tests/commands/fuzz.py --seconds 600 --seed 7     longer, and other input

Every case follows from the seed and its number, so one that fails can be run again:

    python tests/commands/fuzz.py --seed 7 --only 123

With --here, the commands are called in this process: no environments and fewer signals,
but ten times as many cases in the same time.

What is random: the flags and what is given to them, the file of names, a checkpoint
that was there before (good, damaged or forged), when Ctrl-C comes and how often, and
the environment, of which ENVIRONMENTS has the list. What must hold whatever comes is
in `complaints`.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from microgpt.tools.checkpoint import load_checkpoint  # noqa: E402
from tests.helpers import NAMES, environment  # noqa: E402

LONG = 4.0  # seconds after which a command that is still at work gets a Ctrl-C
TOO_LONG = 60.0  # and after which it has failed


class Environment(NamedTuple):
    """A way to start a process."""

    python_flags: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    stdout: str = "pipe"  # or closed, full, gone, terminal, file
    stderr: str = "pipe"  # or closed, full
    columns: int = 80
    bare: bool = False  # without any variable, $HOME and $PATH among them
    read_only: bool = False  # started in a folder where nothing can be written
    ignore_ctrl_c: bool = False


ENVIRONMENTS = {
    "plain": Environment(),
    "unbuffered": Environment(variables=(("PYTHONUNBUFFERED", "1"),)),
    "to a file": Environment(stdout="file"),
    "stdout closed": Environment(stdout="closed"),
    "stderr closed": Environment(stderr="closed"),
    "both closed": Environment(stdout="closed", stderr="closed"),
    "stdout full": Environment(stdout="full"),
    "stderr full": Environment(stderr="full"),
    "both full, unbuffered": Environment(
        variables=(("PYTHONUNBUFFERED", "1"),), stdout="full", stderr="full"
    ),
    "reader gone": Environment(stdout="gone"),
    "terminal": Environment(stdout="terminal"),
    "narrow terminal": Environment(stdout="terminal", columns=20),
    "C locale": Environment(
        variables=(
            ("LC_ALL", "C"),
            ("PYTHONCOERCECLOCALE", "0"),
        )
    ),
    "ASCII": Environment(
        variables=(
            ("PYTHONIOENCODING", "ascii"),
            ("PYTHONUTF8", "0"),
        )
    ),
    "no variables": Environment(bare=True),
    "read-only folder": Environment(read_only=True),
    "-O": Environment(python_flags=("-O",)),
    "-I": Environment(python_flags=("-I",)),
    "-W error": Environment(python_flags=("-W", "error")),
    "-X dev": Environment(python_flags=("-X", "dev")),
    "Ctrl-C ignored": Environment(ignore_ctrl_c=True),
}

# What is given to flags: numbers at the edge of what makes sense, and nonsense.
THINGS = [
    *("0", "1", "2", "3", "-1", "7", "0.5", "1e-9", "1e9", "1e308", "1e999", "-0.0"),
    *("nan", "inf", "-inf", "", " ", "--", "-", "x", "1.5", "0x10", "1_0", "٣", "1e3"),
    *("9" * 20, "9" * 400, "9" * 5000, "a\x1b[2J", "ë", "🙂", "a\nb", "\udcff"),
]
FLAGS = {
    "microgpt.train": [
        *("--steps", "--seed", "--batch-size", "--block-size", "--n-layer", "--n-head"),
        *("--n-embd", "--learning-rate", "--weight-decay", "--grad-clip", "--samples"),
        *("--val-fraction", "--val-documents", "--temperature", "--data", "--out"),
    ],
    "microgpt.sample": [
        *("--n", "--prompt", "--temperature", "--top-k", "--top-p", "--seed"),
        *("--checkpoint",),
    ],
    "microgpt": [],
}
ALONE = {
    "microgpt.train": [
        *("--resume", "--profile", "--running-text", "--help", "--version", "--frob"),
        "-x",
    ],
    "microgpt.sample": ["--greedy", "--show-probabilities", "--help", "--version"],
    "microgpt": ["--help", "--version", "--frob", "x"],
}
TINY = [
    *("--steps", "3", "--block-size", "3", "--n-head", "1", "--n-embd", "2"),
    *("--samples", "2"),
]


class Case(NamedTuple):
    """All that is random in one try."""

    module: str
    argv: list[str]
    environment: str
    data: bytes
    checkpoint: bytes | None
    presses: list[float]  # seconds after the start at which Ctrl-C comes


class Outcome(NamedTuple):
    """What a process did; a stream that could not be read is None."""

    code: int
    out: str | None
    err: str | None
    timed_out: bool


def random_data(rng: random.Random) -> bytes:
    """Return a file of names, or something like it."""
    names = "\n".join(NAMES).encode()
    kind = rng.randrange(14)
    if kind <= 4:
        return names
    if kind == 5:
        return bytes(rng.randrange(256) for _ in range(rng.randrange(200)))
    text = "".join(
        rng.choice("ab ë李🙂\x1b\r\n\t\u2028\u202e\u0301") for _ in range(60)
    )
    return [
        text.encode(),
        text.encode("utf-16"),
        text.encode("utf-16-le"),
        b"\xef\xbb\xbf" + names,
        names.replace(b"\n", b"\r"),
        b"a" * 300_000,
        rng.choice([b"", b"\n", b"x", b"<html>", b"PK\x03\x04", b"\x1f\x8b", b"\0"]),
        b"one\ntwo" * rng.randrange(1, 2000),
        b"version https://git-lfs.github.com/spec/v1\n",
    ][kind - 6]


def forged(checkpoint: bytes, rng: random.Random) -> bytes:
    """Return a checkpoint with something exchanged in it and the right checksum."""
    record = json.loads(checkpoint)
    inside, place = record["run"], rng.choice(list(record["run"]))
    while isinstance(inside[place], (list, dict)) and inside[place]:
        if rng.random() < 0.2:
            break
        inside = inside[place]
        keys = list(inside) if isinstance(inside, dict) else range(len(inside))
        place = rng.choice(keys)
    if rng.random() < 0.2:
        del inside[place]
    else:
        inside[place] = rng.choice(
            [
                *(0, 1, -1, 2**32, 10**400, 0.5, 1e308, -1e308, 5e-324, True, None),
                *("", "a", "a\nb", "\ud800", "/dev/zero", "a\0b", [], {}, [[]]),
                float("nan"),
            ]
        )
    text = json.dumps(record["run"])
    record["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    return json.dumps(record).encode()


def damaged(checkpoint: bytes, rng: random.Random) -> bytes:
    """Return a checkpoint after an accident."""
    content = bytearray(checkpoint)
    place = rng.randrange(len(content))
    kind = rng.randrange(4)
    if kind == 0:
        return bytes(content[:place])
    if kind == 1:
        content[place] ^= 1 << rng.randrange(8)
    elif kind == 2:
        content[place:place] = bytes(rng.randrange(256) for _ in range(5))
    else:
        del content[place : place + rng.randrange(1, 9)]
    return bytes(content)


def random_case(seed: int, number: int, good_checkpoint: bytes) -> Case:
    """Return case `number` of a seed."""
    rng = random.Random(f"{seed} {number}")
    module = rng.choice(["microgpt.train"] * 6 + ["microgpt.sample"] * 3 + ["microgpt"])
    argv = []
    if module == "microgpt.train":
        argv += ["--data", "names.txt", *TINY]
    for _ in range(rng.choice([0, 0, 1, 1, 2, 3, 5])):
        if FLAGS[module] and rng.random() < 0.8:
            flag, thing = rng.choice(FLAGS[module]), rng.choice(THINGS)
            if flag in ("--data", "--checkpoint") and rng.random() < 0.5:
                thing = rng.choice(["/dev/zero", "/dev/null", ".", "out", "/dev/stdin"])
            argv += [f"{flag}={thing}"] if rng.random() < 0.7 else [flag, thing]
        else:
            argv.append(rng.choice([*ALONE[module], *THINGS]))
    if module == "microgpt.train" and rng.random() < 0.25:
        argv = ["--resume", *([] if rng.random() < 0.5 else argv[-1:])]

    checkpoint = None
    kind = rng.randrange(6)
    if module == "microgpt.sample" and kind == 0:
        kind = 3
    if kind == 1:
        checkpoint = damaged(good_checkpoint, rng)
    elif kind == 2:
        checkpoint = forged(good_checkpoint, rng)
    elif kind >= 3:
        checkpoint = good_checkpoint

    presses: list[float] = []
    if module != "microgpt" and rng.random() < 0.4:
        # They count from when everything is imported. What comes before main() has
        # begun is Python's own, with a traceback that is not for us to prevent.
        first = rng.uniform(0.03, 0.5)
        presses = [first]
        if rng.random() < 0.5:
            presses.append(first + rng.choice([0.0, 0.001, 0.01, 0.1]))
        if module == "microgpt.train" and "--resume" not in argv:
            argv += ["--steps", rng.choice(["30", "3000"])]
    return Case(
        module,
        argv,
        rng.choice(list(ENVIRONMENTS)),
        random_data(rng),
        checkpoint,
        presses,
    )


# The command is started by this, which says when it has been imported, so that the
# seconds until Ctrl-C count from there. It runs main() as the door does.
STARTER = """
import importlib, os, signal, sys
module, ready, ignore = sys.argv[1:4]
sys.argv[:4] = [module]
sys.path.insert(0, ROOT)
if ignore == "True":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
name = module + ".__main__" if module == "microgpt" else module
main = importlib.import_module(name).main
open(ready, "w").close()
sys.exit(main())
"""


def prepare(folder: Path, case: Case) -> None:
    """Put the files of a case where the command will look for them."""
    (folder / "names.txt").write_bytes(case.data)
    if case.checkpoint is not None:
        (folder / "out").mkdir()
        (folder / "out" / "checkpoint.json").write_bytes(case.checkpoint)
        (folder / "out" / "losses.csv").write_bytes(b"of the earlier run")


def run_case(folder: Path, case: Case, ready: Path) -> Outcome:
    """Run a case in folder, and return what it did."""
    how = ENVIRONMENTS[case.environment]
    starter = STARTER.replace("ROOT", repr(str(ROOT)))
    words = [
        *(sys.executable, *how.python_flags, "-c", starter),
        *(case.module, str(ready), str(how.ignore_ctrl_c)),
        # A zero byte cannot be given to any command.
        *[word.replace("\0", "") for word in case.argv],
    ]
    variables = {} if how.bare else environment(**dict(how.variables))
    closed = [n for n, s in ((1, how.stdout), (2, how.stderr)) if s == "closed"]

    def in_the_child() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (3 * 10**9, 3 * 10**9))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for descriptor in closed:
            os.close(descriptor)

    with contextlib.ExitStack() as stack:
        read_out, out = _stream(how.stdout, how.columns, stack)
        read_err, err = _stream(how.stderr, how.columns, stack)
        process = subprocess.Popen(
            [word.encode("utf-8", "surrogateescape") for word in words],
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            preexec_fn=in_the_child,
        )
        for descriptor in {out, err}:
            os.close(descriptor)
        threading.Thread(target=_press, args=(process, case, ready)).start()
        timed_out = False
        try:
            texts = _read_all([read_out, read_err], process)
        except TimeoutError:
            timed_out = True
            process.kill()
            texts = [None, None]
        process.wait()
        return Outcome(process.returncode, texts[0], texts[1], timed_out)


def _stream(
    kind: str, columns: int, stack: contextlib.ExitStack
) -> tuple[int | None, int]:
    """Return (a descriptor to read from, one for the process to write to)."""
    if kind == "full":
        return None, os.open("/dev/full", os.O_WRONLY)
    if kind == "closed":
        return None, os.open(os.devnull, os.O_WRONLY)
    if kind == "gone":
        reading, writing = os.pipe()
        os.close(reading)
        return None, writing
    if kind == "terminal":
        import fcntl
        import struct
        import termios

        reading, writing = os.openpty()
        size = struct.pack("HHHH", 24, columns, 0, 0)
        fcntl.ioctl(writing, termios.TIOCSWINSZ, size)
    elif kind == "file":
        with tempfile.TemporaryFile() as file:
            reading, writing = os.dup(file.fileno()), os.dup(file.fileno())
    else:
        reading, writing = os.pipe()
    stack.callback(os.close, reading)
    return reading, writing


def _press(process: subprocess.Popen[bytes], case: Case, ready: Path) -> None:
    """Press Ctrl-C when the case says so, and if the command takes too long."""
    started = time.monotonic()
    while not ready.exists() and process.poll() is None:
        time.sleep(0.002)
    imported = time.monotonic()
    for seconds in case.presses:
        time.sleep(max(0.0, imported + seconds - time.monotonic()))
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
    # Then twice, since the first one waits for the end of a step that may be endless.
    for seconds in (LONG, LONG + 1):
        while process.poll() is None and time.monotonic() < started + seconds:
            time.sleep(0.02)
        if process.poll() is None:
            process.send_signal(signal.SIGINT)


def _read_all(
    descriptors: list[int | None], process: subprocess.Popen[bytes]
) -> list[str | None]:
    import select

    received = {descriptor: b"" for descriptor in descriptors if descriptor is not None}
    left = set(received)
    end = time.monotonic() + TOO_LONG
    regular = {d for d in left if os.path.isfile(f"/proc/self/fd/{d}")}
    left -= regular
    while left or process.poll() is None:
        if time.monotonic() > end:
            raise TimeoutError
        ready, _, _ = select.select(left, [], [], 0.05)
        for descriptor in ready:
            try:
                piece = os.read(descriptor, 65536)
            except OSError:  # how Linux says that a terminal's other end is closed
                piece = b""
            received[descriptor] += piece
            if not piece:
                left.discard(descriptor)
    for descriptor in regular:
        os.lseek(descriptor, 0, os.SEEK_SET)
        while piece := os.read(descriptor, 65536):
            received[descriptor] += piece
    return [
        None if d is None else received[d].decode("utf-8", "replace")
        for d in descriptors
    ]


def complaints(folder: Path, case: Case, outcome: Outcome) -> list[str]:
    """Return what is wrong with an outcome: nothing may be."""
    how = ENVIRONMENTS[case.environment]
    wrong = []
    if outcome.timed_out:
        wrong.append("it did not end, not even by Ctrl-C")
    # Killed by that signal is what it is called if it came when Python was ending,
    # after all was done. A shell calls that 130 as well.
    elif outcome.code not in (0, 1, 2, 130, -signal.SIGINT):
        wrong.append(f"exit code {outcome.code}")
    if outcome.code == 1 and how.stdout != "gone":
        wrong.append("exit code 1, but the reader was there")
    for name, text in (("stdout", outcome.out), ("stderr", outcome.err)):
        if text is None:
            continue
        for word in ("Traceback", "Exception ignored", "Warning:", "Fatal", "<module"):
            if word in text:
                wrong.append(f"{word!r} on {name}")
        seen = text.replace("\n", "")
        if how.stdout == "terminal":
            seen = seen.replace("\r", "")
        acting = sorted({c for c in seen if ord(c) < 32 or c in "\x7f\x9b\u2028\u202e"})
        if acting:
            wrong.append(f"{acting} on {name}")
    if outcome.err is not None:
        lines = outcome.err.splitlines()
        errors = [line for line in lines if line.startswith("error: ")]
        if outcome.code == 2 and len(errors) != 1:
            wrong.append(f"exit code 2 and {len(errors)} lines of error")
        if outcome.code == 0 and errors:
            wrong.append("an error, but exit code 0")
        known = ("error: ", "warning: ", "stopped", "finishing this step")
        strange = [line for line in lines if line and not line.startswith(known)]
        if strange:
            wrong.append(f"on stderr: {strange[0]!r}")
        for phrase in ("embedded null", "codec can't", "max() arg", "cannot convert"):
            if phrase in outcome.err:
                wrong.append(f"Python's own words: {phrase!r}")
    wrong += lost(folder, case, outcome)
    return wrong


def lost(folder: Path, case: Case, outcome: Outcome) -> list[str]:
    """Return what is wrong in the folders: a run that was there must still be."""
    wrong = []
    temporary = [str(path) for path in folder.rglob("*.tmp")]
    if temporary:
        wrong.append(f"left behind: {temporary}")
    checkpoints = []
    for path in folder.rglob("checkpoint.json"):
        if path.read_bytes() == case.checkpoint:
            checkpoints.append(None)  # as it was, whatever it is
            continue
        try:
            checkpoints.append(load_checkpoint(str(path)))
        except ValueError as error:
            wrong.append(f"a checkpoint was written that cannot be read: {error}")
    if case.checkpoint is not None and None not in checkpoints:
        # It may have been resumed, or replaced by its equal.
        try:
            before = json.loads(case.checkpoint)["run"]["losses"]
        except (ValueError, KeyError, TypeError):
            before = None
        loaded = [run for run in checkpoints if run is not None]
        if type(before) is not list or not any(
            run.losses[: len(before)] == before for run in loaded
        ):
            wrong.append("the run that was there is lost")
    return wrong


def make_good_checkpoint(folder: Path) -> bytes:
    """Return the checkpoint of a run that was stopped in the middle."""
    (folder / "names.txt").write_bytes("\n".join(NAMES).encode())
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); "
        "from microgpt.tools import train_command as t; sys.exit(t.main())"
    )
    argv = ["--data", "names.txt", *TINY]
    subprocess.run(
        [sys.executable, "-c", code, *argv],
        cwd=folder,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return (folder / "out" / "checkpoint.json").read_bytes()


def fuzz(
    seconds: float, seed: int, only: int | None = None, most: int = 10**9
) -> tuple[int, list[str]]:
    """Try cases for so many seconds; return (how many, what was found)."""
    found = []
    end = time.monotonic() + seconds
    number = 0
    with tempfile.TemporaryDirectory() as base:
        start = Path(base, "start")
        start.mkdir()
        good = make_good_checkpoint(start)
        while number < most and (only is not None or time.monotonic() < end):
            case = random_case(seed, number if only is None else only, good)
            folder = Path(base, "case")
            folder.mkdir()
            prepare(folder, case)
            place = folder
            how = ENVIRONMENTS[case.environment]
            if how.read_only:
                # Root may write everywhere but in some folders of the system's own.
                if os.geteuid() == 0 and os.path.isdir("/sys"):
                    place = Path("/sys")
                    argv = [
                        w.replace("names.txt", f"{folder}/names.txt") for w in case.argv
                    ]
                    case = case._replace(argv=argv)
                else:
                    folder.chmod(0o500)
            ready = Path(base, f"ready{number}")
            outcome = run_case(place, case, ready)
            folder.chmod(0o700)
            wrong = complaints(folder, case, outcome)
            if wrong:
                found.append(
                    f"--seed {seed} --only {number if only is None else only} "
                    f"({case.environment}): {case.module} "
                    f"{' '.join(map(ascii, case.argv))[:300]} -> {wrong}"
                )
            if only is not None:
                print(case._replace(data=case.data[:80], checkpoint=None))
                print(outcome)
                break
            shutil.rmtree(folder)
            ready.unlink(missing_ok=True)
            number += 1
    return number, found


def run_here(folder: Path, case: Case) -> Outcome:
    """Run a case in this process, with a Ctrl-C after a second."""
    name = f"{case.module}.__main__" if case.module == "microgpt" else case.module
    main = importlib.import_module(name).main
    out, err = io.StringIO(), io.StringIO()
    before = os.getcwd()
    argv, sys.argv = sys.argv, [case.module, *case.argv]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
    # Not at once, when Ctrl-C is not yet the command's own; and again, since the first
    # one waits for the end of the step.
    seconds = max(0.01, *case.presses) if case.presses else 1.0
    signal.setitimer(signal.ITIMER_REAL, seconds, 0.3)
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main()
    except BaseException:
        code = 99
        err.write(traceback.format_exc())
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        os.chdir(before)
        sys.argv = argv
    return Outcome(code, out.getvalue(), err.getvalue(), False)


def fuzz_here(seconds: float, seed: int) -> tuple[int, list[str]]:
    """Try cases in this process for so many seconds; return (how many, what was found).

    They are those of `fuzz` with the same seed, but all in the plain environment.
    """
    found = []
    end = time.monotonic() + seconds
    number = 0
    with tempfile.TemporaryDirectory() as base:
        start = Path(base, "start")
        start.mkdir()
        good = make_good_checkpoint(start)
        while time.monotonic() < end:
            case = random_case(seed, number, good)._replace(environment="plain")
            folder = Path(base, "case")
            folder.mkdir()
            prepare(folder, case)
            outcome = run_here(folder, case)
            wrong = complaints(folder, case, outcome)
            if wrong:
                words = " ".join(map(ascii, case.argv))[:300]
                found.append(f"case {number}: {case.module} {words} -> {wrong}")
                print(outcome.err[-2000:])
            shutil.rmtree(folder)
            number += 1
    return number, found


def main() -> int:
    """Fuzz, say what was found, and return 1 if that is anything."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="one case, and all that it said")
    parser.add_argument("--here", action="store_true", help="in this process")
    args = parser.parse_args()
    if args.here:
        n, found = fuzz_here(args.seconds, args.seed)
    else:
        n, found = fuzz(args.seconds, args.seed, args.only)
    print(*found, sep="\n")
    where = "this process" if args.here else f"{len(ENVIRONMENTS)} environments"
    print(f"{n} cases in {where}, {len(found)} complaints")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
