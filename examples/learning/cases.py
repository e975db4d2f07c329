"""The cases for each piece: small, with numbers that a person can follow.

Each case says what is called, what should come, and what famous mistakes would give in
its place, with a sentence that names the mistake. Where a wrong result is too long to
be worked out by hand, a small reference with the mistake built in computes it.
"""

from __future__ import annotations

from collections.abc import Callable

from learning import cases_engine as engine
from learning import cases_model as model
from learning import cases_training as training
from learning.book import Book
from learning.trial import Trial

CASES: dict[str, Callable[[Trial, Book], None]] = {
    "operations": engine.operations,
    "topological_order": engine.topological_order,
    "backward": engine.backward,
    "dot": engine.dot,
    "logsumexp": engine.logsumexp,
    "tokenizer": model.tokenizer,
    "linear": model.linear,
    "softmax": model.softmax,
    "rmsnorm": model.rmsnorm,
    "cross_entropy": model.cross_entropy,
    "attention": model.attention,
    "mlp": model.mlp,
    "gpt": model.gpt,
    "document_loss": model.document_loss,
    "Adam.step": training.adam_step,
    "token_probabilities": training.token_probabilities,
    "generate": training.generate,
    "train": training.train,
}
