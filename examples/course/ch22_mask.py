"""Chapter 22. The mask: can all tokens of a text be read at once?

Our GPT reads a text token by token. Each token adds its key and its value to the cache
(chapter 18) and looks at what is there so far. Later tokens are not there yet, so
nobody can look ahead. That is how a text has to be *written*, since its next letter is
known only when it has been chosen. But when we *train*, or measure, the whole text lies
before us. Then nothing keeps us from computing all queries, all keys and all values
first, and after that a whole table of scores: every query times every key.

This is how every large model is trained, and for one reason: speed. But the table also
holds the scores that nobody may use, those of a token with tokens that come after it.
They have to be taken out, and the thing that does it is called the *causal mask*. It
looks like a detail. We shall see that two ways to do it which look just as good let the
model cheat, and that the loss gets *better* when it does, which is why such a mistake
can stay undiscovered for a long time.

In the second half several texts of different lengths are read at once, as a *batch*.
Short ones are filled up with a token that means nothing (*padding*), and this must not
change the loss either.

Before you run it: `python examples/learn.py 22` asks you for a few guesses first. If
you go without it, write down what a model without any mask reaches on random letters,
where the best honest guess among four letters costs log(4) = 1.386 nats, and how much
of a batch of 32 names is padding.

Source: Vaswani et al., "Attention is all you need", 2017, section 3.2.3.
"""

# %%
import math
import random
import struct
import sys
import time
from statistics import mean, stdev

from common import (
    ALL_TRAIN_NAMES,
    BLOCK_SIZE,
    HELD_OUT_NAMES,
    TOKENIZER,
    difference_and_error,
    loss_and_error,
    save_picture,
)
from trained import trained_gpt

from microgpt import (
    Adam,
    GPTConfig,
    Value,
    as_float,
    as_floats,
    cross_entropy,
    dot,
    flatten,
    init_params,
    linear,
    mlp,
    rmsnorm,
    softmax,
    token_losses,
    total,
)
from microgpt.model import add
from microgpt.tools.draw import heat_map, side_by_side
from microgpt.tools.terminal import Progress
from microgpt.training import collector_paused

# %%
# The table of scores.
#
# You know the name "lena" from chapter 10, and these numbers with it: two for each
# query, key and value, made by hand so that vowels look for the last consonant. There,
# each letter made its own query and looked at the keys so far. Now we have all of them
# at once. A name for the number of tokens will be useful: T. Here T is 4.
word = "lena"
queries = [[0.0, 0.0], [4.0, 1.0], [0.0, 0.0], [4.0, 1.0]]  # (T, 2)
keys = [[1.0, 0.0], [0.0, 1.0], [1.0, 2.0], [0.0, 3.0]]  # (T, 2)
values = [[1.0, 0.0], [0.0, 0.0], [0.0, 1.0], [0.0, 0.0]]  # (T, 2)


def all_scores(queries, keys):  # (T, n), (T, n) -> (T, T)
    """Return the score of every query with every key, divided by sqrt(n).

    Row i belongs to query i, and column j to key j.
    """
    scale = len(queries[0]) ** -0.5
    return [[dot(q, k) * scale for k in keys] for q in queries]


def print_table(table, word):
    """Print a row for each letter that looks, a column for each that it looks at."""
    print("  from      at " + "".join([f"{letter:>8}" for letter in word]))
    for letter, row in zip(word, table):
        print(f"  {letter:<13}" + "".join([f"{number:8.3f}" for number in row]))


scores = all_scores(queries, keys)
print('1. Every query times every key, for "lena"')
print()
print_table(scores, word)
print()

# The triangle below the diagonal, and the diagonal itself, are the scores that you saw
# in chapter 10: the last row is 2.828, 0.707, 4.243, 2.121, as it was there. The
# triangle above the diagonal is new. In row "e", column "n" stands how well the query
# of the "e" fits the key of a letter that comes only after it. When the "e" was read,
# this score did not exist.


# %%
# The mask: -inf above the diagonal.
#
# The scores above the diagonal have to go, before softmax makes shares of them. Softmax
# gives a token the share e^score, divided by the sum of all of them. Which score gives
# a share of 0? Not a score of 0, since e^0 is 1! There is only one: minus infinity.
# Python has this number, as `-math.inf`, and math.exp of it is exactly 0. (In PyTorch
# the same is written `scores.masked_fill(is_later, float("-inf"))`.)
def causal_softmax(scores):  # (T, T) -> (T, T)
    """Return the attention weights: softmax of each row, with -inf for later tokens."""
    weights = []
    for i, row in enumerate(scores):
        masked_row = []
        for j, score in enumerate(row):
            masked_row.append(score if j <= i else -math.inf)
        weights.append(softmax(masked_row))
    return weights


def mix(weights, values):  # (T, T), (T, m) -> (T, m)
    """Return for each row of weights the mixture of the values by these weights."""
    columns = list(zip(*values))  # (m, T)
    return [[dot(row, column) for column in columns] for row in weights]


assert math.exp(-math.inf) == 0.0
weights = causal_softmax(scores)
mixtures = mix(weights, values)
print("2. With -inf above the diagonal, after softmax: the attention weights")
print()
print_table(weights, word)
print()

# It is the table of chapter 10, with zeros where there was nothing. And they are exact
# zeros, not small numbers: whatever stands above the diagonal, not one bit of it gets
# into a mixture. The letter "e" still divides its attention between "l" and itself
# alone, and each row sums to 1.
for i, row in enumerate(weights):
    seen, to_come = row[: i + 1], row[i + 1 :]
    assert to_come == [0.0] * len(to_come)
    assert math.isclose(sum(seen), 1)
    assert seen == softmax(scores[i][: i + 1])  # what the cache's way computes


