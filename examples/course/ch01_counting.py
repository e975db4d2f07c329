"""Chapter 1. Counting: how well can a table of letter pairs guess the next letter?

This course starts from nothing but Python and ends with a GPT. A GPT is a *language
model*, and a language model answers a single question, over and over: given what came
so far, how likely is each thing that could come next? The text we use is a list of
first names, one of them "emma". After "emm", the next letter could well be an "a" and
will hardly be a "q". A good model knows that.

The simplest language model just counts. How often did an "i" come after an "m" in the
names that we learn from? That share is its answer from then on, for every "m" in every
name, even in names it has never seen. In this chapter we count, we find out what it
means for a guess to be good and put a number on it (the *loss*), and we see how far
counting can go.

How to read a chapter: from top to bottom, with what it prints beside it (run it, or
open ch01_counting.txt). The lines `# %%` cut it into cells, which many editors can run
one at a time. Pictures are saved in the folder out/; open them in a browser.

Before you run it: `python examples/learn.py 1` asks you for a few guesses first. If you
go without it, write down how many of the 27 possible next characters a good table will
still hesitate between, and whether looking back two letters will beat looking back one.

Source: Shannon, "A mathematical theory of communication", 1948, section 3, where tables
of letters and words are counted by hand, and used to write.
"""

# %%
import math
import random
from statistics import median

import common
from common import (
    ALL_TRAIN_NAMES,
    HELD_OUT_NAMES,
    TOKENIZER,
    TRAIN_NAMES,
    course_loss,
    loss_and_error,
    pairs,
    save_picture,
)

from microgpt.tools.draw import bars, heat_map

# The names come in two piles. From the first, 500 names, we learn. The second, another
# 500, is *held out*: nothing is ever learnt from it. It is there to find out whether
# what we learnt is true of names in general, or only of those 500 that we saw.
print("The names")
print(f"  to learn from: {len(TRAIN_NAMES)}, such as {', '.join(TRAIN_NAMES[:4])}")
print(
    f"  held out:      {len(HELD_OUT_NAMES)}, such as {', '.join(HELD_OUT_NAMES[:4])}"
)

# %%
# Programs calculate with numbers, so every character gets one: a is 1, b is 2, up to 26
# for z. Such a number is called a *token*. One more token, number 0, is no letter at
# all. It is called BOS, for "beginning of sequence", and it stands before each name and
# again after it: "mia" becomes BOS m i a BOS.
#
# Why before? So that there is something to guess the first letter from. Why after? So
# that the end of a name can be guessed like a letter: "the name ends here" is simply
# the guess that BOS comes next. So 27 things can come next: 26 letters, or the end.
#
# Each name is then a row of small questions. `pairs(name)`, from common.py, lists them:
# what is known so far (the *context*), and what really came next (the *target*).
#
# Of a long name, it asks for the first 8 characters only. Later chapters have models
# that can see no more than 8, and all models of this course shall be asked the same
# questions. The end counts as a character too, so a name of 8 letters or more is never
# asked where it ends. How many names are cut in this way is printed below.
BOS = TOKENIZER.bos
N_TOKENS = TOKENIZER.vocab_size


def spell(token):
    """Return the letter of a token, and "BOS" for token 0, which has none."""
    return "BOS" if token == BOS else TOKENIZER.decode([token])


print('\nThe questions in "mia"')
for context, target in pairs("mia"):
    known = " ".join([spell(token) for token in context])
    print(
        f"  after {known:<10} comes {spell(target):<3}   as tokens: {context}, {target}"
    )

n_cut = 0
for name in TRAIN_NAMES:
    _, last_target = pairs(name)[-1]
    if last_target != BOS:
        n_cut += 1
print(f"{n_cut} of the {len(TRAIN_NAMES)} names are cut before their end")

# %%
# Now we count. counts[13][9] is how often token 9, "i", came right after token 13, "m".
# Two tokens that follow each other are called a *bigram*, and this table of 27 rows and
# 27 columns is a *bigram table*. Row 0 holds what came after BOS: how names begin.
counts = [[0] * N_TOKENS for _ in range(N_TOKENS)]
n_questions = 0
for name in TRAIN_NAMES:
    for context, target in pairs(name):
        counts[context[-1]][target] += 1
        n_questions += 1

