"""What it takes to train large models: each number worked out once more."""

from __future__ import annotations

import importlib.util

import pytest

from tests.helpers import ROOT

FOLDER = ROOT / "examples" / "pytorch"


@pytest.fixture(scope="module")
def on_paper():
    spec = importlib.util.spec_from_file_location("on_paper", FOLDER / "on_paper.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def gpt2_parameters(n_layer, n_embd, vocab_size=50257, n_positions=1024):
    norm = 2 * n_embd
    attention = n_embd * 3 * n_embd + 3 * n_embd + n_embd * n_embd + n_embd
    mlp = n_embd * 4 * n_embd + 4 * n_embd + 4 * n_embd * n_embd + n_embd
    embeddings = (vocab_size + n_positions) * n_embd
    return embeddings + n_layer * (2 * norm + attention + mlp) + norm


def test_the_sizes_are_counted_from_the_configurations(on_paper):
    assert on_paper.SIZES["124M"] == gpt2_parameters(n_layer=12, n_embd=768)
    assert on_paper.SIZES["1.5B"] == gpt2_parameters(n_layer=48, n_embd=1600)
    # Llama of 2023: 32,000 tokens, 4,096 wide, 32 layers, 11,008 inside the MLP, which
    # has three matrices; two norms a layer with gains only; a head of its own.
    layer = 4 * 4096**2 + 3 * 4096 * 11008 + 2 * 4096
    assert on_paper.SIZES["7B"] == 2 * 32000 * 4096 + 32 * layer + 4096


def test_the_smallest_gpt2_worked_out_by_hand(on_paper):
    column = {what: cells[0] for what, cells in on_paper.rows()}
    # 124.4 million * 16 bytes = 1.99 GB. 20 tokens for each: 2.49 billion, which the
    # table and the text of the README both round to 2.5.
    assert column["memory for weights, gradients and AdamW"] == "2 GB"
    assert column["tokens to train on"] == "2.5 billion"
    # 2.4888 billion tokens in 604,800 seconds.
    assert column["tokens a second needed, for a week"] == "4,115"
    # 124.8e12 operations a second / (6 * 124.44e6) = 167,149 tokens a second.
    assert column["tokens a second of one A100"] == "167,149"
    hours = 20 * 124_439_808 / 167_149 / 3600
    assert round(hours) == 4  # as the README says


def test_ddp_ends_where_weights_gradients_and_means_fill_the_memory(on_paper):
    column = dict(on_paper.rows())
    assert column["so train with"] == ["DDP", "DDP", "FSDP"]
    assert 5e9 * on_paper.BYTES == on_paper.GPU_MEMORY


def test_the_readme_has_the_table_that_the_script_prints(on_paper):
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert on_paper.table() in readme
