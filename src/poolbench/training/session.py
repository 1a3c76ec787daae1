"""What the runs of one command share: datasets, encoders and cached features."""

import copy
import functools
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import datasets
import pytorch_lightning as pl
import torch

from poolbench.core.environment import set_matmul_precision
from poolbench.data.collate import Batch
from poolbench.data.datamodule import TokenizedDataModule
from poolbench.data.duplicates import count_duplicates
from poolbench.data.loaders import SPLITS
from poolbench.data.splits import cross_validation
from poolbench.data.tokenized import TokenizedDataset, tokenize_splits
from poolbench.encoders.base import Encoder
from poolbench.encoders.feature_cache import cache_hidden_states, cache_pooled
from poolbench.encoders.layer_mix import LayerMix
from poolbench.poolers.base import Pooler
from poolbench.runs.record import ContractLine
from poolbench.training import throughput
from poolbench.training.certificate import certify
from poolbench.training.config import Config, build
from poolbench.training.model import Head, PooledClassifier, build_parts, required_layers

T = TypeVar("T")
TIMED_BATCHES = 6


@dataclass(frozen=True)
class Inputs:
    """A dataset, tokenized for an encoder; with cross-validation, as one fold sees it.

    Attributes:
        splits: texts and labels.
        data: the same as token ids.
        encoder: as loaded; runs work on copies.
    """

    splits: datasets.DatasetDict
    data: TokenizedDataset
    encoder: Encoder

    @functools.cached_property
    def digests(self) -> dict[str, str]:
        """Digests of the content of dataset and encoder; their names do not count."""
        return {
            "data": self.data.data_digest,
            "tokens": self.data.token_digest,
            "test_ids": self.data.split_digest("test"),
            "encoder": self.encoder.digest,
        }

    @functools.cached_property
    def duplicates(self) -> dict[str, int]:
        """Texts and groups that splits share, and texts with different labels."""
        return count_duplicates(self.splits)


