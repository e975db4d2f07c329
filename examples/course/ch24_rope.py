"""Chapter 24. Rotary positions: how can a score depend on the distance alone?

Attention has to be told where the letters stand, or "lena" and "nela" are the same to
it. Since chapter 10 we have told it in one way: every place has an embedding of its
own, a row of the table wpe, and this row is added to the letter's embedding. It works,
and it has two weaknesses. "Look three letters back" has to be learnt for each place
separately: from place 5 to place 2, from place 6 to place 3, and so on. And a place
beyond the end of the table, or one that no text in training reached, has no row that
anybody has taught. The model is lost there.

What we would like to have is a score that depends on the *distance* between two tokens,
and not on the two places. This chapter looks for one, and finds it in an unexpected
corner of school mathematics: turn a list of numbers like the hand of a clock, the
further the later it stands. The field calls it *rotary position embedding*, or RoPE,
and most models that are published today have it.

We derive it for two numbers, then for as many as an attention head has, and build it
into the GPT that you know. Then we shift a text by five places and see which scores
change. Last, two tests: a task that asks for "three letters back", in texts that get
much longer than any in training, and the names.

Before you run it: `python examples/learn.py 24` asks you for a few guesses first. If
you go without it, write down how often each model will be right at places that it has
never seen in training, the one with learned positions and the one with RoPE.

Paper: Su et al., "RoFormer: enhanced transformer with rotary position embedding", 2021.
"""

# %%
import math
import random
import sys
from itertools import product

from common import (
    ALL_HELD_OUT_NAMES,
    BLOCK_SIZE,
    HELD_OUT_NAMES,
    TOKENIZER,
    TRAIN_NAMES,
    difference_and_error,
    loss_and_error,
    mean_and_error,
    save_picture,
)

from microgpt import (
    Adam,
    GPTConfig,
    as_floats,
    cross_entropy,
    dot,
    empty_cache,
    flatten,
    gpt,
    init_params,
    linear,
    mlp,
    rmsnorm,
    softmax,
    total,
)
from microgpt.model import add
from microgpt.tools.draw import Line, heat_map, line_chart, side_by_side
from microgpt.tools.terminal import Progress
from microgpt.training import collector_paused

# %%
# What is a score made of today? Let an "m" look at an "e". Call the embeddings of the
# two letters `m` and `e`, and those of their two places `p` and `r`. What attention
# works with are the sums m + p and e + r. To keep it short, let these sums themselves
# be the query and the key, and leave out the scale of chapter 10, which is a fixed
# number. Then the score is the dot product of (m + p) and (e + r), and it has four
# parts:
#
#     m·e  +  m·r  +  p·e  +  p·r
#
# The first is about the two letters. The others contain the places, `p` and `r`, as two
# lists of learnt numbers. Nothing in them is about the distance. If the same two
# letters stand five places further on, three of the four parts become something else.
rng = random.Random(24)


def random_vector(n):
    """Return n random numbers, about 1 in size."""
    return [rng.gauss(0, 1) for _ in range(n)]


letter_m, letter_e = random_vector(4), random_vector(4)
embedding_of_place = [random_vector(4) for _ in range(16)]


def score_with_added_places(query_place, key_place):
    """Return the score of m looking at e, with random embeddings of places."""
    q = add(letter_m, embedding_of_place[query_place])
    k = add(letter_e, embedding_of_place[key_place])
    return dot(q, k)


print("1. Places that are added: the same two letters, always two places apart")
print("   query at   key at    score")
added_scores = []
for query_place in [2, 3, 7, 12]:
    score = score_with_added_places(query_place, query_place - 2)
    added_scores.append(score)
    print(f"   {query_place:8} {query_place - 2:8} {score:8.3f}")
assert max(added_scores) - min(added_scores) > 1

# Training can find rows for wpe with which these numbers become more alike. It has to
# find them row by row.

# %%
# Two numbers are an arrow. Take a query with only two numbers, (a, b). Draw it on paper
# as an arrow from (0, 0) to the point (a, b). It has a length, and it has a direction,
# which we measure as an *angle* from the x axis, anticlockwise. We measure angles as
# mathematicians do, in *radians*: a full turn is 2π = 6.283, and a quarter turn 1.571.
# An arrow with length Q and angle α ends at the point (Q * cos α, Q * sin α).
#
# Why should we care? Because of what the dot product of two arrows is. Let the query
# have length Q and angle α, and the key length K and angle β:
#
#     dot = (Q cos α) * (K cos β) + (Q sin α) * (K sin β)
#         = Q * K * (cos α cos β + sin α sin β)
#         = Q * K * cos(α - β)
#
# The last step is a formula from school, the cosine of a difference. Let us try it.
query_arrow, key_arrow = (3.0, 1.0), (1.0, 2.0)
product_of_lengths = math.hypot(*query_arrow) * math.hypot(*key_arrow)
query_angle = math.atan2(query_arrow[1], query_arrow[0])  # the angle of an arrow
key_angle = math.atan2(key_arrow[1], key_arrow[0])
by_angles = product_of_lengths * math.cos(query_angle - key_angle)
print("\n2. Two arrows, (3, 1) and (1, 2)")
print(f"   dot product                             {dot(query_arrow, key_arrow):.3f}")
print(f"   lengths times cosine of the difference  {by_angles:.3f}")
assert abs(by_angles - dot(query_arrow, key_arrow)) < 1e-12

# So a dot product knows nothing of the two angles but their *difference*. And a
# difference is what we are looking for! Two tokens at the places i and j have the
# distance i - j. If we add the place to the angle, the query's place to the query's
# angle and the key's to the key's, then the difference of the angles becomes
# (α + i) - (β + j) = (α - β) + (i - j). The distance has entered the score, and neither
# of the places has entered it by itself.
#
# To add something to the angle of an arrow is to turn the arrow, which is also called a
# *rotation*. Hence the name, rotary.


def turn(a, b, angle):
    """Return the arrow (a, b) turned by an angle, anticlockwise: two numbers."""
    cos, sin = math.cos(angle), math.sin(angle)
    return [a * cos - b * sin, a * sin + b * cos]


