"""This one file is the whole GPT: it reads tokens and predicts the one that comes next.

GPT stands for *generative pre-trained transformer*. Generative: it writes text, by
predicting one token after another. Pre-trained: it has learnt to do so from a pile of
text. A transformer is the kind of network described here, published in 2017. Before
this file came `value.py`, whose Values the model is made of, and `tokenizer.py` and
`data.py`, which turn text into numbers. Next comes `adam.py`, which makes it better.

How a token becomes a prediction, in seven ideas:

1. A token is just a number, such as 5 for "e", and says nothing about how the letter is
   used. So every token has an *embedding*: a list of `n_embd` learnt numbers that
   stands for it. A second embedding, looked up by the position in the text, is added to
   it. The sum is called `x`. Each token of the text has its own x.
2. x passes through one layer after the other. A *layer* has two halves, called
   attention and MLP. Each half reads x, computes something, and adds it to x. Since x
   runs through the whole model and everything is added to it, it is also called the
   *residual stream*.
3. The model's basic tool is the *linear* function: it multiplies a list of numbers by a
   matrix of learnt *weights*, which means that every output is the dot product of the
   list with one row of the matrix. A dot product is large when two lists of numbers are
   positive and negative in the same places, and negative when each is positive where
   the other is negative. So it measures how well the list matches that row.
4. *Normalising* scales a list of numbers to a usual size, so that whatever reads it
   next can rely on that size. `rmsnorm` does it, before each half of a layer.
5. *Attention* lets a token gather information from the tokens before it. Each token
   makes three lists of numbers out of its x: a *query* (what am I looking for?), a
   *key* (what can I be found by?) and a *value* (what do I tell those who find me?).
   Where a query matches an earlier token's key, that token's value flows in.
6. The *MLP*, short for multi-layer perceptron (an old name for two linear functions
   with something in between), works on each token alone: it takes what attention has
   gathered and computes something new from it.
7. At the end, the *language-model head* turns x into one number for each token that
   could come next. These are the *logits*: the larger, the likelier. `softmax` turns
   logits into probabilities.

How wrong the prediction was is also one number, the *loss*: how surprised the model is
by the token that really comes next. Training makes it smaller.

Some words have two meanings in this field. A `Value` with a capital V is a number of
the engine; a *value*, `v`, is what a token tells others in attention. And an *attention
head* is one of several look-ups that attention makes side by side (`n_head` of them);
it has nothing to do with the language-model head.

The types that the signatures below use:

    Vector   a list of numbers                          x, q, k, v, logits
    Matrix   a list of rows, one row for each output    params["lm_head"]: 27 rows of 16
    Params   all matrices of a model, by name           what training changes

The numbers are Values while the model learns, because only a Value can say how the loss
depends on it. They are plain floats while it writes or is measured: `as_floats(params)`
gives them, and every function here computes the same digits with them, several times
faster. (`document_loss` is meant for Values: a gradient is what it is for.)

A comment that begins with "Signpost:" marks a choice that keeps this model small, and
says what GPT-2, which OpenAI published in 2019, does instead.

Papers: Vaswani et al., "Attention is all you need", 2017; Radford et al., "Language
models are unsupervised multitask learners" (GPT-2), 2019.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from microgpt.value import Value, as_float, dot, exp, logsumexp, relu, total

# Any stands for Value or float. All numbers of a list are of one kind.
Vector = list[Any]
Matrix = list[Vector]
Params = dict[str, Matrix]


@dataclass(frozen=True)
class GPTConfig:
    """The sizes of a model: they fix the shape of every matrix in it.

    A size that is no whole number of at least 1, or an n_embd that cannot be dealt out
    evenly to the attention heads: ValueError.

    >>> GPTConfig(vocab_size=27).head_dim
    4
    """

    vocab_size: int  # how many different tokens there are
    block_size: int = 8  # how many tokens of a text the model can see
    n_layer: int = 1  # how many layers x passes through
    n_head: int = 4  # how many attention heads a layer has
    n_embd: int = 16  # how many numbers x has

    def __post_init__(self) -> None:
        for name, size in vars(self).items():
            if type(size) is not int or size < 1:
                raise ValueError(
                    f"{name} is {size!r}: make it a whole number, 1 or more"
                )
        if self.n_embd % self.n_head != 0:
            raise ValueError(
                f"n_embd {self.n_embd} does not divide into n_head {self.n_head} equal "
                f"heads: make it a multiple, such as {self.n_head * 4}"
            )

    @property
    def head_dim(self) -> int:
        """How many of the n_embd numbers each attention head works on."""
        return self.n_embd // self.n_head


def param_shapes(config: GPTConfig) -> dict[str, tuple[int, int]]:
    """Return the name and the shape, (rows, columns), of every matrix of the model.

    The matrix of a linear function has a row for each output and a column for each
    input: (n_out, n_in). With the default sizes and 27 tokens, all matrices together
    hold 4,064 numbers. (GPT-2 has from 124 million to 1.5 billion.)

    >>> shapes = param_shapes(GPTConfig(vocab_size=27))
    >>> shapes["wte"], shapes["layer0.mlp_fc1"]
    ((27, 16), (64, 16))
    """
    # That an MLP is four times as wide inside as outside is a custom that works well.
    n_embd = config.n_embd
    shapes = {
        "wte": (config.vocab_size, n_embd),  # token embeddings: a row for each token
        "wpe": (config.block_size, n_embd),  # position embeddings: a row for each place
        "lm_head": (config.vocab_size, n_embd),  # language-model head: x to logits
    }
    for layer in range(config.n_layer):
        shapes[f"layer{layer}.attn_wq"] = (n_embd, n_embd)  # x to query
        shapes[f"layer{layer}.attn_wk"] = (n_embd, n_embd)  # x to key
        shapes[f"layer{layer}.attn_wv"] = (n_embd, n_embd)  # x to value
        shapes[f"layer{layer}.attn_wo"] = (n_embd, n_embd)  # what was gathered, to x
        shapes[f"layer{layer}.mlp_fc1"] = (4 * n_embd, n_embd)  # x to hidden
        shapes[f"layer{layer}.mlp_fc2"] = (n_embd, 4 * n_embd)  # hidden to x
    return shapes


def init_params(config: GPTConfig, rng: random.Random) -> Params:
    """Return new parameters: small random Values, each labelled with its place.

    Why random? Suppose all weights of the MLP started out equal. Then all of its hidden
    numbers would compute the same, get the same gradients, and stay the same for ever:
    many copies of one. Chance makes them different from the start. Why small? The model
    should begin without an opinion. Its logits are then close to 0, and all tokens
    about equally likely.

    attn_wo and mlp_fc2 are the matrices through which the two halves of a layer add to
    x. They start at exactly 0, so at first a layer adds nothing, and it learns what to
    add. How can that ever begin, if everything is multiplied by 0? Look at one weight w
    of attn_wo, and the number g, gathered by attention, that it multiplies. The output
    w * g is 0, but its slope with respect to w is g, which is not 0. So w moves at the
    first step. The slope with respect to g is w, which is 0; therefore the matrices
    that g was computed with, attn_wq, attn_wk and attn_wv, receive no gradient at the
    first step. They do from the second step on, when w is no longer 0.

    Signpost: GPT-2 starts these two at random as well, the smaller the more layers.
    """
    params = {}
    for name, (n_rows, n_columns) in param_shapes(config).items():
        adds_to_x = name.endswith(("attn_wo", "mlp_fc2"))
        std = 0.0 if adds_to_x else 0.02  # the standard deviation of the numbers
        matrix = []
        for i in range(n_rows):
            row = []
            for j in range(n_columns):
                row.append(Value(rng.gauss(0, std), label=f"{name}[{i}][{j}]"))
            matrix.append(row)
        params[name] = matrix
    return params


def flatten(params: Params) -> list[Value]:
    """Return all parameters in one list: matrix by matrix, row by row."""
    return [weight for matrix in params.values() for row in matrix for weight in row]


def as_floats(params: Params) -> Params:
    """Return the same parameters as plain floats, for writing and for measuring.

    Nothing computed from them can be asked for a gradient, and no graph is built. The
    results have the same digits. Parameters that are floats already come back as
    copies.
    """
    floats = {}
    for name, matrix in params.items():
        floats[name] = [[as_float(weight) for weight in row] for row in matrix]
    return floats


# The parts of the model. After "#" stand the shapes that go in and the one that comes
# out, as lengths: linear takes an x of n_in numbers and a matrix of n_out rows.


def add(x: Vector, y: Vector) -> Vector:  # (n), (n) -> (n)
    """Return x[0] + y[0], x[1] + y[1], …."""
    return [xi + yi for xi, yi in zip(x, y)]


def linear(x: Vector, w: Matrix) -> Vector:  # (n_in), (n_out, n_in) -> (n_out)
    """Return w times x: the dot product of x with each row of w.

    Nearly all of a model's work is done here. Every weight is used once for each token,
    in one multiplication and one addition.

    Signpost: GPT-2 adds a learnt number, the *bias*, to each output.
    """
    return [dot(row, x) for row in w]


def softmax(logits: Vector) -> Vector:  # (n) -> (n)
    """Return probabilities: one number for each logit, none negative, with sum 1.

    probs[i] = exp(logits[i]) / (exp(logits[0]) + exp(logits[1]) + …). Of two tokens
    whose logits differ by 1, one is e = 2.718 times as likely as the other.

    >>> [round(p, 3) for p in softmax([0.0, 1.0, 0.0])]
    [0.212, 0.576, 0.212]
    """
    # The largest logit is subtracted from all of them first. That divides all exps by
    # the same number, so the shares stay as they are, but no exp can become too large.
    largest = max(logits, key=as_float)
    exps = [exp(logit - largest) for logit in logits]
    exps_sum = total(exps)
    return [e / exps_sum for e in exps]


def rmsnorm(x: Vector) -> Vector:  # (n) -> (n)
    """Return x scaled so that the mean of its squares is 1 (or a little less).

    RMS is the root of the mean of the squares, the usual size of the numbers in x; this
    divides by it. However large x has grown, whatever reads the normalised x gets
    numbers of one size, and can learn weights that fit. The 1e-5 keeps an x of nothing
    but zeros from dividing by 0.

    Signpost: GPT-2 has LayerNorm in this place. It also subtracts the mean first, and
    afterwards multiplies each number by a learnt gain and adds a learnt bias.

    Paper: Zhang and Sennrich, "Root mean square layer normalization", 2019, here
    without its gain.
    """
    mean_square = dot(x, x) * (1 / len(x))
    scale = (mean_square + 1e-5) ** -0.5
    return [xi * scale for xi in x]


def attention(
    x: Vector,
    params: Params,
    config: GPTConfig,
    layer: int,
    keys: list[Matrix],
    values: list[Matrix],
) -> Vector:  # (n_embd) -> (n_embd)
    """Return what this token gathers from the tokens so far, itself included.

    x is this token's residual stream, normalised. keys[layer] and values[layer] hold
    one list of n_embd numbers for each token so far, and this token's own are appended
    to them. A prediction must not use the tokens that come after it, since they are
    what is to be predicted; models that obey this are called *causal*. Here nothing
    special is needed for it: the tokens to come have no key yet, so nothing can look at
    them.

    It works like a look-up that is never quite decided. A dictionary compares what you
    look for with each key, and hands you the one value whose key is equal. Here each
    comparison gives a score, softmax turns the scores into shares of attention, and
    what comes back is a mixture of all values, each in proportion to its share.

    Why several attention heads? A head has one set of shares for each token: it can
    look at the last vowel, or at the beginning, but not at both and keep them apart. So
    the n_embd numbers are cut into n_head slices, and each head does its own look-up on
    its slice. (Which look-ups are useful, the model finds out in training.)

    Token number t compares its query with t keys, so the work of attention grows with
    every token, and for a whole text with the square of its length. In the default
    model, with texts of 8 tokens, it is still small. At the eighth token the scores
    take 8 * 16 multiplications and the mixture another 8 * 16, together 256. The
    matrices take 3,504, in `linear`: one for each weight.

    Paper: Vaswani et al., "Attention is all you need", 2017, section 3.2.
    """
    head_dim = config.head_dim
    q = linear(x, params[f"layer{layer}.attn_wq"])  # the query: what it looks for
    k = linear(x, params[f"layer{layer}.attn_wk"])  # the key: what it is found by
    v = linear(x, params[f"layer{layer}.attn_wv"])  # the value: what it has to say
    keys[layer].append(k)
    values[layer].append(v)

    gathered = []
    for h in range(config.n_head):
        # The head_dim numbers of q, k and v that attention head h works on:
        head = slice(h * head_dim, (h + 1) * head_dim)
        q_head = q[head]  # (head_dim)
        keys_head = [k_t[head] for k_t in keys[layer]]  # (tokens so far, head_dim)
        values_head = [v_t[head] for v_t in values[layer]]  # (tokens so far, head_dim)
        # A dot product adds up n = head_dim products. If each is of size 1, and
        # positive or negative by chance, they partly cancel out, and the sum is usually
        # of size sqrt(n). (Square the sum. For n = 2 that is a*a + b*b + 2*a*b: two
        # squares of size 1, and a mixed product that is positive as often as negative.
        # So the square is about n.) Dividing by sqrt(n) therefore keeps the scores near
        # size 1, however wide the heads are.
        #
        # Why should they not be large? If one score is larger than another by 10,
        # softmax gives the other a share of 0.00005. If that other score grew by 1, its
        # share would still be only 0.00012. Almost nothing changes, so the gradient is
        # almost 0, and the head could hardly learn any more to look there.
        scores = [dot(q_head, k_t) * head_dim**-0.5 for k_t in keys_head]
        weights = softmax(scores)  # (tokens so far), each token's share of attention
        # Each of the head's outputs is a mean over the tokens so far, by these shares.
        # zip(*rows) turns rows into columns: the first column holds the first number of
        # every token's value, the second column the second, and so on.
        columns = zip(*values_head)  # (head_dim, tokens so far)
        head_out = [dot(weights, column) for column in columns]  # (head_dim)
        gathered += head_out
    return linear(gathered, params[f"layer{layer}.attn_wo"])


def mlp(x: Vector, params: Params, layer: int) -> Vector:  # (n_embd) -> (n_embd)
    """Return what this token makes of its own x, by two linear functions in a row.

    fc1 computes 4 * n_embd hidden numbers, each of which measures how well x matches
    one pattern. An *activation function* in between keeps those that match and sets the
    others to 0; what comes out of it are the *activations*. fc2 then adds up, for each
    pattern that was found, what should follow from it.

    Why something in between at all? Two linear functions in a row are only one: w2
    times (w1 times x) is (w2 times w1) times x. Without something that is not linear,
    fc1 and fc2 together could do no more than a single matrix.

    Why squared ReLU, x * x for positive x and otherwise 0? ReLU alone has a corner at
    0, where its slope jumps from 0 to 1; the slope of its square grows from 0 without a
    jump, and strong matches count for more. So et al. found in a search over many
    variants that it trains transformers to a lower loss in the same time.

    Signpost: GPT-2 has GELU in this place, a smooth curve close to ReLU.

    Paper: So et al., "Primer: searching for efficient transformers for language
    modeling", 2021.
    """
    hidden = linear(x, params[f"layer{layer}.mlp_fc1"])  # (4 * n_embd)
    activations = [relu(hi) ** 2 for hi in hidden]
    return linear(activations, params[f"layer{layer}.mlp_fc2"])


def gpt(
    params: Params,
    config: GPTConfig,
    token_id: int,
    pos_id: int,
    keys: list[Matrix],
    values: list[Matrix],
) -> Vector:
    """Return the logits (vocab_size) of the token that follows token_id.

    token_id stands at position pos_id of the text, and the logits are about the next
    position. A text goes through one token at a time, from position 0 on. What later
    tokens need to know of earlier ones is in `keys` and `values`, which start as
    `empty_cache(config)`: keys[layer][t] and values[layer][t] are the n_embd numbers of
    the token at position t, so their shape is (n_layer, tokens so far, n_embd). This
    call adds one row to each layer. (This is called the KV cache, for key and value.)
    The rows are part of the graph: when the loss of a later token is asked for
    gradients, they flow back through its keys and values into the earlier tokens.

    A token id or a position out of range: ValueError.
    """
    if not 0 <= token_id < config.vocab_size:
        raise ValueError(f"token {token_id}, but vocab_size is {config.vocab_size}")
    if not 0 <= pos_id < config.block_size:
        raise ValueError(
            f"position {pos_id} (from 0), but block_size is {config.block_size}: "
            "shorten the text, or make a model with a larger block_size"
        )
    token_embedding = params["wte"][token_id]  # (n_embd)
    pos_embedding = params["wpe"][pos_id]  # (n_embd)
    # Why positions? Attention mixes values by how well keys match, wherever they stand.
    # At the last letter of "amy" and of "may", the first layer would find the same
    # three letters and gather the same. So x itself says where in the text it is.
    x = add(token_embedding, pos_embedding)
    # Why normalise here, when each layer normalises its input again? A layer normalises
    # only the copy that it reads; x, the residual stream, passes by untouched, and in
    # the end the language-model head reads it as it is. The embeddings start out near
    # 0.03 in size (0.02 * sqrt(2), since two of them are added). With so small an x, a
    # step that changes a weight of the head by 0.01 hardly changes a logit. It is good
    # that the first logits are close to 0, but not that they stay there for many steps.
    # So we bring the stream itself to size 1 once, at the start. (examples/changes.py
    # measures what the model is worth without this.)
    x = rmsnorm(x)

    for layer in range(config.n_layer):
        # Each half of a layer adds to x. The sum is called a residual connection. Why
        # add, and not replace x by the result? What the layer does not change is still
        # there for the layers above, so a layer only has to learn what to contribute.
        # And gradients survive. On their way down they are multiplied by the slope of
        # each layer; if that were a small number, little would be left after many
        # layers. The slope of a sum with respect to x is 1 plus something.
        x = add(x, attention(rmsnorm(x), params, config, layer, keys, values))
        x = add(x, mlp(rmsnorm(x), params, layer))

    # Signpost: GPT-2 normalises x once more here, before the head.
    logits = linear(x, params["lm_head"])  # (vocab_size)
    return logits


def empty_cache(config: GPTConfig) -> tuple[list[Matrix], list[Matrix]]:
    """Return keys and values for a text that has not begun: empty for each layer."""
    keys: list[Matrix] = [[] for _ in range(config.n_layer)]
    values: list[Matrix] = [[] for _ in range(config.n_layer)]
    return keys, values


def cross_entropy(logits: Vector, target_id: int) -> Any:  # (vocab_size) -> one number
    """Return how surprising it is that token target_id came next, in nats.

    It is -log(probability of the target). If the model was sure of it, the probability
    is close to 1 and the surprise close to 0; the less it expected the token, the
    larger. Why the logarithm, and not simply 1 - probability? The probability of a
    whole text is the product of those of its tokens, and the logarithm makes a sum of
    it: a text's surprise is the sum of its tokens' surprises, and making that small is
    the same as making the text likely. And a model that calls something impossible
    which then happens is not just a little wrong: its surprise is infinite. "Nats" says
    that the logarithm is the natural one. ("Cross-entropy" is the field's name for this
    measure; it comes from information theory.) A target that is no token: ValueError.

    It is computed as logsumexp(logits) - logits[target_id]. This is the same, because
    the log of a quotient is a difference of logs, and it stays finite where the
    probability itself would be rounded to 0.

    >>> cross_entropy([0.0, 0.0], 1)      # one of two equally likely: log 2
    0.6931471805599453
    """
    if not 0 <= target_id < len(logits):
        raise ValueError(f"token {target_id}, but vocab_size is {len(logits)}")
    return logsumexp(logits) - logits[target_id]


def token_losses(params: Params, config: GPTConfig, tokens: Sequence[int]) -> Vector:
    """Return the cross-entropy of each token of a document, given those before it.

    A document comes between two BOS tokens. From BOS a b BOS, the model is asked for a
    (given BOS), for b (given BOS a) and for the final BOS (given BOS a b). It can see
    block_size tokens, so it is asked for as many at most: the result has
    min(block_size, len(tokens) - 1) numbers. Fewer than 2 tokens: ValueError.
    """
    n = min(config.block_size, len(tokens) - 1)
    if n < 1:
        raise ValueError(f"{len(tokens)} tokens, but a prediction needs 2: give more")
    keys, values = empty_cache(config)
    losses = []
    for pos_id in range(n):
        token_id = tokens[pos_id]
        target_id = tokens[pos_id + 1]
        logits = gpt(params, config, token_id, pos_id, keys, values)
        losses.append(cross_entropy(logits, target_id))
    return losses


def document_loss(params: Params, config: GPTConfig, tokens: Sequence[int]) -> Value:
    """Return the mean of `token_losses`: one Value, on which to call backward()."""
    losses = token_losses(params, config, tokens)
    loss: Value = total(losses) * (1 / len(losses))
    return loss
