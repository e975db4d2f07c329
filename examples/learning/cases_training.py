"""The cases for adam.py, sampling.py and training.py."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

from learning.book import Book, Floats, same_to
from learning.trial import Trial

# The settings of the case: none is Adam's own default, nor what one would write first.
BETA1, BETA2, EPS = 0.8, 0.9, 0.3
WRONG_ADAM = {
    "no correction": "m and v are not corrected for their start at 0 (bias "
    "correction): after one step m is only 1 - beta1 of the gradient.",
    "m not corrected": "m is not corrected for its start at 0: divide by 1 - beta1**t.",
    "v not corrected": "v is not corrected for its start at 0: divide by 1 - beta2**t.",
    "correction1 for v": "v is corrected with beta1: its correction is 1 - beta2**t.",
    "correction times": "the corrections multiply: divide by them.",
    "uphill": "the step goes uphill: against the gradient means minus.",
    "no root": "the root is missing: m_hat is divided by sqrt(v_hat).",
    "descent": "the step is not divided by sqrt(v_hat).",
    "v of grad": "v is the mean of the squared gradients.",
    "t late": "self.t counts one too many.",
    "betas": "beta1 and beta2 are exchanged.",
    "beta1 for both": "v uses beta1: it has its own, beta2.",
    "beta2 for both": "m uses beta2: it has its own, beta1.",
    "usual betas": "beta1 and beta2 are self.beta1 and self.beta2, and not always 0.9 "
    "and 0.95.",
    "usual eps": "eps is self.eps, and not always 1e-8.",
    "eps in the root": "eps stands inside the root: it is sqrt(v_hat) + eps.",
    "no eps": "eps is missing: divide by sqrt(v_hat) + eps.",
    "no lr": "lr has no effect on the step.",
    "fixed lr": "lr is the one that step is given, and not always 0.1.",
    "forgets": "m and v were computed anew: keep them in self.m[i] and self.v[i].",
    "t fixed": "self.t does not grow from step to step.",
    "raw": "the gradient itself was divided by its usual size: take m_hat.",
    "sums": "m and v are running means: the old one counts beta, the new grad "
    "1 - beta.",
    "keeps corrected": "the corrected means were kept in self.m and self.v: keep them "
    "as they are before the correction.",
}
WRONG_DECAY = {
    "no decay": "weight_decay has no effect.",
    "l2": "the decay was added to the gradient: it acts on the weight itself.",
    "decay without lr": "the decay lacks lr: lr * weight_decay * data.",
    "decay plus": "the decay makes the weight larger: subtract it.",
    "decay last": "the decay came after the step: it takes its share of the weight "
    "before.",
}


def plain_adam(
    grads: Sequence[float], lr: float = 0.25, decay: float = 0.0, mistake: str = ""
) -> Floats:
    """Return a weight that begins at 1, after a step with each gradient."""
    w, m, v = 1.0, 0.0, 0.0
    beta1, beta2, eps = {
        "betas": (BETA2, BETA1, EPS),
        "beta1 for both": (BETA1, BETA1, EPS),
        "beta2 for both": (BETA2, BETA2, EPS),
        "usual betas": (0.9, 0.95, EPS),
        "usual eps": (BETA1, BETA2, 1e-8),
        "no eps": (BETA1, BETA2, 0.0),
    }.get(mistake, (BETA1, BETA2, EPS))
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
        share1, share2 = 1 - beta1**t_used, 1 - beta2**t_used
        if mistake == "correction1 for v":
            share2 = share1
        if mistake == "correction times":
            share1, share2 = 1 / share1, 1 / share2
        m_hat = m if mistake in ("no correction", "m not corrected") else m / share1
        v_hat = v if mistake in ("no correction", "v not corrected") else v / share2
        if mistake == "keeps corrected":
            m, v = m_hat, v_hat
        step_lr = {"fixed lr": 0.1, "no lr": 1.0}.get(mistake, lr)
        pull = decay if mistake == "decay without lr" else lr * decay
        if mistake not in ("l2", "no decay", "decay last"):
            w -= -pull * w if mistake == "decay plus" else pull * w
        root = v_hat if mistake == "no root" else math.sqrt(abs(v_hat))
        below = math.sqrt(v_hat + eps) if mistake == "eps in the root" else root + eps
        step = m_hat if mistake == "descent" else m_hat / below
        if mistake == "raw":
            step = grad / below
        w += step_lr * step if mistake == "uphill" else -step_lr * step
        if mistake == "decay last":
            w -= pull * w
        path.append(w)
    return path


def adam_step(trial: Trial, book: Book) -> None:
    """Bias correction, root, eps, direction, memory, decay, and clearing."""
    Value, Adam = book.value.Value, book.adam.Adam

    def path(grads: Sequence[float], decay: float = 0.0) -> Floats:
        w = Value(1.0)
        optimizer = Adam([w], BETA1, BETA2, EPS, weight_decay=decay)
        came = []
        for grad in grads:
            w.grad = grad
            optimizer.step(lr=0.25)
            came.append(w.data)
        return came

    # Numbers for which no two mistakes give the same.
    grads = [3.0, -1.0, 2.0]
    settings = f"beta1 = {BETA1}, beta2 = {BETA2}, eps = {EPS}, lr = 0.25"
    not_yet = "1 - beta ** 0 is 0: self.t has to be counted up before it is used."
    trial.case(
        f"a weight of 1, {settings}, gradients 3, -1, 2: the weight after each step",
        lambda: path(grads),
        plain_adam(grads),
        *[(plain_adam(grads, mistake=m), says) for m, says in WRONG_ADAM.items()],
        (ZeroDivisionError, not_yet),
        (UnboundLocalError, "an assignment makes a local variable: use self.t."),
        (
            [1.0, 1.0, 1.0],
            "the weight has not moved: change parameter.data, and read each gradient "
            "before you clear it.",
        ),
        because="at the first step m_hat is 3 and sqrt(v_hat) is 3, so 1 - 0.25 * 3 / "
        "3.3 = 0.773",
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

    def no_gradient_at_all() -> Floats:
        w, other = Value(1.0), Value(5.0)
        w.grad = 2.0
        Adam([w, other]).step(lr=0.1)
        return [w.data, other.data]

    trial.case(
        "two weights, 1 and 5, gradients 2 and 0: the weights after a step",
        no_gradient_at_all,
        [0.9, 5.0],
        (ZeroDivisionError, "0 / 0 for a weight without gradient: eps prevents that."),
        rel=1e-7,
    )

    def several(grads: Sequence[Floats]) -> list[Floats]:
        weights = [Value(1.0) for _ in grads]
        optimizer = Adam(weights, BETA1, BETA2, EPS)
        paths: list[Floats] = [[] for _ in grads]
        for step in range(len(grads[0])):
            for weight, own in zip(weights, grads):
                weight.grad = own[step]
            optimizer.step(lr=0.25)
            for weight, own_path in zip(weights, paths):
                own_path.append(weight.data)
        return paths

    def counted_for_each(grads: Sequence[Floats]) -> list[Floats]:
        """Return what comes if self.t is counted up at every parameter."""
        t, means = 0, [[0.0, 0.0, 1.0] for _ in grads]
        paths: list[Floats] = [[] for _ in grads]
        for step in range(len(grads[0])):
            for mean, own, own_path in zip(means, grads, paths):
                t += 1
                mean[0] = BETA1 * mean[0] + (1 - BETA1) * own[step]
                mean[1] = BETA2 * mean[1] + (1 - BETA2) * own[step] ** 2
                root = math.sqrt(mean[1] / (1 - BETA2**t))
                mean[2] -= 0.25 * mean[0] / (1 - BETA1**t) / (root + EPS)
                own_path.append(mean[2])
        return paths

    def with_shared_means(grads: Sequence[Floats]) -> list[Floats]:
        """Return what comes if all parameters share one m and one v."""
        m, v, weights = 0.0, 0.0, [1.0 for _ in grads]
        paths: list[Floats] = [[] for _ in grads]
        for step in range(len(grads[0])):
            for i, own in enumerate(grads):
                m = BETA1 * m + (1 - BETA1) * own[step]
                v = BETA2 * v + (1 - BETA2) * own[step] ** 2
                m_hat, v_hat = (
                    m / (1 - BETA1 ** (step + 1)),
                    v / (1 - BETA2 ** (step + 1)),
                )
                weights[i] -= 0.25 * m_hat / (math.sqrt(v_hat) + EPS)
                paths[i].append(weights[i])
        return paths

    three = [grads, [2.0, 0.0, -1.0], [-1.0, 1.0, 4.0]]
    trial.case(
        "three weights of 1, gradients 3 -1 2, 2 0 -1 and -1 1 4: each after each step",
        lambda: several(three),
        [plain_adam(own) for own in three],
        (
            counted_for_each(three),
            "self.t was counted up for every parameter: count it once in a step.",
        ),
        (
            with_shared_means(three),
            "the weights share one m and one v: each has its own.",
        ),
        rel=1e-9,
    )

    def cleared_in_all() -> Floats:
        weights = [Value(1.0) for _ in range(3)]
        for weight in weights:
            weight.grad = 2.0
        Adam(weights).step(lr=0.1)
        return [float(weight.grad) for weight in weights]

    trial.case(
        "three weights: their gradients after a step",
        cleared_in_all,
        [0.0, 0.0, 0.0],
        (lambda came: any(came), "not all of the gradients are cleared."),
    )
    trial.case(
        f"weight_decay = 0.5, {settings}, gradients 3, -1, 2: the weight after each "
        "step",
        lambda: path(grads, decay=0.5),
        plain_adam(grads, decay=0.5),
        *[
            (plain_adam(grads, decay=0.5, mistake=m), says)
            for m, says in WRONG_DECAY.items()
        ],
        because="each step first takes lr * 0.5 of the weight away",
    )


def token_probabilities(trial: Trial, book: Book) -> None:
    """Temperature, top_k, top_p, and what is refused."""
    probs_of = book.sampling.token_probabilities
    shares = (0.1, 0.4, 0.3, 0.2)
    logs = [math.log(p) for p in shares]

    def powers(t: float) -> Floats:
        raised = [p**t for p in shares]
        return [r / sum(raised) for r in raised]

    def kept(*places: int) -> Floats:
        """Return the shares at these places, scaled up to sum to 1, and 0 elsewhere."""
        kept_sum = sum(shares[i] for i in places)
        return [p / kept_sum if i in places else 0.0 for i, p in enumerate(shares)]

    trial.case(
        "logits log(0.1), log(0.4), log(0.3), log(0.2)",
        lambda: probs_of(logs),
        list(shares),
    )
    trial.case(
        "the same with temperature=0.5",
        lambda: probs_of(logs, temperature=0.5),
        powers(2),
        (powers(0.5), "the logits were multiplied by the temperature: divide them."),
        (list(shares), "the temperature has no effect: divide the logits by it."),
        (
            [2 * p for p in shares],
            "the probabilities were divided by the temperature: divide the logits, "
            "before exp.",
        ),
        because="each probability is squared, then scaled: 0.01, 0.16, 0.09, 0.04 of "
        "0.30",
    )
    trial.case(
        "the same with top_k=2",
        lambda: probs_of(logs, top_k=2),
        kept(1, 2),
        ([0.0, 0.4, 0.3, 0.0], "what is kept is not scaled up to sum to 1 again."),
        (kept(0, 1), "the first two token ids were kept: keep the likeliest two."),
        (list(shares), "top_k has no effect."),
        (kept(1), "one token too few was kept."),
        (kept(1, 2, 3), "one token too many was kept."),
        ([4 / 7, 3 / 7], "the others are missing: they stay in the list, with 0."),
        (
            [4 / 7, 3 / 7, 0.0, 0.0],
            "the probabilities stand in sorted order: each belongs at its token's id.",
        ),
        (kept(0, 3), "the unlikeliest were kept: sort from the likeliest down."),
        because="0.4 and 0.3 are kept, of together 0.7",
    )
    trial.case(
        "the same with top_k=9, more than there are",
        lambda: probs_of(logs, top_k=9),
        list(shares),
        (IndexError, "top_k may be more than there are tokens: then all are kept."),
    )
    trial.case(
        "logits 1, 1 and 0 with top_k=1: the probabilities, sorted",
        lambda: sorted(probs_of([1.0, 1.0, 0.0], top_k=1)),
        [0.0, 0.0, 1.0],
        (
            [0.0, 0.5, 0.5],
            "two tokens are equally likely, and both were kept: keep k tokens, not all "
            "above a limit.",
        ),
    )
    trial.case(
        "logits log(0.1), log(0.4), log(0.3), log(0.2) with top_p=0.6",
        lambda: probs_of(logs, top_p=0.6),
        kept(1, 2),
        (kept(1), "the token that reaches top_p is left out: it is kept too."),
        (list(shares), "top_p has no effect."),
        (kept(1, 2, 3), "one token too many was kept."),
        (
            kept(0, 1, 2),
            "the tokens were gone through by their ids: the likeliest first.",
        ),
        ([0.0, 0.4, 0.3, 0.0], "what is kept is not scaled up to sum to 1 again."),
        because="0.4 is not yet 0.6; with 0.3 it is enough",
    )
    trial.case(
        "four equal logits with top_p=0.5: the probabilities, sorted",
        lambda: sorted(probs_of([0.0] * 4, top_p=0.5)),
        [0.0, 0.0, 0.5, 0.5],
        (
            [0.0, 1 / 3, 1 / 3, 1 / 3],
            "two of four reach 0.5 exactly, and that is enough: >= in place of >.",
        ),
    )
    trial.case(
        "logits log(0.1), log(0.4), log(0.3), log(0.2) with top_p=1.0",
        lambda: probs_of(logs, top_p=1.0),
        list(shares),
        (ValueError, "top_p=1 is allowed: it keeps all."),
    )
    nothing = "no token was kept: the likeliest one always is."
    trial.case(
        "the same with top_p=0.1",
        lambda: probs_of(logs, top_p=0.1),
        [0.0, 1.0, 0.0, 0.0],
        ([0.0] * 4, nothing),
        (ZeroDivisionError, nothing),
        (IndexError, nothing),
    )
    trial.case(
        "the same with top_k=3, top_p=0.42",
        lambda: probs_of(logs, top_k=3, top_p=0.42),
        kept(1),
        (
            kept(1, 2),
            "top_p counts within what top_k has kept: 0.42 of 0.9 is 0.378, and 0.4 is "
            "more than that.",
        ),
        (kept(1, 2, 3), "top_p has no effect beside top_k."),
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
    ranges = {
        "temperature": "the temperature must be above 0",
        "top_k": "top_k must be 1 or more",
        "top_p": "top_p must be above 0, and at most 1",
    }
    for setting in (
        {"temperature": 0.0},
        {"temperature": -1.0},
        {"top_k": 0},
        {"top_p": 0.0},
        {"top_p": 1.5},
    ):
        text = ", ".join(f"{name}={number}" for name, number in setting.items())
        [name] = setting
        out_of_range = f"{ranges[name]}: make anything else a ValueError."
        trial.case(
            text,
            lambda setting=setting: probs_of(logs, **setting),  # type: ignore[misc]
            ValueError,
            (lambda came: True, out_of_range),
            (Exception, out_of_range),
        )
    for logit in (math.nan, math.inf, -math.inf):
        trial.case(
            f"a logit that is {logit}",
            lambda logit=logit: probs_of([logit, 0.0]),  # type: ignore[misc]
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

    # Texts that are long, and begin with different letters, show a mistake best.
    texts_of = {seed: right(seed, prompt="ab") for seed in range(1, 40)}
    seeds = [s for s, text in texts_of.items() if len(text) > 5 and len(set(text)) > 2]
    for seed in seeds[:4]:
        text = texts_of[seed]
        trial.case(
            f"a model of random numbers goes on from 'ab' (seed {seed})",
            lambda seed=seed: came(seed, prompt="ab"),  # type: ignore[misc]
            text,
            (text[2:], "the prompt itself is missing: return it with what follows."),
            ("ab" + right(seed), "the model was not given the prompt."),
            (text[:-1], "the last token is missing."),
            (text[:3], "only one token was written: go on to the end."),
            ("ab" + text[3:], "the first token after the prompt is missing."),
            ("ab" + text[:1:-1], "the letters stand the wrong way round."),
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

    def new(names: Sequence[str] = names, **settings: Any) -> Any:
        usual = {"steps": 6, "val_fraction": 0.0, "learning_rate": 0.02}
        config = training.TrainConfig(**{**usual, **settings})
        run, documents, _ = training.start(
            names, config, block_size=5, n_head=1, n_embd=4
        )
        return run, documents

    def losses(**settings: Any) -> Floats:
        run, documents = new(**settings)
        return list(training.train(run, documents))

    def reference(mistake: str = "", **settings: Any) -> Floats:
        run, documents = new(**settings)
        config, parameters = run.training, run.optimizer.parameters
        n, came = config.batch_size, []
        if mistake == "old gradients":
            for parameter in parameters:
                parameter.grad = 1000.0
        for step in range(config.steps):
            lr = config.learning_rate * (1 - step / config.steps)
            if mistake == "constant":
                lr = config.learning_rate
            if mistake == "rate late":
                lr = config.learning_rate * (1 - (step + 1) / config.steps)
            if mistake == "usual rate":
                lr = 0.01 * (1 - step / config.steps)
            step_loss = 0.0
            for i in range(n):
                place = {
                    "same": i,
                    "off by one": step * n + i + 1,
                    "overlap": step + i,
                    "first of batch": step * n,
                }.get(mistake, step * n + i)
                text = documents[place % len(documents)]
                tokens = run.tokenizer.encode_document(text)
                if mistake == "no BOS":
                    tokens = run.tokenizer.encode(text)
                if mistake == "cut":
                    tokens = run.tokenizer.encode_document(text[:4])
                if mistake == "cleared too often":
                    for parameter in parameters:
                        parameter.grad = 0.0
                loss = model.document_loss(run.params, run.config, tokens)
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
        "no BOS": "the model was not shown where a name begins and ends: tokens come "
        "from encode_document.",
        "usual rate": "the learning rate is training.learning_rate, and not always "
        "0.01.",
        "no backward": "the model does not learn: call backward on the loss, and then "
        "the optimizer's step.",
        "constant": "the learning rate stays as it is: it falls evenly, by "
        "1 - step / steps.",
        "rate late": "the learning rate is a step ahead: the first step has it whole.",
        "same": "each step takes the same documents: go on in the list.",
        "off by one": "a document is left out: step 0 begins with documents[0].",
    }
    right = reference()

    def began_with_another(came: Any) -> bool:
        run, documents = new()
        others = [
            model.document_loss(
                run.params, run.config, run.tokenizer.encode_document(text)
            ).data
            for text in documents[1:]
        ]
        return len(came) == 6 and any(same_to(came[:1], [loss]) for loss in others)

    trial.case(
        "six steps, one name each: the losses",
        losses,
        right,
        (
            began_with_another,
            "the first step took another document than documents[0]: go through the "
            "list in its order.",
        ),
        (right[:5], "the last step is missing: range(run.step, training.steps)."),
        (
            lambda c: len(c) == 7 and same_to(c[:6], right, 1e-9),
            "there is a step too many: range(run.step, training.steps).",
        ),
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
        more=lambda: [(reference(name), says) for name, says in sentences.items()],
    )
    batch = {
        "sum": "the gradients of a batch were added up: divide each loss by batch_size "
        "before backward.",
        "cleared too often": "the gradients of all but the last document were lost: "
        "set them to 0 once, before the batch.",
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
        (IndexError, "the list ends: begin again with i % len(documents)."),
        more=lambda: [
            (reference(name, batch_size=3), says) for name, says in batch.items()
        ],
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

    few: dict[str, Any] = {"names": ["ann", "bob", "cy"]}
    trial.case(
        "six steps, one name each, and only three names: the losses",
        lambda: losses(**few),
        reference(**few),
        (
            reference(**few)[:3],
            "it stopped at the end of the list: begin again with i % len(documents).",
        ),
        (IndexError, "the list ends: begin again with i % len(documents)."),
    )
    long: dict[str, Any] = {"names": ["abcde", "bcdefg", "ab"], "steps": 3}
    trial.case(
        "three steps with block_size 5, names of 5, 6 and 2 letters: the losses",
        lambda: losses(**long),
        reference(**long),
        (
            reference("cut", **long),
            "names were cut too short: the model is asked for block_size letters.",
        ),
    )

    def in_two_goes() -> list[Floats]:
        run, documents = new()
        turns = training.train(run, documents)
        next(turns), next(turns)
        turns.close()
        rest = list(training.train(run, documents))
        return [rest, list(run.losses)]

    whole = right
    trial.case(
        "two steps, and then a second call: [its losses, run.losses]",
        in_two_goes,
        [whole[2:], whole],
        (
            lambda c: c[1] == [],
            "the losses are not kept: append each to run.losses, before the yield.",
        ),
        (
            lambda c: len(c[0]) == 6,
            "the second call began at step 0 again: go on at run.step.",
        ),
        (
            lambda c: len(c[0]) == 5,
            "the loss of the step before the stop was lost: append it to run.losses "
            "before the yield, not after it.",
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
            reference("old gradients", steps=2),
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
