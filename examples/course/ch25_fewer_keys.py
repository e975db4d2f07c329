"""Chapter 25. Fewer keys: must every attention head have keys and values of its own?

Chapter 18 ended with a price. To write one letter after another without running the
whole text again, a model keeps a key and a value for every token in every layer, the
KV cache. For our model that is nothing. For GPT-3 it came to 9.7 GB, for one text. A
company that lets a thousand people write at the same time has a thousand such caches.

Where do all these numbers come from? A layer has several attention heads. Each of them
asks a question of its own, the query, and so far each of them also had keys and values
of its own in which it searched for the answer. Only the keys and values are kept; the
queries are used once and forgotten. So one idea is close at hand: let several heads ask
different questions of the *same* keys and values. (We say "fewer keys" for short, and
mean the values too.) The field's names for it:

    multi-head attention      every head has its own keys and values, as until now
    grouped-query attention   a group of heads shares one set (GQA)
    multi-query attention     all heads share a single set (MQA)

This chapter builds all three as one function, counts what each of them saves, in our
model and in one of 7 billion parameters, and measures what it costs: once for models
that learn from the beginning, and once for the trained model of chapter 14, whose keys
are merged afterwards.

Before you run it: `python examples/learn.py 25` asks you for a few guesses first. If
you go without it, write down how many gigabytes the cache of one text of 4,096 tokens
takes in a model of 7 billion parameters, and whether it hurts our trained model more to
share keys than it hurts one that has learnt with shared keys from the beginning.

Papers: Shazeer, "Fast transformer decoding: one write-head is all you need", 2019, for
multi-query attention; Ainslie et al., "GQA: training generalized multi-query
transformer models from multi-head checkpoints", 2023, for groups and for the merging.
"""

# %%
import math
import random
import sys

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
from microgpt.tools.draw import Line, line_chart
from microgpt.tools.terminal import Progress
from microgpt.training import collector_paused

# %%
# Who asks whom? Our model has four attention heads, so it has four *query heads*, as
# one says now: four slices of the query. How many *key heads* it has, slices of the key
# and of the value, is our choice. It can be four, two or one. Each key head serves a
# group of query heads that are neighbours.
N_HEAD = 4
KINDS = {"multi-head": 4, "grouped-query": 2, "multi-query": 1}  # key heads of each


def key_head_of(query_head, n_head, n_key_heads):
    """Return the number of the key head that this query head looks at."""
    group_size = n_head // n_key_heads
    return query_head // group_size


print("1. Which key head does each query head look at?")
print("   query head        0   1   2   3")
for kind, n_key_heads in KINDS.items():
    looked_at = [key_head_of(h, N_HEAD, n_key_heads) for h in range(N_HEAD)]
    row = "".join([f"{key_head:4}" for key_head in looked_at])
    print(f"   {kind:<15}{row}")


# %%
# In code. This is `attention` from microgpt/model.py with a single change. attn_wk and
# attn_wv may have fewer rows than attn_wq: head_dim rows for each key head. So k and v
# are shorter lists, and it is these short lists that go into the cache. A query head
# then takes the slice of its group.
#
# The shapes, with n_head = 4 and head_dim = 4: q has 16 numbers; k and v have 16, 8 or
# 4. How many key heads there are need not be told, since the length of k says it.
def grouped_attention(x, params, config, layer, keys, values):  # (n_embd) -> (n_embd)
    """Return what this token gathers, where groups of heads may share their keys."""
    head_dim = config.head_dim
    q = linear(x, params[f"layer{layer}.attn_wq"])  # (n_head * head_dim)
    k = linear(x, params[f"layer{layer}.attn_wk"])  # (n_key_heads * head_dim)
    v = linear(x, params[f"layer{layer}.attn_wv"])  # (n_key_heads * head_dim)
    keys[layer].append(k)
    values[layer].append(v)

    n_key_heads = len(k) // head_dim
    gathered = []
    for h in range(config.n_head):
        key_head = key_head_of(h, config.n_head, n_key_heads)
        query_slice = slice(h * head_dim, (h + 1) * head_dim)
        key_slice = slice(key_head * head_dim, (key_head + 1) * head_dim)
        q_head = q[query_slice]  # (head_dim)
        keys_head = [k_t[key_slice] for k_t in keys[layer]]  # (tokens so far, head_dim)
        values_head = [v_t[key_slice] for v_t in values[layer]]
        scores = [dot(q_head, k_t) * head_dim**-0.5 for k_t in keys_head]
        weights = softmax(scores)
        columns = zip(*values_head)
        gathered += [dot(weights, column) for column in columns]
    return linear(gathered, params[f"layer{layer}.attn_wo"])


