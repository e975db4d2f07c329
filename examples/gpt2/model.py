"""GPT-2 is the model you know, with a few lines changed.

Before this came `vocabulary.py`, and text is numbers; next comes `load.py`, which reads
a model from its files. Lay microgpt/model.py beside this file. Here is all that
differs, from top to bottom:

    microgpt.model             GPT-2                      why
    wte, a row for each token  a slice of one long row    as it lies in the file
    rmsnorm before the layers  none                       it is there for the head,
                                                          which has ln_f here, below
    rmsnorm(x)                 layer_norm: subtracts the  came first; what RMSNorm
                               mean, has gain and bias    leaves out matters little
    attn_wq, attn_wk, attn_wv  c_attn: q, k, v in a row   a GPU is faster at one large
                                                          product than at three small
    linear: w times x          w times x, plus a bias     many newer models have none
    a row for each output      a row for each input       only the order in the file
    attn_wo, mlp_fc1, mlp_fc2  c_proj, c_fc, c_proj       only the names in the file
    relu(x) ** 2               gelu(x)                    is not flat below 0
    none after the layers      layer_norm, called ln_f    x grew with each layer, and
                                                          the head wants one size too
    lm_head                    wte, once more             one row for a token, whether
                                                          it is read or written
    Value, dot                 float, sumprod             nothing is learnt: no graph
    keys[layer][t], a list     an array of floats         8 bytes a number, not 32

    vocab_size 27              50,257
    block_size 8               1,024, called n_positions
    n_layer 1                  12, or 24, 36, 48 in the larger three
    n_head 4                   12, or 16, 20, 25
    n_embd 16                  768, or 1,024, 1,280, 1,600
    4,064 weights              124,439,808, up to 1,557,611,200

One more thing is different: the keys and values of the text so far are kept in the
model object, and not handed in, because `fast.py` will keep them in other processes.

Papers: Radford et al., "Language models are unsupervised multitask learners" (GPT-2),
2019; Press and Wolf, "Using the output embedding to improve language models", 2017.
"""

from __future__ import annotations

import math
import os
import sys
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

# `python examples/gpt2/complete.py` works without installing anything.
sys.path.insert(0, os.path.abspath(f"{__file__}/../../.."))

from microgpt.model import add
from microgpt.value import sumprod


@dataclass(frozen=True)
class GPT2Config:
    """The sizes of a model, and what else is its own; `load.py` checks them."""

    vocab_size: int
    n_positions: int  # how many tokens the model can see
    n_embd: int
    n_layer: int
    n_head: int
    n_inner: int  # numbers inside the MLP: in GPT-2 itself 4 * n_embd
    layer_norm_epsilon: float = 1e-5
    tie_word_embeddings: bool = True  # whether the head is wte
    # GPT-2 itself has the next three as they are here; some of its relatives do not.
    activation: str = "gelu_new"
    scale_attn_weights: bool = True
    scale_attn_by_inverse_layer_idx: bool = False
    end_of_text: tuple[int, ...] = ()  # ids by which the model says: here it ends

    @property
    def head_dim(self) -> int:
        """How many of the n_embd numbers each head has to itself."""
        return self.n_embd // self.n_head

    def score_scale(self, layer: int) -> float:
        """Return what the scores of attention are multiplied by in a layer."""
        scale = self.head_dim**-0.5 if self.scale_attn_weights else 1.0
        return scale / (layer + 1) if self.scale_attn_by_inverse_layer_idx else scale


