"""The command. The loop you came for is in training.py."""

import os
import sys

if not __package__:  # started as a file, say by an editor's Run button
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path = [os.path.dirname(here), *[path for path in sys.path if path != here]]

from microgpt.tools.train_command import main

if __name__ == "__main__":
    sys.exit(main())