def lower_triangle(table):
    """Return the table with None above the diagonal, for a picture."""
    rows = []
    for i, row in enumerate(table):
        rows.append([number if j <= i else None for j, number in enumerate(row)])
    return rows


charts = []
for title, rows, unit, digits in [
    ("Every query times every key", scores, "score", 1),
    ("Masked, after softmax", lower_triangle(weights), "attention weight", 2),
]:
    chart = heat_map(
        rows,
        row_labels=list(word),
        column_labels=list(word),
        title=title,
        row_axis="looks from",
        column_axis="looks at",
        unit=unit,
        low=0.0,
        digits=digits,
    )
    charts.append(chart)
save_picture("ch22_mask.svg", side_by_side(charts, columns=2))
print()

# %%
# Why not set the weights to 0 *after* the softmax?
#
# That would be shorter: compute softmax over the whole row, and then write zeros above
# the diagonal. Then later values are not mixed in either. What is wrong with it? Look
# at the sums of the rows.


def zero_after_softmax(scores):  # (T, T) -> (T, T)
    """Return softmax of each row, in which later tokens are set to 0. This is wrong."""
    weights = []
    for i, row in enumerate(scores):
        shares = softmax(row)
        kept = [share if j <= i else 0.0 for j, share in enumerate(shares)]
        weights.append(kept)
    return weights


print("3. Zeros after the softmax: what the rows sum to")
print()
print("  looks from   in lena   in leno   (the o has a key of (2, 0))")
keys_of_leno = [*keys[:3], [2.0, 0.0]]
sums_of = {}
for i, letter in enumerate(["l", "e", "n", "a or o"]):
    sums = []
    for some_keys in [keys, keys_of_leno]:
        row = zero_after_softmax(all_scores(queries, some_keys))[i]
        sums.append(sum(row))
    sums_of[letter] = sums
    print(f"  {letter:<10} {sums[0]:9.3f} {sums[1]:9.3f}")
print()

# The rows no longer sum to 1, because the later tokens took part in the division. That
# alone might be bearable. But compare the two columns: for this test we gave the last
# letter another key. The row of the "e" summed to 0.196, and now it sums to 0.051. So
# the mixture that the "e" gathers, which is made with these weights, depends on a
# letter that comes two places later! It is not the later *value* that leaks but the
# later *key*, through the sum that everything is divided by. That is little information
# in each number, but a model has many numbers and a long training, and it will find it.
# We shall watch it.
#
# Could we divide the kept weights by their sum, so that each row sums to 1 again? In
# exact arithmetic that is the same as the mask. In a computer it is not. If a later
# score is larger by 800, the exps of all the earlier ones are rounded to 0, and what is
# left is 0 divided by 0, which in Python is a ZeroDivisionError.
assert sums_of["e"][0] > 2 * sums_of["e"][1]
row_with_large_later_score = [[1.0, 801.0], [1.0, 801.0]]
kept_first_row = zero_after_softmax(row_with_large_later_score)[0]
print("  scores of 1 and, one token later, 801: the weights of the first token are")
print(f"  {kept_first_row} with zeros after the softmax,")
masked_first_row = causal_softmax(row_with_large_later_score)[0]
print(f"  {masked_first_row} with the mask")
print()
assert kept_first_row == [0.0, 0.0] and masked_first_row == [1.0, 0.0]


# %%
# Why not -10,000?
#
# In many programs you will find a large negative number in place of -inf, often -1e9 or
# -1e4, which is -10,000. There is a reason for it. If a row is masked from end to end,
# which can happen with padding, then its largest score is -inf. Softmax subtracts the
# largest score from all of them, and -inf less -inf is nan, "not a number". (Nothing is
# divided yet, so Python raises no error.) A nan spreads through every sum that it meets
# until the whole model consists of it. With -10,000 such a row has equal shares, which
# nobody uses. And why -10,000, and not something further away? Large models calculate
# with numbers of 16 bits, and the largest of those is 65,504: -1e9 does not exist among
# them, and becomes -inf.
def with_minus_10000(scores):  # (T, T) -> (T, T)
    """Return softmax of each row, with -10,000 for later tokens. This is a bet."""
    weights = []
    for i, row in enumerate(scores):
        filled = [score if j <= i else -10_000.0 for j, score in enumerate(row)]
        weights.append(softmax(filled))
    return weights


# (Python's `struct` knows floats of 16 bits by the letter "e". This is the largest.)
assert struct.unpack("<e", b"\xff\x7b") == (65_504.0,)
print("4. -10,000 in place of -inf")
print()
all_masked = [-math.inf] * 4
print(f"  a row with -inf alone       {softmax(all_masked)}")
print(f"  a row with -10,000 alone    {softmax([-10_000.0] * 4)}")
print()

# So what is wrong with it? As long as the scores are of ordinary size, nothing: e to
# the power of -10,000 is rounded to 0, and the weights are the same to the last bit.
# But nothing in attention limits a score. It is a product of two things that are
# learnt. In a training run that gets out of hand, scores grow to tens of thousands, of
# either sign. Suppose that all scores which the "e" may see are near -30,000:
print("  the scores of the second of four tokens, and its weights")
row = [-30_000.0, -30_001.0, 2.0, 1.0]  # two that it may see, and two to come
rows = [row] * 4
minus_inf_row = causal_softmax(rows)[1]
minus_10000_row = with_minus_10000(rows)[1]
for what, numbers in [
    ("scores", row),
    ("-inf", minus_inf_row),
    ("-10,000", minus_10000_row),
]:
    cells = "".join([f"{number:13,.3f}" for number in numbers])
    print(f"  {what:<8}" + cells)