class Session:
    """Loads datasets and encoders, and computes features, once for all runs that need them.

    Only the most recent ones are kept in memory: the runs of a sweep are sorted so that those with
    one dataset and encoder follow each other. What cannot be loaded or does not fit together raises
    a UserError.
    """

    def __init__(self) -> None:
        set_matmul_precision()
        self._kept: dict[str, dict[str, Any]] = {}

    def encoder(self, config: Config) -> Encoder:
        """The encoder, as loaded."""
        return self._keep("encoder", 2, _key(config.encoder), lambda: build(config.encoder))

    def inputs(self, config: Config) -> Inputs:
        """Dataset and encoder of a run.

        With cross-validation the fold is the seed. All folds share the token ids, in which only
        the splits differ, and so the cached features.
        """
        dataset, k = config.dataset, config.folds

        def load() -> Inputs:
            splits = self._keep("splits", 2, _key(dataset), lambda: build(dataset))
            encoder = self.encoder(config)
            return Inputs(splits, tokenize_splits(splits, encoder.tokenize), encoder)

        whole = self._keep("inputs", 2, _key(dataset, config.encoder), load)
        if not k:
            return whole

        def cut() -> list[Inputs]:
            table = datasets.concatenate_datasets([whole.splits[name] for name in SPLITS])
            return [
                Inputs(
                    datasets.DatasetDict({name: table.select(ids) for name, ids in rows.items()}),
                    replace(whole.data, splits={n: torch.tensor(ids) for n, ids in rows.items()}),
                    whole.encoder,
                )
                for rows in cross_validation(table, k, dataset.get("split_seed", 0))
            ]

        return self._keep("folds", 2, _key(dataset, config.encoder, k), cut)[config.seed]

    def parts(self, config: Config) -> tuple[LayerMix, Pooler, Head]:
        """New layer mix, pooler and head of a run."""
        inputs = self.inputs(config)
        data = inputs.data
        return build_parts(config, inputs.encoder, len(data.class_names), lambda: data.token_counts)

    def model(self, config: Config) -> PooledClassifier:
        """The model that a run starts from, on cached features if its encoder is frozen."""
        inputs, parts = self.inputs(config), self.parts(config)
        read = required_layers(parts[0], parts[1], inputs.encoder)
        if inputs.encoder.tuning == "full" or not config.cache.enabled:
            model = PooledClassifier(self.run_encoder(config, read), *parts)
        else:
            key = _key(config.dataset, config.encoder, read, config.batching, config.output_dir)
            cached = functools.partial(
                cache_hidden_states,
                dataset=inputs.data,
                folder=Path(config.output_dir) / "cache",
                max_gb=config.cache.max_gb,
                progress=config.trainer.enable_progress_bar,
            )
            encoder = self._keep("states", 1, key, lambda: cached(self.run_encoder(config, read)))
            model = PooledClassifier(encoder, *parts)
            if model.has_fixed_vectors:
                # What is counted in the training texts differs between folds.
                counts = config.folds and "token_counts" in model.pooler.needs
                fold = (config.folds, config.seed) if counts else None
                model.vectors = self._keep(
                    "vectors",
                    1,
                    key + _key(config.pooler, config.layers, config.pooled_tokens, fold),
                    lambda: cache_pooled(model.pool, encoder, inputs.data, config.pooled_tokens),
                )
        if config.trainer.compile:
            model.encoder.compile(mode=config.trainer.compile)
        return model

    def run_encoder(self, config: Config, layers: tuple[int, ...]) -> Encoder:
        """A copy of the encoder as a run uses it: it computes these layers, packed if configured.

        A copy, since an encoder that trains must not change the next run of a sweep.
        """
        encoder = self.encoder(config).with_layers(layers)
        if config.batching == "packed":
            encoder.pack()
        return encoder

    def computing_model(self, config: Config, model: PooledClassifier) -> PooledClassifier:
        """A copy of a model that computes hidden states itself, from token ids."""
        parts = copy.deepcopy((model.layers, model.pooler, model.head))
        return self._on_encoder(config, *parts)

    def untrained_model(self, config: Config) -> PooledClassifier:
        """The model that a run starts from, computing hidden states itself."""
        return self._on_encoder(config, *self.parts(config))

    def _on_encoder(
        self, config: Config, layers: LayerMix, pooler: Pooler, head: Head
    ) -> PooledClassifier:
        read = required_layers(layers, pooler, self.encoder(config))
        return PooledClassifier(self.run_encoder(config, read), layers, pooler, head)

    def datamodule(self, config: Config, first: int | None = None) -> TokenizedDataModule:
        """The batches of a run, or of the ``first`` examples of each split."""
        data, collate = self.inputs(config).data, self.encoder(config).collate
        batch = functools.partial(collate, data, pooled_tokens=config.pooled_tokens)
        grouped = config.batching == "grouped"
        data = replace(data, splits={name: rows[:first] for name, rows in data.splits.items()})
        return TokenizedDataModule(data, batch, config.batch_size, config.seed, grouped)

    def certificate(
        self, config: Config, variant: str, model: PooledClassifier
    ) -> dict[str, ContractLine]:
        """The lines of the pooler contract, measured once for all runs of a variant."""

        def measure() -> dict[str, ContractLine]:
            computing = self.computing_model(config, model)
            return certify(computing, self.inputs(config).data, config.pooled_tokens)

        return self._keep("certificate", sys.maxsize, variant, measure)

    def throughput(
        self, config: Config, variant: str, model: PooledClassifier, trainer: pl.Trainer
    ) -> dict[str, float]:
        """``perf/*``, measured on the test split once for all runs of a variant."""

        def measure() -> dict[str, float]:
            return throughput.measure(
                self.computing_model(config, model),
                self.test_batches(config, TIMED_BATCHES),
                trainer.strategy.root_device,
                trainer.precision_plugin.forward_context,
            )

        return self._keep("throughput", sys.maxsize, variant, measure)

    def test_batches(self, config: Config, number: int) -> list[Batch]:
        """Some batches of the test split, of all lengths."""
        inputs = self.inputs(config)
        rows = inputs.data.splits["test"]
        batches = rows[inputs.data.lengths[rows].argsort(stable=True)].split(config.batch_size)
        places = torch.linspace(0, len(batches) - 1, min(number, len(batches))).long().tolist()
        pooled_tokens = config.pooled_tokens
        return [inputs.encoder.collate(inputs.data, batches[i], pooled_tokens) for i in places]

    def _keep(self, kind: str, most: int, key: str, compute: Callable[[], T]) -> T:
        """The result of ``compute`` for a key; the last ``most`` results of a kind are kept."""
        kept = self._kept.setdefault(kind, {})
        result: T = kept.pop(key) if key in kept else compute()
        kept[key] = result
        if len(kept) > most:
            del kept[next(iter(kept))]
        return result


def _key(*settings: Any) -> str:
    """Settings as a string; ``alias`` is for display only."""
    loaded = [
        {k: v for k, v in s.items() if k != "alias"} if isinstance(s, dict) else s for s in settings
    ]
    return json.dumps(loaded, sort_keys=True)
