"""The guide's modules are imported as learn.py imports them: by `learning.…`."""

import sys

from tests.helpers import ROOT

if str(ROOT / "examples") not in sys.path:
    sys.path.append(str(ROOT / "examples"))