def param_shapes(config: GPT2Config) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the name and the shape of each tensor that makes up a model."""
    n_embd, n_inner = config.n_embd, config.n_inner
    yield "wte.weight", (config.vocab_size, n_embd)  # a row for each token
    yield "wpe.weight", (config.n_positions, n_embd)  # one for each position
    for layer in range(config.n_layer):
        yield f"h.{layer}.ln_1.weight", (n_embd,)  # the gain
        yield f"h.{layer}.ln_1.bias", (n_embd,)
        # Matrices here are (n_in, n_out).
        yield f"h.{layer}.attn.c_attn.weight", (n_embd, 3 * n_embd)
        yield f"h.{layer}.attn.c_attn.bias", (3 * n_embd,)
        yield f"h.{layer}.attn.c_proj.weight", (n_embd, n_embd)
        yield f"h.{layer}.attn.c_proj.bias", (n_embd,)
        yield f"h.{layer}.ln_2.weight", (n_embd,)
        yield f"h.{layer}.ln_2.bias", (n_embd,)
        yield f"h.{layer}.mlp.c_fc.weight", (n_embd, n_inner)
        yield f"h.{layer}.mlp.c_fc.bias", (n_inner,)
        yield f"h.{layer}.mlp.c_proj.weight", (n_inner, n_embd)
        yield f"h.{layer}.mlp.c_proj.bias", (n_embd,)
    yield "ln_f.weight", (n_embd,)
    yield "ln_f.bias", (n_embd,)
    if not config.tie_word_embeddings:
        yield "lm_head.weight", (config.vocab_size, n_embd)  # (n_out, n_in), as in wte


class NotFinite(ValueError):
    """A number is infinite or no number (nan): with sound weights that cannot be."""


class Matrix(NamedTuple):
    """Weights as they lie in a file, in one of two orders."""

    weights: memoryview  # flat, of format "f" or "d"
    n_in: int
    n_out: int
    in_out: bool  # (n_in, n_out): a row for each input; else (n_out, n_in)

    def of_input(self, i: int, start: int, stop: int) -> memoryview:
        """Return the weights from input i to the outputs from start to stop.

        `bigmatrix.py` packs them. The product in this file takes `of_output`.
        """
        if self.in_out:
            return self.weights[i * self.n_out + start : i * self.n_out + stop]
        return self.weights[start * self.n_in + i : stop * self.n_in : self.n_in]

    def of_output(self, j: int) -> memoryview:
        """Return the weights from all inputs to output j."""
        if self.in_out:
            return self.weights[j :: self.n_out]
        return self.weights[j * self.n_in : (j + 1) * self.n_in]

    def times(self, x: Sequence[float]) -> list[float]:
        """Return all outputs: y[j] is the sum of x[i] * w[i, j] over all i."""
        check_input(x, self.n_in)
        return [sumprod(self.of_output(j), x) for j in range(self.n_out)]


def check_input(x: Sequence[float], n_in: int) -> None:
    """Refuse an x that is not finite, by NotFinite, or not of n_in numbers."""
    size_of(x, n_in)


def size_of(x: Sequence[float], n_in: int) -> float:
    """Return sum |x[i]|, by which `bigmatrix.py` divides.

    If x does not have n_in numbers, or they or the sum are not finite: ValueError.
    """
    if len(x) != n_in:
        raise ValueError(f"x has {len(x)} numbers, but the matrix {n_in} inputs")
    size = sum(map(abs, x))
    if not math.isfinite(size):
        # One of the numbers is not finite, or they are so large that their sum is not.
        unfit = [xi for xi in x if not math.isfinite(xi)] or [max(x, key=abs)]
        raise NotFinite(f"x holds {unfit[0]}: its numbers and sum must be finite")
    return size


def layer_norm(
    x: list[float], gain: list[float], bias: list[float], epsilon: float
) -> list[float]:
    """Return x shifted to mean 0 and scaled to variance 1, then times gain, plus bias.

    (The variance is the mean of the squares of what is left without the mean.) So a
    layer reads numbers of one size, however large x has grown; gain and bias, which are
    learnt, let it read some of them as larger than others. Paper: Ba, Kiros and Hinton,
    "Layer normalization", 2016.

    >>> layer_norm([4.0, 8.0], gain=[1.0, 1.0], bias=[0.0, 5.0], epsilon=0.0)
    [-1.0, 6.0]
    """
    mean = sum(x) / len(x)
    centred = [xi - mean for xi in x]
    variance = sumprod(centred, centred) / len(x)
    scale = (variance + epsilon) ** -0.5  # of equal numbers the variance is 0
    return [c * scale * g + b for c, g, b in zip(centred, gain, bias)]


def gelu(x: float) -> float:
    """Return x if it is well above 0, almost 0 if well below, a smooth curve between.

    GELU is x times the chance that a normally distributed random number is less than x.
    GPT-2 was trained with this formula for it, whose error is at most 0.0005: in place
    of the chance it has (1 + tanh(inner)) / 2. In inner, sqrt(2 / pi) makes the slope
    at 0 right, and 0.044715 is the factor that keeps the largest error of the chance
    smallest, below 0.0002.

    Why not ReLU? Below 0 it is flat. If a hidden number is below 0 for every token, no
    gradient reaches the weights that make it, and they stop learning. GELU has a slope
    nearly everywhere.

    Paper: Hendrycks and Gimpel, "Gaussian error linear units (GELUs)", 2016.

    >>> [round(gelu(x), 3) for x in [-6.0, -1.0, 0.0, 1.0, 6.0]]
    [-0.0, -0.159, 0.0, 0.841, 6.0]
    """
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)
    return 0.5 * x * (1 + math.tanh(inner))


def gelu_exact(x: float) -> float:
    """Return x times that chance itself; some relatives of GPT-2 were trained so.

    >>> round(gelu_exact(1.0), 4), round(gelu(1.0), 4)
    (0.8413, 0.8412)
    """
    return 0.5 * x * (1 + math.erf(x / math.sqrt(2)))


# By the names that config.json has for them.
ACTIVATIONS = {"gelu_new": gelu, "gelu_pytorch_tanh": gelu, "gelu": gelu_exact}


def softmax(scores: list[float]) -> list[float]:
    """Return positive numbers that sum to 1: weights[i] = exp(scores[i]) / sum of exps.

    microgpt.model has the same, but asks of each number whether it is a Value. Here all
    are floats, and there are many: one for each head and each token so far.

    >>> softmax([800.0, 800.0])
    [0.5, 0.5]
    """
    maximum = max(scores)  # without it exp could overflow; the quotients are the same
    exps = [math.exp(score - maximum) for score in scores]
    exps_sum = sum(exps)
    return [e / exps_sum for e in exps]


def attend(
    q: Sequence[float],
    keys: Sequence[Sequence[float]],
    values: Sequence[Sequence[float]],
    scale: float,
) -> list[float]:  # (head_dim), two of (n_tokens, head_dim) -> (head_dim)
    """Return what one head gathers: a mean of values, by how well their keys match."""
    scores = [sumprod(q, k_t) * scale for k_t in keys]
    weights = softmax(scores)  # (tokens so far)
    return [sumprod(weights, column) for column in zip(*values)]


class GPT2:
    """A model in memory, with the keys and values of the text that it has read.

    keys[layer][t] and values[layer][t] are n_embd numbers of the token at position t,
    as in microgpt.model. Reading a token at some position again forgets what stood
    there and everything after it, so that one can go back to where a text branches.
    """

    def __init__(self, config: GPT2Config, weights: Mapping[str, Any]) -> None:
        self.config = config
        self.wte: Sequence[float] = weights["wte.weight"]  # row after row
        self.wpe: Sequence[float] = weights["wpe.weight"]
        self.vectors, self.matrices = vectors_and_matrices(config, weights)
        self.keys: list[list[Any]] = [[] for _ in range(config.n_layer)]
        self.values: list[list[Any]] = [[] for _ in range(config.n_layer)]
        self.n_read = 0  # how many tokens of a text it has read

    def __enter__(self) -> GPT2:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back what the model holds besides memory: here nothing."""

    def times(self, name: str, x: Sequence[float]) -> list[float]:
        """Return x times the matrix of this name."""
        return self.matrices[name].times(x)

    def linear(self, name: str, x: Sequence[float]) -> list[float]:
        """Return x times the matrix of this name, plus its bias: (n_in) -> (n_out)."""
        return add(self.times(f"{name}.weight", x), self.vectors[f"{name}.bias"])

    def norm(self, name: str, x: list[float]) -> list[float]:
        """Return layer_norm of x with the gain and bias of this name."""
        gain, bias = self.vectors[f"{name}.weight"], self.vectors[f"{name}.bias"]
        return layer_norm(x, gain, bias, self.config.layer_norm_epsilon)

    def attention(self, layer: int, x: list[float], pos_id: int) -> list[float]:
        """Return what the token at pos_id gathers from the tokens so far: (n_embd)."""
        n_embd, head_dim = self.config.n_embd, self.config.head_dim
        scale = self.config.score_scale(layer)
        qkv = self.linear(f"h.{layer}.attn.c_attn", x)  # (3 * n_embd)
        q, k, v = qkv[:n_embd], qkv[n_embd : 2 * n_embd], qkv[2 * n_embd :]
        keys, values = self.keys[layer], self.values[layer]
        del keys[pos_id:], values[pos_id:]
        keys.append(array("d", k))
        values.append(array("d", v))
        gathered = []
        for h in range(self.config.n_head):
            head = slice(h * head_dim, (h + 1) * head_dim)
            keys_head = [k_t[head] for k_t in keys]
            values_head = [v_t[head] for v_t in values]
            gathered += attend(q[head], keys_head, values_head, scale)
        return self.linear(f"h.{layer}.attn.c_proj", gathered)

    def mlp(self, layer: int, x: list[float]) -> list[float]:
        """Return what the token makes of its own x, through n_inner hidden numbers."""
        activation = ACTIVATIONS[self.config.activation]
        hidden = self.linear(f"h.{layer}.mlp.c_fc", x)  # (n_inner)
        activations = [activation(hi) for hi in hidden]
        return self.linear(f"h.{layer}.mlp.c_proj", activations)


