"""Solutions to chapter 20. Each begins with hints: read them one at a time."""

# %%
from __future__ import annotations

import math
import random
import sys

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

# The functions of plain_bpe.py do what the chapter's do, on bytes: b"an" is "an".

# %%
# Exercise 1. By hand.
#
# Hint 1: "banana" has the pairs b+a, a+n, n+a, a+n, n+a. Count those of "bandana" too.
# Hint 2: a+n stands there four times. Merge it in both names before you count again.
#
# b+a: 1 + 1 = 2. a+n: 2 + 2 = 4. n+a: 2 + 1 = 3. n+d and d+a: 1 each. So the first
# merge is a+n, and the names are "b an an a" and "b an d an a". Now b+an: 2, an+a: 2,
# an+an, an+d and d+an: 1 each. Of the two that stand there twice, b+an comes first, and
# the names are "ban an a" and "ban d an a". Now an+a: 2, and it is the third merge. In
# "cabana" the merges make first "c a b an a", then "c a ban a", and the third finds no
# "an" any more.
merges = learn(["banana", "bandana"], 3)
print("Exercise 1: banana and bandana")
print(f"  merges: {[(left + right).decode() for left, right in merges]}")
print(f"  cabana: {[token.decode() for token in encode('cabana', merges)]}")
assert merges == [(b"a", b"n"), (b"b", b"an"), (b"an", b"a")]
assert encode("cabana", merges) == [b"c", b"a", b"ban", b"a"]

# %%
# Exercise 2. Tokens fit the text from which they were learnt.
#
# Hint 1: learn 200 merges from each, and encode the held-out texts of both with both.
# Hint 2: characters / tokens, over all texts together.
#
# With merges from elsewhere a token holds clearly less, in both directions. A tokenizer
# is a part of the model that is trained too, and carries the mark of its text. GPT-2's
# merges were learnt from English web pages. On other languages its tokens are short, so
# there a text costs more steps, and less of it fits into the block.
names = [name for name in ALL_TRAIN_NAMES if len(name) <= 7]
held_out_names = [name for name in ALL_HELD_OUT_NAMES if len(name) <= 7][:300]
lines = manual_lines()
random.Random(20).shuffle(lines)
learnt_from = {"names": names[:1000], "manual": lines[60:]}
held_out = {"names": held_out_names, "manual": lines[:60]}
characters_per_token = {}
print("Exercise 2: characters in a token")
print("  merges of    on names   on the manual")
for source, texts in learnt_from.items():
    merges = learn(texts, 200)
    row = f"  {source:<10}"
    for target, new_texts in held_out.items():
        n_characters = sum([len(text) for text in new_texts])
        n_tokens = sum([len(encode(text, merges)) for text in new_texts])
        characters_per_token[source, target] = n_characters / n_tokens
        row += f" {n_characters / n_tokens:10.2f}"
    print(row)
for source, target in [("names", "manual"), ("manual", "names")]:
    own = characters_per_token[target, target]
    assert characters_per_token[source, target] < own

# %%
# Exercise 3. All ways to write a name.
#
# Hint 1: the ways to write "ann" are, for each token that begins it, that token and
#         then each of the ways to write the rest. That is a function that calls itself.
# Hint 2: the probability of one way is exp(-sum of token_losses). Add them up over all
#         ways, and -log of this sum is the surprise at the name, however it is written.
#
# The loss becomes lower, but only a little: in training, the model has never met any
# other way than that of `encode`, and so it gives the others little. The loss that we
# measured in the chapter is therefore a little too high. Its differences between tokens
# and letters are several times as large, so they stand.
merges = learn(names[:200], 40)
tokens = ["BOS", *"abcdefghijklmnopqrstuvwxyz"]
tokens += [(left + right).decode() for left, right in merges]
ids = {token: token_id for token_id, token in enumerate(dict.fromkeys(tokens))}


class PieceTokenizer:
    """The chapter's, for these merges."""

    def encode_document(self, text):
        """Return BOS, the ids of the text's tokens, BOS."""
        return [0, *[ids[token.decode()] for token in encode(text, merges)], 0]


def all_ways(text):
    """Return all lists of tokens that are this text when they are joined."""
    if text == "":
        return [[]]
    ways = []
    for length in range(1, len(text) + 1):
        first = text[:length]
        if first in ids:
            ways += [[first, *rest] for rest in all_ways(text[length:])]
    return ways


assert all("".join(way) == "joann" for way in all_ways("joann"))
config = GPTConfig(len(ids))
rng = random.Random(42)
params = init_params(config, rng)
training = TrainConfig(steps=200)
run = Run(config, training, PieceTokenizer(), params, Adam(flatten(params)), rng)
progress = Progress("names", 200, every=100, stream=sys.stderr)
for _ in train(run, names[:200]):
    progress.show(run.step)
progress.finish()
floats = as_floats(params)

nats_one_way, nats_all_ways, n_characters, n_ways = 0.0, 0.0, 0, 0
for name in [name for name in held_out_names if len(name) <= 5][:40]:
    usual = PieceTokenizer().encode_document(name)
    nats_one_way += sum(token_losses(floats, config, usual))
    probability = 0.0
    for way in all_ways(name):
        token_ids = [0, *[ids[token] for token in way], 0]
        probability += math.exp(-sum(token_losses(floats, config, token_ids)))
        n_ways += 1
    nats_all_ways += -math.log(probability)
    n_characters += len(name) + 1
one_way = nats_one_way / n_characters
all_together = nats_all_ways / n_characters
print("Exercise 3: 40 names of at most 5 letters, nats a character")
print(f"  ways to write a name, on average     {n_ways / 40:.1f}")
print(f"  the one way that `encode` makes      {one_way:.3f}")
print(f"  all ways together                    {all_together:.3f}")
assert all_together < one_way
