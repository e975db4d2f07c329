"""Characters to numbers and back."""

from __future__ import annotations

import pytest

from microgpt.tokenizer import CharTokenizer


@pytest.mark.parametrize("text", ["", "a", "abba", "cab", "aaaa"])
def test_decoding_what_was_encoded_gives_the_text_back(text):
    tokenizer = CharTokenizer("abc")
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_the_characters_are_numbered_from_1_in_their_order():
    tokenizer = CharTokenizer("zya")
    assert tokenizer.encode("ayz") == [3, 2, 1]
    assert tokenizer.decode([1, 3]) == "za"


def test_the_vocabulary_has_one_token_more_than_characters():
    tokenizer = CharTokenizer("abc")
    assert tokenizer.vocab_size == 4
    assert tokenizer.bos == 0
    assert max(tokenizer.encode("abc")) == tokenizer.vocab_size - 1


def test_the_vocabulary_of_documents_is_their_characters_sorted():
    tokenizer = CharTokenizer.from_documents(["emma", "ava", "Zoë", "it's me"])
    assert tokenizer.chars == " 'Zaeimostvë"
    assert CharTokenizer.from_documents(["ava", "emma"]).chars == "aemv"


def test_the_order_of_the_documents_does_not_change_the_ids():
    forwards = CharTokenizer.from_documents(["emma", "ava"])
    backwards = CharTokenizer.from_documents(["ava", "emma"])
    assert forwards.ids == backwards.ids == {"a": 1, "e": 2, "m": 3, "v": 4}


def test_a_character_beyond_16_bits_is_one_token():
    tokenizer = CharTokenizer.from_documents(["a🙂"])
    assert tokenizer.encode("🙂a🙂") == [2, 1, 2]
    assert tokenizer.decode([2]) == "🙂"


def test_a_document_stands_between_two_bos():
    # a to z known, so that a is 1, e is 5 and m is 13.
    tokenizer = CharTokenizer("abcdefghijklmnopqrstuvwxyz")
    assert tokenizer.encode_document("emma") == [0, 5, 13, 13, 1, 0]
    assert tokenizer.encode_document("") == [0, 0]


def test_bos_adds_nothing_to_the_text():
    tokenizer = CharTokenizer("abc")
    assert tokenizer.decode([0, 3, 0, 1, 2, 0]) == "cab"
    assert tokenizer.decode([0, 0]) == ""


def test_a_tokenizer_is_rebuilt_from_its_chars():
    tokenizer = CharTokenizer.from_documents(["emma", "ava"])
    assert CharTokenizer(tokenizer.chars).ids == tokenizer.ids


def test_a_vocabulary_may_be_a_list_of_characters():
    assert CharTokenizer(["b", "a"]).encode("ab") == [2, 1]


def test_an_unknown_character_is_named():
    tokenizer = CharTokenizer("abc")
    with pytest.raises(ValueError, match="'é' is not one of the 3 characters"):
        tokenizer.encode("cabé")
    with pytest.raises(ValueError, match="'A' is not one of the 3 characters"):
        tokenizer.encode_document("Abc")


@pytest.mark.parametrize("token_id", [-1, 4, 100])
def test_an_id_out_of_range_is_named_with_the_vocabulary_size(token_id):
    with pytest.raises(ValueError, match=f"token {token_id}, but vocab_size is 4"):
        CharTokenizer("abc").decode([1, token_id])


@pytest.mark.parametrize("chars", ["", [], ["ab"], ["a", ""], ["a", "bc"]])
def test_a_vocabulary_of_anything_but_single_characters_is_an_error(chars):
    with pytest.raises(ValueError, match="one or more single characters"):
        CharTokenizer(chars)


def test_a_vocabulary_of_no_documents_is_an_error():
    with pytest.raises(ValueError, match="one or more single characters"):
        CharTokenizer.from_documents([])


def test_a_character_given_twice_is_an_error():
    with pytest.raises(ValueError, match="in the vocabulary twice"):
        CharTokenizer("aba")
