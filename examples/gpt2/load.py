"""From a folder to a model: what is read is checked before it is believed.

Before this came `model.py`, the model itself; next comes `complete.py`, which lets it
write. A folder holds config.json, the sizes and settings of a model, and its weights,
in one file or in several. The files come from many hands, and so in many forms: names
with and without "transformer." before them, the head beside wte or instead of it.
Whatever can be seen to lead to wrong numbers is refused in one line; whatever does not
matter is passed over. A setting of config.json that is not known here is passed over,
too, even if it might matter: there are dozens about training and about how a text is
written, and newer files add others. (The few settings in tokenizer.json all change the
tokens, so `vocabulary.py` refuses a new one.)

Some faults can not be seen, since all shapes are right: a setting that is allowed but
is not this model's, such as an n_head that divides n_embd as well, or another
layer_norm_epsilon; and a square matrix that lies the other way round. Such a model
computes other logits, and may write nonsense.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from typing import Any

from model import ACTIVATIONS, GPT2, GPT2Config, param_shapes
from weights import Tensor, read_json, read_weights, weights_name

SIZES = ("vocab_size", "n_positions", "n_embd", "n_layer", "n_head")

# Settings that change what a model computes, with all that `model.py` can do. The first
# is what config.json means if it does not say.
CHOICES: dict[str, tuple[Any, ...]] = {
    "activation_function": tuple(ACTIVATIONS),
    "scale_attn_weights": (True, False),
    "scale_attn_by_inverse_layer_idx": (False, True),
    "add_cross_attention": (False,),
    "tie_word_embeddings": (True, False),
}

WHAT_BELONGS = (
    "the folder of a model holds config.json, model.safetensors, vocab.json and "
    "merges.txt; complete.py can download them: give it the name gpt2"
)


def file_in(folder: str, name: str) -> str:
    """Return the path of a file in the folder of a model. Not there: ValueError."""
    path = os.path.join(folder, name)
    if not os.path.isfile(path):
        raise ValueError(f"there is no {path}: {WHAT_BELONGS}")
    return path


def read_config(folder: str) -> GPT2Config:
    """Return what folder's config.json says. Not a GPT-2's, or wrong: ValueError."""
    path = file_in(folder, "config.json")
    settings = read_json(path)
    if type(settings) is not dict:
        raise ValueError(f"{path} is JSON, but not an object: {{…}}")

    def require(is_good: bool, name: str, wanted: str) -> None:
        if not is_good:
            found = f"{settings[name]!r:.60}" if name in settings else "missing"
            raise ValueError(f"{path}: {name} is {found}, but must be {wanted}")

    require(settings.get("model_type") == "gpt2", "model_type", "'gpt2'")
    chosen = {}
    for name, choices in CHOICES.items():
        wanted = " or ".join([repr(choice) for choice in choices])
        chosen[name] = settings.get(name, choices[0])
        # To Python 1 == True. But a file with 1 in place of true is no GPT-2's.
        known = [choice for choice in choices if type(choice) is type(chosen[name])]
        require(chosen[name] in known, name, wanted)

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
    ends = settings.get("eos_token_id")
    if ends is None:
        ends = []
    elif type(ends) is not list:
        ends = [ends]
    are_ids = all(type(end) is int and end >= 0 for end in ends)
    require(are_ids, "eos_token_id", "a token's id, or a list of such")
    return GPT2Config(
        **sizes,
        layer_norm_epsilon=epsilon,
        tie_word_embeddings=chosen["tie_word_embeddings"],
        activation=chosen["activation_function"],
        scale_attn_weights=chosen["scale_attn_weights"],
        scale_attn_by_inverse_layer_idx=chosen["scale_attn_by_inverse_layer_idx"],
        end_of_text=tuple(ends),
    )


def read_model(folder: str) -> tuple[GPT2Config, dict[str, Any]]:
    """Return (the settings, the weights by name), as the files of a folder have them.

    A file or tensor that is missing, or is not what config.json says: ValueError.
    """
    config = read_config(folder)
    path = file_in(folder, weights_name(folder))  # which error messages name
    tensors: dict[str, Tensor] = {}
    for full_name, tensor in read_weights(folder).items():
        # OpenAI's file says "wte.weight", most others "transformer.wte.weight".
        name = full_name.removeprefix("transformer.")
        if name in tensors:
            raise ValueError(
                f"{path} has {name!r:.60} both with and without 'transformer.' before "
                "it: there is no telling which of the two is the model's"
            )
        tensors[name] = tensor
    for name in tensors:
        # To leave out the upper layers would be another model, whose words make no
        # sense. (Other tensors that are not asked for, such as masks, do not matter.)
        found = re.match(r"h\.(\d+)\.", name)
        if found and int(found[1]) >= config.n_layer:
            raise ValueError(
                f"{path} has layer {found[1]} (from 0), but config.json says that "
                f"n_layer is {config.n_layer}: take both files from the same model"
            )
    # A head that is in the file beside wte is used, whatever config.json says: it was
    # trained apart and saved on purpose. (The library transformers decides likewise.)
    # But if head and wte are one matrix, the file may hold it once, and under the name
    # of the head.
    if "lm_head.weight" in tensors and "wte.weight" in tensors:
        config = replace(config, tie_word_embeddings=False)
    elif "lm_head.weight" in tensors and config.tie_word_embeddings:
        tensors["wte.weight"] = tensors.pop("lm_head.weight")

    weights = {}
    for name, shape in param_shapes(config):
        if name not in tensors:
            raise ValueError(f"{path} has no tensor {name}, of shape {shape}")
        weights[name] = _floats(tensors[name], name, shape, path)
    return config, weights


def _floats(tensor: Tensor, name: str, shape: tuple[int, ...], path: str) -> Any:
    if tensor.shape != shape:
        raise ValueError(
            f"{path}: {name} has shape {tensor.shape}, but config.json asks for {shape}"
        )
    try:
        return tensor.floats()
    except ValueError as error:
        raise ValueError(f"{path}: {name}: {error}") from None


def load_gpt2(folder: str) -> GPT2:
    """Return the model in a folder, on the plain and exact path."""
    config, weights = read_model(folder)
    return GPT2(config, weights)
