"""What pytest collects below tests/: the files named test_*.py, and nothing else.

Doctests are looked for in every file. But the helpers and scripts beside the tests have
none, and some of them cannot even be imported without PyTorch.
"""

from __future__ import annotations

import signal
from pathlib import Path


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out a Python file that is no file of tests; say nothing of others."""
    is_script = collection_path.suffix == ".py"
    if is_script and not collection_path.name.startswith("test_"):
        return True
    return None


def pytest_configure() -> None:
    """Take Ctrl-C as usual, and let the processes that the tests start take it.

    A shell that starts the tests in the background has them ignore it.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
