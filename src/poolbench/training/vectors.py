"""Pooled vectors of runs that train nothing, from one pass of the encoder for all of them."""

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from poolbench.encoders.feature_cache import pooled_vectors
from poolbench.training.config import Config
from poolbench.training.model import PooledModel, required_layers

if TYPE_CHECKING:
    from poolbench.training.session import Session

SHARE_OF_MEMORY = 1 / 3  # for the vectors of all runs


class UntrainedVectors:
    """Computes the vectors of a run together with those of the runs to come.

    Attributes:
        expected: the configurations of these runs; some may train.
    """

    def __init__(self) -> None:
        self.expected: Sequence[Config] = ()
        self._vectors: dict[tuple[str, str], Tensor] = {}

    def take(self, config: Config, session: "Session") -> Tensor:
        """The vectors (M, P) of all texts; they are not kept here any longer."""
        if _key(config) not in self._vectors:
            self._vectors = {}  # before others are made
            chosen = dict(self._chosen(config, session))
            encoder = next(iter(chosen.values())).encoder
            found = pooled_vectors(
                [model.pool for model in chosen.values()],
                encoder,
                session.inputs(config).data,
                config.pooled_tokens,
                config.trainer.enable_progress_bar,
            )
            self._vectors = dict(zip(chosen, found, strict=True))
        return self._vectors.pop(_key(config))

    def _chosen(
        self, config: Config, session: "Session"
    ) -> Iterator[tuple[tuple[str, str], PooledModel]]:
        """Models on one encoder: that of a run, and others for whose vectors there is memory."""
        inputs = _key(config)[0]
        runs = {_key(c): c for c in (config, *self.expected) if _key(c)[0] == inputs}
        parts = {key: session.parts(other) for key, other in runs.items()}
        read = {required_layers(*part[:2], session.encoder(config)) for part in parts.values()}
        encoder = session.run_encoder(config, tuple(sorted(set().union(*read))))
        room = SHARE_OF_MEMORY * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        texts = len(session.inputs(config).data.lengths)
        for key, part in parts.items():
            model = PooledModel(encoder, *part)
            if model.learns or not model.has_fixed_vectors:
                continue
            room -= 4 * texts * model.pooler.output_dim
            if room > 0 or key == _key(config):
                yield key, model


def _key(config: Config) -> tuple[str, str]:
    """What a pass of the encoder depends on, and what a pooled vector depends on besides."""
    inputs = {"dataset", "encoder", "task", "batching", "pooled_tokens", "train_max_tokens"}
    parts = {"pooler", "across", "layers"}
    return config.model_dump_json(include=inputs), config.model_dump_json(include=parts)
