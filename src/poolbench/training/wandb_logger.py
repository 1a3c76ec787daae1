"""Weights & Biases: one run for each run, online or offline."""

import functools
import os
import sys
from pathlib import Path
from typing import Any, Literal

from poolbench.core.errors import one_line
from poolbench.runs.identity import RunSpec
from poolbench.training.run_logger import RunLogger, run_id, shortened


class WandbRunLogger(RunLogger):
    """One W&B run."""

    def __init__(self, run: Any) -> None:
        folder = os.path.relpath(Path(run.dir).parent)
        place = f"offline; to upload: wandb sync {folder}" if run.offline else run.url
        super().__init__(("W&B run", place))
        self.run = run
        run.define_metric("trainer/global_step")
        run.define_metric("*", step_metric="trainer/global_step")

    def start(self, step: int) -> None:
        self.run.config.update(self.described, allow_val_change=True)

    def send(self, metrics: dict[str, float], step: int) -> None:
        self.run.log({**metrics, "trainer/global_step": step})

    def send_table(self, name: str, rows: list[list[Any]], step: int) -> None:
        import wandb

        table: Any = wandb.Table(columns=rows[0], data=rows[1:])
        if name == "test/confusion":
            fields = {column: column for column in rows[0]}
            table = wandb.plot_table("wandb/confusion_matrix/v1", table, fields, {"title": name})
        self.run.log({name: table, "trainer/global_step": step})

    def close(self, failed: bool) -> None:
        # Not ``with run``, which prints a traceback of an interrupt.
        self.run.finish(exit_code=int(failed))


def wandb_logger(
    spec: RunSpec,
    project: str = "poolbench",
    entity: str | None = None,
    mode: Literal["auto", "online", "offline", "disabled", ""] = "auto",
) -> RunLogger:
    """A run in ``<output_dir>/wandb``, online if there is a login and a network.

    ``WANDB_DISABLED`` disables it; the other variables are read in ``conf/logger/wandb.yaml``.
    """
    disabled = os.environ.get("WANDB_DISABLED", "").lower() in ("1", "true", "yes")
    if disabled or mode == "disabled":
        return RunLogger()
    return WandbRunLogger(_start(spec, project or "poolbench", entity or None, mode or "auto"))


def _start(spec: RunSpec, project: str, entity: str | None, mode: str) -> Any:
    import wandb

    folder = Path(spec.config["output_dir"])
    folder.mkdir(parents=True, exist_ok=True)
    names = [spec.pooler, spec.dataset, spec.encoder]
    if not os.environ.get("WANDB_MODE"):
        os.environ.pop("WANDB_MODE", None)  # wandb rejects an empty one
    start = functools.partial(
        wandb.init,
        project=project,
        entity=entity,
        dir=folder,
        id=run_id(spec),
        name=shortened(f"{' '.join(names)} seed {spec.seed}", 128),
        group=spec.study,
        job_type="train",
        tags=[shortened(name, 64) for name in names],
        settings=wandb.Settings(console="off", silent=True),
    )
    if mode != "offline" and _online(mode):
        try:
            return start(mode="online", resume="allow")
        except Exception as error:  # wandb raises many kinds; none of them may stop a training
            _report_offline(one_line(error))
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
        _report_offline(one_line(error))
    return False


def _report_offline(why: str) -> None:
    print(f"W&B: {why}; runs are kept offline, sync them later", file=sys.stderr)
