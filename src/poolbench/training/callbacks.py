"""The clock: how fast a cell trains, without making it wait."""

import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import Strategy

from poolbench.data.collate import Batch

WARM_UP = 5


class Throughput(pl.Callback):
    """Times every training step between two marks; reads them at the end of an epoch only.

    A step runs from the end of the one before it, so loading its batch is part of it. The first
    steps, validation and checkpoints are left out. On a GPU the marks are CUDA events, read when
    the epoch is over: no step waits for the device.

    Args:
        computed: for how many positions of a batch the encoder computes states.
    """

    def __init__(
        self, computed: Callable[[Batch], int] = lambda batch: batch.attention_mask.numel()
    ) -> None:
        self.computed = computed
        self.step_ms: list[float] = []
        self.samples = self.tokens = self.positions = 0
        self.wait_s = 0.0
        self.seen = 0

    def on_fit_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        _forget_peak_memory(module.device)

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.marks = [_mark(module.device)]
        self.batches: list[tuple[int, int, int]] = []
        self.idle_since = time.perf_counter()

    def on_train_batch_start(
        self, trainer: pl.Trainer, module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        if self.seen >= WARM_UP:
            self.wait_s += time.perf_counter() - self.idle_since

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        module: pl.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        self.seen += 1
        self.marks.append(_mark(module.device))
        self.batches.append((len(batch), batch.tokens, self.computed(batch)))
        self.idle_since = time.perf_counter()

    def on_validation_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._read(module.device)

    def _read(self, device: torch.device) -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        skip = max(0, WARM_UP - (self.seen - len(self.batches)))
        pairs = zip(self.marks, self.marks[1:], strict=False)
        self.step_ms += [_milliseconds(a, b) for a, b in list(pairs)[skip:]]
        for samples, tokens, positions in self.batches[skip:]:
            self.samples += samples
            self.tokens += tokens
            self.positions += positions
        self.marks, self.batches = self.marks[-1:], []

    def summary(self, strategy: Strategy) -> dict[str, float]:
        """``perf/*``: examples and real tokens a second, ms a step, padding, MB of memory.

        The rates are summed over the processes of a distributed run; the rest is this one's.
        """
        memory = {"perf/peak_memory_mb": _peak_memory(strategy.root_device) / 1e6}
        if not self.step_ms:
            return memory
        seconds = sum(self.step_ms) / 1e3
        ordered = sorted(self.step_ms)
        rates = torch.tensor([self.samples, self.tokens], device=strategy.root_device) / seconds
        samples_per_sec, tokens_per_sec = strategy.reduce(rates, reduce_op="sum").tolist()
        return memory | {
            "perf/samples_per_sec": samples_per_sec,
            "perf/tokens_per_sec": tokens_per_sec,
            "perf/step_ms_p50": statistics.median(ordered),
            "perf/step_ms_p95": ordered[int(0.95 * (len(ordered) - 1))],
            "perf/padding_ratio": self.positions / self.tokens,
            "perf/host_wait_share": self.wait_s / seconds,
        }


def _mark(device: torch.device) -> Any:
    if device.type != "cuda":
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def _milliseconds(start: Any, end: Any) -> float:
    return 1e3 * (end - start) if isinstance(start, float) else start.elapsed_time(end)


def _forget_peak_memory(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        try:
            # Linux forgets a process's peak when asked so: cells of one sweep share a process.
            Path("/proc/self/clear_refs").write_text("5")
        except OSError:
            return


def _peak_memory(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024.0 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return 1024.0 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