# Where do these two formulas come from? With length Q and angle α, the arrow (a, b) is
# (Q cos α, Q sin α). After the turn it is (Q cos(α + angle), Q sin(α + angle)). School
# has formulas for the cosine and the sine of a sum:
#
#     Q cos(α + angle) = Q cos α cos(angle) - Q sin α sin(angle) = a * cos - b * sin
#     Q sin(α + angle) = Q cos α sin(angle) + Q sin α cos(angle) = a * sin + b * cos
#
# Nothing is learnt here. cos and sin are plain numbers that depend on the place only.
# In the graph of Values a turn is four multiplications, one difference and one sum.
print("\n   Turning the arrow (3, 1)")
print("   by         becomes            its length")
for what, angle in [("nothing", 0.0), ("a quarter", math.pi / 2), ("1 radian", 1.0)]:
    turned_a, turned_b = turn(3.0, 1.0, angle)
    length = math.hypot(turned_a, turned_b)
    print(f"   {what:<10} ({turned_a:6.3f}, {turned_b:6.3f})   {length:.3f}")
    assert abs(length - math.hypot(3, 1)) < 1e-12

# The length stays: a turn does not make a key more or less important than it was.

# %%
# Now let the query and the key of two numbers be turned by 1 radian for each place at
# which they stand, and look at the scores again.
QUERY, KEY = (1.0, 0.5), (0.8, -0.6)


def score_with_turns(query_place, key_place, speed=1.0):
    """Return the score if both arrows are turned by speed radians for each place."""
    q = turn(*QUERY, speed * query_place)
    k = turn(*KEY, speed * key_place)
    return dot(q, k)


print("\n3. Places that turn: the same query and key")
print("   query at   key at   distance    score")
turned_scores = {}
for distance in [2, 3]:
    for key_place in [0, 1, 5, 100]:
        query_place = key_place + distance
        score = score_with_turns(query_place, key_place)
        turned_scores[query_place, key_place] = score
        print(f"   {query_place:8} {key_place:8} {distance:10} {score:8.3f}")
for (query_place, key_place), score in turned_scores.items():
    distance = query_place - key_place
    assert abs(score - score_with_turns(distance, 0)) < 1e-12

# The four scores at distance 2 are equal, and so are the four at distance 3. Here are
# all pairs of places as two pictures. In the second one every diagonal, from the upper
# left to the lower right, has a single colour, because on a diagonal the distance stays
# the same.
PLACES = range(8)
maps = []
for title, score_of, unit in [
    ("Places that are added", score_with_added_places, "score of the same two letters"),
    ("Places that turn", score_with_turns, "score of the same query and key"),
]:
    rows = []
    for query_place in PLACES:
        row = []
        for key_place in PLACES:
            is_past = key_place <= query_place
            row.append(score_of(query_place, key_place) if is_past else None)
        rows.append(row)
    svg = heat_map(
        rows,
        row_labels=[str(place) for place in PLACES],
        column_labels=[str(place) for place in PLACES],
        title=title,
        row_axis="query at",
        column_axis="key at",
        unit=unit,
        diverging=True,
        digits=1,
    )
    maps.append(svg)
save_picture("ch24_scores.svg", side_by_side(maps, columns=1))

# %%
# One speed is not enough. An arrow that turns by 1 radian a place has come round after
# 6.283 places, and begins again. To it, a key 44 places back looks almost like one that
# stands right here, since 44 / 6.283 is almost exactly 7 turns. An arrow that turns a
# hundred times more slowly comes round only after 628 places, but it hardly notices
# whether a key is one place back or two.
#
# A clock has the same problem, and its solution is to have several hands: one for the
# seconds, one for the minutes, one for the hours. RoPE does that. An attention head has
# head_dim numbers, 8 for instance. They are taken two at a time, which makes 4 arrows,
# and each arrow gets a *speed* of its own, in radians a place. The first one has speed
# 1, and each is slower than the one before it by the same factor:
#
#     speed of arrow i = base ** (-2 * i / head_dim)          base = 10,000
#
# The base is not learnt; it is chosen, once. 10,000 is the number in the paper.
BASE = 10_000.0


