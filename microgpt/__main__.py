"""`python -m microgpt` names the commands, and what each is for."""

import sys

from microgpt import __version__
from microgpt.tools.terminal import OneLineParser, run_command, say

COMMANDS = """\
microgpt: a GPT in plain Python, to run, to read, to look into and to build again.

  python -m microgpt.train     train a model on a file of names, and see what it writes
  python -m microgpt.sample    write with a model that was saved by the first command

Each explains its flags with --help."""


def main() -> int:
    """Run `python -m microgpt`; return its exit code."""
    return run_command(_command)


def _command() -> int:
    parser = OneLineParser(prog="python -m microgpt", add_help=False)
    parser.add_argument("--help", "-h", action="store_true")
    parser.add_argument("--version", action="store_true")
    args = parser.parse_args()
    say(f"microgpt {__version__}" if args.version else COMMANDS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
