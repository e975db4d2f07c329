"""The cases for tokenizer.py and model.py, from `encode` to `document_loss`."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

from learning.book import Book, Floats, data, same_to, slopes
from learning.trial import Mistake, Trial


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
    mean = (9 + 16) / 2 + 1e-5
    root = math.sqrt(mean)
    trial.case(
        "rmsnorm([3, 4])",
        lambda: rmsnorm([3.0, 4.0]),
        [3 / root, 4 / root],
        (
            lambda c: same_to(c, [0.6, 0.8]),
            "divided by the root of the sum of the squares: take their mean.",
        ),
        (
            lambda c: same_to(c, [3 / mean, 4 / mean]),
            "divided by the mean of the squares: its root is missing.",
        ),
        (
            lambda c: c[0] < 0 < c[1],
            "the mean was subtracted: that is LayerNorm.",
        ),
        (lambda c: same_to(c, [3 * root, 4 * root]), "multiplied in place of divided."),
        (
            lambda c: same_to(c, [3 / 3.5, 4 / 3.5]),
            "divided by the mean of the numbers: take that of their squares.",
        ),
        (
            lambda c: same_to(c, [3 / root, 4 / root]),
            "nearly right: 1e-5 is missing, or does not stand inside the root.",
        ),
        because="the mean of 9 and 16 is 12.5, its root 3.5355; 3 / 3.5355 = 0.8485",
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

    scale = mean**-0.5
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
        "cross_entropy([0, log(3)], target_id=0)",
        lambda: cross_entropy([0.0, log3], 0),
        math.log(4),
        (-math.log(4), "the sign is wrong: a surprise is not negative."),
        (0.25, "that is the probability of the target: take -log of it."),
        (0.75, "that is 1 - probability: take -log of the probability."),
        (math.log(4 / 3), "that is the surprise at another token than the target."),
        (2.0, "it is the natural logarithm, and not that to base 2."),
        (0.0, "the logits have to be made probabilities first."),
        (math.log(4) / 2, "divided by the number of tokens: it is one surprise."),
        because="exps 1 and 3: the target has probability 1/4, and -log(1/4) = 1.386",
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
        (lambda came: came != 1000.0, rounded),
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


def plain_attention(
    xs: Sequence[Floats],
    n_head: int,
    *,
    value_times: float = 10.0,
    divisor: float | None = None,
    skip_own: bool = False,
    no_softmax: bool = False,
    interleaved: bool = False,
    repeat_first: bool = False,
    turned: bool = True,
) -> Floats:
    """Return what attention gives for the last of xs, by simple loops.

    q = k = x, v = value_times * x, and attn_wo turns the list round. The keywords are
    mistakes.
    """
    n, head_dim = len(xs[0]), len(xs[0]) // n_head
    seen = xs[:-1] if skip_own and len(xs) > 1 else xs
    out: Floats = []
    for h in range(n_head):
        places = list(range(h * head_dim, (h + 1) * head_dim))
        if interleaved:
            places = list(range(h, n, n_head))
        if repeat_first:
            places = list(range(head_dim))
        scores = [
            sum(xs[-1][i] * x[i] for i in places) / (divisor or math.sqrt(head_dim))
            for x in seen
        ]
        weights = scores
        if not no_softmax:
            exps = [math.exp(score) for score in scores]
            weights = [e / sum(exps) for e in exps]
        for i in places:
            out.append(sum(w * value_times * x[i] for w, x in zip(weights, seen)))
    return out[::-1] if turned else out


def attention(trial: Trial, book: Book) -> None:
    """One head by hand, two heads, the second layer, and gradients into the past."""
    Value, model = book.value.Value, book.model

    def params_of(n: int, layer: int) -> dict[str, list[Floats]]:
        params = {}
        for other in (0, 1):
            right = other == layer
            params[f"layer{other}.attn_wq"] = identity(n, 1.0 if right else -5.0)
            params[f"layer{other}.attn_wk"] = identity(n, 1.0 if right else 7.0)
            params[f"layer{other}.attn_wv"] = identity(n, 10.0 if right else 3.0)
            params[f"layer{other}.attn_wo"] = reversal(n)
        return params

    def run(
        xs: Sequence[Any], n_head: int, layer: int = 0
    ) -> tuple[list[Any], Any, Any]:
        n = len(xs[0])
        config = model.GPTConfig(3, n_layer=2, n_head=n_head, n_embd=n)
        keys, values = model.empty_cache(config)
        params = params_of(n, layer)
        outs = []
        for x in xs:
            outs.append(model.attention(x, params, config, layer, keys, values))
        return outs, keys, values

    a = math.sqrt(2 * math.log(3))
    first, second = [0.0, 1.0, 0.0, 0.0], [a, 0.0, 0.0, 0.0]
    trial.case(
        "one head, one token, x = [0, 1, 0, 0]; v is 10 * x, attn_wo turns it round",
        lambda: run([first], 1)[0][0],
        [0.0, 0.0, 10.0, 0.0],
        ([0.0, 10.0, 0.0, 0.0], "the last step is missing: linear with attn_wo."),
        ([0.0, 0.0, 1.0, 0.0], "it is the values that are mixed, not keys or x."),
        ([0.0, 0.0, 5.0, 0.0], "the scores were not put through softmax."),
        ([0.0, 0.0, 0.0, 0.0], "this token's own key and value were not looked at."),
        (
            IndexError,
            "this token's own key and value must be appended before it looks back.",
        ),
        (
            ValueError,
            "this token's own key and value must be appended before it looks back.",
        ),
        because="a single token has all of its own attention, so v comes out",
    )
    xs = [first, second]
    right = plain_attention(xs, 1)
    no_scale = "the scores are not divided by the root of head_dim."
    wrong_divisor = (
        "the scores are divided by head_dim, or by a root of another number: it is the "
        "root of head_dim."
    )
    trial.case(
        "two tokens, the second x = [1.482, 0, 0, 0]: its output",
        lambda: run(xs, 1)[0][1],
        right,
        (plain_attention(xs, 1, divisor=1), no_scale),
        (plain_attention(xs, 1, divisor=4), wrong_divisor),
        (
            plain_attention(xs, 1, skip_own=True),
            "the token sees only those before it: append its own key and value first.",
        ),
        (plain_attention(xs, 1, turned=False), "the last step, attn_wo, is missing."),
        (
            plain_attention(xs, 1, value_times=1.0),
            "the values are mixed, not the keys.",
        ),
        (plain_attention(xs, 1, no_softmax=True), "softmax of the scores is missing."),
        (
            [0.0, 0.0, 0.0, 10 * a],
            "the second token sees only itself: keys[layer] and values[layer] hold all "
            "tokens so far.",
        ),
        (
            [0.0, 0.0, 5.0, 5.0 * a],
            "both tokens got the same weight, whatever their keys.",
        ),
        because="scores 0 and 1.482**2 / 2 = log(3), so weights 1/4 and 3/4",
    )
    xs2 = [[0.3, 1.0, -0.5, 2.0], [1.5, 0.2, 0.7, 0.4], [1.0, -0.6, 1.2, 0.8]]
    trial.case(
        "two heads, three tokens: the output of the third",
        lambda: run(xs2, 2)[0][2],
        plain_attention(xs2, 2),
        (plain_attention(xs2, 2, divisor=1), no_scale),
        (
            plain_attention(xs2, 2, divisor=2),
            "the scores are divided by the root of n_embd, or by head_dim: it is the "
            "root of head_dim, the size of one head.",
        ),
        (
            plain_attention(xs2, 1),
            "all heads look at all numbers: give each its slice.",
        ),
        (
            plain_attention(xs2, 2, interleaved=True),
            "head h takes every n_head-th number: its slice is h * head_dim to "
            "(h + 1) * head_dim.",
        ),
        (
            lambda came: same_to(came, plain_attention(xs2, 2, repeat_first=True)),
            "both heads took the first slice: begin at h * head_dim.",
        ),
        (ValueError, "the heads' outputs together must be n_embd numbers."),
    )
    trial.case(
        "the same in layer 1, with other matrices in layer 0",
        lambda: run(xs2, 2, layer=1)[0][2],
        plain_attention(xs2, 2),
        (
            lambda came: True,
            "the matrices must be this layer's: params[f'layer{layer}.attn_wq'].",
        ),
    )
    trial.case(
        "how many keys and values each layer holds then: [layer 0, layer 1]",
        lambda: [[len(rows) for rows in cache] for cache in run(xs2, 2, layer=1)[1:]],
        [[0, 3], [0, 3]],
        (
            lambda came: came[0][1] == 0 or came[1][1] == 0,
            "nothing was appended to keys[layer] or values[layer].",
        ),
        (
            lambda came: came[0][0] != 0 or came[1][0] != 0,
            "the rows went to another layer: append to keys[layer].",
        ),
    )

    def into_the_past() -> bool:
        values = [[Value(number) for number in x] for x in xs]
        outs, _, _ = run(values, 1)
        return all(abs(slope) > 1e-6 for slope in slopes(outs[1][3], values[0][:1]))

    detached = (
        "no slope goes back to the token before: its key and value were kept as plain "
        "numbers (detached)."
    )
    trial.case(
        "does the second token's output have a slope for the first token's x?",
        into_the_past,
        True,
        (False, detached),
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
        ([16.0, 1296.0], "squared once too often: the output itself is not changed."),
        because="relu makes [2, 0, 6], squared [4, 0, 36]",
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
    plain["wte"] = [[9.0, 9.0], [3.0, 0.0], [9.0, 9.0]]
    plain["wpe"] = [[0.0, 4.0], [1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]
    plain["lm_head"] = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
    scale = (12.5 + 1e-5) ** -0.5

    def logits_of(params: Any, tokens: Sequence[int]) -> Any:
        keys, values = model.empty_cache(config)
        for pos_id, token_id in enumerate(tokens):
            logits = model.gpt(params, config, token_id, pos_id, keys, values)
        return logits

    trial.case(
        "layers that add nothing, wte row [3, 0], wpe row [0, 4]: the logits",
        lambda: logits_of(plain, [1]),
        [3 * scale, 4 * scale, 7 * scale],
        ([3.0, 4.0, 7.0], "x is not normalised after the embeddings."),
        (
            lambda c: c[0] > 1 and c[1] == 0.0,
            "the position embedding is missing: x also says where in the text it is.",
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

    def reference(params: Any, tokens: Sequence[int], mistake: str = "") -> Floats:
        keys, values = model.empty_cache(config)
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
                read = x if mistake == "no norm in layers" else rmsnorm(x)
                heard = model.attention(read, *context)
                if mistake == "replaced":
                    x = heard
                    x = model.mlp(rmsnorm(x), params, layer)
                    continue
                before = read
                if mistake != "no attention":
                    x = add(x, heard)
                read = x if mistake == "no norm in layers" else rmsnorm(x)
                if mistake == "parallel":
                    read = before
                if mistake != "no mlp":
                    x = add(x, model.mlp(read, params, layer))
                if mistake == "normalised stream":
                    x = rmsnorm(x)
            x = rmsnorm(x) if mistake == "final norm" else x
        return list(linear(x, params["lm_head"]))

    sentences = {
        "final norm": "x was normalised once more before the head: here it is not.",
        "no first norm": "x is not normalised after the embeddings.",
        "replaced": "the layers' results replaced x: each is added to it (residual).",
        "no norm in layers": "each half of a layer reads rmsnorm(x), and not x.",
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
        "a model of random numbers, two layers, tokens 1 2: the last logits",
        lambda: logits_of(rich, [1, 2]),
        reference(rich, [1, 2]),
        *[
            (reference(rich, [1, 2], mistake), sentence)
            for mistake, sentence in sentences.items()
        ],
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
    for tokens in ([0, 1, 2, 0], [0, 3, 1, 2, 2, 0], [0, 2]):
        losses = data(model.token_losses(params, config, tokens))
        n, text = len(losses), " ".join(map(str, tokens))
        same_anyway = n == 1
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
            *([] if same_anyway else mistakes),
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
