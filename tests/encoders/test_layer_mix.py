"""Combinations of layers against a loop, and rejected indices."""

import pytest
import torch

from poolbench.core.errors import UserError
from poolbench.encoders.layer_mix import LayerConcat, LayerMean, ScalarMix, SingleLayer

STATES = torch.randn(2, 5, 4, 8, generator=torch.Generator().manual_seed(0))  # B T R D


def test_indices_count_from_either_end() -> None:
    assert SingleLayer(8, 6, -1).indices == (6,)
    assert LayerMean(8, 6, [0, -2]).indices == (0, 5)
    assert ScalarMix(8, 3).indices == (0, 1, 2, 3)


def test_results_agree_with_a_loop_over_layers() -> None:
    layers = [STATES[:, :, i] for i in range(4)]
    torch.testing.assert_close(LayerMean(8, 6, [1, 2, 3, 4])(STATES), sum(layers) / 4)
    concat = LayerConcat(8, 6, [1, 2, 3, 4])
    assert torch.equal(concat(STATES), torch.cat(layers, dim=2))
    assert concat.output_dim == 32
    mix = ScalarMix(8, 3)
    torch.testing.assert_close(mix(STATES), sum(layers) / 4)
    mix.weights.data, mix.scale.data = torch.tensor([0.0, 1.0, 2.0, 3.0]), torch.tensor(0.5)
    weights = mix.weights.exp() / mix.weights.exp().sum()
    expected = 0.5 * sum(w * layer for w, layer in zip(weights, layers, strict=True))
    torch.testing.assert_close(mix(STATES), expected)


@pytest.mark.parametrize(
    ("indices", "message"),
    [([5], "layer 5 does not exist.*0 .* to 4"), ([1, -4], "twice"), ([], "at least one")],
)
def test_impossible_indices_are_rejected(indices: list[int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        LayerMean(8, 4, indices)
