"""Rotary positions in PyTorch float64, in both customs, and a whole model with them.

    python tests/reference/rope_reference.py

writes data/rope.json, with which test_rope.py compares the functions of chapter 24. It
needs PyTorch and transformers, and it imports nothing of microgpt. Two independent ways
to turn:

    neighbours   the numbers 0 and 1, 2 and 3, … as complex numbers, multiplied by
                 e ** (i * angle), as in the code that Meta published with Llama
    halves       `apply_rotary_pos_emb` of transformers' Llama, which turns the first
                 half of the numbers against the second

Its cos and sin are computed here in float64, since transformers' own table
(LlamaRotaryEmbedding) is float32; that the table holds the same angles, to the digits
of float32, is asserted when the figures are made.
"""

from __future__ import annotations

import json
from pathlib import Path

RECORD = Path(__file__).parent / "data" / "rope.json"

BASE = 10_000.0
HEAD_DIM = 8
PLACES = [0, 1, 5, 11, 1000]

VOCAB_SIZE, N_LAYER, N_HEAD, N_EMBD = 5, 2, 2, 8
TOKENS = [0, 3, 1, 1, 4, 2, 0]
FIRST_PLACES = [0, 5]


def number(i: int) -> float:
    """Return the i-th number of a fixed sequence: multiples of 1/64, below 0.5."""
    return ((i * i * 7 + i * 37 + 11) % 61 - 30) / 64


def query_and_key() -> tuple[list[float], list[float]]:
    """Return a query and a key of HEAD_DIM numbers."""
    return [number(i) for i in range(8)], [number(i) for i in range(8, 16)]


def matrices() -> dict[str, list[list[float]]]:
    """Return {name: rows} of a model without position embeddings."""
    shapes = {"wte": (VOCAB_SIZE, N_EMBD), "lm_head": (VOCAB_SIZE, N_EMBD)}
    for layer in range(N_LAYER):
        for name in ("attn_wq", "attn_wk", "attn_wv", "attn_wo"):
            shapes[f"layer{layer}.{name}"] = (N_EMBD, N_EMBD)
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


def figures() -> dict:
    """Return all figures, computed by PyTorch."""
    # Imported here, so that the numbers above can be had without PyTorch.
    import torch
    from torch.nn.functional import cross_entropy
    from transformers import LlamaConfig
    from transformers.models.llama.modeling_llama import (
        LlamaRotaryEmbedding,
        apply_rotary_pos_emb,
    )

    def angles_of(places, head_dim):  # (T) -> (T, head_dim / 2)
        steps = torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim
        return torch.outer(places.double(), BASE**-steps)

    def turn_neighbours(x, places):  # (n_head, T, head_dim), (T)
        angles = angles_of(places, x.shape[-1])
        pairs = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2).contiguous())
        turned = pairs * torch.polar(torch.ones_like(angles), angles)
        return torch.view_as_real(turned).flatten(-2)

    def turn_halves(x, places):
        angles = angles_of(places, x.shape[-1])
        twice = torch.cat([angles, angles], dim=-1)[None]  # a batch of one
        turned, _ = apply_rotary_pos_emb(x[None], x[None], twice.cos(), twice.sin())
        return turned[0]

    def rmsnorm(x):
        return x * (x.pow(2).mean(dim=-1, keepdim=True) + 1e-5).pow(-0.5)

    def gpt(params, tokens, places, turn):
        T = len(tokens)
        head_dim = N_EMBD // N_HEAD
        is_future = torch.ones(T, T, dtype=torch.bool).triu(diagonal=1)
        x = rmsnorm(params["wte"][tokens])
        for layer in range(N_LAYER):
            w = {
                name.partition(".")[2]: matrix
                for name, matrix in params.items()
                if name.startswith(f"layer{layer}.")
            }
            normed = rmsnorm(x)
            q, k, v = (
                (normed @ w[name].T).view(T, N_HEAD, head_dim).transpose(0, 1)
                for name in ("attn_wq", "attn_wk", "attn_wv")
            )
            q, k = turn(q, places), turn(k, places)
            scores = q @ k.transpose(1, 2) / head_dim**0.5
            weights = scores.masked_fill(is_future, float("-inf")).softmax(dim=-1)
            heads = (weights @ v).transpose(0, 1).reshape(T, N_EMBD)
            x = x + heads @ w["attn_wo"].T
            x = x + (rmsnorm(x) @ w["mlp_fc1"].T).relu().pow(2) @ w["mlp_fc2"].T
        return x @ params["lm_head"].T

    config = LlamaConfig(
        hidden_size=HEAD_DIM,
        num_attention_heads=1,
        head_dim=HEAD_DIM,
        rope_parameters={"rope_type": "default", "rope_theta": BASE},
    )
    table = LlamaRotaryEmbedding(config)
    small_places = torch.tensor([PLACES[:4]])
    cos, sin = table(torch.zeros(1, dtype=torch.float32), small_places)
    angles = angles_of(small_places[0], HEAD_DIM)
    for half in (slice(0, HEAD_DIM // 2), slice(HEAD_DIM // 2, HEAD_DIM)):
        assert (cos[0, :, half] - angles.cos()).abs().max() < 1e-5
        assert (sin[0, :, half] - angles.sin()).abs().max() < 1e-5

    result = {"turned": [], "models": []}
    query, key = (torch.tensor(x, dtype=torch.float64) for x in query_and_key())
    customs = {"neighbours": turn_neighbours, "halves": turn_halves}
    for custom, turn in customs.items():
        for place in PLACES:
            at = torch.tensor([place])
            turned_query = turn(query.view(1, 1, -1), at).flatten()
            turned_key = turn(key.view(1, 1, -1), at).flatten()
            result["turned"].append(
                {
                    "custom": custom,
                    "place": place,
                    "query": turned_query.tolist(),
                    "key": turned_key.tolist(),
                }
            )
    for custom, turn in customs.items():
        for first_place in FIRST_PLACES:
            params = {
                name: torch.tensor(rows, dtype=torch.float64, requires_grad=True)
                for name, rows in matrices().items()
            }
            tokens = torch.tensor(TOKENS)
            places = first_place + torch.arange(len(TOKENS) - 1)
            logits = gpt(params, tokens[:-1], places, turn)
            loss = cross_entropy(logits, tokens[1:])
            loss.backward()
            figures_of_model = {
                "custom": custom,
                "first_place": first_place,
                "loss": loss.item(),
                "logits": logits.tolist(),
            }
            if first_place == 0:  # they would be the same again
                figures_of_model["gradients"] = {
                    name: params[name].grad.tolist()
                    for name in ("wte", "layer0.attn_wq", "layer1.attn_wk")
                }
                figures_of_model["gradient_sums"] = {
                    name: matrix.grad.abs().sum().item()
                    for name, matrix in params.items()
                }
            result["models"].append(figures_of_model)
    return result


if __name__ == "__main__":
    text = json.dumps(figures()).replace("], [", "],\n[").replace("}, {", "},\n{")
    RECORD.write_text(text + "\n", encoding="utf-8")
