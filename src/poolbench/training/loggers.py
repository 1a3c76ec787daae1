"""Experiment loggers (CSV, TensorBoard, trackio, any of Lightning's) and how they are opened."""

import contextlib
import csv
import importlib.util
import inspect
import io
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger

from poolbench.core.errors import UserError
from poolbench.core.processes import process_rank
from poolbench.runs.identity import RunSpec
from poolbench.runs.record import Parameters
from poolbench.training.components import build, target_of
from poolbench.training.run_logger import RunLogger, run_id, shortened

PACKAGES = {
    "wandb_logger": "wandb",
    "TensorBoardRunLogger": "tensorboard",
    "TrackioRunLogger": "trackio",
}


def check_installed(component: Mapping[str, Any]) -> None:
    """Raise a UserError if the package of a logger is not installed."""
    package = PACKAGES.get(str(component["_target_"]).rpartition(".")[2], "poolbench")
    if importlib.util.find_spec(package) is None:
        raise UserError(f"{package} is not installed: pip install {package}, or use logger=csv")


@contextmanager
def open_logger(
    component: Mapping[str, Any], spec: RunSpec, parameters: Parameters, step_input: str
) -> Iterator[RunLogger]:
    """The configured logger of a run: a function of its spec, or a logger of Lightning."""
    logger, failed = RunLogger(), True
    # The other processes of a distributed run log nothing.
    if process_rank() == 0:
        try:
            target = target_of(component, spec.config["allow_targets"])
            given = {"spec": spec} if "spec" in inspect.signature(target).parameters else {}
            made = build(component, **given)
            logger = made if isinstance(made, RunLogger) else LightningRunLogger(made)
        except Exception as error:  # trackers raise many kinds; none of them may stop a training
            logger.warn(error)
    logger.describe(spec, parameters, step_input)
    try:
        yield logger
        failed = False
    finally:
        logger.attempt(logger.close, failed)


class LightningRunLogger(RunLogger):
    """A logger of Lightning."""

    def __init__(self, logger: Logger, location: tuple[str, str] | None = None) -> None:
        super().__init__(location or (type(logger).__name__, str(logger.save_dir or "")))
        self.logger: Any = logger

    def start(self, step: int) -> None:
        self.logger.log_hyperparams(self.hyperparameters)

    def send(self, metrics: dict[str, float], step: int) -> None:
        self.logger.log_metrics(metrics, step)

    def save(self) -> None:
        self.logger.save()

    def close(self, failed: bool) -> None:
        self.logger.finalize("failed" if failed else "success")


class CsvRunLogger(LightningRunLogger):
    """``metrics.csv``, ``hparams.yaml`` and the confused classes in the folder of the run."""

    def __init__(self, spec: RunSpec) -> None:
        self.path = spec.folder / "metrics.csv"
        super().__init__(CSVLogger(spec.folder, name="", version=""), ("CSV", str(self.path)))

    def start(self, step: int) -> None:
        # Lightning deletes the file of an interrupted run: its rows are logged again.
        earlier = self.path.read_text() if step and self.path.exists() else ""
        super().start(step)
        for row in csv.DictReader(earlier.splitlines()):
            at = int(row.pop("step"))
            if at <= step:
                self.send({name: float(value) for name, value in row.items() if value}, at)

    def send_table(self, name: str, rows: list[list[Any]], step: int) -> None:
        path = self.path.with_name(f"{name.rpartition('/')[2]}.csv")
        with path.open("w", newline="") as file:
            csv.writer(file).writerows(rows)


class TensorBoardRunLogger(LightningRunLogger):
    """An event file in the folder of the run, with an entry among TensorBoard's HParams."""

    def __init__(self, spec: RunSpec) -> None:
        logger = TensorBoardLogger(spec.folder, name="", version="", default_hp_metric=False)
        command = f"tensorboard --logdir {spec.config['output_dir']}"
        super().__init__(logger, ("TensorBoard", command))

    def start(self, step: int) -> None:
        from torch.utils.tensorboard.summary import hparams

        super().start(step)
        # Without a list of metrics, TensorBoard shows all of the run.
        _, session, _ = hparams(self.hyperparameters, {})
        self.logger.experiment.file_writer.add_summary(session)

    def send_table(self, name: str, rows: list[list[Any]], step: int) -> None:
        table = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
        lines = (" | ".join(str(cell).replace("|", "\\|") for cell in row) for row in table)
        self.logger.experiment.add_text(name, "\n".join(lines), step)


class TrackioRunLogger(RunLogger):
    """A run in ``<output_dir>/trackio``; nothing is sent to a server."""

    def __init__(self, spec: RunSpec) -> None:
        folder = Path(spec.config["output_dir"], "trackio").resolve()
        os.environ.setdefault("TRACKIO_DIR", str(folder))  # read when trackio is imported
        command = f"TRACKIO_DIR={os.environ['TRACKIO_DIR']} trackio show --project {spec.study}"
        super().__init__(("trackio", command))
        self.spec = spec

    def start(self, step: int) -> None:
        import huggingface_hub
        import trackio

        offline = huggingface_hub.constants.HF_HUB_OFFLINE
        huggingface_hub.constants.HF_HUB_OFFLINE = True  # it would look up a user name there
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                self.run = trackio.init(
                    project=self.spec.study,
                    name=run_id(self.spec),
                    group=shortened(f"{self.spec.dataset} {self.spec.encoder}", 128),
                    config=self.hyperparameters,
                    resume="allow" if step else "never",
                    embed=False,
                    auto_log_gpu=False,
                    auto_log_cpu=False,
                )
        finally:
            huggingface_hub.constants.HF_HUB_OFFLINE = offline

    def send(self, metrics: dict[str, float], step: int) -> None:
        self.run.log(dict(metrics), step=step)

    def send_table(self, name: str, rows: list[list[Any]], step: int) -> None:
        import trackio

        self.run.log({name: trackio.Table(columns=rows[0], data=rows[1:])}, step=step)

    def close(self, failed: bool) -> None:
        import trackio

        if self.started:
            with contextlib.redirect_stdout(io.StringIO()):
                trackio.finish()
