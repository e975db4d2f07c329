"""Llama by others: a small model trained by transformers, and the logits it has.

    python tests/reference/llama_reference.py --train   trains data/llama_names anew
    python tests/reference/llama_reference.py           writes data/llama.json
    python tests/reference/llama_reference.py --print   prints what it would write

It needs torch, transformers and safetensors, and imports nothing of ours but the names
and their split. The logits come from two sources. `transformers` computes them in
float32, as most would run the model. `logits64`, below, is the model written out in
PyTorch in float64: all tokens at once, with a mask, from the paper's formulas. It is
needed because transformers keeps some of its steps in float32 whatever it is asked for
(the norm, the angles, softmax), so in float64 it is still about 1e-7 from exact.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
FOLDER = HERE / "data" / "llama_names"
RECORD = HERE / "data" / "llama.json"
ROOT = HERE.parents[1]
DECIMALS = 11  # of the logits computed in float64
DECIMALS_FLOAT32 = 6

# BOS and the letters of three names, as microgpt's tokenizer has them (a is 1).
PROMPTS = [
    [0, 13, 1, 18, 9, 1, 14, 14, 5, 0],  # marianne, with BOS at both ends
    [0, 26, 15, 5],  # zoe
    [3, 8, 18, 9],  # chri, without BOS
]

# Other sizes and settings, with weights that a formula makes (see `weight`). Each is
# what a config.json would say, besides "model_type".
VARIANTS: dict[str, dict[str, Any]] = {
    # Every query head has a key of its own; the head is the embeddings, once more.
    "tied": {
        "vocab_size": 9,
        "hidden_size": 8,
        "intermediate_size": 12,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "max_position_embeddings": 16,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "tie_word_embeddings": True,
    },
    # All heads share one key; heads wider than hidden_size / heads; another theta; an
    # epsilon large enough to be noticed.
    "one_key": {
        "vocab_size": 9,
        "hidden_size": 6,
        "intermediate_size": 7,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "num_key_value_heads": 1,
        "head_dim": 4,
        "max_position_embeddings": 16,
        "rms_norm_eps": 1e-2,
        "rope_theta": 500.0,
        "tie_word_embeddings": False,
    },
}
VARIANT_PROMPT = [0, 3, 8, 3, 1, 7, 5, 2]


def shapes(settings: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return the name and the shape of each tensor in a file of such a model."""
    n_embd, n_hidden = settings["hidden_size"], settings["intermediate_size"]
    head_dim = settings.get("head_dim") or n_embd // settings["num_attention_heads"]
    n_q = settings["num_attention_heads"] * head_dim
    n_kv = settings["num_key_value_heads"] * head_dim
    found: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (settings["vocab_size"], n_embd)
    }
    for layer in range(settings["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        found[prefix + "input_layernorm.weight"] = (n_embd,)
        found[prefix + "self_attn.q_proj.weight"] = (n_q, n_embd)
        found[prefix + "self_attn.k_proj.weight"] = (n_kv, n_embd)
        found[prefix + "self_attn.v_proj.weight"] = (n_kv, n_embd)
        found[prefix + "self_attn.o_proj.weight"] = (n_embd, n_q)
        found[prefix + "post_attention_layernorm.weight"] = (n_embd,)
        found[prefix + "mlp.gate_proj.weight"] = (n_hidden, n_embd)
        found[prefix + "mlp.up_proj.weight"] = (n_hidden, n_embd)
        found[prefix + "mlp.down_proj.weight"] = (n_embd, n_hidden)
    found["model.norm.weight"] = (n_embd,)
    if not settings["tie_word_embeddings"]:
        found["lm_head.weight"] = (settings["vocab_size"], n_embd)
    return found


def weight(number: int) -> float:
    """Return the weight with this number: a multiple of 1/64 from -1 to 1, never 0.

    All of them are exact in float32. 7919 and 127 have no common factor, so 127 weights
    in a row are all different.
    """
    step = number * 7919 % 127 - 63
    return (step if step > 0 else step - 1) / 64


def variant_weights(settings: dict[str, Any]) -> dict[str, list[float]]:
    """Return {name: its numbers, row after row} of a variant."""
    weights = {}
    number = 0
    for name, shape in shapes(settings).items():
        n = shape[0] * (shape[1] if len(shape) == 2 else 1)
        weights[name] = [weight(number + i) for i in range(n)]
        number += n
    return weights


def logits64(
    settings: dict[str, Any], tensors: dict[str, Any], tokens: list[int]
) -> Any:
    """Return the logits (T, vocab_size) in float64, and nothing narrower on the way."""
    import torch

    T = len(tokens)
    n_head, n_kv_head = settings["num_attention_heads"], settings["num_key_value_heads"]
    head_dim = settings.get("head_dim") or settings["hidden_size"] // n_head
    epsilon = settings["rms_norm_eps"]
    theta = settings["rope_theta"]

    def norm(x, gain):
        return gain * x / (x.square().mean(dim=-1, keepdim=True) + epsilon).sqrt()

    # The pair number i of a head, (x[i], x[i + head_dim / 2]), is a complex number. It
    # is multiplied by e^(j * position * theta^(-2 i / head_dim)), which turns it.
    i = torch.arange(head_dim // 2, dtype=torch.float64)
    position = torch.arange(T, dtype=torch.float64)
    angles = position[:, None] * theta ** (-2 * i / head_dim)  # (T, head_dim / 2)
    turns = torch.polar(torch.ones_like(angles), angles)

    def rotate(x):  # (heads, T, head_dim)
        first, second = x.chunk(2, dim=-1)
        turned = torch.complex(first, second) * turns
        return torch.cat([turned.real, turned.imag], dim=-1)

    def heads(x, n):  # (T, n * head_dim) -> (n, T, head_dim)
        return x.view(T, n, head_dim).transpose(0, 1)

    is_future = torch.ones(T, T, dtype=torch.bool).triu(diagonal=1)
    x = tensors["model.embed_tokens.weight"][torch.tensor(tokens)]
    for layer in range(settings["num_hidden_layers"]):
        w = {
            name.removeprefix(f"model.layers.{layer}.").removesuffix(".weight"): tensor
            for name, tensor in tensors.items()
            if name.startswith(f"model.layers.{layer}.")
        }
        read = norm(x, w["input_layernorm"])
        q = rotate(heads(read @ w["self_attn.q_proj"].T, n_head))
        k = rotate(heads(read @ w["self_attn.k_proj"].T, n_kv_head))
        v = heads(read @ w["self_attn.v_proj"].T, n_kv_head)
        # Query heads 0, 1, … of a group share key head 0, the next group key head 1, …
        grouped = q.reshape(n_kv_head, n_head // n_kv_head, T, head_dim)
        scores = torch.einsum("gatd,gsd->gats", grouped, k) / head_dim**0.5
        shares = scores.masked_fill(is_future, float("-inf")).softmax(dim=-1)
        mixed = torch.einsum("gats,gsd->gatd", shares, v)
        gathered = mixed.reshape(n_head, T, head_dim).transpose(0, 1).reshape(T, -1)
        x = x + gathered @ w["self_attn.o_proj"].T
        read = norm(x, w["post_attention_layernorm"])
        gate = read @ w["mlp.gate_proj"].T
        opened = gate * torch.sigmoid(gate) * (read @ w["mlp.up_proj"].T)
        x = x + opened @ w["mlp.down_proj"].T
    x = norm(x, tensors["model.norm.weight"])
    head = tensors.get("lm_head.weight", tensors["model.embed_tokens.weight"])
    return x @ head.T


def loss_and_gradients(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the mean cross-entropy of a variant on its prompt, and its gradients."""
    import torch
    from torch.nn.functional import cross_entropy

    tensors = variant_tensors(settings)
    for tensor in tensors.values():
        tensor.requires_grad_()
    logits = logits64(settings, tensors, VARIANT_PROMPT[:-1])
    loss = cross_entropy(logits, torch.tensor(VARIANT_PROMPT[1:]))
    loss.backward()
    gradients = {
        name: [round(number, DECIMALS) for number in tensor.grad.flatten().tolist()]
        for name, tensor in tensors.items()
    }
    return {"loss": loss.item(), "gradients": gradients}


def variant_tensors(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the tensors of a variant, in float64."""
    import torch

    return {
        name: torch.tensor(numbers, dtype=torch.float64).view(shapes(settings)[name])
        for name, numbers in variant_weights(settings).items()
    }


def hugging_face_config(settings: dict[str, Any]) -> Any:
    """Return the settings as transformers has them today."""
    from transformers import LlamaConfig

    others = {name: x for name, x in settings.items() if name != "rope_theta"}
    rope = {"rope_type": "default", "rope_theta": settings["rope_theta"]}
    return LlamaConfig(**others, rope_parameters=rope)


def train() -> None:
    """Train a Llama of 12,936 numbers on the names, and write its folder."""
    import torch
    from transformers import LlamaForCausalLM

    # The same names to train on as everywhere in the course; none that is held out.
    sys.path.insert(0, str(ROOT / "examples" / "course"))
    from common import ALL_TRAIN_NAMES, TOKENIZER

    settings = {
        "vocab_size": 27,
        "hidden_size": 24,
        "intermediate_size": 56,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 32,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
    }
    torch.manual_seed(27)
    config = hugging_face_config(settings)
    config.bos_token_id = config.eos_token_id = TOKENIZER.bos
    config.architectures = ["LlamaForCausalLM"]
    model = LlamaForCausalLM(config)
    documents = [TOKENIZER.encode_document(name)[:33] for name in ALL_TRAIN_NAMES]
    longest = max(len(document) for document in documents)
    tokens = torch.zeros(len(documents), longest - 1, dtype=torch.long)
    targets = torch.full((len(documents), longest - 1), -100)  # -100: not asked for
    for row, document in enumerate(documents):
        tokens[row, : len(document) - 1] = torch.tensor(document[:-1])
        targets[row, : len(document) - 1] = torch.tensor(document[1:])

    n_steps, batch_size, n_warmup = 6_000, 128, 200
    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-3, weight_decay=0.01)
    generator = torch.Generator().manual_seed(27)
    for step in range(n_steps):
        rows = torch.randint(len(documents), (batch_size,), generator=generator)
        seen = targets[rows] != -100
        width = int(seen.sum(dim=1).max())
        logits = model(tokens[rows, :width]).logits
        loss = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), targets[rows, :width].flatten()
        )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        rate = 6e-3 * min((step + 1) / n_warmup, 1 - step / n_steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        optimizer.zero_grad()
        if step % 500 == 0:
            print(f"step {step}: loss {loss.item():.3f}", file=sys.stderr)
    model.save_pretrained(FOLDER)
    (FOLDER / "generation_config.json").unlink(missing_ok=True)
    (FOLDER / "model.safetensors").chmod(0o644)


def figures() -> dict[str, Any]:
    """Return all that is recorded: logits in float32 and in float64, and gradients."""
    import torch
    from safetensors.torch import load_file
    from transformers import LlamaForCausalLM

    def rounded(rows, decimals):
        return [[round(number, decimals) for number in row] for row in rows.tolist()]

    def both(settings, tensors, model, prompt):
        with torch.no_grad():
            narrow = model(torch.tensor([prompt])).logits[0]
        return {
            "tokens": prompt,
            "float32": rounded(narrow, DECIMALS_FLOAT32),
            "float64": rounded(logits64(settings, tensors, prompt), DECIMALS),
        }

    saved = json.loads((FOLDER / "config.json").read_text(encoding="utf-8"))
    settings = {**saved, "rope_theta": saved["rope_parameters"]["rope_theta"]}
    tensors = {
        name: tensor.double()
        for name, tensor in load_file(FOLDER / "model.safetensors").items()
    }
    model = LlamaForCausalLM.from_pretrained(
        str(FOLDER), dtype=torch.float32, attn_implementation="eager"
    ).eval()
    record: dict[str, Any] = {
        "llama_names": [both(settings, tensors, model, prompt) for prompt in PROMPTS]
    }
    for name, settings in VARIANTS.items():
        tensors = variant_tensors(settings)
        model = LlamaForCausalLM(hugging_face_config(settings)).eval()
        model.set_attn_implementation("eager")
        narrow = {name: tensor.float() for name, tensor in tensors.items()}
        if settings["tie_word_embeddings"]:
            narrow["lm_head.weight"] = narrow["model.embed_tokens.weight"]
        model.load_state_dict(narrow, strict=True)
        record[name] = {
            **both(settings, tensors, model, VARIANT_PROMPT),
            **loss_and_gradients(settings),
        }
    return record


def main() -> None:
    if sys.argv[1:] == ["--train"]:
        train()
        return
    # A position, or a tensor, on each line.
    text = json.dumps(figures()).replace("], ", "],\n") + "\n"
    if sys.argv[1:] == ["--print"]:
        print(text, end="")
    else:
        RECORD.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
