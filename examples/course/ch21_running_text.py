"""Chapter 21. Running text: what if a text is longer than the model can see?

Every text so far was a document that fitted into the block: a name, or a line. A book
is one text of a million characters, and our model sees 16 of them at a time. So we cut
the book into *windows*, pieces of block_size characters, wherever the cuts happen to
fall, and give them to the model like documents. Line ends become characters like any
other. All language models learn from text in this way.

Three questions come with it. First, what changes for the model when a text no longer
begins where its window begins? Second, in which units does the world say how good a
model of running text is? Papers give a *perplexity*, or *bits a character*, and we
shall see that these bits are real ones: a model can be used to write a text down in
just so many of them. And third, how does a model write on when its block is full? The
window has to *slide*, and what that costs is counted here, because it is precisely what
the cache of chapter 18 was to save.

The text is Python's own manual, which every Python has (see manual.py). For a text of
your own: `python examples/course/ch21_running_text.py --text my_file.txt`. And
`python -m microgpt.train --running-text` trains a model on windows of any file.

The chapter's questions are asked by `python examples/learn.py 21`; otherwise write down
your guess before you run this. Where in a window is the model most surprised? And when
the block is full, how many runs of the model does one more character cost, if the model
is to see the newest 15 characters each time?

Papers: Shannon, "Prediction and entropy of printed English", 1951; Rissanen and
Langdon, "Arithmetic coding", 1979.
"""

# %%
from __future__ import annotations

import math
import random
import sys
import time
import zlib
from collections import Counter
from fractions import Fraction

from common import mean_and_error, save_picture
from manual import manual_text

from microgpt import (
    Adam,
    CharTokenizer,
    GPTConfig,
    Run,
    TrainConfig,
    Value,
    as_floats,
    cross_entropy,
    empty_cache,
    flatten,
    generate,
    gpt,
    init_params,
    perplexity,
    read_windows,
    softmax,
    token_losses,
    token_probabilities,
    topological_order,
    total,
)
from microgpt.tools.draw import Line, line_chart
from microgpt.tools.terminal import Progress
from microgpt.training import train

# %%
# The text. Our model is small, so we spare it one thing: capital letters, which it
# would have to learn apart from the small ones.
is_manual = "--text" not in sys.argv
if is_manual:
    text = manual_text().lower()
else:
    path = sys.argv[sys.argv.index("--text") + 1]
    text = "".join(read_windows(path, size=1000)).lower()
    if len(text) < 10_000:
        sys.exit(f"error: {path} is too short: give 10,000 characters or more")

BLOCK_SIZE = 16
tokenizer = CharTokenizer.from_documents([text])


def windows_of(text, size):
    """Return the text in pieces of `size` characters; the last may be shorter."""
    return [text[first : first + size] for first in range(0, len(text), size)]


windows = windows_of(text, BLOCK_SIZE)
print("1. A running text, cut into windows")
print()
print(f"{len(text):,} characters, {len(tokenizer.chars)} different ones")
print(f"{len(windows):,} windows of {BLOCK_SIZE} characters; the first three:")
for window in windows[:3]:
    print(f"  {window!r}")
print()
assert "".join(windows) == text  # nothing is lost, not even a line end

# The package has this too: `read_windows` reads a file in such windows.

# %%
# A cut can go through the middle of a word, and mostly it does. To the package a window
# is a document, so it puts BOS before and after it. What does that mean now? The BOS
# before it does not say any more that something begins. It says: "you have come in
# somewhere in the middle, and you know nothing of what came before." And the BOS after
# it is never asked for. A window of 16 characters fills the block of 16, and the model
# is asked for exactly these 16. (With names it was asked for the end too.) So it does
# not learn that a text ends after 16 characters, which would be a lie.
ids = tokenizer.encode_document(windows[0])
config = GPTConfig(tokenizer.vocab_size, block_size=BLOCK_SIZE)
params = init_params(config, random.Random(21))
n_asked = len(token_losses(as_floats(params), config, ids))
print(f"a window is {len(ids)} tokens, BOS at both ends; the model is asked {n_asked}")
print("times: for each of its characters, and not for an end")
print()
assert len(ids) == BLOCK_SIZE + 2
assert n_asked == BLOCK_SIZE

