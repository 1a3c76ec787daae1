"""A pooler of windows and a second one of their vectors: a loop is the oracle."""

import pytest
import torch
from torch import Tensor

from poolbench.poolers import masked
from poolbench.poolers.across_windows import AcrossWindows
from poolbench.poolers.base import Pooler
from poolbench.poolers.contract import LINES, measure
from poolbench.poolers.subject import Subject
from tests.poolers.supplied import batch, close, extra_inputs, make, texts

SIZE = 4
PAIRS = [
    ("mean", "max"),
    ("cls", "mean"),
    ("conv", "attention"),
    ("max_pool_bert", "gru"),
    ("idf_mean", "last"),
    ("self_attentive", "mean"),
]


def windowed(within: str, across: str) -> AcrossWindows:
    first = make(within)
    return AcrossWindows(first, make(across, first.output_dim), SIZE).eval()


def subject(pooler: Pooler) -> Subject:
    """Right-padded texts; the last one has tokens that are not pooled, the first one too."""
    rows = texts()
    hidden, mask = batch([*rows, rows[2]])
    positions = masked.rank(mask)
    mask[-1, [0, 4, 5, 6, 7, 11]] = False
    extra = {name: x for name, x in extra_inputs(pooler, hidden).items() if name in pooler.needs}
    return Subject(pooler, hidden, mask, {**extra, "positions": positions})


@pytest.mark.parametrize(("within", "across"), PAIRS)
def test_it_pools_each_window_and_then_their_vectors(within: str, across: str) -> None:
    pooler = windowed(within, across)
    of = subject(pooler)
    for text, found in zip(of.texts(), of.pooled(), strict=True):
        vectors = []
        window = text.extra_inputs["positions"] // SIZE
        for number in window.unique():
            inside = text.mask & (window == number)
            if inside.any():
                chosen = text.map(lambda x, inside=inside: x[inside][None])
                extra = {k: v for k, v in chosen.extra_inputs.items() if k != "positions"}
                vectors.append(pooler.within(chosen.hidden, chosen.mask, **extra))
        stacked = torch.stack(vectors, dim=1)
        close(pooler.across(stacked, torch.ones(stacked.shape[:2]).bool())[0], found)


@pytest.mark.parametrize(("within", "across"), PAIRS)
def test_it_keeps_the_contract(within: str, across: str) -> None:
    of = subject(windowed(within, across))
    for name, line in measure(of).items():
        if not line["kept"]:
            pytest.fail(f"{name}: {line['promise']}: {LINES[name].result(of)} {line}")


def test_token_weights_are_those_of_the_window_times_that_of_the_token() -> None:
    pooler = windowed("attention", "attention")
    of = subject(pooler)
    weights = pooler.token_weights(of.hidden, of.mask, **of.extra_inputs)
    close(masked.weighted_sum(of.hidden, weights, of.mask), of.pooled())
    assert pooler.weights_label
    assert windowed("mean", "conv").weights_label is None


def test_a_penalty_of_either_pooler_is_that_of_both() -> None:
    pooler = windowed("self_attentive", "self_attentive")
    of = subject(pooler)
    of.pooled()
    assert pooler.extra_loss is not None
    assert pooler.within.extra_loss is None  # a copy of the pooler has no graph
    assert _penalty(pooler.within) is None
    assert pooler.extra_loss.requires_grad


def _penalty(pooler: Pooler) -> Tensor | None:
    return pooler.extra_loss
