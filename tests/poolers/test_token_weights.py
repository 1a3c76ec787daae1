"""Token weights are non-negative, ignore padding, and are those of the pooled vector."""

import pytest
import torch
from torch import Tensor

from poolbench.poolers import masked
from poolbench.poolers.base import Pooler, WeightedSumPooler
from tests.poolers.supplied import POOLERS, batch, close, extra_inputs, make, texts

WEIGHTED = [name for name in POOLERS if make(name).weights_label]


def token_weights(pooler: Pooler, hidden: Tensor, mask: Tensor) -> Tensor:
    return pooler.token_weights(hidden, mask, **extra_inputs(pooler, hidden))


@pytest.mark.parametrize("name", WEIGHTED)
def test_weights_of_valid_tokens_sum_to_one_and_ignore_padding(name: str) -> None:
    pooler = make(name)
    hidden, mask = batch(texts(), length=15, side="left", pad=float("nan"))
    hidden = torch.cat([hidden, torch.full_like(hidden[:1], float("nan"))])
    mask = torch.cat([mask, torch.zeros_like(mask[:1])])
    found = token_weights(pooler, hidden, mask)
    assert found.shape == mask.shape
    assert (found >= 0).all()
    assert (found[~mask] == 0).all()
    if name != "idf_mean":  # its weights are at most 1/n
        close(found.sum(dim=1), mask.any(dim=1).float())
    for row, text in enumerate(texts()):
        close(token_weights(pooler, *batch([text]))[0], found[row][mask[row]])


@pytest.mark.parametrize("name", ["cls", "last", "mean", "weighted_mean"])
def test_a_weighted_mean_is_the_sum_of_its_weights(name: str) -> None:
    pooler = make(name)
    hidden, mask = batch(texts())
    weights = token_weights(pooler, hidden, mask)
    close(masked.weighted_sum(hidden, weights, mask), pooler(hidden, mask))


def test_weighted_sums_are_computed_by_the_base_class() -> None:
    sums = [name for name in POOLERS if isinstance(make(name), WeightedSumPooler)]
    assert {"attention", "gated_attention", "idf_mean", "max_attention"} <= set(sums)
    assert all(type(make(name)).forward is WeightedSumPooler.forward for name in sums)


def test_maximum_counts_dimensions_and_divides_ties() -> None:
    hidden = torch.tensor([[[9.0, 9.0, 9.0, 1.0], [0.0, 0.0, 9.0, 5.0], [99.0] * 4]])
    mask = torch.tensor([[True, True, False]])
    assert make("max", hidden_dim=4).token_weights(hidden, mask).tolist() == [[0.625, 0.375, 0.0]]
    assert make("min", hidden_dim=4).token_weights(-hidden, mask).tolist() == [[0.625, 0.375, 0.0]]
    found = make("mean_max", hidden_dim=4).token_weights(hidden, mask)
    assert found.tolist() == [[0.5625, 0.4375, 0.0]]


def test_weights_are_averaged_over_queries() -> None:
    """One query attends to the first token only, the other to the second."""
    pooler = make("efficient_probing", hidden_dim=4, queries=2)
    with torch.no_grad():
        pooler.queries.copy_(torch.tensor([[1e4, 0.0, 0.0, 0.0], [0.0, 1e4, 0.0, 0.0]]))
    hidden = torch.tensor([[[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0] * 4]])
    found = pooler.token_weights(hidden, torch.ones(1, 3, dtype=torch.bool))
    close(found, torch.tensor([[0.5, 0.5, 0.0]]))


def test_a_pooler_without_token_weights_raises() -> None:
    pooler = make("conv")
    assert pooler.weights_label is None
    with pytest.raises(TypeError, match="no token weights"):
        pooler.token_weights(*batch(texts()))
