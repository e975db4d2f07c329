"""The cases for adam.py, sampling.py and training.py."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

from learning.book import Book, Floats
from learning.trial import Trial


def plain_adam(
    grads: Sequence[float], lr: float = 0.1, decay: float = 0.0, mistake: str = ""
) -> Floats:
    """Return a weight that begins at 1, after a step with each gradient."""
    w, m, v = 1.0, 0.0, 0.0
    beta1, beta2, eps = 0.9, 0.95, 1e-8
    if mistake == "betas":
        beta1, beta2 = beta2, beta1
    path = []
    for t, grad in enumerate(grads, start=1):
        if mistake == "l2":
            grad += decay * w
        old_m, old_v = (0.0, 0.0) if mistake == "forgets" else (m, v)
        m = beta1 * old_m + (1 - beta1) * grad
        v = beta2 * old_v + (1 - beta2) * (grad if mistake == "v of grad" else grad**2)
        if mistake == "sums":
            m, v = old_m + grad, old_v + grad**2
        t_used = {"t late": t + 1, "t fixed": 1}.get(mistake, t)
        corrected = mistake != "no correction"
        m_hat = m / (1 - beta1**t_used) if corrected else m
        v_hat = v / (1 - beta2**t_used) if corrected else v
        if mistake not in ("l2", "no decay"):
            w -= lr * decay * w
        root = v_hat if mistake == "no root" else math.sqrt(abs(v_hat))
        step = m_hat if mistake == "descent" else m_hat / (root + eps)
        if mistake == "raw":
            step = grad / (root + eps)
        w += lr * step if mistake == "uphill" else -lr * step
        path.append(w)
    return path


def adam_step(trial: Trial, book: Book) -> None:
    """Bias correction, root, direction, memory, decay, and clearing."""
    Value, Adam = book.value.Value, book.adam.Adam

    def path(grads: Sequence[float], decay: float = 0.0) -> Floats:
        w = Value(1.0)
        optimizer = Adam([w], weight_decay=decay)
        came = []
        for grad in grads:
            w.grad = grad
            optimizer.step(lr=0.1)
            came.append(w.data)
        return came

    grads = [2.0, -1.0, 3.0]
    sentences = {
        "no correction": "m and v are not corrected for their start at 0 (bias "
        "correction): after one step m is only a tenth of the gradient.",
        "uphill": "the step goes uphill: against the gradient means minus.",
        "no root": "the root is missing: m_hat is divided by sqrt(v_hat).",
        "descent": "the step is not divided by sqrt(v_hat).",
        "v of grad": "v is the mean of the squared gradients.",
        "t late": "self.t counts one too many.",
        "betas": "beta1 and beta2 are exchanged.",
    }
    trial.case(
        "a weight of 1, one step with gradient 2 and lr = 0.1",
        lambda: path(grads[:1]),
        [0.9],
        *[(plain_adam(grads[:1], mistake=m), says) for m, says in sentences.items()],
        (
            ZeroDivisionError,
            "1 - beta ** 0 is 0: self.t has to be counted up before it is used.",
        ),
        (UnboundLocalError, "an assignment makes a local variable: use self.t."),
        ([1.0], "the weight has not moved: change parameter.data."),
        because="at the first step m_hat is 2 and sqrt(v_hat) is 2, so lr * 1",
        rel=1e-7,
    )
    more = {
        **sentences,
        "forgets": "m and v were computed anew: keep them in self.m[i] and self.v[i].",
        "t fixed": "self.t does not grow from step to step.",
        "raw": "the gradient itself was divided by its usual size: take m_hat.",
        "sums": "m and v are running means: the old one counts beta, the new grad "
        "1 - beta.",
    }
    trial.case(
        "three steps, with gradients 2, -1, 3: the weight after each",
        lambda: path(grads),
        plain_adam(grads),
        *[(plain_adam(grads, mistake=m), says) for m, says in more.items()],
        rel=1e-9,
    )

    def cleared() -> float:
        w = Value(1.0)
        w.grad = 2.0
        Adam([w]).step(lr=0.1)
        return float(w.grad)

    trial.case(
        "the gradient after a step",
        cleared,
        0.0,
        (2.0, "the gradient is not cleared: the next backward() would add to it."),
    )

    def without_gradient() -> Floats:
        w, other = Value(1.0), Value(5.0)
        w.grad = 2.0
        Adam([w, other]).step(lr=0.1)
        return [w.data, other.data]

    trial.case(
        "two weights, 1 and 5, gradients 2 and 0: the weights after a step",
        without_gradient,
        [0.9, 5.0],
        (ZeroDivisionError, "0 / 0 for a weight without gradient: eps prevents that."),
        (
            lambda came: came[1] == 4.9,
            "both weights share one m and one v: each has its own.",
        ),
        rel=1e-7,
    )
    trial.case(
        "weight_decay = 0.5, gradients 2, -1, 3: the weight after each step",
        lambda: path(grads, decay=0.5),
        plain_adam(grads, decay=0.5),
        (plain_adam(grads, mistake="no decay"), "weight_decay has no effect."),
        (
            plain_adam(grads, decay=0.5, mistake="l2"),
            "the decay was added to the gradient: it acts on the weight itself.",
        ),
        because="each step first takes lr * 0.5 of the weight away",
    )


def token_probabilities(trial: Trial, book: Book) -> None:
    """Temperature, top_k, top_p, and what is refused."""
    probs_of = book.sampling.token_probabilities
    logs = [math.log(p) for p in (0.2, 0.5, 0.3)]

    def powers(t: float) -> Floats:
        raised = [p**t for p in (0.2, 0.5, 0.3)]
        return [r / sum(raised) for r in raised]

    trial.case(
        "logits log(0.2), log(0.5), log(0.3)",
        lambda: probs_of(logs),
        [0.2, 0.5, 0.3],
    )
    trial.case(
        "the same with temperature=0.5",
        lambda: probs_of(logs, temperature=0.5),
        powers(2),
        (powers(0.5), "the logits were multiplied by the temperature: divide them."),
        ([0.2, 0.5, 0.3], "the temperature has no effect: divide the logits by it."),
        (
            [0.4, 1.0, 0.6],
            "the probabilities were divided by the temperature: divide the logits, "
            "before exp.",
        ),
        because="each probability is squared, then scaled: 0.04, 0.25, 0.09 of 0.38",
    )
    trial.case(
        "the same with top_k=2",
        lambda: probs_of(logs, top_k=2),
        [0.0, 0.625, 0.375],
        ([0.0, 0.5, 0.3], "what is kept is not scaled up to sum to 1 again."),
        (
            [0.2 / 0.7, 0.5 / 0.7, 0.0],
            "the first two token ids were kept: keep the likeliest two.",
        ),
        ([0.2, 0.5, 0.3], "top_k has no effect."),
        ([0.0, 1.0, 0.0], "one token too few was kept."),
        ([0.625, 0.375], "the others are missing: they stay in the list, with 0."),
        (
            lambda came: len(came) == 3 and came[1] == 0.0,
            "the unlikeliest were kept: sort from the likeliest down.",
        ),
        because="0.5 and 0.3 are kept, of together 0.8",
    )
    trial.case(
        "the same with top_p=0.6",
        lambda: probs_of(logs, top_p=0.6),
        [0.0, 0.625, 0.375],
        (
            [0.0, 1.0, 0.0],
            "the token that reaches top_p is left out: it is kept too.",
        ),
        ([0.2, 0.5, 0.3], "top_p has no effect, or one token too many was kept."),
        ([0.0, 0.5, 0.3], "what is kept is not scaled up to sum to 1 again."),
        because="0.5 is not yet 0.6; with 0.3 it is enough",
    )
    nothing = "no token was kept: the likeliest one always is."
    trial.case(
        "the same with top_p=0.1",
        lambda: probs_of(logs, top_p=0.1),
        [0.0, 1.0, 0.0],
        ([0.0, 0.0, 0.0], nothing),
        (ZeroDivisionError, nothing),
        (IndexError, nothing),
    )
    four = [math.log(p) for p in (0.4, 0.3, 0.2, 0.1)]
    trial.case(
        "logits log(0.4), log(0.3), log(0.2), log(0.1) with top_k=2, top_p=0.5",
        lambda: probs_of(four, top_k=2, top_p=0.5),
        [1.0, 0.0, 0.0, 0.0],
        (
            [0.4 / 0.7, 0.3 / 0.7, 0.0, 0.0],
            "top_p counts within what top_k has kept: 0.4 of 0.7 is more than half.",
        ),
    )
    trial.case(
        "logits 1000 and 1000",
        lambda: probs_of([1000.0, 1000.0]),
        [0.5, 0.5],
        (OverflowError, "exp of 1000 is too large: subtract the largest logit first."),
    )
    trial.case(
        "logits 1 and 0 with temperature=1e-6",
        lambda: probs_of([1.0, 0.0], temperature=1e-6),
        [1.0, 0.0],
        (OverflowError, "subtract the largest logit first, then divide."),
    )
    for setting in (
        {"temperature": 0.0},
        {"temperature": math.inf},
        {"top_k": 0},
        {"top_p": 0.0},
        {"top_p": 1.5},
    ):
        text = ", ".join(f"{name}={number}" for name, number in setting.items())
        trial.case(
            text,
            lambda setting=setting: probs_of(logs, **setting),  # type: ignore[misc]
            ValueError,
            (lambda came: True, "a setting out of its range is a ValueError."),
            (ZeroDivisionError, "a setting out of its range is a ValueError."),
        )
    trial.case(
        "a logit that is nan",
        lambda: probs_of([math.nan, 0.0]),
        ValueError,
        (lambda came: True, "a logit that is not finite is a ValueError."),
    )


def generate(trial: Trial, book: Book) -> None:
    """The prompt, the settings, the text."""
    model, sampling = book.model, book.sampling
    tokenizer = book.tokenizer.CharTokenizer("abcd")
    config = model.GPTConfig(5, block_size=8, n_layer=1, n_head=1, n_embd=4)
    params = model.as_floats(model.init_params(config, random.Random(8)))
    for matrix in params.values():
        for row in matrix:
            row[:] = [30 * weight for weight in row]

    def right(seed: int, **settings: Any) -> str:
        pairs = sampling.next_tokens(
            params, config, tokenizer, random.Random(seed), **settings
        )
        return str(
            settings.get("prompt", "") + tokenizer.decode([token for token, _ in pairs])
        )

    def came(seed: int, **settings: Any) -> Any:
        rng = random.Random(seed)
        return sampling.generate(params, config, tokenizer, rng, **settings)

    for seed in range(1, 5):
        text = right(seed, prompt="ab")
        trial.case(
            f"a model of random numbers goes on from 'ab' (seed {seed})",
            lambda seed=seed: came(seed, prompt="ab"),  # type: ignore[misc]
            text,
            (text[2:], "the prompt itself is missing: return it with what follows."),
            ("ab" + right(seed), "the model was not given the prompt."),
            (text[:-1], "the last token is missing."),
            (
                lambda c: isinstance(c, list),
                "a list came: tokenizer.decode makes a text of ids.",
            ),
            (
                TypeError,
                "next_tokens yields pairs (token id, probabilities): only the ids are "
                "decoded.",
            ),
            of="generate",
        )
    for name, setting in (("temperature", 0.2), ("top_k", 1), ("top_p", 0.3)):
        texts = [right(seed, **{name: setting}) for seed in range(6)]
        without = [right(seed) for seed in range(6)]
        trial.case(
            f"six texts with {name}={setting}",
            lambda name=name, setting=setting: [  # type: ignore[misc]
                came(seed, **{name: setting}) for seed in range(6)
            ],
            texts,
            (without, f"{name} is not passed on to next_tokens."),
        )


def train(trial: Trial, book: Book) -> None:
    """Rate, batches, order, clearing, clipping, going on, and what is refused."""
    training, model, adam = book.training, book.model, book.adam
    names = ["ann", "bob", "cy", "dan", "eve", "flo", "gus"]

    def new(**settings: Any) -> Any:
        config = training.TrainConfig(**{"steps": 6, "val_fraction": 0.0, **settings})
        run, documents, _ = training.start(names, config, n_head=1, n_embd=4)
        return run, documents

    def losses(**settings: Any) -> Floats:
        run, documents = new(**settings)
        return list(training.train(run, documents))

    def reference(mistake: str = "", **settings: Any) -> Floats:
        run, documents = new(**settings)
        config, parameters = run.training, run.optimizer.parameters
        n, came = config.batch_size, []
        for step in range(config.steps):
            lr = config.learning_rate * (1 - step / config.steps)
            if mistake == "constant":
                lr = config.learning_rate
            if mistake == "rate late":
                lr = config.learning_rate * (1 - (step + 1) / config.steps)
            step_loss = 0.0
            for i in range(n):
                place = {
                    "same": i,
                    "off by one": step * n + i + 1,
                    "overlap": step + i,
                    "first of batch": step * n,
                }.get(mistake, step * n + i)
                text = documents[place % len(documents)]
                loss = model.document_loss(
                    run.params, run.config, run.tokenizer.encode_document(text)
                )
                if mistake != "no backward":
                    (loss if mistake == "sum" else loss / n).backward()
                if mistake == "each":
                    run.optimizer.step(lr)
                step_loss += loss.data / n
                if mistake == "last loss":
                    step_loss = loss.data
            if mistake == "loss sum":
                step_loss *= n
            if config.grad_clip and mistake != "no clip":
                adam.clip_grad_norm(parameters, config.grad_clip)
            if mistake != "each":
                run.optimizer.step(lr)
            came.append(step_loss)
        return came

    sentences = {
        "no backward": "the model does not learn: call backward on the loss, and then "
        "the optimizer's step.",
        "constant": "the learning rate stays as it is: it falls evenly, by "
        "1 - step / steps.",
        "rate late": "the learning rate is a step ahead: the first step has it whole.",
        "same": "each step takes the same documents: go on in the list.",
        "off by one": "a document is left out: step 0 begins with documents[0].",
    }
    trial.case(
        "six steps, one name each: the losses",
        losses,
        reference(),
        *[(reference(mistake), says) for mistake, says in sentences.items()],
        (
            [],
            "no step was taken: from run.step to training.steps, yield each loss.",
        ),
        (TypeError, "train is a generator: yield the loss of each step."),
        (
            lambda c: len(c) == 6 and all(type(x) is not float for x in c),
            "yield plain numbers (loss.data), and not Values.",
        ),
        if_slow="the loop does not end: it goes to training.steps.",
    )
    batch = {
        "sum": "the gradients of a batch were added up: divide each loss by batch_size "
        "before backward.",
        "each": "the optimizer took a step after each document: one for each batch.",
        "overlap": "batches overlap: step number step begins at step * batch_size.",
        "first of batch": "each batch holds one document several times.",
        "loss sum": "the loss of a step is the mean over its documents, not the sum.",
        "last loss": "the loss of a step is the mean over all its documents.",
        **sentences,
    }
    trial.case(
        "six steps, three names each: the losses",
        lambda: losses(batch_size=3),
        reference(batch_size=3),
        *[(reference(m, batch_size=3), says) for m, says in batch.items()],
        (IndexError, "the list ends: begin again with i % len(documents)."),
    )
    trial.case(
        "three steps, three names each, grad_clip=0.01: the losses",
        lambda: losses(batch_size=3, steps=3, grad_clip=0.01),
        reference(batch_size=3, steps=3, grad_clip=0.01),
        (
            reference("no clip", batch_size=3, steps=3, grad_clip=0.01),
            "the gradients are not clipped: clip_grad_norm, before the step.",
        ),
        rel=1e-12,
    )

    def in_two_goes() -> list[Floats]:
        run, documents = new()
        turns = training.train(run, documents)
        next(turns), next(turns)
        turns.close()
        rest = list(training.train(run, documents))
        return [rest, list(run.losses)]

    whole = reference()
    trial.case(
        "two steps, and then a second call: [its losses, run.losses]",
        in_two_goes,
        [whole[2:], whole],
        (
            lambda c: c[1] == [] or len(c[1]) < 6,
            "the losses are not kept: append each to run.losses, before the yield.",
        ),
        (
            lambda c: len(c[0]) == 6,
            "the second call began at step 0 again: go on at run.step.",
        ),
    )

    def with_old_gradients() -> Floats:
        run, documents = new(steps=2)
        for parameter in run.optimizer.parameters:
            parameter.grad = 1000.0
        return list(training.train(run, documents))

    trial.case(
        "two steps, where a step that was stopped has left gradients",
        with_old_gradients,
        reference(steps=2),
        (
            lambda came: len(came) == 2,
            "old gradients were added to: set every grad to 0 when a step begins.",
        ),
    )
    trial.case(
        "train on no documents",
        lambda: list(training.train(new()[0], [])),
        ValueError,
        (ZeroDivisionError, "no documents: make it a ValueError."),
        (IndexError, "no documents: make it a ValueError."),
    )

    def not_finite() -> list[Any]:
        run, documents = new()
        run.params["wte"][0][0].data = math.nan
        kept = run.params["lm_head"][0][0].data
        try:
            list(training.train(run, documents))
            error = "no error"
        except FloatingPointError:
            error = "FloatingPointError"
        return [error, run.params["lm_head"][0][0].data == kept]

    trial.case(
        "a loss that is nan: [the error, are the parameters as they were?]",
        not_finite,
        ["FloatingPointError", True],
        (
            lambda came: came[0] == "no error",
            "a loss that is not finite has to stop training: FloatingPointError.",
        ),
        (
            ["FloatingPointError", False],
            "stop before the step changes a parameter.",
        ),
    )
