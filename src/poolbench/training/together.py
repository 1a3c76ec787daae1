"""Seeds of one cell trained in one loop, where nothing but a linear head learns.

Pooled vectors never change. A step of such a cell is one small product and, around it, nearly a
millisecond of everything else. Here a step takes the heads of all seeds at once: stacked for one
product, with one backward pass and one optimiser. Each seed is a cell like any other all the same,
with its own validation, early stopping, checkpoints, logs and record: its module only takes every
epoch from here.
"""

import hashlib
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.nn import functional

from poolbench.core import kernels
from poolbench.data.collate import Batch
from poolbench.data.datamodule import ShuffledBatches
from poolbench.runs.identity import Cell
from poolbench.training.callbacks import WARM_UP, Throughput
from poolbench.training.lit_module import Classification, optimisation
from poolbench.training.model import LinearHead, PooledClassifier
from poolbench.training.session import Prepared, batches_of, model_of


@dataclass(frozen=True)
class Epoch:
    """What one epoch left of one seed."""

    head: dict[str, Tensor]
    loss_sum: Tensor
    order: "hashlib._Hash"
    step_ms: list[float]
    examples: int
    tokens: int
    positions: int


class SharedLoop:
    """Trains the heads of some seeds side by side, an epoch at a time, when one of them asks.

    Args:
        cfgs: cells that differ in their seed alone: ``fusable``, and their models ``stackable``.
        prepared: their data and encoder.
    """

    def __init__(self, cfgs: Sequence[DictConfig], prepared: Prepared) -> None:
        cfg, self.corpus = cfgs[0], prepared.corpus
        models = [model_of(each, prepared) for each in cfgs]
        assert models[0].vectors is not None
        self.vectors = models[0].vectors
        self.heads = [model.head for model in models]
        self.orders = {each.seed: _order(each, prepared) for each in cfgs}
        steps = cfg.trainer.max_epochs * len(self.orders[cfg.seed])
        # Each in a tensor of its own: the last digits of an update depend on where a number stands.
        rest = [parameter for head in self.heads for parameter in head.parameters()]
        groups = [{"params": rest, "lr": cfg.optimizer.lr}]
        self.optimizer, self.schedule = optimisation(cfg.optimizer, groups, steps)
        self.past: list[dict[int, Epoch]] = []

    def epoch(self, number: int, seed: int) -> Epoch:
        """What is left of one epoch, which is trained if it was not yet."""
        while len(self.past) <= number:
            self.past.append(self._next())
        return self.past[number][seed]

    def _next(self) -> dict[int, Epoch]:
        for order in self.orders.values():
            order.set_epoch(len(self.past))
        hashes = [hashlib.sha256() for _ in self.orders]
        loss_sums = torch.zeros(len(self.orders))
        counts = torch.zeros(len(self.orders), 3, dtype=torch.long)
        step_ms = []
        skipped = WARM_UP if not self.past else 0
        started = time.perf_counter()
        with kernels.chosen():
            for number, batches in enumerate(zip(*self.orders.values(), strict=True)):
                rows = torch.stack(batches)  # (seeds, B)
                losses = self._step(rows)
                loss_sums += losses * rows.shape[1]
                for hashed, batch in zip(hashes, batches, strict=True):
                    hashed.update(batch.numpy().tobytes())
                ended = time.perf_counter()
                if number >= skipped:
                    step_ms.append(1e3 * (ended - started))
                    counts += self._counted(rows)
                started = time.perf_counter()
        return {
            seed: Epoch(
                {name: value.clone() for name, value in self.heads[i].state_dict().items()},
                loss_sums[i],
                hashes[i],
                step_ms,
                *counts[i].tolist(),
            )
            for i, seed in enumerate(self.orders)
        }

    def _step(self, rows: Tensor) -> Tensor:
        """The losses of all seeds on their batches."""
        weights, biases = (
            torch.stack(each)
            for each in zip(*(head.parameters() for head in self.heads), strict=True)
        )
        logits = torch.baddbmm(biases.unsqueeze(1), self.vectors[rows], weights.transpose(1, 2))
        labels = self.corpus.labels[rows]
        each = functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
        losses = each.view(rows.shape).mean(dim=1)
        self.optimizer.zero_grad()
        losses.sum().backward()  # no seed's loss depends on another's head
        self.optimizer.step()
        self.schedule.step()
        return losses.detach()

    def _counted(self, rows: Tensor) -> Tensor:
        """(seeds, 3): examples, real tokens, and positions of the batches they would make."""
        lengths = self.corpus.lengths[rows]
        examples = torch.full((len(rows),), rows.shape[1])
        return torch.stack([examples, lengths.sum(1), rows.shape[1] * lengths.amax(1)], dim=1)


