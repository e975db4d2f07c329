"""Causal attention with ordinary and with huge scores, by PyTorch in float64.

    python tests/reference/online_softmax_reference.py

writes data/online_softmax.json, with which test_online_softmax.py compares chapter 26.
It needs PyTorch (the figures are those of torch 2.13.0, on CPU), and it imports nothing
of microgpt. The inputs are multiples of 1/64, made by a formula on both sides.

For ordinary scores the mixtures of scaled_dot_product_attention with is_causal=True are
recorded, and the slopes of a sum over them. For huge ones every query is stretched so
that scores reach from about -800 to 800, and the mixtures are recorded.
"""

from __future__ import annotations

import json
from pathlib import Path

RECORD = Path(__file__).parent / "data" / "online_softmax.json"
N_TOKENS, N_NUMBERS = 20, 4
STRETCH = 896.0  # makes the scores reach from below -800 to above 800


def rows_by_formula(start: int) -> list[list[float]]:
    """Return a table (N_TOKENS, N_NUMBERS) of multiples of 1/64, from -1 to 1."""
    rows = []
    for i in range(N_TOKENS):
        row = []
        for j in range(N_NUMBERS):
            n = start + i * N_NUMBERS + j
            row.append(((n * n * 37 + n * 101 + 29) % 127 - 63) / 64)
        rows.append(row)
    return rows


def queries_keys_values(stretch: float = 1.0) -> list[list[list[float]]]:
    """Return three tables; the queries are multiplied by `stretch`."""
    queries = [[number * stretch for number in row] for row in rows_by_formula(1)]
    return [queries, rows_by_formula(200), rows_by_formula(400)]


def figures() -> dict:
    """Return what stands in data/online_softmax.json, computed anew."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    results = {}
    for name, stretch in [("ordinary", 1.0), ("huge", STRETCH)]:
        q, k, v = [
            torch.tensor(rows, dtype=torch.float64, requires_grad=True)
            for rows in queries_keys_values(stretch)
        ]
        scores = q @ k.T / N_NUMBERS**0.5
        mixtures = scaled_dot_product_attention(
            q[None], k[None], v[None], is_causal=True
        )
        results[name] = {
            "scores": [scores.min().item(), scores.max().item()],
            "mixtures": mixtures[0].tolist(),
        }
        if name == "ordinary":
            factors = torch.tensor(rows_by_formula(600), dtype=torch.float64)
            (mixtures[0] * factors).sum().backward()
            for letter, table in [("q", q), ("k", k), ("v", v)]:
                results[name][f"{letter}_slopes"] = table.grad.tolist()
    return results


if __name__ == "__main__":
    # A row of a table on each line.
    record = json.dumps(figures()).replace("], [", "],\n[")
    RECORD.write_text(record + "\n", encoding="utf-8")
