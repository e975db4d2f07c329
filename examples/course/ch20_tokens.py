"""Chapter 20. Tokens: does a token have to be a letter?

Until now one token was one letter. Hardly any model that you can talk to reads letters.
GPT-2's vocabulary has 50,257 tokens, and most of them are whole words or large pieces
of words. Who decides which pieces? Nobody does. They are counted, much as chapter 1
counted pairs of letters: look which two tokens stand side by side most often in a large
text, make them one new token, and look again. This is called *byte-pair encoding*, or
*BPE*. (It was invented to make files smaller. Why "byte", you will see in section 8.)

First we build it, in four small functions, and let it learn from names and from a
running text, which is ordinary prose, line after line. Then we ask what such tokens do
to a model: to the length of what it reads, to the size of its vocabulary, and to its
loss. The last of these has a trap in it. A loss per *token* of two models with
different tokens cannot be compared, and we shall see why.

    word         meaning                                        in "anna"
    token        a piece of text that the model reads at once   "an"
    pair         two tokens side by side                        ("a", "n")
    merge        a pair that is made one token from now on      ("a", "n") -> "an"
    vocabulary   all tokens that there are                      a, n, an, …

The chapter's questions are asked by `python examples/learn.py 20`; otherwise write down
your guess before you run this. Two small GPTs learn from the same names, one with
letters, one with pieces of names as tokens. Which is less surprised by new names? And
which of two such models is less surprised by the lines of a manual?

Paper: Sennrich, Haddow and Birch, "Neural machine translation of rare words with
subword units", 2016.
"""

# %%
from __future__ import annotations

import math
import random
import sys
import time
from collections import Counter

from common import (
    ALL_HELD_OUT_NAMES,
    ALL_TRAIN_NAMES,
    mean_and_error,
    save_picture,
)
from manual import manual_lines
from plain_bpe import decode as decode_bytes
from plain_bpe import encode as encode_bytes
from plain_bpe import learn as learn_bytes

from microgpt import (
    Adam,
    GPTConfig,
    Run,
    TrainConfig,
    as_floats,
    flatten,
    init_params,
    token_losses,
)
from microgpt.tools.draw import Group, Line, scatter
from microgpt.tools.terminal import Progress
from microgpt.training import train


# %%
# Count, merge, repeat.
#
# A text is a list of tokens, and in the beginning its tokens are its letters. The first
# of the four functions counts which pairs of neighbours there are. It is given several
# texts, and does not count a pair across the end of one: the last letter of a name and
# the first letter of the next are no neighbours.
def count_pairs(texts_as_tokens):
    """Return how often each pair of neighbours stands in the texts."""
    pair_counts = Counter()
    for tokens in texts_as_tokens:
        pair_counts.update(zip(tokens, tokens[1:]))
    return pair_counts


# The second makes one token of a pair, wherever it stands in a text.
def merge_pair(tokens, pair):
    """Return the tokens with every occurrence of the pair made one, from the left."""
    merged = []
    i = 0
    while i < len(tokens):
        if tuple(tokens[i : i + 2]) == pair:
            merged.append(tokens[i] + tokens[i + 1])
            i += 2  # both have been used
        else:
            merged.append(tokens[i])
            i += 1
    return merged


five_names = ["anna", "hanna", "joanna", "ann", "dan"]
five_as_letters = [list(name) for name in five_names]
print("1. Count, merge, repeat: five names")
print()
print("the pairs, and how many times they stand there:")
for (left, right), times in count_pairs(five_as_letters).most_common():
    print(f"  {left} + {right}   {times}")
print()
merged_anna = merge_pair(list("anna"), ("a", "n"))
print(f"anna with a + n merged:  {' '.join(merged_anna)}")
merged_aaa = merge_pair(list("aaa"), ("a", "a"))
print(f"aaa  with a + a merged:  {' '.join(merged_aaa)}")
print()
assert merged_anna == ["an", "n", "a"]
assert merged_aaa == ["aa", "a"]  # the middle a can be used only once


