"""GPT-2 by others: small models with random weights, and the logits transformers has.

    python tests/reference/gpt2_reference.py           draws the models, writes its data
    python tests/reference/gpt2_reference.py --print   prints the figures of those there

It needs torch and transformers, which nothing else here does, and imports nothing of
ours. The models are not trained and say nothing. They are as different as the files
that are to be read: one for each way of writing numbers and names.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).resolve().parents[1] / "gpt2" / "data"
RECORD = FOLDER / "logits.json"
N_GREEDY = 12  # tokens that a model adds to the first prompt
DECIMALS = 10  # of the logits computed in float64
DECIMALS_FLOAT32 = 8

# All that the published model's config.json says, besides n_ctx, another n_positions.
# fmt: off
PUBLISHED_SETTINGS = [
    "activation_function", "architectures", "attn_pdrop", "bos_token_id", "embd_pdrop",
    "eos_token_id", "initializer_range", "layer_norm_epsilon", "model_type", "n_embd",
    "n_head", "n_layer", "n_positions", "resid_pdrop", "summary_activation",
    "summary_first_dropout", "summary_proj_to_labels", "summary_type",
    "summary_use_proj", "vocab_size",
]
# fmt: on


class Model(NamedTuple):
    """How a model is drawn and written."""

    seed: int  # one with which every greedy choice is clear, and they are not all one
    dtype: str
    settings: dict[str, Any]
    prompts: list[list[int]]


MODELS = {
    # As save_pretrained writes it today: names begin with "transformer.".
    "f32_tied": Model(
        seed=364,
        dtype="float32",
        settings={
            "vocab_size": 400,
            "n_positions": 32,
            "n_embd": 16,
            "n_layer": 2,
            "n_head": 2,
        },
        prompts=[[17, 250, 3, 399, 17, 0], [399, 0, 128]],
    ),
    # As OpenAI's weights were published: names without the prefix, and in every layer
    # a mask, which is no weight.
    "f16_as_published": Model(
        seed=360,
        dtype="float16",
        settings={
            "vocab_size": 400,
            "n_positions": 32,
            "n_embd": 12,
            "n_layer": 2,
            "n_head": 3,
        },
        prompts=[[5, 5, 5, 311, 42, 5], [0, 399, 77]],
    ),
    # With a head of its own.
    "bf16_untied": Model(
        seed=270,
        dtype="bfloat16",
        settings={
            "vocab_size": 400,
            "n_positions": 30,
            "n_embd": 20,
            "n_layer": 3,
            "n_head": 4,
            "tie_word_embeddings": False,
        },
        prompts=[[61, 9, 204, 8, 399, 9], [1, 0, 1]],
    ),
    # One head, an MLP that is not four times as wide, another epsilon, and another name
    # for the same activation.
    "f64_narrow": Model(
        seed=191,
        dtype="float64",
        settings={
            "vocab_size": 150,
            "n_positions": 20,
            "n_embd": 12,
            "n_layer": 2,
            "n_head": 1,
            "n_inner": 20,
            "layer_norm_epsilon": 0.01,
            "activation_function": "gelu_pytorch_tanh",
        },
        prompts=[[149, 0, 75, 2, 3, 75], [4, 0, 149]],
    ),
}


def write_model(name: str) -> None:
    """Draw a model's weights, and write its folder."""
    import torch
    from safetensors.torch import save_file
    from transformers import GPT2Config, GPT2LMHeadModel

    folder = FOLDER / name
    seed, dtype, settings, _ = MODELS[name]
    end_of_text = settings["vocab_size"] - 1
    ends = {"bos_token_id": end_of_text, "eos_token_id": end_of_text}
    config = GPT2Config(**settings, **ends, architectures=["GPT2LMHeadModel"])
    model = GPT2LMHeadModel(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight_name, weight in model.named_parameters():
            # No gain is 1 and no bias 0; GELU gets what is on both sides of its bend,
            # and the logits are several units apart.
            noise = torch.randn(weight.shape, generator=generator)
            if "ln_" in weight_name and weight_name.endswith(".weight"):
                weight.copy_(1 + 0.4 * noise)
            elif weight.dim() == 1:
                weight.copy_(0.4 * noise)
            elif "wte" in weight_name or "wpe" in weight_name:
                weight.copy_(0.7 * noise)
            else:
                weight.copy_(1.5 * noise / config.n_embd**0.5)
    model = model.to(getattr(torch, dtype))
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink()
    if name == "f16_as_published":
        saved = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        published = {key: saved[key] for key in PUBLISHED_SETTINGS}
        text = json.dumps({**published, "n_ctx": config.n_positions}, indent=2)
        (folder / "config.json").write_text(text + "\n", encoding="utf-8")
        tensors = {
            weight_name.removeprefix("transformer."): weight.contiguous()
            for weight_name, weight in model.transformer.state_dict().items()
        }
        n = config.n_positions
        for layer in range(config.n_layer):
            mask = torch.tril(torch.ones(n, n)).view(1, 1, n, n)
            tensors[f"h.{layer}.attn.bias"] = mask
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)


def figures(name: str) -> dict[str, Any]:
    """Return the logits of a model's folder, as transformers reads and computes it."""
    import torch
    from transformers import GPT2LMHeadModel

    def load(dtype):
        model = GPT2LMHeadModel.from_pretrained(
            str(FOLDER / name), dtype=dtype, attn_implementation="eager"
        )
        return model.eval()

    def logits(model, token_ids):  # (n) -> (n, vocab_size)
        with torch.no_grad():
            return model(torch.tensor([token_ids])).logits[0]

    def rounded(rows, decimals):
        return [[round(number, decimals) for number in row] for row in rows.tolist()]

    prompts = MODELS[name].prompts
    float64, float32 = load(torch.float64), load(torch.float32)
    tokens, margins = list(prompts[0]), []
    for _ in range(N_GREEDY):
        two_best = torch.topk(logits(float32, tokens)[-1], 2)
        best, second = two_best.values.tolist()
        margins.append(round(best - second, 3))
        tokens.append(int(two_best.indices[0]))
    return {
        "prompts": prompts,
        "float64": [rounded(logits(float64, p), DECIMALS) for p in prompts],
        "float32": [rounded(logits(float32, p), DECIMALS_FLOAT32) for p in prompts[1:]],
        "greedy": tokens[len(prompts[0]) :],
        "margins": margins,
    }


def main() -> None:
    if sys.argv[1:] != ["--print"]:
        for name in MODELS:
            write_model(name)
    record = {name: figures(name) for name in MODELS}
    # The logits of a position on each line.
    text = json.dumps(record).replace("], [", "],\n[") + "\n"
    if sys.argv[1:] == ["--print"]:
        print(text, end="")
    else:
        RECORD.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
