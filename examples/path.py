"""Run every chapter of the course, and write the loss each reaches into README.md.

    python examples/path.py

The table's words are written by hand; its last column is written here.
"""

import os
import re
import subprocess
import sys
import tempfile

from course import replace_file

EXAMPLES = os.path.dirname(os.path.abspath(__file__))
README = os.path.join(EXAMPLES, "README.md")
# A row: | [3. The chain rule](ch03_chain_rule.py) | question | what it adds | loss |
ROW = re.compile(r"^\| \[.*?\]\((ch\d\d_\w+\.py)\) \|.*\| *(\S+) \|$", re.MULTILINE)


def loss_printed(output: str) -> str:
    """Return the last "loss per character" of a chapter's output, or a dash."""
    found = re.findall(r"^loss per character: (\d+\.\d+)", output, re.MULTILINE)
    return found[-1] if found else "–"


def run_chapter(name: str) -> str:
    """Return what a chapter prints, run in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        result = subprocess.run(
            [sys.executable, os.path.join(EXAMPLES, name)],
            cwd=folder,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        )
    if result.returncode:
        sys.exit(f"error: {name} failed, and README.md was left as it was")
    return result.stdout


def main() -> None:
    """Run the chapters one after the other, and replace the table's last column."""
    with open(README, encoding="utf-8") as file:
        text = file.read()
    rows = list(ROW.finditer(text))
    new_text, end = "", 0
    for n, row in enumerate(rows, start=1):
        print(f"[{n}/{len(rows)}] {row[1]} … ", end="", flush=True)
        loss = loss_printed(run_chapter(row[1]))
        print(loss)
        new_text += text[end : row.start(2)] + loss
        end = row.end(2)
    replace_file(README, new_text + text[end:])
    print("written: the last column of the table in README.md")


if __name__ == "__main__":
    main()
