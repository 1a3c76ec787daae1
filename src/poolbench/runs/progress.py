"""The progress of a run: a small file in its folder while it trains."""

import time
from pathlib import Path

from pydantic import BaseModel

from poolbench.runs.record import RECORD
from poolbench.runs.schema import Number, RecordError, read_json

PROGRESS = "progress.json"


class RunProgress(BaseModel):
    """How far a run is.

    Attributes:
        label: pooler, dataset, encoder and seed.
        epoch: the present one, from 1.
        epochs: the greatest number of epochs; training may stop earlier.
        seconds_left: of training at most; None before it is known.
        history: metrics of each finished epoch.
    """

    label: str
    epoch: int
    epochs: int
    seconds_left: Number | None = None
    history: list[dict[str, Number]] = []


def runs_in_progress(study: Path) -> list[tuple[RunProgress, float]]:
    """Runs below ``study`` without a newer record, and the seconds since each was updated."""
    found = []
    for path in sorted(study.rglob(PROGRESS)):
        try:
            updated, record = path.stat().st_mtime, path.with_name(RECORD)
            if not record.exists() or record.stat().st_mtime < updated:
                progress = read_json(path, RunProgress)
                found.append((progress, max(0.0, time.time() - updated)))
        except (OSError, RecordError):
            continue  # it is removed when the run ends
    return found