print(f"\n{n_questions:,} questions counted")
for letter, next_letter in ["mi", "za", "qu"]:
    row = counts[TOKENIZER.encode(letter)[0]]
    times = row[TOKENIZER.encode(next_letter)[0]]
    print(
        f'  after "{letter}", something came {sum(row)} times, '
        f'and {times} times it was "{next_letter}"'
    )

# Here is the whole table. Each row is one letter, and the colours in it say what share
# of the time each other letter came next. What is there to see? One column is dark
# nearly from top to bottom, that of "a", and two more in most rows, those of "e" and
# "i": vowels follow almost any consonant. The first column says how often the name ends
# there (for the names that are not cut). And some rows have one square that is darker
# than all others: "a" after "z", for instance. Do not trust every dark square, though.
# A share does not show how often it was counted: "u" is half of what came after "q",
# but that is 2 of 4.
tokens = range(N_TOKENS)
names_of_tokens = [spell(token) for token in tokens]
shares = [[count / max(1, sum(row)) for count in row] for row in counts]
svg = heat_map(
    shares,
    row_labels=names_of_tokens,
    column_labels=names_of_tokens,
    title="Which letter follows which? (counted in 500 names)",
    row_axis="after",
    column_axis="comes (BOS: the name ends)",
    unit="share of the row",
)
save_picture("ch01_counting.svg", svg)

# %%
# A share can be read as a probability: if 27 of 112 letters after "m" were "i", then
# after the next "m" we expect an "i" with probability 27 / 112. Here are the five
# likeliest letters after "m".
m, i = TOKENIZER.encode("mi")
row_of_m = counts[m]
times_m = sum(row_of_m)
likeliest = sorted(tokens, key=lambda token: row_of_m[token], reverse=True)[:5]
print('\nAfter "m", in percent')
print(bars([(spell(token), row_of_m[token] / times_m) for token in likeliest]))

# %%
# How good is such an answer? Suppose the next letter really was "i". A model that gave
# "i" a high probability did well; one that gave it a low one did badly. We turn this
# into a number that is called *surprise*:
#
#     surprise = -log(p) = log(1 / p), where p is the probability that the model gave
#                                      to what really came
#
# (Its longer name is negative log-likelihood.) It is 0 if the model was certain and
# right, since log(1) = 0, and it grows as the probability shrinks, without limit. With
# the natural logarithm, as here, its unit is called the *nat*.
print("\nprobability given to what really came   surprise")
for probability in [1.0, 0.5, row_of_m[i] / times_m, 1 / 27, 0.001]:
    print(f"{probability:37.3f}   {math.log(1 / probability):.3f} nats")

# Why the logarithm? Because the probability of a whole name is a product, one factor
# for each question in it, and the log of a product is a sum. So the surprise at a name
# is the sum of the surprises at its letters, and it makes sense to speak of the mean
# surprise at a letter. We check that for "mia".
probability_of_mia = 1.0
surprise_at_mia = 0.0
for context, target in pairs("mia"):
    counted_row = counts[context[-1]]
    probability = counted_row[target] / sum(counted_row)
    probability_of_mia *= probability
    surprise_at_mia += -math.log(probability)
print('\nThe whole name "mia"')
print(f"  the four probabilities multiplied: {probability_of_mia:.6f}")
print(f"  -log of that:                      {-math.log(probability_of_mia):.3f} nats")
print(f"  the four surprises added up:       {surprise_at_mia:.3f} nats")
assert abs(surprise_at_mia + math.log(probability_of_mia)) < 1e-12

# %%
# The mean surprise over many letters is called the *loss* of a model: the smaller, the
# better the model. A loss of 2 nats does not tell you much yet. So we also give the
# *perplexity*, exp(loss), which can be read aloud: a perplexity of 7 means that the
# model is as unsure as if it had to choose evenly among 7 letters.
#
# Take a model that knows nothing, and gives each of the 27 tokens the probability 1/27.
# Whatever comes, its surprise is -log(1/27) = log(27), so that is its loss as well. Its
# perplexity must be 27, and it is. Every model should beat this one.
blind_loss = math.log(27)
print("\nA blind guess")
print(f"  loss {blind_loss:.3f} nats, perplexity {math.exp(blind_loss):.1f}")

