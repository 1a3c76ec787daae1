"""A training step of a head on stored states: as cells take it, and in a bare loop.

All run the same batches, model, loss, optimiser and schedule from the same seed, and have to end
with the same training loss: otherwise they did not do the same work. (Dropout is the exception: the
bare loop does not draw it from a stream of its own at each step.) What Lightning adds to a step
does not depend on the model: on ``encoder=scratch``, whose steps are short, it is measured best.
"""

import argparse
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from math import ceil
from typing import Any

import pytorch_lightning as pl
import torch
from cells import asked, train_cell
from omegaconf import DictConfig
from outcome import Claim, Outcome
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from rounds import Variant, difference, interleave
from torch import Tensor
from torch.nn import functional
from torch.optim import AdamW
from transformers import get_scheduler

from poolbench.core import kernels
from poolbench.data.collate import Batch
from poolbench.data.datamodule import PaddedBatches, ShuffledBatches
from poolbench.training.callbacks import WARM_UP
from poolbench.training.model import PooledClassifier
from poolbench.training.session import batches_of, model_of, prepare
from poolbench.training.together import fusable, stackable

BARE = "bare loop"
LIGHTNING = "cell under Lightning"
SHARED = "cell in a shared loop"
MINIMAL = "the least under Lightning"
TARGET_US = 150.0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Size of the measurement."""
    parser.add_argument("--epochs", type=int, default=2, help="in each round")
    parser.add_argument("--examples", type=int, default=4000, help="at most, in each split")


def measure(overrides: list[str], rounds: int, epochs: int, examples: int) -> Outcome:
    """Seconds a step, data loading included; validation, checkpoints and the first steps are not.

    Args:
        overrides: of the configuration: pooler, head, dataset, encoder.
        rounds: how often each variant runs.
        epochs: of each run.
        examples: at most so many in each split.
    """
    losses: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        cell = [
            f"dataset.max_examples={examples}",
            f"trainer.max_epochs={epochs}",
            f"patience={epochs}",
            "trainer=cpu",
            *overrides,
            f"output_dir={folder}",
        ]
        studies = (f"study=round{number}" for number in count())

        def trained(name: str, *more: str) -> Variant:
            def run() -> float:
                record, _ = train_cell([*cell, next(studies), *more])
                losses[name] = record["metrics"]["train/loss"]
                return _seconds_a_step(record)

            return run

        def bare() -> float:
            seconds, (losses[BARE],) = bare_loop([asked(cell).cfg])
            return seconds

        def minimal() -> float:
            return _least_of_lightning(asked(cell).cfg)

        alone = trained(LIGHTNING, "fused=false")
        variants = {BARE: bare, LIGHTNING: alone, MINIMAL: minimal}
        cfg = asked(cell).cfg
        if fusable(cfg) and stackable(model_of(cfg, prepare(cfg))):
            variants[SHARED] = trained(SHARED)
        seconds = interleave(variants, rounds)
    extra = {name: difference(seconds, name, BARE) for name in variants if name != BARE}
    apart = max(losses.values()) - min(losses.values())
    more = "microseconds a step more than the bare loop"
    return Outcome(
        "loop",
        {"pooler": asked(cell).choices["pooler"], "threads": torch.get_num_threads()},
        BARE,
        seconds,
        claims=[
            *(
                Claim(f"{more}, {name}", 1e6 * extra[name].median, TARGET_US, at_most=True)
                for name in (LIGHTNING, SHARED)
                if name in extra
            ),
            Claim("of Lightning's, with nothing switched on", 1e6 * extra[MINIMAL].median),
            Claim("training losses apart", apart, 1e-5, at_most=True),
        ],
        details={
            "more_us": {
                name: {key: 1e6 * value for key, value in vars(each).items()}
                for name, each in extra.items()
            }
        },
    )


@dataclass(frozen=True)
class Bare:
    """What a plain loop trains of one cell."""

    model: PooledClassifier
    loader: PaddedBatches
    examples: int

    @classmethod
    def of(cls, cfg: DictConfig) -> "Bare":
        """The same weights and batches as the cell's."""
        prepared = prepare(cfg)
        batches = batches_of(cfg, prepared).train_dataloader()
        return cls(model_of(cfg, prepared), batches, len(prepared.corpus.splits["train"]))

    def batches(self, epoch: int) -> Iterable[Batch]:
        """Those of one epoch."""
        order = self.loader.sampler
        assert isinstance(order, ShuffledBatches)
        order.set_epoch(epoch)
        return self.loader

    def loss(self, batch: Batch) -> Tensor:
        """Of one step."""
        loss = functional.cross_entropy(self.model(batch), batch.labels)
        extra = self.model.pooler.extra_loss
        return loss if extra is None else loss + extra


