"""Multi-head, grouped-query and multi-query attention in PyTorch float64.

    python tests/reference/grouped_query_reference.py

writes data/grouped_query.json, with which test_grouped_query.py compares the functions
of chapter 25. It needs PyTorch and transformers, and imports nothing of microgpt. The
attention is PyTorch's own, scaled_dot_product_attention with enable_gqa; when the
figures are made, it is also compared with keys and values written out by transformers'
`repeat_kv`, so that both agree on which query head looks at which key head.
"""

from __future__ import annotations

import json
from pathlib import Path

RECORD = Path(__file__).parent / "data" / "grouped_query.json"

VOCAB_SIZE, BLOCK_SIZE, N_LAYER, N_HEAD, N_EMBD = 5, 6, 2, 4, 8
HEAD_DIM = N_EMBD // N_HEAD
KEY_HEADS = [4, 2, 1]
TOKENS = [0, 3, 1, 1, 4, 2, 0]


def number(i: int) -> float:
    """Return the i-th number of a fixed sequence: multiples of 1/64, below 0.5."""
    return ((i * i * 7 + i * 37 + 11) % 61 - 30) / 64


def matrices(n_key_heads: int) -> dict[str, list[list[float]]]:
    """Return {name: rows} of a model with this many key heads."""
    shapes = {
        "wte": (VOCAB_SIZE, N_EMBD),
        "wpe": (BLOCK_SIZE, N_EMBD),
        "lm_head": (VOCAB_SIZE, N_EMBD),
    }
    for layer in range(N_LAYER):
        shapes[f"layer{layer}.attn_wq"] = (N_EMBD, N_EMBD)
        shapes[f"layer{layer}.attn_wk"] = (n_key_heads * HEAD_DIM, N_EMBD)
        shapes[f"layer{layer}.attn_wv"] = (n_key_heads * HEAD_DIM, N_EMBD)
        shapes[f"layer{layer}.attn_wo"] = (N_EMBD, N_EMBD)
        shapes[f"layer{layer}.mlp_fc1"] = (4 * N_EMBD, N_EMBD)
        shapes[f"layer{layer}.mlp_fc2"] = (N_EMBD, 4 * N_EMBD)
    result = {}
    start = 100
    for name, (n_out, n_in) in shapes.items():
        rows = []
        for i in range(n_out):
            rows.append([number(start + i * n_in + j) for j in range(n_in)])
        result[name] = rows
        start += n_out * n_in + 17
    return result


def figures() -> list[dict]:
    """Return logits, loss and gradients for each number of key heads."""
    # Imported here, so that the numbers above can be had without PyTorch.
    import torch
    from torch.nn.functional import cross_entropy, scaled_dot_product_attention
    from transformers.models.llama.modeling_llama import repeat_kv

    def rmsnorm(x):
        return x * (x.pow(2).mean(dim=-1, keepdim=True) + 1e-5).pow(-0.5)

    def gpt(params, tokens, n_key_heads):
        T = len(tokens)
        x = rmsnorm(params["wte"][tokens] + params["wpe"][:T])
        for layer in range(N_LAYER):
            w = {
                name.partition(".")[2]: matrix
                for name, matrix in params.items()
                if name.startswith(f"layer{layer}.")
            }
            normed = rmsnorm(x)
            # (T, n_heads * head_dim) -> (1, n_heads, T, head_dim), a batch of one
            q = (normed @ w["attn_wq"].T).view(1, T, N_HEAD, HEAD_DIM)
            k = (normed @ w["attn_wk"].T).view(1, T, n_key_heads, HEAD_DIM)
            v = (normed @ w["attn_wv"].T).view(1, T, n_key_heads, HEAD_DIM)
            q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
            heads = scaled_dot_product_attention(
                q, k, v, is_causal=True, enable_gqa=True
            )
            group_size = N_HEAD // n_key_heads
            written_out = scaled_dot_product_attention(
                q, repeat_kv(k, group_size), repeat_kv(v, group_size), is_causal=True
            )
            assert (heads - written_out).abs().max() < 1e-14
            heads = heads[0].transpose(0, 1).reshape(T, N_EMBD)
            x = x + heads @ w["attn_wo"].T
            x = x + (rmsnorm(x) @ w["mlp_fc1"].T).relu().pow(2) @ w["mlp_fc2"].T
        return x @ params["lm_head"].T

    results = []
    for n_key_heads in KEY_HEADS:
        params = {
            name: torch.tensor(rows, dtype=torch.float64, requires_grad=True)
            for name, rows in matrices(n_key_heads).items()
        }
        tokens = torch.tensor(TOKENS)
        logits = gpt(params, tokens[:-1], n_key_heads)
        loss = cross_entropy(logits, tokens[1:])
        loss.backward()
        results.append(
            {
                "n_key_heads": n_key_heads,
                "loss": loss.item(),
                "logits": logits.tolist(),
                "gradients": {
                    name: matrix.grad.tolist()
                    for name, matrix in params.items()
                    if name.endswith(("attn_wq", "attn_wk", "attn_wv"))
                },
                "gradient_sums": {
                    name: matrix.grad.abs().sum().item()
                    for name, matrix in params.items()
                },
            }
        )
    return results


if __name__ == "__main__":
    text = json.dumps(figures()).replace("], [", "],\n[").replace("}, {", "},\n{")
    RECORD.write_text(text + "\n", encoding="utf-8")
