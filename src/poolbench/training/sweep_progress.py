"""Terminal output: the progress of a sweep and the time left."""

import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Self

import pytorch_lightning as pl
from rich import get_console
from rich.live import Live
from rich.text import Text

from poolbench.runs.identity import RunSpec, varying_settings
from poolbench.runs.protocol import METRIC_NAMES
from poolbench.runs.record import RunRecord
from poolbench.training.console import SAME, clock, named

REFRESH = 0.5  # seconds


class Progress(pl.Callback):
    """A line for each finished run of a sweep and, on a terminal, one for the run in progress."""

    def __init__(self, specs: Sequence[RunSpec]) -> None:
        self.total, self.failed = len(specs), 0
        self.waiting = list(specs)
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.several = [
            k for k in ("dataset", "encoder") if len({getattr(s, k) for s in specs}) > 1
        ]
        self.varying = varying_settings(specs, SAME)
        shown = all(spec.setting("trainer.enable_progress_bar") for spec in specs)
        self.terminal = shown and sys.stdout.isatty()
        self.live = Live(console=get_console(), auto_refresh=False, transient=True)
        self.running, self.done, self.started, self.shown = "", 0.0, time.monotonic(), 0.0

    def __enter__(self) -> Self:
        if self.terminal:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.live.stop()

    def start(self, spec: RunSpec) -> None:
        """Announce a run."""
        # The time left counts the run in progress first.
        self.waiting.sort(key=lambda other: other != spec)
        self.running, self.done, self.started = self._name(spec), 0.0, time.monotonic()
        self._show("")

    def finish(self, spec: RunSpec, record: RunRecord) -> None:
        """A run has a record, from now or from an earlier command."""
        self.waiting.remove(spec)
        self.failed += not record.ok
        self.done, self.started = 0.0, time.monotonic()
        if "wall" in record.seconds:
            self.seconds[spec.variant].append(record.seconds["wall"])
        outcome = f"{record.status}, {record.error}"
        if record.ok:
            metric = spec.setting("comparison.metric")
            outcome = f"{METRIC_NAMES[metric]} {record.metrics[f'test/{metric}']:.4f}"
        if self.total > 1:
            line = f"{self._count(timed=not self.terminal)} {self._name(spec)}: {outcome}"
            # Into a file each run is one line.
            wraps = not self.terminal
            get_console().print(line, markup=False, highlight=False, soft_wrap=wraps)

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        epoch, epochs = trainer.current_epoch, trainer.max_epochs or 1
        self.done = (epoch + (index + 1) / trainer.num_training_batches) / epochs
        if time.monotonic() - self.shown > REFRESH:
            self._show(f", epoch {epoch + 1}/{epochs}")

    def _show(self, state: str) -> None:
        if self.terminal:
            line = f"{self._count(timed=True)} {self.running}{state}"
            self.live.update(Text(line, no_wrap=True, overflow="ellipsis"), refresh=True)
            self.shown = time.monotonic()

    def _time_left(self) -> str:
        """A variant that never ran is taken to be like the others."""
        spent = time.monotonic() - self.started
        known = [seconds for timed in self.seconds.values() for seconds in timed]
        known = known or ([spent / self.done] if self.done else [])
        if not known or not self.waiting:
            return ""
        # The first run may encode for all: half of the runs took less.
        usual = [statistics.median(known)]
        each = [statistics.fmean(self.seconds.get(s.variant, usual)) for s in self.waiting]
        return f", about {clock(sum(each) - min(spent, each[0]))} left"

    def _name(self, spec: RunSpec) -> str:
        place = " × ".join(getattr(spec, key) for key in self.several)
        name = named(spec, self.varying)
        return f"{name}{f' on {place}' if place else ''}, seed {spec.seed}"

    def _count(self, timed: bool) -> str:
        failed = f", {self.failed} failed" if self.failed else ""
        done = self.total - len(self.waiting)
        return f"[{done}/{self.total}{failed}{self._time_left() if timed else ''}]"
