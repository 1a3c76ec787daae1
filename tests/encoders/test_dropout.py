"""Dropout against what it promises: each value on its own, with the share asked for."""

import numpy as np
import pytest
import torch
from scipy.stats import binom, chisquare
from torch import nn

from poolbench.encoders.dropout import Dropout, drop, exchange

ONES = torch.ones(1001, 401)  # no multiple of four


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(11)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
def test_the_share_that_is_dropped_is_the_share_asked_for(share: float) -> None:
    dropped = int((drop(ONES, share) == 0).sum())
    low, high = binom.interval(1 - 1e-6, ONES.numel(), share)
    assert low <= dropped <= high


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_what_is_kept_is_scaled_up_so_that_the_mean_stays(share: float) -> None:
    kept = drop(ONES, share).unique()
    assert kept.tolist() == pytest.approx([0.0, 1 / (1 - share)], rel=1e-4)


def test_neighbours_are_dropped_independently() -> None:
    """All sixteen patterns of the four values that share a draw are as frequent as they should."""
    gone = (drop(torch.ones(100_000, 4), 0.25) == 0).numpy()
    counts = np.bincount(gone @ np.array([1, 2, 4, 8]), minlength=16)
    number = np.array([bin(pattern).count("1") for pattern in range(16)])
    expected = len(gone) * 0.25**number * 0.75 ** (4 - number)
    assert chisquare(counts, expected).pvalue > 1e-6


def test_the_gradient_goes_where_the_value_went() -> None:
    values = torch.randn(64, 33, requires_grad=True)
    out = drop(values, 0.2)
    out.sum().backward()
    torch.testing.assert_close(out, values * values.grad)


def test_the_same_seed_drops_the_same_values() -> None:
    once = drop(ONES, 0.1)
    torch.manual_seed(11)
    assert torch.equal(drop(ONES, 0.1), once)
    assert not torch.equal(drop(ONES, 0.1), once)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_the_dtype_stays(dtype: torch.dtype) -> None:
    assert drop(torch.ones(8, dtype=dtype), 0.5).dtype == dtype


@pytest.mark.parametrize(("share", "left"), [(0.0, 1.0), (1.0, 0.0)])
def test_nothing_and_everything(share: float, left: float) -> None:
    assert (drop(ONES, share) == left).all()


def test_every_dropout_of_a_model_is_exchanged_and_is_off_in_evaluation() -> None:
    model = nn.Sequential(nn.Dropout(0.3), nn.ModuleDict({"inner": nn.Dropout(0.4)})).eval()
    exchange(model)
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Dropout)]
    assert [(type(layer), layer.p) for layer in layers] == [(Dropout, 0.3), (Dropout, 0.4)]
    assert torch.equal(layers[0](ONES), ONES)
    assert (layers[0].train()(ONES) == 0).any()