# %%
# What is held out? With names, we shuffled them and kept a tenth. With windows, we
# could do the same. But the windows of a text are not strangers to each other, as names
# are. A held-out window would have its neighbours among those learnt from, with the
# same subject and the same rare words. Is that a leak? Let a table that looks back
# three characters say. We ask it for every second window of the last fifth of the text.
# Once it is counted on windows from the first four fifths only, and once on as many
# windows, but with the neighbours of those that it is asked for among them. (It needs
# three characters before the one that it is asked for, so in each window it is asked
# for places 4 to 16.)
N_BACK = 3


def count_table(windows, n_back):
    """Return (how often each window of n_back + 1 characters came, and of n_back)."""
    counts, totals = Counter(), Counter()
    for window in windows:
        for i in range(n_back, len(window)):
            counts[window[i - n_back : i + 1]] += 1
            totals[window[i - n_back : i]] += 1
    return counts, totals


def table_nats(table, window, n_back):
    """Return the table's surprise at each character that has n_back before it."""
    counts, totals = table
    nats = []
    for i in range(n_back, len(window)):
        seen = counts[window[i - n_back : i + 1]] + 0.1
        seen_before = totals[window[i - n_back : i]] + 0.1 * tokenizer.vocab_size
        nats.append(-math.log(seen / seen_before))
    return nats


# And the standard error? Neighbouring windows are about the same thing. So we take
# eight of them, 128 characters, as one group, as chapter 19 took the letters of one
# name: what depends on each other belongs into one group.
def in_groups(nats_of_windows, size=8):
    """Return the numbers of `size` neighbouring windows in one list each."""
    groups = []
    for first in range(0, len(nats_of_windows), size):
        neighbours = nats_of_windows[first : first + size]
        groups.append([nats for window in neighbours for nats in window])
    return groups


n_held_out = len(windows) // 5
first_pages, last_pages = windows[:-n_held_out], windows[-n_held_out:]
asked, neighbours = last_pages[::2], last_pages[1::2]
COUNTED_ON = {
    "the first pages only": first_pages,
    "as many, with neighbours": first_pages[len(neighbours) :] + neighbours,
}
print("2. A table that looks back three, asked for every second window at the end")
print()
print("counted on                     nats a character, places 4 to 16")
nats_when = {}
for counted_on, counted_windows in COUNTED_ON.items():
    table = count_table(counted_windows, N_BACK)
    nats_when[counted_on] = [table_nats(table, window, N_BACK) for window in asked]
    loss, error = mean_and_error(in_groups(nats_when[counted_on]))
    print(f"{counted_on:<30} {loss:.3f} ± {error:.3f}")


def difference_of_windows(nats_of_windows, other_nats_of_windows):
    """Return (the mean of the first less that of the second, its standard error)."""
    differences = []
    for nats, other_nats in zip(nats_of_windows, other_nats_of_windows):
        differences.append([a - b for a, b in zip(nats, other_nats)])
    return mean_and_error(in_groups(differences))


without_neighbours, with_neighbours = nats_when.values()
gained, gained_error = difference_of_windows(with_neighbours, without_neighbours)
print(f"the second less the first     {gained:+.3f} ± {gained_error:.3f}")
print()
train_windows, held_out_windows = first_pages, last_pages

# %%
# Whoever has read the neighbours does better on the very same windows. That is not a
# leak as in chapter 19, where the same name stood on both sides. But it is in between:
# the measure would say how well the model goes on in a text of which it has read eight
# tenths, and not how it does on pages that it has not seen. We want to know the second.
# So from now on the last fifth is held out as one piece, and nothing of it is read.
if is_manual:
    assert gained < -2 * gained_error

