"""The same model in PyTorch: whole documents at once, with a mask, by its own autograd.

    python tests/reference/torch_reference.py

writes the losses and gradients of a small model of two layers to
data/torch_two_layers.json, with which test_torch_figures.py compares ours. It needs
PyTorch, and it imports nothing of microgpt.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

RECORD = Path(__file__).parent / "data" / "torch_two_layers.json"

VOCAB_SIZE, BLOCK_SIZE, N_LAYER, N_HEAD, N_EMBD = 6, 5, 2, 2, 8
HEAD_DIM = N_EMBD // N_HEAD

DOCUMENTS = [
    [0, 5, 1, 4, 2, 3, 0],  # every token, and longer than the block
    [0, 3, 3, 0],  # a token twice, BOS at both ends
    [4, 2],  # a single prediction
]


def draw_matrices() -> dict[str, list[list[float]]]:
    """Return {name: rows} of numbers from -0.5 to 0.5, none of them 0."""
    shapes = {
        "wte": (VOCAB_SIZE, N_EMBD),
        "wpe": (BLOCK_SIZE, N_EMBD),
        "lm_head": (VOCAB_SIZE, N_EMBD),
    }
    for layer in range(N_LAYER):
        for name in ("attn_wq", "attn_wk", "attn_wv", "attn_wo"):
            shapes[f"layer{layer}.{name}"] = (N_EMBD, N_EMBD)
        shapes[f"layer{layer}.mlp_fc1"] = (4 * N_EMBD, N_EMBD)
        shapes[f"layer{layer}.mlp_fc2"] = (N_EMBD, 4 * N_EMBD)
    rng = random.Random(2019)
    return {
        name: [[rng.random() - 0.5 for _ in range(n_in)] for _ in range(n_out)]
        for name, (n_out, n_in) in shapes.items()
    }


def losses_and_gradients() -> list[dict]:
    """Return the tokens, the loss and {name: rows of gradients} of each document."""
    # Imported here, so that the numbers above can be had without PyTorch.
    import torch
    from torch.nn.functional import cross_entropy

    def rmsnorm(x):
        return x * (x.pow(2).mean(dim=-1, keepdim=True) + 1e-5).pow(-0.5)

    def gpt(params, tokens):  # (T) -> (T, vocab_size)
        T = len(tokens)
        # True where a row (the token that looks) may not see a column (the one seen).
        is_future = torch.ones(T, T, dtype=torch.bool).triu(diagonal=1)
        x = rmsnorm(params["wte"][tokens] + params["wpe"][:T])
        for layer in range(N_LAYER):
            w = {
                name.partition(".")[2]: matrix
                for name, matrix in params.items()
                if name.startswith(f"layer{layer}.")
            }
            normed = rmsnorm(x)
            # (T, n_embd) -> (n_head, T, head_dim)
            q, k, v = (
                (normed @ w[name].T).view(T, N_HEAD, HEAD_DIM).transpose(0, 1)
                for name in ("attn_wq", "attn_wk", "attn_wv")
            )
            scores = q @ k.transpose(1, 2) / HEAD_DIM**0.5  # (n_head, T, T)
            weights = scores.masked_fill(is_future, float("-inf")).softmax(dim=-1)
            heads = (weights @ v).transpose(0, 1).reshape(T, N_EMBD)
            x = x + heads @ w["attn_wo"].T
            x = x + (rmsnorm(x) @ w["mlp_fc1"].T).relu().pow(2) @ w["mlp_fc2"].T
        return x @ params["lm_head"].T

    results = []
    for document in DOCUMENTS:
        params = {
            name: torch.tensor(rows, dtype=torch.float64, requires_grad=True)
            for name, rows in draw_matrices().items()
        }
        tokens = torch.tensor(document[: BLOCK_SIZE + 1])
        loss = cross_entropy(gpt(params, tokens[:-1]), tokens[1:])
        loss.backward()
        gradients = {name: matrix.grad.tolist() for name, matrix in params.items()}
        results.append(
            {"tokens": document, "loss": loss.item(), "gradients": gradients}
        )
    return results


if __name__ == "__main__":
    # A row of a matrix on each line.
    text = json.dumps(losses_and_gradients()).replace("], [", "],\n[")
    RECORD.write_text(text + "\n", encoding="utf-8")
