"""A model's tokens and merges stand in its folder, in one of three forms.

Before this came `bpe.py`, which turns text into tokens; next comes `model.py`, which
reads their numbers. The forms hold the same things:

    vocab.json and merges.txt    as the first models on Hugging Face have them
    encoder.json and vocab.bpe   as OpenAI published them: the same under other names
    tokenizer.json               everything in one file, as newer models have it

A vocabulary is {token: its number}, where a token is written with one symbol for each
byte (see `bpe.byte_symbols`). A merge is two tokens. Beside them there may be *added*
tokens, which no merge makes, such as "<|endoftext|>" or the "<pad>" that somebody added
later.

A wrong file would turn texts into other numbers than those that the model was trained
on, and nothing would look wrong but the answers. So what can be checked is checked: no
id is given twice, every token is made by one merge, from tokens that were there before
it, and tokenizer.json asks for nothing that `bpe.py` does not do. What can not be seen
is whether two merges of which neither needs the other have changed places.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from typing import Any

from bpe import BPE, BYTES, END_OF_TEXT, SYMBOLS, Pair, to_symbols
from weights import read_json, read_text

PAIRS_OF_FILES = (("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe"))

# The two files that OpenAI published, and their SHA-256.
OPENAI_VOCAB = "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783"
OPENAI_MERGES = "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5"

# How tokens look that stand for something outside of the text: <pad>, [SEP].
SPECIAL = re.compile(r"<.+>|\[[A-Z]+\]")


def read_tokenizer(folder: str) -> BPE:
    """Return the tokenizer in a folder, whichever form it has. A fault: ValueError.

    The text of an added token means that token only where the model writes it. Typed,
    it is text like any other (see `BPE.encode`).
    """
    for vocab_name, merges_name in PAIRS_OF_FILES:
        if os.path.exists(os.path.join(folder, vocab_name)):
            added = _added_tokens(folder)
            vocab = _vocab_file(os.path.join(folder, vocab_name), added)
            merges_path = os.path.join(folder, merges_name)
            merges = _merges_file(merges_path, vocab, vocab_name)
            _check_whole(vocab, merges, added, merges_path, vocab_name)
            return BPE(vocab, merges, added)
    path = os.path.join(folder, "tokenizer.json")
    if os.path.exists(path):
        return _tokenizer_file(path)
    raise ValueError(
        f"cannot read {os.path.join(folder, 'vocab.json')}: No such file, nor is there "
        "a tokenizer.json: one of the two says what the model's tokens are"
    )


def is_openai(bpe: BPE) -> bool:
    """Say whether vocabulary and merges are those that OpenAI published with GPT-2.

    What was downloaded as gpt2 should have them; `complete.py` says so if it has not.
    They are compared by content. OpenAI's file is this vocabulary in the form that
    json.dumps gives it, so its SHA-256 can be found without having the file.
    """
    in_order = dict(sorted(bpe.vocab.items(), key=lambda item: item[1]))
    lines = ["#version: 0.2", *[" ".join(pair) for pair in bpe.merges], ""]
    contents = json.dumps(in_order), "\n".join(lines)
    hashes = [hashlib.sha256(text.encode("utf-8")).hexdigest() for text in contents]
    return hashes == [OPENAI_VOCAB, OPENAI_MERGES]


def _check_vocab(vocab: Any, added: dict[int, str], path: str) -> dict[str, int]:
    """Return the vocabulary, or say what is wrong with it."""
    if type(vocab) is not dict or any(type(i) is not int for i in vocab.values()):
        raise ValueError(f"{path} is no JSON object of tokens and their whole numbers")
    # With n tokens in the vocabulary, every id from 0 to n - 1 must be that of a token,
    # one of these or an added one. Above them gaps do no harm: a model may have more
    # ids than tokens.
    ids = {*vocab.values(), *added}
    for i in range(len(vocab)):
        if i not in ids:
            raise ValueError(
                f"{path} numbers {len(vocab)} tokens, but not from 0 to "
                f"{len(vocab) - 1}: {i} is no token's id"
            )
    if len(set(vocab.values())) != len(vocab) or min(vocab.values(), default=0) < 0:
        raise ValueError(f"{path} gives a number twice, or one below 0")
    _check_added(vocab, added, path)
    for byte, symbol in enumerate(SYMBOLS):
        if symbol not in vocab:
            raise ValueError(f"{path} has no token {symbol!r}, for the byte {byte}")
    return vocab


def _check_added(vocab: dict[str, int], added: dict[int, str], path: str) -> None:
    """Refuse an added token with the id of another token, or one below 0.

    An entry may repeat a token of the vocabulary, as most do for "<|endoftext|>", and
    it may be written as text or as symbols.
    """
    token_of = {token_id: token for token, token_id in vocab.items()}
    for token_id, text in added.items():
        token = token_of.get(token_id, text)
        if token_id < 0 or token not in (text, "".join(to_symbols(text))):
            taken = "below 0" if token_id < 0 else f"that of the token {token!r:.60}"
            raise ValueError(
                f"{path}: the added token {text!r:.60} has the id {token_id}, {taken}"
            )


def _add(added: dict[int, str], token_id: int, text: str, path: str) -> None:
    """Note an added token; of two with one id, only one could be meant."""
    if added.get(token_id, text) != text:
        raise ValueError(
            f"{path}: the added tokens {added[token_id]!r:.60} and {text!r:.60} have "
            f"the same id, {token_id}"
        )
    added[token_id] = text


def _vocab_file(path: str, added: dict[int, str]) -> dict[str, int]:
    vocab = _check_vocab(read_json(path), added, path)
    for token in vocab:
        if not BYTES.keys() >= set(token):
            raise ValueError(f"{path}: a character of {token!r} stands for no byte")
    return vocab


def _merges_file(path: str, vocab: dict[str, int], vocab_name: str) -> list[Pair]:
    merges = []
    lines = read_text(path).rstrip("\n").split("\n")
    for number, line in enumerate(lines, start=1):
        # Line 1 only: "# #" is a merge, of two of the signs that begin a heading.
        if number == 1 and line.startswith("#version"):
            continue
        parts = line.split(" ")
        if len(parts) != 2:
            raise ValueError(
                f"{path}, line {number} is {line!r:.60}: a merge is two tokens with "
                "one space between them"
            )
        merges.append((parts[0], parts[1]))
        where = f"{path}, line {number} is {line!r:.60}"
        _check_merge(merges[-1], vocab, where, vocab_name)
    return merges


def _check_merge(
    pair: Pair, vocab: dict[str, int], where: str, vocab_name: str
) -> None:
    for token in (*pair, "".join(pair)):
        if token not in vocab:
            raise ValueError(f"{where}: {token!r} is not in {vocab_name}")


def _check_whole(
    vocab: dict[str, int],
    merges: list[Pair],
    added: dict[int, str],
    path: str,
    vocab_name: str,
) -> None:
    """Refuse merges of which some are missing, or which are in another order.

    A learner merges only what is there: single bytes, and what it has merged before. So
    it never makes one token in two ways: where the second pair could be merged, the
    first has been. (OpenAI's encoder and the library `tokenizers` can make different
    tokens with a table in which two merges make the same one.)
    """
    made: set[str] = set()
    for number, pair in enumerate(merges, start=1):
        for token in pair:
            if token not in made and token not in BYTES:
                raise ValueError(
                    f"{path}: merge {number} is of {token!r:.60}, which no merge "
                    "before it makes: one is missing, or they are in another order"
                )
        token = "".join(pair)
        if token in made:
            raise ValueError(
                f"{path}: merge {number} makes {token!r:.60}, as one before it does: "
                "no learner makes a token twice"
            )
        made.add(token)
    texts = {END_OF_TEXT, *added.values()}
    unmade = [
        token
        for token in vocab
        if token not in made
        and token not in BYTES
        and token not in texts
        and not SPECIAL.fullmatch(token)
    ]
    if unmade:
        more = f" and {len(unmade) - 1:,} more" if len(unmade) > 1 else ""
        raise ValueError(
            f"{path} has no merge that makes {unmade[0]!r}{more} of {vocab_name}: it "
            "is cut short, or of another model; get both files anew from one place"
        )


def _added_tokens(folder: str) -> dict[int, str]:
    """Return the added tokens that the files beside vocab.json name, if there are any.

    They have been written down in two ways: added_tokens.json is {token: id}, and
    tokenizer_config.json has {"added_tokens_decoder": {id: {"content": token}}}.
    """
    added: dict[int, str] = {}
    path = os.path.join(folder, "added_tokens.json")
    if os.path.exists(path):
        content = read_json(path)
        if type(content) is not dict or any(
            type(i) is not int for i in content.values()
        ):
            raise ValueError(f"{path} is no JSON object of tokens and whole numbers")
        for token, token_id in content.items():
            _add(added, token_id, token, path)
    path = os.path.join(folder, "tokenizer_config.json")
    if os.path.exists(path):
        settings = read_json(path)
        decoder = settings.get("added_tokens_decoder") if type(settings) is dict else {}
        if decoder is not None and type(decoder) is not dict:
            raise ValueError(f"{path}: added_tokens_decoder is no JSON object")
        for key, entry in (decoder or {}).items():
            is_token = type(entry) is dict and type(entry.get("content")) is str
            if not (key.isascii() and key.isdecimal() and len(key) < 10 and is_token):
                raise ValueError(
                    f"{path}: {key!r:.60} in added_tokens_decoder is no token"
                )
            _add(added, int(key), entry["content"], path)
    return added


def _list_in(content: dict[str, Any], name: str, path: str) -> list[Any]:
    """Return the list of this name, empty if it is missing. No list: ValueError."""
    entries = content.get(name)
    if entries is not None and type(entries) is not list:
        raise ValueError(f"{path}: {name} is {entries!r:.60}, but must be a list")
    return entries or []


# What the model in a tokenizer.json may say, if it is of GPT-2's kind. Other values
# would turn a text into other tokens than `bpe.py` does, and so are refused; so is any
# setting that is not known here, unless it is off. (`unk_token` and `fuse_unk` are for
# characters that have no token. Here every byte has one.)
KNOWN = ("type", "vocab", "merges", "unk_token", "fuse_unk")
NEUTRAL: dict[str, tuple[Any, ...]] = {
    "dropout": (None, 0, 0.0),
    "continuing_subword_prefix": (None, ""),
    "end_of_word_suffix": (None, ""),
    "byte_fallback": (None, False),
    "ignore_merges": (None, False),
}


def _adds_tokens(post: Any) -> bool:
    """Say whether a post_processor could add a token, such as "<s>", to a text.

    The two kinds that are known to add none: ByteLevel, which only computes places in
    the text, and a template that is the text alone.
    """
    if post is None:
        return False
    if type(post) is not dict:
        return True
    if post.get("type") == "TemplateProcessing":
        single = post.get("single")
        if type(single) is not list or len(single) != 1:
            return True
        return type(single[0]) is not dict or "Sequence" not in single[0]
    return post.get("type") != "ByteLevel"


def _tokenizer_file(path: str) -> BPE:
    content = read_json(path)
    if type(content) is not dict or type(content.get("model")) is not dict:
        raise ValueError(f"{path} has no model: it is no tokenizer.json")
    model = content["model"]
    kind = model.get("type", "BPE")  # old files do not say
    if kind != "BPE":
        raise ValueError(f"{path}: its tokenizer is {kind!r:.60}, but must be 'BPE'")
    for name, values in NEUTRAL.items():
        if model.get(name) not in values:
            raise ValueError(
                f"{path}: {name} is {model[name]!r:.60}, but must be {values[-1]!r}"
            )
    for name, value in model.items():
        is_known = name in NEUTRAL or name in KNOWN
        if not is_known and value not in (None, False):
            raise ValueError(
                f"{path}: its model has the setting {name!r:.60}, which is not known "
                "here and could change the tokens"
            )
    if content.get("normalizer") is not None:
        raise ValueError(f"{path} changes texts by a normalizer, which GPT-2 has not")
    # "ByteLevel" is the name for what GPT-2 does: split the text by its pattern, which
    # is use_regex, and take the bytes. add_prefix_space would put a space before the
    # text, so that its first word is the same token as elsewhere; GPT-2 does not.
    pre = content.get("pre_tokenizer")
    is_gpt2s = (
        type(pre) is dict
        and pre.get("type") == "ByteLevel"
        and pre.get("add_prefix_space") is False
        and pre.get("use_regex", True) is True
    )
    if not is_gpt2s:
        raise ValueError(
            f"{path} splits texts in another way than GPT-2: its pre_tokenizer must be "
            "ByteLevel, with add_prefix_space false"
        )
    if _adds_tokens(content.get("post_processor")):
        raise ValueError(
            f"{path} has a post_processor that may add tokens to every text: GPT-2 has "
            "none that does"
        )
    added: dict[int, str] = {}
    for entry in _list_in(content, "added_tokens", path):
        if not (
            type(entry) is dict
            and type(entry.get("id")) is int
            and type(entry.get("content")) is str
        ):
            raise ValueError(f"{path}: {entry!r:.60} in added_tokens is no token")
        _add(added, entry["id"], entry["content"], path)
    vocab = _check_vocab(model.get("vocab"), added, path)
    for token in vocab:
        if token not in added.values() and not BYTES.keys() >= set(token):
            raise ValueError(f"{path}: a character of {token!r} stands for no byte")
    merges = []
    for number, merge in enumerate(_list_in(model, "merges", path)):
        # A string with a space between the tokens, or, since 2024, a pair of strings.
        parts = merge.split(" ") if type(merge) is str else merge
        is_pair = type(parts) is list and len(parts) == 2
        if not (is_pair and all(type(token) is str for token in parts)):
            raise ValueError(f"{path}: merge {number} is {merge!r:.60}, and no pair")
        merges.append((parts[0], parts[1]))
        _check_merge(merges[-1], vocab, f"{path}: merge {number}", "its vocabulary")
    _check_whole(vocab, merges, added, path, "its vocabulary")
    # The vocabulary may list added tokens, too, and those as texts. One with a space in
    # it is no row of symbols; BPE has it from `added`.
    plain = {token: i for token, i in vocab.items() if BYTES.keys() >= set(token)}
    return BPE(plain, merges, added)
