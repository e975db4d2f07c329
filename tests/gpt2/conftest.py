"""Where the tests of GPT-2 find its files: first on the path, whatever is installed."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
for folder in (ROOT / "tests" / "reference", HERE, ROOT / "examples" / "gpt2"):
    sys.path.insert(0, str(folder))