# And `gpt` with this attention.
def grouped_gpt(params, config, token_id, pos_id, keys, values):
    """Return the logits of the token that follows token_id, as gpt does."""
    x = add(params["wte"][token_id], params["wpe"][pos_id])
    x = rmsnorm(x)
    for layer in range(config.n_layer):
        normed = rmsnorm(x)
        x = add(x, grouped_attention(normed, params, config, layer, keys, values))
        x = add(x, mlp(rmsnorm(x), params, layer))
    return linear(x, params["lm_head"])


def new_params(config, n_key_heads, rng):
    """Return the parameters of a new model with this many key heads in each layer."""
    params = init_params(config, rng)
    n_rows = n_key_heads * config.head_dim
    for layer in range(config.n_layer):
        for name in [f"layer{layer}.attn_wk", f"layer{layer}.attn_wv"]:
            params[name] = params[name][:n_rows]
    return params


# %%
# Two checks, on models of two layers with random weights. (They are larger than those
# of a new model, in which attention still adds nothing; see chapter 18.)
#
# First: with four key heads for four query heads it must be the model that we have.
# Second: what is a group, seen from the old model? A multi-head model in which the
# heads of a group happen to have the same rows in attn_wk, and the same in attn_wv. So
# we write each row as often as it is used, give the result to the package's `gpt`, and
# it must say the same. Both are equal to the last bit.
def all_logits(model, params, config, tokens):
    """Return the logits after each token, with `gpt` or `grouped_gpt` as the model."""
    keys, values = empty_cache(config)
    logits = []
    for pos_id, token_id in enumerate(tokens):
        logits.append(model(params, config, token_id, pos_id, keys, values))
    return logits


def with_rows_repeated(params, config, n_key_heads):
    """Return the multi-head model that computes the same: each key head written out."""
    head_dim = config.head_dim
    repeated = dict(params)
    for layer in range(config.n_layer):
        for name in [f"layer{layer}.attn_wk", f"layer{layer}.attn_wv"]:
            rows = []
            for h in range(config.n_head):
                key_head = key_head_of(h, config.n_head, n_key_heads)
                rows += params[name][key_head * head_dim : (key_head + 1) * head_dim]
            repeated[name] = rows
    return repeated


config = GPTConfig(TOKENIZER.vocab_size, n_head=N_HEAD)
two_layers = GPTConfig(TOKENIZER.vocab_size, n_head=N_HEAD, n_layer=2)
tokens = [TOKENIZER.bos, *TOKENIZER.encode("mariann")]
print("\n2. Is it right? Two layers, random weights, eight tokens")
is_equal = {}
for kind, n_key_heads in KINDS.items():
    rng = random.Random(25)
    params = as_floats(new_params(two_layers, n_key_heads, rng))
    for matrix in params.values():
        for row in matrix:
            for i in range(len(row)):
                row[i] = rng.gauss(0, 0.2)
    written_out = with_rows_repeated(params, two_layers, n_key_heads)
    ours = all_logits(grouped_gpt, params, two_layers, tokens)
    theirs = all_logits(gpt, written_out, two_layers, tokens)
    is_equal[kind] = ours == theirs
    word = "equal" if is_equal[kind] else "not equal"
    print(f"   {kind:<15} and the package's gpt with the rows repeated: {word}")
assert all(is_equal.values())

# So a model with fewer keys cannot do anything that a multi-head model could not do. It
# is the same kind of model under a restriction: heads of a group must search in the
# same keys. Whatever we gain has to be worth that.

