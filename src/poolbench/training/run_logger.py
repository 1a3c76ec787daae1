"""The logging contract: what every experiment logger gets from a run, and at which steps."""

import hashlib
import logging
import re
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from poolbench.core.errors import one_line
from poolbench.core.redact import redacted
from poolbench.data.collate import Batch
from poolbench.runs.identity import RunSpec, flatten
from poolbench.runs.record import Parameters, RunRecord
from poolbench.training.logged_tables import tables

log = logging.getLogger(__name__)


class RunLogger(pl.Callback):
    """Sends the figures of a run to an experiment logger; the base class sends them nowhere.

    * At the start: the configuration, parameter counts and what a training step starts from.
    * Every ``log_every_n_steps`` steps and at the end of an epoch: training loss, learning rates
      and throughput since the last time, without validation.
    * After each epoch: the validation metrics.
    * At the last step: the metrics of the record, and which classes are confused.

    Nothing is read back, and an error of the logger costs no result: the first one is printed, and
    then only the final figures are still sent. Subclasses implement the methods from ``start`` to
    ``close``.

    Attributes:
        location: name of the logger and where its data is.
        described: the configuration and what else is known when the run starts, nested.
        step: the last optimizer step that something was logged at.
    """

    def __init__(self, location: tuple[str, str] | None = None) -> None:
        self.location = location
        self.described: dict[str, Any] = {}
        self.started = self.broken = False
        self.step = 0

    def start(self, step: int) -> None:
        """Log ``described``; ``step`` is not 0 if an interrupted run continues."""

    def send(self, metrics: dict[str, float], step: int) -> None:
        """Log metrics at an optimizer step."""

    def save(self) -> None:
        """Make what was logged visible to readers; called after each epoch."""

    def send_table(self, name: str, rows: list[list[Any]], step: int) -> None:
        """Log a table; its first row names the columns."""

    def close(self, failed: bool) -> None:
        """End the log; nothing is sent after it."""

    def describe(self, spec: RunSpec, parameters: Parameters, step_input: str) -> None:
        """Set ``described``."""
        self.described = {
            **redacted(spec.config),
            "run": spec.model_dump(exclude={"config", "command"}),
            "parameters": parameters.model_dump(),
            "step_input": step_input,
        }

    @property
    def hyperparameters(self) -> dict[str, float | str]:
        """``described`` with dotted keys; values are numbers or strings."""
        flat = flatten(self.described)
        return {key: v if isinstance(v, int | float) else str(v) for key, v in flat}

    def finish(self, record: RunRecord, texts: Sequence[str]) -> None:
        """Log the final figures at the last step; the record is already written."""
        # The training loss has a point at this step, that of the last steps.
        final = {name: value for name, value in record.metrics.items() if name != "train/loss"}
        self.attempt(self.send, final, self.step)
        self.attempt(self._send_tables, record, texts)

    def _send_tables(self, record: RunRecord, texts: Sequence[str]) -> None:
        for name, rows in tables(record, texts).items():
            self.send_table(name, rows, self.step)

    def attempt(self, action: Callable[..., None], *args: Any) -> None:
        """Call the logger; an error is a warning, the first one only."""
        try:
            action(*args)
        except Exception as error:  # trackers raise many kinds
            self.warn(error)

    def warn(self, error: Exception) -> None:
        """Print the first error in one line."""
        if not self.broken:
            log.warning("logger: %s; the run goes on without it", one_line(error))
        self.broken = True

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.started, self.step = True, trainer.global_step
        self.attempt(self.start, self.step)

    def on_fit_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if not self.started:  # the run was interrupted after its last epoch
            self.on_train_start(trainer, module)

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._begin_window(0.0)

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        self.rates = [group["lr"] for group in trainer.optimizers[0].param_groups]

    def on_train_batch_end(
        self, trainer: Any, module: pl.LightningModule, outputs: Any, batch: Batch, _: int
    ) -> None:
        self.examples += len(batch)
        self.tokens += batch.tokens
        step = trainer.global_step
        if step % trainer.log_every_n_steps == 0 and step > self.step:
            self._send_window(module, step)

    def on_validation_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if self.examples:
            self._send_window(module, trainer.global_step)

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        found = {k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("val/")}
        self._send({"epoch": trainer.current_epoch, **found}, trainer.global_step)
        if not self.broken:
            self.attempt(self.save)

    def _begin_window(self, loss: Tensor | float) -> None:
        self.loss_before, self.since = loss, time.perf_counter()
        self.examples = self.tokens = 0

    def _send_window(self, module: Any, step: int) -> None:
        """Log the steps since the last time; reading the loss is when a GPU is waited for."""
        loss = float(module.loss_sum - self.loss_before) / self.examples
        seconds = time.perf_counter() - self.since
        rates = dict(zip(("train/lr", "train/encoder_lr"), self.rates, strict=False))
        speed = {
            "perf/train_samples_per_sec": self.examples / seconds,
            "perf/train_tokens_per_sec": self.tokens / seconds,
        }
        self._send({"train/loss": loss, **rates, **speed}, step)
        self._begin_window(module.loss_sum.clone())

    def _send(self, metrics: dict[str, float], step: int) -> None:
        self.step = step
        if not self.broken:
            self.attempt(self.send, metrics, step)


def run_id(spec: RunSpec) -> str:
    """A unique name of a run: pooler and seed first, at most 64 characters."""
    identity = (spec.pooler, f"s{spec.seed}", spec.digest, spec.study, spec.dataset, spec.encoder)
    return shortened(re.sub(r"[^\w.-]", "-", "-".join(identity)), 64)


def shortened(text: str, most: int) -> str:
    """``text`` in at most this number of characters; a digest stands for what is cut off.

    Example:
        >>> shortened("attention", 64), shortened("attention" * 9, 20)
        ('attention', 'attentionat-85229987')
    """
    if len(text) <= most:
        return text
    return f"{text[: most - 9]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