def speeds(head_dim, base=BASE):
    """Return by how many radians each arrow turns from one place to the next."""
    return [base ** (-2 * i / head_dim) for i in range(head_dim // 2)]


print("\n4. A head of 8 numbers: four arrows, base 10,000")
print("   arrow    speed   comes round after   one place off costs")
for i, speed in enumerate(speeds(8)):
    one_place = 1 - math.cos(speed)
    places = 2 * math.pi / speed
    print(f"   {i:5} {speed:8.3f} {places:12,.0f} places {one_place:16.7f}")
assert abs(math.cos(44) - 1) < 0.001

# The last column takes an arrow that fits exactly, so that its part of the score is
# cos(0) = 1, and says by how much this falls if the key stands one place further away.
# The first arrow sees that clearly, the last one does not see it at all. In return the
# last one does not come round within thousands of places.
#
# Together they can say "three places back". Suppose that the arrows of a query and a
# key all have length 1, and that at distance 3 each of the key's arrows points the same
# way as the query's. Then each adds a 1 to the score there, and the mean of the four is
# 1. At every other distance some hand of the clock is off.
DISTANCES = range(100)


def part_of_score(speed, distance):
    """Return what an arrow adds to the score if it fits exactly at distance 3."""
    return math.cos(speed * (distance - 3))


lines = []
for speed in [1.0, 0.1]:
    points = [(distance, part_of_score(speed, distance)) for distance in DISTANCES]
    lines.append(Line(f"an arrow with speed {speed:g}", points, "pale"))
all_together = []
for distance in DISTANCES:
    parts = [part_of_score(speed, distance) for speed in speeds(8)]
    all_together.append((distance, sum(parts) / len(parts)))
lines.append(Line("the mean of all four arrows", all_together))
svg = line_chart(
    lines,
    title="A query that looks for the key three places back",
    x_label="distance from the query back to the key",
    y_label="score (1: it fits exactly)",
)
save_picture("ch24_speeds.svg", svg)
highest_first = sorted(all_together, key=lambda point: -point[1])
print("   the three highest of the mean of all four arrows, below distance 100:")
for distance, score in highest_first[:3]:
    print(f"   at distance {distance:2}: {score:.3f}")
best_distance = highest_first[0][0]
assert best_distance == 3
lead = 10 * (highest_first[0][1] - highest_first[1][1])
factor = math.exp(lead)
second_distance = highest_first[1][0]
print("   with scores ten times as large:")
print(f"   3 is ahead of {second_distance} by {lead:.2f} in the score,")
print(f"   and gets {factor:.1f} times the attention that {second_distance} gets")

# The highest point is at 3. But there are others that come close, where the fast arrow
# has come round. If the arrows are long, being ahead counts for more. With scores ten
# times as large, distance 3 is ahead of the second best by ten times as much, and
# softmax takes exp of the scores: exp(0.52) is the 1.7 of the last line. Keep these
# other peaks in mind. They come back further down.

# %%
# Which two numbers make an arrow? There are two customs, and you will meet both.
#
# - *Neighbours*: numbers 0 and 1 are the first arrow, 2 and 3 the second, and so on. So
#   it is in the paper, and in the code that Meta published with Llama.
# - *Halves*: the list is cut in the middle. Number 0 of the first half and number 0 of
#   the second are the first arrow, then number 1 of each, and so on. So it is in the
#   library "transformers" of Hugging Face, from which most people take their models.


def rope_neighbours(x, pos_id, base=BASE):  # (head_dim) -> (head_dim)
    """Return x turned for its place: numbers 0 and 1 are an arrow, then 2 and 3, …."""
    turned = []
    for i, speed in enumerate(speeds(len(x), base)):
        turned += turn(x[2 * i], x[2 * i + 1], speed * pos_id)
    return turned


def rope_halves(x, pos_id, base=BASE):  # (head_dim) -> (head_dim)
    """Return x turned for its place: one number of each half of x makes an arrow."""
    half = len(x) // 2
    first_half, second_half = [], []
    for i, speed in enumerate(speeds(len(x), base)):
        a, b = turn(x[i], x[half + i], speed * pos_id)
        first_half.append(a)
        second_half.append(b)
    return first_half + second_half


# Does it matter which one is used? To a model that is trained, no: it learns what to
# put where. The two even compute the same scores, if one first puts the numbers of q
# and k into another order. Take those with even numbers first, 0, 2, 4, 6, and then the
# others, 1, 3, 5, 7; what were neighbours are then partners in two halves.
def evens_first(x):
    """Return the numbers 0, 2, 4, … of x, followed by the numbers 1, 3, 5, …."""
    return x[0::2] + x[1::2]


q, k = random_vector(8), random_vector(8)
with_neighbours = dot(rope_neighbours(q, 9), rope_neighbours(k, 4))
reordered = dot(rope_halves(evens_first(q), 9), rope_halves(evens_first(k), 4))
mixed_up = dot(rope_halves(q, 9), rope_halves(k, 4))
print("\n5. Two customs: a query of 8 numbers at place 9, a key at place 4")
print(f"   neighbours                               {with_neighbours:8.4f}")
print(f"   halves, the numbers put into order first {reordered:8.4f}")
print(f"   halves, with the numbers as they are     {mixed_up:8.4f}")
assert abs(with_neighbours - reordered) < 1e-12
assert abs(with_neighbours - mixed_up) > 0.1

# But it matters very much to whoever loads a model that others have trained. Turn the
# wrong pairs, and no error is raised, but every score is wrong, as in the last line.
# When Llama was brought from Meta's form to that of Hugging Face, the rows of attn_wq
# and attn_wk were put into the new order, head by head, as `evens_first` does it here.


# %%
# Into the model. Where does the turn belong? Into attention, between the moment when
# query and key are computed and the moment when they meet. Each head's slice is turned
# by itself. The value is not turned: it is what a token hands over once it has been
# found, and that should be the same wherever the token stands.
#
# `attention_with` is `attention` from microgpt/model.py with these two turns, and it
# gives the scores back, so that we can look at them. How to turn is an argument:
# `rope_neighbours`, `rope_halves`, or `not_turned`, with which it is the old attention.
def not_turned(x, pos_id):
    """Return x as it is, wherever it stands."""
    return x


def turn_each_head(x, pos_id, head_dim, how_to_turn):  # (n_embd) -> (n_embd)
    """Return a query or a key with the slice of each head turned for its place."""
    result = []
    for first in range(0, len(x), head_dim):
        head_slice = x[first : first + head_dim]
        result += how_to_turn(head_slice, pos_id)
    return result


def attention_with(how_to_turn, x, pos_id, params, config, layer, keys, values):
    """Return (what this token gathers, the scores of each head with all tokens)."""
    head_dim = config.head_dim
    q = linear(x, params[f"layer{layer}.attn_wq"])
    k = linear(x, params[f"layer{layer}.attn_wk"])
    v = linear(x, params[f"layer{layer}.attn_wv"])
    q = turn_each_head(q, pos_id, head_dim, how_to_turn)
    k = turn_each_head(k, pos_id, head_dim, how_to_turn)
    keys[layer].append(k)  # turned once, for its own place, and kept like that
    values[layer].append(v)
    gathered, scores_of_heads = [], []
    for h in range(config.n_head):
        head = slice(h * head_dim, (h + 1) * head_dim)
        scores = [dot(q[head], k_t[head]) * head_dim**-0.5 for k_t in keys[layer]]
        weights = softmax(scores)
        columns = zip(*[v_t[head] for v_t in values[layer]])
        gathered += [dot(weights, column) for column in columns]
        scores_of_heads.append(scores)
    return linear(gathered, params[f"layer{layer}.attn_wo"]), scores_of_heads


# The cache of chapter 18 needs no change. A key is turned when it is made, and then it
# can stay as it is for ever, because its place does not change.
#
# And the model: `gpt` with this attention. If there is no wpe among the parameters,
# nothing is added to the embedding of the letter.
def gpt_with(how_to_turn, params, config, token_id, pos_id, keys, values):
    """Return (the logits, the scores: those of each layer, for each head)."""
    x = params["wte"][token_id]
    if "wpe" in params:
        x = add(x, params["wpe"][pos_id])
    x = rmsnorm(x)
    scores_of_layers = []
    for layer in range(config.n_layer):
        found, scores = attention_with(
            how_to_turn, rmsnorm(x), pos_id, params, config, layer, keys, values
        )
        scores_of_layers.append(scores)
        x = add(x, found)
        x = add(x, mlp(rmsnorm(x), params, layer))
    return linear(x, params["lm_head"]), scores_of_layers


def run_text(how_to_turn, params, config, tokens, first_place=0):
    """Return (the logits after each token, the scores at each), from a new cache."""
    keys, values = empty_cache(config)
    logits, scores = [], []
    for i, token_id in enumerate(tokens):
        logits_here, scores_here = gpt_with(
            how_to_turn, params, config, token_id, first_place + i, keys, values
        )
        logits.append(logits_here)
        scores.append(scores_here)
    return logits, scores


# %%
# Shift a text by five places. A model of two layers with random weights reads "marian",
# once at the places 0 to 6 (BOS is the first), and once at the places 5 to 11. Every
# letter has the same letters before it, at the same distances. What changes? (The
# weights are larger than those of a new model, as in chapter 18. In a new one attention
# adds nothing yet, and a wrong score in the first layer would not show in the second.)
config = GPTConfig(TOKENIZER.vocab_size, block_size=16, n_layer=2)
params = as_floats(init_params(config, random.Random(24)))
for matrix in params.values():
    for row in matrix:
        for i in range(len(row)):
            row[i] = rng.gauss(0, 0.2)
without_wpe = {name: matrix for name, matrix in params.items() if name != "wpe"}
tokens = [TOKENIZER.bos, *TOKENIZER.encode("marian")]

# With not_turned and with wpe this is the package's model, to the last bit.
keys, values = empty_cache(config)
ours, _ = run_text(not_turned, params, config, tokens)
for pos_id, token_id in enumerate(tokens):
    assert ours[pos_id] == gpt(params, config, token_id, pos_id, keys, values)


def largest_change(before, after):
    """Return the largest difference between numbers at the same place of two lists."""
    if isinstance(before, float):
        return abs(before - after)
    return max([largest_change(a, b) for a, b in zip(before, after)])


print('\n6. "marian" five places further on: the largest change')
print("   positions        scores, layer 0   scores, layer 1    logits")
changes = {}
for what, how_to_turn, model in [
    ("learned (wpe)", not_turned, params),
    ("RoPE, neighbours", rope_neighbours, without_wpe),
    ("RoPE, halves", rope_halves, without_wpe),
]:
    logits, scores = run_text(how_to_turn, model, config, tokens)
    logits_5, scores_5 = run_text(how_to_turn, model, config, tokens, first_place=5)
    row = []
    for layer in range(config.n_layer):
        before = [scores_here[layer] for scores_here in scores]
        after = [scores_here[layer] for scores_here in scores_5]
        row.append(largest_change(before, after))
    row.append(largest_change(logits, logits_5))
    changes[what] = row
    print(f"   {what:<16} {row[0]:15.6f} {row[1]:17.6f} {row[2]:9.6f}")
for what in ["RoPE, neighbours", "RoPE, halves"]:
    assert max(changes[what]) < 1e-12
assert min(changes["learned (wpe)"]) > 0.01

# With RoPE no score changes, in either layer, and so nothing else does: the logits are
# the same. (They are equal to twelve digits. Not to the last bit, because turning by
# other angles rounds otherwise.) With learned positions everything changes.
#
# What does a token know of its place, then? By itself, nothing. It only learns how far
# away the others are. But BOS stands at the beginning, and whoever sees that BOS is
# seven places back can conclude that this is place 7.


# %%
# Lengths that were never seen. To do well on texts that are longer than those in
# training is called *length extrapolation*. Here is a task for which one has to look
# exactly three letters back. A word of four random letters is said again and again, as
# by an echo: "cabf cabf cabf …", without the spaces. From the fifth letter on, the next
# letter is the one that stands three before the last. The loss counts these letters
# only.
#
# In training a text has 12 letters, so the places go from 0 to 12, BOS included; the
# last letter is only asked for, so nothing is read beyond place 11. In the test the
# text goes on to 60 letters. The words in the test are others than those in training.
LETTERS = "abcdef"
WORD_LENGTH = 4
TRAINED_LENGTH, TEST_LENGTH = 12, 60
N_TEST_WORDS = 50
# All 1,296 words of four tokens. Token 0 is BOS, and 1 to 6 are the letters.
all_words = list(product(range(1, len(LETTERS) + 1), repeat=WORD_LENGTH))
random.Random(1).shuffle(all_words)
test_words = all_words[-N_TEST_WORDS:]


def echo(word, length):
    """Return BOS and the word, said again and again, up to this many letters."""
    return [TOKENIZER.bos] + [word[i % WORD_LENGTH] for i in range(length)]


# Three models, all with one layer and one attention head of 8 numbers, and all starting
# from the same random numbers: one without any positions, one with learned positions
# (whose table has a row for each of the 60 places, so that it can be asked at all), and
# one with RoPE. They learn from 400 words, one text a step. Only the model with learned
# positions gets 800: it learns more slowly, and we want to compare models that have
# both learnt their task.
MODELS = {
    # how it turns, whether it has wpe
    "no positions": (not_turned, False),
    "learned (wpe)": (not_turned, True),
    "RoPE": (rope_neighbours, False),
}
N_TRAINED_WORDS = {"no positions": 400, "learned (wpe)": 800, "RoPE": 400}


def new_params(config, has_wpe, seed):
    """Return the parameters of a new model, with or without wpe."""
    params = init_params(config, random.Random(seed))
    if not has_wpe:
        del params["wpe"]
    return params


def train(what, how_to_turn, params, config, texts, first_asked, learning_rate):
    """Train on texts of tokens, from letter first_asked on; return plain floats."""
    optimizer = Adam(flatten(params))
    progress = Progress(
        f"{what}: text", len(texts), every=len(texts) // 2, stream=sys.stderr
    )
    for step, tokens in enumerate(texts):
        with collector_paused():
            logits, _ = run_text(how_to_turn, params, config, tokens[:-1])
            losses = []
            for i in range(first_asked, len(logits)):
                losses.append(cross_entropy(logits[i], tokens[i + 1]))
            loss = total(losses) / len(losses)
            loss.backward()
            del logits, losses, loss
        optimizer.step(learning_rate * (1 - step / len(texts)))
        progress.show(step + 1)
    progress.finish()
    return as_floats(params)


echo_config = GPTConfig(len(LETTERS) + 1, block_size=TEST_LENGTH, n_head=1, n_embd=8)
echo_params = {}
for what, (how_to_turn, has_wpe) in MODELS.items():
    train_words = all_words[: N_TRAINED_WORDS[what]]
    echo_params[what] = train(
        f"echo, {what}",
        how_to_turn,
        new_params(echo_config, has_wpe, seed=1),
        echo_config,
        [echo(word, TRAINED_LENGTH) for word in train_words],
        first_asked=WORD_LENGTH,
        learning_rate=0.03,
    )

# %%
# Each row is a stretch of places from which a letter was predicted. "right" is the
# share of letters that got the largest logit, and the loss is in nats a letter, with
# its standard error over the 50 words.
STRETCHES = [(4, 12), (12, 24), (24, 41), (41, 48), (48, 60)]


def ask(how_to_turn, params, words):
    """Return, for each word and place, (is the prediction right, its nats)."""
    answers = []
    for word in words:
        tokens = echo(word, TEST_LENGTH)
        logits, _ = run_text(how_to_turn, params, echo_config, tokens[:-1])
        answers_of_word = []
        for i, logits_here in enumerate(logits):
            target = tokens[i + 1]
            is_right = logits_here.index(max(logits_here)) == target
            answers_of_word.append((is_right, cross_entropy(logits_here, target)))
        answers.append(answers_of_word)
    return answers


print("\n7. The echo: trained on texts of 12 letters, asked in texts of 60")
header = "   from places       " + "".join([f"{what:<23}" for what in MODELS])
print(header.rstrip())
print(
    "                     right    loss           right    loss           right    loss"
)
echo_answers = {}
for what, (how_to_turn, _) in MODELS.items():
    echo_answers[what] = ask(how_to_turn, echo_params[what], test_words)
share_right, echo_loss = {}, {}
for first, last in STRETCHES:
    kind = "(trained)" if last == TRAINED_LENGTH else ""
    line = f"   {first:2} to {last - 1} {kind:<9}"
    for what, answers in echo_answers.items():
        n_right = 0
        nats_of_words = []
        for answers_of_word in answers:
            asked = answers_of_word[first:last]
            n_right += sum([is_right for is_right, _ in asked])
            nats_of_words.append([nats for _, nats in asked])
        share = n_right / (len(answers) * (last - first))
        loss, error = mean_and_error(nats_of_words)
        share_right[what, first] = share
        echo_loss[what, first] = loss
        line += f"{share:6.0%} {loss:6.2f} ± {error:.2f}  "
    print(line.rstrip())
share_by_picking, loss_by_picking = 0.0, 0.0
n_letters = len(test_words) * WORD_LENGTH
for word in test_words:
    for letter in word:
        share_of_letter = word.count(letter) / WORD_LENGTH
        share_by_picking += share_of_letter / n_letters
        loss_by_picking -= math.log(share_of_letter) / n_letters
print(
    f"   (picking a letter of the word at random: {share_by_picking:.0%} right, "
    f"loss {loss_by_picking:.2f})"
)

# First look at the model without positions. It sees the letters before it as in a bag:
# it can tell which share of the bag each letter makes up, and BOS too, but no order. So
# it is no more often right than if it picked a letter of the word. But why is its loss
# so much higher than that of picking? Picking gives no probability at all to letters
# that the word does not have. We ask how much this model gives to them, in 700 other
# words that it has not seen, at the places 20 to 23. And we count how often it is right
# there, one place at a time: is one of the four letters of a word easier than another?
more_words = all_words[400:1100]
n_right_at = [0, 0, 0, 0]
outside = 0.0
for word in more_words:
    tokens = echo(word, 24)
    logits, _ = run_text(not_turned, echo_params["no positions"], echo_config, tokens)
    for i in range(4):
        probabilities = softmax(logits[20 + i])
        n_right_at[i] += probabilities.index(max(probabilities)) == tokens[21 + i]
        inside = sum([probabilities[token] for token in set(word)])
        outside += (1 - inside) / (4 * len(more_words))
print(f"   No positions, {len(more_words)} other words")
print(f"   probability of letters that are not in the word: {outside:.0%}")
shares_at = [n_right / len(more_words) for n_right in n_right_at]
row = "  ".join([f"{share:.0%}" for share in shares_at])
print(f"   right at places 20 to 23: {row}")
assert (
    max(shares_at) - min(shares_at) < 0.06 and max(shares_at) < share_by_picking + 0.03
)
assert 0.2 < outside < 0.45

# Almost a third of its probability goes to letters that the word does not have. It has
# not read enough to know better: 400 texts are few for this. In a script of its own we
# let the same model read the 400 texts ten times over, and then it was 12 %, with a
# loss of 1.14, close to that of picking. And the four places are nearly equal. (In the
# picture that comes now, the line of this model goes up and down every four places. It
# is drawn from 50 words, each of which comes round every four places, and so does the
# chance that is in them.)
lines = []
for what, answers in echo_answers.items():
    points = []
    for place in range(WORD_LENGTH, TEST_LENGTH):
        n_right = sum([answers_of_word[place][0] for answers_of_word in answers])
        points.append((place, 100 * n_right / len(answers)))
    lines.append(Line(what, points))
svg = line_chart(
    lines,
    title="The echo: right answers by place (training ended at place 11)",
    x_label="place from which the next letter is predicted",
    y_label="right answers in percent",
    y_include=[0, 100],
)
save_picture("ch24_echo.svg", svg)

# At the places of the training, the models with positions have both learnt the task
# completely.
#
# Then come places that no text in training reached. The model with learned positions
# falls to what picking would give, and at once. Its rows of wpe for these places are
# the random numbers that they were at the beginning. And it is far surer of its wrong
# answers than the model without positions is, so its loss is higher.
#
# RoPE goes on as if nothing had happened, up to place 40, more than three times as far
# as in training. It has learnt one thing, "three places back", and three places back is
# the same turn everywhere. (It had half as many words to learn it from. Whether the
# other model needs all of its 800 depends on the random start; from some that we tried,
# 400 were enough.)
#
# But from place 41 on it fails as well! How can that be?
assert share_right["learned (wpe)", 4] > 0.99 and share_right["RoPE", 4] > 0.99
for first, _ in STRETCHES[1:]:
    assert share_right["learned (wpe)", first] < share_by_picking + 0.1
    assert echo_loss["learned (wpe)", first] > echo_loss["no positions", first]
assert share_right["RoPE", 12] > 0.99 and share_right["RoPE", 24] > 0.99
assert share_right["RoPE", 41] < share_by_picking - 0.1
assert share_right["RoPE", 41] < share_right["learned (wpe)", 41] - 0.1
assert 1.8 < echo_loss["RoPE", 41] / echo_loss["learned (wpe)", 41] < 2.2
assert 0.5 < share_right["RoPE", 48] < 0.85

# %%
# The score of a trained head by distance. With RoPE we can ask for it: two letters and
# a distance are all that a score depends on here. (There is one layer, so x is nothing
# but the letter.) We take the mean over all pairs of letters, and keep the parts of the
# four arrows apart. The score is their sum.
rope_params = echo_params["RoPE"]


def mean_parts_at(distance):
    """Return what each arrow adds to the score at a distance, mean of all pairs."""
    head_dim = echo_config.head_dim
    n_pairs = len(LETTERS) ** 2
    parts = [0.0] * (head_dim // 2)
    # rmsnorm twice, as in gpt_with: once for the stream, once before the layer.
    inputs = [rmsnorm(rmsnorm(row)) for row in rope_params["wte"][1:]]
    for query_input in inputs:
        q = rope_neighbours(
            linear(query_input, rope_params["layer0.attn_wq"]), distance
        )
        for key_input in inputs:
            k = rope_neighbours(linear(key_input, rope_params["layer0.attn_wk"]), 0)
            for i in range(len(parts)):
                arrow = slice(2 * i, 2 * i + 2)
                parts[i] += dot(q[arrow], k[arrow]) * head_dim**-0.5 / n_pairs
    return parts


parts_by_distance = [mean_parts_at(distance) for distance in range(TEST_LENGTH)]
scores_by_distance = [sum(parts) for parts in parts_by_distance]
seen_points = list(enumerate(scores_by_distance[:TRAINED_LENGTH]))
all_points = list(enumerate(scores_by_distance))
svg = line_chart(
    [
        Line("distances that no text in training had", all_points, "pale"),
        Line("distances that occurred in training", seen_points),
    ],
    title="Echo with RoPE: the score that a letter gives, by distance",
    x_label="distance back to the letter that is looked at",
    y_label="score, mean over all pairs of letters",
)
print()
save_picture("ch24_distance.svg", svg)
print("8. The head's score by distance, and what each arrow adds to it")
print("   distance   arrow 0  arrow 1  arrow 2  arrow 3     score")
for distance in [0, 3, 9, 11, 22, 40, 41, 47, 53]:
    row = "".join([f"{part:9.2f}" for part in parts_by_distance[distance]])
    print(f"   {distance:8} {row} {scores_by_distance[distance]:9.2f}")
score_at_3 = scores_by_distance[3]
higher = []
for distance, score in enumerate(scores_by_distance):
    if score > score_at_3:
        higher.append(distance)
print("   higher than at distance 3: at", *higher)

# So there are distances with a higher score than 3, the one that was learnt. First look
# at those of the training, 0 to 11. Arrow 0, the fast one, has its highest part at 3,
# and at 9 it has come round and is almost as high again. What keeps 9 below 3 is arrow
# 1, which turns ten times more slowly: it falls with the distance, from 0 to 11, all
# the way. So training did use it, and has set it well. Arrows 2 and 3 do nothing here.
#
# But no text in training had a distance of more than 11, so no loss ever told the head
# what its score should be out there. Arrow 1 falls a little further, and then it comes
# up again: it is a turn, and cannot fall for ever. At 47 the fast arrow is as high as
# at 3 (44 places more are almost exactly 7 turns, as we have seen), and arrow 1 adds
# almost 6 on top. What it did against 9, it now does for 47.
#
# Queries and keys are made from letters. So how can the head want "three back" whatever
# the two letters are? Before anything is turned, look at the angle of arrow 0 for each
# of the six letters, once in its query and once in its key.
angles_of = {}
for what, matrix in [("queries", "layer0.attn_wq"), ("keys", "layer0.attn_wk")]:
    angles = []
    for row in rope_params["wte"][1:]:
        arrow = linear(rmsnorm(rmsnorm(row)), rope_params[matrix])[:2]
        angles.append(math.atan2(arrow[1], arrow[0]) % (2 * math.pi))
    angles_of[what] = angles
    print(
        f"   arrow 0 before the turn, {what:<8} from {min(angles):.2f} "
        f"to {max(angles):.2f} radians"
    )

# For all letters it points almost the same way, so that the letters hardly matter. And
# the keys are ahead of the queries by about 3 radians. That is what arrow 0 turns in
# three places: a query three places further on has caught up with the key.
for angles in angles_of.values():
    assert max(angles) - min(angles) < 0.2
ahead = (sum(angles_of["keys"]) - sum(angles_of["queries"])) / len(LETTERS)
assert abs(ahead - 3) < 0.2
assert parts_by_distance[3][0] == max([parts[0] for parts in parts_by_distance[:12]])
for distance in range(1, TRAINED_LENGTH):
    assert parts_by_distance[distance][1] < parts_by_distance[distance - 1][1]
for parts in parts_by_distance:
    assert max(abs(parts[2]), abs(parts[3])) < 0.2
assert abs(parts_by_distance[47][0] - parts_by_distance[3][0]) < 0.1
assert min(higher) > 36 and max(scores_by_distance) == scores_by_distance[47]

# Does the attention really go there? For some places, here are the two distances that
# get most of it, in the mean over the 50 words.
PLACES_SHOWN = [30, 41, 42, 48, 54]
attention_at = {place: [0.0] * (place + 1) for place in PLACES_SHOWN}
for word in test_words:
    tokens = echo(word, TEST_LENGTH)
    _, scores = run_text(rope_neighbours, rope_params, echo_config, tokens[:-1])
    for place in PLACES_SHOWN:
        weights = softmax(scores[place][0][0])  # layer 0, head 0
        for distance, weight in enumerate(reversed(weights)):
            attention_at[place][distance] += weight / len(test_words)
print("\n   at place   right   most attention, at distance")
most_at = {}
for place in PLACES_SHOWN:
    shares = attention_at[place]
    most_first = sorted(range(len(shares)), key=lambda distance: -shares[distance])
    most_at[place] = most_first[:2]
    n_right = sum([answers[place][0] for answers in echo_answers["RoPE"]])
    row = "".join([f"{d:5} ({shares[d]:4.0%})" for d in most_at[place]])
    print(f"   {place:8} {n_right / len(test_words):7.0%}   {row}")

# Now look at the picture of the right answers once more. At place 41 a letter stands 40
# places back for the first time (at place 40 it is BOS that stands there). Its score is
# almost that of distance 3, and nearly half the answers are wrong. From place 42 on
# there is a letter 41 places back: it gets most of the attention, it is the wrong one,
# and nearly all answers are wrong. From place 48 on there is a letter 47 places back,
# with the highest score of all, and many answers are right again. That is luck: 47 is
# 44 more than 3, a multiple of 4, so in an echo of four letters it is the same letter
# as the one 3 places back. And from place 54 on a letter stands 53 places back. Its
# score is almost as high, it is a wrong one again, and the answers fall to a half.
#
# So take the right lesson from this. RoPE makes a rule that was learnt at some places
# hold at *all* places. It does not teach anything about *distances* that have never
# occurred. That is why production models are trained once more, for a while, on long
# texts before they are offered for such texts, mostly with a larger base, so that all
# of their arrows but the first turn more slowly.
assert most_at[30][0] == 3 and set(most_at[41]) == {3, 40} and most_at[42][0] == 41
assert most_at[48][0] == 47 and set(most_at[54]) == {47, 53}

# %%
# Names. Now the same three models on text that nobody has made to suit them: a GPT half
# as wide as the default one (8 numbers in x, two heads of 4), on the course's 500
# names, of each name the first 8 characters. That is less than a model like this could
# use, but we want to know about the positions only.
#
# Then there are two questions. How good are they by the common measure, at characters 1
# to 8? And how good are they further out? Of the first 1,000 held-out names we take
# those with 8 letters or more, and ask for character 9 and all that follow (if a name
# has 8 letters, its end is character 9). No text in training went so far.
FURTHEST = 15
LONG_NAMES = [name for name in ALL_HELD_OUT_NAMES[:1000] if len(name) >= BLOCK_SIZE]
names_config = GPTConfig(TOKENIZER.vocab_size, block_size=FURTHEST, n_head=2, n_embd=8)
name_texts = []
for name in TRAIN_NAMES:
    name_texts.append(TOKENIZER.encode_document(name)[: BLOCK_SIZE + 1])


def nats_of_all(how_to_turn, params, name):
    """Return the surprise at each of the first 15 characters of a name."""
    tokens = TOKENIZER.encode_document(name)[: FURTHEST + 1]
    logits, _ = run_text(how_to_turn, params, names_config, tokens[:-1])
    return [cross_entropy(logits[i], tokens[i + 1]) for i in range(len(logits))]


# Each model reads every name once, and its surprises are kept. For characters 1 to 8 we
# need them as a function from a name to its surprises, because that is what
# `loss_and_error` and `difference_and_error` of common.py ask. For the characters
# further out a dictionary will do.
def near_and_far(how_to_turn, params):
    """Return (a function name -> nats at characters 1 to 8, {long name: the rest})."""
    nats_at = {}
    for name in [*HELD_OUT_NAMES, *LONG_NAMES]:
        nats_at[name] = nats_of_all(how_to_turn, params, name)

    def near(name):
        return nats_at[name][:BLOCK_SIZE]

    far = {name: nats_at[name][BLOCK_SIZE:] for name in LONG_NAMES}
    return near, far


def far_differences(far_a, far_b):
    """Return, for each long name, model a's surprises minus those of model b."""
    groups = []
    for name in LONG_NAMES:
        groups.append([a - b for a, b in zip(far_a[name], far_b[name])])
    return groups


nats_near, nats_far, names_params = {}, {}, {}
for what, (how_to_turn, has_wpe) in MODELS.items():
    trained = train(
        f"names, {what}",
        how_to_turn,
        new_params(names_config, has_wpe, seed=1),
        names_config,
        name_texts,
        first_asked=0,
        learning_rate=0.02,
    )
    names_params[what] = trained
    nats_near[what], nats_far[what] = near_and_far(how_to_turn, trained)

print("\n9. Trained on 500 names, never beyond character 8 (nats a character)")
n_far = sum([len(nats) for nats in nats_far["RoPE"].values()])
print("                      characters 1 to 8   from character 9 on")
print(f"                           of 500 names   of {len(LONG_NAMES)} names ({n_far})")
losses_near, losses_far = {}, {}
for what in MODELS:
    near_loss, near_error = loss_and_error(nats_near[what])
    far_loss, far_error = mean_and_error(list(nats_far[what].values()))
    losses_near[what], losses_far[what] = near_loss, far_loss
    print(
        f"   {what:<18} {near_loss:9.3f} ± {near_error:.3f} "
        f"{far_loss:13.3f} ± {far_error:.3f}"
    )
print("   Compared name by name")
less_near, less_far = {}, {}
for first, second in [
    ("no positions", "RoPE"),
    ("learned (wpe)", "RoPE"),
]:
    near_loss, near_error = difference_and_error(nats_near[first], nats_near[second])
    far_loss, far_error = mean_and_error(
        far_differences(nats_far[first], nats_far[second])
    )
    less_near[first] = (near_loss, near_error)
    less_far[first] = (far_loss, far_error)
    print(
        f"   {first:<13} - {second} {near_loss:+9.3f} ± {near_error:.3f} "
        f"{far_loss:+13.3f} ± {far_error:.3f}"
    )

loss, error = loss_and_error(nats_near["RoPE"])
print(f"\nloss per character: {loss:.3f} ± {error:.3f} (nats, half as wide, RoPE)")
print(f"  a perplexity of {math.exp(loss):.1f}")

# First the characters 1 to 8. Here RoPE and learned positions are equally good; their
# difference is smaller than its standard error. The model without positions is behind
# by several errors, and one would like to conclude that RoPE is worth 0.036 nats. But
# this is a single random start of each model, and the standard error knows nothing of
# that kind of chance (chapter 16). Exercise 3 trains them from two other starts, and
# there the difference is gone. So, on 500 names and at places that were trained, none
# of the three ways has been shown to be better than another.
#
# Then what comes further out. RoPE loses less there than learned positions do. That was
# to be expected after the echo. But the best of the three, by far, is the model that
# has no positions at all! What is it that the others get wrong?
surprise_at = {}
print("\n10. From character 9 on: the surprise where the name …")
for what in MODELS:
    at_end, at_letter = [], []
    for name in LONG_NAMES:
        targets = TOKENIZER.encode_document(name)[BLOCK_SIZE + 1 : FURTHEST + 1]
        for target, nats in zip(targets, nats_far[what][name]):
            where = at_end if target == TOKENIZER.bos else at_letter
            where.append(nats)
    surprise_at[what] = (sum(at_end) / len(at_end), sum(at_letter) / len(at_letter))
    print(
        f"   {what:<18} ends ({len(at_end)} times) {surprise_at[what][0]:.3f}   "
        f"goes on ({len(at_letter)} times) {surprise_at[what][1]:.3f}"
    )

# They do not expect the name to end, and out there that is what happens most often.
# What does each model's probability of the end depend on? We ask for it after the first
# eight letters of these names, and after an "a", an "n" or an "i" that is repeated.


def probability_of_end(what, tokens):
    """Return the probability, after each of the tokens, that the name ends there."""
    how_to_turn, _ = MODELS[what]
    logits, _ = run_text(how_to_turn, names_params[what], names_config, tokens)
    return [softmax(logits_here)[TOKENIZER.bos] for logits_here in logits]


n_ended = len([name for name in LONG_NAMES if len(name) == BLOCK_SIZE])
print(f"\n11. After 8 letters {n_ended / len(LONG_NAMES):.0%} of these names end.")
print(f"   The models say (mean of all {len(LONG_NAMES)} names)")
end_after_8 = {}
for what in MODELS:
    at_8 = []
    for name in LONG_NAMES:
        tokens = [TOKENIZER.bos, *TOKENIZER.encode(name[:BLOCK_SIZE])]
        at_8.append(probability_of_end(what, tokens)[-1])
    end_after_8[what] = sum(at_8) / len(at_8)
    print(f"   {what:<15} {end_after_8[what]:.0%}")
SHOWN_LENGTHS = [1, 2, 4, 6, 7, 8, 10, 12]
end_of = {}
print("   After so many letters  " + "".join([f"{n:5}" for n in SHOWN_LENGTHS]))
for what in MODELS:
    for letter in "ani":
        tokens = [TOKENIZER.bos, *TOKENIZER.encode(letter * 12)]
        ends = probability_of_end(what, tokens)
        end_of[what, letter] = ends
        row = "".join([f"{ends[n]:5.0%}" for n in SHOWN_LENGTHS])
        print(f"   {what:<15} {letter * 3}…   {row}")
two_bos = [TOKENIZER.bos, TOKENIZER.bos, *TOKENIZER.encode("aaaaaaaa")]
with_two_bos = probability_of_end("no positions", two_bos)[-1]
print(f"   no positions, 8 times a, but BOS twice before them: {with_two_bos:.0%}")

# The model without positions knows roughly how long the name is! How can it? BOS is one
# of the things in the bag, and the longer the name, the smaller its share: one of five
# after four letters, one of nine after eight. The last line shows that this is what
# counts. With BOS twice before eight letters, its share is 2 of 10, one of five, and
# the answer is the one after four letters. So the bag is a clock as well, a coarse one,
# and it goes on smoothly beyond character 8. (The letter counts too: after an "i" the
# model hardly ever expects the end.) It too expects the end after eight letters less
# often than it comes, but by far not as seldom as the others do.
#
# They have clocks of their own, which are good for the lengths of the training only:
# wpe has the row of each place, and RoPE the distance to BOS, as we said above. At
# character 9 the first meets a row of random numbers, and the second a distance that
# never occurred. With "aaa…" both fall at once. RoPE comes up again at 12 letters, six
# more than 6, where it was high before: a head of 4 numbers has two arrows, with the
# speeds 1 and 0.01, and the fast one has come round. Nobody taught it that either.
#
# So names teach the same as the echo. What RoPE has learnt about a distance that
# occurred in training holds at all places. Where a *new distance* matters, nobody has
# taught it anything, and what comes out is a matter of luck. On names it was better
# than what the untaught rows of wpe gave, by 0.314 nats. In the echo, at places 41 to
# 47, it was far worse: 20 % right, where learned positions had 38 %, and twice their
# loss.
assert abs(with_two_bos - end_of["no positions", "a"][4]) < 1e-9
for letter in "ani":
    for n in range(12):
        ends = end_of["no positions", letter]
        assert ends[n + 1] > ends[n]
for what in ["learned (wpe)", "RoPE"]:
    assert end_of[what, "a"][8] < end_of[what, "a"][7] / 2
    assert end_after_8[what] < end_after_8["no positions"] / 2
assert end_of["RoPE", "a"][12] > 2 * end_of["RoPE", "a"][8]
assert n_ended / len(LONG_NAMES) > 2 * end_after_8["no positions"]
assert abs(less_near["learned (wpe)"][0]) < 2 * less_near["learned (wpe)"][1]
assert less_near["no positions"][0] > 2 * less_near["no positions"][1]
assert less_far["learned (wpe)"][0] > 2 * less_far["learned (wpe)"][1]
assert less_far["no positions"][0] < -2 * less_far["no positions"][1]
for what in ["learned (wpe)", "RoPE"]:
    assert surprise_at[what][0] > 2 * surprise_at["no positions"][0]

# %%
# What production does. Llama, Mistral, Qwen, Gemma and most other published models have
# RoPE in every layer, and no table of positions. The base is chosen by the length of
# the texts: Llama 2 has 10,000 for 4,096 tokens, and Llama 3 has 500,000 for 8,192.
# cos and sin are computed once for all places, and kept in a table. To read longer
# texts than in training, one turns more slowly, so that all distances look like those
# that were seen, and trains on for a short while (Chen et al., "Extending context
# window of large language models via positional interpolation", 2023).
#
# What is still missing. The cache of chapter 18 now holds turned keys, and it is as
# large as before: a key and a value for every head. The next chapter makes it smaller.
#
# Exercises. Hints and solutions are in ch24_solution.py.
# 1. Somebody turns the values as well, "to treat all three alike". Shift "marian" by
#    five places. Which numbers change now, and which do not?
# 2. In exercise 3 of chapter 18 the oldest token was dropped from a full cache, and the
#    logits were wrong. Do the same with RoPE and one layer. Are they right now? And
#    with two layers?
# 3. Train the names from two other seeds, 2 and 3. Which of this chapter's findings
#    about names hold for all three seeds?
