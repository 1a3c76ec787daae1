"""A finished run and what its task allows, without torch: what cannot work is rejected at once."""

from pathlib import Path

from poolbench.core.errors import UserError
from poolbench.runs.predictions import LAYOUTS
from poolbench.runs.protocol import ONE_TEXT, TaskName
from poolbench.runs.record import RECORD, UNTRAINED, RunRecord, read_record


def finished_run(folder: Path) -> RunRecord:
    """The record of the run in ``folder``.

    Raises:
        UserError: the run is not finished, or has no result.
    """
    try:
        record = read_record(folder)
    except FileNotFoundError as error:
        below = min(folder.rglob(RECORD), default=None)
        hint = f"it contains runs: use {below.parent}" if below else "not a finished run"
        raise UserError(f"{folder} has no {RECORD}: {hint}") from error
    if not record.ok:
        raise UserError(f"{folder}: the status of the run is {record.status}: {record.error}")
    return record


def check_one_text(record: RunRecord) -> None:
    """Raise UserError unless the run predicts something of a single text."""
    if record.task not in ONE_TEXT:
        raise UserError(
            f"{record.run.label}: task={record.task} predicts something of two texts, not of one; "
            "export its pooled vectors: python scripts/export.py <run> --to sentence-transformers"
        )


def explainable(task: TaskName) -> bool:
    """Whether a prediction is a class of one text, which the words of the text can explain."""
    return task in ONE_TEXT and LAYOUTS[task].fewest_classes > 0


def check_explainable(*records: RunRecord) -> None:
    """Raise UserError if there are runs, and none whose predictions can be explained."""
    if records and not any(explainable(record.task) for record in records):
        possible, first = ", ".join(task for task in ONE_TEXT if explainable(task)), records[0]
        raise UserError(
            f"{first.run.label}: task={first.task} predicts no class of one text, and only a "
            f"class is explained: use a run of {possible}"
        )


def check_vectors(record: RunRecord) -> None:
    """Raise UserError unless pooled vectors are compared with each other, without a head."""
    if record.task not in UNTRAINED:
        raise UserError(
            f"{record.run.label}: the vectors of task={record.task} are not compared with each "
            f"other: use a run of {' or '.join(UNTRAINED)}"
        )