class Follower(Classification):
    """A cell whose epochs come from a shared loop; everything after an epoch is its own."""

    def __init__(
        self, model: PooledClassifier, optimizer: DictConfig, seed: int, loop: SharedLoop
    ) -> None:
        super().__init__(model, optimizer, seed)
        self.loop = loop

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """One for each epoch."""
        self.trained = self.loop.epoch(self.current_epoch, self.seed)
        self.model.head.load_state_dict(self.trained.head)
        self.loss_sum, self.order = self.trained.loss_sum, self.trained.order
        self.examples = len(self.loop.corpus.splits["train"])
        # Where this epoch stands in charts; Lightning adds this step when it is over.
        steps = (self.current_epoch + 1) * len(self.loop.orders[self.seed])
        self.trainer.fit_loop.epoch_loop._batches_that_stepped = steps - 1
        return torch.stack([p.sum() for p in self.model.head.parameters()]).sum() * 0.0

    def configure_optimizers(self) -> OptimizerLRScheduler:
        # Lightning counts the steps of an optimiser, and saves nothing where there are none.
        return torch.optim.SGD(self.model.head.parameters(), lr=0.0)


class SharedClock(Throughput):
    """The clock of a follower: the steps of the loop, which it shared with the other seeds."""

    def on_train_batch_start(self, *_: Any) -> None:
        """Its one step is none."""

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        assert isinstance(module, Follower)
        self.step_ms += module.trained.step_ms
        self.samples += module.trained.examples
        self.tokens += module.trained.tokens
        self.positions += module.trained.positions

    def on_validation_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Nothing is left to read."""


def fusable(cfg: DictConfig) -> bool:
    """May the seeds of this cell share a loop, as far as its configuration says?"""
    trainer = cfg.trainer
    plainly = (
        trainer.devices == trainer.num_nodes == trainer.accumulate_grad_batches == 1
        and trainer.precision in ("auto", "32-true")
        and trainer.gradient_clip_val is None
        and trainer.limit_train_batches is None
        and trainer.profiler is None
    )
    on_cpu = trainer.accelerator == "cpu" or not torch.cuda.is_available()
    return bool(
        cfg.fused and plainly and on_cpu and cfg.encoder.tuning == "frozen" and cfg.cache.enabled
    )


def stackable(model: PooledClassifier) -> bool:
    """Does nothing but a linear head on pooled vectors learn?"""
    return model.vectors is not None and isinstance(model.head, LinearHead)


class Shared:
    """The loops of a sweep.

    Args:
        cells: all that a command asks for, finished ones too: the same command again then computes
            the same products, and ends with the same last digits, wherever it was cut short.
        waiting: how many of each variant have no result yet: a loop is forgotten after the last.
    """

    def __init__(
        self, cells: Sequence[tuple[DictConfig, Cell]], waiting: Mapping[str, int]
    ) -> None:
        self.alike: dict[str, list[DictConfig]] = defaultdict(list)
        for cfg, cell in cells:
            if fusable(cfg):
                self.alike[cell.variant].append(cfg)
        self.waiting = dict(waiting)
        self.loops: dict[str, SharedLoop | None] = {}

    def of(self, cfg: DictConfig, cell: Cell, prepared: Prepared) -> SharedLoop | None:
        """The loop that a cell shares with its other seeds; None where it is to train alone."""
        variant, alike = cell.variant, self.alike[cell.variant]
        if not alike:
            return None
        if variant not in self.loops:
            together = stackable(model_of(cfg, prepared))
            self.loops[variant] = SharedLoop(alike, prepared) if together else None
        self.waiting[variant] = self.waiting.get(variant, 1) - 1
        return self.loops[variant] if self.waiting[variant] > 0 else self.loops.pop(variant)


def _order(cfg: DictConfig, prepared: Prepared) -> ShuffledBatches:
    order = batches_of(cfg, prepared).train_dataloader().sampler
    assert isinstance(order, ShuffledBatches)
    return order
