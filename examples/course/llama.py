"""A Llama is the GPT that you know, with a few of its parts exchanged.

Llama is the name of a family of models that Meta published from 2023 on, with their
weights, for anybody to run. Many other families have the same plan or nearly the same.
This one file holds all of it: the model, and below it the reading of its files. It runs
on Values, to learn, and on plain floats, to write and to be measured, exactly as
microgpt/model.py does. Lay that file beside this one. Here is all that differs, from
top to bottom, and where the course explains it:

    microgpt.model               Llama                                      chapter
    wpe, a row for each place    no such matrix: queries and keys are       24
                                 turned by their place (RoPE)
    rmsnorm after the            none: x starts as the token's embedding    27
    embeddings
    rmsnorm(x)                   the same, then each number of it times     27
                                 a learnt gain
    a key and a value for        a key and a value for each group of        25
    each attention head          attention heads
    relu(fc1) ** 2, then fc2     silu(gate) * up, then down (SwiGLU)        27
    none after the layers        rmsnorm with a gain, before the head       27

The rest is the same: linear functions without biases, the residual stream x, softmax,
the cache of keys and values, the loss. It is imported from there.

Papers: Touvron et al., "LLaMA: open and efficient foundation language models", 2023; Su
et al., "RoFormer: enhanced transformer with rotary position embedding", 2021; Ainslie
et al., "GQA: training generalized multi-query transformer models from multi-head
checkpoints", 2023; Shazeer, "GLU variants improve transformer", 2020; Zhang and
Sennrich, "Root mean square layer normalization", 2019.
"""

from __future__ import annotations

import math
import os
import random
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from common import ROOT

from microgpt import Value, as_float, cross_entropy, dot, exp, linear, softmax, total
from microgpt.model import Matrix, Params, Vector, add

# The reader of weight files stands beside GPT-2, for which it was written. A file that
# ends in .safetensors begins with a header, which says the name, the shape and the
# place of each tensor. Behind it stand the numbers of all tensors, one tensor after the
# other. `read_weights` returns a Tensor for each name. It has a `shape`, and in
# `stored` its numbers, as they lie in the file. `brief.repr` is Python's repr, but it
# cuts what a damaged file may have made too long to print.
sys.path.append(os.path.join(ROOT, "examples", "gpt2"))
from weights import Tensor, brief, read_json, read_weights


@dataclass(frozen=True)
class LlamaConfig:
    """The sizes of a Llama, and the two numbers that are chosen rather than learnt.

    A setting that cannot be: ValueError.

    The sizes by default make a model of 4,080 parameters for the 27 tokens of the
    names, as near to the 4,064 of the default GPT as they come.
    """

    vocab_size: int  # how many different tokens there are
    block_size: int = 8  # how many tokens of a text it was trained to see
    n_layer: int = 1
    n_head: int = 4  # how many attention heads, each with a query of its own
    n_kv_head: int = 2  # how many keys, and values, the heads share among them
    n_embd: int = 16  # how many numbers x has
    head_dim: int = 4  # how many numbers a query, a key and a value of a head have
    n_hidden: int = 50  # how many numbers the MLP has inside
    rope_theta: float = 10000.0  # chapter 24's base: the larger, the slower
    norm_epsilon: float = 1e-5  # keeps an x of zeros from dividing by 0
    is_tied: bool = False  # whether the matrix wte serves as lm_head too

    def __post_init__(self) -> None:
        for name, size in vars(self).items():
            is_size = name not in ("rope_theta", "norm_epsilon", "is_tied")
            if is_size and (type(size) is not int or size < 1):
                raise ValueError(
                    f"{name} is {size!r:.60}: make it a whole number, 1 or more"
                )
        if self.n_head % self.n_kv_head != 0:
            raise ValueError(
                f"{self.n_head} attention heads cannot share {self.n_kv_head} keys "
                "evenly: make n_head a multiple of n_kv_head"
            )
        if self.head_dim % 2 != 0:
            raise ValueError(
                f"head_dim is {self.head_dim}, but RoPE turns pairs: make it even"
            )
        theta, epsilon = self.rope_theta, self.norm_epsilon
        if type(theta) not in (int, float) or not 1 <= theta <= 1e12:
            raise ValueError(f"rope_theta is {theta!r:.60}: make it from 1 to 1e12")
        if type(epsilon) is not float or not 0 < epsilon < 1:
            raise ValueError(
                f"norm_epsilon is {epsilon!r:.60}: make it between 0 and 1"
            )


