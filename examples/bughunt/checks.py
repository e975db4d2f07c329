"""What each file of the hunt should do, shown in numbers beside what it does.

A check is given the file, imported as a module, and a function that shows one line. It
says whether all is well. (Do not read on before the hunt: this file gives much away.)
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from math import isclose, isfinite, log
from types import ModuleType
from typing import Any, NamedTuple

from common import HELD_OUT_NAMES, TOKENIZER, TRAIN_NAMES, pairs

from microgpt.adam import Adam
from microgpt.evaluation import smooth
from microgpt.model import GPTConfig, Matrix, flatten, init_params
from microgpt.model import cross_entropy as right_cross_entropy
from microgpt.model import document_loss as right_document_loss
from microgpt.model import linear as right_linear
from microgpt.model import softmax as right_softmax
from microgpt.model import token_losses as right_token_losses
from microgpt.sampling import generate, token_probabilities
from microgpt.value import Value, dot, logsumexp, relu, total

Show = Callable[[str], None]


def table(
    show: Show,
    rows: Sequence[tuple[str, Any, Any]],
    heads: tuple[str, str, str] = ("", "expected", "got"),
    rel_tol: float = 1e-4,
    bar: float = 0,
) -> bool:
    """Show rows of (name, expected, got), mark what is apart; True if nothing is.

    rel_tol is how far numbers may be apart: nudging is exact to about six digits. With
    bar, each row also has a bar of # as long as what was got.
    """
    cells, agreements = [heads], []
    for name, expected, got in rows:
        if isinstance(got, (int, float)):
            agreements.append(isclose(expected, got, rel_tol=rel_tol, abs_tol=1e-6))
            cells.append((name, f"{expected:.4g}", f"{got:.4g}"))
        else:
            agreements.append(expected == got)
            cells.append((name, str(expected), str(got)))
    widths = [max(map(len, column)) for column in zip(*cells)]
    marks = [""] + ["" if agree else "<--" for agree in agreements]
    # A loss that is no number any more, or beyond all bounds, has no bar.
    lengths = [0] + [
        round(min(bar * got, 40)) if bar and isfinite(got) else 0 for _, _, got in rows
    ]
    for (name, expected, got), mark, length in zip(cells, marks, lengths):
        columns = f"{name:<{widths[0]}}  {expected:>{widths[1]}}  {got:>{widths[2]}}"
        show(f"{columns}  {mark:<3}  {'#' * length}".rstrip())
    return all(agreements)


def by_nudging(function: Callable[[], Value], leaf: Value, h: float = 1e-5) -> float:
    """Return the slope of function() with respect to leaf, measured by nudging it."""
    at = leaf.data
    leaf.data = at + h
    above = function().data
    leaf.data = at - h
    below = function().data
    leaf.data = at
    return (above - below) / (2 * h)


def matrix(n_out: int, n_in: int, rng: random.Random, std: float = 1.0) -> Matrix:
    """Return n_out rows of n_in random numbers."""
    return [[Value(rng.gauss(0, std)) for _ in range(n_in)] for _ in range(n_out)]


def data_of(vector: Sequence[Value]) -> list[float]:
    """Return the bare numbers."""
    return [x.data for x in vector]


def all_pairs(names: Sequence[str]) -> list[tuple[list[int], int]]:
    """Return (the tokens so far, the next token) for each character of all names."""
    return [pair for name in names for pair in pairs(name)]


def check_backward(bug: ModuleType, show: Show) -> bool:
    """Compare gradients at x = 3 with slopes measured by nudging x."""
    x = Value(3.0)
    formulas = {
        "5 * x": lambda: x * 5,
        "x ** 2": lambda: x**2,
        "x * x": lambda: x * x,
        "x * x + x": lambda: x * x + x,
        "log(x) * exp(x)": lambda: x.log() * x.exp(),
    }
    rows = []
    for name, formula in formulas.items():
        bug.backward(formula())
        rows.append((name, by_nudging(formula, x), x.grad))
    return table(show, rows, ("slope at x = 3", "by nudging", "backward"))


def check_document_loss(bug: ModuleType, show: Show) -> bool:
    """Train the same small model twice: on the right loss, and on that of the file."""
    config = GPTConfig(TOKENIZER.vocab_size, n_head=2, n_embd=8)
    curves = []
    for loss_of in (right_document_loss, bug.document_loss):
        params = init_params(config, random.Random(1))
        optimizer = Adam(flatten(params))
        losses = []
        for name in TRAIN_NAMES[:150]:
            loss = loss_of(params, config, TOKENIZER.encode_document(name))
            loss.backward()
            optimizer.step(lr=0.03)
            losses.append(loss.data)
        curves.append(smooth(losses, window=10))
    show("A small GPT learns names. Its loss, in nats, beside what it should be:")
    steps = [1, 30, 60, 90, 120, 150]
    rows = [(str(n), curves[0][n - 1], curves[1][n - 1]) for n in steps]
    well = table(show, rows, ("after step", "expected", "got"), bar=10)
    rng = random.Random(2)
    names = [generate(params, config, TOKENIZER, rng, letter) for letter in "aekmt"]
    show(f"names it writes, from a, e, k, m and t: {', '.join(names)}")
    return well


def check_random_matrix(bug: ModuleType, show: Show) -> bool:
    """Train a table of letter pairs, from a matrix of the file and from a right one."""
    pair_counts = Counter(
        (context[-1], target) for context, target in all_pairs(TRAIN_NAMES)
    )
    n_pairs = sum(pair_counts.values())
    row_counts = [[pair_counts[i, j] for j in range(27)] for i in range(27)]

    def train(logits: Matrix) -> list[float]:
        losses = []
        for _ in range(60):
            surprises = []
            for row, counts in zip(logits, row_counts):
                right = total([logit * n for logit, n in zip(row, counts) if n])
                surprises.append(logsumexp(row) * sum(counts) - right)
            loss = total(surprises) / n_pairs
            loss.backward()
            losses.append(loss.data)
            # A logit that stands in two places is still one number, and moves once.
            for logit in {id(logit): logit for row in logits for logit in row}.values():
                logit.data -= 20.0 * logit.grad
                logit.grad = 0.0
        return losses

    logits = bug.random_matrix(27, 27, random.Random(1))
    if (len(logits), len(logits[0])) != (27, 27):
        show(f"it should be 27 x 27, but is {len(logits)} x {len(logits[0])}")
        return False
    expected, got = train(matrix(27, 27, random.Random(1), std=0.02)), train(logits)
    show("A table of 27 x 27 logits learns which letter follows which. Its loss:")
    rows = [(str(n), expected[n - 1], got[n - 1]) for n in (1, 20, 40, 60)]
    # Another order of drawing is as good, and leads to nearly the same losses.
    well = table(show, rows, ("step", "expected", "got"), rel_tol=0.01, bar=10)
    for letter in "nqv":
        probs = token_probabilities(data_of(logits[TOKENIZER.encode(letter)[0]]))
        best = max(range(27), key=lambda i: probs[i])
        show(f"likeliest after {letter!r}: {TOKENIZER.decode([best]) or 'the end'!r}")
    if well:
        different = len({id(logit) for row in logits for logit in row})
        well = table(show, [("different numbers", 27 * 27, different)])
    return well


def check_linear(bug: ModuleType, show: Show) -> bool:
    """Multiply on paper-sized numbers, and put an MLP of two linears through."""
    x = [Value(1.0), Value(10.0)]
    w = [[Value(1.0), Value(2.0)], [Value(3.0), Value(4.0)]]
    show("x = [1, 10], w = [[1, 2], [3, 4]]:")
    out = bug.linear(x, w)
    rows = [
        ("out[0] = 1 * 1 + 2 * 10", 21.0, out[0].data),
        ("out[1] = 3 * 1 + 4 * 10", 43.0, out[1].data),
    ]
    if not table(show, rows):
        return False
    rng = random.Random(1)
    fc1, fc2 = matrix(8, 2, rng), matrix(2, 8, rng)
    hidden = [h.relu() ** 2 for h in right_linear(x, fc1)]
    expected, got = right_linear(hidden, fc2), bug.mlp(x, fc1, fc2)
    show("and an MLP, from 2 numbers to 8 and back:")
    return table(show, [("out[0]", expected[0].data, got[0].data)])


def check_softmax(bug: ModuleType, show: Show) -> bool:
    """Ask for the same probabilities, a thousand higher and a thousand lower."""
    rows = []
    for start in (0.0, 1000.0, -1000.0):
        logits = [Value(start), Value(start + 1), Value(start)]
        expected = [round(p.data, 2) for p in right_softmax(logits)]
        try:
            got: Any = [round(p.data, 2) for p in bug.softmax(logits)]
        except (ArithmeticError, ValueError) as error:
            got = f"{type(error).__name__}: {error}"
        rows.append((str([int(logit.data) for logit in logits]), expected, got))
    well = table(show, rows, ("softmax of", "expected", "got"))
    # It must also pass gradients on: if logits[1] grows, probs[0] falls.
    logits = [Value(0.0), Value(1.0), Value(0.0)]
    slope = by_nudging(lambda: right_softmax(logits)[0], logits[1])
    bug.softmax(logits)[0].backward()
    return table(show, [("d probs[0] / d logits[1]", slope, logits[1].grad)]) and well


def check_attention(bug: ModuleType, show: Show) -> bool:
    """Change one token of five at a time: what is gathered at which positions moves?"""
    rng = random.Random(1)
    xs = matrix(5, 4, rng)
    weights = [matrix(4, 4, rng) for _ in range(3)]
    before = [data_of(row) for row in bug.attention(xs, *weights)]
    show("Five tokens. Change one: which positions (0 1 2 3 4) gather something else?")
    rows = []
    for changed in range(5):
        other = [*xs]
        other[changed] = [x + 1.0 for x in xs[changed]]
        after = [data_of(row) for row in bug.attention(other, *weights)]
        moved = "".join("x" if a != b else "." for a, b in zip(before, after))
        rows.append((f"token {changed}", "." * changed + "x" * (5 - changed), moved))
    well = table(show, rows, ("changed", "expected", "got"))
    # The first token has nobody to look at but itself, and so gathers its own value.
    own = right_linear(xs[0], weights[2])[0].data
    return table(show, [("token 0 gathers", own, before[0][0])]) and well


def check_cache(bug: ModuleType, show: Show) -> bool:
    """Compare gradients of each weight matrix with slopes measured by nudging."""
    rng = random.Random(1)
    xs = matrix(5, 3, rng)
    params = {name: matrix(3, 3, rng) for name in ("attn_wq", "attn_wk", "attn_wv")}

    def loss() -> Value:
        keys: Matrix = []
        values: Matrix = []
        outs = [bug.attend(x, params, keys, values) for x in xs]
        return total([dot(out, out) for out in outs])

    loss().backward()
    rows = []
    for name, rows_of_weights in params.items():
        for i, j in ((0, 1), (2, 0)):
            weight = rows_of_weights[i][j]
            rows.append((f"{name}[{i}][{j}]", by_nudging(loss, weight), weight.grad))
    show("Five tokens, a loss made of all that they gather, and its slopes:")
    return table(show, rows, ("weight", "by nudging", "backward"))


def check_descent(bug: ModuleType, show: Show) -> bool:
    """Descend into a bowl, where each step takes a fifth of the way to the bottom."""
    a, b = Value(6.0), Value(0.0)
    losses = bug.descend([a, b], lambda: (a - 3) ** 2 + (b + 1) ** 2, 29, lr=0.1)
    show("loss = (a - 3) ** 2 + (b + 1) ** 2, from a = 6, b = 0, with lr 0.1")
    # The slope is 2 * (a - 3). A step of 0.1 times that leaves 0.8 of the distance, and
    # of its square, the loss, 0.64.
    rows = [(str(n), 10 * 0.64**n, losses[n]) for n in range(0, 29, 4)]
    well = table(show, rows, ("step", "loss should be", "is"), bar=2)
    show(f"it ends at a = {a.data:.3f}, b = {b.data:.3f}; the bottom is at 3 and -1")
    return well


def check_adam(bug: ModuleType, show: Show) -> bool:
    """Give the same gradient at every step: each step should then be lr."""
    weight = Value(0.0)
    optimizer = bug.Adam([weight])
    steps = []
    for _ in range(30):
        before = weight.data
        weight.grad = 5.0
        optimizer.step(lr=0.1)
        steps.append(before - weight.data)
    show("The gradient is 5 at each step, lr is 0.1. How far does the weight move?")
    rows = [(str(n), 0.1, steps[n - 1]) for n in (1, 2, 3, 5, 10, 20, 30)]
    # With gradients that vary it must still be the Adam of the package.
    ours, theirs = [Value(0.0)], [Value(0.0)]
    optimizers = [Adam(ours), bug.Adam(theirs)]
    rng = random.Random(1)
    for _ in range(20):
        ours[0].grad = theirs[0].grad = rng.gauss(0, 1)
        for optimizer in optimizers:
            optimizer.step(lr=0.1)
    rows.append(("20 random gradients", ours[0].data, theirs[0].data))
    return table(show, rows, ("step", "expected", "got"))


def mean_distance(rates: Sequence[float]) -> float:
    """Return how far from the bottom, at 3, noisy descents end on average."""
    rng, distances = random.Random(1), []
    for _ in range(50):
        weight = 0.0
        for rate in rates:
            weight -= rate * (weight - 3 + rng.gauss(0, 1))
        distances.append(abs(weight - 3))
    return sum(distances) / len(distances)


def check_schedule(bug: ModuleType, show: Show) -> bool:
    """List the learning rates of 100 steps, and where noisy steps with them end."""
    rates: list[float] = []
    bug.train(rates.append, 100)
    show("100 steps, the first 10 to warm up, at most 0.1:")
    rows = []
    for step in (0, 4, 9, 10, 40, 70, 99):
        right = 0.1 * min((step + 1) / 10, (100 - step) / 90)
        rows.append((str(step), right, rates[step]))
    well = table(show, rows, ("step", "rate should be", "is"))
    rates.clear()
    bug.train(rates.append, 1000)
    right_rates = [0.1 * min((n + 1) / 10, (1000 - n) / 990) for n in range(1000)]
    show("Fifty descents of 1,000 steps to a bottom at 3, down slopes that are noisy:")
    expected, got = mean_distance(right_rates), mean_distance(rates)
    return table(show, [("mean distance at the end", expected, got)]) and well


def check_sampling(bug: ModuleType, show: Show) -> bool:
    """Compare probabilities at three temperatures, and write names at two."""
    rows = []
    for temperature in (0.5, 1.0, 2.0):
        expected = token_probabilities([2.0, 1.0, 0.0], temperature)[0]
        got = bug.probabilities([2.0, 1.0, 0.0], temperature)[0]
        rows.append((f"temperature {temperature}", expected, got))
    show("The logits are 2, 1, 0. The chance of the first, which is the likeliest:")
    well = table(show, rows)
    counts = Counter(
        (context[-1], target) for context, target in all_pairs(TRAIN_NAMES)
    )
    logits = [[log(counts[i, j] + 0.1) for j in range(27)] for i in range(27)]
    rng = random.Random(3)
    for temperature, word in ((0.3, "safe"), (3.0, "wild")):
        tokens = [bug.write(logits, rng, temperature) for _ in range(4)]
        names = [TOKENIZER.decode(name)[:16] for name in tokens]
        show(f"at {temperature} names should be {word}: {', '.join(names)}")
    return well


def right_table_loss(n_back: int) -> float:
    """Return the held-out loss of a table that looks back n_back letters."""

    def seen(context: list[int]) -> tuple[int, ...]:
        return tuple([0] * (n_back - len(context)) + context[-n_back:])

    counts, totals = Counter[Any](), Counter[Any]()
    for context, target in all_pairs(TRAIN_NAMES):
        counts[seen(context), target] += 1
        totals[seen(context)] += 1
    # A held-out name that was also counted is left out, as split_documents does.
    names = [name for name in HELD_OUT_NAMES if name not in set(TRAIN_NAMES)]
    surprises = []
    for context, target in all_pairs(names):
        share = (counts[seen(context), target] + 1) / (totals[seen(context)] + 27)
        surprises.append(-log(share))
    return sum(surprises) / len(surprises)


def check_held_out(bug: ModuleType, show: Show) -> bool:
    """Compare the held-out losses of three tables with those of the same tables."""
    rows, notes = [], []
    for n_back in (1, 2, 3):
        training, got = bug.losses([*TRAIN_NAMES, *HELD_OUT_NAMES], n_back)
        expected = right_table_loss(n_back)
        rows.append((f"{n_back} back", round(expected, 3), round(got, 3)))
        notes.append(f"{training:.3f}")
    show("The held-out loss of a table that looks 1, 2 and 3 letters back:")
    well = table(show, rows, ("table", "expected", "got"))
    show("These are the same tables: to do better is as wrong as to do worse.")
    show(f"(On what it learns from, it has {', '.join(notes)} here.)")
    return well


def check_mask(bug: ModuleType, show: Show) -> bool:
    """Change the last of five tokens: how far does what the others gather move?"""
    rng = random.Random(1)
    xs = matrix(5, 4, rng)
    weights = [matrix(4, 4, rng) for _ in range(3)]
    before = [data_of(row) for row in bug.attention(xs, *weights)]
    well = True
    show("Five tokens. The last one grows. How far does what each token gathers move?")
    for growth in (1.0, 20.0):
        other = [*xs[:4], [x + growth for x in xs[4]]]
        after = [data_of(row) for row in bug.attention(other, *weights)]
        rows = []
        for t in range(4):
            moved = max(abs(a - b) for a, b in zip(before[t], after[t]))
            rows.append((f"token {t}, for {growth:g} more", 0.0, moved))
        well = table(show, rows, ("", "expected", "got")) and well
    # The last token may see all five, so it must move; and the first one gathers its
    # own value, whole: a mask that hides too much is wrong as well.
    moves = "yes" if before[4] != after[4] else "no"
    own = right_linear(xs[0], weights[2])[0].data
    rows = [
        ("does token 4 move?", "yes", moves),
        ("token 0 gathers", own, before[0][0]),
    ]
    return table(show, rows) and well


def check_heads(bug: ModuleType, show: Show) -> bool:
    """Compare the shares of a head with 1, 2, 4 and 8 heads, and the usual score."""
    rng = random.Random(1)
    q, *keys = matrix(7, 16, rng)
    rows = []
    for n_head in (1, 2, 4, 8):
        head_dim = 16 // n_head
        scores = [dot(q[:head_dim], k[:head_dim]).data for k in keys]
        expected = token_probabilities(scores, temperature=head_dim**0.5)
        got = data_of(bug.head_weights(q, keys, n_head)[0])
        rows.append((f"the first of {n_head}", max(expected), max(got)))
    show("A query of 16 numbers meets six tokens. A head's largest share of attention:")
    well = table(show, rows, ("head", "expected", "got"), bar=40)
    # And the last head, in which a slice that is off by one would show.
    scores = [dot(q[12:], k[12:]).data for k in keys]
    expected = token_probabilities(scores, temperature=2.0)
    got = data_of(bug.head_weights(q, keys, 4)[3])
    rows = [
        ("the last of 4", max(expected), max(got)),
        ("all its shares", 1.0, sum(got)),
    ]
    return table(show, rows) and well


def check_dropout(bug: ModuleType, show: Show) -> bool:
    """Measure the same network on the same examples three times."""
    rng = random.Random(1)
    fc1, fc2 = matrix(12, 3, rng), matrix(4, 12, rng)
    examples = [(row, rng.randrange(4)) for row in matrix(30, 3, rng)]
    surprises = []
    for x, target_id in examples:
        activations = [relu(h) for h in right_linear(x, fc1)]
        logits = right_linear(activations, fc2)
        surprises.append(right_cross_entropy(logits, target_id).data)
    expected = sum(surprises) / len(surprises)
    network = bug.Network(fc1, fc2, 0.5, random.Random(2))
    rows = []
    for time in ("once", "twice", "three times"):
        rows.append((f"measured {time}", expected, bug.measure(network, examples)))
        bug.learn(network, *examples[0])  # changes no weight, only gradients
    show("A network that stays as it is. Its mean loss on thirty examples:")
    well = table(show, rows, bar=3)
    # While learning, half the activations must be dropped, another half each time.
    losses = [bug.learn(network, *examples[1]) for _ in range(20)]
    vary = "yes" if len(set(losses)) > 1 else "no"
    return table(show, [("do losses vary in learning?", "yes", vary)]) and well


def check_statistics(bug: ModuleType, show: Show) -> bool:
    """Measure twice with a normaliser that has learnt, on numbers of another kind."""
    rng = random.Random(1)
    norm = bug.BatchNorm()
    mean, variance = 0.0, 1.0  # what the running ones must be
    for _ in range(60):
        batch = [rng.gauss(1, 2) for _ in range(8)]
        batch_mean = sum(batch) / 8
        batch_variance = sum([(x - batch_mean) ** 2 for x in batch]) / 8
        mean += 0.1 * (batch_mean - mean)
        variance += 0.1 * (batch_variance - variance)
        learnt = norm.normalise(batch, True)
    held_out = [rng.gauss(5, 2) for _ in range(8)]
    expected = (held_out[0] - mean) / (variance + 1e-5) ** 0.5
    rows = [("running mean after learning", mean, norm.mean)]
    for time in ("once", "twice", "three times"):
        got = norm.normalise(held_out, False)[0]
        rows.append((f"the first number, measured {time}", expected, got))
    rows.append(("running mean after measuring", mean, norm.mean))
    rows.append(("running variance after measuring", variance, norm.variance))
    rows.append(("mean of a learnt batch", 0.0, round(sum(learnt) / 8, 9)))
    show("It learnt on 60 batches around 1. Then one batch around 5 is measured:")
    return table(show, rows)


def check_completion(bug: ModuleType, show: Show) -> bool:
    """Ask for the loss of names, given their first letters, and for its gradients."""
    config = GPTConfig(TOKENIZER.vocab_size, n_head=2, n_embd=8)
    params = init_params(config, random.Random(1))
    rng = random.Random(2)
    for weight in flatten(params):
        weight.data = rng.gauss(0, 0.2)
    rows = []
    show("The first letters of a name are the prompt, the rest is the completion:")
    for beginning, rest in (("em", "ily"), ("an", "na"), ("li", "li"), ("o", "tto")):
        prompt = [TOKENIZER.bos, *TOKENIZER.encode(beginning)]
        completion = [*TOKENIZER.encode(rest), TOKENIZER.bos]
        losses = right_token_losses(params, config, [*prompt, *completion])
        asked = losses[-len(completion) :]
        expected = total(asked) * (1 / len(asked))
        got = bug.completion_loss(params, config, prompt, completion)
        rows.append((f"loss of {beginning}|{rest}", expected.data, got.data))
        # The slope of a row of the head which only a prompt's letter could move up.
        slopes = []
        for loss in (expected, got):
            loss.backward()
            slopes.append(params["lm_head"][prompt[-1]][0].grad)
            for weight in flatten(params):
                weight.grad = 0.0
        rows.append((f"  a slope, for {beginning[-1]!r}", *slopes))
    return table(show, rows, ("", "expected", "got"))


def check_frozen(bug: ModuleType, show: Show) -> bool:
    """Fine-tune the second of two matrices: does the first one move?"""

    def small_model() -> dict[str, Matrix]:
        rng = random.Random(1)
        return {"body": matrix(3, 2, rng), "head": matrix(2, 3, rng)}

    def loss_of(params: dict[str, Matrix]) -> Value:
        outputs = []
        for x, target in (((1.0, 0.5), 1.0), ((-0.5, 1.0), -1.0)):
            hidden = right_linear([Value(xi) for xi in x], params["body"])
            out = right_linear(hidden, params["head"])
            outputs += [(out[0] - target) ** 2, (out[1] + target) ** 2]
        loss: Value = total(outputs)
        return loss

    before, expected, got = small_model(), small_model(), small_model()
    optimizer = Adam(flatten({"head": expected["head"]}), weight_decay=0.1)
    for _ in range(20):
        loss_of(expected).backward()
        optimizer.step(lr=0.1)
    bug.fine_tune(got, ["head"], lambda: loss_of(got), 20, lr=0.1)

    show("A model of two matrices. body is frozen, head is fine-tuned for 20 steps:")
    rows = []
    for name in ("body", "head"):
        for i, row in enumerate(before[name]):
            for j, weight in enumerate(row):
                rows.append(
                    (
                        f"{name}[{i}][{j}] from {weight.data:+.4f} to",
                        expected[name][i][j].data,
                        got[name][i][j].data,
                    )
                )
    return table(show, rows, ("", "expected", "got"))


def check_lora(bug: ModuleType, show: Show) -> bool:
    """Compare LoRA at four ranks with the formula, and with itself once merged."""
    rng = random.Random(1)
    x = [Value(rng.gauss(0, 1)) for _ in range(8)]
    w = matrix(8, 8, rng)
    alpha = 4.0
    show(
        "x has 8 numbers, w is 8 x 8, alpha is 4. The first output, with LoRA beside w:"
    )
    rows, merged_rows, slope_rows = [], [], []
    for rank in (1, 2, 4, 8):
        a, b = matrix(rank, 8, rng), matrix(8, rank, rng)
        narrow = [dot(row, x).data for row in a]
        by_hand = dot(w[0], x).data
        for k in range(rank):
            by_hand += alpha / rank * b[0][k].data * narrow[k]
        y = bug.linear_with_lora(x, w, a, b, alpha)[0]
        rows.append((f"rank {rank}", by_hand, y.data))
        y_merged = dot(bug.merged(w, a, b, alpha)[0], x)
        merged_rows.append((f"rank {rank}, merged into w", by_hand, y_merged.data))
        y.backward()
        slope = alpha / rank * narrow[0]
        slope_rows.append((f"rank {rank}, slope for b[0][0]", slope, b[0][0].grad))
    heads = ("", "expected", "got")
    return table(show, [*rows, *merged_rows, *slope_rows], heads)


def check_dpo(bug: ModuleType, show: Show) -> bool:
    """Train a table by DPO twice: with a reference that stays, and with the file's."""
    rng = random.Random(1)
    start = [[rng.gauss(0, 0.5) for _ in range(5)] for _ in range(5)]
    texts = [([0, 1, 2, 0], [0, 3, 3, 0]), ([0, 2, 0], [0, 4, 1, 0])]
    beta, lr, n_steps = 0.5, 1.0, 200

    def log_p(logits: Matrix, tokens: Sequence[int]) -> Any:
        surprises = []
        for token_id, target_id in zip(tokens, tokens[1:]):
            surprises.append(right_cross_entropy(logits[token_id], target_id))
        return total(surprises) * -1.0

    def margin(policy: Matrix, pair: tuple[list[int], list[int]]) -> Any:
        better, worse = pair
        moved_better = log_p(policy, better) - log_p(start, better)
        return moved_better - (log_p(policy, worse) - log_p(start, worse))

    policy = [[Value(logit) for logit in row] for row in start]
    expected = []
    for step in range(n_steps):
        loss = logsumexp([Value(0.0), margin(policy, texts[step % 2]) * -beta])
        loss.backward()
        for row in policy:
            for logit in row:
                logit.data -= lr * logit.grad
                logit.grad = 0.0
        expected.append(loss.data)
    got_policy = [[Value(logit) for logit in row] for row in start]
    got = bug.train(got_policy, texts, beta, lr, n_steps)
    show("A table of letter pairs learns from two pairs of texts. Its loss, in nats:")
    shown = (1, 2, 10, 50, 200)
    rows = [(str(n), expected[n - 1], got[n - 1]) for n in shown]
    well = table(show, rows, ("step", "expected", "got"), bar=40)
    show("How much further it has raised the better text than the worse, in the end:")
    rows = []
    for i, pair in enumerate(texts, start=1):
        right, ours = margin(policy, pair).data, margin(got_policy, pair).data
        rows.append((f"pair {i}", right, ours))
    return table(show, rows) and well


