"""Where the tests of the PyTorch examples find them."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# At the end: a file here may be called like one in another folder of examples.
for folder in ("gpt2", "pytorch", "course"):
    path = str(ROOT / "examples" / folder)
    if path not in sys.path:
        sys.path.append(path)
