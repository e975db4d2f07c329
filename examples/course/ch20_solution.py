"""Solutions to chapter 20. Each begins with hints: read them one at a time."""

# %%
from __future__ import annotations

import math
import random
import sys
from statistics import mean

from common import ALL_HELD_OUT_NAMES, ALL_TRAIN_NAMES
from manual import manual_lines
from plain_bpe import encode, learn

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
from microgpt.tools.terminal import Progress
from microgpt.training import train

# We take the functions of examples/gpt2/plain_bpe.py, the byte version that section 8
# of the chapter compares with the chapter's own: its tokens are `bytes`, which Python
# writes as b"an". On names, `.decode()` turns such a token into the text "an".

# The texts of the chapter, learnt from and held out.
names = [name for name in ALL_TRAIN_NAMES if len(name) <= 7]
held_out_names = [name for name in ALL_HELD_OUT_NAMES if len(name) <= 7][:300]
lines = manual_lines()
random.Random(20).shuffle(lines)
train_lines, held_out_lines = lines[60:], lines[:60]

# %%
# Exercise 1. By hand.
#
# Hint 1: "banana" has the pairs b+a, a+n, n+a, a+n, n+a. Count those of "bandana" too.
# Hint 2: a+n stands there four times. Merge it in both names before you count again.
#
# We count three times, each time in the names as the merge before has left them:
#
#     the names are now               how often each pair stands there     merged
#     b a n a n a   b a n d a n a     a+n 4, n+a 3, b+a 2, n+d 1, d+a 1    a+n
#     b an an a     b an d an a       b+an 2, an+a 2, an+an 1, an+d 1,     b+an
#                                     d+an 1
#     ban an a      ban d an a        an+a 2, ban+an 1, ban+d 1, d+an 1    an+a
#     ban ana       ban d ana
#
# In the second round there is a tie: b+an and an+a both stand there twice. Then `learn`
# takes the one that comes first in the texts, and "banana" begins with b+an.
#
# To write "cabana", the same merges are made in the same order:
#
#     letters       c a b a n a
#     a+n           c a b an a
#     b+an          c a ban a
#     an+a          c a ban a      nothing left to merge
#
# "ana" is a token, and "cabana" ends in these letters, but it is not written with that
# token: the second merge has already used up the "an" that the third one would need.
merges = learn(["banana", "bandana"], 3)
print("Exercise 1: banana and bandana")
print(f"  merges: {[(left + right).decode() for left, right in merges]}")
print(f"  cabana: {[token.decode() for token in encode('cabana', merges)]}")
assert merges == [(b"a", b"n"), (b"b", b"an"), (b"an", b"a")]
assert encode("cabana", merges) == [b"c", b"a", b"ban", b"a"]

# %%
# Exercise 2. Tokens fit the text from which they were learnt.
#
# Hint 1: learn 200 merges from the names and 200 from the manual. Then encode both
#         held-out texts with both lists of merges, which makes four combinations.
# Hint 2: count the characters of all texts together, and divide by the number of all
#         their tokens together.
#
# With merges of their own kind, a token holds 1.73 characters of the names and 2.10 of
# the manual. With merges of the other kind it holds 1.32 and 1.35. A single letter
# would be 1.00, so less than half of what 200 merges can gain has been gained. Why? The
# two lists have only 43 tokens in common, such as "an" and "er". Of the 200 tokens that
# were learnt from the manual, 69 have a space in them, such as "e ", and a name has no
# space. Of those that were learnt from the names, "ella" and "mar" are of no use for
# "expression". The last column of the table counts the tokens that are used at all on
# the other text: 100 of the names' and 63 of the manual's.
#
# (The chapter has 2.11 for the manual and not 2.10. There a text began as characters,
# and here it begins as bytes, and a few signs of the manual are several bytes long.)
#
# So a tokenizer is a part of the model that is trained, too, and it carries the mark of
# its text. GPT-2's merges were learnt from English web pages. What is frequent in
# Finnish or in Hindi was rare there, and was hardly merged. So in such languages its
# tokens are short: the same text has more tokens, costs more steps, and less of it fits
# into the block.
learnt_from = {"names": names[:2000], "manual": train_lines}
held_out = {"names": held_out_names, "manual": held_out_lines}
merges_of = {kind: learn(texts, 200) for kind, texts in learnt_from.items()}
tokens_made = {}
for kind, merges in merges_of.items():
    tokens_made[kind] = {left + right for left, right in merges}