class Bug(NamedTuple):
    """One file of the hunt: what it is about, its check, and the hint for --hint."""

    file: str
    about: str
    check: Callable[[ModuleType, Show], bool]
    hint: str


BUGS = [
    Bug(
        "bug01_backward.py",
        "some slopes are right, some are not",
        check_backward,
        "what happens to a node's grad when the loop comes to it a second time.",
    ),
    Bug(
        "bug02_document_loss.py",
        "a loss that is too good to be true",
        check_document_loss,
        "the token the model is given, and the one it is asked for.",
    ),
    Bug(
        "bug03_random_matrix.py",
        "a table that cannot tell one letter from another",
        check_random_matrix,
        "what else changes when one number of the matrix does.",
    ),
    Bug(
        "bug04_linear.py",
        "the right weights, and wrong sums",
        check_linear,
        "what each turn of the loop takes out of w, and how many numbers that is.",
    ),
    Bug(
        "bug05_softmax.py",
        "probabilities that are fine, until the logits grow",
        check_softmax,
        "how large exp(1000) is, and the last sentence of the docstring.",
    ),
    Bug(
        "bug06_attention.py",
        "a head that knows more than it should",
        check_attention,
        "how many tokens the very first one can see.",
    ),
    Bug(
        "bug07_cache.py",
        "a weight matrix that never learns",
        check_cache,
        "what is put into the cache, and at the inputs of that.",
    ),
    Bug(
        "bug08_descent.py",
        "downhill, and up again",
        check_descent,
        "the grad of a parameter before and after the second backward().",
    ),
    Bug(
        "bug09_adam.py",
        "an optimiser that starts slowly",
        check_adam,
        "m and v after the first step, and what the docstring says of them.",
    ),
    Bug(
        "bug10_schedule.py",
        "a training that never settles",
        check_schedule,
        "what `done` is at steps 10, 50 and 99.",
    ),
    Bug(
        "bug11_sampling.py",
        "wild when it should be safe, safe when it should be wild",
        check_sampling,
        "how far apart two logits are, once the temperature has been used.",
    ),
    Bug(
        "bug12_held_out.py",
        "a table that does better than a table can",
        check_held_out,
        "which names are counted, and which are asked.",
    ),
    Bug(
        "bug13_mask.py",
        "a mask that hides the future, but not quite",
        check_mask,
        "what exp() makes of the number that is added to a forbidden score.",
    ),
    Bug(
        "bug14_heads.py",
        "many heads, and none of them looks at anything closely",
        check_heads,
        "how many numbers there are in the dot product of one head.",
    ),
    Bug(
        "bug15_dropout.py",
        "a loss that is another one each time it is measured",
        check_dropout,
        "what is_learning is, and who sets it, in the moment when measure() asks.",
    ),
    Bug(
        "bug16_statistics.py",
        "a model that changes while it is looked at",
        check_statistics,
        "the running mean before and after a call with is_learning=False.",
    ),
    Bug(
        "bug17_completion.py",
        "a loss that minds what others have written",
        check_completion,
        "which names are right, and where else the completion's first letter stands.",
    ),
    Bug(
        "bug18_frozen.py",
        "weights that were told to stay, and creep away",
        check_frozen,
        "all that a step of Adam does to a weight whose gradient is 0.",
    ),
    Bug(
        "bug19_lora.py",
        "an addition that is right at one rank, and at no other",
        check_lora,
        "how often alpha / rank stands between x and the result.",
    ),
    Bug(
        "bug20_dpo.py",
        "a loss that stays at log 2, and a policy that runs away",
        check_dpo,
        "what the reference holds after the first step, and what stands in its rows.",
    ),
]
