"""GPT-2's tokenizer: the splits, the merges, what is learnt, and what cannot be read.

data/bpe_figures.json was written with tokenizers 0.23.3, by

    python tests/reference/gpt2_bpe_reference.py

so that these tests need no `tokenizers`. Where there is one, a test computes the
figures anew, and where there is `regex`, GPT-2's own pattern is compared as well.
"""

from __future__ import annotations

import doctest
import itertools
import json
import os
import random
import subprocess
import sys
import time
import unicodedata

import bpe as bpe_module
import gpt2_bpe_reference as reference
import plain_bpe
import pytest
import tokens as tokens_module
from bpe import (
    BPE,
    PIECE,
    SYMBOLS,
    merge_all,
    merge_pair,
    merge_plainly,
    split,
    stand_in,
    to_symbols,
    train_bpe,
)
from gpt2_support import ROOT, assert_one_line_error, call, write_names
from tokens import main
from vocabulary import read_tokenizer

pytestmark = pytest.mark.slow

GPT2 = ROOT / "examples" / "gpt2"
FOLDER = reference.FOLDER
END = "<|endoftext|>"


def recorded(part):
    return json.loads(reference.FIGURES.read_text(encoding="ascii"))[part]


def small():
    """Return the tokenizer of 400 tokens that `tokenizers` has learnt."""
    return read_tokenizer(str(FOLDER))


def test_the_doctests_hold():
    result = doctest.testmod(bpe_module)
    assert result.attempted >= 9
    assert result.failed == 0


# Splits. Ids hide most mistakes in them, so the pieces themselves are compared.

