"""The cells of a command, one after another: the finished are skipped, a failure stays alone."""

import logging
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from poolbench.core.errors import BadInput, Interrupted
from poolbench.core.io import locked, replacing
from poolbench.core.redact import redacted
from poolbench.runs.identity import Cell, identify
from poolbench.runs.manifest import declare
from poolbench.runs.record import RECORD, DamagedRecord, read_record, write_record
from poolbench.training.console import Progress
from poolbench.training.launch import Asked
from poolbench.training.lit_module import Diverged
from poolbench.training.run import run_cell
from poolbench.training.session import plain, prepare
from poolbench.training.together import Shared

log = logging.getLogger(__name__)
FAILURE_LOG = "failure.log"


@dataclass(frozen=True)
class Planned:
    """A cell that a command asks for, and its identity."""

    asked: Asked
    cell: Cell


def plan(asked: Sequence[Asked]) -> list[Planned]:
    """The identities of all cells; cells that share data and encoder stand together.

    Data, encoder and the other parts of every cell are made here, so that what cannot be used is
    refused before the first one starts, and before anything is written.

    Raises:
        BadInput: data or encoder cannot be used, parts do not go together, or two commands give
            one cell.
    """
    planned = [_planned(one) for one in asked]
    first_with: dict[tuple[str, str], int] = {}
    for i, p in enumerate(planned):
        first_with.setdefault((p.cell.dataset, p.cell.encoder), i)
    return sorted(planned, key=lambda p: first_with[p.cell.dataset, p.cell.encoder])


def _planned(asked: Asked) -> Planned:
    prepared = prepare(asked.cfg)
    prepared.parts(asked.cfg)
    return Planned(asked, identify(asked.cfg, asked.choices, prepared.digests))


def declare_all(planned: Sequence[Planned]) -> None:
    """Write what is planned into the manifest of the study.

    Raises:
        BadInput: the folder cannot be written, or the study was declared otherwise.
    """
    study = planned[0].cell.study_folder
    cells = [
        {
            **p.cell.names,
            "folder": str(p.cell.folder.relative_to(study)),
            "command": redacted(" ".join(("python train.py", *p.asked.overrides))),
        }
        for p in planned
    ]
    try:
        declare(study, plain(planned[0].asked.cfg.comparison), cells)
    except OSError as error:
        raise BadInput(f"cannot write to {study}: {error.strerror}; use output_dir=...") from error


def run_all(planned: Sequence[Planned]) -> None:
    """Run the cells in this process; those that another process is at come last."""
    progress = Progress([p.cell for p in planned])
    shared = shared_loops(planned)
    elsewhere = []
    for p in planned:
        progress.running(p.cell)
        record = run_one(p, shared, wait=False)
        if record is None:
            elsewhere.append(p)
        else:
            progress.done(p.cell, record)
    for p in elsewhere:
        progress.running(p.cell)
        if record := run_one(p, shared):
            progress.done(p.cell, record)


def run_one(p: Planned, shared: Shared | None = None, wait: bool = True) -> dict[str, Any] | None:
    """The record of a cell: the one that is there, else a new one, of its failure too.

    Args:
        p: the cell.
        shared: the loops of the command; None: it is the command's only cell.
        wait: for another process that is at it.

    Returns:
        None where another process is at the cell and ``wait`` is false.
    """
    with locked(p.cell.folder / ".lock", wait) as mine:
        if not mine:
            return None
        record = finished(p.cell)
        if record and (record["status"] == "ok" or not p.asked.cfg.retry_failed):
            return record
        try:
            cfg, prepared = p.asked.cfg, prepare(p.asked.cfg)
            loop = (shared or shared_loops([p])).of(cfg, p.cell, prepared)
            return run_cell(cfg, p.cell, prepared, loop)
        except Interrupted:
            raise
        except (Exception, SystemExit) as error:
            return _failed(p, error)


def shared_loops(planned: Sequence[Planned]) -> Shared:
    """The loops in which the cells of a command may train together."""
    waiting = Counter(p.cell.variant for p in planned if not finished(p.cell))
    return Shared([(p.asked.cfg, p.cell) for p in planned], waiting)


def run_helper(p: Planned) -> None:
    """Take part in a distributed run; the first process holds the lock and writes the record."""
    run_cell(p.asked.cfg, p.cell, prepare(p.asked.cfg))


def finished(cell: Cell) -> dict[str, Any] | None:
    """The record of a cell, if there is a whole one; a damaged one is set aside."""
    try:
        return read_record(cell.folder)
    except FileNotFoundError:
        return None
    except DamagedRecord as error:
        aside = cell.folder / f"{RECORD}.damaged"
        log.warning("%s: set aside as %s, the cell runs again", error, aside.name)
        (cell.folder / RECORD).replace(aside)
        return None


def _failed(p: Planned, error: BaseException) -> dict[str, Any]:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else "no message"
    record = {
        "status": "diverged" if isinstance(error, Diverged) else "failed",
        "cell": p.cell.names,
        "config": redacted(plain(p.asked.cfg)),
        "error": redacted(f"{type(error).__name__}: {reason}"),
        "log": FAILURE_LOG,
    }
    try:
        with replacing(p.cell.folder / FAILURE_LOG) as file:
            file.write("".join(traceback.format_exception(error)).encode())
        write_record(p.cell.folder, record, None)
    except OSError as unwritten:
        log.warning("the failure of %s cannot be recorded: %s", p.cell.name, unwritten)
    return record