# %%
# What is gained: bytes. We let the default model read eight tokens, and count the
# numbers in its cache. A float of Python has 64 bits, which are 8 bytes.
print("\n3. This model: the cache after a text of 8 tokens")
print("   kind              numbers    bytes   parameters of the model")
BYTES_OF_A_FLOAT = 8
cache_bytes, n_parameters = {}, {}
for kind, n_key_heads in KINDS.items():
    params = as_floats(new_params(config, n_key_heads, random.Random(25)))
    keys, values = empty_cache(config)
    for pos_id, token_id in enumerate(tokens):
        grouped_gpt(params, config, token_id, pos_id, keys, values)
    n_numbers = 0
    for rows in [*keys, *values]:
        n_numbers += sum([len(row) for row in rows])
    cache_bytes[kind] = n_numbers * BYTES_OF_A_FLOAT
    n_parameters[kind] = len(flatten(params))
    print(
        f"   {kind:<15} {n_numbers:9} {cache_bytes[kind]:8,} {n_parameters[kind]:14,}"
    )
    assert n_numbers == 2 * config.n_layer * len(tokens) * n_key_heads * config.head_dim
list_row = [float(i) for i in range(16)]
python_bytes = sys.getsizeof(list_row) + sum([sys.getsizeof(x) for x in list_row])
print(f"~  (Python itself spends {python_bytes / 16:.0f} bytes on a number in a list)")

# The formula is in the assertion: 2 (a key and a value), times the layers, times the
# tokens, times the key heads, times the numbers of a head. The number of *query* heads
# is not in it. The model gets a little smaller as well, since attn_wk and attn_wv have
# fewer rows.

# %%
# The same formula for a model of 7 billion parameters. We take the sizes of Llama 2 7B:
# 32 layers, 32 query heads of 128 numbers, texts of 4,096 tokens, and 2 bytes for a
# number (16 bits are precise enough for that). First we check that we have understood
# its sizes, by counting its parameters. The paper on the first Llama, whose smallest
# model has the same sizes, gives 6.7 billion (Touvron et al., "LLaMA: open and
# efficient foundation language models", 2023, table 2). We must find the same number.
N_LAYER_7B, N_HEAD_7B, HEAD_DIM_7B = 32, 32, 128
TOKENS_7B, VOCAB_7B, HIDDEN_7B = 4096, 32_000, 11_008
BYTES_7B = 2
n_embd_7b = N_HEAD_7B * HEAD_DIM_7B  # 4,096
attention_7b = 4 * n_embd_7b**2  # the matrices for q, k, v and the output
mlp_7b = 3 * n_embd_7b * HIDDEN_7B  # it has three matrices: chapter 27 says why
norms_7b = 2 * n_embd_7b  # two norms, each with a learnt factor for each number of x
layers_7b = N_LAYER_7B * (attention_7b + mlp_7b + norms_7b)
embeddings_7b = VOCAB_7B * n_embd_7b  # wte; there is no wpe, since it has RoPE
head_7b = VOCAB_7B * n_embd_7b  # lm_head, the same size as wte
last_norm_7b = n_embd_7b  # one more norm, between the last layer and lm_head
parameters_7b = layers_7b + embeddings_7b + head_7b + last_norm_7b
assert round(parameters_7b / 1e9, 1) == 6.7


def cache_gigabytes(n_key_heads, n_tokens):
    """Return the size of the cache of one text in the model of 7 billion."""
    numbers = 2 * N_LAYER_7B * n_tokens * n_key_heads * HEAD_DIM_7B
    return numbers * BYTES_7B / 1e9


weights_gigabytes = parameters_7b * BYTES_7B / 1e9
MEMORY = 40  # gigabytes of a large graphics card, on which such models are run
print(f"\n4. A model of {parameters_7b / 1e9:.2f} billion parameters, 2 bytes a number")
print(f"   its parameters take {weights_gigabytes:.1f} GB")
print(f"   kind             key heads   cache of one text   texts in {MEMORY} GB")
KINDS_7B = {"multi-head": 32, "grouped-query": 8, "multi-query": 1}
gigabytes, texts_at_once = {}, {}
for kind, n_key_heads in KINDS_7B.items():
    gigabytes[kind] = cache_gigabytes(n_key_heads, TOKENS_7B)
    texts_at_once[kind] = int((MEMORY - weights_gigabytes) / gigabytes[kind])
    print(
        f"   {kind:<15} {n_key_heads:10} {gigabytes[kind]:16.3f} GB "
        f"{texts_at_once[kind]:12}"
    )
