"""The "mini GPT" of the PyTorch tutorials, on Values: GPT-2's parts, put together.

Chapter 23 takes these parts one at a time. Here they are all in their places, and
nothing else is: this is the model that many tutorials build, often under the name "mini
GPT", in Python's standard library. It is laid out like `microgpt/model.py`, so that you
can read the two side by side. What differs from there:

    normalisation   LayerNorm with a learnt gain and bias; there RMSNorm without either
    where           before each half of a layer, and once before the head; there also
                    right after the embeddings, but not before the head
    linear layers   of attention and of the MLP add a learnt bias to each output; the
                    head has none, here as there
    the MLP         has GELU between its two matrices; there squared ReLU
    the head        may be `tied`: it is wte, used a second time
    dropout         sets a tenth of the numbers to 0 while the model learns
    the optimizer   AdamW, which shrinks the matrices, but not the gains and biases;
                    clipped gradients, warm-up, and a learning rate along a cosine

tests/reference/test_mini_gpt_figures.py compares the loss, and each of its gradients,
with what PyTorch has computed.

Papers: Radford et al., "Language models are unsupervised multitask learners" (GPT-2),
2019; for the parts see chapter 23.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Any

import common  # noqa: F401  (so that microgpt is found without installing it)

from microgpt import (
    Adam,
    CharTokenizer,
    GPTConfig,
    Value,
    as_float,
    clip_grad_norm,
    cross_entropy,
    dot,
    empty_cache,
    flatten,
    init_params,
    linear,
    softmax,
    token_probabilities,
    total,
)
from microgpt.model import Matrix, Params, Vector, add

Drop = Callable[[Vector], Vector]


def init_mini_gpt(
    config: GPTConfig, rng: random.Random, tied_head: bool = True
) -> Params:
    """Return the parameters: the package's matrices, and the new gains and biases.

    With a tied head there is no lm_head: `mini_gpt` then takes wte in its place.

    A gain starts at 1 and a bias at 0, so at first neither changes anything. Each is a
    list of numbers, and is kept as a matrix with one row, so that `flatten`,
    `as_floats` and all the rest work on it unchanged.

    Signpost: as in the package, attn_wo and mlp_fc2 start at 0, so that at first the
    layers add nothing to x. GPT-2 starts them at random numbers of size
    0.02 / sqrt(2 * n_layer), which are the smaller the more layers add to x.
    """
    params = init_params(config, rng)
    if tied_head:
        del params["lm_head"]
    n_embd = config.n_embd
    for layer in range(config.n_layer):
        add_norm(params, f"layer{layer}.norm1", n_embd)
        for name in ("attn_wq", "attn_wk", "attn_wv", "attn_wo"):
            add_vector(params, f"layer{layer}.{name}_bias", n_embd, 0.0)
        add_norm(params, f"layer{layer}.norm2", n_embd)
        add_vector(params, f"layer{layer}.mlp_fc1_bias", 4 * n_embd, 0.0)
        add_vector(params, f"layer{layer}.mlp_fc2_bias", n_embd, 0.0)
    add_norm(params, "final_norm", n_embd)
    return params


def add_vector(params: Params, name: str, n: int, number: float) -> None:
    """Put a new matrix of one row into params: n times the same number."""
    params[name] = [[Value(number, label=f"{name}[{i}]") for i in range(n)]]


def add_norm(params: Params, name: str, n: int) -> None:
    """Put the gain and the bias of a LayerNorm of n numbers into params."""
    add_vector(params, f"{name}_gain", n, 1.0)
    add_vector(params, f"{name}_bias", n, 0.0)


# The parts. As in microgpt/model.py they take Values or floats.


def layernorm(x: Vector, gain: Vector, bias: Vector) -> Vector:  # (n) -> (n)
    """Return x with mean 0 and size 1, and then each number times its gain plus bias.

    Paper: Ba, Kiros and Hinton, "Layer normalization", 2016.
    """
    mean = total(x) * (1 / len(x))
    centred = [xi - mean for xi in x]
    variance = dot(centred, centred) * (1 / len(x))
    scale = (variance + 1e-5) ** -0.5
    normalised = [c * scale for c in centred]
    return [xi * g + b for xi, g, b in zip(normalised, gain, bias)]


def gelu(x: Any) -> Any:
    """Return x times the share of a normal distribution that lies below x.

    It is an operation of its own: the result, and the slope beside it, in one node.

    Signpost: GPT-2's own program computes the share by a formula with tanh, which is
    close to this one (chapter 23 measures how close).

    Paper: Hendrycks and Gimpel, "Gaussian error linear units (GELUs)", 2016.
    """
    number = as_float(x)
    share_below = 0.5 * (1 + math.erf(number / math.sqrt(2)))
    if not isinstance(x, Value):
        return number * share_below
    # By the product rule: the slope of x is 1, and that of the share is the density of
    # the normal distribution, the height of the bell curve at x.
    density = math.exp(-0.5 * number**2) / math.sqrt(2 * math.pi)
    slope = share_below + number * density
    return Value(number * share_below, (x,), (slope,), "gelu")


def keep_all(xs: Vector) -> Vector:
    """Return xs as they are: no dropout, as when a model is measured or writes."""
    return xs


def dropout(rate: float, rng: random.Random) -> Drop:
    """Return a function that sets about a share `rate` of its numbers to 0, by chance.

    Those that are left are divided by 1 - rate, so that their sum is about the same.
    This is for training. Where a function below has an argument `drop`, it is either
    such a function or `keep_all`.

    Paper: Srivastava et al., "Dropout: a simple way to prevent neural networks from
    overfitting", 2014.
    """

    def drop(xs: Vector) -> Vector:
        dropped = []
        for x in xs:
            factor = 0.0 if rng.random() < rate else 1 / (1 - rate)
            dropped.append(x * factor)
        return dropped

    return drop


def linear_with_bias(x: Vector, params: Params, name: str) -> Vector:
    """Return the matrix of this name times x, plus its bias."""
    [bias] = params[f"{name}_bias"]  # the one row of the matrix that holds it
    return add(linear(x, params[name]), bias)


def norm(x: Vector, params: Params, name: str) -> Vector:  # (n) -> (n)
    """Return x through the LayerNorm of this name."""
    [gain] = params[f"{name}_gain"]
    [bias] = params[f"{name}_bias"]
    return layernorm(x, gain, bias)


def mini_attention(
    x: Vector,
    params: Params,
    config: GPTConfig,
    layer: int,
    keys: list[Matrix],
    values: list[Matrix],
    drop: Drop = keep_all,
    looks: list[Matrix] | None = None,
) -> Vector:  # (n_embd) -> (n_embd)
    """Return what this token gathers from the tokens so far.

    It is `attention` of microgpt/model.py with biases, and with dropout on the shares
    of attention: now and then a token may not look at one that it would look at. If
    `looks` is given, the shares of all heads are appended to it, to be drawn.
    """
    head_dim = config.head_dim
    q = linear_with_bias(x, params, f"layer{layer}.attn_wq")
    k = linear_with_bias(x, params, f"layer{layer}.attn_wk")
    v = linear_with_bias(x, params, f"layer{layer}.attn_wv")
    keys[layer].append(k)
    values[layer].append(v)

    gathered = []
    weights_of_heads = []
    for h in range(config.n_head):
        head = slice(h * head_dim, (h + 1) * head_dim)
        scores = [dot(q[head], k_t[head]) * head_dim**-0.5 for k_t in keys[layer]]
        weights = softmax(scores)
        weights_of_heads.append(weights)
        kept_weights = drop(weights)
        values_head = [v_t[head] for v_t in values[layer]]
        gathered += [dot(kept_weights, column) for column in zip(*values_head)]
    if looks is not None:
        looks.append(weights_of_heads)
    return linear_with_bias(gathered, params, f"layer{layer}.attn_wo")


def mini_mlp(x: Vector, params: Params, layer: int) -> Vector:  # (n_embd) -> (n_embd)
    """Return what this token makes of its own x: two linear layers, GELU between."""
    hidden = linear_with_bias(x, params, f"layer{layer}.mlp_fc1")  # (4 * n_embd)
    activations = [gelu(hi) for hi in hidden]
    return linear_with_bias(activations, params, f"layer{layer}.mlp_fc2")


def mini_gpt(
    params: Params,
    config: GPTConfig,
    token_id: int,
    pos_id: int,
    keys: list[Matrix],
    values: list[Matrix],
    drop: Drop = keep_all,
    looks: list[Matrix] | None = None,
) -> Vector:
    """Return the logits (vocab_size) of the token that follows token_id.

    It works as `gpt` of microgpt/model.py does, one token at a time, with its keys and
    values. `drop` is dropout(…) in training, and only there. `looks`, if it is given,
    gets the shares of attention of every layer.
    """
    x = add(params["wte"][token_id], params["wpe"][pos_id])  # (n_embd)
    x = drop(x)
    for layer in range(config.n_layer):
        normed = norm(x, params, f"layer{layer}.norm1")
        found = mini_attention(normed, params, config, layer, keys, values, drop, looks)
        x = add(x, drop(found))
        normed = norm(x, params, f"layer{layer}.norm2")
        x = add(x, drop(mini_mlp(normed, params, layer)))
    x = norm(x, params, "final_norm")
    if "lm_head" not in params:  # tied: wte is the head as well
        return linear(x, params["wte"])
    return linear(x, params["lm_head"])


def mini_token_losses(
    params: Params,
    config: GPTConfig,
    tokens: Sequence[int],
    drop: Drop = keep_all,
) -> Vector:
    """Return the surprise at each token after the first: at most block_size of them."""
    n = min(config.block_size, len(tokens) - 1)
    keys, values = empty_cache(config)
    losses = []
    for pos_id in range(n):
        logits = mini_gpt(params, config, tokens[pos_id], pos_id, keys, values, drop)
        losses.append(cross_entropy(logits, tokens[pos_id + 1]))
    return losses


# Training.


def learning_rate(step: int, n_steps: int, highest: float, n_warm_up: int) -> float:
    """Return the learning rate of this step: first up evenly, then down a cosine.

    It rises over n_warm_up steps to the highest rate, and then falls to a tenth of it.
    """
    if step < n_warm_up:
        return highest * (step + 1) / n_warm_up
    progress = (step - n_warm_up) / (n_steps - n_warm_up)  # from 0 up to 1
    wave = 0.5 * (1 + math.cos(math.pi * progress))  # from 1 down to 0
    lowest = 0.1 * highest
    return lowest + wave * (highest - lowest)


def is_vector(name: str) -> bool:
    """Say whether these parameters are a gain or a bias, and not a matrix.

    >>> is_vector("final_norm_gain"), is_vector("layer0.attn_wq")
    (True, False)
    """
    return name.endswith(("_gain", "_bias"))


class MiniAdamW:
    """AdamW with clipped gradients, in which only the matrices shrink.

    It is two of the package's optimizers: one with weight decay for the matrices, and
    one without for the gains and biases.
    """

    def __init__(self, params: Params, weight_decay: float, max_norm: float) -> None:
        matrices = {name: m for name, m in params.items() if not is_vector(name)}
        vectors = {name: m for name, m in params.items() if is_vector(name)}
        self.max_norm = max_norm
        self.parameters = flatten(params)
        self.for_matrices = Adam(flatten(matrices), weight_decay=weight_decay)
        self.for_vectors = Adam(flatten(vectors), weight_decay=0.0)

    def step(self, lr: float) -> float:
        """Clip all gradients together, take a step; return the norm that they had."""
        norm_before = clip_grad_norm(self.parameters, self.max_norm)
        self.for_matrices.step(lr)
        self.for_vectors.step(lr)
        return norm_before


# Writing, and looking.


def write(
    params: Params,
    config: GPTConfig,
    tokenizer: CharTokenizer,
    rng: random.Random,
    temperature: float = 1.0,
    top_k: int | None = None,
) -> str:
    """Return a new text, token by token, until BOS or the end of the block.

    The rng chooses the tokens; nothing is dropped here.
    """
    keys, values = empty_cache(config)
    written: list[int] = []
    token_id = tokenizer.bos
    for pos_id in range(config.block_size):
        logits = mini_gpt(params, config, token_id, pos_id, keys, values)
        plain = [as_float(logit) for logit in logits]
        probs = token_probabilities(plain, temperature, top_k)
        [token_id] = rng.choices(range(config.vocab_size), weights=probs)
        if token_id == tokenizer.bos:
            break
        written.append(token_id)
    return tokenizer.decode(written)


def looks_of(
    params: Params, config: GPTConfig, tokens: Sequence[int]
) -> list[list[Matrix]]:
    """Return for each token, layer and head the shares of the tokens so far.

    looks[t][layer][h][s] is how much of its attention the token at position t gives to
    the token at position s.
    """
    keys, values = empty_cache(config)
    looks_of_tokens = []
    for pos_id, token_id in enumerate(tokens):
        looks: list[Matrix] = []
        mini_gpt(params, config, token_id, pos_id, keys, values, looks=looks)
        looks_of_tokens.append(looks)
    return looks_of_tokens