# %%
# The third function repeats this: count, take the most frequent pair, merge it in all
# texts, and count again. The new token can be part of the next pair. What it returns is
# the list of *merges*, in the order in which they were learnt. That list is all there
# is to the tokenizer, as one calls a program that turns text into tokens.
#
# (If two pairs are equally frequent, most_common takes the one that was counted first,
# which is the one that comes first in the texts.)
def learn(texts, n_merges):
    """Return the merges learnt from the texts; fewer if there is nothing to merge."""
    texts_as_tokens = [list(text) for text in texts]
    merges = []
    while len(merges) < n_merges:
        pair_counts = count_pairs(texts_as_tokens)
        if not pair_counts:
            break  # every text is a single token by now
        [(most_frequent, _)] = pair_counts.most_common(1)
        texts_as_tokens = [
            merge_pair(tokens, most_frequent) for tokens in texts_as_tokens
        ]
        merges.append(most_frequent)
    return merges


# The fourth uses what was learnt. A new text starts as letters too, and the same merges
# are made in it, in the order in which they were learnt.
def encode(text, merges):
    """Return the tokens of a text."""
    tokens = list(text)
    for pair in merges:
        tokens = merge_pair(tokens, pair)
    return tokens


five_merges = learn(five_names, n_merges=4)
print("the same five names after each merge:")
for n_merges in range(len(five_merges) + 1):
    spelt = [" ".join(encode(name, five_merges[:n_merges])) for name in five_names]
    merge = "letters" if n_merges == 0 else " + ".join(five_merges[n_merges - 1])
    row = "".join([f"{tokens:<13}" for tokens in spelt])
    print(f"  {merge:<10} {row}".rstrip())
print()
in_order = encode("susanna", five_merges)
in_reverse = encode("susanna", five_merges[::-1])
print(f"a new name, susanna:            {' '.join(in_order)}")
print(f"with the merges in reverse:     {' '.join(in_reverse)}")
print()
assert "".join(in_order) == "susanna"
assert in_order == ["s", "u", "s", "anna"]
assert in_reverse == ["s", "u", "s", "an", "n", "a"]

# %%
# "susanna" was not among the five, and is written with what they have taught. A name
# that has nothing in common with them stays a row of letters. No name is impossible, as
# long as its letters are known: this is what letters have over whole words, and BPE
# keeps it.
#
# The order matters. In reverse, the last merge is tried first, and it needs a token
# that only the first ones make. To turn tokens back into text, join them: "".join.

# %%
# Learnt from names, and from running text.
#
# For the names we take those of at most 7 letters. With the end of the name they are 8
# characters at most, so our default model can see each of them whole.
#
# The running text is Python's own manual, which every Python brings along: see
# manual.py for which of its pages. Here each line is a document. (Where one line ends
# and the next begins plays no role yet; that is the subject of chapter 21.)
train_names = [name for name in ALL_TRAIN_NAMES if len(name) <= 7]
held_out_names = [name for name in ALL_HELD_OUT_NAMES if len(name) <= 7][:300]
lines = manual_lines()
random.Random(20).shuffle(lines)
train_lines, held_out_lines = lines[60:], lines[:60]
assert not set(train_lines) & set(held_out_lines)

learnt_from = {"names": train_names[:2000], "manual": train_lines}
held_out = {"names": held_out_names, "manual": held_out_lines}
N_MERGES = 200
merges_of = {}
print(f"2. {N_MERGES} merges, learnt from 2,000 names and from {len(lines) - 60} lines")
print()
for kind, texts in learnt_from.items():
    merges_of[kind] = learn(texts, N_MERGES)
    new_tokens = [left + right for left, right in merges_of[kind]]
    longest = sorted(dict.fromkeys(new_tokens), key=len, reverse=True)[:6]
    print(f"{kind}, the first ten:  {new_tokens[:10]}")
    print(f"{kind}, six long ones:  {longest}")
    print()

# %%
# Nobody has said what a syllable is, or that "expression" and "function" are words.
# They were frequent, and so they are tokens now. That does not mean that every frequent
# word is one: " statement", with the space, is a token only together with the quotation
# mark before it, because that is how the manual mostly writes it. A space is a
# character like any other here, and some tokens even run across two words. (GPT-2
# forbids that; see the end of the chapter.)
across = [
    token
    for token in new_tokens
    if len(token.split()) == 2 and token.replace(" ", "").isalpha()
]
print(f"manual, some that run across words:  {across[:4]}")
print()
assert {"expression", "function"} <= set(new_tokens) and "statement" not in new_tokens
assert len(across) >= 4

# %%
# Sequence length and vocabulary.
#
# Each merge adds one token to the vocabulary, and makes some texts shorter. How much
# shorter? We measure on held-out text, for which the merges were not chosen.
TABLE_SIZES = [0, 10, 30, 100, 200]


