"""The cases for value.py: the operations, the order, backward, dot and logsumexp."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

from learning.book import Book, Floats, slopes
from learning.trial import Mistake, Trial


def operations(trial: Trial, book: Book) -> None:
    """Every operation: its number, and its slopes."""
    Value = book.value.Value

    def binary(
        sign: str,
        name: str,
        a: float,
        b: float,
        expected: Floats,
        because: str,
        *mistakes: Mistake,
    ) -> None:
        formula: dict[str, Callable[[Any, Any], Any]] = {
            "+": lambda x, y: x + y,
            "-": lambda x, y: x - y,
            "*": lambda x, y: x * y,
            "/": lambda x, y: x / y,
        }

        def compute() -> Floats:
            x, y = Value(a), Value(b)
            result = formula[sign](x, y)
            return [result.data, *slopes(result, [x, y])]

        trial.case(
            f"a {sign} b at a = {a:g}, b = {b:g}: [its number, slope for a, for b]",
            compute,
            expected,
            *mistakes,
            (
                "'float' object has no attribute",
                "a plain number came out: return a Value, with its inputs and slopes.",
            ),
            (
                lambda came: came[0] == expected[0] and came[1:] == [0.0, 0.0],
                "the number is right, but no slopes came: Value(number, inputs, "
                "slopes, label).",
            ),
            of=name,
            because=because,
        )
        trial.case(
            f"Value({a:g}) {sign} {b:g}, with a plain number: its number",
            lambda: formula[sign](Value(a), b).data,
            expected[0],
            (
                AttributeError,
                "the other side may be a plain number, which has no .data: make a "
                "leaf of it first.",
            ),
            of=name,
        )
        trial.case(
            f"Value({a:g}) {sign} 'text'",
            lambda: formula[sign](Value(a), "text"),
            TypeError,
            (
                AttributeError,
                "for what is neither a Value nor a number, return NotImplemented; "
                "Python makes a TypeError of it.",
            ),
            of=name,
        )

    binary(
        "+", "__add__", 2.0, 3.0, [5.0, 1.0, 1.0], "a sum grows as fast as each part"
    )
    binary(
        *("-", "__sub__", 2.0, 5.0, [-3.0, 1.0, -1.0], "a - b falls when b grows"),
        ([-3.0, 1.0, 1.0], "the slope of a - b with respect to b is -1, and not 1."),
        ([3.0, 1.0, -1.0], "the two sides are exchanged: this is b - a."),
        ([3.0, -1.0, 1.0], "the two sides are exchanged: this is b - a."),
    )
    binary(
        *(
            "*",
            "__mul__",
            2.0,
            -3.0,
            [-6.0, -3.0, 2.0],
            "each slope is the other factor",
        ),
        (
            [-6.0, 2.0, -3.0],
            "each factor was given itself as its slope: the slope with respect to a "
            "is the other factor, b.",
        ),
        ([-6.0, 1.0, 1.0], "those are the slopes of a sum, not of a product."),
    )
    binary(
        *("/", "__truediv__", 5.0, 2.0, [2.5, 0.5, -1.25], "1 / b, and -a / b**2"),
        ([2.5, 0.5, 1.25], "the slope for b lacks its minus: a / b falls as b grows."),
        ([2.5, 0.5, -2.5], "the slope for b is -a / b**2, and not -a / b."),
        ([2.5, 2.0, 5.0], "those are the slopes of a product, not of a quotient."),
        (lambda c: c[0] == 2.0, "// rounds down to a whole number: divide with /."),
    )

    def power(base: float, exponent: Any) -> Floats:
        x = Value(base)
        result = x**exponent
        return [result.data, *slopes(result, [x])]

    trial.case(
        "x ** 3 at x = 2: [its number, slope for x]",
        lambda: power(2.0, 3),
        [8.0, 12.0],
        ([8.0, 8.0], "the slope is n * x ** (n - 1), and not x ** n."),
        ([8.0, 24.0], "in the slope the exponent is one smaller: n * x ** (n - 1)."),
        ([8.0, 4.0], "the slope lacks the factor n: n * x ** (n - 1)."),
        of="__pow__",
        because="3 * 2 ** 2 = 12",
    )
    for base, exponent, expected in (
        (2.0, 0, [1.0, 0.0]),
        (-3.0, 2, [9.0, -6.0]),
        (4.0, 0.5, [2.0, 0.25]),
    ):
        trial.case(
            f"x ** {exponent} at x = {base:g}: [its number, slope for x]",
            lambda base=base, exponent=exponent: power(base, exponent),  # type: ignore[misc]
            expected,
            (
                ValueError,
                "only a base below 0 with an exponent that is no whole number is a "
                "ValueError.",
            ),
            of="__pow__",
        )

    def power_of_values() -> Floats:
        x, n = Value(2.0), Value(3.0)
        result = x**n
        return [result.data, *slopes(result, [x, n])]

    trial.case(
        "x ** n at x = 2, n = Value(3): [its number, slope for x, for n]",
        power_of_values,
        [8.0, 12.0, 8 * math.log(2)],
        (
            lambda came: came[2] == 0.0,
            "n got no slope: hand a Value as exponent to _power_of_values.",
        ),
        (
            TypeError,
            "an exponent that is a Value goes to _power_of_values(self, exponent).",
        ),
        of="__pow__",
        because="8 * log(2) for n",
    )
    trial.case(
        "Value(-4) ** 0.5",
        lambda: power(-4.0, 0.5),
        ValueError,
        (
            lambda came: isinstance(came[0], complex),
            "Python made a complex number: of a base below 0 with a fractional "
            "exponent, make a ValueError.",
        ),
        (
            "complex",
            "Python made a complex number: of a base below 0 with a fractional "
            "exponent, make a ValueError.",
        ),
        of="__pow__",
    )

    def unary(
        name: str, formula: str, at: float, expected: Floats, *mistakes: Mistake
    ) -> None:
        def compute() -> Floats:
            x = Value(at)
            result = -x if name == "__neg__" else getattr(x, name)()
            return [result.data, *slopes(result, [x])]

        trial.case(
            f"{formula} at x = {at:g}: [its number, its slope]",
            compute,
            expected,
            *mistakes,
            (
                "not iterable",
                "one input alone is a tuple too, and so is one slope: (self,) and "
                "(slope,), with a comma.",
            ),
            of=name,
        )

    unary("__neg__", "-x", 2.0, [-2.0, -1.0], ([-2.0, 1.0], "the slope of -x is -1."))
    root_e = math.exp(0.5)
    unary(
        *("exp", "exp(x)", 0.5, [root_e, root_e]),
        ([root_e, 0.5], "the slope of exp(x) is exp(x) again, and not x."),
        (
            [root_e, 0.5 * math.exp(-0.5)],
            "that is the rule of x ** n: exp's is exp(x).",
        ),
        ([root_e, 1.0], "the slope of exp(x) is exp(x) again, and not 1."),
    )
    unary(
        *("log", "log(x)", 2.0, [math.log(2), 0.5]),
        ([math.log(2), 2.0], "the slope of log(x) is 1 / x, and not x."),
        (
            lambda c: c[0] in (1.0, math.log10(2)),
            "it is the natural logarithm, math.log.",
        ),
    )
    for number in (0.0, -1.0):
        trial.case(
            f"Value({number:g}).log()",
            lambda number=number: Value(number).log(),  # type: ignore[misc]
            ValueError,
            (lambda came: True, "0 and negative numbers have no log: ValueError."),
            of="log",
        )
    unary(
        "relu", "relu(x)", 3.0, [3.0, 1.0], ([3.0, 3.0], "the slope is 1, and not x.")
    )
    unary(
        *("relu", "relu(x)", -2.0, [0.0, 0.0]),
        ([0.0, 1.0], "below 0 relu is flat: its slope is 0 there, and not 1."),
        (
            lambda came: -2.0 < came[0] < 0.0,
            "that is a leaky relu: below 0 the result is 0.",
        ),
    )
    unary(
        *("relu", "relu(x)", 0.0, [0.0, 0.0]),
        ([0.0, 1.0], "0 is not positive: there too the slope is 0."),
    )
    half = math.tanh(0.5)
    unary(
        *("tanh", "tanh(x)", 0.5, [half, 1 - half**2]),
        ([half, 0.75], "the slope is 1 - tanh(x) ** 2, and not 1 - x ** 2."),
        ([half, 1 - half], "the slope is 1 - tanh(x) ** 2: the square is missing."),
    )


def fork(Value: Any) -> tuple[Any, Any, Any, Any]:
    """Return a, b = a * 2, c = b * 3, y = b + c, at a = 1."""
    a = Value(1.0)
    b = a * 2
    c = b * 3
    y = b + c
    b.label, c.label, y.label = "b", "c", "y"
    return a, b, c, y


def topological_order(trial: Trial, book: Book) -> None:
    """Each node once, after its inputs; deep graphs; many paths."""
    Value, order = book.value.Value, book.value.topological_order

    def labels(root: Any) -> list[str]:
        return [node.label for node in order(root)]

    trial.case(
        "b = a * 2, c = b * 3, y = b + c: the order of y",
        lambda: labels(fork(Value)[3]),
        ["b", "c", "y"],
        (["y", "c", "b"], "y comes first: a node must stand after its inputs."),
        (["y", "b", "c"], "y comes first: a node must stand after its inputs."),
        (
            ["c", "b", "y"],
            "c stands before b, from which it is computed: going level by level is "
            "not enough. A node gets its place when all its inputs have theirs.",
        ),
        (
            lambda came: "" in came,
            "the leaves are in the list: a node without inputs is left out.",
        ),
        (
            lambda came: len(set(came)) < len(came),
            "b is there twice, since it is used twice: remember in a set which nodes "
            "have been seen.",
        ),
        (
            lambda came: "y" not in came,
            "the root, y, is missing: it is the last in the list.",
        ),
        because="b is computed first, then c, then y",
    )
    trial.case(
        "the order of a leaf alone",
        lambda: labels(Value(1.0)),
        [],
        ([""], "a leaf is left out, also if it is the root."),
    )

    def positions_are_right() -> bool:
        rng = random.Random(1)
        nodes = [Value(float(i)) for i in range(3)]
        for _ in range(60):
            nodes.append(rng.choice(nodes) + rng.choice(nodes))
        rng.shuffle(nodes)  # or the last would always be reached last
        root = book.value.total(nodes)
        listed = order(root)
        place = {id(node): i for i, node in enumerate(listed)}
        return len(place) == len(listed) == 61 and all(
            place[id(input)] < place[id(node)]
            for node in listed
            for input in node.inputs
            if input.inputs
        )

    trial.case(
        "60 sums of sums, at random: is each of the 61 nodes once there, after its "
        "inputs?",
        positions_are_right,
        True,
        (
            False,
            "a node stands before one of its inputs, or is missing, or is there twice.",
        ),
    )

    def chain() -> int:
        x = Value(1.0)
        for _ in range(20_000):
            x = -x
        return len(order(x))

    deep = (
        "the function calls itself, and Python allows that only about 1,000 deep: keep "
        "the path in a list of your own."
    )
    trial.case(
        "a chain of 20,000 nodes: how many are listed?",
        chain,
        20_000,
        (RecursionError, deep),
        if_slow="looking for a node in a list takes the longer, the longer the list "
        "is: a set finds it at once.",
    )

    def forks() -> int:
        x = Value(0.0)
        for _ in range(40):
            x = x + x
        return len(order(x))

    trial.case(
        "40 times x = x + x: how many nodes are listed?",
        forks,
        40,
        if_slow="there are 2 ** 40 paths, and each seems to be walked: remember in a "
        "set which nodes have been seen, before you go into them.",
    )


def backward(trial: Trial, book: Book) -> None:
    """Both uses count, in the right order; computed nodes begin at 0, leaves add up."""
    Value = book.value.Value

    def used_twice() -> float:
        a = Value(5.0)
        (a + a * 3).backward()
        return float(a.grad)

    trial.case(
        "y = a + a * 3: the grad of a",
        used_twice,
        4.0,
        (
            3.0,
            "your grad of a is 3, it should be 4: a is used twice, and the second use "
            "overwrote the first. Add with +=.",
        ),
        because="1 by one path and 3 by the other",
    )

    def of_fork(times: int = 1) -> Floats:
        a, b, c, y = fork(Value)
        for _ in range(times):
            y.backward()
        return [a.grad, b.grad, c.grad]

    trial.case(
        "b = a * 2, c = b * 3, y = b + c: the grads [of a, b, c]",
        of_fork,
        [8.0, 4.0, 1.0],
        ([0.0, 0.0, 0.0], "nothing was passed on: the grad of y itself has to be 1."),
        (
            [0.0, 1.0, 1.0],
            "you walked from the inputs to the result: go through the order from its "
            "end (reversed).",
        ),
        (
            lambda came: came[1:] == [4.0, 1.0] and came[0] in (10.0, 9.0),
            "b passed its grad on before it was complete, and then again: wait until "
            "all that use b have had their turn.",
        ),
        (
            [2.0, 4.0, 1.0],
            "the slope of each step was added alone: it has to be multiplied by the "
            "node's own grad.",
        ),
        (
            [2.0, 2.0, 1.0],
            "grads were passed on without the slope: local_grad * node.grad.",
        ),
        ([64.0, 32.0, 8.0], "the grad of y itself is 1, and not y's number."),
        (
            [2.0, 1.0, 1.0],
            "b passed its grad on before c had added its part.",
        ),
        because="b gets 1 from y and 3 from c, and passes on 2 * 4",
    )
    trial.case(
        "the same, with y.backward() called twice: the grads [of a, b, c]",
        lambda: of_fork(2),
        [16.0, 4.0, 1.0],
        (
            [8.0, 4.0, 1.0],
            "the leaf a was cleared: leaves add up over several calls.",
        ),
        (
            lambda came: came in ([38.0, 15.0, 3.0], [30.0, 11.0, 2.0]),
            "computed nodes still held their grad from the first call, and it was "
            "passed on again: set it to 0 first.",
        ),
        because="a is a leaf and adds up, 8 + 8; b and c begin at 0 again",
    )

    def with_dead_relu() -> float:
        a = Value(-1.0)
        (a * 2 + (a * 3).relu()).backward()
        return float(a.grad)

    trial.case(
        "y = a * 2 + relu(a * 3), at a = -1: the grad of a",
        with_dead_relu,
        2.0,
        because="2 by one path; by the other, relu's slope is 0",
    )

    def leaf_twice() -> float:
        x = Value(3.0)
        x.backward()
        x.backward()
        return float(x.grad)

    trial.case(
        "x is a leaf, and x.backward() is called twice: its grad",
        leaf_twice,
        2.0,
        (1.0, "the grad of the root was set to 1: add 1, since a leaf adds up."),
    )

    def chain() -> float:
        x = y = Value(1.0)
        for _ in range(20_000):
            y = -y
        y.backward()
        return float(x.grad)

    trial.case(
        "a chain of 20,000 nodes, each minus the one before: the grad of the leaf",
        chain,
        1.0,
        (
            RecursionError,
            "backward calls itself, and Python allows that only about 1,000 deep: "
            "walk through topological_order(self).",
        ),
    )

    def forks() -> float:
        x = y = Value(0.0)
        for _ in range(40):
            y = y + y
        y.backward()
        return float(x.grad)

    trial.case(
        "40 times y = y + y: the grad of the leaf",
        forks,
        2.0**40,
        if_slow="there are 2 ** 40 paths, and each seems to be walked: visit each node "
        "once, in topological order.",
    )


def dot(trial: Trial, book: Book) -> None:
    """One node; the other side's numbers as slopes; floats stay floats."""
    Value, dot = book.value.Value, book.value.dot

    def with_slopes() -> Floats:
        xs, ys = [Value(1.0), Value(2.0)], [Value(3.0), Value(4.0)]
        result = dot(xs, ys)
        return [result.data, *slopes(result, xs + ys)]

    trial.case(
        "dot([1, 2], [3, 4]): [its number, slopes of the xs, slopes of the ys]",
        with_slopes,
        [11.0, 3.0, 4.0, 1.0, 2.0],
        (
            [11.0, 1.0, 2.0, 3.0, 4.0],
            "each number was given itself as its slope: that of each x is the y it is "
            "multiplied by.",
        ),
        (
            lambda came: came[0] == 5.5,
            "that is the mean of the products: a dot product is their sum.",
        ),
        ([11.0, 1.0, 1.0, 1.0, 1.0], "those are the slopes of a sum."),
        (
            lambda came: came[0] == 11.0 and not any(came[1:]),
            "the number is right, but no slopes came.",
        ),
        because="1 * 3 + 2 * 4 = 11",
    )
    trial.case(
        "dot([1.0, 2.0], [3.0, 4.0]) on plain floats",
        lambda: dot([1.0, 2.0], [3.0, 4.0]),
        11.0,
        (
            lambda came: isinstance(came, Value),
            "floats in must give a float out: no Value, no graph.",
        ),
        (AttributeError, "plain floats have no .data: they give a plain float."),
    )
    trial.case(
        "dot of 3 and 2 numbers",
        lambda: dot([Value(1.0)] * 3, [Value(1.0)] * 2),
        ValueError,
        (
            lambda came: came is not None,
            "lists of different lengths went through (zip, for one, stops at the "
            "shorter without a word): make them a ValueError.",
        ),
    )

    def n_nodes() -> int:
        xs = [Value(float(i)) for i in range(5)]
        return len(book.value.topological_order(dot(xs, xs)))

    trial.case(
        "how many nodes is the dot product of 5 and 5 numbers?",
        n_nodes,
        1,
        (
            lambda came: came > 1,
            "it is made of single operations: make one node, with all numbers as its "
            "inputs.",
        ),
    )

    def mixed() -> Floats:
        x, y = Value(1.0), Value(4.0)
        result = dot([x, 2.0], [3.0, y])
        return [result.data, *slopes(result, [x, y])]

    trial.case(
        "dot([Value(1), 2.0], [3.0, Value(4)]), mixed: [its number, slopes of the two]",
        mixed,
        [11.0, 3.0, 2.0],
        (
            AttributeError,
            "plain numbers may stand among the Values: _with_leaves makes leaves of "
            "them.",
        ),
    )
    trial.case(
        "dot of two generators of Values",
        lambda: (
            dot((Value(x) for x in (1.0, 2.0)), (Value(y) for y in (3.0, 4.0))).data
        ),
        11.0,
        (
            lambda came: came == 0.0,
            "a generator can be gone through only once: make tuples first.",
        ),
        (TypeError, "a generator has no length and no [0]: make tuples first."),
    )