# %%
# Before we can ask our table about held-out names, there is a hole to mend. Some pairs
# of letters never occurred in the 500 names, so the table calls them impossible. If one
# of them does come up in a held-out name, its surprise is -log(0): infinite, and so is
# the mean. Does that happen?
never_counted = []
for name in HELD_OUT_NAMES:
    for context, target in pairs(name):
        if counts[context[-1]][target] == 0:
            never_counted.append(spell(context[-1]) + " " + spell(target))
print("\nPairs in held-out names that were never counted")
print(
    f"  {len(never_counted)} of them, the first three: {', '.join(never_counted[:3])}"
)
assert never_counted

# What we have not seen is not impossible, it is only rare. The oldest remedy is to
# pretend that every pair was seen once more than it was. This is called *add-one
# smoothing* (after Laplace). A row then has 27 made-up counts on top of its real ones.
#
# Here is the table as a class. It can look back any number of letters, `n_back`,
# because we will want to compare. With n_back = 2 it is a table of *trigrams*: how
# often did "a" come after "m i"? Its rows are kept in a dictionary, since half of the
# 27 * 27 possible rows never occur. Before a name begins there is nothing, so we repeat
# BOS there.


class LetterTable:
    """Counts what comes after each window of n_back letters, and answers by share."""

    def __init__(self, names, n_back, extra=1.0):
        self.n_back = n_back
        self.extra = extra  # how often everything counts as seen before we begin
        self.rows = {}  # a list of 27 counts for each window that occurs
        for name in names:
            for context, target in pairs(name):
                window = self.window(context)
                if window not in self.rows:
                    self.rows[window] = [0] * N_TOKENS
                self.rows[window][target] += 1

    def window(self, context):
        """Return the last n_back tokens, with BOS repeated where the name is short."""
        padded = [BOS] * self.n_back + context
        # Not [-self.n_back :]: with n_back = 0 that is [-0:], which takes everything.
        return tuple(padded[len(padded) - self.n_back :])

    def probability(self, context, target):
        """Return the smoothed share of target among what came after the window."""
        row = self.rows.get(self.window(context), [0] * N_TOKENS)
        return (row[target] + self.extra) / (sum(row) + N_TOKENS * self.extra)

    def nats(self, name):
        """Return the surprise at each character of the name, as a list."""
        surprises = []
        for context, target in pairs(name):
            surprises.append(-math.log(self.probability(context, target)))
        return surprises


# (Later chapters compare with these tables, so common.py has the same class.)
bigram = LetterTable(TRAIN_NAMES, n_back=1)
print('\nThe bigram table, asked about "mia"')
for (context, target), surprise in zip(pairs("mia"), bigram.nats("mia")):
    print(f"  {spell(context[-1]):<3} then {spell(target):<3}  {surprise:.3f} nats")

# %%
# Now the measure that this whole course uses: the mean surprise at every character of
# the 500 held-out names (of the characters that `pairs` asks for). `course_loss`, from
# common.py, asks `bigram.nats` for each name and takes the mean.
#
# We try tables that look back 0, 1, 2 and 3 letters. With 0 the table knows only how
# common each letter is. How many different windows were seen, and how many questions
# were counted for each of them on average? What is the loss on the very names that were
# counted, and what on the held-out names? The last is what we care about.
table_of_losses = {}
own_losses = {}
print("\nletters   windows   counts for   loss on the     loss on     perplexity")
print("looked at    seen    a window   names counted   held-out   on held-out")
for n_back in [0, 1, 2, 3]:
    table = LetterTable(TRAIN_NAMES, n_back)
    own_losses[n_back] = course_loss(table.nats, TRAIN_NAMES)
    table_of_losses[n_back] = course_loss(table.nats)
    print(
        f"{n_back:9} {len(table.rows):7,} {n_questions / len(table.rows):11,.1f} "
        f"{own_losses[n_back]:15.3f} {table_of_losses[n_back]:10.3f} "
        f"{math.exp(table_of_losses[n_back]):12.1f}"
    )
bigram_loss = table_of_losses[1]
assert bigram_loss == course_loss(common.LetterTable(TRAIN_NAMES, n_back=1).nats)
trigram_loss = table_of_losses[2]
assert bigram_loss == min(table_of_losses.values())

