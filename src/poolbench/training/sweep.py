"""Runs of a command, one after another: finished ones are skipped, a failure stays alone."""

import logging
import traceback
from collections.abc import Sequence

from poolbench.core.errors import DivergedError, Interrupted, UserError
from poolbench.core.io import atomic_write, file_lock
from poolbench.core.redact import redacted
from poolbench.runs.identity import RunSpec, identify
from poolbench.runs.record import (
    RECORD,
    SCHEMA_VERSION,
    RecordError,
    RunRecord,
    read_record,
    write_record,
)
from poolbench.runs.study import declare
from poolbench.training.config import Config, RunRequest, check_components
from poolbench.training.console import Progress
from poolbench.training.run import train_run
from poolbench.training.session import Session

log = logging.getLogger(__name__)
FAILURE_LOG = "failure.log"


def plan(requests: Sequence[RunRequest], session: Session) -> list[RunSpec]:
    """The specs of all runs; runs that share data and encoder follow each other.

    Constructors, data, encoders and the parts of every model are checked here, before the first
    run starts and before anything is written.

    Raises:
        UserError: something cannot be used.
    """
    distinct = {r.config.model_dump_json(exclude={"seed"}): r.config for r in requests}
    for config in distinct.values():
        check_components(config)
    inputs = [r.config.model_dump_json(include={"dataset", "encoder"}) for r in requests]
    specs: list[RunSpec] = []
    variants: set[str] = set()
    for i in sorted(range(len(requests)), key=lambda i: inputs.index(inputs[i])):
        config, names = requests[i].config, requests[i].names
        spec = identify(
            config.model_dump(by_alias=True),
            names,
            session.inputs(config).digests,
            SCHEMA_VERSION,
            " ".join(("python train.py", *requests[i].overrides)),
        )
        if spec.variant not in variants:
            session.parts(config)
            variants.add(spec.variant)
        specs.append(spec)
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
    progress = Progress(specs)
    for wait in (False, True):
        for spec in list(progress.waiting):
            progress.start(spec)
            if record := run_one(spec, session, wait):
                progress.finish(spec, record)


def run_one(spec: RunSpec, session: Session, wait: bool = True) -> RunRecord | None:
    """The record of a run: the existing one, else a new one, also of a failure.

    None if another process is training the run and ``wait`` is false.
    """
    with file_lock(spec.folder / ".lock", wait) as locked:
        if not locked:
            return None
        record = existing_record(spec)
        if record and (record.ok or not spec.config["retry_failed"]):
            return record
        try:
            return train_run(spec, session)
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
        aside = spec.folder / f"{RECORD}.damaged"
        log.warning("%s: moved to %s, training again", error, aside.name)
        (spec.folder / RECORD).replace(aside)
        return None


def _failed(spec: RunSpec, error: BaseException) -> RunRecord:
    lines = str(error).strip().splitlines()
    record = RunRecord(
        folder=spec.folder,
        run=spec,
        status="diverged" if isinstance(error, DivergedError) else "failed",
        error=redacted(f"{type(error).__name__}: {lines[0] if lines else 'no message'}"),
        failure_log=FAILURE_LOG,
    )
    try:
        with atomic_write(spec.folder / FAILURE_LOG) as file:
            file.write("".join(traceback.format_exception(error)).encode())
        write_record(record)
    except OSError as unwritten:
        log.warning("the failure of %s cannot be recorded: %s", spec.label, unwritten)
    return record
