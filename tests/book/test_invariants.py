"""What holds for the book as a whole: the promises of the design that are its own.

That a file is replaced whole, and that bad input is one line, is for the commands; it
is tested in tests/tools and tests/commands.
"""

from __future__ import annotations

import ast
import gc
import importlib.util
import math
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from microgpt.adam import Adam
from microgpt.model import (
    GPTConfig,
    as_floats,
    document_loss,
    empty_cache,
    flatten,
    gpt,
    init_params,
    token_losses,
)
from microgpt.value import Value, as_float, dot, exp, logsumexp, relu, total
from tests.helpers import NAMES, ROOT, contents, environment, small_run, take_steps

frees_by_reference_counts = pytest.mark.skipif(
    sys.implementation.name != "cpython", reason="frees by reference counts only there"
)

# The book in reading order: a file uses only what stands before it.
BOOK = [
    "value",
    "tokenizer",
    "data",
    "model",
    "adam",
    "training",
    "sampling",
    "evaluation",
]


# 1. The standard library is all there is, and imports go one way.


def imported_by(path):
    """Return the names of all modules that are imported anywhere in a file."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            found.append(node.module)
    return found


def is_in_the_standard_library(name):
    if hasattr(sys, "stdlib_module_names"):  # from Python 3.10 on
        return name in sys.stdlib_module_names
    if name in sys.builtin_module_names or name == "msvcrt":  # that one is Windows'
        return True
    # Found and not imported: PyPy has a tracemalloc, but not what that imports.
    return "site-packages" not in str(importlib.util.find_spec(name).origin)


def test_the_package_and_the_examples_import_the_standard_library_alone():
    files = [*ROOT.glob("microgpt/**/*.py"), *ROOT.glob("examples/**/*.py")]
    files = [path for path in files if "pytorch" not in path.parts]
    ours = {"microgpt"}
    for path in files:  # helpers of the examples, by file or by folder
        ours |= {path.stem, path.parent.name}
    foreign = set()
    for path in files:
        names = {name.partition(".")[0] for name in imported_by(path)} - ours
        foreign |= {(path.name, n) for n in names if not is_in_the_standard_library(n)}
    assert len(files) > 20
    assert foreign == set()


@pytest.mark.parametrize("name", BOOK)
def test_a_file_of_the_book_imports_only_files_that_come_before_it(name):
    before = {f"microgpt.{earlier}" for earlier in BOOK[: BOOK.index(name)]}
    imported = imported_by(ROOT / "microgpt" / f"{name}.py")
    assert {module for module in imported if module.startswith("microgpt")} <= before


# 2. The same seed gives the same numbers. (The recorded run is in test_golden.py.)

PROBE = """
from microgpt.training import start, train
from microgpt.sampling import generate
run, documents, _ = start({names!r}, n_embd=8)
losses = train(run, documents)
print([next(losses).hex() for _ in range(3)])
print(generate(run.params, run.config, run.tokenizer, run.rng))
"""


def test_another_process_with_other_hashes_computes_the_same_bits():
    # A set of characters has another order in each process; sorted, it has not.
    outputs = set()
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", PROBE.format(names=NAMES)],
            env=environment(PYTHONHASHSEED=hash_seed),
            stdout=subprocess.PIPE,
            check=True,
        )
        outputs.add(done.stdout)
    assert len(outputs) == 1
    assert outputs.pop().count(b"0x1.") == 3


# 3. A later token never changes an earlier logit.


def test_no_future_changes_a_logit_and_the_last_past_token_changes_them_all():
    config = GPTConfig(vocab_size=27, n_layer=2)
    params = init_params(config, random.Random(1))
    rng = random.Random(2)
    for weight in flatten(params):
        weight.data = rng.gauss(0, 0.3)
    numbers = as_floats(params)

    def logits_of(tokens):
        caches = empty_cache(config)
        pairs = enumerate(tokens)
        return [gpt(numbers, config, token, pos_id, *caches) for pos_id, token in pairs]

    tokens = [0, 5, 13, 13, 1, 7, 26, 3]
    logits = logits_of(tokens)
    for changed in range(1, len(tokens)):
        other = [*tokens[:changed], (tokens[changed] + 9) % 27, 4, 4, 4, 4, 4, 4]
        other_logits = logits_of(other[: len(tokens)])
        assert other_logits[:changed] == logits[:changed]
        assert not set(other_logits[changed]) & set(logits[changed])
        assert logits_of(tokens[:changed]) == logits[:changed]


# 4. Every gradient agrees with central differences, in any calculation.


CALCULATIONS = [
    lambda a, b, c, number: a + b,
    lambda a, b, c, number: number - a,
    lambda a, b, c, number: a * b * 0.5,
    lambda a, b, c, number: a / (b * b + 1),
    lambda a, b, c, number: number / (a * a + 2),
    lambda a, b, c, number: relu(a) * b,
    lambda a, b, c, number: exp(a * 0.1),
    lambda a, b, c, number: (a * a + 1) ** -0.5,
    lambda a, b, c, number: (a * a + 1) ** (b * 0.1),
    lambda a, b, c, number: 2 ** (a * 0.1),
    lambda a, b, c, number: -a,
    lambda a, b, c, number: dot([a, b, number], [c, 1.5, a]),
    lambda a, b, c, number: total([number, a, b, a]),
    lambda a, b, c, number: logsumexp([a, number, b]),
]


def some_calculation(rng, leaves):
    """Calculate something of the leaves, the same on Values as on floats."""
    nodes = list(leaves)
    for _ in range(12):
        a, b, c = rng.choice(nodes), rng.choice(nodes), rng.choice(nodes)
        node = rng.choice(CALCULATIONS)(a, b, c, rng.choice([-2, 0.5, 3]))
        # So that nothing grows out of sight. (At exactly 2 some of them have a corner.)
        if abs(as_float(node)) > 2.3456:
            node = node * 0.25
        nodes.append(node)
    return total(nodes)


@pytest.mark.parametrize("seed", range(30))
def test_the_gradients_of_any_calculation_agree_with_central_differences(seed):
    rng = random.Random(100 + seed)
    numbers = [rng.uniform(-2, 2) for _ in range(4)]
    leaves = [Value(number) for number in numbers]
    result = some_calculation(random.Random(seed), leaves)
    result.backward()
    on_floats = some_calculation(random.Random(seed), numbers)
    assert result.data == pytest.approx(on_floats, rel=1e-13)
    h = 1e-6
    for i, leaf in enumerate(leaves):
        above, below = list(numbers), list(numbers)
        above[i] += h
        below[i] -= h
        difference = some_calculation(random.Random(seed), above)
        difference -= some_calculation(random.Random(seed), below)
        assert leaf.grad == pytest.approx(difference / (2 * h), rel=1e-6, abs=1e-6)


# 5. `del loss` frees the whole graph with the garbage collector off.


@frees_by_reference_counts
def test_the_graph_of_a_document_is_freed_with_its_loss():
    def values_alive():
        return sum(isinstance(thing, Value) for thing in gc.get_objects())

    config = GPTConfig(vocab_size=27)
    params = init_params(config, random.Random(0))
    adam = Adam(flatten(params))
    gc.collect()
    gc.disable()
    try:
        before = values_alive()
        for _ in range(3):
            loss = document_loss(params, config, [0, 5, 13, 13, 1, 0])
            loss.backward()
            adam.step(lr=0.01)
            # 449 + 20 * t nodes for each of 5 tokens, and 2 for the mean (they are
            # counted in test_model.py). Leaves: 2 in each of 3 norms a token, one for
            # each score of 4 heads, which are 1 + 2 + 3 + 4 + 5 a head, and 1 / n.
            n_nodes = 5 * 449 + 20 * (0 + 1 + 2 + 3 + 4) + 2
            n_leaves = 5 * 3 * 2 + 4 * (1 + 2 + 3 + 4 + 5) + 1
            assert values_alive() - before == n_nodes + n_leaves == 2538
            del loss
            assert values_alive() - before == 0
    finally:
        gc.enable()


# 6. Memory does not grow over steps. (That no graph is alive between two of them is
# tested in test_training.py, and that calls do not nest deeper with the model in
# test_model.py.)


@pytest.mark.slow
@frees_by_reference_counts
def test_the_memory_of_the_process_stays_flat_over_steps():
    status = Path("/proc/self/statm")
    if not status.exists():
        pytest.skip("there is no /proc to ask")

    def megabytes():
        return int(status.read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20

    run, documents, _ = small_run(sizes={"n_embd": 8}, steps=10**6)
    take_steps(run, documents, 20)
    before = megabytes()
    take_steps(run, documents, 100)
    # One graph is about 1 MB: were they kept, this would be 100.
    assert megabytes() - before < 5


# 7. N steps and then M are N + M steps. (Saved and loaded in between, it is tested in
# tests/tools; stopped by Ctrl-C, in test_training.py.)


@pytest.mark.parametrize("stops", [[1], [11], [4, 3], [2, 2, 2, 2]])
def test_a_run_taken_up_again_ends_as_one_that_was_never_left(stops):
    settings = {"steps": 12, "batch_size": 2, "weight_decay": 0.1, "grad_clip": 0.5}
    whole, documents, _ = small_run(take=12, **settings)
    run, _, _ = small_run(**settings)
    for n_steps in [*stops, 12]:
        take_steps(run, documents, n_steps)
    assert run.step == 12
    assert repr(contents(run)) == repr(contents(whole))


def test_measuring_on_floats_is_the_loss_on_values_to_the_bit():
    run, documents, _ = small_run(take=5)
    numbers = as_floats(run.params)
    for document in documents:
        tokens = run.tokenizer.encode_document(document)
        losses = token_losses(numbers, run.config, tokens)
        mean = total(losses) * (1 / len(losses))
        assert mean == document_loss(run.params, run.config, tokens).data
        assert math.isfinite(mean)