def n_tokens(texts, merges):
    """Return how many tokens the texts have in all."""
    return sum([len(encode(text, merges)) for text in texts])


letters_of = {kind: sorted(set("".join(learnt_from[kind]))) for kind in learnt_from}
characters_per_token = {}
print("3. Characters in a token, on held-out text")
print()
print("merges    names   manual")
for size in TABLE_SIZES:
    row = f"{size:>6}"
    for kind, texts in held_out.items():
        n_characters = sum([len(text) for text in texts])
        mean_length = n_characters / n_tokens(texts, merges_of[kind][:size])
        characters_per_token[kind, size] = mean_length
        row += f" {mean_length:8.2f}"
    print(row)
print()
measured, chart_lines = [], []
for kind in held_out:
    points = [(size, characters_per_token[kind, size]) for size in TABLE_SIZES]
    measured += points
    chart_lines.append(Line(kind, points))
title = "How much text a token holds"
x_label, y_label = "merges learnt", "characters in a token"
dots = [Group("measured", measured)]
picture = scatter(dots, title, x_label, y_label, lines=chart_lines)
save_picture("ch20_tokens.svg", picture)
print()

# %%
# The first merges bring most. After them the curves rise ever more slowly, because what
# is left to merge is rarer and rarer. GPT-2, after 50,000 merges learnt from 40
# gigabytes of text, has about 4 characters in a token of English prose.
#
# What is that worth to a model? It runs once for each token, so a text of half as many
# tokens takes half as many runs, and when it writes, half as many steps. And in the
# same block_size it sees twice as much text. This is why everybody does it. But a
# larger vocabulary has its price. Each token has a row in wte, its embedding, and a row
# in lm_head, which must be multiplied with x at every step to get the token's logit.
N_EMBD = 16
print("4. What the default model pays for its vocabulary (names, block_size 8)")
print()
print("merges   vocabulary   parameters   multiplications a token   a character")
matrices_of_the_layer = 12 * N_EMBD**2
costs = {}
for size in TABLE_SIZES:
    vocab_size = 1 + 26 + size  # BOS, the letters, and what the merges make
    n_parameters = (2 * vocab_size + 8) * N_EMBD + matrices_of_the_layer
    per_token = vocab_size * N_EMBD + matrices_of_the_layer
    per_character = per_token / characters_per_token["names", size]
    costs[size] = per_character
    row = f"{size:>6} {vocab_size:>12} {n_parameters:>12,}"
    print(row + f" {per_token:>25,} {per_character:>13,.0f}")
print()
assert costs[30] < costs[0] < costs[200]

# %%
# (Only the matrices are counted here. In a layer, attention has four of n_embd times
# n_embd, and the MLP has two that are four times as large, so 12 * n_embd ** 2 in all;
# chapter 18 counts the rest.) For this small model a few merges make each character
# cheaper, and 200 make it dearer than letters: the head has become the largest part of
# the model. In a large model the balance is another. Here is GPT-2, with its 12 layers
# and n_embd 768. A character costs it less than half of what it would cost with
# letters, although its head has 50,257 rows. (4 characters in a token is what English
# takes.)
gpt2_one_layer = 12 * 768**2  # by the same formula as our layer
gpt2_layers = 12 * gpt2_one_layer  # it has 12 of them
gpt2_with_letters = gpt2_layers + 100 * 768  # as if it had 100 letters and signs
gpt2_with_tokens = (gpt2_layers + 50257 * 768) / 4
print("GPT-2, millions of multiplications a character")
print(f"  with 100 letters and signs as its tokens   {gpt2_with_letters / 1e6:5.1f}")
print(f"  with its own 50,257 tokens                 {gpt2_with_tokens / 1e6:5.1f}")
print()


# %%
# The trap: loss per token.
#
# Now the loss. Take one model, and one name, and the surprise of the model at each of
# the name's letters. Here the model is a simple one that needs no training: it believes
# in each letter as often as it stands in the 2,000 names (chapter 1, looking back 0).
# Now suppose that somebody writes the same name down in larger tokens. The probability
# of the token "an" is that of "a" times that of "n", so its surprise is the sum of
# both.
def surprise_of_tokens(tokens, nats_of_letter):
    """Return the surprise at each token: the sum of those at its letters."""
    surprises = []
    for token in tokens:
        surprises.append(sum([nats_of_letter[letter] for letter in token]))
    return surprises


letter_counts = Counter("".join(train_names[:2000]))
n_letters = sum(letter_counts.values())
nats_of_letter = {}
for letter, times in letter_counts.items():
    nats_of_letter[letter] = -math.log(times / n_letters)

