"""What the runs of one command share: datasets, encoders and cached features."""

import copy
import functools
import inspect
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import datasets
import pytorch_lightning as pl
import torch

from poolbench.core.environment import set_matmul_precision
from poolbench.core.errors import UserError
from poolbench.data.collate import Batch
from poolbench.data.datamodule import TokenizedDataModule
from poolbench.data.loaders import SPLITS
from poolbench.data.splits import cross_validation
from poolbench.data.tokenize_splits import tokenize_splits
from poolbench.encoders.base import Encoder
from poolbench.encoders.feature_cache import cache_hidden_states, pooled_vectors
from poolbench.encoders.layer_mix import LayerMix
from poolbench.poolers.base import Pooler
from poolbench.runs.record import ContractLine
from poolbench.tasks.base import Task
from poolbench.tasks.heads import Head
from poolbench.training import throughput
from poolbench.training.certificate import certify
from poolbench.training.components import build, target_of
from poolbench.training.config import Config
from poolbench.training.inputs import Inputs
from poolbench.training.model import PooledModel, build_parts, build_task, required_layers
from poolbench.training.vectors import UntrainedVectors

T = TypeVar("T")
TIMED_BATCHES = 4


class Session:
    """Loads datasets and encoders, and computes features, once for all runs that need them.

    Only the most recent ones are kept in memory: the runs of a sweep are sorted so that those with
    one dataset and encoder follow each other. What cannot be loaded or does not fit together raises
    a UserError.
    """

    def __init__(self) -> None:
        set_matmul_precision()
        self._kept: dict[str, dict[str, Any]] = {}
        self.untrained = UntrainedVectors()

    def encoder(self, config: Config) -> Encoder:
        """The encoder, as loaded."""
        return self._keep("encoder", 2, _key(config.encoder), lambda: build(config.encoder))

    def inputs(self, config: Config) -> Inputs:
        """Dataset and encoder of a run.

        With cross-validation the fold is the seed. All folds share the token ids, in which only
        the splits differ, and so the cached features.
        """
        dataset, k = config.dataset, config.folds
        columns = target_of(config.task, config.allow_targets).columns
        needs = [columns.texts, columns.target]
        together = config.pair_features == "together"
        # Datasets that serve one task only do not ask for which one they are loaded.
        takes = inspect.signature(target_of(dataset, config.allow_targets)).parameters
        given = {"columns": columns} if {"columns", "options"} & set(takes) else {}

        def load() -> Inputs:
            splits = self._keep("splits", 2, _key(dataset, needs), lambda: build(dataset, **given))
            encoder = self.encoder(config)
            pairs = encoder.tokenize_pairs if together else None
            data = tokenize_splits(splits, encoder.tokenize, columns, pairs)
            return Inputs(splits, data if k else data.trained_on_short(short), encoder, columns)

        short = config.train_max_tokens
        key = _key(dataset, config.encoder, needs, together, short)
        whole = self._keep("inputs", 2, key, load)
        if not k:
            return whole
        if columns.target == "relevance":  # rows are not examples, and the corpus is in all splits
            raise UserError(f"split={config.split}: retrieval has no cross-validation")

        def cut() -> list[Inputs]:
            table = datasets.concatenate_datasets([whole.splits[name] for name in SPLITS])
            found = []
            for rows in cross_validation(table, k, dataset.get("split_seed", 0), columns):
                texts = {name: table.select(ids) for name, ids in rows.items()}
                ids = {name: torch.tensor(ids) for name, ids in rows.items()}
                data = replace(whole.data, splits=ids).trained_on_short(short)
                found.append(Inputs(datasets.DatasetDict(texts), data, whole.encoder, columns))
            return found

        return self._keep("folds", 2, key + str(k), cut)[config.seed]

    def task(self, config: Config) -> Task:
        """The task of a run, with metrics of its own."""
        return build_task(config, self.inputs(config).data)

    def parts(self, config: Config) -> tuple[LayerMix, Pooler, Head]:
        """New layer mix, pooler and head of a run."""
        inputs = self.inputs(config)
        data = inputs.data
        return build_parts(config, inputs.encoder, self.task(config), lambda: data.token_counts)

    def learns(self, config: Config) -> bool:
        """Whether a run trains anything; if not, its result is the same for every seed."""
        if not target_of(config.task, config.allow_targets).headless:
            return True
        learned = any(True for part in self.parts(config) for _ in part.parameters())
        return learned or self.encoder(config).tuning == "full"

    def model(self, config: Config) -> PooledModel:
        """The model that a run starts from, on cached features if its encoder is frozen."""
        model, inputs = self.new_model(config), self.inputs(config)
        if not model.learns and model.has_fixed_vectors:
            model.vectors = self.untrained.take(config, self)
        elif model.learns and inputs.encoder.tuning == "frozen" and config.cache.enabled:
            read = model.encoder.layers
            key = _key(inputs.digests["tokens"], config.encoder, read, config.batching)
            key += config.output_dir
            cached = functools.partial(
                cache_hidden_states,
                dataset=inputs.data,
                folder=Path(config.output_dir) / "cache",
                max_gb=config.cache.max_gb,
                progress=config.trainer.enable_progress_bar,
            )
            encoder = self._keep("states", 1, key, lambda: cached(model.encoder))
            model = PooledModel(encoder, model.layers, model.pooler, model.head)
            if model.has_fixed_vectors:
                counted = None  # the training texts of which a pooler needs counts
                if "token_counts" in model.pooler.needs:
                    fold = config.seed if config.folds else None
                    counted = [config.folds, fold, config.train_max_tokens]
                pooled = functools.partial(
                    pooled_vectors, [model.pool], encoder, inputs.data, config.pooled_tokens
                )
                key += _key(
                    config.pooler, config.across, config.layers, config.pooled_tokens, counted
                )
                (model.vectors,) = self._keep("vectors", 1, key, pooled)
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

    def computing_model(self, config: Config, model: PooledModel) -> PooledModel:
        """A copy of a model that computes hidden states itself, from token ids."""
        parts = copy.deepcopy((model.layers, model.pooler, model.head))
        return self._on_encoder(config, *parts)

    def new_model(self, config: Config) -> PooledModel:
        """The model that a run starts from, computing hidden states itself."""
        return self._on_encoder(config, *self.parts(config))

    def _on_encoder(
        self, config: Config, layers: LayerMix, pooler: Pooler, head: Head
    ) -> PooledModel:
        read = required_layers(layers, pooler, self.encoder(config))
        return PooledModel(self.run_encoder(config, read), layers, pooler, head)

    def datamodule(self, config: Config, first: int | None = None) -> TokenizedDataModule:
        """The batches of a run, or of the ``first`` examples of each split."""
        data, collate = self.inputs(config).data, self.encoder(config).collate
        batch = functools.partial(collate, data, pooled_tokens=config.pooled_tokens)
        grouped = config.batching == "grouped"
        data = replace(data, splits={name: rows[:first] for name, rows in data.splits.items()})
        return TokenizedDataModule(data, batch, config.batch_size, config.seed, grouped)

    def certificate(
        self, config: Config, variant: str, model: PooledModel
    ) -> dict[str, ContractLine]:
        """The lines of the pooler contract, measured once for all runs of a variant."""

        def measure() -> dict[str, ContractLine]:
            computing = self.computing_model(config, model)
            return certify(computing, self.inputs(config).data, config.pooled_tokens)

        return self._keep("certificate", sys.maxsize, variant, measure)

    def throughput(
        self, config: Config, variant: str, model: PooledModel, trainer: pl.Trainer
    ) -> dict[str, float]:
        """``perf/*``, measured on the test split once for all runs of a variant."""

        def measure() -> dict[str, float]:
            whole = self.run_encoder(config, (self.encoder(config).depth,))
            return throughput.measure(
                self.computing_model(config, model),
                throughput.reference_model(whole, self.task(config)),
                self.test_batches(config, TIMED_BATCHES),
                trainer.strategy.root_device,
                trainer.precision_plugin.forward_context,
            )

        return self._keep("throughput", sys.maxsize, variant, measure)

    def test_batches(self, config: Config, number: int) -> list[Batch]:
        """Some batches of the test split, of all lengths."""
        inputs = self.inputs(config)
        rows = inputs.data.splits["test"]
        batches = rows[inputs.data.longest[rows].argsort(stable=True)].split(config.batch_size)
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
