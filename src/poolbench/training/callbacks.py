"""Lightning callbacks: throughput, progress, early stopping and checkpoints."""

import contextlib
import logging
import resource
import statistics
import time
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Self

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from pytorch_lightning.strategies import Strategy

from poolbench.data.collate import Batch
from poolbench.data.tokenized import TokenizedDataset
from poolbench.encoders.base import PooledTokens
from poolbench.encoders.feature_cache import pooled_vectors
from poolbench.runs.identity import RunSpec
from poolbench.runs.progress import PROGRESS, RunProgress
from poolbench.runs.schema import write_json

log = logging.getLogger(__name__)
WARM_UP_STEPS = 5
PROGRESS_SECONDS = 2.0


class TrainingSpeed(pl.Callback):
    """Times every training step, and reads the times at the end of an epoch only.

    A step runs from the end of the previous one, so loading its batch is part of it. The first
    steps, validation and checkpoints are left out. On a GPU the times are CUDA events that are read
    when the epoch is over: no step waits for the device.

    Args:
        computed_positions: number of positions of a batch for which the encoder computes states.

    Attributes:
        steps: ms, examples, tokens, computed positions and seconds of waiting of each step.
    """

    def __init__(self, computed_positions: Callable[[Batch], int]) -> None:
        self.computed_positions = computed_positions
        self.steps: list[tuple[float, int, int, int, float]] = []

    def on_fit_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        _reset_peak_memory(module.device)

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.marks = [_mark(module.device)]
        self.batches: list[tuple[int, int, int, float]] = []
        self.idle_since = time.perf_counter()

    def on_train_batch_start(self, *_: Any) -> None:
        self.waited = time.perf_counter() - self.idle_since

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Batch, _: int
    ) -> None:
        self.marks.append(_mark(module.device))
        positions = self.computed_positions(batch)
        self.batches.append((len(batch), batch.tokens, positions, self.waited))
        self.idle_since = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if module.device.type == "cuda":
            torch.cuda.synchronize(module.device)
        times = map(_milliseconds, self.marks, self.marks[1:])
        self.steps += [(ms, *batch) for ms, batch in zip(times, self.batches, strict=True)]

    def summary(self, strategy: Strategy) -> dict[str, float]:
        """``perf/*``; the rates are summed over the processes of a distributed run."""
        memory = {"perf/peak_memory_mb": _peak_memory(strategy.root_device) / 1e6}
        if len(self.steps) <= WARM_UP_STEPS:
            return memory
        step_ms, *counts = zip(*self.steps[WARM_UP_STEPS:], strict=True)
        seconds = sum(step_ms) / 1e3
        samples, tokens, positions, waited = map(sum, counts)
        rates = torch.tensor([samples, tokens], device=strategy.root_device) / seconds
        samples_per_sec, tokens_per_sec = strategy.reduce(rates, reduce_op="sum").tolist()
        return memory | {
            "perf/samples_per_sec": samples_per_sec,
            "perf/tokens_per_sec": tokens_per_sec,
            "perf/step_ms_p50": statistics.median(step_ms),
            "perf/step_ms_p95": sorted(step_ms)[int(0.95 * (len(step_ms) - 1))],
            "perf/padding_ratio": positions / tokens,
            "perf/host_wait_share": waited / seconds,
        }


class PooledCorpus(pl.Callback):
    """Pools all texts with the best weights before the test of a task that ranks documents."""

    def __init__(self, data: TokenizedDataset, pooled_tokens: PooledTokens) -> None:
        self.data, self.pooled_tokens = data, pooled_tokens

    def on_test_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        model: Any = module.model
        if model.vectors is None:
            pools = [model.pool]
            (model.vectors,) = pooled_vectors(pools, model.encoder, self.data, self.pooled_tokens)


class ProgressFile(pl.Callback):
    """Keeps ``progress.json`` in the folder of a run up to date, and removes it at the end.

    It is written every few seconds at most, and not at all by a shorter run.
    """

    def __init__(self, spec: RunSpec) -> None:
        self.spec, self.written = spec, time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            (self.spec.folder / PROGRESS).unlink(missing_ok=True)

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        # A resumed run starts in the middle.
        self.started, self.first = time.monotonic(), trainer.current_epoch

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: Any, outputs: Any, batch: Batch, index: int
    ) -> None:
        now = time.monotonic()
        if now - self.written < PROGRESS_SECONDS or not trainer.is_global_zero:
            return
        epoch, epochs = trainer.current_epoch, trainer.max_epochs or 1
        done = epoch - self.first + (index + 1) / trainer.num_training_batches
        left = (now - self.started) * (epochs - self.first - done) / done
        progress = RunProgress(
            label=self.spec.label,
            epoch=epoch + 1,
            epochs=epochs,
            seconds_left=left,
            history=module.history,
        )
        with contextlib.suppress(OSError):  # a full disk must not end a training
            write_json(self.spec.folder / PROGRESS, progress)
        self.written = now


class ResumableEarlyStopping(EarlyStopping):
    """Early stopping that, when resumed, knows that it had already decided to stop."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.should_stop = self.wait_count >= self.patience


def checkpoints(folder: Path, monitor: str) -> tuple[ModelCheckpoint, ModelCheckpoint]:
    """Keep the weights with the best validation metric, ``best.ckpt``, and the last two epochs.

    Two, since a run can then continue if the last file is damaged.
    """
    checkpoint = partial(
        ModelCheckpoint,
        dirpath=folder,
        mode="max",
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )
    best = checkpoint(filename="best", monitor=monitor)
    last = checkpoint(
        filename="epoch={epoch}", auto_insert_metric_name=False, monitor="epoch", save_top_k=2
    )
    return best, last


def last_intact_checkpoint(folder: Path) -> Path | None:
    """The checkpoint of the latest epoch in ``folder`` that is intact; damaged ones are removed."""
    epochs = sorted(folder.glob("epoch=*.ckpt"), key=lambda path: int(path.stem[6:]), reverse=True)
    for path in epochs:
        if is_intact(path):
            return path
        log.warning("%s is damaged and is not used", path)
        path.unlink()
    return None


def is_intact(path: Path) -> bool:
    """Whether the checksums inside a checkpoint match its content.

    ``torch.load`` does not verify them: it loads a flipped bit without an error.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile, EOFError, ValueError):
        return False
    except NotImplementedError:  # a damaged header names an unknown compression
        return False


def _mark(device: torch.device) -> Any:
    if device.type != "cuda":
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def _milliseconds(start: Any, end: Any) -> float:
    return 1e3 * (end - start) if isinstance(start, float) else start.elapsed_time(end)


def _reset_peak_memory(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    with contextlib.suppress(OSError):
        # Linux resets the peak of a process on request: the runs of a sweep share a process.
        Path("/proc/self/clear_refs").write_text("5")


def _peak_memory(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024.0 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return 1024.0 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
