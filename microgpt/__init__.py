"""A GPT in plain Python, to run, to step through and to read.

The files in reading order: value, tokenizer, data, gpt, adam, checkpoint, draw, sample,
train. Each imports only from those before it. These are their public names. (The name
microgpt.gpt is the function; `from microgpt.gpt import …` still reaches its file.)
"""

from typing import TYPE_CHECKING, Any

from microgpt.adam import Adam, clip_grad_norm
from microgpt.checkpoint import Run, TrainConfig, load_checkpoint, save_checkpoint
from microgpt.data import read_documents, split_documents
from microgpt.draw import bars, graph_svg, graph_text, line_chart
from microgpt.gpt import (
    GPTConfig,
    cross_entropy,
    document_loss,
    flatten,
    gpt,
    init_params,
    linear,
    rmsnorm,
    softmax,
)
from microgpt.tokenizer import CharTokenizer
from microgpt.value import Value, dot, logsumexp, topological_order, total

if TYPE_CHECKING:
    from microgpt.sample import generate, token_probabilities

# fmt: off
__all__ = [  # in reading order
    "Value", "dot", "total", "logsumexp", "topological_order",
    "CharTokenizer", "read_documents", "split_documents",
    "GPTConfig", "init_params", "flatten", "linear", "softmax", "rmsnorm",
    "cross_entropy", "gpt", "document_loss", "Adam", "clip_grad_norm",
    "Run", "TrainConfig", "save_checkpoint", "load_checkpoint",
    "bars", "line_chart", "graph_text", "graph_svg", "token_probabilities", "generate",
]
# fmt: on


def __getattr__(name: str) -> Any:
    # sample.py is a command too. Imported above, `python -m microgpt.sample` would find
    # itself imported already, and run a second copy of it.
    if name in ("generate", "token_probabilities"):
        from microgpt import sample

        return getattr(sample, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
