"""What would it take to train GPT-2, and larger? Worked out on paper, for three sizes.

    python examples/pytorch/on_paper.py

This needs no PyTorch: it is six multiplications. Each comes from a paper.

    memory          16 bytes a parameter in mixed precision: 2 for the weight and 2 for
                    its gradient (16 bits each), and 4 each for the exact weight and
                    Adam's m and v. Activations come on top, and depend on the batch.
                    (Rajbhandari et al., "ZeRO", 2020, section 3.1)
    tokens          about 20 for each parameter make the best of a given amount of
                    computing. (Hoffmann et al., "Training compute-optimal large
                    language models", 2022)
    operations      6 for each parameter and token: a multiplication and an addition
                    forward, and twice as many backward. (Kaplan et al., "Scaling laws
                    for neural language models", 2020, section 2.1)
    speed of a GPU  312 million million operations a second with 16-bit numbers, says
                    the data sheet of NVIDIA's A100; training gets about 40 % of that.
                    (Chowdhery et al., "PaLM", 2022, section 4.1, has 21 to 46 %)
"""

from __future__ import annotations

BYTES = 16  # a parameter
TOKENS = 20  # a parameter
OPERATIONS = 6  # a parameter and a token
GPU_OPERATIONS = 312e12 * 0.4  # a second
GPU_MEMORY = 80e9  # bytes, of the larger A100
WEEK = 7 * 24 * 3600  # seconds
N_SHARDS = 8  # GPUs of one machine

# Counted from their configurations: GPT-2, its largest sister, and the first Llama.
SIZES = {"124M": 124_439_808, "1.5B": 1_557_611_200, "7B": 6_738_415_616}


def tokens_a_second_needed(n: int) -> float:
    """Return how many tokens a second train n parameters within a week."""
    return TOKENS * n / WEEK


def tokens_a_second_of_a_gpu(n: int) -> float:
    """Return how many tokens a second one GPU can train n parameters on."""
    return GPU_OPERATIONS / (OPERATIONS * n)


def rows() -> list[tuple[str, list[str]]]:
    """Return (what it is, what it comes to for each of the sizes)."""
    sizes = list(SIZES.values())
    needed = [tokens_a_second_needed(n) for n in sizes]
    of_a_gpu = [tokens_a_second_of_a_gpu(n) for n in sizes]
    fits = [BYTES * n < GPU_MEMORY for n in sizes]
    return [
        ("parameters", [f"{n:,}" for n in sizes]),
        (
            "memory for weights, gradients and AdamW",
            [f"{BYTES * n / 1e9:.0f} GB" for n in sizes],
        ),
        ("fits on one GPU of 80 GB", ["yes" if fit else "no" for fit in fits]),
        ("so train with", ["DDP" if fit else "FSDP" for fit in fits]),
        (
            f"memory a GPU, dealt out to {N_SHARDS}",
            [f"{BYTES * n / N_SHARDS / 1e9:.1f} GB" for n in sizes],
        ),
        ("tokens to train on", [f"{TOKENS * n / 1e9:.1f} billion" for n in sizes]),
        ("tokens a second needed, for a week", [f"{speed:,.0f}" for speed in needed]),
        ("tokens a second of one A100", [f"{speed:,.0f}" for speed in of_a_gpu]),
        (
            "A100s, for a week",
            [f"{need / has:.2g}" for need, has in zip(needed, of_a_gpu)],
        ),
    ]


def table() -> str:
    """Return the rows as a table in Markdown."""
    lines = [
        "| | " + " | ".join(SIZES) + " |",
        "|---|" + "---:|" * len(SIZES),
    ]
    for what, cells in rows():
        lines.append(f"| {what} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
    largest = GPU_MEMORY / BYTES / 1e9
    print(f"\nWithout activations, {largest:.0f} billion parameters fill 80 GB.")