# %%
# Now the GPT learns: the default model, but for the block of 16, from 400 windows in
# random order, each once. That is what it can read in some ten seconds, and about a
# third of what there is. `train` is the package's. The learning rate is twice the
# default: with so few steps, larger ones got a little further. (With the default of
# 0.01, not shown here, the loss below was 2.715 in place of 2.689, and from another
# seed 2.702 in place of 2.697.)
N_WINDOWS = 400
random.Random(21).shuffle(train_windows)
learnt_windows = train_windows[:N_WINDOWS]
training = TrainConfig(steps=len(learnt_windows), learning_rate=0.02)
optimizer = Adam(flatten(params))
run = Run(config, training, tokenizer, params, optimizer, random.Random(21))
progress = Progress("windows", len(learnt_windows), every=100, stream=sys.stderr)
for _ in train(run, learnt_windows):
    progress.show(run.step)
progress.finish()
floats = as_floats(params)


# A fair opponent is the table of letter pairs, counted on the same 400 windows. So that
# it can be asked for the first character of a window too, a mark is put before each,
# which plays the part of BOS.
MARK = "\0"


def with_mark(windows):
    """Return the windows, each with the mark before it."""
    return [MARK + window for window in windows]


letter_pairs = count_table(with_mark(learnt_windows), n_back=1)
nats_of = {"letter pairs": [], "GPT": []}
for window in held_out_windows:
    nats_of["letter pairs"].append(table_nats(letter_pairs, MARK + window, n_back=1))
    ids = tokenizer.encode_document(window)
    # Of a short window at the end of the text, the end would be asked for as well.
    nats_of["GPT"].append(token_losses(floats, config, ids)[: len(window)])


n_different = len(tokenizer.chars)
losses = {f"a blind guess among {n_different}": (math.log(n_different), None)}
for model, nats_of_windows in nats_of.items():
    losses[model] = mean_and_error(in_groups(nats_of_windows))
print(f"3. Learnt from {N_WINDOWS} windows, asked for {len(held_out_windows)} others")
print()
print("                         nats a character   bits   perplexity")
for model, (loss, error) in losses.items():
    with_error = f"{loss:.3f}" if error is None else f"{loss:.3f} ± {error:.3f}"
    row = f"{model:<24} {with_error:<13} {loss / math.log(2):>10.3f}"
    print(f"{row} {perplexity(loss):>12.1f}")
difference, error = difference_of_windows(nats_of["GPT"], nats_of["letter pairs"])
print()
print(f"GPT less letter pairs    {difference:+.3f} ± {error:.3f}")
print()
if is_manual:
    assert difference > 2 * error

# %%
# The GPT is worse than the letter pairs, and the difference is no luck. Do not be
# surprised: it has read 6,400 characters, each once, and there are 69 different ones in
# place of the 27 of the names. Chapter 14 has told the same story: counting is quick to
# learn, and a GPT needs more text and more passes than ten seconds allow. (Section 7
# tells of a longer run, which is better than the pairs.) For what this chapter is
# about, it will do.
#
# (What "bits" and "perplexity" mean is said below. First a look into the window.)
place_losses, place_errors = [], []
whole_windows = [nats for nats in nats_of["GPT"] if len(nats) == BLOCK_SIZE]
for place in range(BLOCK_SIZE):
    at_place = [[nats[place]] for nats in whole_windows]
    loss, error = mean_and_error(in_groups(at_place))
    place_losses.append(loss)
    place_errors.append(error)
first_loss = place_losses[0]
other_losses = place_losses[1:]
mean_of_others = sum(other_losses) / len(other_losses)
places_3_to_9 = [nats[2:9] for nats in whole_windows]
places_10_to_16 = [nats[9:16] for nats in whole_windows]
later, later_error = difference_of_windows(places_10_to_16, places_3_to_9)
print("4. Where in the window?")
print()
print(f"at its first character          {first_loss:.2f} nats")
print(f"at the others, on average       {mean_of_others:.2f}")
print(f"places 10 to 16 less 3 to 9    {later:+.2f} ± {later_error:.2f}")
points, points_above, points_below = [], [], []
for n_before, (loss, error) in enumerate(zip(place_losses, place_errors)):
    points.append((n_before, loss))
    points_above.append((n_before, loss + error))
    points_below.append((n_before, loss - error))