rows_saved = 2 * (N_HEAD_7B - 1) * HEAD_DIM_7B  # of attn_wk and attn_wv, in a layer
share_saved = N_LAYER_7B * rows_saved * n_embd_7b / parameters_7b
print(f"   (with one key head it would have {share_saved:.0%} fewer parameters)")
lines = []
for kind, n_key_heads in KINDS_7B.items():
    points = []
    for n_tokens in range(0, 32_769, 4096):
        points.append((n_tokens / 1000, cache_gigabytes(n_key_heads, n_tokens)))
    heads = "key head" if n_key_heads == 1 else "key heads"
    lines.append(Line(f"{kind}, {n_key_heads} {heads}", points))
parameters_line = [(0, weights_gigabytes), (32.768, weights_gigabytes)]
lines.append(Line("all parameters of the model", parameters_line, "dashed"))
svg = line_chart(
    lines,
    title="A model of 7 billion parameters: the cache of one text",
    x_label="tokens in the text, in thousands",
    y_label="gigabytes",
)
save_picture("ch25_cache.svg", svg)
assert cache_gigabytes(32, 32_768) > weights_gigabytes > cache_gigabytes(8, 32_768)

# (In all three rows of the table the parameters take 13.5 GB, as with 32 key heads.
# With fewer key heads, attn_wk and attn_wv have fewer rows, and the model would be
# smaller by as much as the last line says. Mostly one makes the MLP larger instead.)
#
# One text of 4,096 tokens takes 2.1 GB, and of 32,768 tokens more than all parameters
# together. The last column says what it means for whoever runs the model: beside its
# parameters a card has room for 12 texts, or for 49, or for 395.
#
# There is a second gain. For every token that is written, the whole cache of the text
# has to be read from memory, and on such machines reading takes longer than the
# multiplications. A quarter of the cache is read in a quarter of the time. (The number
# of multiplications in the scores does not change. Each query head still compares its
# query with all keys; they are only no longer different keys for each head.)

# %%
# What does it cost? First, models that learn with fewer keys from the beginning: the
# default GPT on 6,000 names, as in chapter 14, each from three random starts. That
# takes about ten minutes, so it was measured beforehand, by this same code: `python
# examples/course/ch25_fewer_keys.py --all` trains and measures them again. (They were
# run with PyPy, a faster Python. It rounds some results otherwise in the last digit,
# and over 6,000 steps that grows: expect other numbers in the third digit.)
N_NAMES = 6000
MEASURED_BEFORE = {
    # kind: for each seed (loss, loss minus that of multi-head, its standard error)
    "multi-head": [(2.419, 0.0, 0.0), (2.399, 0.0, 0.0), (2.415, 0.0, 0.0)],
    "grouped-query": [
        (2.414, -0.004, 0.004),
        (2.416, 0.017, 0.004),
        (2.410, -0.006, 0.005),
    ],
    "multi-query": [
        (2.421, 0.002, 0.004),
        (2.424, 0.024, 0.004),
        (2.418, 0.003, 0.005),
    ],
}


def nats_of_model(params, config):
    """Ask for every held-out name once; return a function name -> its nats."""
    nats_at = {}
    for name in HELD_OUT_NAMES:
        tokens = TOKENIZER.encode_document(name)[: BLOCK_SIZE + 1]
        logits = all_logits(grouped_gpt, params, config, tokens[:-1])
        nats = [cross_entropy(logits[i], tokens[i + 1]) for i in range(len(logits))]
        nats_at[name] = nats

    def nats_of(name):
        return nats_at[name]

    return nats_of


