"""GPT-2 is the model you know, with a few lines changed.

Before this came `bigmatrix.py`, which multiplies by large matrices; next comes
`complete.py`, which lets this model write. Lay `gpt` in microgpt/gpt.py beside `hidden`
and `gpt2` below. This is all that differs, from top to bottom:

    microgpt.gpt               GPT-2                      why
    wte, a row for each token  a slice of one long row    as it lies in the file
    rmsnorm before the layers  none                       see ln_f
    rmsnorm(x)                 layer_norm: subtracts the  came first; what RMSNorm
                               mean, has gain and bias    leaves out matters little
    attn_wq, attn_wk, attn_wv  c_attn: q, k, v in a row   a GPU is faster at one large
                                                          product than at three small
    linear: w times x          w times x, plus a bias     many newer models have none
    a row for each output      a row for each input       only the order in the file
    attn_wo, mlp_fc1, mlp_fc2  c_proj, c_fc, c_proj       only the names in the file
    relu(x) ** 2               gelu(x)                    a bend in place of a corner
    none after the layers      layer_norm, called ln_f    x grew with each layer, and
                                                          the head wants one size too
    lm_head                    wte, once more             one row for a token, whether
                                                          it is read or written
    Value, dot                 float, sumprod             nothing is learnt: no graph
    keys[layer][t], a list     an array                   8 bytes a number, not 32

    vocab_size 27              50,257
    block_size 8               1,024, called n_positions
    n_layer 1                  12, or 24, 36, 48 in the larger three
    n_head 4                   12, or 16, 20, 25
    n_embd 16                  768, or 1,024, 1,280, 1,600
    4,064 weights              124,439,808, up to 1,557,611,200

Papers: Radford et al., "Language models are unsupervised multitask learners" (GPT-2),
2019; Press and Wolf, "Using the output embedding to improve language models", 2017.
"""

from __future__ import annotations

import json
import math
import os
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from bigmatrix import Matrix, Products
from safetensors import read_safetensors

from microgpt.value import sumprod

# cache[layer][t]: what the token at position t left in a layer, n_embd numbers
Cache = list[list[Sequence[float]]]


@dataclass(frozen=True)
class GPT2Config:
    """The sizes of a model, and what else is its own; `read_config` checks them."""

    vocab_size: int
    n_positions: int  # how many tokens the model can see
    n_embd: int
    n_layer: int
    n_head: int
    n_inner: int  # numbers inside the MLP: in GPT-2 itself 4 * n_embd
    layer_norm_epsilon: float = 1e-5
    tie_word_embeddings: bool = True  # whether the head is wte

    @property
    def head_dim(self) -> int:
        """How many of the n_embd numbers each head has to itself."""
        return self.n_embd // self.n_head


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


class GPT2(NamedTuple):
    """A model in memory; `with load_gpt2(folder) as model:` ends its processes, too."""

    config: GPT2Config
    wte: Sequence[float]  # one row after the other, as in the file
    wpe: Sequence[float]
    vectors: dict[str, list[float]]  # gains and biases, by the names above
    products: Products  # with the matrices, likewise, and lm_head.weight

    def __enter__(self) -> GPT2:
        return self

    def __exit__(self, *error: object) -> None:
        self.products.close()

    def norm(self, name: str, x: list[float]) -> list[float]:
        """Return layer_norm of x with the gain and bias of this name."""
        gain, bias = self.vectors[f"{name}.weight"], self.vectors[f"{name}.bias"]
        return layer_norm(x, gain, bias, self.config.layer_norm_epsilon)

    def linear(self, name: str, x: list[float]) -> list[float]:  # (n_in) -> (n_out)
        """Return x times the matrix of this name, plus its bias."""
        product = self.products.times(f"{name}.weight", x)
        return [p + b for p, b in zip(product, self.vectors[f"{name}.bias"])]


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
    """Return x if it is well above 0, almost 0 if it is well below, and a bend between.

    Exactly, GELU is x times the chance that a normally distributed random number is
    less than x; this formula is at most 0.0005 off. Where ReLU is off it has no slope,
    and training cannot reach it; this has one nearly everywhere. Paper: Hendrycks and
    Gimpel, "Gaussian error linear units (GELUs)", 2016.

    >>> [round(gelu(x), 3) for x in [-6.0, -1.0, 0.0, 1.0, 6.0]]
    [-0.0, -0.159, 0.0, 0.841, 6.0]
    """
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)
    return 0.5 * x * (1 + math.tanh(inner))


