"""The tutorials' mini GPT in PyTorch's own layers, for whole texts at once.

    python tests/reference/mini_gpt_reference.py

writes the figures of two small models of two layers to data/mini_gpt.json, with which
test_mini_gpt_figures.py compares examples/course/mini_gpt_values.py. It was run with
torch 2.13.0, on CPU, in float64. It needs PyTorch, and it imports nothing of microgpt.

The first model has a tied head, and numbers of it are dropped as the masks below say.
The second has a head of its own and drops nothing; after its gradients come three steps
of AdamW with gradients clipped at a norm of 0.5 (at 1 there would be little to clip).
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path

RECORD = Path(__file__).parent / "data" / "mini_gpt.json"


@dataclass(frozen=True)
class Case:
    """A model's sizes, and the text that it reads."""

    vocab_size: int
    block_size: int
    n_layer: int
    n_head: int
    n_embd: int
    tied_head: bool
    dropout: float
    tokens: tuple[int, ...]


CASES = [
    Case(7, 5, 2, 2, 8, True, 0.25, (0, 6, 1, 4, 6, 0)),
    Case(7, 5, 2, 2, 4, False, 0.0, (0, 5, 2, 3, 1, 0)),
]
LEARNING_RATE, WEIGHT_DECAY, MAX_NORM, N_STEPS = 0.01, 0.1, 0.5, 3


def shapes(case: Case) -> dict[str, tuple[int, int]]:
    """Return the shape of each matrix; a gain or a bias is one of a single row."""
    n = case.n_embd
    found = {"wte": (case.vocab_size, n), "wpe": (case.block_size, n)}
    if not case.tied_head:
        found["lm_head"] = (case.vocab_size, n)
    for layer in range(case.n_layer):
        for name in ("attn_wq", "attn_wk", "attn_wv", "attn_wo"):
            found[f"layer{layer}.{name}"] = (n, n)
            found[f"layer{layer}.{name}_bias"] = (1, n)
        found[f"layer{layer}.mlp_fc1"] = (4 * n, n)
        found[f"layer{layer}.mlp_fc1_bias"] = (1, 4 * n)
        found[f"layer{layer}.mlp_fc2"] = (n, 4 * n)
        found[f"layer{layer}.mlp_fc2_bias"] = (1, n)
        for name in ("norm1", "norm2"):
            found[f"layer{layer}.{name}_gain"] = (1, n)
            found[f"layer{layer}.{name}_bias"] = (1, n)
    found["final_norm_gain"] = (1, n)
    found["final_norm_bias"] = (1, n)
    return found


def draw_matrices(case: Case) -> dict[str, list[list[float]]]:
    """Return {name: rows}: multiples of 1/64, around 1 for gains, else around 0."""
    rng = random.Random(2019)
    matrices = {}
    for name, (n_rows, n_columns) in shapes(case).items():
        middle = 1.0 if name.endswith("_gain") else 0.0
        matrices[name] = [
            [middle + (int(rng.random() * 129) - 64) / 64 for _ in range(n_columns)]
            for _ in range(n_rows)
        ]
    return matrices


def draw_masks(case: Case) -> dict[str, list]:
    """Return True for each number that is kept, at every place where numbers are.

    "embedding", "layer0.attention" and "layer0.mlp" are (T, n_embd), and
    "layer0.weights" is (n_head, T, T), T being the number of tokens that are read.
    """
    T, n = len(case.tokens) - 1, case.n_embd
    rng = random.Random(1)

    def draw(n_rows: int, n_columns: int) -> list[list[bool]]:
        return [
            [rng.random() >= case.dropout for _ in range(n_columns)]
            for _ in range(n_rows)
        ]

    masks: dict[str, list] = {"embedding": draw(T, n)}
    for layer in range(case.n_layer):
        masks[f"layer{layer}.weights"] = [draw(T, T) for _ in range(case.n_head)]
        masks[f"layer{layer}.attention"] = draw(T, n)
        masks[f"layer{layer}.mlp"] = draw(T, n)
    return masks