GPT2_PATTERN = (
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
)
ENDINGS = ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d")
# Unicode's White_Space, as PropList.txt lists it.
WHITE_SPACE = frozenset(
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008"
    "\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)


def kind(char):
    category = unicodedata.category(char)
    if category[0] in "LN":
        return category[0]
    return "space" if char in WHITE_SPACE else "sign"


def run_end(kinds, start, wanted):
    """Return where the run of one kind that begins at start ends; start, if none."""
    end = start
    while end < len(kinds) and kinds[end] == wanted:
        end += 1
    return end


def piece_end(text, kinds, start):
    """Return where the piece ends: each part of GPT2_PATTERN in turn, by hand."""
    for ending in ENDINGS:
        if text.startswith(ending, start):
            return start + len(ending)
    for wanted in ("L", "N", "sign"):
        # A space that none of these follows is none of them itself: try no more.
        first = start + 1 if text[start] == " " else start
        end = run_end(kinds, first, wanted)
        if end > first:
            return end
    end = run_end(kinds, start, "space")
    if end == len(text):
        return end  # \s+(?!\S): nothing follows
    if end - start > 1:
        return end - 1  # \s+(?!\S): the last one, given back, is what follows
    return end  # \s+


def split_by_hand(text):
    kinds = [kind(char) for char in text]
    pieces = []
    start = 0
    while start < len(text):
        end = piece_end(text, kinds, start)
        pieces.append(text[start:end])
        start = end
    return pieces


def texts_of_all_characters(step=4096):
    """Yield texts that hold all 1,114,112 code points, each after one of 7 others."""
    before = ["", "a", "1", ".", " ", "'", "\n"]
    for start in range(0, sys.maxunicode + 1, step):
        yield "".join([before[i % 7] + chr(i) for i in range(start, start + step)])


def random_texts(n, seed):
    """Yield texts with many of what a splitter can stumble over, surrogates as well."""
    rng = random.Random(seed)
    tricky = [
        *"'''''  \n\t_-.,1234aAzZ",
        *ENDINGS,
        *"sreldtmv",
        "'S",
        "’s",
        *WHITE_SPACE,
    ]
    tricky += [*"éß²½Ⅷ٣日本שé🙂👩", "\u0301", "\u200d", "\ufe0f", "\x1c", "\x1f", "\0"]
    for _ in range(n):
        yield "".join(
            rng.choice(tricky) if rng.random() < 0.9 else chr(rng.randrange(0x110000))
            for _ in range(rng.randrange(60))
        )


def test_every_character_is_stood_in_for_by_one_of_its_kind():
    stand_ins = {"L": "a", "N": "0", "space": "\n", "sign": "."}
    counts = dict.fromkeys(stand_ins, 0)
    for code_point in range(sys.maxunicode + 1):
        char = chr(code_point)
        char_kind = kind(char)
        expected = char if code_point < 128 else stand_ins[char_kind]
        assert stand_in(char) == expected, hex(code_point)
        counts[char_kind] += 1
    assert counts["space"] == 25
    assert counts["L"] > 130_000
    assert counts["N"] > 1_700


def test_the_pattern_sees_each_ascii_character_as_its_kind():
    # After a full stop a sign would go on the piece, after a letter a letter, …
    for char in map(chr, range(128)):
        wanted = {"L": "a", "N": "1", "sign": ".", "space": "\n"}[kind(char)]
        for other in "a1.\n":
            together = PIECE.match(other + char).end() == 2
            assert together == (other == wanted), (other, char)


def test_all_characters_are_split_as_by_hand():
    n = 0
    for text in texts_of_all_characters():
        pieces = split(text)
        assert pieces == split_by_hand(text)
        assert "".join(pieces) == text
        n += len(text)
    assert n > 2_000_000


def test_all_short_texts_are_split_as_by_hand():
    for length in range(6):
        for chars in itertools.product("'sl1. \né", repeat=length):
            text = "".join(chars)
            assert split(text) == split_by_hand(text), text


def test_random_texts_are_split_as_by_hand():
    for text in random_texts(3000, seed=1):
        assert split(text) == split_by_hand(text), text


def test_texts_are_split_as_regex_splits_them():
    regex = pytest.importorskip("regex")
    find = regex.compile(GPT2_PATTERN).findall
    for text in itertools.chain(texts_of_all_characters(), random_texts(3000, seed=2)):
        # `regex` may know characters that Python's unicodedata does not know yet.
        known = "".join([char for char in text if unicodedata.category(char) != "Cn"])
        assert split(known) == find(known), known


@pytest.mark.parametrize(
    "text, pieces",
    [
        ("", []),
        ("don't", ["don", "'t"]),
        ("DON'T", ["DON", "'", "T"]),
        ("'sun", ["'s", "un"]),
        ("a  b", ["a", " ", " b"]),
        ("a \n b", ["a", " \n", " b"]),
        ("a\n\nb", ["a", "\n", "\n", "b"]),
        ("a  ", ["a", "  "]),
        ("x_1", ["x", "_", "1"]),
        ("5km²", ["5", "km", "²"]),
        ("a\x1cb", ["a", "\x1c", "b"]),
        ("a \u3000b", ["a", " ", "\u3000", "b"]),
    ],
)
def test_small_texts_are_split_as_the_pattern_says(text, pieces):
    assert split(text) == split_by_hand(text) == pieces


# Bytes, merges and ids.


def test_the_symbols_of_bytes_are_those_of_gpt_2():
    # Ġ, Ċ and Ĭ, which one meets in vocab.json, are space, line feed and 138.
    assert "".join(SYMBOLS[33:127]) == "".join(map(chr, range(33, 127)))
    assert SYMBOLS[0] == "Ā"
    assert (SYMBOLS[32], SYMBOLS[10], SYMBOLS[138]) == ("Ġ", "Ċ", "Ĭ")
    assert (SYMBOLS[127], SYMBOLS[160], SYMBOLS[173]) == ("ġ", "ł", "Ń")
    assert len(set(SYMBOLS)) == 256
    assert not any(char.isspace() or not char.isprintable() for char in SYMBOLS)


@pytest.mark.parametrize("i", range(len(reference.TEXTS)))
def test_pieces_and_ids_are_those_of_tokenizers(i):
    figures = recorded("encoded")[i]
    assert figures["text"] == reference.TEXTS[i]
    assert split(figures["text"]) == figures["pieces"]
    bpe = small()
    assert bpe.encode(figures["text"]) == figures["ids"]
    assert bpe.decode(figures["ids"]) == figures["text"]


@pytest.mark.parametrize("figures", recorded("decoded"), ids=lambda f: str(f["ids"]))
def test_bytes_that_are_no_text_become_the_replacement_character(figures):
    assert "\ufffd" in figures["text"]
    assert small().decode(figures["ids"]) == figures["text"]


def test_the_recorded_figures_use_most_of_the_vocabulary():
    used = {token_id for figures in recorded("encoded") for token_id in figures["ids"]}
    assert len([token_id for token_id in used if token_id >= 256]) > 120


def test_the_recorded_figures_are_what_tokenizers_computes_today():
    pytest.importorskip("tokenizers")
    vocab, merges = reference.learn(reference.TEXT, reference.VOCAB_SIZE)
    bpe = small()
    assert vocab == bpe.vocab
    assert [tuple(merge) for merge in merges] == bpe.merges
    figures = reference.figures(vocab, merges)
    for part in ("encoded", "decoded", "learnt"):
        assert figures[part] == recorded(part)


def names_of(bpe):
    """Return the tokens in the order of their ids, as vocab.json writes them."""
    return sorted(bpe.vocab, key=bpe.vocab.get)


def byte_vocab(*tokens):
    """Return a vocabulary of the bytes and these tokens."""
    return {token: i for i, token in enumerate([*sorted(SYMBOLS), *tokens])}


@pytest.mark.parametrize(
    "merges, text, tokens",
    [
        # What was learnt first goes first, wherever it stands: not the leftmost pair …
        ("b c, a b", "abc", "a bc"),
        ("a b, b c", "abc", "ab c"),
        # … nor the longest token that the text begins with.
        ("b c, a b, ab c", "abc", "a bc"),
        # A pair that overlaps with itself is taken from the left.
        ("a a", "aaa", "aa a"),
        ("a a", "aaaaa", "aa aa a"),
        ("a a, aa aa", "aaaaaaa", "aaaa aa a"),
        # All places at once, before what was learnt later.
        ("a b, ab ab", "ababab", "abab ab"),
        # Never from piece to piece.
        ("a b, a Ġ, Ġ b", "a b ab", "a Ġb Ġ ab"),
    ],
)
def test_merges_are_made_in_the_order_in_which_they_were_learnt(merges, text, tokens):
    pairs = [tuple(merge.split(" ")) for merge in merges.split(", ")]
    bpe = BPE(byte_vocab(*["".join(pair) for pair in pairs]), pairs)
    ids = bpe.encode(text)
    assert [names_of(bpe)[token_id] for token_id in ids] == tokens.split(" ")
    assert bpe.decode(ids) == text


def test_any_text_comes_back_whole():
    bpe = small()
    sample = [*range(0, 0x110000, 61), *range(0xD800, 0xE000)]
    for start in range(0, len(sample), 50):
        text = "".join(map(chr, sample[start : start + 50]))
        assert bpe.decode(bpe.encode(text)) == text
    for text in random_texts(1000, seed=3):
        assert bpe.decode(bpe.encode(text)) == text


@pytest.mark.parametrize(
    "text", ["\ud83d", "\ude42\ud83d", "\ud83d\ude42", "a\udcff b", "é\ud800"]
)
def test_half_a_utf_16_pair_comes_back_as_it_was(text):
    assert small().decode(small().encode(text)) == text


def test_decode_bytes_leaves_a_character_cut_where_the_ids_cut_it():
    bpe = small()
    ids = bpe.encode("a🙂")
    assert bpe.decode_bytes(ids) == b"a\xf0\x9f\x99\x82"
    parts = [bpe.decode_bytes([token_id]) for token_id in ids]
    assert parts == [b"a", b"\xf0", b"\x9f", b"\x99", b"\x82"]
    assert bpe.decode(ids[:3]) == "a\ufffd"


def test_the_end_of_text_is_written_but_never_read():
    bpe = small()
    assert bpe.end_of_text == bpe.vocab_size - 1 == 399
    assert bpe.decode([bpe.vocab["The"], 399]) == "The" + END
    assert 399 not in bpe.encode(END)
    assert bpe.decode(bpe.encode(END)) == END
    assert BPE(byte_vocab(), []).end_of_text is None


@pytest.mark.parametrize("token_id", [-1, 400, 50256])
def test_an_id_that_no_token_has_is_named_with_those_that_there_are(token_id):
    for decode in (small().decode, small().decode_bytes):
        with pytest.raises(
            ValueError, match=f"no token has the id {token_id}: .*400.* id is 399"
        ):
            decode([1, token_id])


def test_a_word_is_merged_once_however_often_it_stands_in_the_text(monkeypatch):
    merged = []

    def counted(tokens, ranks):
        merged.append(tokens)
        return merge_all(tokens, ranks)

    monkeypatch.setattr(bpe_module, "merge_all", counted)
    bpe = small()
    once = bpe.encode(" there")
    assert bpe.encode(" there" * 1000) == once * 1000
    assert len(merged) == 1
    # What is given out is not what is kept.
    once.clear()
    assert bpe.encode(" there") == [bpe.vocab["Ġthere"]]


def test_the_fast_encoder_makes_the_tokens_of_the_plain_one():
    rng = random.Random(11)
    bpe = small()
    for alphabet in ("ab", "the ", "etaoinshrdlu", "é日🙂a"):
        for _ in range(150):
            word = "".join(rng.choices(alphabet, k=rng.randrange(1, 40)))
            tokens = to_symbols(word)
            assert merge_all(tokens, bpe.ranks) == merge_plainly(tokens, bpe.ranks)


def test_trying_each_merge_once_in_order_is_the_same():
    # As `plain_bpe.py` does it.
    rng = random.Random(14)
    bpe = small()
    assert len({"".join(pair) for pair in bpe.merges}) == len(bpe.merges)
    for _ in range(300):
        word = "".join(rng.choices("etaoin theéc", k=rng.randrange(1, 40)))
        tokens = to_symbols(word)
        for pair in bpe.merges:
            tokens = merge_pair(tokens, pair)
        assert merge_all(to_symbols(word), bpe.ranks) == tokens


def test_any_merges_that_make_each_token_once_are_made_as_in_the_plain_way():
    # The tables that `vocabulary.py` lets pass: a token's parts are there before it.
    rng = random.Random(12)
    for _ in range(2000):
        tokens = ["a", "b", "c"]
        ranks = {}
        for _ in range(rng.randrange(1, 12)):
            pair = (rng.choice(tokens), rng.choice(tokens))
            if "".join(pair) not in tokens:
                ranks[pair] = len(ranks)
                tokens.append("".join(pair))
        word = rng.choices("abc", k=rng.randrange(1, 40))
        expected = merge_plainly(word, ranks)
        assert merge_all(word, ranks) == expected
        tokens = word
        for pair in ranks:
            tokens = merge_pair(tokens, pair)
        assert tokens == expected


def test_with_a_token_made_by_two_merges_the_ways_could_differ():
    # Which is why `vocabulary.py` refuses that. "abc" is made by rank 2, and by rank 4,
    # after which rank 3 is a lower one.
    pairs = [("a", "b"), ("b", "c"), ("a", "bc"), ("abc", "ab"), ("ab", "c")]
    ranks = {pair: rank for rank, pair in enumerate(pairs)}
    assert merge_plainly([*"abcabc"], ranks) == ["abc", "abc"]
    assert merge_all([*"abcabc"], ranks) == ["abcab", "c"]


def test_a_run_of_64000_letters_takes_no_second():
    # The plain way takes four times as long for twice as many; 16,000 took 1.7 s.
    word = "".join(random.Random(13).choices("etaoinshrdlu", k=64_000))
    bpe = small()
    started = time.process_time()
    ids = bpe.encode(word)
    assert time.process_time() - started < 5
    assert bpe.decode(ids) == word


def test_the_plain_lines_make_the_same_tokens_within_a_word():
    # Without splits, and so compared on words of a text, joined by nothing.
    bpe = train_bpe("the other there", 1000)
    merges = [tuple(map(bpe_module.to_bytes, pair)) for pair in bpe.merges]
    for word in ("the", "there", "hetheot", "oooother"):
        plain = plain_bpe.encode(word, merges)
        assert plain == [bpe.decode_bytes([i]) for i in bpe.encode(word)]
        assert plain_bpe.decode(plain) == word


def test_the_plain_lines_learn_what_is_found_by_hand():
    # "aab aab" as bytes: a+a twice, a+b twice, b+space once, space+a once. a+a comes
    # first. Then aa+b twice, which makes "aab"; then aab+space, and so on.
    assert plain_bpe.learn(["aab aab"], 2) == [(b"a", b"a"), (b"aa", b"b")]
    assert plain_bpe.learn(["aab aab"], 99)[2:] == [(b"aab", b" "), (b"aab ", b"aab")]
    assert plain_bpe.learn([""], 5) == plain_bpe.learn(["a"], 5) == []


def test_a_merge_of_the_plain_lines_does_not_cross_from_one_text_into_the_next():
    # As one text, "ab" + "ab" has a+b twice and b+a once, and then ab+ab.
    assert plain_bpe.learn(["abab"], 99) == [(b"a", b"b"), (b"ab", b"ab")]
    assert plain_bpe.learn(["ab", "ab"], 99) == [(b"a", b"b")]


def test_one_str_in_place_of_the_texts_is_refused():
    with pytest.raises(ValueError, match="put it into a list"):
        plain_bpe.learn("aab aab", 2)


def test_bytes_that_are_no_text_are_tokens_too():
    bpe = small()
    for data in (b"caf\xe9", b"\xff\xfe", "the café".encode(), b"\xed\xa0\x80"):
        assert bpe.decode_bytes(bpe.encode_bytes(data)) == data
    assert bpe.encode_bytes("the café".encode()) == bpe.encode("the café")


@pytest.mark.parametrize("letters", ["a", "the", "etaoinshrdlu", "日本"])
def test_a_word_of_20000_letters_is_no_trouble(letters):
    bpe = small()
    word = "".join(random.Random(1).choices(letters, k=20_000))
    assert bpe.decode(bpe.encode(word)) == word


# Learning.


def test_the_merges_learnt_from_a_small_text_are_those_found_by_hand():
    # Pieces: "aab" once, " aab" twice, " ab" once. Side by side stand
    #   a+b  1 + 2 + 1 = 4      a+a  1 + 2 = 3      Ġ+a  2 + 1 = 3
    # so a+b goes first. That leaves  a ab   Ġ a ab   Ġ ab, in which
    #   a+ab 1 + 2 = 3          Ġ+a  2              Ġ+ab 1
    # and a+ab goes next. That leaves  aab   Ġ aab   Ġ ab:  Ġ+aab 2, Ġ+ab 1.
    shown = []
    bpe = train_bpe("aab aab aab ab", 1000, lambda *merge: shown.append(merge))
    assert shown == [
        (("a", "b"), 4),
        (("a", "ab"), 3),
        (("Ġ", "aab"), 2),
        (("Ġ", "ab"), 1),
    ]
    assert bpe.merges == [pair for pair, _ in shown]
    # Then every piece is one token, and learning stops, far from 1,000.
    assert names_of(bpe)[256:] == ["ab", "aab", "Ġaab", "Ġab", END]
    assert len(bpe.vocab) == 261
    assert bpe.end_of_text == 260
    # Ġ a a b a b  ->  Ġ a ab ab  ->  Ġ aab ab  ->  Ġaab ab
    assert bpe.encode(" aabab") == [258, 256]


def test_of_equally_frequent_pairs_the_one_with_the_lower_ids_is_merged():
    # "ba" and " ca": b+a, c+a and Ġ+c stand there once. Ids: a 64, b 65, c 66, Ġ 220.
    assert train_bpe("ba ca", 1000).merges == [("b", "a"), ("c", "a"), ("Ġ", "ca")]
    assert train_bpe("ca ba", 1000).merges == [("b", "a"), ("c", "a"), ("Ġ", "ba")]
    # The same left token: the right one decides.
    assert train_bpe("ac\nab", 1000).merges == [("a", "b"), ("a", "c")]


@pytest.mark.parametrize("figures", recorded("learnt"), ids=lambda f: f["text"][:12])
def test_what_is_learnt_is_what_tokenizers_learns(figures):
    bpe = train_bpe(figures["text"], 1000)
    assert bpe.merges == [tuple(merge) for merge in figures["merges"]]
    assert names_of(bpe)[256:] == figures["products"]
    # Everything that could be merged was: a piece is a token.
    assert len(bpe.encode(figures["text"])) == len(split(figures["text"]))


def test_the_recorded_vocabulary_is_learnt_from_the_text_it_was_learnt_from():
    # Most of its 143 merges are chosen among equally frequent pairs.
    bpe = train_bpe(reference.TEXT, reference.VOCAB_SIZE)
    assert bpe.merges == small().merges
    assert bpe.vocab == small().vocab


def test_what_is_learnt_does_not_depend_on_the_hash_seed():
    program = f"import bpe; print(bpe.train_bpe({'abcd bcda cdab ' * 3!r}, 270).merges)"
    printed = set()
    for seed in "012":
        env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(GPT2)}
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, env=env, capture_output=True, check=True)
        printed.add(done.stdout)
    assert len(printed) == 1