chart_lines = [
    Line("one standard error more", points_above, "pale"),
    Line("one standard error less", points_below, "pale"),
    Line("GPT", points),
]
title = "The surprise at each place of a window"
x_label = "characters before it in the window"
picture = line_chart(chart_lines, title, x_label, "nats")
save_picture("ch21_places.svg", picture)
print()
if is_manual:
    assert abs(later) < 2 * later_error

# %%
# The first character is dear, since nothing is known before it. That is the price of
# cutting, and it is paid once in each window: the larger the window, the less it
# matters. After that the curve goes up and down by about its errors, and the later
# places are no better than the earlier ones. A model that has learnt to look back
# further with profit would get better along the window. Ours has not yet, and section 7
# will come back to that.


# %%
# Three units, one number.
#
# The three columns say the same. A *nat* belongs to the natural logarithm. A *bit*
# belongs to the logarithm with base 2: it is the surprise at one toss of a coin. One
# bit is log(2) = 0.693 nats, so divide nats by 0.693. And the *perplexity*, exp(nats)
# or 2 ** bits, is the number of equally likely characters among which one would be as
# unsure.
#
# Let us compute them another way, without logarithms. What probability does the model
# give to a whole passage? That is the product of the probabilities of its characters.
# The perplexity is the geometric mean of 1 / p: the number which, multiplied by itself
# as many times as there are characters, gives the product of all the 1 / p. And a bit
# is a halving. So the bits of the passage are the number of times that 1 must be halved
# until it is no larger than the probability of the passage. (Halvings are counted
# whole, so the last two rows agree if the bits are rounded up.)
N_CODED = 10
passage_windows = held_out_windows[:N_CODED]
passage = "".join(passage_windows)


def character_probabilities(seen):
    """Return the model's probabilities for the token after BOS and these tokens."""
    keys, values = empty_cache(config)
    for pos_id, token_id in enumerate([tokenizer.bos, *seen]):
        logits = gpt(floats, config, token_id, pos_id, keys, values)
    return softmax(logits)


probabilities = []
for window in passage_windows:
    ids = tokenizer.encode(window)
    for i, token_id in enumerate(ids):
        probabilities.append(character_probabilities(ids[:i])[token_id])
product = math.prod([1 / p for p in probabilities])
geometric_mean = product ** (1 / len(probabilities))
passage_loss, _ = mean_and_error(nats_of["GPT"][:N_CODED])
assert abs(geometric_mean / perplexity(passage_loss) - 1) < 1e-9

probability_of_passage = Fraction(1)
for p in probabilities:
    probability_of_passage *= Fraction(p)
n_halvings = 0
while probability_of_passage < Fraction(1, 2**n_halvings):
    n_halvings += 1
bits_by_logarithm = passage_loss * len(passage) / math.log(2)
assert n_halvings == math.ceil(bits_by_logarithm)
print(f"5. The first {len(passage)} held-out characters, computed in two ways")
print()
print(f"perplexity, exp(loss)                      {perplexity(passage_loss):8.3f}")
print(f"perplexity, geometric mean of all 1 / p    {geometric_mean:8.3f}")
print(f"bits, loss / log(2) * characters           {bits_by_logarithm:8.1f}")
print(f"halvings of 1 down to the probability      {n_halvings:8}")
print()


