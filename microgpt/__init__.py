"""A GPT in plain Python, to run, to read, to look into and to build again.

The book is eight files, in this order: value, tokenizer, data, model, adam, training,
sampling, evaluation. Each uses only what stands before it. The folder tools/ holds what
the commands need besides, and a reader may skip.

All public names of the book can be imported from here, but for `train`, which would
hide the command of that name: `from microgpt.training import train`.
"""

from microgpt.adam import Adam, clip_grad_norm
from microgpt.data import read_documents, read_windows, split_documents
from microgpt.evaluation import bigram_loss, held_out_loss, perplexity, smooth
from microgpt.model import (
    GPTConfig,
    add,
    as_floats,
    attention,
    cross_entropy,
    document_loss,
    empty_cache,
    flatten,
    gpt,
    init_params,
    linear,
    mlp,
    param_shapes,
    rmsnorm,
    softmax,
    token_losses,
)
from microgpt.sampling import generate, likeliest, next_tokens, token_probabilities
from microgpt.tokenizer import CharTokenizer
from microgpt.tools.checkpoint import load_checkpoint, save_checkpoint
from microgpt.training import Run, TrainConfig, shuffle_and_split, start
from microgpt.value import (
    Value,
    as_float,
    dot,
    exp,
    logsumexp,
    relu,
    topological_order,
    total,
)

__version__ = "2.0.0"

# fmt: off
__all__ = [  # in reading order
    "Value", "dot", "total", "logsumexp", "exp", "relu", "as_float",
    "topological_order",
    "CharTokenizer", "read_documents", "read_windows", "split_documents",
    "GPTConfig", "param_shapes", "init_params", "flatten", "as_floats",
    "add", "linear", "softmax", "rmsnorm", "attention", "mlp", "gpt", "empty_cache",
    "cross_entropy", "token_losses", "document_loss",
    "Adam", "clip_grad_norm",
    "TrainConfig", "Run", "shuffle_and_split", "start",
    "token_probabilities", "next_tokens", "generate", "likeliest",
    "held_out_loss", "perplexity", "bigram_loss", "smooth",
    "save_checkpoint", "load_checkpoint",
]
# fmt: on
