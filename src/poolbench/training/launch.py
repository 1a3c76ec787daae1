"""The command line: compose and check every run of a command, then plan or train them.

Nothing heavy is imported before the configuration is valid.
"""

import copy
import logging
import os
import re
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import hydra
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException
from hydra.plugins.launcher import Launcher
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from poolbench.core.errors import Interrupted, UserError
from poolbench.runs.identity import flatten
from poolbench.training.config import RunRequest, nearest, validate

_PACKAGE = Path(__file__).parents[1]
# The checkout's own folder; in an installed package, the copy of it.
CONF = next(p for p in (_PACKAGE.parents[1] / "conf", _PACKAGE / "conf") if p.is_dir())

_DEBUG = os.environ.get("HYDRA_FULL_ERROR") == "1"  # print tracebacks


def main() -> None:
    """Entry point of ``train.py`` and ``python -m poolbench``.

    Exit codes: 0, every run has a result; 1, some runs failed or diverged; 2, the configuration or
    the data is unusable and nothing was started; 130 and 143, interrupted.
    """
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises its errors instead of printing them
    with _errors_in_one_line():
        _hydra_main()


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def _hydra_main(cfg: DictConfig) -> float | None:
    # Here too, since Hydra prints a line of its own about an exception that leaves this function.
    with _errors_in_one_line():
        settings = HydraConfig.get()
        request = check_run(cfg, settings.runtime.choices, settings.overrides.task)
        if settings.mode == RunMode.RUN:
            run([request])
            return None
        # A job of another launcher or sweeper, which may optimize what it gets back.
        from poolbench.training import sweep

        return sweep.run_job(request).metrics.get("best/val_accuracy")


def run(requests: Sequence[RunRequest], launcher: Launcher | None = None) -> None:
    """Plan the runs, train those that have no result yet, and print a summary.

    A launcher trains each run as a job of its own; None trains all in this process.
    """
    from poolbench.training import console, planner, sweep
    from poolbench.training.session import Session

    logging.basicConfig(format="%(levelname)s: %(message)s")
    session = Session()
    specs = sweep.plan(requests, session)
    if int(os.environ.get("LOCAL_RANK", 0)) > 0:
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


def compose_runs(*overrides: str) -> list[RunRequest]:
    """The checked runs of a command, for use from Python: ``compose_runs("seed=0,1,2")``."""
    GlobalHydra.instance().clear()
    try:
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            compose = partial(hydra.compose, "config", return_hydra_config=True)
            sweeper = compose([o for o in overrides if "experiment=" in o]).hydra.sweeper
            loader = GlobalHydra.instance().config_loader()
            jobs = split_grid(loader, overrides, sweeper.get("params"))
            return check_grid(jobs, lambda job: compose(list(job)))
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(_one_line(error)) from error
    finally:
        GlobalHydra.instance().clear()


def split_grid(
    loader: ConfigLoader, arguments: Sequence[str], params: Mapping[str, Any] | None = None
) -> list[tuple[str, ...]]:
    """The overrides of each run of a sweep: the cartesian product of all values.

    Args:
        loader: expands ``glob(*)``.
        arguments: of the command line.
        params: overrides of an experiment file; the command line takes precedence.
    """
    parser = OverridesParser.create(config_loader=loader)
    given = parser.parse_overrides(list(arguments))
    keys = {override.key_or_group for override in given}
    defaults = [f"{key}={value}" for key, value in (params or {}).items() if key not in keys]
    values = []
    for override in [*parser.parse_overrides(defaults), *given]:
        if not override.is_sweep_override():
            values.append([str(override.input_line)])
        elif override.is_discrete_sweep():
            key = override.get_key_element()
            values.append([f"{key}={value}" for value in override.sweep_string_iterator()])
        else:
            raise UserError(f"{override.input_line} is not a list of values")
    jobs = list(product(*values))
    if not jobs:
        raise UserError(f"the sweep is empty: {' '.join(arguments)}")
    return jobs


