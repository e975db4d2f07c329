"""The forms in which models of GPT-2's kind come today, written by transformers itself.

    python tests/reference/gpt2_forms_reference.py           writes the models' folders
    python tests/reference/gpt2_forms_reference.py --print   prints the figures of these

Three small models with random weights. Of each, forms.json has the logits, and the ids
of some texts, as transformers reads and computes them. It needs torch and transformers,
which nothing else here does, and imports nothing of ours.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

DATA = Path(__file__).resolve().parents[1] / "gpt2" / "data"
FOLDER = DATA / "forms"
RECORD = FOLDER / "forms.json"
DECIMALS = 10
PROMPT = [17, 250, 3, 399, 17, 0]
TEXTS = ["The cat sat on the mat.", " it's 2024,\n  café 🙂", "there<|endoftext|>"]

SIZES = {"n_positions": 16, "n_embd": 12, "n_layer": 3, "n_head": 3}
# fmt: off
FORMS: dict[str, dict[str, Any]] = {
    # Cut into shards, another activation, scores that are not scaled; tokenizer.json
    # with merges as strings, as they were written until 2024.
    "sharded": {
        "vocab_size": 401, "activation_function": "gelu", "scale_attn_weights": False,
    },
    # Scores scaled by the layer's number; a vocabulary that was padded beyond the
    # tokenizer's; two ends of a text, of which one was added.
    "padded": {
        "vocab_size": 408, "scale_attn_by_inverse_layer_idx": True,
        "eos_token_id": [399, 400],
    },
    # Of a head that is tied to wte, only the head is in the file.
    "head_only": {"vocab_size": 401},
}
# fmt: on


def draw(name: str) -> Any:
    """Return a model with random weights: no gain is 1, no bias 0."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    ends = {"bos_token_id": 399, "eos_token_id": 399}
    config = GPT2Config(**{**SIZES, **ends, **FORMS[name]})
    model = GPT2LMHeadModel(config)
    generator = torch.Generator().manual_seed(len(name))
    with torch.no_grad():
        for weight_name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            if "ln_" in weight_name and weight_name.endswith(".weight"):
                weight.copy_(1 + 0.4 * noise)
            elif weight.dim() == 1:
                weight.copy_(0.4 * noise)
            else:
                weight.copy_(0.7 * noise)
    return model


def write(name: str) -> None:
    """Write the folder of one model."""
    from safetensors.torch import load_file, save_file
    from transformers import GPT2Tokenizer

    folder = FOLDER / name
    draw(name).save_pretrained(
        folder, max_shard_size="12KB" if name == "sharded" else "5GB"
    )
    (folder / "generation_config.json").unlink()
    path = folder / "model.safetensors"
    if name == "head_only":
        tensors = load_file(path)
        tensors["lm_head.weight"] = tensors.pop("transformer.wte.weight")
        save_file(tensors, path, metadata={"format": "pt"})
    vocab = json.loads((DATA / "vocab.json").read_text(encoding="utf-8"))
    lines = (DATA / "merges.txt").read_text(encoding="utf-8").splitlines()
    merges = [tuple(line.split(" ")) for line in lines[1:]]
    tokenizer = GPT2Tokenizer(vocab=vocab, merges=merges)
    tokenizer.add_special_tokens({"pad_token": "<|pad|>"})
    tokenizer.save_pretrained(folder)
    if name == "sharded":
        path = folder / "tokenizer.json"
        content = json.loads(path.read_text(encoding="utf-8"))
        content["model"]["merges"] = [" ".join(m) for m in content["model"]["merges"]]
        path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    for file in folder.iterdir():
        file.chmod(0o644)


def figures(name: str) -> dict[str, Any]:
    """Return logits and ids, as transformers finds them in the folder."""
    import torch
    from transformers import AutoTokenizer, GPT2LMHeadModel

    folder = str(FOLDER / name)
    model = GPT2LMHeadModel.from_pretrained(
        folder, dtype=torch.float64, attn_implementation="eager"
    ).eval()
    if name == "head_only":
        # transformers must not have made up the half that is not in the file.
        drawn = draw(name).state_dict()["transformer.wte.weight"]
        assert torch.equal(model.transformer.wte.weight, drawn.double())
    with torch.no_grad():
        logits = model(torch.tensor([PROMPT])).logits[0].tolist()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return {
        "logits": [[round(number, DECIMALS) for number in row] for row in logits],
        "ids": [tokenizer(text, split_special_tokens=True).input_ids for text in TEXTS],
        "decoded": [tokenizer.decode([token_id]) for token_id in (307, 399, 400)],
    }


def main() -> None:
    if sys.argv[1:] == ["--print"]:
        print(json.dumps({name: figures(name) for name in FORMS}))
        return
    for name in FORMS:
        write(name)
    record = {name: figures(name) for name in FORMS}
    text = json.dumps(record).replace("], [", "],\n[") + "\n"
    RECORD.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