def softmax(scores: list[float]) -> list[float]:
    """Return positive numbers that sum to 1: weights[i] = exp(scores[i]) / sum of exps.

    >>> softmax([800.0, 800.0])
    [0.5, 0.5]
    """
    maximum = max(scores)  # without it exp could overflow; the quotients are the same
    exps = [math.exp(score - maximum) for score in scores]
    exps_sum = sum(exps)
    return [e / exps_sum for e in exps]


def hidden(
    model: GPT2, token_id: int, pos_id: int, keys: Cache, values: Cache
) -> list[float]:
    """Return x (n_embd) after the last layer, of which the head can make logits.

    keys and values are as in microgpt.gpt. Of a prompt's tokens, all but the last need
    no more than this: it is enough that they leave a key and a value in each layer. An
    id or position out of range: ValueError.
    """
    config = model.config
    if not 0 <= token_id < config.vocab_size:
        raise ValueError(f"token {token_id}, but vocab_size is {config.vocab_size}")
    if not 0 <= pos_id < config.n_positions:
        raise ValueError(
            f"position {pos_id} (from 0), but n_positions is {config.n_positions}: "
            "shorten the text"
        )
    n_embd, head_dim = config.n_embd, config.head_dim
    token_embedding = model.wte[token_id * n_embd : (token_id + 1) * n_embd]
    pos_embedding = model.wpe[pos_id * n_embd : (pos_id + 1) * n_embd]
    x = [t + p for t, p in zip(token_embedding, pos_embedding)]

    for layer in range(config.n_layer):
        # Attention, half a layer: gather from the tokens so far.
        x_residual = x
        x = model.norm(f"h.{layer}.ln_1", x)
        qkv = model.linear(f"h.{layer}.attn.c_attn", x)  # (3 * n_embd)
        q, k, v = qkv[:n_embd], qkv[n_embd : 2 * n_embd], qkv[2 * n_embd :]
        keys[layer].append(array("d", k))
        values[layer].append(array("d", v))
        head_out = []
        for h in range(config.n_head):
            head = slice(h * head_dim, (h + 1) * head_dim)
            scores = [
                sumprod(q[head], k_t[head]) * head_dim**-0.5 for k_t in keys[layer]
            ]
            weights = softmax(scores)  # (tokens so far)
            v_columns = zip(*[v_t[head] for v_t in values[layer]])
            head_out += [sumprod(weights, v_column) for v_column in v_columns]
        x = model.linear(f"h.{layer}.attn.c_proj", head_out)
        x = [xi + residual for xi, residual in zip(x, x_residual)]

        # The MLP, the other half: work on each token alone, four times as wide.
        x_residual = x
        x = model.norm(f"h.{layer}.ln_2", x)
        x = model.linear(f"h.{layer}.mlp.c_fc", x)  # (n_inner)
        x = [gelu(xi) for xi in x]
        x = model.linear(f"h.{layer}.mlp.c_proj", x)  # (n_embd)
        x = [xi + residual for xi, residual in zip(x, x_residual)]

    return model.norm("ln_f", x)


def gpt2(
    model: GPT2, token_id: int, pos_id: int, keys: Cache, values: Cache
) -> list[float]:
    """Return the logits (vocab_size) of the token after token_id, at position pos_id.

    Arguments and errors are those of `hidden`. What this adds to it, the head, is in
    the smallest GPT-2 nearly a third of all multiplications.
    """
    x = hidden(model, token_id, pos_id, keys, values)
    logits = model.products.times("lm_head.weight", x)
    return logits


def empty_cache(config: GPT2Config) -> tuple[Cache, Cache]:
    """Return keys and values for a text that has not begun: an empty list a layer."""
    keys: Cache = [[] for _ in range(config.n_layer)]
    values: Cache = [[] for _ in range(config.n_layer)]
    return keys, values


# From a folder to a model: what is read is checked before it is believed.

SIZES = ("vocab_size", "n_positions", "n_embd", "n_layer", "n_head")

# Settings that change what a model computes, with all that this file can do. The first
# is what config.json means if it does not say.
CHOICES = {
    "activation_function": ("gelu_new", "gelu_pytorch_tanh"),  # both are gelu above
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "add_cross_attention": (False,),
    "tie_word_embeddings": (True, False),
}


