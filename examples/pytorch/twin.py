"""The default model once more, in PyTorch: line by line the same, and equal in numbers.

Before this came the book, above all `microgpt/model.py`. Below, each line of PyTorch
stands under the line of the book that it replaces, marked "book:". Next comes
`mini_model.py`, in which the model grows up.

What changes is what a name holds. In the book, x is a list of n_embd numbers, of one
token. Here it is a *tensor*, a block of numbers with a shape, and holds the x of all
tokens of all documents of a batch: its shape is (batch, t, n_embd). An operation on a
tensor is thousands of operations on numbers in a single call, done in compiled code.
And a tensor remembers how it was computed, just as a Value does: `loss.backward()` is
the same call, and the gradients are in `parameter.grad`.

    python examples/pytorch/twin.py                 both models side by side
    python examples/pytorch/twin.py --load out/checkpoint.json --save out/torch.json
                                                    train on in PyTorch, and write a
                                                    checkpoint for microgpt.sample

All of it is in float64, the numbers of 64 bits that Python has too. That is why the two
can be compared to 1e-12. Large models are trained with 32 or 16 bits, which is faster.
"""

from __future__ import annotations

import json
import math
import os
import random
import sys
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import need_torch  # noqa: F401  (says in one line how to install PyTorch)
import torch
import weights
from torch import Tensor, nn
from torch.nn import functional as F

from microgpt.adam import Adam
from microgpt.data import read_documents
from microgpt.model import (
    GPTConfig,
    Params,
    as_floats,
    document_loss,
    empty_cache,
    flatten,
    gpt,
    init_params,
    param_shapes,
)
from microgpt.sampling import generate, token_probabilities
from microgpt.tokenizer import CharTokenizer
from microgpt.tools.checkpoint import (
    CommandSettings,
    default_data_path,
    documents_sha256,
    read_checkpoint,
    read_data,
    save_checkpoint,
)
from microgpt.tools.files import replace_file
from microgpt.tools.terminal import CtrlC, OneLineParser, Progress, run_command, say
from microgpt.training import (
    Run,
    TrainConfig,
    ctrl_c_waits,
    shuffle_and_split,
    start,
    train,
)
from microgpt.value import as_float

PAD = -1  # a target that is not counted, since the document has ended already
DOUBLE = torch.float64


# The model. After "#" stand the shapes that go in and the one that comes out.


def rmsnorm(x: Tensor) -> Tensor:  # (batch, t, n) -> (batch, t, n)
    """Return x scaled so that the mean of its squares is 1 (or a little less).

    dim=2 says over which of the three dimensions the mean goes: over the n numbers of
    each token. keepdim=True leaves a 1 in that place, so that (batch, t, n) can be
    multiplied by (batch, t, 1). PyTorch then uses the one number for all n; this is
    called *broadcasting*.
    """
    # book: mean_square = dot(x, x) * (1 / len(x))
    mean_square = (x * x).mean(dim=2, keepdim=True)
    # book: scale = (mean_square + 1e-5) ** -0.5
    scale = (mean_square + 1e-5) ** -0.5
    # book: return [xi * scale for xi in x]
    return x * scale


def matrix(n_in: int, n_out: int) -> nn.Linear:
    """Return a linear function without bias; its weight is (n_out, n_in), as ours is.

    nn.Linear gives it random weights. They are replaced at once by those of a run.
    """
    return nn.Linear(n_in, n_out, bias=False, dtype=DOUBLE)