print("5. One model, one name, written down in four ways")
print()
print("tokens     surprise at each         sum   a token   a character")
per_token, sums = {}, {}
for tokens in [["a", "n", "n", "a"], ["an", "n", "a"], ["an", "na"], ["anna"]]:
    surprises = surprise_of_tokens(tokens, nats_of_letter)
    spelt = " ".join(tokens)
    sums[spelt] = sum(surprises)
    per_token[spelt] = sums[spelt] / len(tokens)
    cells = " ".join([f"{nats:.2f}" for nats in surprises])
    row = f"{spelt:<10} {cells:<20} {sums[spelt]:>7.2f} {per_token[spelt]:>9.2f}"
    print(row + f" {sums[spelt] / len('anna'):>13.2f}")
print()
assert max(sums.values()) - min(sums.values()) < 1e-12
assert abs(per_token["anna"] - 4 * per_token["a n n a"]) < 1e-12

# %%
# Nothing about the model has changed from row to row. It gives the name the same
# probability in all four, and so the sum is the same. But the loss per token goes up
# and up, merely because there are fewer tokens to share the sum. Whoever compared
# losses per token would call the last row four times as bad as the first. (And a
# perplexity is exp(loss per token), so there it would look far worse still.)
#
# A character is a character, however the text was cut. So the surprise of a whole text
# is divided by its number of *characters*, and that can be compared. (The end of a
# document counts as one character, as in the whole course.) In reports on large models
# it is often divided by the number of bytes, for the same reason.


# %%
# Two GPTs, two texts.
#
# Now we can ask. The model needs a tokenizer that gives each token a number, with BOS
# as number 0, as `CharTokenizer` does. Everything else in the package stays as it is:
# to `gpt`, a token has never been more than a number.
class PieceTokenizer:
    """Turns a text into the ids of its tokens: BOS, the letters, then the merges'."""

    bos = 0

    def __init__(self, letters, merges):
        self.merges = merges
        made = [left + right for left, right in merges]
        # No merge makes a token that is there already: where its letters stood, the
        # earlier merge has taken them.
        self.tokens = ["BOS", *letters, *made]
        self.ids = {token: token_id for token_id, token in enumerate(self.tokens)}
        self.vocab_size = len(self.tokens)

    def encode_document(self, text):
        """Return BOS, the ids of the text's tokens, BOS."""
        ids = [self.ids[token] for token in encode(text, self.merges)]
        return [self.bos, *ids, self.bos]


# Equal data means that all that is learnt, the tokens too, is learnt from the same
# texts: 350 names, or 50 lines of the manual. One model reads them as letters, the
# other as pieces: its tokens are the letters and what 100 merges have made. Both are
# the default model (for the manual with a block_size that holds its longest line), and
# both read each text once. (One thing is taken from more texts: the alphabet of the
# manual is that of all 300 lines, since a few signs do not occur in the 50, and a model
# cannot be asked for a sign that has no number. Section 8 does away with that.)
SETTINGS = {
    # kind: (texts to learn from, block_size, merges)
    "names": (train_names[:350], 8, 100),
    "manual": (train_lines[:50], 73, 100),
}
n_texts_in_all = 2 * sum([len(texts) for texts, _, _ in SETTINGS.values()])
progress = Progress("texts", n_texts_in_all, every=200, stream=sys.stderr)
n_texts_seen = 0


def train_gpt(kind, texts, block_size, n_merges):
    """Learn merges and then a GPT from the texts; return (the tokenizer, the run)."""
    global n_texts_seen
    tokenizer = PieceTokenizer(letters_of[kind], learn(texts, n_merges))
    config = GPTConfig(tokenizer.vocab_size, block_size=block_size)
    rng = random.Random(42)
    params = init_params(config, rng)
    training = TrainConfig(steps=len(texts))
    run = Run(config, training, tokenizer, params, Adam(flatten(params)), rng)
    for _ in train(run, texts):
        n_texts_seen += 1
        progress.show(n_texts_seen)
    return tokenizer, run


# To compare the two text by text, we spread the surprise at each token evenly over its
# characters. That changes no sum, and then both models have a number for each of the
# same characters.
def nats_of_characters(tokenizer, run_params, config, text):
    """Return the surprise at each character of the text and at its end."""
    losses = token_losses(run_params, config, tokenizer.encode_document(text))
    tokens = [*encode(text, tokenizer.merges), "."]  # one more character: the end
    assert len(losses) == len(tokens)
    nats = []
    for token, loss in zip(tokens, losses):
        nats += [loss / len(token)] * len(token)
    return nats