def test_a_vocabulary_of_257_is_the_bytes_and_the_end():
    bpe = train_bpe("abab", 257)
    assert (bpe.merges, bpe.vocab_size, bpe.end_of_text) == ([], 257, 256)
    assert names_of(bpe)[:256] == [SYMBOLS[byte] for byte in reference.BYTE_ORDER]
    assert bpe.encode("ab") == [64, 65]


@pytest.mark.parametrize("vocab_size", [256, 1, 0, -5])
def test_a_vocabulary_too_small_for_the_bytes_is_an_error(vocab_size):
    with pytest.raises(ValueError, match=f"vocab_size is {vocab_size}, but .* 257 or"):
        train_bpe("abab", vocab_size)


# Reading GPT-2's files.


def lay_out(folder, vocab=None, merges="#version: 0.2\na b\n"):
    """Write a tokenizer whose one merge is a + b, but for what is given."""
    if vocab is None:
        vocab = byte_vocab("ab", END)
    if not isinstance(vocab, (str, bytes)):
        vocab = json.dumps(vocab)
    for name, content in (("vocab.json", vocab), ("merges.txt", merges)):
        if isinstance(content, str):
            content = content.encode("utf-8")
        (folder / name).write_bytes(content)
    return str(folder)


@pytest.mark.parametrize(
    "merges",
    [
        "#version: 0.2\na b\n",
        "#version: 0.2\na b",
        "a b\n",
        "#version: 0.2\r\na b\r\n",
    ],
)
def test_the_version_and_the_last_line_feed_may_be_missing(tmp_path, merges):
    bpe = read_tokenizer(lay_out(tmp_path, merges=merges))
    assert bpe.merges == [("a", "b")]
    assert bpe.encode("abab") == [256, 256]
    assert bpe.end_of_text == 257


