"""The map in examples/README.md lists every chapter, with the loss that it prints."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
COURSE = EXAMPLES / "course"
README = (EXAMPLES / "README.md").read_text(encoding="utf-8")
ROWS = re.findall(
    r"^\| \[.*\]\(course/(ch\w+)\.py\) \|.*\| (\S+) \|$", README, re.MULTILINE
)


def test_the_map_has_a_row_for_each_chapter_in_their_order():
    chapters = [
        path.stem
        for path in sorted(COURSE.glob("ch*.py"))
        if not path.stem.endswith("_solution")
    ]
    assert [chapter for chapter, _ in ROWS] == chapters


def test_each_row_has_the_loss_that_its_chapter_prints():
    for chapter, cell in ROWS:
        printed = (COURSE / f"{chapter}.txt").read_text(encoding="utf-8")
        losses = re.findall(r"^loss per character: (\d\.\d{3})", printed, re.MULTILINE)
        assert cell == (losses[-1] if losses else "–"), chapter
    assert sum([cell != "–" for _, cell in ROWS]) >= 8


def test_the_script_finds_the_table_up_to_date():
    done = subprocess.run(
        [sys.executable, str(COURSE / "path.py"), "--check"], capture_output=True
    )
    assert done.returncode == 0, done.stderr


def test_every_file_that_the_map_links_to_is_there():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert len(links) > len(ROWS)
    for link in links:
        assert (EXAMPLES / link).exists(), link
