"""The guide through the course: predict, run, compare; and build the package yourself.

    python examples/learn.py            where am I, what is next, how long is it?
    python examples/learn.py 8          chapter 8: your predictions first, then the run
    python examples/learn.py A1         the same for a chapter of the appendix
    python examples/learn.py 8 --no-questions
    python examples/learn.py build      write my/microgpt/, with 18 pieces left to you
    python examples/learn.py check      judge the next piece that is not solved yet
    python examples/learn.py train      train the default model with your own package
    python examples/learn.py hunt 3     the bug hunt, bug 3

Its inside is the folder learning/: `course_map.py` knows the chapters, `progress.py`
what you have done, `questions.py` asks, and `chapter.py` runs a chapter in between;
`pieces.py` lists what you write yourself, and `build.py` cuts it out of the package;
`checking.py`, `judge.py`, `inside.py`, `trial.py` and the files cases… look at what
you write, and `milestones.py` and `at_work.py` put it to work.
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
# microgpt stands one folder above, and need not be installed.
sys.path[:0] = [os.path.dirname(HERE), HERE]

from learning.command import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
