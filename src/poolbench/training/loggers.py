"""Experiment loggers (W&B, CSV, TensorBoard, none). Nothing is read back from them."""

import functools
import importlib.util
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger

from poolbench.core.errors import UserError
from poolbench.core.redact import redacted
from poolbench.runs.identity import RunSpec
from poolbench.runs.record import RunRecord

log = logging.getLogger(__name__)
TABLE_ROWS = 200


class RunLogger:
    """A Lightning logger, and what is logged when the run is finished.

    Attributes:
        logger: for ``Trainer(logger=...)``; None logs nothing.
        location: name of the logger and where its data is.
    """

    def __init__(self, logger: Logger | None, location: tuple[str, str] | None = None) -> None:
        self.logger, self.location = logger, location

    def finish(self, record: RunRecord, texts: Sequence[str]) -> None:
        """Log the final metrics and parameter counts; an error of the logger is only a warning."""
        try:
            self._finish(record, texts)
        except Exception as error:  # loggers raise many kinds; the record is already written
            log.warning("%s of %s: %s", type(self).__name__, record.run.label, error)

    def _finish(self, record: RunRecord, texts: Sequence[str]) -> None:
        if self.logger is not None:
            counts = record.parameters.model_dump()
            parameters = {f"parameters/{part}": float(n) for part, n in counts.items()}
            self.logger.log_metrics({**record.metrics, **parameters})


class WandbRunLogger(RunLogger):
    """One W&B run."""

    def __init__(self, run: Any) -> None:
        from pytorch_lightning.loggers import WandbLogger

        folder = os.path.relpath(Path(run.dir).parent)
        place = f"offline; to upload: wandb sync {folder}" if run.offline else run.url
        super().__init__(WandbLogger(experiment=run), ("W&B run", place))
        self.run = run
        run.define_metric("trainer/global_step")
        run.define_metric("*", step_metric="trainer/global_step")

    def _finish(self, record: RunRecord, texts: Sequence[str]) -> None:
        import wandb

        names = record.data.classes
        labels = record.predictions.labels.tolist()
        guesses = record.predictions.predictions.tolist()
        rows = list(zip(texts, labels, guesses, strict=True))[:TABLE_ROWS]
        table = wandb.Table(
            columns=["text", "label", "prediction", "correct"],
            data=[[text, names[y], names[guess], y == guess] for text, y, guess in rows],
        )
        confusion = wandb.plot.confusion_matrix(y_true=labels, preds=guesses, class_names=names)
        self.run.log({"test/predictions": table, "test/confusion": confusion})
        self.run.config.update({"parameters": record.parameters.model_dump()})
        self.run.summary.update(record.metrics)


@contextmanager
def wandb_logger(
    spec: RunSpec,
    project: str = "poolbench",
    entity: str | None = None,
    mode: Literal["auto", "online", "offline"] = "auto",
) -> Iterator[RunLogger]:
    """A run in ``<output_dir>/wandb``, online if there is a login and a network."""
    if importlib.util.find_spec("wandb") is None:
        raise UserError("wandb is not installed: pip install wandb, or use logger=csv")
    with _start(spec, project, entity, mode) as run:
        yield WandbRunLogger(run)


@contextmanager
def csv_logger(spec: RunSpec) -> Iterator[RunLogger]:
    """``metrics.csv`` in the folder of the run."""
    logger = CSVLogger(spec.folder, name="", version="")
    yield RunLogger(logger, ("CSV", str(spec.folder / "metrics.csv")))


@contextmanager
def tensorboard_logger(spec: RunSpec) -> Iterator[RunLogger]:
    """An event file in the folder of the run."""
    if importlib.util.find_spec("tensorboard") is None:
        raise UserError('tensorboard is not installed: pip install "poolbench[tensorboard]"')
    logger = TensorBoardLogger(spec.folder, name="", version="", default_hp_metric=False)
    yield RunLogger(logger, ("TensorBoard", f"tensorboard --logdir {spec.config['output_dir']}"))


@contextmanager
def no_logger(spec: RunSpec) -> Iterator[RunLogger]:
    """The record alone."""
    yield RunLogger(None)


def _start(spec: RunSpec, project: str, entity: str | None, mode: str) -> Any:
    import wandb

    folder = Path(spec.config["output_dir"])
    folder.mkdir(parents=True, exist_ok=True)
    names = [spec.pooler, spec.dataset, spec.encoder]
    identity = (spec.study, spec.dataset, spec.encoder, spec.pooler, f"s{spec.seed}", spec.digest)
    described = spec.model_dump(exclude={"config", "command"})
    start = functools.partial(
        wandb.init,
        project=project,
        entity=entity,
        dir=folder,
        id="-".join(identity),
        name=f"{' '.join(names)} seed {spec.seed}",
        group=spec.study,
        job_type="train",
        tags=names,
        config={**redacted(spec.config), "run": described},
        settings=wandb.Settings(console="off", silent=True),
    )
    if mode != "offline" and os.environ.get("WANDB_MODE") != "offline" and _online(mode):
        try:
            return start(mode="online", resume="allow")
        except Exception as error:  # wandb raises many kinds; none of them may stop a training
            _report_offline(error)
    return start(mode="offline")


@functools.cache
def _online(mode: str) -> bool:
    """Whether there is a login; asked once, since without a network the answer takes 10 s."""
    import wandb

    try:
        if mode == "online" or wandb.login(prompt=False):
            return True
        _report_offline("not logged in")
    except Exception as error:
        _report_offline(error)
    return False


def _report_offline(why: object) -> None:
    lines = str(why).strip().splitlines()
    reason = lines[0] if lines else type(why).__name__
    print(f"W&B: {reason}; runs are kept offline, sync them later", file=sys.stderr)
