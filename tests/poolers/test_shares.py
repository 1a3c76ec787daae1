"""The shares of tokens in ``pooled``: they are shares, of real tokens, and of the right ones."""

import pytest
import torch
from hydra.utils import get_object
from omegaconf import OmegaConf
from torch import Tensor

from poolbench.poolers import masked
from poolbench.poolers.base import Pooler
from tests.poolers.contract import batch, close, texts
from tests.poolers.supplied import ROOT, Supplied, beside, build
from tests.poolers.test_contract import POOLERS

WEIGHING = [
    name
    for name in POOLERS
    if get_object(OmegaConf.load(ROOT / f"conf/pooler/{name}.yaml")._target_).weighs
]
SUMS = ("attention", "cls", "gated_attention", "last", "max_attention", "mean", "positional_mean")
SUMS += ("weighted_mean",)


def shares(pooler: Pooler, hidden: Tensor, mask: Tensor) -> Tensor:
    if isinstance(pooler, Supplied):
        return pooler.pooler.shares(hidden, mask, token_ids=beside(hidden).token_ids)
    return pooler.shares(hidden, mask)


@pytest.mark.parametrize("name", WEIGHING)
def test_shares_of_real_tokens_sum_to_one(name: str) -> None:
    pooler = build(name)
    hidden, mask = batch(texts(), length=9, pad=float("nan"))
    hidden = torch.cat([hidden, torch.full_like(hidden[:1], float("nan"))])
    mask = torch.cat([mask, torch.zeros_like(mask[:1])])
    found = shares(pooler, hidden, mask)
    assert found.shape == mask.shape
    assert (found >= 0).all()
    assert (found[~mask] == 0).all()
    close(found.sum(dim=1), mask.any(dim=1).float())


@pytest.mark.parametrize("name", WEIGHING)
def test_padding_does_not_move_a_share(name: str) -> None:
    pooler = build(name)
    right = shares(pooler, *batch(texts()))
    for row, text in enumerate(texts()):
        hidden, mask = batch([text], length=11, side="left")
        close(shares(pooler, hidden, mask)[mask], right[row, : len(text)])


@pytest.mark.parametrize("name", SUMS)
def test_a_weighted_mean_is_the_sum_of_its_shares(name: str) -> None:
    pooler = build(name)
    hidden, mask = batch(texts())
    close(masked.weighted_sum(hidden, shares(pooler, hidden, mask), mask), pooler(hidden, mask))


def test_idf_shares_are_those_of_its_weights_up_to_a_factor() -> None:
    pooler = build("idf_mean")
    hidden, mask = batch(texts())
    summed = masked.weighted_sum(hidden, shares(pooler, hidden, mask), mask)
    close(torch.cosine_similarity(summed, pooler(hidden, mask)), torch.ones(len(mask)))


def test_the_maximum_counts_dimensions_and_splits_ties() -> None:
    hidden = torch.tensor([[[9.0, 9.0, 9.0, 1.0], [0.0, 0.0, 9.0, 5.0], [99.0] * 4]])
    mask = torch.tensor([[True, True, False]])
    pooler = build("max", width=4)
    assert pooler.shares(hidden, mask).tolist() == [[0.625, 0.375, 0.0]]
    assert build("min", width=4).shares(-hidden, mask).tolist() == [[0.625, 0.375, 0.0]]
    assert build("mean_max", width=4).shares(hidden, mask).tolist() == [[0.5625, 0.4375, 0.0]]


def test_several_queries_share_alike() -> None:
    """Half of the queries look at the first token alone, half at the second."""
    pooler = build("efficient_probing", width=4, queries=2)
    with torch.no_grad():
        pooler.queries.copy_(torch.tensor([[1e4, 0.0, 0.0, 0.0], [0.0, 1e4, 0.0, 0.0]]))
    hidden = torch.tensor([[[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0] * 4]])
    found = pooler.shares(hidden, torch.ones(1, 3, dtype=torch.bool))
    close(found, torch.tensor([[0.5, 0.5, 0.0]]))


def test_a_pooler_without_weights_says_so() -> None:
    pooler = build("conv")
    assert pooler.weighs is None
    with pytest.raises(TypeError, match="gives tokens no weight"):
        pooler.shares(*batch(texts()))