class Layer(nn.Module):
    """The six matrices of a layer, and what is computed with them.

    In the book, matrices stand in a dict, and functions are given the dict. PyTorch's
    custom is a *module*: an object that holds its matrices and has the functions as
    methods. Whatever matrix is stored in a module is found by the optimizer, by
    `loss.backward()` and when the model is saved.
    """

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        n_embd = config.n_embd
        self.n_head = config.n_head
        self.head_dim = config.head_dim
        # book: shapes[f"layer{layer}.attn_wq"] = (n_embd, n_embd)  # x to query
        self.attn_wq = matrix(n_embd, n_embd)
        # book: shapes[f"layer{layer}.attn_wk"] = (n_embd, n_embd)  # x to key
        self.attn_wk = matrix(n_embd, n_embd)
        # book: shapes[f"layer{layer}.attn_wv"] = (n_embd, n_embd)  # x to value
        self.attn_wv = matrix(n_embd, n_embd)
        # book: shapes[f"layer{layer}.attn_wo"] = (n_embd, n_embd)
        self.attn_wo = matrix(n_embd, n_embd)
        # book: shapes[f"layer{layer}.mlp_fc1"] = (4 * n_embd, n_embd)  # x to hidden
        self.mlp_fc1 = matrix(n_embd, 4 * n_embd)
        # book: shapes[f"layer{layer}.mlp_fc2"] = (n_embd, 4 * n_embd)  # hidden to x
        self.mlp_fc2 = matrix(4 * n_embd, n_embd)

    def heads_of(self, x: Tensor) -> Tensor:
        """Return the slices of all heads: (batch, n_head, t, head_dim).

        In the book there is a loop over the heads. Here they become one more dimension,
        and what follows is done for all of them in one call.
        """
        batch, t, _ = x.shape
        # book: head = slice(h * head_dim, (h + 1) * head_dim)
        return x.view(batch, t, self.n_head, self.head_dim).transpose(1, 2)

    def attention(self, x: Tensor) -> Tensor:  # (batch, t, n_embd), both in and out
        """Return what each token gathers from those before it, itself included."""
        batch, t, n_embd = x.shape
        # book: q = linear(x, params[f"layer{layer}.attn_wq"])
        q = self.heads_of(self.attn_wq(x))
        # book: k = linear(x, params[f"layer{layer}.attn_wk"])
        k = self.heads_of(self.attn_wk(x))
        # book: v = linear(x, params[f"layer{layer}.attn_wv"])
        v = self.heads_of(self.attn_wv(x))
        # `@` is the product of two matrices, for each head of each document. Element
        # [i, j] of the result is the dot product of token i's query and token j's key.
        # book: scores = [dot(q_head, k_t) * head_dim**-0.5 for k_t in keys_head]
        scores = q @ k.transpose(2, 3) * self.head_dim**-0.5  # (batch, n_head, t, t)
        # In the book, a token cannot look ahead because later tokens have no key yet.
        # Here all keys are there at once. So a *mask*, a triangle that is True above
        # the diagonal, sets the scores of later tokens to minus infinity. exp(-inf) is
        # 0, and softmax gives them no weight.
        is_later = torch.ones(t, t, dtype=torch.bool).triu(diagonal=1)
        scores = scores.masked_fill(is_later, -torch.inf)
        # book: weights = softmax(scores)
        weights = scores.softmax(dim=3)
        # book: head_out = [dot(weights, column) for column in columns]
        head_out = weights @ v  # (batch, n_head, t, head_dim)
        # book: gathered += head_out
        gathered = head_out.transpose(1, 2).reshape(batch, t, n_embd)
        # book: return linear(gathered, params[f"layer{layer}.attn_wo"])
        return self.attn_wo(gathered)

    def mlp(self, x: Tensor) -> Tensor:  # (batch, t, n_embd), both in and out
        """Return what each token makes of its own x."""
        # book: hidden = linear(x, params[f"layer{layer}.mlp_fc1"])
        hidden = self.mlp_fc1(x)  # (batch, t, 4 * n_embd)
        # book: activations = [relu(hi) ** 2 for hi in hidden]
        activations = hidden.relu() ** 2
        # book: return linear(activations, params[f"layer{layer}.mlp_fc2"])
        return self.mlp_fc2(activations)