# %%
# Bits that can be counted.
#
# What are these bits good for? They are a promise: with this model, the passage can be
# written down in so many zeros and ones, and whoever has the same model can read it
# again. The method is called *arithmetic coding*. Begin with all numbers from 0 to 1.
# Cut this interval into pieces, one for each token, as long as the token is likely, and
# keep the piece of the character that comes. Cut that piece in the same way for the
# next character, and so on. A likely character shortens the interval little, an
# unlikely one much: in the end it is as long as the passage is probable. Then any
# number in it stands for the passage. The lower end of a piece belongs to it, and the
# upper end to the next piece. So a piece of length 2 ** -n or more always has a number
# with n binary digits in it, because such numbers lie 2 ** -n apart.
#
# A small example: "a" has the probability 1/2, and "b" and "c" have 1/4 each, whatever
# came before. The piece of "a" is 0 to 1/2, that of "b" is 1/2 to 3/4, that of "c" 3/4
# to 1. For the text "ba", keep first 1/2 to 3/4, and then the first half of it, which
# is the piece of "a": 1/2 to 5/8. It is 1/8 long, and "ba" has the probability 1/4 *
# 1/2 = 1/8, which is 3 bits. And 0.100 in binary, which is 1/2, lies in it, and in the
# piece of no other text of two letters: the three digits 100 say "ba". To read them,
# ask in whose piece 1/2 lies. It is that of "b", and there it lies at the very
# beginning, in the piece of "a". And there we stop, because we know that the text has
# two letters. (The digits do not say so, since 1/2 also lies in the piece of "baa". So
# whoever reads them has to be told the length, or there has to be a token for the end.)
#
# It is done here with whole numbers and fractions, which do not round. Every token gets
# at least 1 part of a million, so that nothing is impossible.
def parts_of(seen):
    """Return how many parts each token gets of the interval, as whole numbers."""
    return [1 + int(p * 1_000_000) for p in character_probabilities(seen)]


def code(windows):
    """Return a number of few binary digits that stands for the windows, as text."""
    low, width = Fraction(0), Fraction(1)
    for window in windows:
        ids = tokenizer.encode(window)
        for i, token_id in enumerate(ids):
            parts = parts_of(ids[:i])
            low += width * Fraction(sum(parts[:token_id]), sum(parts))
            width *= Fraction(parts[token_id], sum(parts))
    n_digits = 1
    while Fraction(1, 2**n_digits) > width:
        n_digits += 1
    number = math.ceil(low * 2**n_digits)
    return f"{number:0{n_digits}b}"


def decode(digits, n_windows):
    """Return the windows that the digits stand for."""
    number = Fraction(int(digits, 2), 2 ** len(digits))
    windows = []
    for _ in range(n_windows):
        seen = []
        while len(seen) < BLOCK_SIZE:
            parts = parts_of(seen)
            place = number * sum(parts)  # which part of the interval is it in?
            token_id, begin = 0, 0
            while begin + parts[token_id] <= place:
                begin += parts[token_id]
                token_id += 1
            number = (place - begin) / parts[token_id]  # its place in that piece
            seen.append(token_id)
        windows.append(tokenizer.decode(seen))
    return windows


digits = code(passage_windows)
decoded = "".join(decode(digits, N_CODED))
assert decoded == passage
plain_bits = 8 * len(passage.encode("utf-8"))
zlib_bits = 8 * len(zlib.compress(passage.encode("utf-8"), 9))
bits_per_character = len(digits) / len(passage)
print("6. The same characters, written down in zeros and ones")
print()
print("                                           digits   a character")
for label, n_bits in [
    ("promised by the loss", bits_by_logarithm),
    ("used by arithmetic coding", len(digits)),
    ("as a file, one byte a character", plain_bits),
    ("~ zlib, which has to learn from them alone", zlib_bits),
]:
    print(f"{label:<42} {n_bits:>6.0f} {n_bits / len(passage):>13.2f}")
print()
print(f"it begins {digits[:24]}…, and read again it is")
print(f"  {decoded[:40]!r}…")
print()
assert 0 <= len(digits) - bits_by_logarithm < 2

# %%
# That is what a compressed file is, and the model is a part of the program that packs
# and unpacks it. The better the model, the smaller the file: to predict and to compress
# are the same thing. (The comparison with zlib is not fair, since our model has learnt
# from 400 windows of the same manual, and zlib begins with nothing. It is here to give
# a feeling for the numbers.)