def read_token(model: GPT2, token_id: int, pos_id: int) -> list[float]:
    """Read a token: all of `gpt2` but the head. Return x after ln_f: (n_embd).

    The token leaves a key and a value in each layer. Of a prompt's tokens, all but the
    last need no more than that, and what is returned is not used. Of the last, the head
    makes logits. An id or position out of range, or one beyond the text that was read:
    ValueError.
    """
    config = model.config
    if not 0 <= token_id < config.vocab_size:
        raise ValueError(f"token {token_id}, but vocab_size is {config.vocab_size}")
    if not 0 <= pos_id < config.n_positions:
        raise ValueError(
            f"position {pos_id} (from 0), but n_positions is {config.n_positions}: "
            "shorten the text"
        )
    if pos_id > model.n_read:
        raise ValueError(f"position {pos_id}, but only {model.n_read} tokens were read")
    model.n_read = pos_id  # if this is stopped halfway, it can be done again
    n_embd = config.n_embd
    token_embedding = model.wte[token_id * n_embd : (token_id + 1) * n_embd]
    pos_embedding = model.wpe[pos_id * n_embd : (pos_id + 1) * n_embd]
    x = [t + p for t, p in zip(token_embedding, pos_embedding)]
    for layer in range(config.n_layer):
        x = add(x, model.attention(layer, model.norm(f"h.{layer}.ln_1", x), pos_id))
        x = add(x, model.mlp(layer, model.norm(f"h.{layer}.ln_2", x)))
    model.n_read = pos_id + 1
    return model.norm("ln_f", x)


def gpt2(model: GPT2, token_id: int, pos_id: int) -> list[float]:
    """Return the logits (vocab_size) of the token after token_id, at position pos_id.

    Errors are those of `read_token`. What this adds to it, the head, is in the smallest
    GPT-2 nearly a third of all multiplications.
    """
    x = read_token(model, token_id, pos_id)
    logits = model.times("lm_head.weight", x)
    return logits


def vectors_and_matrices(
    config: GPT2Config, weights: Mapping[str, Any]
) -> tuple[dict[str, list[float]], dict[str, Matrix]]:
    """Return the gains and biases as lists, and the matrices, each by its name."""
    vectors: dict[str, list[float]] = {}
    matrices: dict[str, Matrix] = {}
    for name, shape in param_shapes(config):
        if len(shape) == 1:
            vectors[name] = list(weights[name])
        elif name.startswith("h."):
            n_in, n_out = shape
            matrices[name] = Matrix(weights[name], n_in, n_out, in_out=True)
    head = weights["wte.weight" if config.tie_word_embeddings else "lm_head.weight"]
    matrices["lm_head.weight"] = Matrix(
        head, n_in=config.n_embd, n_out=config.vocab_size, in_out=False
    )
    return vectors, matrices
