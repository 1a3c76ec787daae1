"""Runs of a command, one after another: finished ones are skipped, a failure stays alone."""

import itertools
import logging
import os
import time
import traceback
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from pytorch_lightning.callbacks import Callback

from poolbench.core.errors import DivergedError, Interrupted, UserError
from poolbench.core.io import atomic_write, file_lock
from poolbench.core.redact import redacted
from poolbench.runs.identity import RunSpec, identify
from poolbench.runs.record import (
    RECORD,
    SCHEMA_VERSION,
    RunRecord,
    read_record,
    write_record,
)
from poolbench.runs.schema import RecordError
from poolbench.runs.study import declare
from poolbench.training.callbacks import ProgressFile
from poolbench.training.components import check_components
from poolbench.training.config import Config, RunRequest
from poolbench.training.dry_run import check_step
from poolbench.training.loggers import check_installed
from poolbench.training.run import train_run
from poolbench.training.session import Session
from poolbench.training.sweep_progress import Progress

log = logging.getLogger(__name__)
FAILURE_LOG = "failure.log"


def plan(requests: Sequence[RunRequest], session: Session) -> list[RunSpec]:
    """The specs of all runs; runs that share data and encoder follow each other.

    Constructors, data, encoders, trainers and one step of every model are checked here, before the
    first run starts and before anything is written. A step of finished runs is not tried again.

    Raises:
        UserError: something cannot be used.
    """
    groups: dict[int, list[RunRequest]] = defaultdict(list)
    for request in requests:
        if 0 < request.base.folds <= request.seed:
            raise UserError(
                f"seed={request.seed}: with split={request.base.split} the seed is the fold, "
                f"'seed=range({request.base.folds})'"
            )
        groups[id(request.base)].append(request)
    for group in groups.values():
        check_components(group[0].config)
        check_installed(group[0].config.logger)
    by_inputs: dict[str, list[list[RunRequest]]] = defaultdict(list)
    for group in groups.values():
        by_inputs[group[0].base.model_dump_json(include={"dataset", "encoder"})].append(group)
    specs: list[RunSpec] = []
    variants: set[str] = set()
    for group in itertools.chain.from_iterable(by_inputs.values()):
        config = group[0].config
        if not session.learns(config):
            if config.folds:
                raise UserError(
                    f"split={config.split}: nothing is trained, so every example is tested anyway; "
                    "set dataset.test and leave out split"
                )
            # The result is the same for every seed.
            own = tuple(o for o in group[0].overrides if not o.startswith("seed="))
            group = [replace(group[0], seed=0, overrides=own)]
            config = group[0].config
        planned = list(
            identify(
                config.model_dump(by_alias=True),
                group[0].names,
                session.inputs(config).digests,
                SCHEMA_VERSION,
                {r.seed: " ".join(("python train.py", *r.overrides)) for r in group},
            )
        )
        specs += planned
        # os.path.exists: a path too long for the file system is reported where it is written.
        finished = not config.rerun and all(os.path.exists(s.folder / RECORD) for s in planned)
        if not finished and planned[0].variant not in variants:
            check_step(config, session)
            variants.add(planned[0].variant)
    return specs


def declare_runs(specs: Sequence[RunSpec]) -> None:
    """Write the planned runs into the ``study.json`` of their study.

    Raises:
        UserError: the folder cannot be written, or the study was declared differently.
    """
    try:
        declare(specs, Config.model_validate(specs[0].config).comparison)
    except OSError as error:
        reason = f"{specs[0].study_folder}: {error.strerror}"
        raise UserError(f"cannot write to {reason}; set output_dir=...") from error


def run_all(specs: Sequence[RunSpec], session: Session) -> None:
    """Train the runs in this process; those that another process is training come last."""
    stale = 0
    session.untrained.expected = [
        Config.model_validate(spec.config)
        for spec in specs
        if spec.config["rerun"] or not (spec.folder / RECORD).exists()
    ]
    with Progress(specs) as progress:
        for wait in (False, True):
            for spec in list(progress.waiting):
                progress.start(spec)
                if record := run_one(spec, session, wait, progress):
                    progress.finish(spec, record)
                    stale += record.is_stale
    if stale:
        log.warning("%d results were made by other code; rerun=stale trains these again", stale)


def run_one(
    spec: RunSpec, session: Session, wait: bool = True, *watching: Callback
) -> RunRecord | None:
    """The record of a run: the existing one, else a new one, also of a failure.

    None if another process is training the run and ``wait`` is false.
    """
    with file_lock(spec.folder / ".lock", wait) as locked:
        if not locked:
            return None
        record = existing_record(spec)
        if record and not _rerun(record, spec.config["rerun"]):
            return record
        try:
            with ProgressFile(spec) as progress:
                return train_run(spec, session, progress, *watching)
        except Interrupted:
            raise
        except (Exception, SystemExit) as error:
            return _failed(spec, error)


def run_job(request: RunRequest) -> RunRecord:
    """Plan and train one run in a process of its own, started by another launcher."""
    session = Session()
    (spec,) = plan([request], session)
    record = run_one(spec, session)
    assert record is not None
    return record


def existing_record(spec: RunSpec) -> RunRecord | None:
    """The record of a run if there is an intact one; a damaged one is set aside."""
    try:
        return read_record(spec.folder)
    except FileNotFoundError:
        return None
    except RecordError as error:
        aside = spec.folder / f"{RECORD}.damaged-{time.time_ns()}"
        log.warning("%s: moved to %s, training again", error, aside.name)
        (spec.folder / RECORD).replace(aside)
        return None


def _rerun(record: RunRecord, choice: str | None) -> bool:
    return (choice == "failed" and not record.ok) or (choice == "stale" and record.is_stale)


def _failed(spec: RunSpec, error: BaseException) -> RunRecord:
    lines = str(error).strip().splitlines()
    record = RunRecord(
        folder=spec.folder,
        run=spec,
        status="diverged" if isinstance(error, DivergedError) else "failed",
        error=redacted(f"{type(error).__name__}: {lines[0] if lines else 'no message'}"),
        failure_log=FAILURE_LOG,
        finished=datetime.now(UTC),
    )
    try:
        with atomic_write(spec.folder / FAILURE_LOG) as file:
            file.write("".join(traceback.format_exception(error)).encode())
        write_record(record)
    except OSError as unwritten:
        log.warning("the failure of %s cannot be recorded: %s", spec.label, unwritten)
    return record