# %%
# Writing on past the block.
#
# Now let the model write, and go on writing. `generate` ends when the block is full:
# there is no embedding for a 17th position. What then? The model can go on if it
# forgets something. There are three ways to do that. We let each of them *read* a long
# held-out text, so that we can measure how surprised it is by each next character, and
# what that costs. Each way is a function that returns the logits for each place of the
# text: those from which the character at that place is to be guessed.
#
# 1. Slide. For every character, take BOS and the newest 15 characters, and run all of
#    them from an empty cache. The window slides along the text, one character at a
#    time. This is exactly what the model was trained for. But nothing is kept: all that
#    chapter 18 saved is lost.
# 2. Hop. Go on with the cache until the block is full. Then begin a new one with BOS
#    and the newest `kept` characters, run these, and go on from there.
# 3. Drop. Go on with the cache, and when it is full, delete the oldest character's key
#    and value from it, and put the new character at the last position. Nothing is run
#    twice. But chapter 18 (exercise 3) has shown what is wrong with it: a key and a
#    value contain the position at which they were made. After a while all of them, but
#    for those of BOS, were made at the last position, and nothing in them says any more
#    which character came before which.
#
# A run of the model costs the more, the more tokens are in view. The price list is
# counted in the graph, as in chapter 18.
def price_list():
    """Return {tokens in view: the multiplications of one run}."""
    prices = {}
    keys, values = empty_cache(config)
    for pos_id in range(BLOCK_SIZE):
        logits = gpt(params, config, tokenizer.bos, pos_id, keys, values)
        n_multiplied = 0
        for node in topological_order(total(logits)):
            if node.label == "dot":
                n_multiplied += len(node.inputs) // 2
        prices[pos_id + 1] = n_multiplied
        # The next run shall not count the work of this one: its key and value stay in
        # the cache as mere numbers.
        for cache in (keys[0], values[0]):
            cache[-1] = [Value(number.data) for number in cache[-1]]
    return prices


PRICES = price_list()
n_embd = config.n_embd
always = config.vocab_size * n_embd + 12 * n_embd**2 + 3 * n_embd
for n_in_view, price in PRICES.items():
    assert price == always + 2 * n_embd * n_in_view  # the formula of chapter 18

costs = Counter()  # "runs" and "multiplications" since the last costs.clear()


def run_token(token_id, keys, values):
    """Run one token after those in the cache; return the logits. Note the cost."""
    logits = gpt(floats, config, token_id, len(keys[0]), keys, values)
    costs["runs"] += 1
    costs["multiplications"] += PRICES[len(keys[0])]
    return logits


def run_window(token_ids):
    """Run BOS and these tokens from an empty cache; return (logits, keys, values)."""
    keys, values = empty_cache(config)
    for token_id in [tokenizer.bos, *token_ids]:
        logits = run_token(token_id, keys, values)
    return logits, keys, values


def slide(ids, in_view):
    """Return the logits for each place, with the newest `in_view` tokens in view."""
    logits_of_places = []
    for i in range(len(ids)):
        newest = ids[max(0, i - in_view) : i]
        logits, _, _ = run_window(newest)
        logits_of_places.append(logits)
    return logits_of_places


def hop(ids, kept):
    """Return the logits for each place; a full block begins anew with `kept` tokens."""
    logits, keys, values = run_window([])
    logits_of_places = [logits]
    for i in range(1, len(ids)):
        if len(keys[0]) == BLOCK_SIZE:
            logits, keys, values = run_window(ids[i - kept : i])
        else:
            logits = run_token(ids[i - 1], keys, values)
        logits_of_places.append(logits)
    return logits_of_places


def drop(ids):
    """Return the logits for each place; a full cache loses its oldest character."""
    logits, keys, values = run_window([])
    logits_of_places = [logits]
    for token_id in ids[:-1]:
        if len(keys[0]) == BLOCK_SIZE:
            del keys[0][1], values[0][1]  # number 0 is BOS, which has always been there
        logits_of_places.append(run_token(token_id, keys, values))
    return logits_of_places