characters_per_token = {}
print("Exercise 2: characters in a token, with 200 merges")
print("  merges of    on names   on the manual   used on the other text")
for source, merges in merges_of.items():
    row = f"  {source:<10}"
    for target, texts in held_out.items():
        n_characters, n_tokens = 0, 0
        used = set()
        for text in texts:
            tokens = encode(text, merges)
            n_characters += len(text)
            n_tokens += len(tokens)
            used.update(tokens)
        characters_per_token[source, target] = n_characters / n_tokens
        row += f" {n_characters / n_tokens:10.2f}"
        if target != source:
            n_used_elsewhere = len(used & tokens_made[source])
    print(f"{row} {n_used_elsewhere:20} of 200")
in_common = tokens_made["names"] & tokens_made["manual"]
with_space = [token for token in tokens_made["manual"] if b" " in token]
print(f"  tokens that both lists have: {len(in_common)}")
print(f"  tokens of the manual that have a space in them: {len(with_space)}")
assert {b"an", b"er"} <= in_common and b"e " in with_space
assert {b"ella", b"mar"} <= tokens_made["names"]
for source, target in [("names", "manual"), ("manual", "names")]:
    gain = characters_per_token[source, target] - 1
    own_gain = characters_per_token[target, target] - 1
    assert gain < own_gain / 2

# %%
# Exercise 3. All ways to write a name.
#
# Hint 1: the ways to write "ann" are, for each token that begins it, that token and
#         then each of the ways to write the rest. That is a function that calls itself.
# Hint 2: the probability of one way is exp(-sum of token_losses). Add them up over all
#         ways, and -log of this sum is the surprise at the name, however it is written.
#
# Why may we add? The model writes one token after the other, and whenever it writes
# "jacey", it does so in exactly one of the ways. So the ways exclude each other, like
# the six sides of a die, and the probability of the name is the sum of theirs.
#
# We ask the chapter's own model of names in pieces, with 350 names and 100 merges, for
# the same 300 held-out names. The loss becomes lower by 0.053 nats a character: 2.644
# in place of 2.697, which is the figure of section 6. That is 2 percent. On average a
# name can be written in 5.7 ways, and the usual one, which `encode` makes, has 78 % of
# the probability. Why so much? In training the model has met no other way than that, so
# it has learnt to expect what `encode` makes.
#
# But not always. Look at "jacey" below: its usual way has 4 %, and "jac ey" has 44 %.
# Both "jac" and "ey" are tokens, and the model knows "jac" as a beginning and "ey" as
# an end. `encode` never comes that far, because the merge "ce" was learnt before both
# and takes the "c" and the "e" away.
#
# What does this mean for the chapter? Its loss of a model with pieces is a little too
# high. That of a model with letters is exact, as there is only one way to write a name
# in letters. So in names the lead of the letters is 0.204 and not 0.257, and they still
# lead. In the manual the pieces lead already, and with all ways they could only lead by
# more. So what the chapter found stands. (For long texts nobody adds up all ways:
# there are 4.1 of them for a name of 5 letters, on average, and 8.4 for one of 7, and
# so their number goes on growing. One reports the loss of the one way, and remembers
# that it is a little too high.)
names_merges = learn(names[:350], 100)
spellings = ["BOS", *"abcdefghijklmnopqrstuvwxyz"]
spellings += [(left + right).decode() for left, right in names_merges]
ids = {spelling: token_id for token_id, spelling in enumerate(spellings)}
BOS = ids["BOS"]


