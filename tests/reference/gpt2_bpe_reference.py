"""The same byte-level BPE by Hugging Face's `tokenizers`, which GPT-2's users run.

    python tests/reference/gpt2_bpe_reference.py

learns a vocabulary of 400 tokens from the text below and writes it to tests/gpt2/data/
in the form of GPT-2's own files, vocab.json and merges.txt, with what that vocabulary
makes of tricky texts beside it, in bpe_figures.json. tests/gpt2/test_bpe.py compares
ours with all three. It needs `tokenizers`, which nothing else here does, and imports
nothing of examples/gpt2.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[1] / "gpt2" / "data"
FIGURES = FOLDER / "bpe_figures.json"

VOCAB_SIZE = 400
END_OF_TEXT = "<|endoftext|>"

# The first 256 ids are these bytes: first those that Latin-1 shows, then the others.
SHOWN = [*range(33, 127), *range(161, 173), *range(174, 256)]
BYTE_ORDER = [*SHOWN, *[byte for byte in range(256) if byte not in SHOWN]]

TEXT = """\
The cat sat on the mat, and the rat sat on the cat. Then the hat fell on them all.
She said that there is nothing in the house that the others wouldn't have thought of.
It's raining again; we'll stay in, they've gone out, I'm here, you're there, he'd know.
In the morning the water in the river was as still as the stones on the other shore.
A model reads the words that were written before, and it guesses the next one. When it
is wrong, it is told so, and it is a little less wrong the next time. That is learning.
The learning of the letters came first, then the learning of the words, then reading.
Nothing is learned in one evening, nothing is forgotten in one morning either.

## Counting

One hundred is 100, one thousand is 1000, and 2024 comes after 2023. 10, 20, 30, 40,
50, 100, 200, 300. In 1999 there were 365 days, in 2000 there were 366 of them.

### A little code

def count(words):
    counts = {}
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    return counts

for i in range(10):
    for j in range(10):
        if i != j:
            print(i, j, i + j, i * j)
        else:
            return self.counts[i][j]

## A café, a naïve answer

Le café est fermé, l'été est passé, et la fenêtre du café est restée ouverte.
Die Straße führt über die Brücke; die Tür ist offen, und die Mädchen grüßen höflich.
El niño comió piñas mañana y mañana. Où est-elle allée? À côté, déjà, peut-être.
"Where?" she said. "There," he said. "Where is there?" -- "Over there, ..." he said.
"""

# What a tokenizer may stumble over; in escapes, what cannot be told apart by its look.
TEXTS = [
    "",
    " ",
    "The cat sat on the mat.",
    "Hello, world! 42",
    # Endings after an apostrophe: small, straight ones, and wherever they stand.
    "it's don't we're they've I'm we'll he'd 's't're've'm'll'd",
    "IT'S DON'T WE'RE 'S 'Tis it\u2019s don\u2019t ''s '''t 'sat 'reed 'more 'llama",
    "x'é x'ß x'\u017f x'\uff53 o'\u0301 '\u017f '\uff11 s' 's 'l l",
    # Space in runs, at the ends, between, and of every kind.
    "  two   three    four     five",
    "end ",
    "end   ",
    "\n",
    "\n\n\n",
    " \n \n a\n b \n",
    "\ta\t\tb \t c\t ",
    "a\r\nb\r\n\r\n  c\r",
    "   ...   ---   !  ?",
    "1  2   3\n4\t5",
    "a\x0bb\x0cc \x0b\x0c d",
    "a\xa0b \xa0c\xa0 d\xa0\xa0e",
    "a\x85b \x85c\x85 d\x85\x85e",
    "a\u3000b \u3000c\u3000 d\u3000\u3000",
    "a\u2003b\u2009c\u200ad\u2028e\u2029f\u202fg\u205fh\u1680i",
    # No space, whatever its name, or Python, says.
    "a\u200bb \u200b c\u200b \u200c\u200d\u2060\ufeff\u180e",
    "a\x1cb \x1d c\x1e\x1e d\x1f",
    "\x1c \x1d  \x1e\t\x1f\n",
    "\x00",
    "a\x00b \x00 c\x00\x00 1\x002",
    "\x01\x02\x03\x07\x08\x1b[31mred\x1b[0m\x7f\x80\x9f\xad",
    # Numbers of all kinds, and letters that look like some.
    "x² y³ ½ ¼ 1½ Ⅷ ⅷ ④ ⑩ ㊿ 10² 5km² ∞ 一二三",
    "\u0661\u0662\u0663 ४५६ ๗๘๙ \uff11\uff12\uff13 \U0001d7d9\U0001d7da 1\u06623",
    "3.14 1,000,000 -5 1e10 0x1F 50% $9.99 #1 12:30",
    # Signs.
    "snake_case __init__ _a_ a_1 1_a _ __ ___",
    "a-b\u2014c\u2013d…e“f”g«h»i¿j¡k",
    "# ## ### #### ##### C# ##a",
    "€100 £5 ¥1000 ©®™ §1 °C \xb5m ªº",
    "<|endoftext|>",
    "a<|endoftext|>b <|endoftext|> <|endoftext|><|endoftext|>",
    # Accents, as one character and as two.
    "café naïve Straße für Mädchen été",
    "cafe\u0301 nai\u0308ve e\u0301te\u0301 \u0301 a \u0301b",
    "Z\u0335\u0321a\u0334\u0315l\u0336\u0322g\u0337\u0327o\u0338\u0328",
    "\u0130stanbul \u0131I \u01c5 \ufb01 \u1e9e \u212b A\u030a",
    # Other scripts.
    "Привет, мир! Ещё раз.",
    "Γειά σου, κόσμε; \u03ac\u1f71",
    "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd 123 \u05e9\u05b8\u05c1\u05dc",
    "\u0645\u0631\u062d\u0628\u0627 \u0661\u0662 \u0645\u064f\u062d\u064e",
    "\u202babc\u202c\u200f \u2067\u05d0\u2069",
    "नमस्ते दुनिया क्षत्रिय",
    "สวัสดีชาวโลก ภาษาไทย",
    "你好，世界。 我们 去 北京 吧！",
    "こんにちは世界 カタカナ \uff76\uff80\uff76\uff85 々〆",
    "안녕하세요 세계 \u1112\u1161\u11ab",
    "\U00020000\U00020001 \U0001d518\U0001d52b \U0010ffff\ue000\ufffd\ufffe",
    # Emoji, which are often several characters.
    "🙂🙃 a🙂b 🙂 1🙂",
    "👨\u200d👩\u200d👧\u200d👦 👩\U0001f3fd\u200d💻 👍\U0001f3ff 🏳\ufe0f\u200d🌈",
    "\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7 1\ufe0f\u20e3 ❤\ufe0f ☺",
    # Code.
    "def f(x):\n    if x != 1:\n        return f(x - 1)\n\n\nprint(f(10))  # no\n",
    "for (int i = 0; i < n; ++i) { s += a[i]->b::c; }\r\n",
    '{"key": [1, 2.5, null], "ключ": "\\u00e9\\n"}',
    "https://example.org/a?b=c&d=%20e#f user@example.org C:\\dir\\file",
    # Long ones.
    "the" * 100,
    "a" * 47,
    "donaudampfschifffahrtsgesellschaftskapitänswitwe" * 4,
    " " * 99 + "x" + " " * 50,
    "=" * 80,
    TEXT,
]

# Bytes of which some are no whole character.
BYTES = [
    b"caf\xc3",
    b"\xa9 without its beginning",
    b"\xf0\x9f\x99",
    b"\xf0\x9f",
    b"a\xf0\x9fb",
    b"\xe2\x82\xe2\x82\xac",
    b"\x80\x81\xfe\xff",
    b"\xc0\xaf \xe0\x80\xaf",
    b"\xf4\x90\x80\x80",
    b"\xf5\x80\x80\x80 \xff",
    b"\xc3\xa9 \xc3( \xe2(\xa1",
]

# Texts to learn from until nothing is left to merge.
LEARN = [
    "a aa aaa aaaa aaaaa aaaaaa aaaaaaa",
    "banana bananas ananas nana",
    "abc abc bc bcd xab xabc ab ab cd",
    "abq abq bcr bcr abc zbc yabc aabc bcbc abcabc",
    "low lower lowest slow slower newest widest",
    "é è ê ë 🙂 🙃 日本 日光 本日\n\n\n   \t\t",
    "a b c",
    "",
]


def byte_level() -> Any:
    """Return GPT-2's way to part text, by `tokenizers`."""
    from tokenizers import pre_tokenizers

    return pre_tokenizers.ByteLevel(add_prefix_space=False)