def bare_loop(cfgs: Sequence[DictConfig]) -> tuple[float, list[float]]:
    """A plain PyTorch loop; several cells take each step together, under one optimiser.

    Args:
        cfgs: cells with as many steps as each other and the same optimiser.

    Returns:
        Seconds a step, and each cell's mean loss in its last epoch.
    """
    cells = [Bare.of(cfg) for cfg in cfgs]
    parameters = [p for cell in cells for p in cell.model.parameters() if p.requires_grad]
    settings, epochs, length = cfgs[0].optimizer, cfgs[0].trainer.max_epochs, len(cells[0].loader)
    optimizer = AdamW(parameters, settings.lr, weight_decay=settings.weight_decay, fused=True)
    steps = epochs * length
    schedule = get_scheduler(settings.schedule, optimizer, round(settings.warmup * steps), steps)
    seconds, sums = 0.0, [torch.zeros(()) for _ in cells]
    with kernels.chosen():
        for epoch in range(epochs):
            for loss_sum in sums:
                loss_sum.zero_()
            started = time.perf_counter()
            together = zip(*(cell.batches(epoch) for cell in cells), strict=True)
            for number, batches in enumerate(together):
                if (epoch, number) == (0, WARM_UP):
                    started = time.perf_counter()
                optimizer.zero_grad()
                losses = [cell.loss(batch) for cell, batch in zip(cells, batches, strict=True)]
                sum(losses[1:], losses[0]).backward()
                optimizer.step()
                schedule.step()
                for loss_sum, loss, batch in zip(sums, losses, batches, strict=True):
                    loss_sum += loss.detach() * len(batch)
            seconds += time.perf_counter() - started
    ends = [float(sum_) / cell.examples for sum_, cell in zip(sums, cells, strict=True)]
    return seconds / (steps - WARM_UP), ends


class _Least(pl.LightningModule):
    """The same step, and nothing else: no logging, no callback, no metric."""

    def __init__(self, cell: Bare, cfg: DictConfig) -> None:
        super().__init__()
        self.cell, self.model, self.settings = cell, cell.model, cfg.optimizer
        self.started, self.ended = 0.0, 0.0

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        return self.cell.loss(batch)

    def on_train_batch_start(self, batch: Batch, batch_index: int) -> None:
        if self.trainer.global_step == WARM_UP:
            self.started = time.perf_counter()

    def on_train_end(self) -> None:
        self.ended = time.perf_counter()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        decay = self.settings.weight_decay
        optimizer = AdamW(parameters, self.settings.lr, weight_decay=decay, fused=True)
        steps = int(self.trainer.estimated_stepping_batches)
        warmup = round(self.settings.warmup * steps)
        schedule: Any = get_scheduler(self.settings.schedule, optimizer, warmup, steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _least_of_lightning(cfg: DictConfig) -> float:
    cell = Bare.of(cfg)
    module = _Least(cell, cfg)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=cfg.trainer.max_epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    with kernels.chosen():
        trainer.fit(module, cell.loader)
    return (module.ended - module.started) / (trainer.global_step - WARM_UP)


def _seconds_a_step(record: dict[str, Any]) -> float:
    examples = record["data"]["examples"]["train"]
    steps = ceil(examples / record["config"]["batch_size"])
    return float(examples / steps / record["metrics"]["perf/samples_per_sec"])