def test_a_merge_of_number_signs_is_no_comment(tmp_path):
    assert ("#", "#") in small().merges
    vocab = byte_vocab("##")
    text = "#version: 0.2\n# #\n"
    assert read_tokenizer(lay_out(tmp_path, vocab, text)).merges == [("#", "#")]


def test_the_order_of_the_vocabulary_does_not_matter(tmp_path):
    vocab = byte_vocab("ab", END)
    backwards = dict(reversed(list(vocab.items())))
    bpe = read_tokenizer(lay_out(tmp_path, backwards))
    assert names_of(bpe) == list(vocab)


def without(vocab, token):
    """Return vocab without token, whose id the last token takes."""
    last = max(vocab, key=vocab.get)
    vocab = {**vocab, last: vocab[token]}
    del vocab[token]
    return vocab


VOCAB = byte_vocab("ab", END)


@pytest.mark.parametrize(
    "vocab, words",
    [
        ("", ["is not JSON", "line 1 column 1"]),
        (json.dumps(VOCAB)[:-10], ["is not JSON"]),
        ("[" * 100_000, ["is not JSON"]),
        ('{"a": ' + "9" * 5000 + "}", []),
        (b'{"a": 0,\n "\xff": 1}', ["line 2 is not UTF-8 text"]),
        ("[1, 2]", ["no JSON object of tokens"]),
        ("null", ["no JSON object of tokens"]),
        ("{}", ["no token 'Ā'", "byte 0"]),
        ({**VOCAB, END: "257"}, ["no JSON object of tokens"]),
        ({**VOCAB, END: 257.0}, ["no JSON object of tokens"]),
        ({**VOCAB, END: None}, ["no JSON object of tokens"]),
        ({**VOCAB, "!": True, '"': 0}, ["no JSON object of tokens"]),
        ({**VOCAB, END: 258}, ["258 tokens", "from 0 to 257", "257 is no token's id"]),
        ({**VOCAB, END: 256}, ["258 tokens", "257 is no token's id"]),
        ({**VOCAB, "!": -1}, ["258 tokens", "0 is no token's id"]),
        (without(VOCAB, "Ġ"), ["no token 'Ġ'", "byte 32"]),
        ({**VOCAB, "a b": 258}, ["'a b'", "stands for no byte"]),
        ({**VOCAB, "日": 258}, ["'日'", "stands for no byte"]),
        ({**VOCAB, "\ud800": 258}, [r"'\ud800'", "stands for no byte"]),
    ],
    ids=range(19),
)
def test_a_vocabulary_that_is_none_is_named_in_one_line(tmp_path, vocab, words):
    folder = lay_out(tmp_path, vocab)
    with pytest.raises(ValueError) as caught:
        read_tokenizer(folder)
    for word in [os.path.join(folder, "vocab.json"), *words]:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "merges, words",
    [
        ("", ["line 1 is ''"]),
        ("#version: 0.2\na b\nab\n", ["line 3 is 'ab'", "two tokens"]),
        ("#version: 0.2\na b a\n", ["line 2 is 'a b a'", "two tokens"]),
        ("#version: 0.2\na  b\n", ["line 2 is 'a  b'", "two tokens"]),
        ("#version: 0.2\na\tb\n", [r"line 2 is 'a\tb'", "two tokens"]),
        ("#version: 0.2\n\na b\n", ["line 2 is ''", "two tokens"]),
        ("a b\n#version: 0.2\n", ["line 2 is '#version: 0.2'", "'#version:' is not"]),
        ("#version: 0.2\nax b\n", ["line 2 is 'ax b'", "'ax' is not in vocab.json"]),
        ("#version: 0.2\na bx\n", ["line 2 is 'a bx'", "'bx' is not in vocab.json"]),
        ("#version: 0.2\na c\n", ["line 2 is 'a c'", "'ac' is not in vocab.json"]),
        (" a\n", ["line 1 is ' a'", "'' is not in vocab.json"]),
        (b"#version: 0.2\na b\n\xff b\n", ["line 3 is not UTF-8 text"]),
        ("a b\x85\n", [r"line 1 is 'a b\x85'", r"'b\x85' is not in vocab.json"]),
    ],
    ids=range(13),
)
def test_merges_that_are_none_are_named_with_their_line(tmp_path, merges, words):
    folder = lay_out(tmp_path, merges=merges)
    with pytest.raises(ValueError) as caught:
        read_tokenizer(folder)
    for word in [os.path.join(folder, "merges.txt"), *words]:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["vocab.json", "merges.txt"])
