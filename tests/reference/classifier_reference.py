"""The classifier of chapter 28 in PyTorch: a batch of texts at once, by its autograd.

    python tests/reference/classifier_reference.py

writes the logits, the loss and the gradients of a small classifier to
data/torch_classifier.json, with which test_classifier.py compares ours. It needs
PyTorch, and it imports nothing of microgpt.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RECORD = Path(__file__).parent / "data" / "torch_classifier.json"

VOCAB_SIZE, BLOCK_SIZE, N_HEAD, N_EMBD, N_CLASSES = 6, 5, 2, 4, 2
HEAD_DIM = N_EMBD // N_HEAD

# Texts of different lengths. All begin with 0, as with BOS; some share a token at a
# place, and two end in the same token.
BATCH = [[0, 3, 1, 4, 2], [0, 3], [0, 5, 1], [0, 3, 1, 4], [0]]
LABELS = [1, 0, 1, 1, 0]

SHAPES = {
    "wte": (VOCAB_SIZE, N_EMBD),
    "wpe": (BLOCK_SIZE, N_EMBD),
    "layer0.attn_wq": (N_EMBD, N_EMBD),
    "layer0.attn_wk": (N_EMBD, N_EMBD),
    "layer0.attn_wv": (N_EMBD, N_EMBD),
    "layer0.attn_wo": (N_EMBD, N_EMBD),
    "layer0.mlp_fc1": (4 * N_EMBD, N_EMBD),
    "layer0.mlp_fc2": (N_EMBD, 4 * N_EMBD),
    "lm_head": (N_CLASSES, N_EMBD),
}


def chosen_matrices() -> dict[str, list[list[float]]]:
    """Return {name: rows}: multiples of 1/64 from -1 to 1, by a formula, seldom 0."""
    matrices = {}
    number = 0
    for name, (n_out, n_in) in SHAPES.items():
        rows = []
        for _ in range(n_out):
            row = []
            for _ in range(n_in):
                number += 1
                row.append((number * number * 37 % 129 - 64) / 64)
            rows.append(row)
        matrices[name] = rows
    return matrices


def figures() -> dict[str, Any]:
    """Return the logits of each text, the mean loss and {name: rows of gradients}."""
    # Imported here, so that the numbers above can be had without PyTorch.
    import torch
    from torch.nn.functional import cross_entropy, linear

    def rmsnorm(x):
        return x * (x.pow(2).mean(dim=-1, keepdim=True) + 1e-5).pow(-0.5)

    params = {
        name: torch.tensor(rows, dtype=torch.float64, requires_grad=True)
        for name, rows in chosen_matrices().items()
    }
    n_texts = len(BATCH)
    lengths = torch.tensor([len(tokens) for tokens in BATCH])
    # Shorter texts are filled up with token 0. What stands after the last token of a
    # text is in nobody's past, so it changes nothing that is read.
    padded = torch.tensor([[*t, *[0] * (BLOCK_SIZE - len(t))] for t in BATCH])
    x = rmsnorm(params["wte"][padded] + params["wpe"])  # (texts, T, n_embd)

    normed = rmsnorm(x)
    heads = []
    for name in ("attn_wq", "attn_wk", "attn_wv"):
        projected = linear(normed, params[f"layer0.{name}"])
        shape = (n_texts, BLOCK_SIZE, N_HEAD, HEAD_DIM)
        heads.append(projected.reshape(shape).transpose(1, 2))
    q, k, v = heads  # each (texts, heads, T, head_dim)
    scores = q @ k.transpose(-1, -2) / HEAD_DIM**0.5
    is_future = torch.ones(BLOCK_SIZE, BLOCK_SIZE, dtype=torch.bool).triu(diagonal=1)
    weights = scores.masked_fill(is_future, float("-inf")).softmax(dim=-1)
    gathered = (weights @ v).transpose(1, 2).reshape(n_texts, BLOCK_SIZE, N_EMBD)
    x = x + linear(gathered, params["layer0.attn_wo"])

    hidden = linear(rmsnorm(x), params["layer0.mlp_fc1"]).relu().pow(2)
    x = x + linear(hidden, params["layer0.mlp_fc2"])

    last = x[torch.arange(n_texts), lengths - 1]  # (texts, n_embd)
    logits = linear(last, params["lm_head"])
    loss = cross_entropy(logits, torch.tensor(LABELS))
    loss.backward()
    return {
        "logits": logits.tolist(),
        "loss": loss.item(),
        "gradients": {name: param.grad.tolist() for name, param in params.items()},
    }


if __name__ == "__main__":
    RECORD.write_text(json.dumps(figures(), indent=1) + "\n", encoding="utf-8")
    print(f"written: {RECORD}")