def param_shapes(config: LlamaConfig) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield the name and the shape, (rows, columns), of every matrix of the model.

    A gain is n_embd numbers. It counts as a matrix of one row, so that all parameters
    are matrices, as everywhere in the course.
    """
    n_embd, n_hidden = config.n_embd, config.n_hidden
    n_query = config.n_head * config.head_dim
    n_key = config.n_kv_head * config.head_dim
    yield "wte", (config.vocab_size, n_embd)
    for layer in range(config.n_layer):
        yield f"layer{layer}.attn_norm", (1, n_embd)
        yield f"layer{layer}.attn_wq", (n_query, n_embd)
        yield f"layer{layer}.attn_wk", (n_key, n_embd)
        yield f"layer{layer}.attn_wv", (n_key, n_embd)
        yield f"layer{layer}.attn_wo", (n_embd, n_query)
        yield f"layer{layer}.mlp_norm", (1, n_embd)
        yield f"layer{layer}.mlp_gate", (n_hidden, n_embd)
        yield f"layer{layer}.mlp_up", (n_hidden, n_embd)
        yield f"layer{layer}.mlp_down", (n_embd, n_hidden)
    yield "final_norm", (1, n_embd)
    if not config.is_tied:
        yield "lm_head", (config.vocab_size, n_embd)


def init_params(config: LlamaConfig, rng: random.Random) -> Params:
    """Return new parameters, in the way in which microgpt starts its own.

    Matrices are small random numbers, and zeros where a layer adds to x. A gain starts
    as 1 everywhere, so that at first it changes nothing. Only the embeddings start out
    larger: microgpt normalises them, which brings x to size 1; here nothing does that,
    so they have that size from the beginning.

    Signpost: large Llamas start their embeddings as small as all the rest, and are
    trained for much longer.
    """
    params: Params = {}
    for name, (n_rows, n_columns) in param_shapes(config):
        is_gain = name.endswith("norm")
        std = 0.02  # the standard deviation of the numbers
        if name == "wte":
            std = 1.0
        elif name.endswith(("attn_wo", "mlp_down")):
            std = 0.0
        matrix = []
        for i in range(n_rows):
            row = []
            for j in range(n_columns):
                number = 1.0 if is_gain else rng.gauss(0, std)
                row.append(Value(number, label=f"{name}[{i}][{j}]"))
            matrix.append(row)
        params[name] = matrix
    return params


# The parts of the model. After "#" stand the shapes that go in and come out.


def rmsnorm_with_gain(
    x: Vector, gain: Vector, epsilon: float
) -> Vector:  # (n), (n) -> (n)
    """Return x scaled to a mean square of 1, and then each number times its gain.

    The norm makes all x of one size, but that size is the same for all numbers in x.
    The gain lets whatever reads x hear some of its numbers louder than others.

    >>> x = rmsnorm_with_gain([3.0, -3.0], gain=[1.0, 10.0], epsilon=1e-12)
    >>> [round(xi, 6) for xi in x]
    [1.0, -10.0]
    """
    mean_square = dot(x, x) * (1 / len(x))
    scale = (mean_square + epsilon) ** -0.5
    return [xi * scale * gain_i for xi, gain_i in zip(x, gain)]


def rotated(x: Vector, pos_id: int, theta: float) -> Vector:  # (head_dim) -> (head_dim)
    """Return a query or a key of one head, turned by its position in the text.

    Its numbers are taken in pairs, and each pair is turned like the hand of a clock:
    the first pair by 1 radian for each position, and every further pair more slowly.
    The dot product of two lists that are turned by the same angle does not change, so
    the score of a query and a key depends on how far apart they stand, and not on where
    they stand.

    Which two numbers are a pair? In files from Hugging Face it is a number in the first
    half of the list and the one in the same place in the second half: for a list of
    four, the numbers 0 and 2, and the numbers 1 and 3. Nothing speaks for one choice or
    the other, but a model has to be run with the choice that it was trained with.

    >>> quarter_turn = [round(xi, 6) for xi in rotated([1.0, 0.0], 1, 1.0)]
    >>> quarter_turn      # cos(1) and sin(1)
    [0.540302, 0.841471]
    """
    half = len(x) // 2
    first_half, second_half = [], []
    for i in range(half):
        a, b = x[i], x[half + i]
        angle = pos_id * theta ** (-i / half)  # in radians
        first_half.append(a * math.cos(angle) - b * math.sin(angle))
        second_half.append(a * math.sin(angle) + b * math.cos(angle))
    return first_half + second_half


def cut_into_heads(
    x: Vector, head_dim: int
) -> Matrix:  # (n) -> (n / head_dim, head_dim)
    """Return x cut into pieces of head_dim numbers, one for each head.

    >>> cut_into_heads([1, 2, 3, 4], head_dim=2)
    [[1, 2], [3, 4]]
    """
    return [x[start : start + head_dim] for start in range(0, len(x), head_dim)]


def attention(
    x: Vector,
    params: Params,
    config: LlamaConfig,
    layer: int,
    pos_id: int,
    keys: list[list[Matrix]],
    values: list[list[Matrix]],
) -> Vector:  # (n_embd) -> (n_embd)
    """Return what this token gathers from the tokens so far, itself included.

    x is normalised already. keys[layer][t] are the n_kv_head keys of the token at
    position t, each of head_dim numbers, and turned already: a key's own position never
    changes, so it is turned once, when it is made. Values are not turned. They say what
    a token has to tell, and that does not depend on who listens from how far away.
    """
    head_dim = config.head_dim
    q = linear(x, params[f"layer{layer}.attn_wq"])  # (n_head * head_dim)
    k = linear(x, params[f"layer{layer}.attn_wk"])  # (n_kv_head * head_dim)
    v = linear(x, params[f"layer{layer}.attn_wv"])  # (n_kv_head * head_dim)
    theta = config.rope_theta
    q_heads = [rotated(q_h, pos_id, theta) for q_h in cut_into_heads(q, head_dim)]
    k_heads = [rotated(k_g, pos_id, theta) for k_g in cut_into_heads(k, head_dim)]
    keys[layer].append(k_heads)
    values[layer].append(cut_into_heads(v, head_dim))

    heads_in_group = config.n_head // config.n_kv_head
    gathered = []
    for h in range(config.n_head):
        # Neighbouring heads share: with 4 heads and 2 keys, heads 0 and 1 look at key
        # 0, and heads 2 and 3 at key 1.
        group = h // heads_in_group
        keys_group = [k_t[group] for k_t in keys[layer]]  # (tokens so far, head_dim)
        values_group = [v_t[group] for v_t in values[layer]]  # (the same)
        scores = [dot(q_heads[h], k_t) * head_dim**-0.5 for k_t in keys_group]
        weights = softmax(scores)  # (tokens so far)
        gathered += [dot(weights, column) for column in zip(*values_group)]
    return linear(gathered, params[f"layer{layer}.attn_wo"])


def sigmoid(x: Any) -> Any:  # one number -> one number
    """Return 1 / (1 + exp(-x)): near 0 for very negative x, 1/2 at 0, near 1 above."""
    if as_float(x) < 0:
        # The same number, written so that exp cannot become too large.
        exp_x = exp(x)
        return exp_x / (exp_x + 1)
    return 1 / (exp(-x) + 1)


def silu(x: Any) -> Any:  # one number -> one number
    """Return x * sigmoid(x): nearly x where x is large, nearly 0 where it is very low.

    It is also called swish.

    >>> [round(silu(x), 3) for x in [-20.0, -1.0, 0.0, 1.0, 20.0]]
    [-0.0, -0.269, 0.0, 0.731, 20.0]
    """
    return x * sigmoid(x)


def mlp(x: Vector, params: Params, layer: int) -> Vector:  # (n_embd) -> (n_embd)
    """Return what this token makes of its own x, with a gate in the middle (SwiGLU).

    "up" computes the n_hidden numbers that might be passed on, and "gate" as many
    numbers that say how much of each is let through. "down" makes n_embd numbers of
    what came through.
    """
    gate = linear(x, params[f"layer{layer}.mlp_gate"])  # (n_hidden)
    up = linear(x, params[f"layer{layer}.mlp_up"])  # (n_hidden)
    let_through = [silu(gate_i) * up_i for gate_i, up_i in zip(gate, up)]
    return linear(let_through, params[f"layer{layer}.mlp_down"])


def llama(
    params: Params,
    config: LlamaConfig,
    token_id: int,
    pos_id: int,
    keys: list[list[Matrix]],
    values: list[list[Matrix]],
) -> Vector:
    """Return the logits (vocab_size) of the token that follows token_id.

    keys and values start as `empty_cache(config)`, and a text goes through one token at
    a time, from position 0 on. A token id or a position out of range: ValueError.
    """
    if not 0 <= token_id < config.vocab_size:
        raise ValueError(f"token {token_id}, but vocab_size is {config.vocab_size}")
    if not 0 <= pos_id < config.block_size:
        raise ValueError(
            f"position {pos_id} (from 0), but block_size is {config.block_size}: "
            "shorten the text"
        )
    epsilon = config.norm_epsilon
    x = params["wte"][token_id]
    for layer in range(config.n_layer):
        attn_gain = params[f"layer{layer}.attn_norm"][0]
        x_read = rmsnorm_with_gain(x, attn_gain, epsilon)
        x = add(x, attention(x_read, params, config, layer, pos_id, keys, values))
        mlp_gain = params[f"layer{layer}.mlp_norm"][0]
        x_read = rmsnorm_with_gain(x, mlp_gain, epsilon)
        x = add(x, mlp(x_read, params, layer))
    x = rmsnorm_with_gain(x, params["final_norm"][0], epsilon)
    lm_head = params["wte"] if config.is_tied else params["lm_head"]
    return linear(x, lm_head)


def empty_cache(
    config: LlamaConfig,
) -> tuple[list[list[Matrix]], list[list[Matrix]]]:
    """Return keys and values for a text that has not begun: empty for each layer."""
    keys: list[list[Matrix]] = [[] for _ in range(config.n_layer)]
    values: list[list[Matrix]] = [[] for _ in range(config.n_layer)]
    return keys, values


def token_losses(params: Params, config: LlamaConfig, tokens: Sequence[int]) -> Vector:
    """Return the cross-entropy of each token after the first, given those before it.

    As in microgpt.model, it is asked for block_size of them at most.
    """
    n = min(config.block_size, len(tokens) - 1)
    if n < 1:
        raise ValueError(f"{len(tokens)} tokens, but a prediction needs 2: give more")
    keys, values = empty_cache(config)
    losses = []
    for pos_id in range(n):
        logits = llama(params, config, tokens[pos_id], pos_id, keys, values)
        losses.append(cross_entropy(logits, tokens[pos_id + 1]))
    return losses


def document_loss(params: Params, config: LlamaConfig, tokens: Sequence[int]) -> Value:
    """Return the mean of `token_losses`: one Value, on which to call backward()."""
    losses = token_losses(params, config, tokens)
    loss: Value = total(losses) * (1 / len(losses))
    return loss


# From here on: reading a Llama from the files in which Hugging Face keeps it.
#
# A folder holds config.json, the sizes and settings, and model.safetensors, the
# weights. Both come from strangers, so nothing is believed before it is checked. A file
# that would lead to wrong numbers is refused, and a setting of which this file knows
# only one way is refused if it asks for another. So is a setting of which it knows
# nothing: a model that runs and is wrong is worse than one that does not run.

# Their names for the sizes, and ours.
SIZES = {
    "vocab_size": "vocab_size",
    "max_position_embeddings": "block_size",
    "num_hidden_layers": "n_layer",
    "num_attention_heads": "n_head",
    "num_key_value_heads": "n_kv_head",
    "hidden_size": "n_embd",
    "head_dim": "head_dim",
    "intermediate_size": "n_hidden",
}

# Settings that change what a model computes, and all that this file can do. If
# config.json leaves one of them out, the first is meant. (partial_rotary_factor says
# which share of the numbers in a query or key is turned. With a sliding_window each
# token looks back at only so many tokens. quantization_config is there if the weights
# are stored in a few bits each, and not as floats. With rope_interleaved the pairs of
# RoPE are neighbours. is_encoder_decoder would be another plan altogether.)
CHOICES: dict[str, tuple[Any, ...]] = {
    "hidden_act": ("silu", "swish"),
    "attention_bias": (False, None),
    "mlp_bias": (False, None),
    "tie_word_embeddings": (False, True),
    "rope_scaling": (None,),
    "rope_interleaved": (False, None),
    "partial_rotary_factor": (1.0, 1, None),
    "sliding_window": (None,),
    "quantization_config": (None,),
    "is_encoder_decoder": (False, None),
}

# Settings that are read elsewhere in this file.
READ_ELSEWHERE = {"model_type", "rms_norm_eps", "rope_theta", "rope_parameters"}

# Settings that change no logit. They say who made the file, which tokens begin and end
# a text, how the model is trained, and in what form a program gives its results.
# fmt: off
HARMLESS = {
    "_name_or_path", "architectures", "is_llama_config", "transformers_version",
    "bos_token_id", "eos_token_id", "pad_token_id",
    "attention_dropout", "initializer_range",
    "dtype", "torch_dtype", "transformers.js_config",
    "use_cache", "pretraining_tp", "chunk_size_feed_forward",
    "return_dict", "output_attentions", "output_hidden_states",
    "problem_type", "id2label", "label2id",
}
# fmt: on

# Their names for the matrices, and ours. {} is the number of the layer.
TENSORS = {
    "wte": "model.embed_tokens.weight",
    "attn_norm": "model.layers.{}.input_layernorm.weight",
    "attn_wq": "model.layers.{}.self_attn.q_proj.weight",
    "attn_wk": "model.layers.{}.self_attn.k_proj.weight",
    "attn_wv": "model.layers.{}.self_attn.v_proj.weight",
    "attn_wo": "model.layers.{}.self_attn.o_proj.weight",
    "mlp_norm": "model.layers.{}.post_attention_layernorm.weight",
    "mlp_gate": "model.layers.{}.mlp.gate_proj.weight",
    "mlp_up": "model.layers.{}.mlp.up_proj.weight",
    "mlp_down": "model.layers.{}.mlp.down_proj.weight",
    "final_norm": "model.norm.weight",
    "lm_head": "lm_head.weight",
}

# Every number becomes a Python float in a list, which takes 32 bytes. So a Llama of
# seven billion parameters would ask for 224 gigabytes. (examples/gpt2 shows how such
# models can be run in less.)
MOST_NUMBERS = 30_000_000


def read_config(folder: str) -> LlamaConfig:
    """Return what config.json in the folder says. No Llama's, or wrong: ValueError."""
    path = os.path.join(folder, "config.json")
    settings = read_json(path)
    if type(settings) is not dict:
        raise ValueError(f"{path} is JSON, but not an object: {{…}}")

    def require(is_good: bool, name: str, wanted: str) -> None:
        if not is_good:
            found = f"{settings[name]!r:.80}" if name in settings else "missing"
            raise ValueError(f"{path}: {name} is {found}, but must be {wanted}")

    require(settings.get("model_type") == "llama", "model_type", "'llama'")
    for name, choices in CHOICES.items():
        chosen = settings.get(name, choices[0])
        # By type as well, because in Python 1 == True.
        known = [choice for choice in choices if type(choice) is type(chosen)]
        require(chosen in known, name, " or ".join([repr(c) for c in choices]))
    for name in settings:
        if name not in {*SIZES, *CHOICES, *READ_ELSEWHERE, *HARMLESS}:
            raise ValueError(
                f"{path}: the setting {brief.repr(name)} is not known here, and may "
                "change what the model computes; take it out only if it does not"
            )

    sizes: dict[str, Any] = {name: settings.get(name) for name in SIZES}
    if sizes["num_key_value_heads"] is None:  # older files: each head has its own key
        sizes["num_key_value_heads"] = sizes["num_attention_heads"]
    for name, size in sizes.items():
        if size is None and name == "head_dim":
            continue  # then it follows from the others, see below
        is_size = type(size) is int and 1 <= size < 2**31
        require(is_size, name, "a whole number, 1 or more, below 2 ** 31")
    if sizes["head_dim"] is None:
        n_embd, n_head = sizes["hidden_size"], sizes["num_attention_heads"]
        wanted = f"a multiple of num_attention_heads, {n_head}, or head_dim be given"
        require(n_embd % n_head == 0, "hidden_size", wanted)
        sizes["head_dim"] = n_embd // n_head

    epsilon = settings.get("rms_norm_eps", 1e-6)
    try:
        return LlamaConfig(
            **{ours: sizes[theirs] for theirs, ours in SIZES.items()},
            rope_theta=_theta(settings),
            norm_epsilon=epsilon,
            is_tied=settings.get("tie_word_embeddings", False),
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _theta(settings: dict[str, Any]) -> Any:
    """Return rope_theta, which stands in one of two places, or raise ValueError.

    Newer files keep all about RoPE together: {"rope_parameters": {"rope_theta": …,
    "rope_type": "default"}}. Some models stretch their angles, so that they can read
    longer texts than they were trained on; then the type is another one.
    """
    rope = settings.get("rope_parameters")
    if rope is None:
        rope = {}
    if type(rope) is not dict:
        raise ValueError(
            f"rope_parameters is {rope!r:.80}, but must be an object: {{…}}"
        )
    for name, value in rope.items():
        if name == "rope_type" and value != "default":
            raise ValueError(
                f"rope_type is {value!r:.80}, but must be 'default': angles that are "
                "stretched in another way are not built in"
            )
        is_whole = name == "partial_rotary_factor" and value in (1, None)
        if name not in ("rope_type", "rope_theta") and not is_whole:
            raise ValueError(
                f"rope_parameters has {name!r:.60} = {value!r:.60}, which is not built "
                "in: only rope_theta, with the rope_type 'default', is"
            )
    places = [
        place["rope_theta"] for place in (settings, rope) if "rope_theta" in place
    ]
    if len(places) == 2 and places[0] != places[1]:
        raise ValueError(
            f"rope_theta is {places[0]!r:.60}, and in rope_parameters "
            f"{places[1]!r:.60}: only one of them can be meant"
        )
    return places[0] if places else 10000.0


def read_llama(folder: str) -> tuple[LlamaConfig, Params]:
    """Return (the sizes, the parameters as plain floats) of the Llama in a folder.

    A file or a tensor that is missing, is not what config.json says, or is not known; a
    weight that is not finite; a model too large for lists of floats: ValueError.
    """
    config = read_config(folder)
    tensors = read_weights(folder)
    n_numbers = sum([len(tensor.stored) for tensor in tensors.values()])
    if n_numbers > MOST_NUMBERS:
        raise ValueError(
            f"{folder} holds {n_numbers:,} numbers: as Python's lists only "
            f"{MOST_NUMBERS:,} are allowed, which take a gigabyte"
        )
    params: Params = {}
    for name, (n_rows, n_columns) in param_shapes(config):
        is_gain = name.endswith("norm")
        shape = (n_columns,) if is_gain else (n_rows, n_columns)  # that in the file
        their_name = hugging_face_name(name)
        if their_name not in tensors:
            raise ValueError(
                f"{folder} has no tensor {their_name}, of shape {shape}: take "
                "config.json and all weights from the same model"
            )
        tensor = tensors.pop(their_name)
        params[name] = _rows(tensor, f"{folder}: {their_name}", shape)
    if config.is_tied and "lm_head.weight" in tensors:
        # There is only one matrix, and a file may hold it twice, but not two different.
        tensor = tensors.pop("lm_head.weight")
        shape = (config.vocab_size, config.n_embd)
        if _rows(tensor, f"{folder}: lm_head.weight", shape) != params["wte"]:
            raise ValueError(
                f"{folder}: tie_word_embeddings is True, but lm_head.weight is not "
                "model.embed_tokens.weight: only one of them can be meant"
            )
    for name in tensors:
        # Older files keep the angles of RoPE too, which follow from rope_theta.
        if not re.fullmatch(
            r"model\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq", name
        ):
            raise ValueError(
                f"{folder} has a tensor {brief.repr(name)}, which no Llama with the "
                f"settings of its config.json ({config.n_layer} layers, no biases) has"
            )
    return config, params


def hugging_face_name(name: str) -> str:
    """Return the name that a matrix of ours has in a file from Hugging Face.

    >>> hugging_face_name("layer3.attn_wq")
    'model.layers.3.self_attn.q_proj.weight'
    """
    if "." not in name:
        return TENSORS[name]
    layer, part = name.split(".")
    return TENSORS[part].format(layer.removeprefix("layer"))


def _rows(tensor: Tensor, what: str, shape: tuple[int, ...]) -> Matrix:
    """Return the rows of a tensor as lists of floats, or say what is wrong with it.

    A tensor with a single dimension, such as a gain, becomes one row.
    """
    if tensor.shape != shape:
        raise ValueError(
            f"{what} has shape {brief.repr(tensor.shape)}, but config.json asks "
            f"for {shape}"
        )
    try:
        numbers = tensor.floats()
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from None
    n_columns = shape[-1]
    n_rows = len(numbers) // n_columns
    rows = []
    for i in range(n_rows):
        row = numbers[i * n_columns : (i + 1) * n_columns].tolist()
        for number in row:
            if not math.isfinite(number):
                raise ValueError(f"{what} holds {number}: all weights must be finite")
        rows.append(row)
    return rows
