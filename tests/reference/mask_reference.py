"""Causal attention and the loss of a padded batch, as PyTorch computes them in float64.

    python tests/reference/mask_reference.py

writes data/mask.json, with which test_mask.py compares the functions of chapter 22. It
needs PyTorch (the figures are those of torch 2.13.0, on CPU), and it imports nothing of
microgpt. The inputs are multiples of 1/64, made by a formula on both sides.

    look    one attention head: scaled_dot_product_attention with is_causal=True, and
            the slopes of a sum over its result
    batch   a GPT of two layers, four texts of different lengths in one padded batch:
            cross_entropy with ignore_index=-100, the loss and all its slopes
"""

from __future__ import annotations

import json
from pathlib import Path

RECORD = Path(__file__).parent / "data" / "mask.json"

N_TOKENS, HEAD_DIM = 7, 4
VOCAB_SIZE, BLOCK_SIZE, N_LAYER, N_HEAD, N_EMBD = 6, 6, 2, 2, 4
TEXTS = [[0, 3, 0], [0, 5, 1, 4, 2, 3, 0], [0, 2, 2, 4, 0], [0, 0]]
PAD, IGNORE = 0, -100


def rows_by_formula(n_rows: int, n_columns: int, start: int) -> list[list[float]]:
    """Return a table of multiples of 1/64, from -1 to 1 in no visible order."""
    rows = []
    for i in range(n_rows):
        row = []
        for j in range(n_columns):
            n = start + i * n_columns + j
            row.append(((n * n * 37 + n * 101 + 29) % 127 - 63) / 64)
        rows.append(row)
    return rows


def queries_keys_values() -> list[list[list[float]]]:
    """Return the three tables of one attention head, (N_TOKENS, HEAD_DIM) each."""
    return [rows_by_formula(N_TOKENS, HEAD_DIM, start) for start in (1, 200, 400)]


def matrices() -> dict[str, list[list[float]]]:
    """Return {name: rows} of the model of two layers, in the package's order."""
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
    tables = {}
    for number, (name, (n_rows, n_columns)) in enumerate(shapes.items()):
        tables[name] = rows_by_formula(n_rows, n_columns, 1000 * number + 7)
    return tables


def figures() -> dict:
    """Return what stands in data/mask.json, computed anew."""
    import torch
    from torch.nn.functional import cross_entropy, scaled_dot_product_attention

    def tensor(rows):
        return torch.tensor(rows, dtype=torch.float64, requires_grad=True)

    q, k, v = [tensor(rows) for rows in queries_keys_values()]
    mixtures = scaled_dot_product_attention(q[None], k[None], v[None], is_causal=True)
    factors = torch.tensor(
        rows_by_formula(N_TOKENS, HEAD_DIM, 600), dtype=torch.float64
    )
    (mixtures[0] * factors).sum().backward()
    look = {
        "mixtures": mixtures[0].tolist(),
        "q_slopes": q.grad.tolist(),
        "k_slopes": k.grad.tolist(),
        "v_slopes": v.grad.tolist(),
    }

    params = {name: tensor(rows) for name, rows in matrices().items()}

    def rmsnorm(x):
        return x * (x.pow(2).mean(dim=-1, keepdim=True) + 1e-5).pow(-0.5)

    length = max(len(text) for text in TEXTS) - 1
    inputs = torch.full((len(TEXTS), length), PAD)
    targets = torch.full((len(TEXTS), length), IGNORE)
    for row, text in enumerate(TEXTS):
        inputs[row, : len(text) - 1] = torch.tensor(text[:-1])
        targets[row, : len(text) - 1] = torch.tensor(text[1:])
    B, T = inputs.shape
    x = rmsnorm(params["wte"][inputs] + params["wpe"][:T])
    for layer in range(N_LAYER):

        def w(name, layer=layer):
            return params[f"layer{layer}.{name}"].T

        normed = rmsnorm(x)
        heads = []  # each (B, N_HEAD, T, head_dim)
        for name in ("attn_wq", "attn_wk", "attn_wv"):
            projected = (normed @ w(name)).view(B, T, N_HEAD, N_EMBD // N_HEAD)
            heads.append(projected.transpose(1, 2))
        gathered = scaled_dot_product_attention(*heads, is_causal=True)
        x = x + gathered.transpose(1, 2).reshape(B, T, N_EMBD) @ w("attn_wo")
        x = x + (rmsnorm(x) @ w("mlp_fc1")).relu().pow(2) @ w("mlp_fc2")
    logits = x @ params["lm_head"].T
    loss = cross_entropy(
        logits.reshape(B * T, VOCAB_SIZE), targets.reshape(B * T), ignore_index=IGNORE
    )
    loss.backward()
    slopes = {name: matrix.grad.tolist() for name, matrix in params.items()}
    return {"look": look, "batch": {"loss": loss.item(), "slopes": slopes}}


if __name__ == "__main__":
    # A row of a table on each line.
    record = json.dumps(figures()).replace("], [", "],\n[")
    RECORD.write_text(record + "\n", encoding="utf-8")
