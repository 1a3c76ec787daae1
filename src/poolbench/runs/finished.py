"""The finished cells below a folder of studies, and those that have no result."""

import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from poolbench.core.errors import BadInput
from poolbench.core.nested import leaves
from poolbench.runs.manifest import MANIFEST, read_manifest
from poolbench.runs.record import RECORD
from poolbench.runs.study import BYSTANDERS, StudyCell, planned_cell, read_cell
from poolbench.stats.scores import Array, accuracy_scores, macro_f1_scores

SCORES = {"accuracy": accuracy_scores, "f1_macro": macro_f1_scores}
# They change no result.
UNSHOWN = ("trainer.enable_progress_bar", "trainer.profiler", "cache.max_gb", "encoder.caveat")


@dataclass(frozen=True, eq=False)
class Result:
    """A finished cell: its record, when it was written (seconds since 1970), its scores (n,)."""

    cell: StudyCell
    written: float
    scores: Array

    @property
    def code(self) -> tuple[str, bool] | None:
        """Commit, and whether files differed from it; None where no revision was recorded."""
        found = self.cell.record.get("revision")
        return (str(found.get("commit")), bool(found.get("modified"))) if found else None

    @property
    def schema(self) -> int:
        """The version of the record's layout."""
        return int(self.cell.record.get("schema_version") or 0)

    @cached_property
    def variant(self) -> str:
        """The configuration without the seed, and what data and encoder really are."""
        record = self.cell.record
        known = record["cell"].get("variant")  # not kept by early records
        return str(known or json.dumps([self.settings, self.digests], sort_keys=True, default=str))

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Dotted keys and values of all that may change a result, except the seed."""
        config = self.cell.record.get("config") or {}
        unrelated = (*BYSTANDERS, "seed")
        chosen = leaves({key: value for key, value in config.items() if key not in unrelated})
        return {key: value for key, value in chosen if key not in UNSHOWN}

    @property
    def digests(self) -> dict[str, str]:
        """What data, tokens, test split and encoder really are."""
        found = self.cell.record.get("digests") or {}
        return {name: str(value) for name, value in found.items() if name != "order"}


@dataclass(frozen=True, eq=False)
class Finished:
    """What is below a folder; the folder of each cell is relative to it.

    Attributes:
        results: of the finished cells.
        without: cells that failed, diverged, are damaged or still missing.
        unread: plans of studies that cannot be read.
    """

    results: tuple[Result, ...]
    without: tuple[StudyCell, ...]
    unread: tuple[str, ...]


def read_finished(root: Path, metric: str) -> Finished:
    """Every record below ``root`` and every cell that a study there has planned.

    Raises:
        BadInput: ``root`` is not a folder, or there is no record below it.
    """
    if not root.is_dir():
        raise BadInput(f"{root} is not a folder")
    planned, unread = _plans(root)
    found = {path.parent: path for path in sorted(root.rglob(RECORD))}
    if not found:
        raise BadInput(f"{root} holds no {RECORD}: train first, python train.py study=...")
    results = []
    without = [cell for place, cell in planned.items() if place not in found]
    for place, path in found.items():
        plan = planned.get(place)
        cell = read_cell(root, place)
        cell = replace(cell, command=plan.command) if plan else cell
        if cell.ok and cell.predictions is not None and len(cell.predictions.labels) < 2:
            cell = replace(cell, status="damaged", error="fewer than 2 test examples")
        if cell.ok:
            results.append(_result(cell, path, metric))
        else:
            without.append(cell)
    return Finished(tuple(results), tuple(without), tuple(unread))


def _plans(root: Path) -> tuple[dict[Path, StudyCell], list[str]]:
    """The planned cells of all studies by folder, and the plans that cannot be read."""
    planned: dict[Path, StudyCell] = {}
    unread = []
    for path in sorted(root.rglob(MANIFEST)):
        try:
            for named in (read_manifest(path.parent) or {})["cells"]:
                cell = planned_cell(named)
                place = path.parent / cell.folder
                planned[place] = replace(cell, folder=place.relative_to(root).as_posix())
        except (BadInput, KeyError, TypeError, ValueError):
            unread.append(path.relative_to(root).as_posix())
    return planned, unread


def _result(cell: StudyCell, path: Path, metric: str) -> Result:
    kept = cell.predictions
    assert kept is not None  # the status is ok
    scores = SCORES[metric](kept.labels, kept.predictions)
    # The logits of all studies together would be large.
    return Result(replace(cell, predictions=None), path.stat().st_mtime, scores)
