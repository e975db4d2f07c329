"""GPT-2's parts in PyTorch: the logits of our GPT-2, and what dropout and masks do."""

from __future__ import annotations

import doctest
import random
from array import array

import pytest

torch = pytest.importorskip("torch")

import mini_gpt_values  # noqa: E402
import mini_model  # noqa: E402
import model as gpt2_model  # noqa: E402
from mini_model import PAD, MiniConfig, MiniGPT, nats_of_tokens  # noqa: E402

from microgpt.model import as_floats, flatten  # noqa: E402
from microgpt.value import total  # noqa: E402

CONFIG = MiniConfig(vocab_size=11, block_size=7, n_layer=2, n_head=2, n_embd=8)


def new_model(seed=1, **changes):
    """Return a model in float64 whose numbers are large enough to matter."""
    torch.manual_seed(seed)
    config = MiniConfig(**{**vars(CONFIG), **changes})
    model = MiniGPT(config).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.5)
    return model


def as_gpt2(model):
    """Return the same model for examples/gpt2/model.py, which has its own names."""
    config = model.config
    found = {
        "wte.weight": model.wte.weight,
        "wpe.weight": model.wpe.weight,
        "ln_f.weight": model.ln_f.weight,
        "ln_f.bias": model.ln_f.bias,
        "lm_head.weight": model.lm_head.weight,
    }
    parts = {
        "ln_1": "ln_1", "ln_2": "ln_2", "attn.c_attn": "attn_qkv",
        "attn.c_proj": "attn_wo", "mlp.c_fc": "mlp_fc1", "mlp.c_proj": "mlp_fc2",
    }  # fmt: skip
    for i, layer in enumerate(model.layers):
        for theirs, ours in parts.items():
            part = getattr(layer, ours)
            # Its matrices have a row for each input, PyTorch's one for each output.
            weight = part.weight if theirs.startswith("ln") else part.weight.T
            found[f"h.{i}.{theirs}.weight"] = weight
            found[f"h.{i}.{theirs}.bias"] = part.bias
    numbers = {
        name: memoryview(array("d", tensor.flatten().tolist()))
        for name, tensor in found.items()
    }
    gpt2_config = gpt2_model.GPT2Config(
        vocab_size=config.vocab_size,
        n_positions=config.block_size,
        n_embd=config.n_embd,
        n_layer=config.n_layer,
        n_head=config.n_head,
        n_inner=4 * config.n_embd,
        tie_word_embeddings=config.tied,
        activation="gelu",  # the exact one
    )
    return gpt2_model.GPT2(gpt2_config, numbers)


@pytest.mark.parametrize("tied", [True, False])
def test_the_logits_are_those_of_gpt2_in_the_standard_library(tied):
    model = new_model(tied=tied).eval()
    plain = as_gpt2(model)
    tokens = [3, 0, 10, 7, 7, 1, 4]
    logits = model(torch.tensor([tokens]))[0]
    for pos_id, token_id in enumerate(tokens):
        expected = gpt2_model.gpt2(plain, token_id, pos_id)
        assert max(map(abs, expected)) > 0.1
        for ours, theirs in zip(logits[pos_id].tolist(), expected):
            assert abs(ours - theirs) < 1e-12


def from_chapter_23(params, config):
    """Return the chapter's parameters in a model of ours."""
    model = MiniGPT(config).double()
    numbers = {
        name: torch.tensor(rows, dtype=torch.float64)
        for name, rows in as_floats(params).items()
    }
    state = {
        "wte.weight": numbers["wte"],
        "wpe.weight": numbers["wpe"],
        "lm_head.weight": numbers["wte" if config.tied else "lm_head"],
        "ln_f.weight": numbers["final_norm_gain"][0],
        "ln_f.bias": numbers["final_norm_bias"][0],
    }
    for i in range(config.n_layer):
        theirs, ours = f"layer{i}", f"layers.{i}"
        for number in ("1", "2"):
            gain, bias = f"{theirs}.norm{number}_gain", f"{theirs}.norm{number}_bias"
            state[f"{ours}.ln_{number}.weight"] = numbers[gain][0]
            state[f"{ours}.ln_{number}.bias"] = numbers[bias][0]
        qkv = [f"{theirs}.attn_w{letter}" for letter in "qkv"]
        state[f"{ours}.attn_qkv.weight"] = torch.cat([numbers[name] for name in qkv])
        state[f"{ours}.attn_qkv.bias"] = torch.cat(
            [numbers[f"{name}_bias"][0] for name in qkv]
        )
        for name in ("attn_wo", "mlp_fc1", "mlp_fc2"):
            state[f"{ours}.{name}.weight"] = numbers[f"{theirs}.{name}"]
            state[f"{ours}.{name}.bias"] = numbers[f"{theirs}.{name}_bias"][0]
    model.load_state_dict(state)
    return model.eval()