def test_a_file_that_cannot_be_read_is_named(tmp_path, name):
    folder = lay_out(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(ValueError, match=f"cannot read .*{name}: No such file"):
        read_tokenizer(folder)
    (tmp_path / name).mkdir()
    with pytest.raises(ValueError, match=f"cannot read .*{name}: "):
        read_tokenizer(folder)


# The command.


def test_show_work_prints_bytes_pieces_and_every_round_of_merging(capsys):
    outcome = call(capsys, main, "--show-work", "--model", FOLDER, "The café,\ud800")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.splitlines() == [
        f"{FOLDER}: 400 tokens, 143 merges",
        "'The', bytes 54 68 65",
        "  merge 2, 'h' + 'e': 'T' 'he'",
        "  merge 52, 'T' + 'he': 'The'",
        "' café', bytes 20 63 61 66 c3 a9",
        r"  merge 9, ' ' + 'c': ' c' 'a' 'f' b'\xc3' b'\xa9'",
        r"  merge 18, b'\xc3' + b'\xa9': ' c' 'a' 'f' 'é'",
        "  merge 68, ' c' + 'a': ' ca' 'f' 'é'",
        "  merge 81, 'f' + 'é': ' ca' 'fé'",
        "  merge 101, ' ca' + 'fé': ' café'",
        r"',\udced\udca0\udc80', bytes 2c ed a0 80",
        r"'The café,\udced\udca0\udc80' in 6 tokens:",
        r"  tokens: 'The' ' café' ',' b'\xed' b'\xa0' b'\x80'",
        "  ids:    307 356 11 169 254 222",
    ]


@pytest.mark.skipif(os.name == "nt", reason="an argument is text there")
@pytest.mark.parametrize("utf8", ["0", "1"])
def test_the_ids_are_those_of_the_bytes_that_were_typed(utf8):
    typed = "Zürich 😀".encode() + b"\xff"
    command = [sys.executable, GPT2 / "tokens.py", "--model", FOLDER, typed]
    env = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": utf8, "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(command, env=env, capture_output=True, check=True)
    ids = small().encode_bytes(typed)
    assert small().decode_bytes(ids) == typed
    assert done.stdout.decode().splitlines()[-1].split()[1:] == [str(i) for i in ids]


def test_the_progress_of_learning_has_a_total_that_the_names_could_reach(
    capsys, tmp_path, monkeypatch
):
    totals = []

    class Noted(tokens_module.Progress):
        def __init__(self, what, total, every):
            totals.append(total)
            super().__init__(what, total, every)

    monkeypatch.setattr(tokens_module, "Progress", Noted)
    monkeypatch.chdir(tmp_path)
    # "ann", "anna" and the line feed: 2 + 3 + 0 merges at most.
    write_names(tmp_path, ["ann", "anna", "ann"], "input.txt")
    assert call(capsys, main, "--vocab-size", 999_999_999, "ann").code == 0
    assert call(capsys, main, "--vocab-size", 259, "ann").code == 0
    assert totals == [5, 2]


def test_merges_are_learnt_from_the_names(capsys, tmp_path, monkeypatch):
    # ann three times, anna twice, bo once: a+n and n+n 5 times, n+a twice, b+o once.
    write_names(tmp_path, ["ann", "anna", "ann", "bo", "anna", "ann"], "input.txt")
    monkeypatch.chdir(tmp_path)
    outcome = call(capsys, main, "annabo")
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert "6 names" in lines[0]
    assert lines[2:6] == [
        "  'a' and 'n', side by side 5 times, become 'an'",
        "  'an' and 'n', side by side 5 times, become 'ann'",
        "  'ann' and 'a', side by side 2 times, become 'anna'",
        "  'b' and 'o', side by side once, become 'bo'",
    ]
    # 3 * 3 + 2 * 4 + 2 = 19 letters in 6 names.
    assert "3.17 tokens long before the merges, and 1.00 after all 4" in lines[6]
    assert lines[7:] == [
        "'annabo' in 2 tokens:",
        "  tokens: 'anna' 'bo'",
        "  ids:    258 259",
    ]


def test_the_counts_of_the_packaged_names_are_what_counting_finds(
    capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    outcome = call(capsys, main, "--vocab-size", 258, "anna")
    names = (ROOT / "input.txt").read_text(encoding="utf-8").split()
    n_an = sum([name.count("an") for name in names])
    assert f"'a' and 'n', side by side {n_an:,} times, become 'an'\n" in outcome.out
    n_letters = sum([len(name) for name in names])
    before, after = n_letters / len(names), (n_letters - n_an) / len(names)
    assert f"{before:.2f} tokens long before the merges, and {after:.2f} after" in (
        outcome.out
    )
    assert outcome.out.endswith("  tokens: 'an' 'n' 'a'\n  ids:    256 77 64\n")


@pytest.mark.parametrize(
    "argv, words",
    [
        ([], ["TEXT"]),
        (["a", "b"], ["unrecognized arguments: b"]),
        (["--vocab-size", "256", "a"], ["vocab_size is 256", "257 or more"]),
        (["--vocab-size", "x", "a"], ["--vocab-size", "'x'"]),
        (["--model", "nowhere", "a"], ["cannot read", "vocab.json"]),
        (["--model", "nowhere", "--vocab-size", "300", "a"], ["not allowed with"]),
    ],
)
def test_bad_arguments_are_one_line(argv, words, capsys, tmp_path, monkeypatch):
    write_names(tmp_path, file="input.txt")
    monkeypatch.chdir(tmp_path)
    assert_one_line_error(call(capsys, main, *argv), *words)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_a_terminal_that_cannot_show_a_character_gets_an_escape(encoding, tmp_path):
    command = [
        sys.executable,
        GPT2 / "tokens.py",
        "--show-work",
        "--model",
        FOLDER,
        "é🙂",
    ]
    env = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    last = "'é🙂' in 5 tokens:".encode(encoding, "backslashreplace")
    assert last in done.stdout
