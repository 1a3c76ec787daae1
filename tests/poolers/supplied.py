"""What a pooler needs besides (hidden, mask), made from the states: the contract holds for all."""

from pathlib import Path

import torch
from hydra.utils import get_object
from omegaconf import OmegaConf
from torch import Tensor, nn

from poolbench.encoders.native import NativeHead
from poolbench.poolers.base import Beside, Pooler
from poolbench.training.build import build as build_from

ROOT = Path(__file__).parents[2]
WIDTH = 16


class Supplied(Pooler):
    """A pooler that takes its token ids and layers from ``hidden`` itself, token by token."""

    def __init__(self, pooler: Pooler) -> None:
        super().__init__(pooler.hidden_dim)
        self.pooler, self.output_dim = pooler, pooler.output_dim
        self.permutation_invariant = pooler.permutation_invariant

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        return self.pooler(hidden, mask, beside(hidden))


def beside(hidden: Tensor) -> Beside:
    signs = (hidden[..., :3] > -1.5).long()
    other = hidden.roll(1, dims=2) * 0.5
    return Beside(
        token_ids=signs[..., 0] + 2 * signs[..., 1] + 4 * signs[..., 2],
        layers=torch.stack([other - 1.0, other, hidden * 0.9, hidden], dim=2),
    )


def build(name: str, width: int = WIDTH, **knobs: object) -> Pooler:
    """A pooler of ``conf/pooler`` with the same weights each time."""
    torch.manual_seed(0)
    config = OmegaConf.load(ROOT / f"conf/pooler/{name}.yaml")
    needs = get_object(config._target_).needs
    dense = nn.Sequential(nn.Linear(width, width), nn.Tanh())
    offered = {
        "token_counts": torch.tensor([900, 90, 9, 0, 1, 30, 300]),
        "native_head": NativeHead("first", dense),
    }
    given = {key: value for key, value in offered.items() if key in needs}
    pooler: Pooler = build_from({**config, **knobs}, hidden_dim=width, **given).eval()
    return Supplied(pooler) if needs & {"token_ids", "layers"} else pooler
