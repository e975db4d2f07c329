"""Solutions to chapter 25. Each begins with hints: read them one at a time."""

# %%
from common import BLOCK_SIZE, HELD_OUT_NAMES, TOKENIZER, difference_and_error
from trained import trained_gpt

from microgpt import as_floats, cross_entropy, empty_cache, gpt

# %%
# For all that is asked here, no new attention is needed. A model that shares keys
# computes the same as a multi-head model in which the heads of a group have equal rows
# (section 2 of the chapter). So we write equal rows into the trained model and ask the
# package's `gpt`. Only the loss is of interest, not the size of the cache.
run = trained_gpt(6000)
config = run.config
params = as_floats(run.params)
head_dim = config.head_dim
MEASURED_ON = HELD_OUT_NAMES[:200]


def nats_of_model(params):
    """Ask for 200 held-out names once; return a function name -> its nats."""
    nats_at = {}
    for name in MEASURED_ON:
        tokens = TOKENIZER.encode_document(name)[: BLOCK_SIZE + 1]
        keys, values = empty_cache(config)
        nats = []
        for pos_id in range(len(tokens) - 1):
            logits = gpt(params, config, tokens[pos_id], pos_id, keys, values)
            nats.append(cross_entropy(logits, tokens[pos_id + 1]))
        nats_at[name] = nats

    def nats_of(name):
        return nats_at[name]

    return nats_of


def rows_of_head(matrix, head):
    """Return the head_dim rows of a matrix that belong to this head."""
    return matrix[head * head_dim : (head + 1) * head_dim]


def mean_rows(matrix, heads):
    """Return head_dim rows, each the mean of the same row of these heads."""
    means = []
    for i in range(head_dim):
        rows = [rows_of_head(matrix, head)[i] for head in heads]
        means.append([sum(column) / len(heads) for column in zip(*rows)])
    return means


def shared(names, groups, take=None):
    """Return the model in which each group shares rows, in the matrices named.

    The rows are the mean of the group's, or those of its head number `take`.
    """
    result = dict(params)
    for name in names:
        new_rows = []
        for heads in groups:
            rows = mean_rows(params[name], heads)
            if take is not None:
                rows = rows_of_head(params[name], heads[take])
            for _ in heads:
                new_rows += rows
        result[name] = new_rows
    return result


KEYS, VALUES = "layer0.attn_wk", "layer0.attn_wv"
TWO_GROUPS, ONE_GROUP = [[0, 1], [2, 3]], [[0, 1, 2, 3]]
nats_before = nats_of_model(params)


# %%
# Exercise 1. The keys and values of one head for the whole group.
#
# Hint 1: rows 0 to 3 of attn_wk belong to head 0, rows 4 to 7 to head 1, and so on.
# Hint 2: `with_rows_repeated` of the chapter lets you use the package's gpt.
#
# The mean costs least. It is none of the keys, but it has something of each; the keys
# of a single head have nothing of the others', whose queries were trained for theirs.
# Among the single heads, head 1 is the best one to keep when there is only one group.
# That agrees with chapter 14, where this head was worth more than the other three
# together: it is the one that then goes on working as it did. Even so it is no better
# than the mean: the last line compares the two, name by name. The paper on GQA compared
# the mean with a single head for a large model, and found the mean best as well.
#
# Does it matter for the mean which row of one head is paired with which of another? One
# can renumber the four numbers inside each head, in the queries and keys alike, and
# those of the values with the columns of attn_wo, and the model computes the same. We
# tried this with six random numberings, in a script of its own: merging all four heads
# then cost between 0.124 and 0.160 nats at once (500 names), where the chapter finds
# 0.131. So the pairing is arbitrary, and it matters little.
print("Exercise 1: what is lost at once (nats a character, 200 names)")
losses, nats_of_ways = {}, {}
for what, groups, take in [
    ("two groups, mean", TWO_GROUPS, None),
    ("two groups, their first heads", TWO_GROUPS, 0),
    ("one group, mean", ONE_GROUP, None),
    ("one group, head 0", ONE_GROUP, 0),
    ("one group, head 1", ONE_GROUP, 1),
]:
    nats_of_ways[what] = nats_of_model(shared([KEYS, VALUES], groups, take))
    loss, error = difference_and_error(nats_of_ways[what], nats_before, MEASURED_ON)
    losses[what] = loss
    print(f"  {what:<31} {loss:+.3f} ± {error:.3f}")

loss, error = difference_and_error(
    nats_of_ways["one group, head 1"], nats_of_ways["one group, mean"], MEASURED_ON
)
print(f"  {'one group: head 1, minus mean':<31} {loss:+.3f} ± {error:.3f}")
assert losses["two groups, mean"] < losses["two groups, their first heads"]
assert losses["one group, mean"] < losses["one group, head 1"] + 2 * error
assert losses["one group, head 1"] < losses["one group, head 0"]

# %%
# Exercise 2. Only the keys, or only the values.
#
# Hint 1: leave attn_wv as it is, and write the same four rows four times into attn_wk.
# Hint 2: chapter 14 measured what it is worth that the heads choose where to look.
#
# To share the values costs more than twice as much. Chapter 14 says why: of the 0.193
# nats that attention is worth in this model, only 0.054 is lost if the heads no longer
# choose where to look. Wrong keys can spoil the choice, and no more than that. The
# values are what arrives, and most of what attention is worth here is in them.
print("Exercise 2: all four heads share one set of")
for what, names in [("keys", [KEYS]), ("values", [VALUES])]:
    nats_of = nats_of_model(shared(names, ONE_GROUP))
    loss, error = difference_and_error(nats_of, nats_before, MEASURED_ON)
    losses[what] = loss
    print(f"  {what:<31} {loss:+.3f} ± {error:.3f}")
assert losses["values"] > 2 * losses["keys"]

# %%
# Exercise 3. Llama 3 70B.
#
# Hint 1: 2 (key and value) * layers * tokens * key heads * numbers of a head * bytes.
#
# 2.7 GB with 8 key heads, and 21.5 GB with 64: eight times as much.
print("Exercise 3: the cache of one text of 8,192 tokens in Llama 3 70B")
gigabytes = {}
for n_key_heads in [8, 64]:
    numbers = 2 * 80 * 8192 * n_key_heads * 128
    gigabytes[n_key_heads] = numbers * 2 / 1e9
    print(f"  {n_key_heads:2} key heads: {gigabytes[n_key_heads]:5.1f} GB")
assert round(gigabytes[8], 1) == 2.7 and round(gigabytes[64], 1) == 21.5
