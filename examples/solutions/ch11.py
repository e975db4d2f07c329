"""Solutions to chapter 11, which runs first and prints its own lines before these."""

import heapq
import math
import os
import random
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import ch11_sampling as chapter
from course import HELD_OUT_NAMES, TRAIN_NAMES, pairs

from microgpt.checkpoint import TrainConfig
from microgpt.gpt import empty_cache, gpt
from microgpt.sample import generate, token_probabilities
from microgpt.train import start, train

run = chapter.run

# 1. T = 1, nearly. Training lowers the loss at T = 1 and at no other; had another T a
#    clearly lower loss, the weights of lm_head could have grown or shrunk by that
#    factor instead. Real names are best at 0.3 and loss at 1: two goals, two answers.
answers = []
for name in HELD_OUT_NAMES[:50]:
    keys, values = empty_cache(run.config)
    for context, target in pairs([name]):
        place = (context[-1], len(context) - 1)
        logits = gpt(run.params, run.config, *place, keys, values)
        answers.append(([logit.data for logit in logits], target))
losses = {}
for temperature in [0.3, 0.6, 0.8, 1.0, 1.2, 1.5]:
    chances = [token_probabilities(logits, temperature)[t] for logits, t in answers]
    losses[temperature] = -sum(map(math.log, chances)) / len(chances)
    print(f"loss at T = {temperature}: {losses[temperature]:.3f}")
# expect: loss at T = 0.3: 3.690
# expect: loss at T = 0.8: 2.471
# expect: loss at T = 1.0: 2.455
# expect: loss at T = 1.2: 2.482
assert min(losses, key=losses.get) == 1.0

# 2. No. What is taken from the heap is always the likeliest beginning that is left.
#    Going on makes none likelier, so the first name taken that has ended is the
#    likeliest of all names. It is no name at all: BOS, and at once BOS again.
#    A name's probability is a product with one factor a letter, so long names have
#    small ones, each of them; together they are nearly everything. (Translators built
#    like this one have the same flaw: Stahlberg and Byrne, 2019.)
heap = [(-1.0, [0], *empty_cache(run.config))]
found = []
while len(found) < 3:
    minus_p, tokens, keys, values = heapq.heappop(heap)
    if len(tokens) > 1 and tokens[-1] == 0:
        found.append(run.tokenizer.decode(tokens))
        print(f"likely: {found[-1]!r} {-minus_p:.5f}")
    elif len(tokens) <= run.config.block_size:
        keys, values = [list(k) for k in keys], [list(v) for v in values]
        place = (tokens[-1], len(tokens) - 1)
        logits = gpt(run.params, run.config, *place, keys, values)
        probs = token_probabilities([logit.data for logit in logits])
        for token_id, p in enumerate(probs):
            longer = (minus_p * p, [*tokens, token_id], keys, values)
            heapq.heappush(heap, longer)
greedy = generate(*chapter.model, random.Random(0), top_k=1)
tokens = run.tokenizer.encode_document(greedy)
p_greedy = 1.0
for end in range(1, len(tokens)):
    text = run.tokenizer.decode(tokens[:end])
    p_greedy *= token_probabilities(chapter.logits_after(text))[tokens[end]]
print(f"greedy: {greedy!r} {p_greedy:.5f}")
# expect: likely: '' 0.01236
# expect: likely: 'a' 0.00130
# expect: likely: 'n' 0.00083
# expect: greedy: 'jaran' 0.00006
assert found[0] == ""

# 3. Seeing it often. A model of 4,064 numbers has room for 3 names, and after 40 times
#    each it writes almost nothing else. (The one exception mixes two of them.) 300
#    names seen once each leave only what they share.
few = TRAIN_NAMES[:3]
copier, _, _ = start(chapter.documents, TrainConfig(steps=120))
for _ in train(copier, few):
    pass
rng = random.Random(1)
model = (copier.params, copier.config, copier.tokenizer)
names = [generate(*model, rng) for _ in range(25)]
# At most 8 letters fit in the block, so a copy of a longer name has its first 8.
copied = [name for name in names if name in [known[:8] for known in few]]
rest = [name for name in names if name not in copied]
print(f"{len(copied)} of 25 copied: {sorted(set(copied))}, the rest: {rest}")
# expect: 24 of 25 copied: ['anastasi', 'diangel', 'jacarra'], the rest: ['anangel']
assert len(copied) > 20
