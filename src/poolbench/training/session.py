"""Data and encoder of a cell; what the next cell needs too is kept for it."""

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from poolbench.data.datamodule import CorpusDataModule
from poolbench.data.tokenized import Corpus, tokenise
from poolbench.encoders.base import Encoder
from poolbench.encoders.feature_cache import encode_once
from poolbench.training.assembly import Parts, assemble, layers_read
from poolbench.training.build import build
from poolbench.training.model import PooledClassifier
from poolbench.training.vectors import pool_once, poolable_once

VECTOR_SETTINGS = (
    "dataset",
    "encoder",
    "layers",
    "pooler",
    "head",
    "pooled_tokens",
    "batching",
    "cache",
    "trainer",
    "output_dir",
)


@dataclass(frozen=True)
class Prepared:
    """A dataset tokenised for an encoder.

    Attributes:
        splits: the texts and labels.
        corpus: the same as token ids.
        encoder: loaded, untouched.
    """

    splits: datasets.DatasetDict
    corpus: Corpus
    encoder: Encoder

    def parts(self, cfg: DictConfig) -> Parts:
        """What stands behind the encoder in a cell.

        Raises:
            BadInput: the parts do not go together.
        """
        corpus = self.corpus
        return assemble(cfg, self.encoder, len(corpus.class_names), lambda: corpus.token_counts)

    @functools.cached_property
    def digests(self) -> dict[str, str]:
        """What data and encoder really are, under whatever names they were found."""
        return {
            "data": self.corpus.data_digest,
            "tokens": self.corpus.token_digest,
            "test_ids": self.corpus.split_digest("test"),
            "encoder": self.encoder.digest,
        }


def prepare(cfg: DictConfig) -> Prepared:
    """Load and tokenise.

    Raises:
        BadInput: data or encoder cannot be had or used.
    """
    return _prepared(_json(cfg.dataset), _json(cfg.encoder))


def encoder_of(cfg: DictConfig) -> Encoder:
    """The encoder alone, as it was loaded.

    Raises:
        BadInput: it cannot be had or used.
    """
    return _encoder(_json(cfg.encoder))


def model_of(cfg: DictConfig, prepared: Prepared) -> PooledClassifier:
    """The classifier a cell begins with, on stored states where its encoder is frozen.

    Raises:
        BadInput: its parts do not go together, or the states would take more than ``cache.max_gb``.
    """
    model = _assembled(cfg, prepared)
    if poolable_once(model):
        # All that vectors depend on, and where they come from; not the seed, not the optimiser.
        settings = {key: value for key, value in plain(cfg).items() if key in VECTOR_SETTINGS}
        model.vectors = _vectors(json.dumps(settings | {"seed": 0}))
    if cfg.trainer.compile:
        model.encoder.compile(mode=cfg.trainer.compile)
    return model


def batches_of(cfg: DictConfig, prepared: Prepared, pieces: int = 1) -> CorpusDataModule:
    """The batches of a cell; each training batch comes in so many pieces."""
    encoder = prepared.encoder
    return CorpusDataModule(
        prepared.corpus,
        cfg.batch_size,
        cfg.seed,
        encoder.padding_side,
        encoder.pad_id,
        pieces,
        encoder.unpooled_ids(cfg.pooled_tokens),
        grouped=cfg.batching == "grouped",
    )


def encoder_as_run(cfg: DictConfig, prepared: Prepared) -> Encoder:
    """The encoder itself as a cell runs it: the layers it reads, packed if it is to be."""
    read = layers_read(prepared.parts(cfg), prepared.encoder)
    return _as_run(prepared.encoder, read, cfg.batching == "packed")


def trainer_options(cfg: DictConfig) -> dict[str, Any]:
    """What ``pytorch_lightning.Trainer`` takes of the ``trainer`` group."""
    return {key: value for key, value in plain(cfg.trainer).items() if key != "compile"}


def plain(cfg: DictConfig) -> dict[str, Any]:
    """A resolved configuration as plain containers."""
    container = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


@functools.lru_cache(maxsize=8)
def _splits(dataset: str) -> datasets.DatasetDict:
    return build(_without_alias(dataset))


@functools.lru_cache(maxsize=2)
def _prepared(dataset: str, encoder: str) -> Prepared:
    splits, built = _splits(dataset), _encoder(encoder)
    return Prepared(splits, tokenise(splits, built.tokenize), built)


@functools.lru_cache(maxsize=2)
def _encoder(encoder: str) -> Encoder:
    built: Encoder = build(_without_alias(encoder))
    return built


@functools.lru_cache(maxsize=1)
def _states(
    dataset: str,
    encoder: str,
    layers: tuple[int, ...],
    packed: bool,
    folder: Path,
    max_gb: float,
    progress: bool,
) -> Encoder:
    prepared = _prepared(dataset, encoder)
    as_run = _as_run(prepared.encoder, layers, packed)
    return encode_once(as_run, prepared.corpus, folder, max_gb, progress)


def _as_run(encoder: Encoder, layers: tuple[int, ...], packed: bool) -> Encoder:
    # A copy: an encoder that trains must not hand its weights on to the next cell of a sweep.
    other = encoder.reading(layers)
    if packed:
        other.pack()
    return other


def _assembled(cfg: DictConfig, prepared: Prepared) -> PooledClassifier:
    parts = prepared.parts(cfg)
    read = layers_read(parts, prepared.encoder)
    if prepared.encoder.tuning == "full" or not cfg.cache.enabled:
        encoder = _as_run(prepared.encoder, read, cfg.batching == "packed")
    else:
        encoder = _states(
            _json(cfg.dataset),
            _json(cfg.encoder),
            read,
            cfg.batching == "packed",
            Path(cfg.output_dir) / "cache",
            cfg.cache.max_gb,
            cfg.trainer.enable_progress_bar,
        )
    return PooledClassifier(encoder, parts.layers, parts.pooler, parts.head)


@functools.lru_cache(maxsize=4)
def _vectors(settings: str) -> Tensor:
    cfg = OmegaConf.create(json.loads(settings))
    prepared = prepare(cfg)
    model = _assembled(cfg, prepared)
    return pool_once(model, prepared.corpus, model.encoder.unpooled_ids(cfg.pooled_tokens))


def _json(cfg: DictConfig) -> str:
    return json.dumps(plain(cfg), sort_keys=True)


def _without_alias(group: str) -> dict[str, Any]:
    return {key: value for key, value in json.loads(group).items() if key != "alias"}