print()

# Now -10,000 is the *largest* number in the row. All of the attention goes to the two
# tokens that were to be hidden, in equal parts, and none to those that may be seen.
# Nothing reports an error.
assert with_minus_10000(scores) == causal_softmax(scores)  # those of "lena"
assert minus_inf_row[2:] == [0.0, 0.0]
assert minus_10000_row == [0.0, 0.0, 0.5, 0.5]


# %%
# A whole GPT that reads all tokens at once.
#
# Here is `attention` from microgpt/model.py, rewritten for all tokens. What is one list
# there is a table here: xs, with a row for each token. The function that turns scores
# into weights is an argument, so that we can hand in the wrong ones as well.
def attention_all(xs, params, config, layer, weights_of):  # (T, n_embd) -> same
    """Return what each token gathers; weights_of makes weights of the scores."""
    queries = [linear(x, params[f"layer{layer}.attn_wq"]) for x in xs]
    keys = [linear(x, params[f"layer{layer}.attn_wk"]) for x in xs]
    values = [linear(x, params[f"layer{layer}.attn_wv"]) for x in xs]
    gathered = [[] for _ in xs]
    for h in range(config.n_head):
        head = slice(h * config.head_dim, (h + 1) * config.head_dim)
        queries_head = [q[head] for q in queries]  # (T, head_dim)
        keys_head = [k[head] for k in keys]  # (T, head_dim)
        values_head = [v[head] for v in values]  # (T, head_dim)
        scores = all_scores(queries_head, keys_head)  # (T, T)
        weights = weights_of(scores)  # (T, T)
        head_out = mix(weights, values_head)  # (T, head_dim)
        for i in range(len(xs)):
            gathered[i] += head_out[i]
    return [linear(numbers, params[f"layer{layer}.attn_wo"]) for numbers in gathered]


# And `gpt`. The package's runs one token through all layers, and then the next token.
# This one runs all tokens through one layer, and then through the next layer. The rest
# (norms, MLP, head) works on each token by itself, and is called as it is.
def gpt_all(params, config, tokens, weights_of=causal_softmax):  # (T) -> (T, vocab)
    """Return the logits after each of the tokens."""
    xs = []
    for pos_id, token_id in enumerate(tokens):
        x = add(params["wte"][token_id], params["wpe"][pos_id])
        xs.append(rmsnorm(x))
    for layer in range(config.n_layer):
        normed = [rmsnorm(x) for x in xs]
        gathered = attention_all(normed, params, config, layer, weights_of)
        xs = [add(x, change) for x, change in zip(xs, gathered)]
        xs = [add(x, mlp(rmsnorm(x), params, layer)) for x in xs]
    return [linear(x, params["lm_head"]) for x in xs]


def losses_all(params, config, tokens, weights_of=causal_softmax):
    """Return what `token_losses` returns: the surprise at each token but the first."""
    tokens = tokens[: config.block_size + 1]
    logits = gpt_all(params, config, tokens[:-1], weights_of)
    targets = tokens[1:]
    return [cross_entropy(logits[i], targets[i]) for i in range(len(targets))]


# %%
# Is it the same as the cache's way?
#
# First a model of two layers with large random weights, on Values. With two layers a
# mistake in the first shows in the second, and the gradients show what the loss alone
# might hide. We compare the surprise at each token, and the slope of the loss with
# respect to every parameter.
TOLERANCE = 1e-12


def random_params(config, seed):
    """Return parameters that are all random, attn_wo and mlp_fc2 too."""
    rng = random.Random(seed)
    params = init_params(config, rng)
    for weight in flatten(params):
        weight.data = rng.gauss(0, 0.3)
    return params


def gradients(params, losses):
    """Return d(mean of the losses) / d(weight) for every weight, and clear them."""
    loss = total(losses) / len(losses)
    loss.backward()
    slopes = []
    for weight in flatten(params):
        slopes.append(weight.grad)
        weight.grad = 0.0
    return slopes


def largest_difference(numbers, others):
    """Return the largest difference between two equally long lists."""
    assert len(numbers) == len(others)
    return max([abs(as_float(a) - as_float(b)) for a, b in zip(numbers, others)])


two_layers = GPTConfig(vocab_size=27, n_layer=2)
two_layer_params = random_params(two_layers, seed=22)
tokens = TOKENIZER.encode_document("jonathan")[: BLOCK_SIZE + 1]
one_by_one = token_losses(two_layer_params, two_layers, tokens)
at_once = losses_all(two_layer_params, two_layers, tokens)
surprises_differ = largest_difference(at_once, one_by_one)
slopes_one_by_one = gradients(two_layer_params, one_by_one)
slopes_at_once = gradients(two_layer_params, at_once)
slopes_differ = largest_difference(slopes_at_once, slopes_one_by_one)
print('5. All at once against one by one, with the cache ("jonathan", two layers)')
print()
print(f"  surprises compared:   {len(at_once):>6,}")
print(f"  slopes compared:      {len(slopes_at_once):>6,}")
are_equal = max(surprises_differ, slopes_differ) < TOLERANCE
print(f"  all equal to {TOLERANCE}:   {are_equal}")
print(f"~ largest difference of slopes {slopes_differ:.1e}")
print()
assert are_equal