rows = []
differences = {}
seconds = {}
nats_by_text = {}
for kind, (texts, block_size, n_merges) in SETTINGS.items():
    for label, size in [("letters", 0), ("pieces", n_merges)]:
        started = time.process_time()
        tokenizer, run = train_gpt(kind, texts, block_size, size)
        seconds[kind, label] = time.process_time() - started
        floats = as_floats(run.params)
        nats_by_text[kind, label] = []
        for text in held_out[kind]:
            nats = nats_of_characters(tokenizer, floats, run.config, text)
            nats_by_text[kind, label].append(nats)
        loss, error = mean_and_error(nats_by_text[kind, label])
        n_characters = sum([len(text) + 1 for text in held_out[kind]])
        n_asked = n_tokens(held_out[kind], tokenizer.merges) + len(held_out[kind])
        loss_per_token = loss * n_characters / n_asked
        n_parameters = len(flatten(run.params))
        row = f"{kind:<7} {label:<8} {tokenizer.vocab_size:>10} {n_parameters:>11,}"
        row += f" {n_characters / n_asked:>11.2f} {loss_per_token:>9.3f}"
        rows.append(f"{row}   {loss:.3f} ± {error:.3f}")
    of_letters = nats_by_text[kind, "letters"]
    of_pieces = nats_by_text[kind, "pieces"]
    differences_of_texts = []
    for with_letters, with_pieces in zip(of_letters, of_pieces):
        pairs_of_nats = zip(with_pieces, with_letters)
        differences_of_texts.append([ours - theirs for ours, theirs in pairs_of_nats])
    differences[kind] = mean_and_error(differences_of_texts)
progress.finish()

print("6. Letters or tokens? Two GPTs for each text, on held-out texts (nats)")
print()
print("                                        characters      nats            nats")
print("text    read as  vocabulary  parameters    a token   a token     a character")
for row in rows:
    print(row)
print()
print("nats a character: pieces less letters, compared text by text")
for kind, (difference, error) in differences.items():
    print(f"  {kind:<7} {difference:+.3f} ± {error:.3f}")
for kind in SETTINGS:
    ratio = seconds[kind, "pieces"] / seconds[kind, "letters"]
    print(f"~ time to learn the {kind} with pieces: {ratio:.2f} of that with letters")
print()
winner_on = {}
for kind, (difference, error) in differences.items():
    assert abs(difference) > 2 * error
    winner_on[kind] = "letters" if difference > 0 else "pieces"
assert winner_on == {"names": "letters", "manual": "pieces"}

# %%
# Look at the two columns of nats first. They say again what section 5 said: by its nats
# a token, the model that reads the manual in pieces would look the worse one by far,
# and it is the better one. (Its tokens hold fewer characters than in section 3, also at
# 100 merges, because these merges were learnt from fewer texts, and because the end of
# a text is counted here, as a token of one character.)
#
# So it depends on the text. The manual is easier in pieces, names are easier in
# letters, and both differences are far larger than their errors. (Each is one training
# run from one seed. With two other seeds, not here, the differences were +0.258 and
# +0.269 for the names, and -0.268 and -0.215 for the manual.) Why do the two texts
# differ?
#
# In the manual, long pieces come again and again: "expression", "function", "the ". A
# model of letters has to learn their spelling, weight by weight. The tokens know it
# before training begins: what lies within a token is written down at once and is no
# surprise. In names, hardly any piece of more than two letters comes often. What a
# token brings is little there, and it takes something away, since the same few letters
# are now spread over more tokens, and each of them is seen more rarely. The model with
# pieces pays this price on both texts, and only the manual pays it back. With more to
# learn from, a token is seen more often and the price falls. Measured once, not here,
# with 100 merges and the same seed: from 2,000 names the difference was +0.119 ± 0.015,
# and from 300 lines -0.383 ± 0.031.
print("7. What tokens bring, and what they take away")
print()
print("                 how often a token of the   share of the held-out text that")
print("text    read as  vocabulary is seen         lies in tokens of 3 and more")
share_in_long_tokens = {}
for kind, (texts, _, n_merges) in SETTINGS.items():
    merges = learn(texts, n_merges)
    for label, some_merges in [("letters", []), ("pieces", merges)]:
        n_different = len(letters_of[kind]) + len(some_merges)
        mean_seen = n_tokens(texts, some_merges) / n_different
        n_characters, n_in_long_tokens = 0, 0
        for text in held_out[kind]:
            for token in encode(text, some_merges):
                n_characters += len(token)
                if len(token) >= 3:
                    n_in_long_tokens += len(token)
        share = n_in_long_tokens / n_characters
        share_in_long_tokens[kind, label] = share
        row = f"{kind:<7} {label:<8} {mean_seen:>6.1f} times, on average"
        print(f"{row} {share:>12.0%}")
