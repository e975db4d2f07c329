"""The cases for tokenizer.py and model.py, from `encode` to `document_loss`."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Any

from learning.book import Book, Floats, data, same_to, slopes
from learning.trial import Mistake, Stopped, Trial, same


def tokenizer(trial: Trial, book: Book) -> None:
    """Ids from 1 on; BOS is no character; strangers are refused."""
    abc = book.tokenizer.CharTokenizer("abc")
    trial.case(
        "CharTokenizer('abc').encode('cab')",
        lambda: abc.encode("cab"),
        [3, 1, 2],
        ([2, 0, 1], "the ids begin at 1: number 0 is BOS."),
        ([4, 2, 3], "the ids are one too large: self.ids has them as they are."),
        ([0, 3, 1, 2, 0], "encode adds no BOS: encode_document does that."),
        ([1, 2, 3], "the characters are in another order: keep that of the text."),
        of="encode",
        because="a is 1, b is 2, c is 3",
    )
    trial.case(
        "CharTokenizer('cabA').encode('Abba')",
        lambda: book.tokenizer.CharTokenizer("cabA").encode("Abba"),
        [4, 3, 3, 2],
        ([4, 3, 2], "the second b is missing: each character of the text counts."),
        ([2, 3, 3, 2], "A and a are two characters: leave the text as it is."),
        of="encode",
        because="c is 1, a is 2, b is 3, A is 4",
    )
    trial.case(
        "CharTokenizer('abc').encode('a-b')",
        lambda: abc.encode("a-b"),
        ValueError,
        (KeyError, "a KeyError names no way out: make a ValueError of it."),
        (
            lambda came: isinstance(came, list),
            "'-' is not in the vocabulary, and was taken without a word: ValueError.",
        ),
        of="encode",
    )
    trial.case(
        "CharTokenizer('abc').decode([3, 1, 2])",
        lambda: abc.decode([3, 1, 2]),
        "cab",
        (["c", "a", "b"], "these are single characters: join them to one text."),
        (IndexError, "the character of token_id is chars[token_id - 1]: one lower."),
        ("bca", "the character of token_id is chars[token_id - 1]: one lower."),
        of="decode",
    )
    trial.case(
        "CharTokenizer('abc').decode([0, 1, 0])",
        lambda: abc.decode([0, 1, 0]),
        "a",
        (
            "cac",
            "BOS became a 'c': chars[0 - 1] is the last character. Skip BOS.",
        ),
        (ValueError, "BOS is a token like any other; it just stands for no character."),
        ("", "decoding does not end at BOS: it only skips it."),
        of="decode",
    )
    trial.case(
        "CharTokenizer('abc').decode([1, 0, 2])",
        lambda: abc.decode([1, 0, 2]),
        "ab",
        ("acb", "BOS became a 'c': skip it in the middle of a text as well."),
        of="decode",
    )
    trial.case(
        "CharTokenizer('abc').decode([-1])",
        lambda: abc.decode([-1]),
        ValueError,
        (
            lambda came: isinstance(came, str),
            "-1 is no token, and was counted from the end or left out: ValueError.",
        ),
        of="decode",
    )
    trial.case(
        "CharTokenizer('abc').decode([4])",
        lambda: abc.decode([4]),
        ValueError,
        (IndexError, "make a ValueError of an id that is no token's."),
        (lambda came: isinstance(came, str), "4 is no token: ValueError."),
        of="decode",
    )
    trial.case("decode of nothing", lambda: abc.decode(iter([])), "", of="decode")


def linear(trial: Trial, book: Book) -> None:
    """Rows and columns; the number of outputs; Values."""
    Value, linear = book.value.Value, book.model.linear
    trial.case(
        "linear([1, 10], [[1, 2], [3, 4]])",
        lambda: linear([1.0, 10.0], [[1.0, 2.0], [3.0, 4.0]]),
        [21.0, 43.0],
        (
            [31.0, 42.0],
            "rows and columns are exchanged (transposed): each output is made of one "
            "row.",
        ),
        ([10.5, 21.5], "that is a mean: a dot product is a sum."),
        (
            lambda came: isinstance(came, float),
            "one number came: there is one output for each row.",
        ),
        ([21.0], "an output is missing: there is one for each row of w."),
        ([[1.0, 20.0], [3.0, 40.0]], "the products of a row have to be added up."),
        because="1 * 1 + 2 * 10 = 21, and 3 * 1 + 4 * 10 = 43",
    )
    transposed = (
        "w has a row for each output and a column for each input: (n_out, n_in)."
    )
    trial.case(
        "linear([1, 2], [[1, 0], [0, 1], [3, 4]]), 2 inputs and 3 outputs",
        lambda: linear([1.0, 2.0], [[1.0, 0.0], [0.0, 1.0], [3.0, 4.0]]),
        [1.0, 2.0, 11.0],
        ([1.0, 2.0], transposed),
        (ValueError, transposed),
        (IndexError, transposed),
    )

    trial.case(
        "linear([1, 2], [[3, -4]])",
        lambda: linear([1.0, 2.0], [[3.0, -4.0]]),
        [-5.0],
        ([0.0], "an output may be negative: no relu here."),
    )

    def with_slopes() -> Floats:
        x, w = [Value(5.0)], [[Value(2.0)], [Value(3.0)]]
        y = linear(x, w)
        return slopes(y[0] + y[1], [x[0], w[0][0], w[1][0]])

    trial.case(
        "y = linear([x], [[u], [v]]) at x = 5, u = 2, v = 3: slopes of y[0] + y[1]",
        with_slopes,
        [5.0, 5.0, 5.0],
        (AttributeError, "plain numbers came out: the Values must stay Values."),
        because="u + v = 5 for x, and x = 5 for u and for v",
    )


def softmax(trial: Trial, book: Book) -> None:
    """Shares; large logits; the graph is kept."""
    Value, softmax = book.value.Value, book.model.softmax
    log3 = math.log(3)
    trial.case(
        "softmax([0, log(3)])",
        lambda: softmax([0.0, log3]),
        [0.25, 0.75],
        ([1.0, 3.0], "the exps are not divided by their sum."),
        ([1 / 3, 1.0], "the exps are not divided by their sum."),
        (
            [0.0, 1.0],
            "the logits themselves were divided by their sum: exp is missing.",
        ),
        ([0.75, 0.25], "the sign is wrong: a larger logit is likelier."),
        ([0.5, 1.5], "the exps were divided by their mean, and not by their sum."),
        because="exps 1 and 3, together 4",
    )
    too_large = (
        "exp of 1000 is too large for a float: subtract the largest logit first."
    )
    trial.case(
        "softmax([1000.0, 1000.0])",
        lambda: softmax([1000.0, 1000.0]),
        [0.5, 0.5],
        (OverflowError, too_large),
    )
    trial.case(
        "softmax([-1000.0, -1000.0])",
        lambda: softmax([-1000.0, -1000.0]),
        [0.5, 0.5],
        (
            ZeroDivisionError,
            "all exps were rounded to 0: subtract the largest logit first.",
        ),
    )

    for logits in ([2000.0, 0.0], [0.0, 2000.0]):
        trial.case(
            f"softmax({logits})",
            lambda logits=logits: softmax(logits),  # type: ignore[misc]
            [float(logit == 2000.0) for logit in logits],
            (
                OverflowError,
                "exp of a large number overflowed: it must be the largest logit that "
                "is subtracted, and no other number.",
            ),
        )

    def with_slopes() -> Floats:
        logits = [Value(0.0), Value(0.0)]
        return slopes(softmax(logits)[0], logits)

    lost = (
        "the graph is lost: with Values in, Values must come out. Use exp and total "
        "from value.py."
    )
    trial.case(
        "softmax([a, b]) at a = b = 0: the slopes of its first probability",
        with_slopes,
        [0.25, -0.25],
        (
            "not supported between instances",
            "Values cannot be compared: max(logits, key=as_float) compares their "
            "numbers.",
        ),
        (AttributeError, lost),
        (TypeError, lost),
        (
            [0.5, 0.0],
            "the sum of the exps was treated as a constant: it depends on the logits.",
        ),
        because="p * (1 - p) and -p * p, with p = 1/2",
    )


def rmsnorm(trial: Trial, book: Book) -> None:
    """Mean, root, 1e-5 and where it stands; the graph is kept."""
    Value, rmsnorm = book.value.Value, book.model.rmsnorm
    x = [1.0, 2.0, 2.0, 4.0]
    mean = 25 / 4 + 1e-5
    root = math.sqrt(mean)

    def near(scale: float) -> Callable[[Floats], bool]:
        return lambda came: same_to(came, [xi * scale for xi in x])

    trial.case(
        "rmsnorm([1, 2, 2, 4])",
        lambda: rmsnorm(x),
        [xi / root for xi in x],
        (
            near(1 / 5),
            "divided by the root of the sum of the squares: take their mean.",
        ),
        (near(1 / mean), "divided by the mean of the squares: its root is missing."),
        (lambda c: c[0] < 0 < c[3], "the mean was subtracted: that is LayerNorm."),
        (near(root), "multiplied in place of divided."),
        (
            near(4 / 9),
            "divided by the mean of the numbers: take that of their squares.",
        ),
        (
            near(1 / root),
            "nearly right, so it can only be the 1e-5: it is added to the mean of the "
            "squares, before the root is taken.",
        ),
        because="the squares 1, 4, 4 and 16 have the mean 6.25, its root is 2.5; "
        "1 / 2.5 = 0.4",
        rel=1e-12,
    )
    trial.case(
        "rmsnorm([0, 0])",
        lambda: rmsnorm([0.0, 0.0]),
        [0.0, 0.0],
        (ZeroDivisionError, "0 was divided by 0: 1e-5 is added to the mean square."),
    )

    def with_slopes() -> Floats:
        x = [Value(3.0), Value(4.0)]
        return slopes(rmsnorm(x)[0], x)

    scale = (25 / 2 + 1e-5) ** -0.5
    trial.case(
        "the slopes of the first number of rmsnorm([3, 4])",
        with_slopes,
        [scale - 9 * scale**3 / 2, -12 * scale**3 / 2],
        (
            [scale, 0.0],
            "the scale was treated as a constant: it depends on all numbers of x.",
        ),
        (AttributeError, "the graph is lost: with Values in, Values must come out."),
    )


def cross_entropy(trial: Trial, book: Book) -> None:
    """The right target, the sign, extreme logits, slopes, what is no token."""
    Value, cross_entropy = book.value.Value, book.model.cross_entropy
    log3 = math.log(3)
    trial.case(
        "cross_entropy([1, 1 + log(3)], target_id=0)",
        lambda: cross_entropy([1.0, 1.0 + log3], 0),
        math.log(4),
        (-math.log(4), "the sign is wrong: a surprise is not negative."),
        (0.25, "that is the probability of the target: take -log of it."),
        (0.75, "that is 1 - probability: take -log of the probability."),
        (math.log(4 / 3), "that is the surprise at another token than the target."),
        (2.0, "it is the natural logarithm, and not that to base 2."),
        (-1.0, "the logits have to be made probabilities first."),
        (math.log(4) / 2, "divided by the number of tokens: it is one surprise."),
        because="exps e and 3 * e: the target has probability 1/4, -log(1/4) = 1.386",
    )
    rounded = (
        "the probability itself was rounded to 0, which has no log: "
        "logsumexp(logits) - logits[target_id] stays finite."
    )
    trial.case(
        "cross_entropy([1000.0, 0.0], target_id=1)",
        lambda: cross_entropy([1000.0, 0.0], 1),
        1000.0,
        (ValueError, rounded),
        (OverflowError, "exp of 1000 is too large for a float: use logsumexp."),
        (
            lambda came: 5 < came < 100 or 700 < came < 750 or came == math.inf,
            rounded,
        ),
    )

    def with_slopes() -> Floats:
        logits = [Value(0.0), Value(log3)]
        return slopes(cross_entropy(logits, 0), logits)

    trial.case(
        "the slopes of cross_entropy([0, log(3)], target_id=0)",
        with_slopes,
        [-0.75, 0.75],
        (AttributeError, "the graph is lost: with Values in, a Value must come out."),
        (TypeError, "the graph is lost: with Values in, a Value must come out."),
        because="the probability, 1/4 and 3/4, less 1 for the target",
    )
    for target in (2, -1):
        trial.case(
            f"cross_entropy([0, 0], target_id={target})",
            lambda target=target: cross_entropy([0.0, 0.0], target),  # type: ignore[misc]
            ValueError,
            (IndexError, "make a ValueError of a target that is no token."),
            (
                lambda came: isinstance(came, float),
                "-1 is no token, but Python takes it from the end of the list: check "
                "target_id first.",
            ),
        )


def identity(n: int, times: float = 1.0) -> list[Floats]:
    """Return the matrix that multiplies a list by `times`."""
    return [[times if i == j else 0.0 for j in range(n)] for i in range(n)]


def reversal(n: int) -> list[Floats]:
    """Return the matrix that turns a list round."""
    return [[1.0 if i + j == n - 1 else 0.0 for j in range(n)] for i in range(n)]


# What a reader may write in place of the right matrix, or of the right slice.
WRONG_MATRICES = {
    f"{own} <- {other}": f"{letter} is made with attn_{other} in place of attn_{own}."
    for own, letter in (("wq", "q"), ("wk", "k"), ("wv", "v"), ("wo", "the output"))
    for other in ("wq", "wk", "wv", "wo")
    if other != own
}
WRONG_ATTENTION = {
    **WRONG_MATRICES,
    "q <-> k": "attn_wq and attn_wk are exchanged: the query is made with attn_wq.",
    "values are keys": "the keys were mixed: it is the values that are mixed.",
    "no wo": "the last step, attn_wo, is missing.",
    "layer 0": "the matrices must be this layer's: params[f'layer{layer}.attn_wq'].",
    **{
        f"layer 0: {name}": f"attn_{name} is layer 0's: it must be "
        f"params[f'layer{{layer}}.attn_{name}']."
        for name in ("wq", "wk", "wv", "wo")
    },
    "no scale": "the scores are not divided by the root of head_dim.",
    "head_dim": "the scores are divided by head_dim: it is the root of head_dim.",
    "n_embd": "the scores are divided by the root of n_embd: it is the root of "
    "head_dim, the size of one head.",
    "times root": "the scores are multiplied by the root of head_dim: divide them.",
    "scaled weights": "the weights do not sum to 1: it is the scores that are divided, "
    "before softmax.",
    "no softmax": "softmax of the scores is missing.",
    "even": "all tokens got the same weight, whatever their keys.",
    "not itself": "the token sees only those before it: append its own key and value "
    "first.",
    "only itself": "the last token sees only itself: keys[layer] and values[layer] "
    "hold all tokens so far.",
    "whole scores": "each head compares all numbers of q and k: take its slice of both "
    "first.",
    "one head": "all heads look at all numbers: give each its slice.",
    "interleaved": "head h takes every n_head-th number: its slice is h * head_dim to "
    "(h + 1) * head_dim.",
    "first slice": "both heads took the first slice: begin at h * head_dim.",
    "first slice of q": "each head takes the first slice of q: begin at h * head_dim.",
    "first slice of k": "each head takes the first slice of the keys: begin at "
    "h * head_dim.",
    "first slice of q and k": "each head compares the first slices of q and k: begin "
    "at h * head_dim.",
    "first slice of v": "each head takes the first slice of the values: begin at "
    "h * head_dim.",
    "heads turned": "the heads' outputs stand in the wrong order: the first head's "
    "come first.",
    "residual": "x was added: gpt does that, with what attention returns.",
    "normalised": "x was normalised once more: gpt hands over a normalised x.",
}


def plain_attention(
    xs: Sequence[Any],
    params: dict[str, list[Floats]],
    layer: int,
    n_head: int,
    book: Book,
    mistake: str = "",
) -> list[Any]:
    """Return what attention gives for the last of xs, by simple loops.

    A `mistake` is one of WRONG_ATTENTION, or "detached" and what was detached.
    """

    def times(x: Sequence[Any], name: str) -> list[Any]:
        source = name
        if mistake.startswith(f"{name} <- "):
            source = mistake.split(" <- ")[1]
        if mistake == "q <-> k":
            source = {"wq": "wk", "wk": "wq"}.get(name, name)
        at = 0 if mistake in ("layer 0", f"layer 0: {name}") else layer
        rows = params[f"layer{at}.attn_{source}"]
        return [sum(w * xi for w, xi in zip(row, x)) for row in rows]

    def plain(x: Sequence[Any], what: str) -> list[Any]:
        return data(x) if mistake == f"detached {what}" else list(x)

    n = len(xs[0])
    dim = n // n_head
    if mistake == "normalised":
        xs = [book.model.rmsnorm(x) for x in xs]
    seen = {"not itself": xs[:-1], "only itself": xs[-1:]}.get(mistake, xs)
    q = plain(times(xs[-1], "wq"), "query")
    keys = [plain(times(x, "wk"), "keys") for x in seen]
    values = [plain(times(x, "wv"), "values") for x in seen]
    if mistake == "values are keys":
        values = keys
    divisor = {
        "no scale": 1.0,
        "scaled weights": 1.0,
        "head_dim": float(dim),
        "n_embd": math.sqrt(n),
        "times root": 1 / math.sqrt(dim),
        "one head": math.sqrt(dim),
    }.get(mistake, math.sqrt(dim))
    heads = []
    for h in range(n_head):
        own = list(range(h * dim, (h + 1) * dim))
        first = list(range(dim))
        everything = list(range(n))
        if mistake == "interleaved":
            own = list(range(h, n, n_head))
        places = {"q": own, "k": own, "v": own}
        for what in {
            "first slice": "qkv",
            "first slice of q": "q",
            "first slice of k": "k",
            "first slice of q and k": "qk",
            "first slice of v": "v",
        }.get(mistake, ""):
            places[what] = first
        if mistake in ("whole scores", "one head"):
            places["q"] = places["k"] = everything
        scores = [
            sum(q[i] * k[j] for i, j in zip(places["q"], places["k"])) / divisor
            for k in keys
        ]
        weights = scores
        if mistake == "even":
            weights = [1 / len(scores) for _ in scores]
        elif mistake != "no softmax":
            exps = [book.value.exp(score) for score in scores]
            weights = [e / sum(exps) for e in exps]
        weights = plain(weights, "weights")
        if mistake == "scaled weights":
            weights = [weight / math.sqrt(dim) for weight in weights]
        heads.append(
            [sum(w * v[i] for w, v in zip(weights, values)) for i in places["v"]]
        )
    if mistake == "heads turned":
        heads.reverse()
    gathered = [number for head in heads for number in head]
    out = gathered if mistake == "no wo" else times(gathered, "wo")
    if mistake == "residual":
        out = [o + xi for o, xi in zip(out, xs[-1])]
    return out


def attention(trial: Trial, book: Book) -> None:
    """One head by hand, two heads in a middle layer, the cache, and every slope."""
    Value, model = book.value.Value, book.model
    cache: list[Any] = [[], []]  # the keys and the values of the last run

    def run(
        xs: Sequence[Any], params: Any, n_head: int, layer: int = 0, n_layer: int = 1
    ) -> Any:
        n = len(xs[0])
        config = model.GPTConfig(3, n_layer=n_layer, n_head=n_head, n_embd=n)
        cache[:] = model.empty_cache(config)
        for x in xs:
            out = model.attention(x, params, config, layer, *cache)
        return out

    def looked_too_early() -> bool:
        return not any(cache[0]) or not any(cache[1])

    own_first = "this token's own key and value must be appended before it looks back."
    too_early = Stopped((IndexError, ValueError, ZeroDivisionError), looked_too_early)
    by_hand = {
        "layer0.attn_wq": identity(4, 2.0),
        "layer0.attn_wk": identity(4, 3.0),
        "layer0.attn_wv": identity(4, 10.0),
        "layer0.attn_wo": reversal(4),
    }
    a = math.sqrt(math.log(3) / 3)
    first, second = [0.0, 1.0, 0.0, 0.0], [a, 0.0, 0.0, 0.0]
    trial.case(
        "one head, one token, x = [0, 1, 0, 0]; q is 2 * x, k 3 * x, v 10 * x, and "
        "attn_wo turns it round",
        lambda: run([first], by_hand, 1),
        [0.0, 0.0, 10.0, 0.0],
        ([0.0, 10.0, 0.0, 0.0], "the last step is missing: linear with attn_wo."),
        (
            [0.0, 0.0, 3.0, 0.0],
            "the keys were mixed: it is the values that are mixed, and a value is "
            "linear(x, attn_wv), kept in values[layer].",
        ),
        ([0.0, 0.0, 1.0, 0.0], "x itself was mixed: it is the values that are mixed."),
        ([0.0, 0.0, 30.0, 0.0], "the scores were not put through softmax."),
        ([0.0, 0.0, 0.0, 0.0], "this token's own key and value were not looked at."),
        (too_early, own_first),
        because="a single token has all of its own attention, so v comes out",
    )
    trial.case(
        "two tokens, the second x = [0.605, 0, 0, 0]: its output",
        lambda: run([first, second], by_hand, 1),
        [0.0, 0.0, 2.5, 7.5 * a],
        *[
            (plain_attention([first, second], by_hand, 0, 1, book, mistake), sentence)
            for mistake, sentence in WRONG_ATTENTION.items()
            if mistake in ("no scale", "no softmax", "not itself")
            or mistake in ("only itself", "no wo", "values are keys")
        ],
        because="scores 0 and 2 * 3 * 0.605**2 / 2 = log(3), so weights 1/4 and 3/4",
    )

    # Numbers at random, and no two sizes alike: 4 tokens, heads of 3 numbers, 6 in all.
    rng = random.Random(4)
    params = {
        f"layer{layer}.attn_{name}": [
            [rng.gauss(0, 0.7) for _ in range(6)] for _ in range(6)
        ]
        for layer in range(3)
        for name in ("wq", "wk", "wv", "wo")
    }
    xs = [[rng.gauss(0, 1) for _ in range(6)] for _ in range(4)]

    def run_middle(numbers: Sequence[Any]) -> Any:
        return run(numbers, params, n_head=2, layer=1, n_layer=3)

    def right(mistake: str = "", numbers: Sequence[Any] = xs) -> list[Any]:
        return plain_attention(numbers, params, 1, 2, book, mistake)

    trial.case(
        "random matrices, two heads of 3 numbers, four tokens, layer 1 of 0, 1, 2: the "
        "output of the fourth",
        lambda: run_middle(xs),
        right(),
        *[(right(mistake), sentence) for mistake, sentence in WRONG_ATTENTION.items()],
    )

    def kept() -> list[Any]:
        run_middle(xs)
        return [list(cache[0]), list(cache[1])]

    def rows_of(name: str) -> list[Floats]:
        return [model.linear(x, params[f"layer1.attn_{name}"]) for x in xs]

    keys, values = rows_of("wk"), rows_of("wv")
    elsewhere = "the rows went to another layer: append to keys[layer]."
    trial.case(
        "what the cache holds then: [keys of layers 0 to 2, values of layers 0 to 2]",
        kept,
        [[[], keys, []], [[], values, []]],
        (
            [[[]] * 3, [[]] * 3],
            "nothing was appended to keys[layer] and values[layer].",
        ),
        *[
            (
                [
                    [*[[]] * at, keys, *[[]] * (2 - at)],
                    [*[[]] * at, values, *[[]] * (2 - at)],
                ],
                elsewhere,
            )
            for at in (0, 2)
        ],
        (
            [[[], keys[::-1], []], [[], values[::-1], []]],
            "the rows stand the wrong way round: append each at the end.",
        ),
        (
            [[[], values, []], [[], keys, []]],
            "the keys are in values, and the values in keys.",
        ),
        because="one row for each of the four tokens, in layer 1 alone",
    )

    def with_slopes(compute: Callable[[Sequence[Any]], Any]) -> Floats:
        numbers = [[Value(number) for number in x] for x in xs]
        out = compute(numbers)
        return slopes(out[0], [*numbers[0], *numbers[-1]])

    lost = {
        "detached keys": "no slope goes back through the keys: they were kept as plain "
        "numbers (detached).",
        "detached values": "no slope goes back through the values: they were kept as "
        "plain numbers (detached).",
        "detached query": "no slope goes back through the query: it was made of plain "
        "numbers (detached).",
        "detached weights": "no slope goes back through the weights: they were made "
        "plain numbers (detached).",
    }

    def slopes_of(mistake: str) -> Floats:
        return with_slopes(lambda numbers: right(mistake, numbers))

    expected = slopes_of("")
    trial.case(
        "the slopes of its first number for the first token's x, and for its own x",
        lambda: with_slopes(run_middle),
        expected,
        (
            lambda came: not any(came[:6]) and any(came[6:]),
            "no slope goes back to the token before: its key and value were kept as "
            "plain numbers (detached).",
        ),
        *[(slopes_of(mistake), sentence) for mistake, sentence in lost.items()],
        (AttributeError, "the graph is lost: with Values in, Values must come out."),
    )


def mlp(trial: Trial, book: Book) -> None:
    """Squared ReLU, and between the right matrices."""
    Value, mlp = book.value.Value, book.model.mlp
    params = {
        "layer0.mlp_fc1": [[1.0, 0.0], [0.0, 1.0], [3.0, 0.0]],
        "layer0.mlp_fc2": [[1.0, 10.0, 0.0], [0.0, 0.0, 1.0]],
        "layer1.mlp_fc1": [[2.0, 0.0]],
        "layer1.mlp_fc2": [[1.0], [5.0]],
    }
    trial.case(
        "x = [2, -1], hidden numbers [2, -1, 6]: the output of layer 0",
        lambda: mlp([2.0, -1.0], params, 0),
        [4.0, 36.0],
        ([2.0, 6.0], "the square is missing: relu(hi) ** 2."),
        ([14.0, 36.0], "-1 became 1: relu comes before the square."),
        ([-8.0, 6.0], "there is nothing between the two matrices: relu(hi) ** 2."),
        ([-6.0, 36.0], "relu is missing: a negative hidden number becomes 0."),
        ([4.0, 0.0, 36.0], "the second matrix, mlp_fc2, is missing."),
        ([6.0, 35.0], "x was added: gpt does that, with what mlp returns."),
        (
            [4 / (2.5 + 1e-5), 36 / (2.5 + 1e-5)],
            "x was normalised once more: gpt hands over a normalised x.",
        ),
        ([16.0, 1296.0], "squared once too often: the output itself is not changed."),
        because="relu makes [2, 0, 6], squared [4, 0, 36]",
    )
    turned = {
        "layer0.mlp_fc1": [[-1.0, -1.0], [0.0, -2.0]],
        "layer0.mlp_fc2": [[1.0, -1.0], [1.0, 1.0]],
    }
    trial.case(
        "x = [2, -1], hidden numbers [-1, 2], fc2 takes their difference and sum",
        lambda: mlp([2.0, -1.0], turned, 0),
        [-4.0, 4.0],
        ([0.0, 4.0], "relu comes between the two matrices, and not after the second."),
        ([0.0, 0.0], "relu comes after fc1: x itself may be negative."),
        because="relu makes [0, 2], squared [0, 4]",
    )
    trial.case(
        "the same x through layer 1",
        lambda: mlp([2.0, -1.0], params, 1),
        [16.0, 80.0],
        ([4.0, 36.0], "layer 0's matrices were used: params[f'layer{layer}.mlp_fc1']."),
    )

    def with_slopes() -> Floats:
        x = [Value(2.0), Value(-1.0)]
        return slopes(mlp(x, params, 0)[1], x)

    trial.case(
        "the slopes of the second output of layer 0",
        with_slopes,
        [36.0, 0.0],
        (AttributeError, "the graph is lost: with Values in, Values must come out."),
        because="(3 * 2) ** 2 has the slope 2 * 6 * 3",
    )


def gpt(trial: Trial, book: Book) -> None:
    """Embeddings, the first norm, residual connections, and no norm at the end."""
    model = book.model
    add, rmsnorm, linear = model.add, model.rmsnorm, model.linear
    config = model.GPTConfig(3, block_size=4, n_layer=2, n_head=1, n_embd=2)

    def params_with(rng: random.Random | None) -> dict[str, Any]:
        def number(i: int, j: int) -> float:
            return rng.gauss(0, 1) if rng else 0.0

        params = {}
        for name, (rows, columns) in model.param_shapes(config).items():
            params[name] = [[number(i, j) for j in range(columns)] for i in range(rows)]
        return params

    plain = params_with(None)
    plain["wte"] = [[9.0, 5.0], [2.0, 1.0], [9.0, 5.0]]
    plain["wpe"] = [[1.0, 3.0], [1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]
    plain["lm_head"] = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
    scale = (12.5 + 1e-5) ** -0.5

    def logits_of(params: Any, tokens: Sequence[int]) -> Any:
        keys, values = model.empty_cache(config)
        for pos_id, token_id in enumerate(tokens):
            logits = model.gpt(params, config, token_id, pos_id, keys, values)
        return logits

    def head_of(x: Floats) -> Floats:
        return [x[0], x[1], x[0] + x[1]]

    trial.case(
        "layers that add nothing, wte row [2, 1], wpe row [1, 3]: the logits",
        lambda: logits_of(plain, [1]),
        [3 * scale, 4 * scale, 7 * scale],
        ([3.0, 4.0, 7.0], "x is not normalised after the embeddings."),
        (
            head_of(rmsnorm([2.0, 1.0])),
            "the position embedding is missing: x also says where in the text it is.",
        ),
        (head_of(rmsnorm([1.0, 3.0])), "the token embedding, wte, is missing."),
        (
            model.softmax([3 * scale, 4 * scale, 7 * scale]),
            "these are probabilities: gpt returns the logits, and softmax comes later.",
        ),
        ([0.0, 0.0, 0.0], "the layers' results replaced x: each is added to it."),
        (
            lambda c: len(c) == 2,
            "these are not logits: the language-model head, lm_head, comes last.",
        ),
        (
            lambda c: sum(c) != 0 and same_to(c, [3 * scale, 4 * scale, 7 * scale]),
            "nearly right, but x itself was normalised once more than it should be: "
            "only at the start. A half of a layer reads a normalised copy, and the "
            "head reads x as it is.",
        ),
        because="rmsnorm([3, 4]) is [0.8485, 1.1314], and lm_head adds their sum",
        rel=1e-12,
    )

    def reference(
        params: Any, tokens: Sequence[int], mistake: str = "", cache: Any = None
    ) -> Floats:
        keys, values = cache or model.empty_cache(config)
        for pos_id, token_id in enumerate(tokens):
            place = pos_id + 1 if mistake == "pos" else pos_id
            x = add(params["wte"][token_id], params["wpe"][place])
            x = x if mistake == "no first norm" else rmsnorm(x)
            for layer in range(config.n_layer):
                context = (params, config, layer, keys, values)
                if mistake == "one layer" and layer > 0:
                    break
                if mistake == "post-norm":
                    x = rmsnorm(add(x, model.attention(x, *context)))
                    x = rmsnorm(add(x, model.mlp(x, params, layer)))
                    continue
                raw = ("no norm in layers", "attention(x)")
                read = x if mistake in raw else rmsnorm(x)
                heard = model.attention(read, *context)
                if mistake == "replaced":
                    x = heard
                    x = model.mlp(rmsnorm(x), params, layer)
                    continue
                before = read
                if mistake != "no attention":
                    x = add(x, heard)
                read = x if mistake in ("no norm in layers", "mlp(x)") else rmsnorm(x)
                if mistake == "parallel":
                    read = before
                if mistake != "no mlp":
                    x = add(x, model.mlp(read, params, layer))
                if mistake == "normalised stream":
                    x = rmsnorm(x)
            x = rmsnorm(x) if mistake == "final norm" else x
        logits = linear(x, params["lm_head"])
        return list(model.softmax(logits) if mistake == "softmax" else logits)

    sentences = {
        "final norm": "x was normalised once more before the head: here it is not.",
        "no first norm": "x is not normalised after the embeddings.",
        "replaced": "the layers' results replaced x: each is added to it (residual).",
        "no norm in layers": "each half of a layer reads rmsnorm(x), and not x.",
        "attention(x)": "attention reads rmsnorm(x), and not x.",
        "mlp(x)": "the MLP reads rmsnorm(x), and not x.",
        "softmax": "these are probabilities: gpt returns the logits, and softmax comes "
        "later.",
        "post-norm": "x itself was normalised after each half: only the copy that a "
        "half reads is.",
        "normalised stream": "x itself was normalised after each layer: only the copy "
        "that a half reads is.",
        "no attention": "attention's result is not added to x.",
        "no mlp": "the MLP's result is not added to x.",
        "parallel": "the MLP read x as it was before attention: it reads what "
        "attention has added too.",
        "one layer": "only the first layer was used: go through all n_layer of them.",
        "pos": "the position is one too high.",
    }
    rich = params_with(random.Random(3))
    trial.case(
        "a model of random numbers, two layers, tokens 2 0 1: the last logits",
        lambda: logits_of(rich, [2, 0, 1]),
        reference(rich, [2, 0, 1]),
        *[
            (reference(rich, [2, 0, 1], mistake), sentence)
            for mistake, sentence in sentences.items()
        ],
    )

    def kept() -> list[bool]:
        ours, theirs = model.empty_cache(config), model.empty_cache(config)
        reference(rich, [2, 0], cache=ours)
        for pos_id, token_id in enumerate([2, 0]):
            model.gpt(rich, config, token_id, pos_id, *theirs)
        return [same(theirs[i], ours[i], 1e-9) for i in (0, 1)]

    trial.case(
        "tokens 2 0: do keys hold the key of each in each layer, and values the value?",
        kept,
        [True, True],
    )
    for token_id, pos_id in ((3, 0), (-1, 0), (0, 4), (0, -1)):
        trial.case(
            f"token {token_id} at position {pos_id}, of 3 tokens and 4 positions",
            lambda t=token_id, p=pos_id: model.gpt(  # type: ignore[misc]
                rich, config, t, p, *model.empty_cache(config)
            ),
            ValueError,
            (IndexError, "make a ValueError of a token or a position out of range."),
            (
                lambda came: isinstance(came, list),
                "-1 is out of range, but Python takes it from the end of the list: "
                "check token_id and pos_id first.",
            ),
        )


def document_loss(trial: Trial, book: Book) -> None:
    """The mean over what was asked for, and a Value."""
    model = book.model
    config = model.GPTConfig(4, block_size=3, n_layer=1, n_head=1, n_embd=2)
    params = model.init_params(config, random.Random(5))
    for weight in model.flatten(params):
        weight.data = weight.data * 40 + 0.3
    for tokens in ([0, 3, 1, 2, 2, 0], [0, 1, 2, 0], [0, 2]):
        losses = data(model.token_losses(params, config, tokens))
        n, text = len(losses), " ".join(map(str, tokens))
        mistakes: list[Mistake] = [
            (sum(losses), "that is the sum: take the mean."),
            (
                sum(losses) / len(tokens),
                "divided by the number of tokens: there is no loss for the first BOS.",
            ),
            (losses[-1], "that is the loss of the last token alone."),
            (losses[0], "that is the loss of the first token alone."),
            (
                sum(losses[:-1]) / max(1, n - 1),
                "the last loss is left out: the end of a document counts too.",
            ),
            (
                sum(losses) / (len(tokens) - 1),
                "divided by more losses than there are: the model was asked for "
                "block_size tokens at most.",
            ),
        ]
        trial.case(
            f"tokens {text}, whose losses are {', '.join(f'{x:.3f}' for x in losses)}",
            lambda tokens=tokens: (
                model.document_loss(  # type: ignore[misc]
                    params, config, tokens
                ).data
            ),
            sum(losses) / n,
            *(mistakes if len(tokens) == 6 else []),  # there, no two are alike
            (
                AttributeError,
                "a plain number came: it must be a Value, on which backward can be "
                "called.",
            ),
            because=f"their mean, of {n}",
        )
    weights = model.flatten(params)
    for weight in weights:
        weight.grad = 0.0
    losses = model.token_losses(params, config, [0, 1, 0])
    (book.value.total(losses) * 0.5).backward()
    right = [weight.grad for weight in weights[:4]]
    trial.case(
        "tokens 0 1 0: the slopes for the first four weights",
        lambda: slopes(model.document_loss(params, config, [0, 1, 0]), weights)[:4],
        right,
        ([0.0] * 4, "the loss knows no parameter: it was made of plain numbers."),
        ([2 * slope for slope in right], "these are the slopes of the sum."),
    )