@pytest.mark.parametrize("tied", [True, False])
def test_losses_and_gradients_are_those_of_chapter_23_on_values(tied):
    config = MiniConfig(**{**vars(CONFIG), "tied": tied})
    rng = random.Random(23)
    params = mini_gpt_values.init_mini_gpt(config, rng, tied_head=tied)
    for weight in flatten(params):
        weight.data = rng.gauss(0, 0.5)
    tokens = [0, 3, 9, 1, 3, 0]
    losses = mini_gpt_values.mini_token_losses(params, config, tokens)
    total(losses).backward()
    model = from_chapter_23(params, config)
    nats = nats_of_tokens(
        model(torch.tensor([tokens[:-1]])), torch.tensor([tokens[1:]])
    )
    nats.sum().backward()
    for ours, theirs in zip(losses, nats[0].tolist()):
        assert abs(ours.data - theirs) < 1e-12
    # The same names again, with gradients in the place of the numbers.
    for weight in flatten(params):
        weight.data = weight.grad
    expected = dict(from_chapter_23(params, config).named_parameters())
    for name, parameter in model.named_parameters():
        assert parameter.grad.abs().max() > 1e-3, name
        difference = (parameter.grad - expected[name]).abs().max()
        assert difference < 1e-11, name


def test_a_later_token_changes_no_earlier_logit():
    model = new_model().eval()
    first = model(torch.tensor([[1, 2, 3, 4, 5]]))[0]
    second = model(torch.tensor([[1, 2, 3, 9, 0]]))[0]
    assert torch.equal(first[:3], second[:3])
    assert not torch.equal(first[3], second[3])


def test_what_a_short_text_is_filled_up_with_changes_neither_loss_nor_gradient():
    targets = torch.tensor([[2, 3, PAD, PAD], [5, 6, 7, 8]])
    gradients = []
    for filling in (0, 9):
        model = new_model().eval()
        tokens = torch.tensor([[1, 2, filling, filling], [4, 5, 6, 7]])
        nats = nats_of_tokens(model(tokens), targets)
        assert nats.shape == (2, 4)
        assert (nats[0, 2:] == 0).all()
        assert (nats[targets != PAD] > 0).all()
        nats.sum().backward()
        gradients.append([p.grad for p in model.parameters()])
    for one, other in zip(*gradients):
        assert torch.allclose(one, other, rtol=0, atol=1e-13)


def test_dropout_is_on_in_training_only_and_keeps_the_mean():
    model = new_model(dropout=0.25)
    tokens = torch.tensor([[1, 2, 3]])
    model.eval()
    assert torch.equal(model(tokens), model(tokens))
    model.train()
    assert not torch.equal(model(tokens), model(tokens))
    kept = torch.nn.functional.dropout(torch.ones(100000), 0.25)
    assert abs((kept == 0).float().mean().item() - 0.25) < 0.01
    assert abs(kept.mean().item() - 1) < 0.01
    without = new_model(dropout=0.0)
    assert torch.equal(without.train()(tokens), without.eval()(tokens))


def test_a_tied_head_is_one_matrix_that_learns_from_both_of_its_uses():
    model = new_model(tied=True)
    assert model.lm_head.weight is model.wte.weight
    untied = new_model(tied=False)
    assert untied.n_parameters() - model.n_parameters() == 11 * 8
    with torch.no_grad():
        untied.load_state_dict(model.state_dict())
    targets = torch.tensor([[2, 3]])
    for each in (model, untied):
        each.eval()
        nats_of_tokens(each(torch.tensor([[1, 2]])), targets).sum().backward()
    both = untied.wte.weight.grad + untied.lm_head.weight.grad
    assert torch.allclose(model.wte.weight.grad, both, rtol=0, atol=1e-12)


def test_the_default_model_on_names_has_as_many_parameters_as_the_text_says():
    n_embd = 256
    norm = 2 * n_embd
    attention = n_embd * 3 * n_embd + 3 * n_embd + n_embd * n_embd + n_embd
    mlp = n_embd * 4 * n_embd + 4 * n_embd + 4 * n_embd * n_embd + n_embd
    n = 27 * n_embd + 128 * n_embd + 6 * (2 * norm + attention + mlp) + norm
    with torch.device("meta"):
        assert MiniGPT(MiniConfig(vocab_size=27)).n_parameters() == n == 4_778_752


def test_the_first_weights_are_those_of_gpt2():
    torch.manual_seed(0)
    model = MiniGPT(MiniConfig(vocab_size=99, n_layer=2, n_embd=64, n_head=2))
    spread = {name: p.std().item() for name, p in model.named_parameters()}
    assert spread["wte.weight"] == pytest.approx(0.02, rel=0.1)
    assert spread["layers.1.mlp_fc1.weight"] == pytest.approx(0.02, rel=0.1)
    # Two layers add four times to x, and the root of 4 is 2.
    assert spread["layers.1.mlp_fc2.weight"] == pytest.approx(0.01, rel=0.1)
    assert spread["layers.0.attn_wo.weight"] == pytest.approx(0.01, rel=0.1)
    assert spread["layers.0.attn_wo.bias"] == 0
    assert (model.ln_f.weight == 1).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n_embd": 9}, "does not divide"),
        ({"n_layer": 0}, "n_layer is 0"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"dropout": float("nan")}, "dropout is nan"),
        ({"tied": 1}, "tied is 1"),
    ],
)
def test_a_size_that_makes_no_sense_is_refused(change, words):
    with pytest.raises(ValueError, match=words):
        MiniConfig(**{**vars(CONFIG), **change})


def test_the_examples_are_true():
    result = doctest.testmod(mini_model)
    assert result.attempted >= 1
    assert result.failed == 0