print()
assert share_in_long_tokens["manual", "pieces"] > 0.2
assert share_in_long_tokens["names", "pieces"] < 0.1

# %%
# Besides, names are short and fit into the block as they are. What the field needs
# tokens for is long texts: there a model of letters would see a quarter of the text in
# the same block, and spend its work on spelling.


# %%
# Bytes.
#
# One thing is wrong with our tokenizer: its first tokens are the letters that it has
# met. A letter that it has not met has no number. There are about 150,000 characters in
# Unicode, and a vocabulary that begins with all of them would be larger than GPT-2's.
#
# But computers have long written every character as one to four *bytes*, of which there
# are 256: that is UTF-8. So take the bytes as first tokens, and no text at all is
# unknown. This is what GPT-2 does, and so does the file examples/gpt2/plain_bpe.py. Its
# `learn` and `encode` are those of this chapter, but for the beginning: the texts begin
# as single bytes and not as letters. (It counts the pairs within `learn`, and it has a
# `decode`, for a reason that you will see below.) On names, where each letter is one
# byte, it must learn and make the very same tokens.
def as_text(pairs_of_bytes):
    """Return pairs of bytes as pairs of str."""
    return [(left.decode(), right.decode()) for left, right in pairs_of_bytes]


names_merges = learn_bytes(train_names[:2000], 60)
assert as_text(names_merges) == merges_of["names"][:60]
for name in held_out_names:
    tokens = encode_bytes(name, names_merges)
    assert [token.decode() for token in tokens] == encode(name, merges_of["names"][:60])

# So it must on the lines of the manual, if we leave out the few that have other signs.
plain_lines = [line for line in train_lines if line.isascii()]
assert as_text(learn_bytes(plain_lines, 40)) == learn(plain_lines, 40)

print("8. As bytes: what names have taught, used on names from elsewhere")
print()
for name in ["joanna", "zoë", "李娜"]:
    tokens = encode_bytes(name, names_merges)
    print(f"{name}: {tokens}")
    assert decode_bytes(tokens) == name
unknown = []
for name in ["joanna", "zoë", "李娜"]:
    unknown += [letter for letter in name if letter not in letters_of["names"]]
print(f"letters that have no token of their own among ours: {' '.join(unknown)}")
assert unknown == ["ë", "李", "娜"]

# %%
# A token may now be a part of a character: "ë" is two bytes, and "李" is three. So
# tokens are joined as bytes first, and only the whole is read as text.
#
# What production does. This, with three differences; bpe.py in examples/gpt2 has them
# all. It first splits the text into words, numbers and runs of other signs, each with
# the space before it, and lets no merge run across. So it learns " the" and not " of
# the", and as a full stop is never in one piece with the word before it, " dog" is
# learnt once, and not again as " dog." and " dog!". It does not count everything anew
# after each merge, but only what the merge has changed. (In our way, 50,000 merges from
# 40 gigabytes of text would take years.) And it keeps the tokens of words that it has
# met. With GPT-2's own merges it gives every text the same numbers as OpenAI's program:
# `python examples/gpt2/tokens.py` shows it.
#
# What is still missing: our documents were lines, names or lines of a manual, each by
# itself. But what is a book? Its lines belong together, and it is longer than any
# block. On to chapter 21.
#
# Exercises (solutions and hints in ch20_solution.py):
# 1. By hand: which three merges does `learn(["banana", "bandana"], 3)` return, and how
#    is "cabana" written with them? Then ask Python.
# 2. Tokens fit the text from which they were learnt. Use the merges of the names on the
#    manual, and the other way round. How many characters does a token hold?
# 3. A text can be written in several ways: "ann" is "an n", "a nn" and "a n n" if these
#    are all tokens. Our loss asks for the one that `encode` makes, although the model
#    gives some probability to the others too. Add up the probabilities of all ways for
#    some short names. How much lower does the loss become?