# One letter of context brings the perplexity from 18.7 to 13.9. Two and three letters
# make it worse again. Why, when more context should tell us more? We go through the
# held-out names once more, and keep two kinds of questions apart: those whose triple
# (the last two letters and the right answer) was counted at least once in our 500
# names, and those whose triple never was. Beside the two tables that we have stands a
# third: trigrams with only 0.1 added to every count instead of 1.
#
# (`ALL_TRAIN_NAMES` are all the names that are not held out. Our 500 are the first of
# them.)
trigram = LetterTable(TRAIN_NAMES, n_back=2)
trigram_less_smoothed = LetterTable(TRAIN_NAMES, n_back=2, extra=0.1)


def triples_in(names):
    """Return the set of triples (two tokens of context and a target) in the names."""
    triples = set()
    for name in names:
        for context, target in pairs(name):
            triples.add((*trigram.window(context), target))
    return triples


triples_counted = triples_in(TRAIN_NAMES)
triples_in_all = triples_in(ALL_TRAIN_NAMES)
print("\nDifferent triples")
print(f"  in the {len(TRAIN_NAMES)} names counted: {len(triples_counted):,}")
print(f"  in all {len(ALL_TRAIN_NAMES):,} names to learn from: {len(triples_in_all):,}")


def sort_surprises(table):
    """Return the surprises where the triple was counted, where not, and all."""
    counted = []
    never_counted = []
    for name in HELD_OUT_NAMES:
        for (context, target), surprise in zip(pairs(name), table.nats(name)):
            if (*trigram.window(context), target) in triples_counted:
                counted.append(surprise)
            else:
                never_counted.append(surprise)
    return counted, never_counted, counted + never_counted


def mean(numbers):
    return sum(numbers) / len(numbers)


kinds = ["the triple was counted", "it was never counted", "all"]
of_bigrams = dict(zip(kinds, sort_surprises(bigram)))
of_trigrams = dict(zip(kinds, sort_surprises(trigram)))
of_less_smoothed = dict(zip(kinds, sort_surprises(trigram_less_smoothed)))
print("\nLoss on held-out names    questions   bigrams   trigrams    trigrams,")
print("                                      1 added    1 added   0.1 added")
for kind in kinds:
    print(
        f"  {kind:23} {len(of_bigrams[kind]):10,} {mean(of_bigrams[kind]):9.3f} "
        f"{mean(of_trigrams[kind]):10.3f} {mean(of_less_smoothed[kind]):11.3f}"
    )

# With 1 added, the trigrams lose. How much of that comes from which kind of question?
n_questions_held_out = len(of_bigrams["all"])
print(f"with 1 added, trigrams lose by {trigram_loss - bigram_loss:.3f} nats, of which")
for kind in kinds[:2]:
    nats_lost = sum(of_trigrams[kind]) - sum(of_bigrams[kind])
    print(f"  {nats_lost / n_questions_held_out:.3f} where {kind}")
assert mean(of_trigrams[kinds[0]]) > mean(of_bigrams[kinds[0]])
assert mean(of_less_smoothed[kinds[0]]) < mean(of_bigrams[kinds[0]])
assert mean(of_less_smoothed[kinds[1]]) > mean(of_trigrams[kinds[1]])

# And how much has the trigram table to go by? We look up, for each held-out question,
# how often its window of two letters was counted.
times_counted = []
for name in HELD_OUT_NAMES:
    for context, _ in pairs(name):
        row = trigram.rows.get(trigram.window(context), [0] * N_TOKENS)
        times_counted.append(sum(row))
n_rare = len([times for times in times_counted if times < N_TOKENS])
share_rare = n_rare / n_questions_held_out
print("How often the window of two letters behind a question was counted")
print(f"  mean {mean(times_counted):.0f}, median {median(times_counted):.0f}")
print(f"  less often than {N_TOKENS} times: in {share_rare:.0%} of the questions")
assert 0.5 < share_rare < 0.6