def file_in(folder: str, name: str) -> str:
    """Return the path of a file in the folder of a model. Not there: ValueError."""
    path = os.path.join(folder, name)
    if not os.path.isfile(path):
        raise ValueError(
            f"there is no {path}: the folder of a model holds config.json, "
            "model.safetensors, vocab.json and merges.txt, for instance those of "
            "openai-community/gpt2, which Hugging Face has for download"
        )
    return path


def read_config(folder: str) -> GPT2Config:
    """Return what folder's config.json says. Not a GPT-2's, or wrong: ValueError."""
    path = file_in(folder, "config.json")
    try:
        with open(path, encoding="utf-8") as file:
            settings = json.load(file)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise ValueError(f"{path} is not JSON, or is cut short") from None
    if type(settings) is not dict:
        raise ValueError(f"{path} is JSON, but not an object: {{…}}")

    def require(is_good: bool, name: str, wanted: str) -> None:
        if not is_good:
            found = f"{settings[name]!r:.60}" if name in settings else "missing"
            raise ValueError(f"{path}: {name} is {found}, but must be {wanted}")

    require(settings.get("model_type") == "gpt2", "model_type", "'gpt2'")
    for name, choices in CHOICES.items():
        wanted = " or ".join([repr(choice) for choice in choices])
        require(settings.get(name, choices[0]) in choices, name, wanted)

    sizes = {name: settings.get(name, 0) for name in SIZES}
    if settings.get("n_inner") is not None:
        sizes["n_inner"] = settings["n_inner"]
    for name, size in sizes.items():
        require(type(size) is int and size > 0, name, "a whole number, 1 or more")
    n_embd, n_head = sizes["n_embd"], sizes["n_head"]
    require(n_embd % n_head == 0, "n_embd", f"a multiple of n_head, {n_head}")
    sizes.setdefault("n_inner", 4 * n_embd)

    epsilon = settings.get("layer_norm_epsilon", 1e-5)
    is_small = type(epsilon) is float and 0 < epsilon < 1
    require(is_small, "layer_norm_epsilon", "between 0 and 1")
    tied = settings.get("tie_word_embeddings", True)
    return GPT2Config(**sizes, layer_norm_epsilon=epsilon, tie_word_embeddings=tied)


def load_gpt2(
    folder: str,
    exact: bool = False,
    processes: int = 1,
    show: Callable[[int, int], None] | None = None,
) -> GPT2:
    """Return the model in folder's config.json and model.safetensors.

    exact, processes and show are those of Products. A file or tensor that is missing,
    or is not what config.json says: ValueError.
    """
    config = read_config(folder)
    path = file_in(folder, "model.safetensors")
    tensors = {
        # OpenAI's file says "wte.weight", most others "transformer.wte.weight".
        name.removeprefix("transformer."): tensor
        for name, tensor in read_safetensors(path).items()
    }
    # A head that is in the file is meant to be used, whatever config.json says. (Other
    # tensors that are not among param_shapes, such as masks, are not.)
    if "lm_head.weight" in tensors:
        config = replace(config, tie_word_embeddings=False)

    weights = {}
    vectors: dict[str, list[float]] = {}
    matrices = {}
    for name, shape in param_shapes(config):
        if name not in tensors:
            raise ValueError(f"{path} has no tensor {name}, of shape {shape}")
        if tensors[name].shape != shape:
            raise ValueError(
                f"{path}: {name} has shape {tensors[name].shape}, but config.json asks "
                f"for {shape}"
            )
        try:
            weights[name] = tensors[name].floats()
        except ValueError as error:
            raise ValueError(f"{path}: {name}: {error}") from None
        if len(shape) == 1:
            vectors[name] = list(weights[name])
        elif name.startswith("h."):
            n_in, n_out = shape
            matrices[name] = Matrix(weights[name], n_in, n_out, in_out=True)

    wte, wpe = weights["wte.weight"], weights["wpe.weight"]
    head = weights.get("lm_head.weight", wte)
    matrices["lm_head.weight"] = Matrix(
        head, n_in=config.n_embd, n_out=config.vocab_size, in_out=False
    )
    products = Products(matrices, exact, processes, show)
    return GPT2(config, wte, wpe, vectors, products)