def logsumexp(trial: Trial, book: Book) -> None:
    """Large numbers; shares as slopes; floats stay floats."""
    Value, logsumexp = book.value.Value, book.value.logsumexp
    log2, log3, log4 = math.log(2), math.log(3), math.log(4)
    too_large = (
        "exp of 1000 is too large for a float: subtract the maximum from all numbers "
        "first, and add it after the log."
    )
    trial.case(
        "logsumexp([1.0, 1.0 + log(3)])",
        lambda: logsumexp([1.0, 1.0 + log3]),
        1 + log4,
        (log4 - log3, "the maximum was subtracted, and not added again after the log."),
        (4 * math.e, "that is the sum of the exps: its log is missing."),
        (
            log4 - 2 * log3 - 1,
            "the maximum has to be added again, not subtracted twice.",
        ),
        (1 + log2, "that is the log of the mean: take the sum of the exps."),
        (1 + log3, "that is the maximum alone: add the log of the sum of the exps."),
        (
            lambda came: isinstance(came, Value),
            "floats in must give a float out: no Value, no graph.",
        ),
        because="log(e + 3 * e) = 1 + log(4)",
    )
    trial.case(
        "logsumexp([1000.0, 1000.0])",
        lambda: logsumexp([1000.0, 1000.0]),
        1000 + log2,
        (OverflowError, too_large),
        (math.inf, too_large),
    )
    trial.case(
        "logsumexp([-1000.0, -1000.0])",
        lambda: logsumexp([-1000.0, -1000.0]),
        log2 - 1000,
    )
    for numbers in ([0.0, 1000.0], [1000.0, 0.0]):
        trial.case(
            f"logsumexp({numbers})",
            lambda numbers=numbers: logsumexp(numbers),  # type: ignore[misc]
            1000.0,
            (
                OverflowError,
                "exp of a large number overflowed: it must be the largest that is "
                "subtracted, and no other number.",
            ),
        )

    def with_slopes() -> Floats:
        xs = [Value(0.0), Value(log3)]
        result = logsumexp(xs)
        return [result.data, *slopes(result, xs)]

    trial.case(
        "logsumexp([0, log(3)]): [its number, its slopes]",
        with_slopes,
        [math.log(4), 0.25, 0.75],
        ([math.log(4), 1.0, 3.0], "the slopes are not divided by the sum of the exps."),
        (
            [math.log(4), 1 / 3, 1.0],
            "the slopes are not divided by the sum of the exps: shares sum to 1.",
        ),
        ([math.log(4), 1.0, 1.0], "those are the slopes of a sum: see the shares."),
        (AttributeError, "no Value came, and so there is nothing to call backward on."),
        because="exps 1 and 3, so log(4), and shares of 1/4 and 3/4",
    )

    def mixed(value_first: bool) -> Floats:
        x = Value(0.0)
        result = logsumexp([x, 0.0] if value_first else [0.0, x])
        return [result.data, *slopes(result, [x])]

    for value_first, text in ((True, "Value(0), 0.0"), (False, "0.0, Value(0)")):
        trial.case(
            f"logsumexp([{text}]), mixed: [its number, the slope of the Value]",
            lambda value_first=value_first: mixed(value_first),  # type: ignore[misc]
            [log2, 0.5],
            (
                AttributeError,
                "plain numbers may stand among the Values: as_float reads them, and "
                "_with_leaves makes inputs of them.",
            ),
        )
    trial.case(
        "how many nodes is the logsumexp of 5 Values?",
        lambda: len(book.value.topological_order(logsumexp([Value(1.0)] * 5))),
        1,
        (lambda came: came > 1, "it is made of single operations: make one node."),
    )
    trial.case("logsumexp([])", lambda: logsumexp([]), ValueError)
