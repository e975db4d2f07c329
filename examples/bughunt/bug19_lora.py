"""LoRA: two thin matrices beside a frozen one, and how they are merged into it."""

from microgpt.model import add, linear
from microgpt.value import dot


def lora_addition(x, a, b, alpha):  # (n_in), (rank, n_in), (n_out, rank) -> (n_out)
    """Return alpha / rank times b times a times x: what LoRA adds.

    The more rank there is, the more terms are added up. Dividing by it keeps their sum
    at one size, so that another rank does not need another alpha.
    """
    scale = alpha / len(a)
    narrow = [number * scale for number in linear(x, a)]
    return linear(narrow, b)


def linear_with_lora(x, w, a, b, alpha):  # -> (n_out)
    """Return w times x, and to it what LoRA adds."""
    scale = alpha / len(a)
    addition = [number * scale for number in lora_addition(x, a, b, alpha)]
    return add(linear(x, w), addition)


def merged(w, a, b, alpha):  # -> (n_out, n_in)
    """Return one matrix that does alone what w, a and b do together."""
    scale = alpha / len(a)
    columns_of_a = list(zip(*a))
    rows = []
    for row_of_w, row_of_b in zip(w, b):
        changes = [dot(row_of_b, column) * scale for column in columns_of_a]
        rows.append(add(row_of_w, changes))
    return rows