def learn(text: str, vocab_size: int) -> tuple[dict[str, int], list[list[str]]]:
    """Return (vocabulary, merges), as `tokenizers` learns them from text."""
    from tokenizers import Tokenizer, models, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = byte_level()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - 1,
        initial_alphabet=byte_level().alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([text], trainer)
    model = json.loads(tokenizer.to_str())["model"]
    vocab = dict(sorted(model["vocab"].items(), key=lambda item: item[1]))
    # As in GPT-2's file, the token that ends a text comes after all others.
    vocab[END_OF_TEXT] = len(vocab)
    return vocab, model["merges"]


def figures(vocab: dict[str, int], merges: list[list[str]]) -> dict[str, list]:
    """Return what `tokenizers` makes of all of the above with this vocabulary."""
    from tokenizers import Tokenizer, decoders, models

    model = models.BPE(vocab=vocab, merges=[tuple(merge) for merge in merges])
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = byte_level()
    tokenizer.decoder = decoders.ByteLevel()
    encoded = []
    for text in TEXTS:
        spans = [span for _, span in byte_level().pre_tokenize_str(text)]
        pieces = [text[start:end] for start, end in spans]
        ids = tokenizer.encode(text).ids
        encoded.append({"text": text, "pieces": pieces, "ids": ids})
    decoded = []
    for content in BYTES:
        ids = [BYTE_ORDER.index(byte) for byte in content]
        decoded.append({"ids": ids, "text": tokenizer.decode(ids)})
    learnt = []
    for text in LEARN:
        text_vocab, text_merges = learn(text, 1000)
        products = list(text_vocab)[256:]
        learnt.append({"text": text, "merges": text_merges, "products": products})
    return {"encoded": encoded, "decoded": decoded, "learnt": learnt}


if __name__ == "__main__":
    vocab, merges = learn(TEXT, VOCAB_SIZE)
    FOLDER.mkdir(parents=True, exist_ok=True)
    # In \u escapes, as in GPT-2's file: "Ġthe" is written "\u0120the".
    (FOLDER / "vocab.json").write_text(json.dumps(vocab), encoding="ascii")
    lines = ["#version: 0.2", *[" ".join(merge) for merge in merges]]
    (FOLDER / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    # What belongs to one text on each line.
    text = json.dumps(figures(vocab, merges)).replace("}, {", "},\n{")
    FIGURES.write_text(text + "\n", encoding="ascii")