# So there are two reasons. The first is in the second row of the table: a quarter of
# the questions have a triple that the table never saw. Of the 7,089 different triples
# in all the names our 500 have only a fifth, though these are the common ones. About a
# new triple the trigram table knows nothing, while the bigram table has mostly seen the
# pair.
#
# The second reason is in the first row: even where the triple *was* counted, the
# trigrams do worse than the bigrams. That is the work of our smoothing. To the real
# counts of every window we add 27 made-up ones, which say that everything is equally
# likely. For a common window that does little harm. But behind more than half of the
# questions stands a rare one, with fewer than 27 real counts, and there the made-up
# ones drown them. With 0.1 instead of 1 we add only 2.7, and now the trigrams are much
# better, on average, where the triple was counted. But nothing is free: probabilities
# add up to 1, so what the counted triples gain, the new ones lose. On all questions
# together, the bigrams are still ahead.
#
# Did you notice something odd in the table before? From two letters to three, the loss
# rose even on the very names that were counted, though these hold no triple that is new
# to the table. That is smoothing again: there are 27 made-up counts for a window of
# three letters too, and the real ones are fewer still. With 0.1 added, the loss on the
# names counted falls as it should.
print("\nLoss on the names counted   1 added   0.1 added")
for n_back in [1, 2, 3]:
    table = LetterTable(TRAIN_NAMES, n_back, extra=0.1)
    own_loss = course_loss(table.nats, TRAIN_NAMES)
    print(f"  looking back {n_back} {own_losses[n_back]:18.3f} {own_loss:11.3f}")

# %%
# Both reasons come down to the same thing, too few names: too few to have seen most
# triples, and too few to outweigh what we made up. Then with all the names that there
# are, 75 times as many, the trigram table should win, even with 1 added. It does, and
# clearly.
many_bigrams = LetterTable(ALL_TRAIN_NAMES, n_back=1)
many_trigrams = LetterTable(ALL_TRAIN_NAMES, n_back=2)
many_bigram_loss = course_loss(many_bigrams.nats)
many_trigram_loss = course_loss(many_trigrams.nats)
print(f"\nCounted on {len(ALL_TRAIN_NAMES):,} names instead of {len(TRAIN_NAMES)}")
print(f"  looking back one letter:  {many_bigram_loss:.3f} nats")
print(f"  looking back two letters: {many_trigram_loss:.3f} nats")
assert many_trigram_loss < many_bigram_loss < bigram_loss

# %%
# So this is our first model, and the one to beat: bigrams from 500 names. How sure is
# its number? Had we held out 500 other names, it would have come out a little
# differently. The *standard error*, after the ±, says by how much, typically. It is
# computed from how much the 500 names differ among themselves: the more they do, the
# more it matters which of them we happened to hold out. (Chapter 19 has the formula.)
loss, error = loss_and_error(bigram.nats)
print(f"\nloss per character: {loss:.3f} ± {error:.3f} (nats, letter pairs counted)")
print(f"  a perplexity of {math.exp(loss):.1f}")

# %%
# A language model can also write. Start at BOS. Look at the row of the last token, and
# choose the next one at random, each with its probability, as if rolling a die with 27
# sides of different sizes. Stop when BOS comes up. Choosing in this way is called
# *sampling*.


def write_name(rng):
    """Return a new name, sampled letter by letter from the counts of letter pairs."""
    token = BOS
    written = []
    while True:
        [token] = rng.choices(tokens, weights=counts[token])
        if token == BOS:
            return TOKENIZER.decode(written)
        written.append(token)


rng = random.Random(1)
print("\nNames that the table writes")
for _ in range(6):
    print("  " + write_name(rng))

# They look a little like names: each pair of neighbours is one that occurs. But the
# model forgets everything before the last letter, so it does not know how long the name
# already is, or whether it has had a vowel yet.

# %%
# What production does. Tables of up to five words, counted on billions of them and
# smoothed more cleverly, were the best language models until about 2010, in speech
# recognition, translation and the keyboards of phones. They always needed more text.
#
# What is still missing. What a table learns about "ma" tells it nothing about "na".
# Each row stands for itself, and each longer context starts again from nothing. To
# share what it learns, a model needs numbers that play a part in many answers at once,
# and those cannot be found by counting. They have to be adjusted, a little at a time.
# How do you adjust a number without knowing what it should be? That is the next
# chapter.
#
# Exercises. Hints and solutions are in ch01_solution.py.
# 1. Which letter begins the most names, and which ends the most? Read it off `counts`.
#    One of the two numbers is too small. Which, and by how much?
# 2. Try other sizes of `extra`, from 10 down to 0.01, with tables that look back one,
#    two and three letters. Which size is best on held-out names? Is there one with
#    which looking back two letters beats looking back one?
# 3. Mix two tables: 0.7 times the bigram's probability plus 0.3 times the trigram's
#    (the trigram's with extra=0.1). Is the mixture better than both?