def train(what, params, config, names, learning_rate):
    """Train on the names, one a step, each once; return plain floats."""
    # Merged models come as floats, which have no gradients: each becomes a new Value.
    # (as_floats first, since a new model comes as Values already.)
    params = {
        name: [[Value(weight) for weight in row] for row in matrix]
        for name, matrix in as_floats(params).items()
    }
    optimizer = Adam(flatten(params))
    progress = Progress(
        f"{what}: name", len(names), every=len(names) // 2, stream=sys.stderr
    )
    for step, name in enumerate(names):
        tokens = TOKENIZER.encode_document(name)[: BLOCK_SIZE + 1]
        with collector_paused():
            logits = all_logits(grouped_gpt, params, config, tokens[:-1])
            losses = []
            for i in range(len(logits)):
                losses.append(cross_entropy(logits[i], tokens[i + 1]))
            loss = total(losses) / len(losses)
            loss.backward()
            del logits, losses, loss
        optimizer.step(learning_rate * (1 - step / len(names)))
        progress.show(step + 1)
    progress.finish()
    return as_floats(params)


def measure_from_the_beginning(seed):
    """Return {kind: (loss, loss minus multi-head's, its error)}, from one start."""
    nats_of_kinds, measured = {}, {}
    for kind, n_key_heads in KINDS.items():
        params = new_params(config, n_key_heads, random.Random(seed))
        names = ALL_TRAIN_NAMES[:N_NAMES]
        params = train(f"{kind}, seed {seed}", params, config, names, 0.01)
        nats_of_kinds[kind] = nats_of_model(params, config)
        loss, _ = loss_and_error(nats_of_kinds[kind])
        compared = difference_and_error(
            nats_of_kinds[kind], nats_of_kinds["multi-head"]
        )
        measured[kind] = (loss, *compared)
    return measured


SEEDS = [1, 2, 3]
from_the_beginning, when = MEASURED_BEFORE, "measured beforehand"
if "--all" in sys.argv:
    when = "measured now"
    from_the_beginning = {kind: [] for kind in KINDS}
    for seed in SEEDS:
        for kind, measured in measure_from_the_beginning(seed).items():
            from_the_beginning[kind].append(measured)
print(f"\n5. Learnt from the beginning: {N_NAMES:,} names, three starts ({when})")
print("   kind           seed    loss   minus multi-head from the same seed")
mean_loss, mean_less = {}, {}
for kind in KINDS:
    losses, differences = [], []
    for seed, (loss, difference, error) in zip(SEEDS, from_the_beginning[kind]):
        losses.append(loss)
        differences.append(difference)
        line = f"   {kind:<15} {seed:3} {loss:7.3f}"
        if kind != "multi-head":
            line += f"   {difference:+.3f} ± {error:.3f}"
        print(line)
    mean_loss[kind] = sum(losses) / len(losses)
    mean_less[kind] = sum(differences) / len(differences)
print("   mean of the three")
for kind in KINDS:
    print(f"   {kind:<15}     {mean_loss[kind]:7.3f}   {mean_less[kind]:+.3f}")
multi_head_losses = [loss for loss, _, _ in from_the_beginning["multi-head"]]
range_of_starts = max(multi_head_losses) - min(multi_head_losses)
print(f"   multi-head: from its best start to its worst {range_of_starts:.3f}")
all_losses = []
for kind in KINDS:
    all_losses += [loss for loss, _, _ in from_the_beginning[kind]]
range_of_all = max(all_losses) - min(all_losses)
print(f"   all nine models: from the best to the worst {range_of_all:.3f}")

# Seed 2 says that fewer keys are clearly worse, by several standard errors, and seeds 1
# and 3 say that they make no difference. The standard error covers the choice of names
# to measure on and not the luck of the start (chapter 16). And luck is at work here:
# seed 2 was the luckiest start of multi-head attention, and between its own three
# starts lies as much as between the kinds: of all nine models, whatever their kind, the
# worst is only 0.025 behind the best. So with three starts no difference between the
# kinds has been shown, at a half or a quarter of the cache. If there is a price, in
# this model it is of the order of a hundredth of a nat.
for kind in ["grouped-query", "multi-query"]:
    assert abs(mean_less[kind]) < 0.03
assert range_of_all < 0.03

# %%
# Second, a model that is already there. To train from the beginning is what one wants
# to avoid if the model has cost millions. Can the keys of a trained model be merged?
# The rows of attn_wk make the keys. Take the four rows of head 0 and the four of head
# 1, and replace both by their mean: row by row, number by number. The same with
# attn_wv. All the rest of the model stays as it is.
#
# Why should such a mean mean anything? Number 0 of head 0 and number 0 of head 1 have
# nothing to do with each other. Take all four heads. A query's score with the mean of
# four keys is the mean of its scores with the four, and only one of these is the score
# that it was trained for. It is the same with the values: of what a head then hands
# over, a quarter is what its columns of attn_wo were trained for, and three quarters
# are foreign to them. So the only hope is that quarter, if the foreign part does not
# drown it. We shall measure the two parts separately.
run = trained_gpt(N_NAMES)
assert run.config == config
trained_params = as_floats(run.params)