def compute(case: Case) -> dict:
    """Return the logits, the loss, all gradients, and the weights after three steps."""
    # Imported here, so that the numbers above can be had without PyTorch.
    import torch
    from torch import nn

    masks = {name: torch.tensor(mask) for name, mask in draw_masks(case).items()}
    T, head_dim = len(case.tokens) - 1, case.n_embd // case.n_head

    def drop(x, name):
        """Return x as nn.Dropout would, had it chosen the numbers of this mask."""
        return x * masks[name] / (1 - case.dropout)

    class Block(nn.Module):
        def __init__(self, layer):
            super().__init__()
            n = case.n_embd
            self.layer = layer
            self.norm1, self.norm2 = nn.LayerNorm(n), nn.LayerNorm(n)
            self.attn_wq, self.attn_wk = nn.Linear(n, n), nn.Linear(n, n)
            self.attn_wv, self.attn_wo = nn.Linear(n, n), nn.Linear(n, n)
            self.mlp_fc1, self.mlp_fc2 = nn.Linear(n, 4 * n), nn.Linear(4 * n, n)
            self.gelu = nn.GELU()

        def attention(self, x):
            q, k, v = (  # (T, n_embd) -> (n_head, T, head_dim)
                project(x).view(T, case.n_head, head_dim).transpose(0, 1)
                for project in (self.attn_wq, self.attn_wk, self.attn_wv)
            )
            scores = q @ k.transpose(1, 2) / head_dim**0.5
            is_future = torch.ones(T, T, dtype=torch.bool).triu(diagonal=1)
            weights = scores.masked_fill(is_future, float("-inf")).softmax(dim=-1)
            weights = drop(weights, f"layer{self.layer}.weights")
            return self.attn_wo((weights @ v).transpose(0, 1).reshape(T, -1))

        def forward(self, x):
            found = self.attention(self.norm1(x))
            x = x + drop(found, f"layer{self.layer}.attention")
            made = self.mlp_fc2(self.gelu(self.mlp_fc1(self.norm2(x))))
            return x + drop(made, f"layer{self.layer}.mlp")

    class MiniGPT(nn.Module):
        def __init__(self):
            super().__init__()
            self.wte = nn.Embedding(case.vocab_size, case.n_embd)
            self.wpe = nn.Embedding(case.block_size, case.n_embd)
            self.layers = nn.ModuleList([Block(i) for i in range(case.n_layer)])
            self.final_norm = nn.LayerNorm(case.n_embd)
            self.lm_head = nn.Linear(case.n_embd, case.vocab_size, bias=False)
            if case.tied_head:
                self.lm_head.weight = self.wte.weight

        def forward(self, tokens):
            x = self.wte(tokens) + self.wpe(torch.arange(len(tokens)))
            x = drop(x, "embedding")
            for block in self.layers:
                x = block(x)
            return self.lm_head(self.final_norm(x))

    def ours(torch_name):
        """Return the name in mini_gpt_values.py, and whether it is a gain or a bias."""
        name, kind = torch_name.replace("layers.", "layer").rsplit(".", 1)
        if "norm" in name and kind == "weight":
            kind = "gain"
        return (name, False) if kind == "weight" else (f"{name}_{kind}", True)

    def rows(tensor):
        return tensor.tolist() if tensor.dim() == 2 else [tensor.tolist()]

    model = MiniGPT().double()
    matrices = draw_matrices(case)
    groups = {False: [], True: []}
    named = {}
    with torch.no_grad():
        for torch_name, parameter in model.named_parameters():
            name, is_vector = ours(torch_name)
            parameter.copy_(torch.tensor(matrices[name]).double().view_as(parameter))
            groups[is_vector].append(parameter)
            named[name] = parameter
    assert sorted(named) == sorted(matrices)
    optimizer = torch.optim.AdamW(
        [
            {"params": groups[False], "weight_decay": WEIGHT_DECAY},
            {"params": groups[True], "weight_decay": 0.0},
        ],
        lr=LEARNING_RATE,
        betas=(0.9, 0.95),
        eps=1e-8,
    )
    tokens = torch.tensor(case.tokens)
    figures: dict = {}
    norms = []
    for step in range(N_STEPS):
        optimizer.zero_grad()
        logits = model(tokens[:-1])
        loss = nn.functional.cross_entropy(logits, tokens[1:])
        loss.backward()
        if step == 0:
            figures["loss"] = loss.item()
            figures["logits"] = logits.tolist()
            figures["gradients"] = {n: rows(named[n].grad) for n in matrices}
        norm = nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM)
        norms.append(norm.item())
        optimizer.step()
    if not case.tied_head:
        figures["norms"] = norms
        figures["after three steps"] = {n: rows(named[n].detach()) for n in matrices}
    return figures


if __name__ == "__main__":
    # A row of a matrix on each line.
    text = json.dumps([compute(case) for case in CASES]).replace("], [", "],\n[")
    RECORD.write_text(text + "\n", encoding="utf-8")
