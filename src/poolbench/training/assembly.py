"""From a configuration to the parts of its model: layers, pooler and head."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hydra.utils import get_object
from omegaconf import DictConfig
from torch import Tensor

from poolbench.core.errors import BadInput
from poolbench.core.seeding import drawing
from poolbench.encoders.base import Encoder
from poolbench.encoders.layer_mix import Layers
from poolbench.poolers.base import Pooler
from poolbench.training.build import build
from poolbench.training.model import Head


@dataclass(frozen=True)
class Parts:
    """What stands behind an encoder, with the initial weights of one seed."""

    layers: Layers
    pooler: Pooler
    head: Head


def assemble(
    cfg: DictConfig, encoder: Encoder, classes: int, token_counts: Callable[[], Tensor]
) -> Parts:
    """Layers, pooler and head, each drawn from its own stream.

    Args:
        cfg: of the cell.
        encoder: what they stand behind.
        classes: C.
        token_counts: how often each token id occurs in the training split; asked for if needed.

    Raises:
        BadInput: they do not go together, or not with this encoder.
    """
    kind: type[Pooler] = get_object(cfg.pooler._target_)
    _check(cfg, kind, encoder)
    layers: Layers = build(cfg.layers, encoder.hidden_dim, encoder.depth)
    with drawing(cfg.seed, "pooler"):
        supplied: dict[str, Any] = {}
        if "token_counts" in kind.needs:
            supplied["token_counts"] = token_counts()
        if "native_head" in kind.needs:
            supplied["native_head"] = encoder.native_head()
        try:
            pooler: Pooler = build(cfg.pooler, hidden_dim=layers.output_dim, **supplied)
        except ValueError as error:
            raise BadInput(f"{kind.__name__}: {error}") from error
    if -min(pooler.reads, default=0) > encoder.depth + 1:
        raise BadInput(
            f"pooler.layers={-min(pooler.reads)} but the encoder has {encoder.depth} layers on top "
            "of its embeddings"
        )
    with drawing(cfg.seed, "head"):
        head: Head = build(cfg.head, pooler.output_dim, classes)
    return Parts(layers, pooler, head)


def layers_read(parts: Parts, encoder: Encoder) -> tuple[int, ...]:
    """Every layer that has to come out of the encoder, in rising order."""
    by_pooler = (layer % (encoder.depth + 1) for layer in parts.pooler.reads)
    return tuple(sorted({*parts.layers.read, *by_pooler}))


def _check(cfg: DictConfig, kind: type[Pooler], encoder: Encoder) -> None:
    name = kind.__name__
    if cfg.pooled_tokens == "content" and kind.reads_special and encoder.special_ids:
        raise BadInput(
            f"{name} is about a special token, which pooled_tokens=content leaves out: use "
            "pooled_tokens=all, or another pooler"
        )
    last = cfg.layers._target_.endswith(".OneLayer") and cfg.layers.index in (-1, encoder.depth)
    if kind.needs & {"layers", "native_head"} and not last:
        raise BadInput(f"{name} chooses its layers itself: use layers=last")