def merged(params, config, n_key_heads):
    """Return the model in which each group has the mean of its keys and values."""
    head_dim = config.head_dim
    group_size = config.n_head // n_key_heads
    result = dict(params)
    for layer in range(config.n_layer):
        for name in [f"layer{layer}.attn_wk", f"layer{layer}.attn_wv"]:
            new_rows = []
            for key_head in range(n_key_heads):
                for i in range(head_dim):
                    # Row i of each head of the group: group_size rows of n_embd.
                    rows = []
                    for member in range(group_size):
                        head = key_head * group_size + member
                        rows.append(params[name][head * head_dim + i])
                    new_rows.append([sum(column) / group_size for column in zip(*rows)])
            result[name] = new_rows
    return result


# A mean of two keys is neither of the two, so the model must suffer. But it need not
# learn everything again. We let it go on for 300 more names, names it has not seen, a
# twentieth of what it has learnt from, which is the share in the paper on GQA. The
# learning rate begins at 0.002, a fifth of what it was at first. To be fair, the model
# with all its keys gets the same 300 names and the same rate: only then do the two
# differ in nothing but the keys.
N_MORE = 300
more_names = ALL_TRAIN_NAMES[N_NAMES : N_NAMES + N_MORE]
nats_before = nats_of_model(trained_params, config)
nats_merged, nats_after = {}, {}
for kind, n_key_heads in KINDS.items():
    params = merged(trained_params, config, n_key_heads)
    if kind == "multi-head":
        assert params == trained_params  # the mean of one row is the row
        nats_merged[kind] = nats_before
    else:
        nats_merged[kind] = nats_of_model(params, config)
    params = train(f"{kind}, {N_MORE} more", params, config, more_names, 0.002)
    nats_after[kind] = nats_of_model(params, config)

print(f"\n6. The trained GPT of {N_NAMES:,} names, its keys merged (nats a character)")
print(f"                     at once            after {N_MORE} more names")
merged_less, after_less, after_loss = {}, {}, {}
for kind in KINDS:
    loss, error = loss_and_error(nats_merged[kind])
    after_loss[kind], after_error = loss_and_error(nats_after[kind])
    print(
        f"   {kind:<15}   {loss:.3f} ± {error:.3f}      "
        f"{after_loss[kind]:.3f} ± {after_error:.3f}"
    )
print("   minus multi-head, name by name")
for kind in ["grouped-query", "multi-query"]:
    less, error = difference_and_error(nats_merged[kind], nats_merged["multi-head"])
    less_after, error_after = difference_and_error(
        nats_after[kind], nats_after["multi-head"]
    )
    merged_less[kind] = less
    after_less[kind] = less_after
    print(
        f"   {kind:<15}  {less:+.3f} ± {error:.3f}     "
        f"{less_after:+.3f} ± {error_after:.3f}"
    )
    assert less > 2 * error and less_after > 2 * error_after
    assert less_after < less / 2
no_attention = dict(trained_params)
for layer in range(config.n_layer):
    name = f"layer{layer}.attn_wv"
    no_attention[name] = [[0.0] * config.n_embd for _ in trained_params[name]]
attention_is_worth, error = difference_and_error(
    nats_of_model(no_attention, config), nats_before
)
print(f"   no attention     {attention_is_worth:+.3f} ± {error:.3f}     (all values 0)")

# The two parts of the mean of all four heads, in all rows of attn_wk and attn_wv: a
# quarter of the head's own rows, and what the other three heads add to it.
written_out = with_rows_repeated(merged(trained_params, config, 1), config, 1)
own_quarter, from_others = dict(trained_params), dict(trained_params)
for layer in range(config.n_layer):
    for name in [f"layer{layer}.attn_wk", f"layer{layer}.attn_wv"]:
        quarter_rows, other_rows = [], []
        for own_row, mean_row in zip(trained_params[name], written_out[name]):
            quarter = [own / N_HEAD for own in own_row]
            quarter_rows.append(quarter)
            other_rows.append([mean - own for mean, own in zip(mean_row, quarter)])
        own_quarter[name] = quarter_rows
        from_others[name] = other_rows
