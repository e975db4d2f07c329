"""LoRA, and DPO, in PyTorch: a change of weights as one product, and its own autograd.

    python tests/reference/additions_reference.py

writes data/additions.json, with which test_additions.py compares the functions of
chapters 30 and 31. It needs PyTorch, and it imports nothing of microgpt.

LoRA is computed here as a change of the weight itself, w + scale * b a, and the model
of torch_reference.py is built again with the changed weights, so nothing stands
*beside* a weight. DPO's loss is -logsigmoid(beta * ((w - w_ref) - (l - l_ref))), with
PyTorch's own log_softmax and logsigmoid over a model that is one table of letter pairs.
"""

from __future__ import annotations

import json
from pathlib import Path

RECORD = Path(__file__).parent / "data" / "additions.json"

VOCAB_SIZE, BLOCK_SIZE, N_HEAD, N_EMBD, RANK, SCALE = 5, 4, 2, 4, 2, 1.5
HEAD_DIM = N_EMBD // N_HEAD
TOKENS = [0, 3, 1, 4, 0]

# DPO: pairs of (better, worse) and the strength beta.
PAIRS = [([0, 2, 1, 0], [0, 4, 4, 0]), ([0, 1, 0], [0, 3, 2, 1, 0])]
BETAS = [0.1, 2.0, 60.0]


def numbers(n_rows: int, n_columns: int, start: int) -> list[list[float]]:
    """Return a matrix of multiples of 1/64 that look random and are none."""
    rows = []
    for i in range(n_rows):
        row = []
        for j in range(n_columns):
            row.append(((start + 29 * i + 17 * j + 7 * i * j) % 61 - 30) / 64)
        rows.append(row)
    return rows


def base_matrices() -> dict[str, list[list[float]]]:
    """Return the frozen weights."""
    shapes = {"wte": (VOCAB_SIZE, N_EMBD), "wpe": (BLOCK_SIZE, N_EMBD)}
    shapes.update(linear_shapes())
    matrices = {}
    for place, (name, shape) in enumerate(shapes.items()):
        matrices[name] = numbers(*shape, start=11 * place)
    return matrices


def linear_shapes() -> dict[str, tuple[int, int]]:
    """Return the shapes of all matrices that something is multiplied by."""
    shapes = {"lm_head": (VOCAB_SIZE, N_EMBD)}
    for name in ("attn_wq", "attn_wk", "attn_wv", "attn_wo"):
        shapes[f"layer0.{name}"] = (N_EMBD, N_EMBD)
    shapes["layer0.mlp_fc1"] = (4 * N_EMBD, N_EMBD)
    shapes["layer0.mlp_fc2"] = (N_EMBD, 4 * N_EMBD)
    return shapes


def lora_matrices() -> dict[str, list[list[float]]]:
    """Return LoRA's two matrices beside each of them."""
    matrices = {}
    for place, (name, (n_out, n_in)) in enumerate(linear_shapes().items()):
        matrices[f"{name}.lora_a"] = numbers(RANK, n_in, start=5 + 13 * place)
        matrices[f"{name}.lora_b"] = numbers(n_out, RANK, start=3 + 19 * place)
    return matrices


def policy_table() -> list[list[float]]:
    """Return logits: row i is about the token after token i."""
    return numbers(VOCAB_SIZE, VOCAB_SIZE, start=2)


def reference_table() -> list[list[float]]:
    """Return the logits of the model that stays where training started."""
    return numbers(VOCAB_SIZE, VOCAB_SIZE, start=40)


def lora_figures() -> dict:
    """Return logits, loss and the gradients of LoRA's matrices."""
    import torch
    from torch.nn.functional import cross_entropy

    def rmsnorm(x):
        return x * (x.pow(2).mean(dim=-1, keepdim=True) + 1e-5).pow(-0.5)

    base = {
        name: torch.tensor(rows, dtype=torch.float64)
        for name, rows in base_matrices().items()
    }
    lora = {
        name: torch.tensor(rows, dtype=torch.float64, requires_grad=True)
        for name, rows in lora_matrices().items()
    }
    w = dict(base)
    for name in linear_shapes():
        change = lora[f"{name}.lora_b"] @ lora[f"{name}.lora_a"]
        w[name] = base[name] + SCALE * change
    tokens = torch.tensor(TOKENS)
    T = len(TOKENS) - 1
    x = rmsnorm(w["wte"][tokens[:-1]] + w["wpe"][:T])
    normed = rmsnorm(x)
    q, k, v = (
        (normed @ w[f"layer0.{name}"].T).view(T, N_HEAD, HEAD_DIM).transpose(0, 1)
        for name in ("attn_wq", "attn_wk", "attn_wv")
    )
    is_future = torch.ones(T, T, dtype=torch.bool).triu(diagonal=1)
    scores = (q @ k.transpose(1, 2) / HEAD_DIM**0.5).masked_fill(
        is_future, float("-inf")
    )
    heads = (scores.softmax(dim=-1) @ v).transpose(0, 1).reshape(T, N_EMBD)
    x = x + heads @ w["layer0.attn_wo"].T
    hidden = (rmsnorm(x) @ w["layer0.mlp_fc1"].T).relu().pow(2)
    x = x + hidden @ w["layer0.mlp_fc2"].T
    logits = x @ w["lm_head"].T
    loss = cross_entropy(logits, tokens[1:])
    loss.backward()
    return {
        "logits": logits.tolist(),
        "loss": loss.item(),
        "gradients": {name: matrix.grad.tolist() for name, matrix in lora.items()},
    }


def dpo_figures() -> list[dict]:
    """Return the loss, and its gradient with respect to the table, for each beta."""
    import torch
    from torch.nn.functional import logsigmoid

    def log_p(table, tokens):
        log_probs = table.log_softmax(dim=-1)
        return log_probs[tokens[:-1], tokens[1:]].sum()

    figures = []
    for beta in BETAS:
        policy = torch.tensor(policy_table(), dtype=torch.float64, requires_grad=True)
        reference = torch.tensor(reference_table(), dtype=torch.float64)
        losses = []
        for better, worse in PAIRS:
            moved_better = log_p(policy, better) - log_p(reference, better)
            moved_worse = log_p(policy, worse) - log_p(reference, worse)
            losses.append(-logsigmoid(beta * (moved_better - moved_worse)))
        loss = torch.stack(losses).sum()
        loss.backward()
        each = [one.item() for one in losses]
        figures.append({"beta": beta, "losses": each, "gradient": policy.grad.tolist()})
    return figures


def all_figures() -> dict:
    """Return everything that is recorded."""
    return {"lora": lora_figures(), "dpo": dpo_figures()}


if __name__ == "__main__":
    text = json.dumps(all_figures()).replace("], [", "],\n[")
    RECORD.write_text(text + "\n", encoding="utf-8")