# Then the GPT that chapter 14 trained on 6,000 names, on plain floats: the loss on the
# 500 held-out names of the common measure. It has to be what chapter 14 found.
run = trained_gpt()
config = run.config
params = as_floats(run.params)


def kept(nats_of):
    """Ask nats_of for every held-out name once; return a function that remembers."""
    surprises = {name: nats_of(name) for name in HELD_OUT_NAMES}

    def nats_kept(name):
        return surprises[name]

    return nats_kept


def nats_at_once(name):
    """Return the surprises at a name, all of them computed at once."""
    return losses_all(params, config, TOKENIZER.encode_document(name))


def nats_one_by_one(name):
    """Return the surprises at a name, token by token."""
    return token_losses(params, config, TOKENIZER.encode_document(name))


started = time.perf_counter()
at_once_kept = kept(nats_at_once)
seconds_at_once = time.perf_counter() - started
started = time.perf_counter()
one_by_one_kept = kept(nats_one_by_one)
seconds_one_by_one = time.perf_counter() - started
names_differ = 0.0
for name in HELD_OUT_NAMES:
    difference = largest_difference(at_once_kept(name), one_by_one_kept(name))
    names_differ = max(names_differ, difference)
loss, error = loss_and_error(at_once_kept)
print("The GPT of chapter 14 on 500 held-out names, all at once:")
print(f"loss per character: {loss:.3f} ± {error:.3f} (nats, trained on 6,000 names)")
print(f"every surprise equal to {TOLERANCE}: {names_differ < TOLERANCE}")
print(f"~ seconds: {seconds_at_once:.1f} at once, {seconds_one_by_one:.1f} one by one")
print()
assert names_differ < TOLERANCE

# %%
# What is it good for, then?
#
# Here it saves no time. It rather takes more, because the scores above the diagonal are
# computed only to be thrown away: of the T * T scores only T * (T + 1) / 2 are used.
# What it saves is waiting. With the cache, token 2 begins when token 1 has gone through
# all layers. All at once, the T rows of a table do not depend on each other, so as many
# of them can be computed side by side as the machine has arithmetic units, and a
# graphics processor has thousands. And each matrix of weights has to be fetched from
# memory only once for all tokens. On such machines fetching a weight takes far longer
# than multiplying by it, so this counts for even more.
print("6. What a text of T tokens takes in the default model")
print()
# The embeddings are not counted: of them, a token looks up two rows, not a matrix.
n_embedding_rows = len(params["wte"]) + len(params["wpe"])
n_weights = len(flatten(params)) - n_embedding_rows * config.n_embd
print("           scores of one of               weights fetched from memory")
print("        T  the four heads   used        one by one    all at once")
share_used = {}
for n_tokens in [8, 64, 1024, 100_000]:
    n_scores = n_tokens * n_tokens
    n_used = n_tokens * (n_tokens + 1) // 2
    share_used[n_tokens] = n_used / n_scores
    print(
        f"  {n_tokens:7,} {n_scores:>16,} {share_used[n_tokens]:6.0%} "
        f"{n_tokens * n_weights:>17,} {n_weights:>14,}"
    )
print()

# (That is for reading a text that exists. When the model writes, the next token is not
# known before it has been chosen, and there is no other way than one by one. That is
# why reading a long question is quick in today's systems, and writing the answer slow.)

# %%
# Watch a model cheat.
#
# Now we train with the wrong masks. The texts are chosen so that cheating cannot hide:
# four letters in a row, each of them a, b, c or d by chance. Nobody can predict them.
# The best that an honest model can do is to call each letter equally likely, which
# costs log(4) nats a letter. Any loss below that is a look at the answer.
#
# After training, each model is measured twice on 250 new texts. "as trained" is the
# loss with the mask that it was trained with, the number that you would see go down on
# your screen. "one by one" is the loss of the same parameters in the package's `gpt`,
# where nobody can look ahead. That is what the model will be worth when it writes.
N_LETTERS, TEXT_LENGTH, N_TEXTS = 4, 4, 1000
LEARNING_RATE = 0.02
small = GPTConfig(vocab_size=N_LETTERS + 1, n_head=1, n_embd=8)


def random_texts(n, seed):
    """Return n texts, each BOS (token 0) and four random letters (tokens 1 to 4)."""
    rng = random.Random(seed)
    texts = []
    for _ in range(n):
        letters = [rng.randint(1, N_LETTERS) for _ in range(TEXT_LENGTH)]
        texts.append([0, *letters])
    return texts


def no_mask(scores):  # (T, T) -> (T, T)
    """Return softmax of each row: everybody sees everything."""
    return [softmax(row) for row in scores]


def let_scores_run_away(params):
    """Change a new model so that all its scores are far below -10,000.

    The first number of every embedding becomes the same. The query multiplies it by
    200, and the key by -200. (One row of such scores is printed below the table.)
    """
    for name in ["wte", "wpe"]:
        for row in params[name]:
            row[0].data = 0.03
    params["layer0.attn_wq"][0][0].data = 200.0
    params["layer0.attn_wk"][0][0].data = -200.0


