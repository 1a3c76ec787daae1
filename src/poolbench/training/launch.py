"""A command in Hydra: compose and check every run, then plan or train them.

Nothing heavy is imported before the configuration is valid.
"""

import logging
import os
import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.plugins.launcher import Launcher
from hydra.types import RunMode
from omegaconf import DictConfig

from poolbench.core.errors import report
from poolbench.core.processes import process_rank
from poolbench.training.arguments import CONF, check_arguments
from poolbench.training.grid import check_grid, check_run, explained_errors, split_grid

if TYPE_CHECKING:
    from poolbench.training.config import RunRequest


def start(arguments: list[str]) -> None:
    """Hand a command to Hydra, which composes the configuration and calls the function below."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises its errors instead of printing them
    sys.argv[1:] = arguments
    with explained_errors():
        _hydra_main()


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def _hydra_main(cfg: DictConfig) -> float | None:
    try:
        with explained_errors():
            return _plan_or_train(cfg)
    except Exception as error:
        # Here too, since Hydra prints a line of its own about what leaves this function.
        raise SystemExit(report(error)) from error


def _plan_or_train(cfg: DictConfig) -> float | None:
    settings = HydraConfig.get()
    request = check_run(cfg, settings.runtime.choices, settings.overrides.task)
    if settings.mode == RunMode.RUN:
        run([request])
        return None
    # A job of another launcher or sweeper, which may optimize what it gets back.
    from poolbench.training import console, sweep

    return console.best_validation(sweep.run_job(request))


def run(requests: Sequence["RunRequest"], launcher: Launcher | None = None) -> None:
    """Plan the runs, train those that have no result yet, and print a summary.

    A launcher trains each run as a job of its own; None trains all in this process.
    """
    from poolbench.training import console, planner, sweep
    from poolbench.training.session import Session

    logging.basicConfig(format="%(levelname)s: %(message)s")
    session = Session()
    specs = sweep.plan(requests, session)
    if process_rank() > 0:
        # A process of a distributed run: the first one holds the lock and writes the record.
        sweep.train_run(specs[0], session)
        return
    if requests[0].config.plan:
        print(planner.estimate(specs, session))
        return
    sweep.declare_runs(specs)
    if launcher is None:
        sweep.run_all(specs, session)
    else:
        launcher.launch([request.overrides for request in requests], initial_job_idx=0)
    records = [sweep.existing_record(spec) for spec in specs]
    if not console.print_summary(list(zip(specs, records, strict=True))):
        raise SystemExit(1)


def compose_runs(*overrides: str) -> list["RunRequest"]:
    """The checked runs of a command, for use from Python: ``compose_runs("seed=0,1,2")``."""
    check_arguments(overrides)
    GlobalHydra.instance().clear()
    try:
        with (
            explained_errors(),
            hydra.initialize_config_dir(str(CONF), version_base="1.3"),
        ):
            compose = partial(hydra.compose, "config", return_hydra_config=True)
            sweeper = compose([o for o in overrides if "experiment=" in o]).hydra.sweeper
            loader = GlobalHydra.instance().config_loader()
            jobs = split_grid(loader, overrides, sweeper.get("params"))
            return check_grid(jobs, lambda job: compose(list(job)))
    finally:
        GlobalHydra.instance().clear()
