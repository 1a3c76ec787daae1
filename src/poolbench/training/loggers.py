"""Where a run can be watched: W&B, CSV, TensorBoard or nowhere. Nothing is read back from here."""

import functools
import importlib.util
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger

from poolbench.core.errors import BadInput
from poolbench.runs.identity import Cell

TABLE_ROWS = 200


@dataclass
class Tracker:
    """A Lightning logger, and what to say and log when the cell is done.

    Attributes:
        logger: for ``Trainer(logger=...)``; None logs nothing.
        where: what it is called and where it lies, for the closing table.
    """

    logger: Logger | None
    where: tuple[str, str] | None = None

    def finish(
        self, metrics: Mapping[str, float], parameters: Mapping[str, int], test: "Tested"
    ) -> None:
        """Log the final figures and the parameter counts of encoder, pooler and head."""
        if self.logger is not None:
            counts = {f"parameters/{part}": float(n) for part, n in parameters.items()}
            self.logger.log_metrics({**metrics, **counts})


@dataclass(frozen=True)
class Tested:
    """The test split as people look at it."""

    texts: Sequence[str]
    labels: Sequence[int]
    predictions: Sequence[int]
    class_names: Sequence[str]


class WandbTracker(Tracker):
    """One W&B run for one cell."""

    def __init__(self, run: Any) -> None:
        from pytorch_lightning.loggers import WandbLogger

        super().__init__(WandbLogger(experiment=run))
        self.run = run
        run.define_metric("trainer/global_step")
        run.define_metric("*", step_metric="trainer/global_step")
        folder = os.path.relpath(Path(run.dir).parent)
        place = f"offline; to upload: wandb sync {folder}" if run.offline else run.url
        self.where = ("W&B run", place)

    def finish(
        self, metrics: Mapping[str, float], parameters: Mapping[str, int], test: Tested
    ) -> None:
        import wandb

        names = list(test.class_names)
        rows = list(zip(test.texts, test.labels, test.predictions, strict=True))[:TABLE_ROWS]
        table = wandb.Table(
            columns=["text", "label", "prediction", "correct"],
            data=[[text, names[y], names[guess], y == guess] for text, y, guess in rows],
        )
        confusion = wandb.plot.confusion_matrix(
            y_true=list(test.labels), preds=list(test.predictions), class_names=names
        )
        self.run.log({"test/predictions": table, "test/confusion": confusion})
        self.run.config.update({"parameters": dict(parameters)})
        self.run.summary.update(dict(metrics))


@contextmanager
def wandb_logger(
    cell: Cell, settings: Mapping[str, Any], project: str, entity: str | None, mode: str
) -> Iterator[Tracker]:
    """A run in ``<output_dir>/wandb``, online where there is a login and a network.

    Raises:
        BadInput: wandb is not installed, or ``mode`` is none of auto, online, offline.
    """
    if importlib.util.find_spec("wandb") is None:
        raise BadInput("wandb is not installed: pip install wandb, or logger=csv")
    if mode not in ("auto", "online", "offline"):
        raise BadInput(f"logger.mode={mode}: expected auto, online or offline")
    run = _start(cell, settings, project, entity, mode)
    with run:
        yield WandbTracker(run)


def _start(
    cell: Cell, settings: Mapping[str, Any], project: str, entity: str | None, mode: str
) -> Any:
    import wandb

    cell.output_dir.mkdir(parents=True, exist_ok=True)

    def start(mode: Literal["online", "offline"]) -> Any:
        return wandb.init(
            project=project,
            entity=entity,
            mode=mode,
            dir=cell.output_dir,
            id=cell.name,
            name=f"{cell.pooler} {cell.dataset} {cell.encoder} seed {cell.seed}",
            group=cell.study,
            job_type="train",
            tags=[cell.pooler, cell.dataset, cell.encoder],
            config={**settings, "cell": cell.names},
            resume=None if mode == "offline" else "allow",
            settings=wandb.Settings(console="off", silent=True),
        )

    if mode == "offline" or os.environ.get("WANDB_MODE") == "offline" or not _online(mode):
        return start("offline")
    try:
        return start("online")
    except Exception as error:  # wandb raises many kinds; none of them may stop a training
        _say_offline(error)
        return start("offline")


@functools.cache
def _online(mode: str) -> bool:
    """Is there a login? Asked once: without a network the answer takes ten seconds."""
    import wandb

    try:
        if mode == "online" or wandb.login(prompt=False):
            return True
        _say_offline("not logged in")
    except Exception as error:
        _say_offline(error)
    return False


def _say_offline(why: object) -> None:
    reason = str(why).strip().splitlines()[0] if str(why).strip() else type(why).__name__
    print(f"W&B: {reason}; runs are kept offline, sync them later", file=sys.stderr)


@contextmanager
def csv_logger(cell: Cell, settings: Mapping[str, Any]) -> Iterator[Tracker]:
    """``metrics.csv`` in the folder of the cell."""
    logger = CSVLogger(cell.folder, name="", version="")
    yield Tracker(logger, where=("CSV", str(cell.folder / "metrics.csv")))


@contextmanager
def tensorboard_logger(cell: Cell, settings: Mapping[str, Any]) -> Iterator[Tracker]:
    """An event file in the folder of the cell.

    Raises:
        BadInput: tensorboard is not installed.
    """
    if importlib.util.find_spec("tensorboard") is None:
        raise BadInput('tensorboard is not installed: pip install "poolbench[tensorboard]"')
    logger = TensorBoardLogger(cell.folder, name="", version="", default_hp_metric=False)
    yield Tracker(logger, where=("TensorBoard", f"tensorboard --logdir {cell.output_dir}"))


@contextmanager
def no_logger(cell: Cell, settings: Mapping[str, Any]) -> Iterator[Tracker]:
    """The record alone."""
    yield Tracker(None)