def train(what, weights_of, run_away=False):
    """Return the parameters after 1,000 random texts, as plain floats."""
    params = init_params(small, random.Random(1))
    if run_away:
        let_scores_run_away(params)
    optimizer = Adam(flatten(params))
    progress = Progress(f"{what}: text", N_TEXTS, every=N_TEXTS // 2, stream=sys.stderr)
    for step, tokens in enumerate(random_texts(N_TEXTS, seed=1)):
        with collector_paused():
            losses = losses_all(params, small, tokens, weights_of)
            loss = total(losses) / len(losses)
            loss.backward()
            del losses, loss
        optimizer.step(LEARNING_RATE * (1 - step / N_TEXTS))
        progress.show(step + 1)
    progress.finish()
    return as_floats(params)


def mean_and_error(losses):
    """Return (the mean, its standard error) of the losses of equally long texts."""
    return mean(losses), stdev(losses) / math.sqrt(len(losses))


TEST_TEXTS = random_texts(250, seed=2)
as_trained, honest, params_of = {}, {}, {}
print("7. Trained on random letters, measured on 250 new texts (nats a letter)")
print()
print("  mask                              as trained       one by one")
MASKS = [  # what it is called, the function, and whether the scores have run away
    ("-inf", causal_softmax, False),
    ("none", no_mask, False),
    ("zeros after the softmax", zero_after_softmax, False),
    ("-10,000", with_minus_10000, False),
    ("-10,000, scores run away", with_minus_10000, True),
    ("-inf, scores run away", causal_softmax, True),
]
for what, weights_of, run_away in MASKS:
    its_params = train(what, weights_of, run_away)
    params_of[what] = its_params
    losses, honest_losses = [], []
    for tokens in TEST_TEXTS:
        losses.append(mean(losses_all(its_params, small, tokens, weights_of)))
        honest_losses.append(mean(token_losses(its_params, small, tokens)))
    as_trained[what], its_error = mean_and_error(losses)
    honest[what], honest_error = mean_and_error(honest_losses)
    print(
        f"  {what:<30} {as_trained[what]:7.3f} ± {its_error:.3f} "
        f"{honest[what]:8.3f} ± {honest_error:.3f}"
    )
best_honest = math.log(N_LETTERS)  # of four equally likely letters
best_cheat = best_honest / TEXT_LENGTH
print(f"  an honest guess, log(4)        {best_honest:7.3f}")
print(f"  all letters but the last seen  {best_cheat:7.3f}")


def scores_in(params, tokens):  # (T) -> (T, T)
    """Return the scores that the inputs `tokens` have in the one head of a model."""
    queries, keys = [], []
    for pos_id, token_id in enumerate(tokens):
        x = rmsnorm(add(params["wte"][token_id], params["wpe"][pos_id]))
        normed = rmsnorm(x)  # gpt normalises x once at the start, and the layer again
        queries.append(linear(normed, params["layer0.attn_wq"]))
        keys.append(linear(normed, params["layer0.attn_wk"]))
    return all_scores(queries, keys)


def rows_that_leak(params):
    """Return the share of rows whose visible scores all lie below -10,000.

    The last letter of a text is nobody's input, so it has no row. The last of the
    inputs has one, but it is left out, since no later token is hidden from it.
    """
    leaks = []
    for tokens in TEST_TEXTS:
        scores = scores_in(params, tokens[:-1])
        for i, row in enumerate(scores[:-1]):
            visible = row[: i + 1]
            leaks.append(max(visible) < -10_000)
    return mean(leaks)


at_first = init_params(small, random.Random(1))
let_scores_run_away(at_first)
leak_at_first = rows_that_leak(as_floats(at_first))
leak_ordinary = rows_that_leak(params_of["-10,000"])
leak_trained = rows_that_leak(params_of["-10,000, scores run away"])
print()
print("  rows in which all visible scores are below -10,000")
print(f"    ordinary scores {leak_ordinary:20.0%}")
print(f"    run away, before training {leak_at_first:10.0%}")
print(f"    run away, after training {leak_trained:11.0%}")
print()
runaway_scores = scores_in(as_floats(at_first), TEST_TEXTS[0][:-1])
print("  run away, before training: the second of four inputs")
for what, numbers in [
    ("scores", runaway_scores[1]),
    ("-inf", causal_softmax(runaway_scores)[1]),
    ("-10,000", with_minus_10000(runaway_scores)[1]),
]:
    cells = "".join([f"{number:13,.3f}" for number in numbers])
    print(f"    {what:<8}" + cells)
print()

# And one slope, which we shall need below. With ordinary scores, how does the weight of
# a hidden token change if a visible score is raised or lowered? In row "e" of "lena":
visible_scores = [Value(score) for score in scores[1][:2]]
e_row = [*visible_scores, *scores[1][2:]]
# (The function takes a table. We give it this row twice, since the second row of a
# table is the one that may see two tokens.)
hidden_weight = with_minus_10000([e_row, e_row])[1][2]
hidden_weight.backward()
hidden_slopes = [score.grad for score in visible_scores]
print("  the slopes of a hidden token's weight with respect to the two visible scores")
print(f"    -10,000, ordinary scores: {hidden_slopes}")
print()
assert hidden_slopes == [0.0, 0.0]
assert leak_ordinary == 0 < leak_trained

# Row by row:
#
# - "-inf" reaches log(4) and nothing better, and the two columns are the same. So it
#   should be.
# - "none" has a loss of a quarter of that, which looks like a triumph. It has learnt to
#   copy: three of the four letters stand in the table, one place further on. Only the
#   last letter is not in it, because it is nobody's input, and it costs log(4) as
#   before. Shared among four letters, that is log(4) / 4. One by one, where there is
#   nothing to copy from, the same model is far worse than a blind guess, since it is
#   sure of things that it does not know.
# - "zeros after the softmax" cheats as well. It mixes in no later value, and still its
#   loss falls below log(4), by way of the sums of its rows.
# - "-10,000" is honest as long as the scores are of ordinary size. Its parameters are
#   even the same as those of "-inf", to the last bit. Could training make the scores
#   large on purpose, in order to cheat? Hardly: the weight of a hidden token is exactly
#   0 here, and so are its slopes, as printed. Nothing pulls the scores that way.
# - But if the scores have run away for some other reason, the same mask leaks. In the
#   rows counted below the table, all the scores that may be seen lie below -10,000, so
#   that the tokens to come have the largest number in the row. What is gathered there
#   is a mean of all the later tokens, and the other parameters, whose slopes are not 0,
#   learn to make use of it. This is a single run. We once tried eight random starts,
#   this one among them: four found the leak within 1,000 texts (with losses of about
#   0.9 to 1.0), and the other four stayed at 1.386.
# - With -inf the same runaway scores do no such harm: all the attention goes to the
#   largest of the visible scores.
#
# How likely is that in practice? Scores of this size have been seen: they are the
# reason why some large models normalise their queries and keys (Dehghani et al.,
# "Scaling vision transformers to 22 billion parameters", 2023). In 2026 a library for
# fast attention, FlashInfer, replaced its stand-in, -50,000, by -inf, because valid
# scores below it came out wrong. And Hugging Face's library `transformers` gave up
# -10,000 in 2022, for the lowest number that each format has.
assert abs(as_trained["-inf"] - best_honest) < 0.01
assert abs(as_trained["-inf"] - honest["-inf"]) < TOLERANCE
assert abs(as_trained["none"] - best_cheat) < 0.02 and honest["none"] > 3
assert as_trained["zeros after the softmax"] < best_honest - 0.1
assert params_of["-10,000"] == params_of["-inf"]
assert as_trained["-10,000, scores run away"] < best_honest - 0.1
assert honest["-10,000, scores run away"] > best_honest + 0.05
assert abs(as_trained["-inf, scores run away"] - best_honest) < 0.01

# The lesson for your own code: test it, as chapter 10 did. Change a later token, and
# see whether any earlier logit moves. Here is this test for the six models.
before, after = [0, 1, 2, 3], [0, 1, 2, 4]  # the last token is another one
print("8. The last of four tokens is changed. Do the logits of the first three move?")
print()
moved = {}
for what, weights_of, _ in MASKS:
    logits_before = gpt_all(params_of[what], small, before, weights_of)
    logits_after = gpt_all(params_of[what], small, after, weights_of)
    moved[what] = logits_before[:3] != logits_after[:3]
    print(f"  {what:<26} {'they move: it leaks' if moved[what] else 'not one bit'}")
print()

# It finds all the leaks that are open. But look at the two rows with -10,000: as long
# as the scores are ordinary, the test passes, and the leak opens later, when nobody is
# testing any more. That is the reason for -inf. It needs no test of the scores.
leaking = [what for what in moved if moved[what]]
assert leaking == ["none", "zeros after the softmax", "-10,000, scores run away"]

# %%
# Several texts at once: padding.
#
# In a *batch*, several texts go through the model in one go. Each text becomes one row
# of token ids, and B rows (B is the number of texts) stand under each other: a table of
# (B, T). But texts differ in length, and the rows of a table do not. So the short ones
# are filled up at the end with a token that means nothing, the *padding*. Here BOS
# serves for it; we shall see that any token would do.
#
# A graphics processor needs this rectangle, because it computes all B rows side by
# side. Python does not: `batch_losses` below still takes one row after the other. We
# imitate the rectangle to see that it gives the right loss.
PAD = TOKENIZER.bos
IGNORE = -100  # "no target here"; PyTorch uses the same number


def pad(texts, pad_id=PAD):  # B lists of tokens -> (B, T), (B, T)
    """Return (inputs, targets), tables in which all rows are equally long.

    The input at each place is a token, and the target the token after it. Where a text
    has ended, the input is pad_id, and the target is IGNORE.
    """
    length = max([len(tokens) for tokens in texts]) - 1
    inputs, targets = [], []
    for tokens in texts:
        n_missing = length - (len(tokens) - 1)
        inputs.append(tokens[:-1] + [pad_id] * n_missing)
        targets.append(tokens[1:] + [IGNORE] * n_missing)
    return inputs, targets


def batch_losses(params, config, inputs, targets):  # (B, T), (B, T) -> (B, T)
    """Return the surprise at each target, and None where there is none.

    Each row of the batch has tables of scores of its own, (T, T) for each head: no text
    ever looks at another.
    """
    table = []
    for row, target_row in zip(inputs, targets):
        logits = gpt_all(params, config, row)
        surprises = []
        for i, target_id in enumerate(target_row):
            if target_id == IGNORE:
                surprises.append(None)
            else:
                surprises.append(cross_entropy(logits[i], target_id))
        table.append(surprises)
    return table


def batch_loss(params, config, texts, pad_id=PAD):
    """Return the mean surprise at the real tokens of all texts, as one number."""
    inputs, targets = pad(texts, pad_id)
    table = batch_losses(params, config, inputs, targets)
    real = [loss for row in table for loss in row if loss is not None]
    return total(real) / len(real)


NAMES = ["ed", "lena", "jonathan", "amy"]
texts = [TOKENIZER.encode_document(name)[: BLOCK_SIZE + 1] for name in NAMES]
inputs, targets = pad(texts)
print("9. Four names as one table: what goes in, and what is asked for")
print()
print("  name        inputs                     targets (-100: none)")
for name, row, target_row in zip(NAMES, inputs, targets):
    shown = " ".join([f"{token_id:>2}" for token_id in row])
    shown_targets = " ".join([f"{target_id:>4}" for target_id in target_row])
    print(f"  {name:<9}  {shown}   {shown_targets}")
print()

# (Of "jonathan" only the first 8 targets count, as everywhere in the course, since the
# model has 8 positions, BLOCK_SIZE. Its last target, 14, is the last "n", and its end
# is cut off.)
#
# What do we need in order that the padding changes nothing? Of the inputs: nothing at
# all. The padding stands at the end, the mask lets nobody look at later places, and so
# no real token ever sees it. The padding itself does look at real tokens, and computes
# some logits, but nobody asks for them. Of the targets: that a padded place does not
# count. Not in the sum of the surprises, and not in the number that the sum is divided
# by.
in_batch = as_float(batch_loss(params, config, texts))
z = TOKENIZER.encode("z")[0]
padded_with_z = as_float(batch_loss(params, config, texts, pad_id=z))
surprises_alone = []
for tokens in texts:
    surprises_alone += token_losses(params, config, tokens)
alone = mean(surprises_alone)
means_alone = [mean(token_losses(params, config, tokens)) for tokens in texts]
mean_of_means = mean(means_alone)


def surprises_padding_too(params, config, texts):
    """Return (at all places, at the real ones): the padding as if it were text."""
    inputs, targets = pad(texts)
    everywhere, real = [], []
    for row, target_row in zip(inputs, targets):
        logits = gpt_all(params, config, row)
        for i, target_id in enumerate(target_row):
            if target_id == IGNORE:
                everywhere.append(cross_entropy(logits[i], PAD))  # this is wrong
            else:
                surprise = cross_entropy(logits[i], target_id)
                everywhere.append(surprise)
                real.append(surprise)
    return everywhere, real


everywhere, _ = surprises_padding_too(params, config, texts)
padding_counted = mean(everywhere)
print("10. The loss of these four names (nats a character)")
print()
print(f"  one text at a time, all characters     {alone:.6f}")
print(f"  as a padded batch                      {in_batch:.6f}")
print(f'  the same, padded with "z"              {padded_with_z:.6f}')
print(f"  with the padding counted (wrong)       {padding_counted:.6f}")
print(f"  one text at a time, mean of the means  {mean_of_means:.6f}")
print()
assert abs(in_batch - alone) < TOLERANCE
assert abs(padded_with_z - alone) < TOLERANCE
assert abs(padding_counted - alone) > 0.01

# The first three are equal. The fourth is another number: this model is now also asked
# what comes after the end of a name, and graded for it. For these four names it is
# higher; for others it may be lower, as you will see in section 11. It is a number
# about something else, and so is what a model learns that is trained on it.
#
# The last line is not wrong, but it is another mean. In the package's `train`, each
# name counts the same: first the mean over the characters of each name, then the mean
# over the names. In the batch above each character counts the same, so that long names
# count for more. Most large models are trained like that. You have to know which of the
# two you have when you compare losses.
#
# The slopes must be equal as well. One text at a time: each text's losses are added up
# and divided by the number of characters in the whole batch, and backward() adds its
# slopes to those of the texts before it.
batch_loss(run.params, config, texts).backward()
batch_slopes = [weight.grad for weight in flatten(run.params)]
for weight in flatten(run.params):
    weight.grad = 0.0
for tokens in texts:
    losses = token_losses(run.params, config, tokens)
    (total(losses) / len(surprises_alone)).backward()
slopes_alone = [weight.grad for weight in flatten(run.params)]
batch_slopes_differ = largest_difference(batch_slopes, slopes_alone)
print(
    f"  slopes compared: {len(batch_slopes):,}, "
    f"all equal to {TOLERANCE}: {batch_slopes_differ < TOLERANCE}"
)
print()
assert batch_slopes_differ < TOLERANCE

# Two tables are easily mixed up here, so the picture shows both. Above is the batch,
# with B rows of T places. Below is what one of its rows has inside the model, for each
# head: a table of T rows and T columns, here the attention weights of head 0 for
# "lena". No real token looks at the padding; the padding looks at everything before it,
# in vain.
weights_seen = []


def causal_softmax_watched(scores):
    """Return what causal_softmax returns, and keep it in weights_seen."""
    weights_seen.append(causal_softmax(scores))
    return weights_seen[-1]


lena = NAMES.index("lena")
gpt_all(params, config, inputs[lena], causal_softmax_watched)
places = ["BOS", *"lena", "(pad)", "(pad)", "(pad)"]
table = batch_losses(params, config, inputs, targets)
batch_chart = heat_map(
    table,
    row_labels=NAMES,
    column_labels=[str(i) for i in range(1, len(table[0]) + 1)],
    title="A batch, B by T: the surprise at each real character",
    row_axis="name",
    column_axis="character",
    unit="surprise (nats); empty: padding",
    low=0.0,
    digits=1,
)
lena_chart = heat_map(
    lower_triangle(weights_seen[0]),
    row_labels=places,
    column_labels=places,
    title='One of its rows, "lena", in one head: T by T',
    row_axis="looks from",
    column_axis="looks at",
    unit="attention weight; empty: masked",
    low=0.0,
    high=1.0,
)
save_picture("ch22_batch.svg", side_by_side([batch_chart, lena_chart], columns=1))
print()

# %%
# What does a model learn whose padding is counted?
#
# We let the trained model go on learning, from 160 more names in batches of 4, and
# measure it on 100 held-out names: once with the padding counted, as if to predict it
# were a part of the task, and once with the padding ignored.
N_MORE, BATCH_SIZE = 160, 4


def in_batches(names):
    """Return lists of BATCH_SIZE texts, each text as a list of tokens."""
    batches = []
    for first in range(0, len(names), BATCH_SIZE):
        some_names = names[first : first + BATCH_SIZE]
        encoded = [TOKENIZER.encode_document(name) for name in some_names]
        batches.append([tokens[: BLOCK_SIZE + 1] for tokens in encoded])
    return batches


def measured(params):
    """Return (loss at all places, padding too; loss at real characters alone)."""
    everywhere, real = [], []
    for batch in in_batches(HELD_OUT_NAMES[:100]):
        some_everywhere, some_real = surprises_padding_too(params, config, batch)
        everywhere += some_everywhere
        real += some_real
    return mean(everywhere), mean(real)


def taught_more(count_padding):
    """Return parameters that go on learning from N_MORE names, as plain floats."""
    params = trained_gpt().params
    optimizer = Adam(flatten(params))
    for batch in in_batches(ALL_TRAIN_NAMES[-N_MORE:]):
        with collector_paused():
            everywhere, real = surprises_padding_too(params, config, batch)
            losses = everywhere if count_padding else real
            loss = total(losses) / len(losses)
            loss.backward()
            del everywhere, real, losses, loss
        optimizer.step(0.001)
    return as_floats(params)


print(f"11. {N_MORE} more names, with the padding counted or ignored (nats)")
print()
print("                          all places   real characters alone")
counted_params = taught_more(count_padding=True)
ignored_params = taught_more(count_padding=False)
loss_of = {
    "before": measured(params),
    "padding counted": measured(counted_params),
    "padding ignored": measured(ignored_params),
}
for what, (everywhere_loss, real_loss) in loss_of.items():
    print(f"  {what:<22} {everywhere_loss:11.3f} {real_loss:19.3f}")


def nats_with(its_params):
    """Return a function that gives the surprises of these parameters at a name."""

    def nats_of(name):
        return token_losses(its_params, config, TOKENIZER.encode_document(name))

    return nats_of


difference, its_error = difference_and_error(
    nats_with(counted_params), nats_with(ignored_params), HELD_OUT_NAMES[:100]
)
print(f"  real characters, counted less ignored: {difference:.3f} ± {its_error:.3f}")
print()

# Before any of this training, the loss at all places is already lower than that at the
# real characters: on these names the model happens to expect the padding a little more
# than the letters. With the padding counted, it falls by another tenth of a nat, from
# 2.302 to 2.196. It looks as if the model had got better. But at the real characters it
# has not: what it has learnt is that padding follows padding. That is easy, and nobody
# wants to know it. Does it harm the rest? Not so that it could be seen here: the
# difference between the two at the real characters is within two standard errors. (It
# is one run, and a short one.) What is spoilt is the number that you watch, which now
# depends on how much padding there is.
assert abs(difference) < 2 * its_error
assert loss_of["padding counted"][0] < loss_of["before"][0] - 0.05
assert loss_of["padding counted"][1] > loss_of["before"][1] - 0.005

# %%
# What does the padding cost? The places of the table are computed, whether they hold
# text or not. In a batch of 32 random names many are wasted, the more the longer the
# longest of them is. Where lengths differ much, programs therefore put texts of similar
# length into the same batch.


def padding_share(names, batch_size):
    """Return the share of all places that are padding, in batches of this size."""
    n_places, n_real = 0, 0
    for first in range(0, len(names), batch_size):
        lengths = [len(name) + 1 for name in names[first : first + batch_size]]
        n_places += max(lengths) * len(lengths)
        n_real += sum(lengths)
    return 1 - n_real / n_places


some_names = ALL_TRAIN_NAMES[:3200]
share_random = padding_share(some_names, 32)
share_sorted = padding_share(sorted(some_names, key=len), 32)
print("12. How much of the table is padding? (3,200 whole names, 32 in a batch)")
print()
print(f"  in random order     {share_random:.0%}")
print(f"  sorted by length    {share_sorted:.0%}")
assert share_sorted < 0.05 < share_random

# What production does. Exactly this, with the whole batch, all heads and all tokens in
# a single multiplication of tables of four dimensions (B, n_head, T, head_dim). PyTorch
# has a function for it, `scaled_dot_product_attention(q, k, v, is_causal=True)`, and
# `cross_entropy(..., ignore_index=-100)` for the loss; the numbers of this chapter are
# compared with both in tests/reference/test_mask.py. To train on long texts, the
# padding is often avoided altogether: many texts are put one after the other into one
# long window, and the mask also hides each text from the next.
#
# What is still missing. The table has T * T scores for each head. For a book of 100,000
# tokens that is ten thousand million numbers (the last line of section 6), for every
# head of every layer. Chapter 26 does without the table. Before that, chapter 23 looks
# at what else GPT-2 does differently.
#
# Exercises. Hints and solutions are in ch22_solution.py.
# 1. Models that write for several people at once are padded on the *left*, so that all
#    texts end at the same place. What has to change? Write it for three texts, and show
#    that the logits after the last token are those of each text alone.
# 2. Put two names into one window, one after the other, and change the mask so that the
#    second cannot see the first. Which logits must be equal to what?
# 3. Adding -10,000 to the later scores is just as common as writing it in their place.
#    Find scores with which this lets a token look at exactly the next token.
