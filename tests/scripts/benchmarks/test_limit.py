"""The limit counts the operations that torch itself counts, and no machine beats it."""

import limit
import pytest
import torch
from machine import Rates, copy_bandwidth, gemm_rate
from torch.utils.flop_counter import FlopCounterMode

from poolbench.data.collate import make_batch
from tests.conftest import make_scratch
from tests.data.test_collate import corpus


def test_a_forward_pass_has_the_operations_that_torch_counts() -> None:
    """Texts of one length, so that nothing is padding; biases and norms are what may differ."""
    encoder = make_scratch(hidden_dim=64, layers=2)
    texts = corpus([[5] * 24] * 3)
    work = limit.arithmetic(encoder.model, layers=2, width=64)
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        encoder(make_batch(texts, torch.arange(3)))
    assert work.forward(texts.lengths.tolist()) == pytest.approx(
        counted.get_total_flops(), rel=0.03
    )


def test_training_all_costs_three_passes_and_training_none_costs_one() -> None:
    rates = Rates(flops=1e9, bytes=1e12)
    frozen = limit.training_seconds(1e9, 0.0, 0, 10, rates)
    assert frozen == limit.encoding_seconds(1e9, rates)
    assert limit.training_seconds(1e9, 1.0, 0, 10, rates) == pytest.approx(3 * frozen)
    with_optimizer = limit.training_seconds(1e9, 1.0, 1_000_000_000, 10, rates)
    assert with_optimizer - 3 * frozen == pytest.approx(0.28)


def test_measured_rates_are_of_this_world() -> None:
    cpu = torch.device("cpu")
    assert 1e8 < gemm_rate(torch.float32, cpu, side=128) < 1e14
    assert 1e8 < copy_bandwidth(cpu, size=1_000_000) < 1e13