class Twin(nn.Module):
    """The book's GPT, for all tokens of a batch of documents at once."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        # book: "wte": (config.vocab_size, n_embd),  # token embeddings
        self.wte = nn.Embedding(config.vocab_size, config.n_embd, dtype=DOUBLE)
        # book: "wpe": (config.block_size, n_embd),  # position embeddings
        self.wpe = nn.Embedding(config.block_size, config.n_embd, dtype=DOUBLE)
        # book: "lm_head": (config.vocab_size, n_embd),  # language-model head
        self.lm_head = matrix(config.n_embd, config.vocab_size)
        # book: for layer in range(config.n_layer):
        self.layers = nn.ModuleList([Layer(config) for _ in range(config.n_layer)])

    def forward(self, tokens: Tensor) -> Tensor:  # (batch, t) -> (batch, t, vocab_size)
        """Return the logits of the token that follows each token.

        `forward` is what `model(tokens)` calls; that name is PyTorch's custom.
        """
        # book: token_embedding = params["wte"][token_id]
        token_embedding = self.wte(tokens)  # (batch, t, n_embd)
        # book: pos_embedding = params["wpe"][pos_id]
        pos_embedding = self.wpe(torch.arange(tokens.shape[1]))  # (t, n_embd)
        # book: x = add(token_embedding, pos_embedding)
        x = token_embedding + pos_embedding  # (batch, t, n_embd), by broadcasting
        # book: x = rmsnorm(x)
        x = rmsnorm(x)
        for layer in self.layers:
            # book: attention(rmsnorm(x), params, config, layer, keys, values)
            x = x + layer.attention(rmsnorm(x))
            # book: x = add(x, mlp(rmsnorm(x), params, layer))
            x = x + layer.mlp(rmsnorm(x))
        # book: logits = linear(x, params["lm_head"])
        logits = self.lm_head(x)
        return logits

    def matrices(self) -> dict[str, nn.Parameter]:
        """Return the matrices by their names in the book, in the book's order."""
        # PyTorch's names are made of where a matrix is stored: our "layer0.attn_wq" is
        # its "layers.0.attn_wq.weight".
        by_torch_name = dict(self.named_parameters())
        found = {}
        for torch_name, parameter in by_torch_name.items():
            name = torch_name.replace("layers.", "layer").replace(".weight", "")
            found[name] = parameter
        return found