WAYS = {
    "slide": (slide, {"in_view": BLOCK_SIZE - 1}),
    "hop, 8 kept": (hop, {"kept": 8}),
    "hop, 1 kept": (hop, {"kept": 1}),
    "drop": (drop, {}),
    "slide, 4 seen": (slide, {"in_view": 4}),
    "slide, 1 seen": (slide, {"in_view": 1}),
}
long_ids = tokenizer.encode("".join(held_out_windows)[:512])
runs_of_way, multiplications_of_way, seconds_of_way = {}, {}, {}
logits_of_way, nats_of_way, more_than_slide = {}, {}, {}
progress = Progress("ways to read on", len(WAYS), every=2, stream=sys.stderr)
for n_done, (way, (read, settings)) in enumerate(WAYS.items(), start=1):
    costs.clear()
    started = time.process_time()
    logits_of_way[way] = read(long_ids, **settings)
    seconds_of_way[way] = time.process_time() - started
    runs_of_way[way] = costs["runs"] / len(long_ids)
    multiplications_of_way[way] = costs["multiplications"] / len(long_ids)
    nats_of_way[way] = []
    for logits, token_id in zip(logits_of_way[way], long_ids):
        nats_of_way[way].append(cross_entropy(logits, token_id))
    more = [a - b for a, b in zip(nats_of_way[way], nats_of_way["slide"])]
    more_than_slide[way] = mean_and_error(windows_of(more, 64))
    progress.show(n_done)
progress.finish()


def mean_change(way):
    """Return by how much the surprise at a character differs from that of `slide`."""
    changes = []
    for nats, nats_of_slide in zip(nats_of_way[way], nats_of_way["slide"]):
        changes.append(abs(nats - nats_of_slide))
    return sum(changes) / len(changes)


print(f"7. Reading on past the block: {len(long_ids)} held-out characters")
print()
print("               for each character    surprise    loss in nats   loss less")
print("               runs  multiplications  changes by  a character    that of slide")
for way, nats in nats_of_way.items():
    loss, error = mean_and_error(windows_of(nats, 64))
    difference, difference_error = more_than_slide[way]
    row = f"{way:<13} {runs_of_way[way]:>5.2f} {multiplications_of_way[way]:>16,.0f}"
    row += f" {mean_change(way):>9.2f}    {loss:.3f} ± {error:.3f}"
    print(f"{row}  {difference:+.3f} ± {difference_error:.3f}")
print()
for way in ["slide", "hop, 8 kept"]:
    times = multiplications_of_way[way] / multiplications_of_way["drop"]
    times_seconds = seconds_of_way[way] / seconds_of_way["drop"]
    print(f"{way:<13} {times:5.1f} times the multiplications of drop")
    print(f"~             {times_seconds:5.1f} times its time")
print()

# Until the block is full for the first time, the first four have the same logits, to
# the last bit. Afterwards only slide has those of a run on the newest 15 characters.
# The logits of the two hops are exact as well, but with fewer characters in view. Those
# of drop are not: its keys and values were made at other positions.
for way in ["hop, 8 kept", "hop, 1 kept", "drop"]:
    assert logits_of_way[way][:BLOCK_SIZE] == logits_of_way["slide"][:BLOCK_SIZE], way
assert mean_change("drop") > 0

# %%
# Look at the cost first. To slide, every character runs the whole window again, so it
# costs as many runs as the block has places (a little less at the beginning, where the
# block is not full yet). To hop with 8 kept, half the window is run again, but only at
# every eighth character: that makes two runs for each. The larger the block, the more
# does it cost to slide. With GPT-2's block of 1,024, each new token would cost 1,024
# runs, and to hop with half the block kept would still cost two.
#
# And the loss? The column "surprise changes by" says how much the surprise at a single
# character differs from that of `slide`, up or down, on average. So the cheap ways do
# compute something else. But ups and downs cancel, and the mean loss hardly shows it.
# It is not the way with wrong positions, `drop`, that changes most: it still has all of
# the newest characters in view, while `hop` has fewer of them just after each hop. (Why
# 4 characters in view change the guesses more than a single one does, we do not know.)
#
# Do not compare the 2.456 of `slide` with the loss of section 3. This is another
# stretch of the text, and an easier one: windows, with a new beginning every 16
# characters, have 2.467 on it. So to slide is worth 0.01 here, no more.
#
# The last two rows help to see why. They slide too, with only the newest 4 characters
# in view, or with a single one, and lose nothing, or 0.03 nats. What stands further
# back does move the model's guesses, but after 400 windows it hardly makes them better.
# So this model loses nothing that we could measure by forgetting it, or by a cache with
# wrong positions.
#
# Is it different once a model does look back? We have tried it, not here, with all
# 1,148 windows, three passes over them, and two seeds. (It was done with the twin of
# our model in examples/pytorch, which computes the same, but faster.) The loss, less
# that of `slide`, in nats:
#
#     seed                     1                  2
#     slide, 1 seen     +0.173 ± 0.019     +0.289 ± 0.026
#     slide, 4 seen     -0.112 ± 0.025     no difference
#     hop, 8 kept       -0.052 ± 0.013     -0.015 ± 0.010
#     drop              +0.081 ± 0.016     +0.143 ± 0.023
#
# Such a model is better than letter pairs counted on the same windows, by 0.067 ± 0.023
# and 0.093 ± 0.022, and the first row says that it does look back. Now it costs
# something to drop. It still costs nothing to hop, and with the first seed it is even
# better to see less. Why, we do not know. One would expect that a model which makes
# good use of its whole block pays for a hop as well, since just after it half of that
# is missing. Ours are too small, or have read too little, to show it.
for way in ["hop, 8 kept", "drop"]:
    assert multiplications_of_way["slide"] > 5 * multiplications_of_way[way]
