"""Poolers and batches for tests: a pooler of ``conf/pooler`` by name, texts, extra inputs."""

from pathlib import Path

import torch
from hydra.utils import get_object
from omegaconf import OmegaConf
from torch import Tensor, nn

from poolbench.poolers.base import EXTRA_INPUTS, Pooler
from poolbench.poolers.native import NativeHead
from poolbench.poolers.subject import Subject

ROOT = Path(__file__).parents[2]
WIDTH = 16
LENGTHS = (1, 2, 12, 5)
POOLERS = sorted(path.stem for path in (ROOT / "conf/pooler").glob("*.yaml"))


def make(name: str, hidden_dim: int = WIDTH, **knobs: object) -> Pooler:
    """A pooler of ``conf/pooler`` in eval mode, with the same weights each time."""
    torch.manual_seed(0)
    config = dict(OmegaConf.to_container(OmegaConf.load(ROOT / f"conf/pooler/{name}.yaml")))
    pooler_class = get_object(config.pop("_target_"))
    dense = nn.Sequential(nn.Linear(hidden_dim, hidden_dim), nn.Tanh())
    offered = {
        "depth": 3,
        "token_counts": torch.tensor([900, 90, 9, 0, 1, 30, 300]),
        "native_head": NativeHead("first", dense),
    }
    given = {key: value for key, value in offered.items() if key in pooler_class.needs}
    return pooler_class(hidden_dim=hidden_dim, **{**config, **knobs}, **given).eval()


def build(name: str, hidden_dim: int = WIDTH, **knobs: object) -> Pooler:
    """``make``, and the pooler takes its extra inputs from ``hidden`` itself."""
    pooler = make(name, hidden_dim, **knobs)
    return Supplied(pooler) if pooler.needs & EXTRA_INPUTS else pooler


class Supplied(Pooler):
    """A pooler whose extra inputs are computed from ``hidden``, token by token."""

    permutation_invariant = False

    def __init__(self, pooler: Pooler) -> None:
        super().__init__(pooler.hidden_dim)
        self.pooler, self.output_dim = pooler, pooler.output_dim
        self.permutation_invariant = pooler.permutation_invariant

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        return self.pooler(hidden, mask, **extra_inputs(self.pooler, hidden))


def extra_inputs(pooler: Pooler, hidden: Tensor) -> dict[str, Tensor]:
    """What ``pooler`` needs in ``forward``, a function of each token's state."""
    signs = (hidden[..., :3] > -1.5).long()
    other = hidden.roll(1, dims=-1) * 0.5
    offered = {
        "token_ids": signs[..., 0] + 2 * signs[..., 1] + 4 * signs[..., 2],
        "layers": torch.stack([other - 1.0, other, hidden * 0.9, hidden], dim=-2),
    }
    return {key: value for key, value in offered.items() if key in pooler.needs}


def texts(dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Four texts of (n, D) states; mostly negative, so that zeros from padding would show."""
    generator = torch.Generator().manual_seed(7)
    return [(torch.randn(n, WIDTH, generator=generator) - 1.5).to(dtype) for n in LENGTHS]


def batch(
    rows: list[Tensor], length: int | None = None, side: str = "right", pad: float = 99.0
) -> tuple[Tensor, Tensor]:
    """The rows padded with ``pad`` to one length: hidden (B, T, D), mask (B, T)."""
    length = length or max(len(row) for row in rows)
    hidden = torch.full((len(rows), length, WIDTH), pad, dtype=rows[0].dtype)
    mask = torch.zeros(len(rows), length, dtype=torch.bool)
    for i, row in enumerate(rows):
        where = slice(0, len(row)) if side == "right" else slice(length - len(row), length)
        hidden[i, where] = row
        mask[i, where] = True
    return hidden, mask


def subject(pooler: Pooler) -> Subject:
    """``pooler`` on right-padded texts, the last of which has a gap in its mask."""
    rows = texts()
    hidden, mask = batch([*rows, rows[2]])
    mask[-1, 3] = False
    return Subject(pooler, hidden, mask, extra_inputs(pooler, hidden))


def close(a: Tensor, b: Tensor, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)
