"""Data and encoder of a cell; what the next cell needs too is kept for it."""

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
from omegaconf import DictConfig, OmegaConf

from poolbench.build import build
from poolbench.data.corpus import Corpus, tokenise
from poolbench.encoders.base import Encoder
from poolbench.encoders.states import encode_once


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


def with_states(cfg: DictConfig, prepared: Prepared) -> Encoder:
    """The encoder to train with: stored states where it is frozen and they are wanted.

    Raises:
        BadInput: the states would be larger than ``cache.max_gb``.
    """
    if prepared.encoder.tuning == "full" or not cfg.cache.enabled:
        return prepared.encoder
    return _states(
        _json(cfg.dataset),
        _json(cfg.encoder),
        Path(cfg.output_dir) / "cache",
        cfg.cache.max_gb,
        cfg.trainer.enable_progress_bar,
    )


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
    splits = _splits(dataset)
    built: Encoder = build(_without_alias(encoder))
    return Prepared(splits, tokenise(splits, built.tokenize), built)


@functools.lru_cache(maxsize=1)
def _states(dataset: str, encoder: str, folder: Path, max_gb: float, progress: bool) -> Encoder:
    prepared = _prepared(dataset, encoder)
    return encode_once(prepared.encoder, prepared.corpus, folder, max_gb, progress)


def _json(cfg: DictConfig) -> str:
    return json.dumps(plain(cfg), sort_keys=True)


def _without_alias(group: str) -> dict[str, Any]:
    return {key: value for key, value in json.loads(group).items() if key != "alias"}