def rectangle(documents: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Return (tokens, targets) of documents of different lengths: both (batch, t).

    A tensor is a rectangle, and documents are not equally long. So short ones are
    filled up behind their end. There the target is PAD, and is not counted. What the
    model computes there does no harm either, since no token looks ahead.

    >>> tokens, targets = rectangle([[0, 3, 0], [0, 3, 1, 2, 0]])
    >>> tokens.tolist(), targets.tolist()
    ([[0, 3, 0, 0], [0, 3, 1, 2]], [[3, 0, -1, -1], [3, 1, 2, 0]])
    """
    t = max([len(document) for document in documents]) - 1
    tokens = torch.zeros(len(documents), t, dtype=torch.long)
    targets = torch.full((len(documents), t), PAD)
    for row, document in enumerate(documents):
        n = len(document) - 1
        tokens[row, :n] = torch.tensor(document[:-1])
        targets[row, :n] = torch.tensor(document[1:])
    return tokens, targets


def batch_loss(model: nn.Module, documents: Sequence[Sequence[int]]) -> Tensor:
    """Return the mean loss of the documents, each of which counts the same.

    No document may have more tokens than the model can see, and one to predict.
    """
    tokens, targets = rectangle(documents)
    logits = model(tokens)  # (batch, t, vocab_size)
    # F.cross_entropy wants the logits of a token in dimension 1.
    # book: return logsumexp(logits) - logits[target_id]
    losses = F.cross_entropy(
        logits.transpose(1, 2), targets, ignore_index=PAD, reduction="none"
    )  # (batch, t)
    n_counted = (targets != PAD).sum(dim=1)
    # book: loss: Value = total(losses) * (1 / len(losses))
    document_losses = losses.sum(dim=1) / n_counted  # (batch)
    return document_losses.mean()


# A run: the book's `Run`, with tensors in the place of Values.


@dataclass
class TwinRun:
    """A training run at some step. The fields are those of the book's `Run`."""

    config: GPTConfig
    training: TrainConfig
    tokenizer: CharTokenizer
    model: Twin  # the book: params
    optimizer: torch.optim.AdamW
    rng: random.Random
    losses: list[float] = field(default_factory=list)  # one for each step taken


def new_optimizer(model: Twin, adam: Adam) -> torch.optim.AdamW:
    """Return PyTorch's AdamW with the settings of ours, and nothing remembered."""
    # book: parameter.data -= decay * parameter.data
    # That is what makes it AdamW. torch.optim.Adam would add the decay to the gradient.
    return torch.optim.AdamW(
        model.matrices().values(),
        betas=(adam.beta1, adam.beta2),
        eps=adam.eps,
        weight_decay=adam.weight_decay,
    )


def from_run(run: Run) -> TwinRun:
    """Return a copy of a run, with everything in tensors: weights, and Adam's means."""
    model = Twin(run.config)
    with torch.no_grad():  # to set a weight is no part of any calculation
        for name, parameter in model.matrices().items():
            rows = [[as_float(weight) for weight in row] for row in run.params[name]]
            parameter.copy_(torch.tensor(rows, dtype=DOUBLE))
    optimizer = new_optimizer(model, run.optimizer)
    if run.optimizer.t:
        first = 0
        for parameter in model.matrices().values():
            last = first + parameter.numel()
            m, v = run.optimizer.m[first:last], run.optimizer.v[first:last]
            optimizer.state[parameter] = {  # the names that PyTorch has for m and v
                "step": torch.tensor(float(run.optimizer.t)),
                "exp_avg": torch.tensor(m, dtype=DOUBLE).view_as(parameter),
                "exp_avg_sq": torch.tensor(v, dtype=DOUBLE).view_as(parameter),
            }
            first = last
    rng = random.Random()
    rng.setstate(run.rng.getstate())
    return TwinRun(
        config=run.config,
        training=run.training,
        tokenizer=run.tokenizer,
        model=model,
        optimizer=optimizer,
        rng=rng,
        losses=list(run.losses),
    )


def to_run(twin: TwinRun) -> Run:
    """Return a copy as a run of the book, which can be saved, sampled, trained on."""
    params = init_params(twin.config, random.Random(0))  # its numbers are replaced
    [group] = twin.optimizer.param_groups
    adam = Adam(
        flatten(params),
        beta1=group["betas"][0],
        beta2=group["betas"][1],
        eps=group["eps"],
        weight_decay=group["weight_decay"],
    )
    adam.t = len(twin.losses)
    numbers: list[float] = []
    means: dict[str, list[float]] = {"exp_avg": [], "exp_avg_sq": []}
    for parameter in twin.model.matrices().values():
        numbers += parameter.flatten().tolist()
        for name, mean in means.items():
            if adam.t:
                mean += twin.optimizer.state[parameter][name].flatten().tolist()
    for weight, number in zip(adam.parameters, numbers):
        weight.data = number
    if adam.t:
        adam.m, adam.v = means["exp_avg"], means["exp_avg_sq"]
    rng = random.Random()
    rng.setstate(twin.rng.getstate())
    return Run(
        config=twin.config,
        training=twin.training,
        tokenizer=twin.tokenizer,
        params=params,
        optimizer=adam,
        rng=rng,
        losses=list(twin.losses),
    )


def train_twin(twin: TwinRun, documents: Sequence[str]) -> Iterator[float]:
    """Take the steps that are left, and yield the loss of each: the book's `train`."""
    training = twin.training
    parameters = list(twin.model.parameters())
    block_size = twin.config.block_size
    for step in range(len(twin.losses), training.steps):
        batch = []
        for i in range(training.batch_size):
            # book: document = documents[(step * batch_size + i) % len(documents)]
            document = documents[(step * training.batch_size + i) % len(documents)]
            # book: tokens = run.tokenizer.encode_document(document[:block_size])
            tokens = twin.tokenizer.encode_document(document[:block_size])
            batch.append(tokens[: block_size + 1])
        # book: loss = document_loss(run.params, run.config, tokens)
        loss = batch_loss(twin.model, batch)
        if not torch.isfinite(loss):
            raise FloatingPointError(f"the loss is {loss.item()}")
        # Gradients add up over calls here too, so they are cleared first.
        twin.optimizer.zero_grad()
        # book: (loss / batch_size).backward()
        loss.backward()
        # book: lr = training.learning_rate * (1 - step / training.steps)
        lr = training.learning_rate * (1 - step / training.steps)
        with ctrl_c_waits():
            if training.grad_clip:
                clip_grad_norm(parameters, training.grad_clip)
            # book: run.optimizer.step(lr)
            twin.optimizer.param_groups[0]["lr"] = lr
            twin.optimizer.step()
            # book: run.losses.append(step_loss)
            twin.losses.append(loss.item())
        yield twin.losses[-1]


def clip_grad_norm(parameters: Sequence[nn.Parameter], max_norm: float) -> None:
    """Scale all gradients down together so that their norm is at most max_norm.

    PyTorch has nn.utils.clip_grad_norm_, which divides by (norm + 1e-6). That is off by
    a millionth, too much for a twin, so here it is done as in the book.
    """
    gradients = [parameter.grad for parameter in parameters]
    # book: norm = hypot(*[parameter.grad for parameter in parameters])
    norm = torch.cat([gradient.flatten() for gradient in gradients]).norm()
    if norm > max_norm:
        for gradient in gradients:
            # book: parameter.grad *= scale
            gradient *= max_norm / norm


@torch.no_grad()  # no gradients are wanted, so nothing has to be remembered
def generate_twin(twin: TwinRun, prompt: str = "", **how: Any) -> str:
    """Return the prompt and what the model adds to it: the book's `generate`.

    `how` are the settings of `token_probabilities`. There are no keys and values to
    keep here: the whole text goes through the model for every letter. That is wasteful,
    and for eight letters it does not matter.
    """
    if len(prompt) >= twin.config.block_size:
        raise ValueError(
            f"a prompt of {len(prompt)} characters, but block_size is "
            f"{twin.config.block_size}: shorten it"
        )
    # book: tokens = [tokenizer.bos, *tokenizer.encode(prompt)]
    tokens = [twin.tokenizer.bos, *twin.tokenizer.encode(prompt)]
    while len(tokens) <= twin.config.block_size:
        logits = twin.model(torch.tensor([tokens]))[0, -1].tolist()
        # book: probs = token_probabilities(logits, temperature, top_k, top_p)
        probs = token_probabilities(logits, **how)
        # book: [token_id] = rng.choices(range(config.vocab_size), weights=probs)
        [token_id] = twin.rng.choices(range(twin.config.vocab_size), weights=probs)
        if token_id == twin.tokenizer.bos:
            break
        tokens.append(token_id)
    return twin.tokenizer.decode(tokens)


# Weights alone, in the format in which models are exchanged.


def save_weights(folder: str, twin: TwinRun) -> None:
    """Write model.safetensors, and config.json with the sizes and the vocabulary.

    These two hold what is needed to write text, and not what is needed to train on:
    Adam's means and the losses are in a checkpoint only.
    """
    tensors = {}
    for name, parameter in twin.model.matrices().items():
        numbers = array("d", parameter.flatten().tolist())
        tensors[name] = weights.Tensor(
            "F64", tuple(parameter.shape), memoryview(numbers)
        )
    config = {"model_type": "microgpt", **asdict(twin.config)}
    config["vocabulary"] = twin.tokenizer.chars
    os.makedirs(folder, exist_ok=True)
    weights.write_safetensors(os.path.join(folder, "model.safetensors"), tensors)
    replace_file(os.path.join(folder, "config.json"), json.dumps(config) + "\n")


def load_weights(folder: str) -> TwinRun:
    """Return a new run with the weights of a folder that `save_weights` wrote.

    Whatever is not as it should be: ValueError, in one line.
    """
    path = os.path.join(folder, "config.json")
    content = weights.read_json(path)
    try:
        if content.pop("model_type") != "microgpt":
            raise ValueError("it is the config of another kind of model")
        tokenizer = CharTokenizer(content.pop("vocabulary"))
        config = GPTConfig(**content)
        if config.vocab_size != tokenizer.vocab_size:
            raise ValueError("its vocab_size is not that of its vocabulary")
    except (TypeError, KeyError, AttributeError):
        raise ValueError(f"{path} is not the config of such a model") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    tensors = weights.read_weights(folder)
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    # The first comparison is for a config with a billion layers.
    if config.n_layer > len(shapes) or shapes != param_shapes(config):
        raise ValueError(f"{folder}: the matrices are not those that config.json names")
    params: Params = {}
    for name, (n_rows, n_columns) in param_shapes(config).items():
        numbers = tensors[name].floats().tolist()
        if not all(map(math.isfinite, numbers)):
            raise ValueError(f"{folder}: {name} holds a number that is not finite")
        starts = range(0, n_rows * n_columns, n_columns)
        params[name] = [numbers[start : start + n_columns] for start in starts]
    training = TrainConfig()
    no_values = Adam([])
    run = Run(
        config, training, tokenizer, params, no_values, random.Random(training.seed)
    )
    return from_run(run)


# The command.


def greatest_difference(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the largest difference between two numbers in the same place."""
    assert len(ours) == len(theirs)
    return max([abs(a - b) for a, b in zip(ours, theirs)])


def side_by_side(steps: int) -> None:
    """Train the default model in both ways, and print how far apart they are."""
    documents = read_documents(default_data_path())
    training = TrainConfig(steps=steps)
    run, train_documents, _ = start(documents, training)
    twin = from_run(run)
    progress = Progress("steps in both", steps, every=steps, stream=sys.stderr)
    for _ in zip(train(run, train_documents), train_twin(twin, train_documents)):
        progress.show(run.step)
    progress.finish()

    ours = [weight.data for weight in flatten(run.params)]
    theirs = torch.cat([p.flatten() for p in twin.model.matrices().values()]).tolist()
    say(f"after {steps} steps, the greatest difference between")
    say(f"  two losses       {greatest_difference(run.losses, twin.losses):.0e}")
    say(f"  two parameters   {greatest_difference(ours, theirs):.0e}")

    twin = from_run(run)  # equal weights again, to compare one calculation
    tokens = run.tokenizer.encode_document("mariana")
    document_loss(run.params, run.config, tokens).backward()
    batch_loss(twin.model, [tokens]).backward()
    gradients = [weight.grad for weight in flatten(run.params)]
    their_gradients = []
    for parameter in twin.model.matrices().values():
        assert parameter.grad is not None
        their_gradients += parameter.grad.flatten().tolist()
    logits = logits_of(run, tokens)
    their_logits = twin.model(torch.tensor([tokens[:-1]]))[0].flatten().tolist()
    say("on the name 'mariana', with the same weights, the greatest difference between")
    say(f"  two logits       {greatest_difference(logits, their_logits):.0e}")
    say(f"  two gradients    {greatest_difference(gradients, their_gradients):.0e}")
    say("samples from the same dice, ours and PyTorch's")
    params = as_floats(run.params)
    for _ in range(5):
        ours_text = generate(
            params, run.config, run.tokenizer, run.rng, temperature=0.6
        )
        say(f"  {ours_text:<10} {generate_twin(twin, temperature=0.6)}")


def logits_of(run: Run, tokens: Sequence[int]) -> list[float]:
    """Return the logits after each token but the last, one list after the other."""
    params = as_floats(run.params)
    keys, values = empty_cache(run.config)
    logits = []
    for pos_id, token_id in enumerate(tokens[:-1]):
        logits += gpt(params, run.config, token_id, pos_id, keys, values)
    return logits


def load(path: str) -> tuple[TwinRun, CommandSettings]:
    """Return the run at path: a checkpoint, or a folder of weights."""
    if os.path.isdir(path):
        return load_weights(path), CommandSettings()
    run, settings = read_checkpoint(path)
    return from_run(run), settings


def save(path: str, twin: TwinRun, settings: CommandSettings) -> None:
    """Write a checkpoint if path ends in .json, else a folder of weights."""
    if path.endswith(".json"):
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        save_checkpoint(path, to_run(twin), settings)
    else:
        save_weights(path, twin)


def train_on(
    twin: TwinRun, settings: CommandSettings, ctrl_c: CtrlC
) -> CommandSettings:
    """Take the steps that are left, on the documents that the run was trained on."""
    data = settings.data or default_data_path()
    documents = read_data(data, settings.running_text, twin.config.block_size)
    fingerprint = documents_sha256(documents)
    if settings.data_sha256 not in ("", fingerprint):
        raise ValueError(f"{data} is no longer what this run was trained on")
    _, train_documents, _ = shuffle_and_split(
        documents, twin.training, settings.running_text
    )
    steps = twin.training.steps
    progress = Progress("step", steps, every=steps // 10, start=len(twin.losses))
    ctrl_c.after_this_step()
    for loss in train_twin(twin, train_documents):
        progress.show(len(twin.losses), f", loss {loss:.3f}")
        if ctrl_c.presses:
            break
    progress.finish()
    return replace(settings, data_sha256=fingerprint)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `python examples/pytorch/twin.py`; return its exit code."""
    ctrl_c = CtrlC()
    return run_command(lambda: _command(argv, ctrl_c), ctrl_c)


def _command(argv: Sequence[str] | None, ctrl_c: CtrlC) -> int:
    parser = OneLineParser(
        prog="python examples/pytorch/twin.py",
        description="The default model in PyTorch. Without --load, train it here and "
        "there, side by side, and say how far apart the two are.",
        allow_abbrev=False,
    )
    place = "a checkpoint.json, or a folder with model.safetensors and config.json"
    parser.add_argument("--load", metavar="PATH", help=f"start from {place}")
    parser.add_argument("--save", metavar="PATH", help=f"write {place}")
    text = (
        "train up to so many steps (default: 100 side by side, else those of the run)"
    )
    parser.add_argument("--steps", metavar="N", type=int, help=text)
    args = parser.parse_args(argv)
    if args.load is None:
        if args.save is not None:
            raise ValueError("--save needs --load: what should be saved?")
        steps = 100 if args.steps is None else args.steps
        TrainConfig(steps=steps)  # says what is wrong with it, if anything is
        side_by_side(steps)
        return 0
    if args.save is not None and os.path.exists(args.save):
        raise ValueError(f"{args.save} is there already: name another for --save")
    twin, settings = load(args.load)
    if args.steps is not None:
        if args.steps < len(twin.losses):
            raise ValueError(
                f"{args.load} is at step {len(twin.losses)} already, past --steps "
                f"{args.steps}"
            )
        twin.training = replace(twin.training, steps=args.steps)
    is_weights = os.path.isdir(args.load)
    if len(twin.losses) < twin.training.steps and (args.steps or not is_weights):
        settings = train_on(twin, settings, ctrl_c)
    ctrl_c.hold()
    if args.save is not None:
        save(args.save, twin, settings)
        say(f"saved in {args.save}, after step {len(twin.losses)}")
    if ctrl_c.presses:
        return 130
    ctrl_c.now()
    for _ in range(5):
        say("  " + generate_twin(twin, temperature=settings.temperature))
    return 0


if __name__ == "__main__":
    sys.exit(main())