print("   multi-query, but of the mean only …")
part_costs = {}
for what, params in [
    ("own quarter", own_quarter),
    ("others' part", from_others),
]:
    cost, error = difference_and_error(nats_of_model(params, config), nats_before)
    part_costs[what] = cost
    print(f"   … {what:<15}{cost:+.3f} ± {error:.3f}")

loss, error = loss_and_error(nats_after["grouped-query"])
print(f"\nloss per character: {loss:.3f} ± {error:.3f} (nats, grouped-query, merged)")
print(f"  a perplexity of {math.exp(loss):.1f}")

# Merged keys and values are worse at once, and the more of them are merged, the worse.
# Is 0.131 much? The line "no attention" says what there is to lose: if all values are
# 0, nothing arrives from other tokens, and that costs 0.193. So with a single key head,
# two thirds of what attention is worth in this model are lost at once. (How much of it
# is due to the keys, and how much to the values, exercise 2 asks.)
#
# The last two lines answer why the mean means anything. With a quarter of its own keys
# and values, and nothing from the others, each head does about as well as with the
# mean. With what comes from the others alone, attention is worth nothing. So the third
# that is left is the work of each head's own quarter, and the foreign three quarters,
# taken together, neither help nor do much harm.
#
# After 300 more names, most of that is made up for. Not all: compared with the model
# that kept its keys, a small difference is left, and it is more than two standard
# errors. In the end a single key head loses about twice as much as two. That groups
# lose less than a single key head is the usual finding with large models too, and the
# reason why most of them stop at groups: they save most of the memory, and lose little.
#
# (Why has multi-head attention become worse by the 300 names? Its training had ended,
# with a learning rate of almost 0. Now the rate is up again, and the first steps jump
# about, as in chapter 16. The merged models pay for that as well.)
#
# Compare with section 5. A model that learns with shared keys and values from the
# beginning arranges itself with them. One in which they are merged afterwards has
# learnt to rely on each head's own, and 300 names are little time to learn to do
# without them.
assert merged_less["multi-query"] > merged_less["grouped-query"]
assert after_less["multi-query"] > after_less["grouped-query"]
assert 0.6 < merged_less["multi-query"] / attention_is_worth < 0.75
assert abs(part_costs["own quarter"] - merged_less["multi-query"]) < 0.02
assert abs(part_costs["others' part"] - attention_is_worth) < 0.02

# %%
# What production does. Llama 2 has groups in its largest size (64 query heads, 8 key
# heads), and since Llama 3 all sizes have them; Mistral 7B has 32 query heads and 8 key
# heads. Eight key heads are a common choice, also because a large model is spread over
# eight graphics cards, and each can hold one. In the files of these models you find the
# two numbers as num_attention_heads and num_key_value_heads. Rotary positions (chapter
# 24) and groups go together without any change: each key head is turned once, before it
# goes into the cache. Others make the cache smaller in other ways: with fewer bits for
# a number, with a view of only the last few thousand tokens in some layers, or by
# keeping a short list of numbers from which keys and values are computed again.
#
# What is still missing. The scores of a token with all tokens before it, and the shares
# that softmax makes of them, are one more list that grows with the text, and in
# training there is such a list for every token: a whole table. The next chapter shows
# how to do without it.
#
# Exercises. Hints and solutions are in ch25_solution.py.
# 1. Do not take the mean of the keys and values of a group, but those of its first
#    head. Then, with a single group, those of head 1, which chapter 14 found to be the
#    most important. How much is lost at once, compared with the mean?
# 2. Merge only the keys of all four heads, and leave each its own values. Then only the
#    values. Which of the two costs more? (Nothing is trained again.)
# 3. Llama 3 70B has 80 layers, 64 query heads and 8 key heads of 128 numbers. How large
#    is the cache of a text of 8,192 tokens at 2 bytes a number? And how large would it
#    be without groups?
