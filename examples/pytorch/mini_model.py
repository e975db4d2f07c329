"""A GPT with all of GPT-2's parts, as one would write it in PyTorch.

Before this came `twin.py`, the default model line by line. This is the model of chapter
23 of the course, "GPT-2's parts", which has it on Values in
examples/course/mini_gpt_values.py; the two have equal gradients. Next comes
`mini_data.py`, which makes batches of text for it.

    here                        in microgpt/model.py        why
    LayerNorm, gain and bias    rmsnorm without them        what GPT-2 has
    a bias in each linear       none                        what GPT-2 has
    GELU                        relu(x) ** 2                it has no corner
    one more norm, `ln_f`       none                        x grows layer by layer
    lm_head is wte ("tied")     two matrices                fewer parameters
    dropout                     none                        less is learnt by heart
    `attn_qkv`, one matrix      attn_wq, attn_wk, attn_wv   one product is quicker
    all tokens at once          one after another           GPUs like large products

In training, *dropout* sets a tenth of the numbers to 0 at random and makes the others
larger by 1/0.9, so that the sum stays what it was on average. The model cannot rely on
any single number, and so has a harder time learning names by heart. When it writes or
is measured, dropout has to be off: `model.eval()` and `model.train()` say which it is.

Papers: Radford et al., "Language models are unsupervised multitask learners" (GPT-2),
2019; Srivastava et al., "Dropout: a simple way to prevent neural networks from
overfitting", 2014; Press and Wolf, "Using the output embedding to improve language
models", 2017.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import need_torch  # noqa: F401  (says in one line how to install PyTorch)
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from microgpt.model import GPTConfig

PAD = -1  # a target that is not counted, since no text is there any more


@dataclass(frozen=True)
class MiniConfig(GPTConfig):
    """The sizes of a model, checked as in the book, with defaults for a real one.

    >>> MiniConfig(vocab_size=27).head_dim
    32
    """

    block_size: int = 128
    n_layer: int = 6
    n_head: int = 8
    n_embd: int = 256
    dropout: float = 0.1  # the share of the numbers that are set to 0 in training
    tied: bool = True  # whether lm_head is wte

    def __post_init__(self) -> None:
        """Check the sizes, and then what is new here."""
        GPTConfig(  # says what is wrong with a size, if anything is
            self.vocab_size, self.block_size, self.n_layer, self.n_head, self.n_embd
        )
        if type(self.dropout) not in (int, float) or not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout!r}: make it 0 or more, below 1")
        if type(self.tied) is not bool:
            raise ValueError(f"tied is {self.tied!r}: make it True or False")


class Layer(nn.Module):
    """Both halves of a layer: attention, then the MLP."""

    def __init__(self, config: MiniConfig) -> None:
        super().__init__()
        n_embd = config.n_embd
        self.n_head = config.n_head
        self.dropout = config.dropout
        self.ln_1 = nn.LayerNorm(n_embd)
        self.attn_qkv = nn.Linear(n_embd, 3 * n_embd)
        self.attn_wo = nn.Linear(n_embd, n_embd)
        self.ln_2 = nn.LayerNorm(n_embd)
        self.mlp_fc1 = nn.Linear(n_embd, 4 * n_embd)
        self.mlp_fc2 = nn.Linear(4 * n_embd, n_embd)

    def attention(self, x: Tensor) -> Tensor:
        """Return what each token gathers: (batch, t, n_embd) both in and out."""
        batch, t, n_embd = x.shape
        qkv = self.attn_qkv(x)  # (batch, t, 3 * n_embd)
        # For each attention head a table of its own: (batch, n_head, t, head_dim).
        q, k, v = [
            part.view(batch, t, self.n_head, n_embd // self.n_head).transpose(1, 2)
            for part in qkv.split(n_embd, dim=2)
        ]
        # Scores, mask, softmax, dropout and mix in one call, which on a GPU never
        # writes the table of scores to memory. (is_causal is the mask.)
        head_out = F.scaled_dot_product_attention(
            q, k, v, is_causal=True, dropout_p=self.dropout if self.training else 0.0
        )
        gathered = head_out.transpose(1, 2).reshape(batch, t, n_embd)
        return self.attn_wo(gathered)

    def mlp(self, x: Tensor) -> Tensor:
        """Return what each token makes of its own x: (batch, t, n_embd)."""
        # (GPT-2's own weights expect approximate="tanh", a formula close to this one.)
        activations = F.gelu(self.mlp_fc1(x))
        return self.mlp_fc2(activations)

    def forward(self, x: Tensor) -> Tensor:
        """Add both halves to the residual stream."""
        x = x + F.dropout(self.attention(self.ln_1(x)), self.dropout, self.training)
        x = x + F.dropout(self.mlp(self.ln_2(x)), self.dropout, self.training)
        return x


class MiniGPT(nn.Module):
    """The whole model: token ids in, logits out."""

    def __init__(self, config: MiniConfig) -> None:
        super().__init__()
        self.config = config
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.wpe = nn.Embedding(config.block_size, config.n_embd)
        self.layers = nn.ModuleList([Layer(config) for _ in range(config.n_layer)])
        self.ln_f = nn.LayerNorm(config.n_embd)
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        if config.tied:
            self.lm_head.weight = self.wte.weight  # one and the same object
        self._set_first_weights()

    def _set_first_weights(self) -> None:
        """Give every matrix small random numbers, and every bias 0, as in GPT-2."""
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                # What adds to x starts smaller the more layers there are, so that the
                # sum of them all begins at one size.
                adds_to_x = name.endswith(("attn_wo.weight", "mlp_fc2.weight"))
                n_sums = 2 * self.config.n_layer if adds_to_x else 1
                nn.init.normal_(parameter, std=0.02 / math.sqrt(n_sums))
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, tokens: Tensor) -> Tensor:  # (batch, t) -> (batch, t, vocab_size)
        """Return the logits of the token after each token.

        tokens are ids. A text that is shorter than the others of its batch is filled up
        behind its end with any id: no token looks ahead, so none sees the filling.
        """
        _, t = tokens.shape
        places = torch.arange(t, device=tokens.device)
        x = self.wte(tokens) + self.wpe(places)
        x = F.dropout(x, self.config.dropout, self.training)
        for layer in self.layers:
            x = layer(x)
        return self.lm_head(self.ln_f(x))

    def n_parameters(self) -> int:
        """Return how many numbers training changes; a tied head counts once."""
        return sum([parameter.numel() for parameter in self.parameters()])


def nats_of_tokens(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the surprise at each target, and 0 at PAD: (batch, t).

    logits is (batch, t, vocab_size), targets (batch, t).
    """
    if logits.dtype == torch.bfloat16:
        logits = logits.float()  # a sum of many exps needs more digits than that has
    return F.cross_entropy(
        logits.transpose(1, 2), targets, ignore_index=PAD, reduction="none"
    )