def usual_way(text):
    """Return the text's tokens as `encode` makes them, as text."""
    return [token.decode() for token in encode(text, names_merges)]


def document_of(way):
    """Return BOS, the ids of the tokens, BOS."""
    return [BOS, *[ids[token] for token in way], BOS]


class PieceTokenizer:
    """The chapter's, as far as training needs it."""

    def encode_document(self, text):
        """Return BOS, the ids of the text's tokens, BOS."""
        return document_of(usual_way(text))


def all_ways(text):
    """Return all lists of tokens that are this text when they are joined."""
    if text == "":
        return [[]]  # one way to write nothing: no token at all
    ways = []
    for length in range(1, len(text) + 1):
        first = text[:length]
        if first in ids:
            for rest in all_ways(text[length:]):
                ways.append([first, *rest])
    return ways


for way in all_ways("joann"):
    assert "".join(way) == "joann"
assert all_ways("ann") == [["a", "n", "n"], ["an", "n"]]
config = GPTConfig(len(ids))
rng = random.Random(42)
params = init_params(config, rng)
run = Run(
    config=config,
    training=TrainConfig(steps=350),
    tokenizer=PieceTokenizer(),
    params=params,
    optimizer=Adam(flatten(params)),
    rng=rng,
)
progress = Progress("names", total=350, every=100, stream=sys.stderr)
for _ in train(run, names[:350]):
    progress.show(run.step)
progress.finish()
floats = as_floats(params)


def probability_of(way):
    """Return how likely it is that the model writes these tokens and then the end."""
    return math.exp(-sum(token_losses(floats, config, document_of(way))))


nats_one_way, nats_all_ways = 0.0, 0.0
n_characters = 0
n_ways = []  # for each name
shares = []  # of the usual way, for each name
for name in held_out_names:
    probability_one_way = probability_of(usual_way(name))
    probability_all_ways = sum([probability_of(way) for way in all_ways(name)])
    nats_one_way += -math.log(probability_one_way)
    nats_all_ways += -math.log(probability_all_ways)
    shares.append(probability_one_way / probability_all_ways)
    n_characters += len(name) + 1  # the end counts as a character
    n_ways.append(len(all_ways(name)))
one_way = nats_one_way / n_characters
all_together = nats_all_ways / n_characters
print("Exercise 3: 300 held-out names")
print(f"  ways to write a name, on average        {mean(n_ways):.1f}")
for length in (5, 7):
    n_ways_here = [n for n, name in zip(n_ways, held_out_names) if len(name) == length]
    print(f"    names of {length} letters                    {mean(n_ways_here):.1f}")
print(f"  share of the usual way, on average      {mean(shares):.0%}")
print(f"  nats a character, the usual way         {one_way:.3f}")
print(f"  nats a character, all ways together     {all_together:.3f}")
print(f"  the difference                          {one_way - all_together:.3f}")
for name in ["joann", "jacey"]:
    usual = " ".join(usual_way(name))
    probabilities = {" ".join(way): probability_of(way) for way in all_ways(name)}
    sum_of_all = sum(probabilities.values())
    likeliest_first = sorted(probabilities, key=probabilities.get, reverse=True)
    print(f"  {name} in {len(probabilities)} ways, the likeliest:")
    for way in likeliest_first[:5]:
        note = "   <- the usual way" if way == usual else ""
        print(f"    {way:<12} {probabilities[way] / sum_of_all:4.0%}{note}")
# Chapter 20 found that letters lead by 0.257 in names: that is several times as much.
assert 0 < one_way - all_together < 0.257 / 4
made = [(left + right).decode() for left, right in names_merges]
assert made.index("ce") < made.index("ey") < made.index("jac")