if is_manual:
    assert more_than_slide["slide, 1 seen"][0] < 0.05
    for way in ["hop, 8 kept", "hop, 1 kept", "drop"]:
        difference, error = more_than_slide[way]
        assert abs(difference) < 2 * error + 0.01, way


# %%
# So let it write, by sliding, with a temperature of 0.7. The first 16 characters must
# be those that `generate` writes with the same random numbers. There it ends, and we go
# on.
def write_on(n_characters, rng, temperature):
    """Return a text of so many characters, written with a window that slides."""
    ids = []
    while len(ids) < n_characters:
        logits, _, _ = run_window(ids[-(BLOCK_SIZE - 1) :])
        probs = token_probabilities(logits, temperature)
        [token_id] = rng.choices(range(config.vocab_size), weights=probs)
        if token_id != tokenizer.bos:  # BOS has hardly a chance: it was never asked for
            ids.append(token_id)
    return tokenizer.decode(ids)


written = write_on(240, random.Random(21), temperature=0.7)
within_block = generate(floats, config, tokenizer, random.Random(21), temperature=0.7)
print("8. Written past the block")
print()
print("generate, which ends when the block is full:")
print(f"  {within_block!r}")
print(f"with a window that slides, {len(written)} characters:")
for part in windows_of(written, 60):
    print(f"  {part!r}")
assert written.startswith(within_block)
if is_manual:
    assert len(within_block) == BLOCK_SIZE

# %%
# From a distance it looks a little like the manual: there are runs of letters with
# spaces between them, and here and there a line end or a quotation mark. From near it
# is nonsense, and that is what the table of section 3 has said: the model knows little
# more than which character follows which. More text helps, more passes and more
# parameters, and the way there is the same as here: windows, a loss in nats, and a
# window that slides.
#
# What production does. All of this. Many texts are joined to one, with a token such as
# "<|endoftext|>" between them, and cut into windows of thousands of tokens. Papers
# report a perplexity per token (chapter 20 says why it can be compared only between
# models with the same tokens), or bits a character or a byte. When the block is full, a
# chat program hops: it leaves out the oldest messages, or has them summed up, and runs
# the rest again. To drop is done as well, in models whose positions are relative, such
# as those of chapter 24.
#
# What is still missing: `gpt` takes one token at a time. When a text is read, or
# learnt, all its tokens are known beforehand, and they could all be run at once, in
# fewer and larger multiplications. On to chapter 22.
#
# Exercises (solutions and hints in ch21_solution.py):
# 1. By hand: a model gives the four characters of a text the probabilities 1/2, 1/4,
#    1/8 and 1/8. What is its loss in bits and in nats, and what is its perplexity? And
#    why is the mean of 2, 4, 8 and 8 not the perplexity?
# 2. The first character of a window is dear, because nothing is known before it. So let
#    the windows overlap by half, and count only the second half of each. What does this
#    cost, and by how much does the loss fall, for a table that looks back three?
# 3. To hop with `kept` of 1, 4, 8, 12 and 15 characters: how many runs does a character
#    cost? Find a formula, and count.
