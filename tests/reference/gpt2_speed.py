"""How fast is GPT-2 in plain Python, beside transformers and NumPy, in one run?

    python tests/reference/gpt2_speed.py [ROUNDS [PROCESSES]]

needs torch, transformers and NumPy, 1 GB of disk and 4 GB of memory. The same random
weights, in the shapes of the smallest GPT-2, are loaded by all. At each of two
positions, all take the same token in turn, round after round, and the median of the
rounds is printed: so what else the computer does slows all down alike.
"""

from __future__ import annotations

import math
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from transformers import GPT2LMHeadModel

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples" / "gpt2"))

import benchmark
from fast import FastGPT2
from load import read_model
from model import gpt2, read_token

POSITIONS = (10, 500)


class NumpyGPT2:
    """The forward pass with NumPy, as one would write it in forty lines."""

    def __init__(self, folder: str) -> None:
        self.config, weights = read_model(folder)
        self.w = {name: np.array(flat, np.float32) for name, flat in weights.items()}
        n_embd, n_inner = self.config.n_embd, self.config.n_inner
        for name, array in self.w.items():
            if name.startswith("w"):
                self.w[name] = array.reshape(-1, n_embd)
            elif array.size > 4 * n_embd:
                n_in = n_inner if "mlp.c_proj" in name else n_embd
                self.w[name] = array.reshape(n_in, -1)
        self.keys = [None] * self.config.n_layer
        self.values = [None] * self.config.n_layer

    def norm(self, name, x):
        x = x - x.mean(-1, keepdims=True)
        x = x / np.sqrt(
            (x * x).mean(-1, keepdims=True) + self.config.layer_norm_epsilon
        )
        return x * self.w[f"{name}.weight"] + self.w[f"{name}.bias"]

    def linear(self, name, x):
        return x @ self.w[f"{name}.weight"] + self.w[f"{name}.bias"]

    def logits(self, tokens, start):
        """Return the logits after the last of tokens, which stand from start on."""
        w, n_head = self.w, self.config.n_head
        n = len(tokens)
        x = w["wte.weight"][tokens] + w["wpe.weight"][start : start + n]
        mask = np.triu(np.full((n, start + n), -1e10, np.float32), start + 1)
        for layer in range(self.config.n_layer):
            a = self.norm(f"h.{layer}.ln_1", x)
            q, k, v = np.split(self.linear(f"h.{layer}.attn.c_attn", a), 3, -1)
            if start:
                k = np.vstack([self.keys[layer][:start], k])
                v = np.vstack([self.values[layer][:start], v])
            self.keys[layer], self.values[layer] = k, v
            heads = []
            for qh, kh, vh in zip(*[np.split(part, n_head, -1) for part in (q, k, v)]):
                scores = qh @ kh.T / np.sqrt(np.float32(qh.shape[-1])) + mask
                scores = np.exp(scores - scores.max(-1, keepdims=True))
                heads.append(scores / scores.sum(-1, keepdims=True) @ vh)
            x = x + self.linear(f"h.{layer}.attn.c_proj", np.hstack(heads))
            a = self.linear(f"h.{layer}.mlp.c_fc", self.norm(f"h.{layer}.ln_2", x))
            a = 0.5 * a * (1 + np.tanh(math.sqrt(2 / math.pi) * (a + 0.044715 * a**3)))
            x = x + self.linear(f"h.{layer}.mlp.c_proj", a)
        # A single number of float64 on the way would make all that follows float64, and
        # each matrix would be converted, every time.
        assert x.dtype == np.float32
        return self.norm("ln_f", x)[-1] @ w["wte.weight"].T


def main() -> None:
    rounds = int(sys.argv[1]) if sys.argv[1:] else 21
    processes = int(sys.argv[2]) if sys.argv[2:] else 2
    clock = time.perf_counter
    with tempfile.TemporaryDirectory() as folder:
        benchmark.write_model(folder, benchmark.CONFIG)
        reference = GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32).eval()
        in_numpy = NumpyGPT2(folder)
        started = clock()
        with FastGPT2(folder, processes) as model, torch.no_grad():
            print(f"packed and loaded in {clock() - started:.1f} s")
            for position in POSITIONS:
                tokens = [(7 * t) % 50257 for t in range(position + 1)]
                for t in range(model.n_read, position):
                    read_token(model, tokens[t], t)
                torch.set_num_threads(2)
                past = reference(torch.tensor([tokens[:-1]]), use_cache=True)
                in_numpy.logits(tokens[:-1], 0)
                last = torch.tensor([tokens[-1:]])

                def by_transformers(threads, cache=past, last=last):
                    torch.set_num_threads(threads)
                    out = reference(last, past_key_values=cache.past_key_values)
                    cache.past_key_values.crop(-1)
                    return out.logits[0, -1].tolist()

                ways = {
                    f"packed, {processes} processes": lambda t=tokens, p=position: gpt2(
                        model, t[-1], p
                    ),
                    "transformers, 1 thread": lambda by=by_transformers: by(1),
                    "transformers, 2 threads": lambda by=by_transformers: by(2),
                    "NumPy, cache": lambda t=tokens, p=position: in_numpy.logits(
                        t[-1:], p
                    ).tolist(),
                    "NumPy, no cache": lambda t=tokens: in_numpy.logits(t, 0).tolist(),
                }
                times = {way: [] for way in ways}
                logits = {}
                for _ in range(rounds):
                    for way, take in ways.items():
                        started = clock()
                        logits[way] = take()
                        times[way].append(clock() - started)
                own, *others = logits
                gap = max(
                    abs(a - b)
                    for way in others
                    for a, b in zip(logits[own], logits[way])
                )
                print(f"position {position}, {rounds} rounds, logits within {gap:.1g}:")
                for way in ways:
                    ratios = [a / b for a, b in zip(times[own], times[way])]
                    print(
                        f"  {way:<24} {statistics.median(times[way]):.4f} s a token; "
                        f"packed takes {statistics.median(ratios):.2f} times as long"
                    )


if __name__ == "__main__":
    main()