def check_grid(
    jobs: Iterable[Sequence[str]], compose: Callable[[Sequence[str]], DictConfig]
) -> list[RunRequest]:
    """Compose and check every run of a sweep; the first thing that is wrong raises a UserError."""
    requests: dict[tuple[str, ...], RunRequest] = {}
    composed: dict[tuple[str, ...], RunRequest] = {}
    for job in map(tuple, jobs):
        if job in requests:
            raise UserError(f"the sweep contains a run twice: {' '.join(job)}")
        # Hydra takes a tenth of a second to compose a run: runs that differ in the seed share it,
        # unless an interpolation may contain the seed.
        seeds = [o for o in job if re.fullmatch(r"seed=[0-9]+", o)]
        shared = len(seeds) == 1 and not any("${" in override for override in job)
        key = tuple(o for o in job if o not in seeds) if shared else job
        if key not in composed:
            cfg = compose(job)
            composed[key] = check_run(cfg, cfg.hydra.runtime.choices, job)
        request = composed[key]
        if shared:
            seed = int(seeds[0].removeprefix("seed="))
            config = request.config.model_copy(update={"seed": seed})
            request = replace(request, config=config, overrides=job)
        requests[job] = request
    found = list(requests.values())
    trainer = found[0].config.trainer
    if len(found) > 1 and (trainer.devices > 1 or "ddp" in trainer.strategy):
        raise UserError(
            "-m does not work with several devices, since each process would start the whole "
            "sweep: train the runs one by one, or one run per device"
        )
    studies = sorted({request.config.study for request in found})
    if len(studies) > 1:
        raise UserError(f"study={','.join(studies)}: a command trains the runs of one study")
    return found


def check_run(cfg: DictConfig, choices: Mapping[str, Any], overrides: Iterable[str]) -> RunRequest:
    """Check the composed configuration of one run."""
    cfg = copy.copy(cfg)
    with open_dict(cfg):
        cfg.pop("hydra", None)
    for key, value in flatten(_plain(cfg, resolve=False)):
        if value == "???":
            raise UserError(f"{key} needs a value: add {key}=... to the command")
    names = {str(group): str(name) for group, name in choices.items()}
    own = tuple(o for o in overrides if not o.startswith("hydra."))
    return RunRequest(validate(_plain(cfg, resolve=True)), names, own)


def _plain(cfg: DictConfig, resolve: bool) -> dict[str, Any]:
    values = OmegaConf.to_container(cfg, resolve=resolve)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


@contextmanager
def _errors_in_one_line() -> Iterator[None]:
    """Print errors of the user in one line and exit with code 2; with HYDRA_FULL_ERROR=1, raise."""
    try:
        yield
    except (UserError, HydraException, OmegaConfBaseException) as error:
        if _DEBUG:
            raise
        message = str(error) if isinstance(error, UserError) else _one_line(error)
        print(f"error: {message}", file=sys.stderr)
        raise SystemExit(2) from error


def _interrupt(number: int, _: object) -> None:
    print("interrupted: the same command continues from here", file=sys.stderr)
    raise Interrupted(128 + number)


def _one_line(error: Exception) -> str:
    """What Hydra or OmegaConf rejected, in one line, with the nearest name that exists."""
    if isinstance(error, MissingConfigException) and error.options:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        options = sorted(path.stem for path in (CONF / group).glob("*.yaml")) or error.options
        near = nearest(name, options)
        return f"unknown {group} '{name}'{near} (available: {', '.join(options)})"
    cause = error.__cause__ or error
    if isinstance(cause, ConfigKeyError | ConfigAttributeError) and cause.parent_node is not None:
        key = str(cause.full_key)
        prefix = key.removesuffix(str(cause.key))
        known = [f"{prefix}{other}" for other in cause.parent_node]
        return f"unknown key {key}{nearest(key, known)}"
    several = re.search(r"Ambiguous value for argument '(.+)'", str(error))
    if several:
        return f"{several[1]} names several values: add -m to sweep over them"
    first, reason = (str(e).partition("\n")[0] for e in (error, cause))
    return first if reason in first else f"{first.removesuffix('.')}: {reason}"
