"""Importing this first turns a missing PyTorch into one line, and exit code 2.

Every file of this folder begins with it, before `import torch`. Without it, somebody
who tries a file before installing anything would meet a traceback. It also lets the
files find the package `microgpt` two folders further up, and the reader of weight files
in `examples/gpt2`, so nothing of ours has to be installed.
"""

from __future__ import annotations

import os
import sys
import warnings

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
for folder in (os.path.join(ROOT, "examples", "gpt2"), ROOT):
    if folder not in sys.path:
        # After the folder of the file that was started, which stands first.
        sys.path.insert(1, folder)

INSTALL = "python -m pip install torch==2.13.0"

# PyTorch does without NumPy, and so do these files, but it says so each time.
warnings.filterwarnings("ignore", message="Failed to initialize NumPy")

try:
    import torch  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "torch":  # PyTorch is there, and something that it needs is not
        raise
    sys.stderr.write(f"error: this needs PyTorch; install it with: {INSTALL}\n")
    raise SystemExit(2) from None
