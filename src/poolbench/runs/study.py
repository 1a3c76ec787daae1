"""A study folder read back: what was planned, what finished, and the test texts."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from poolbench.core.errors import BadInput
from poolbench.core.nested import leaves
from poolbench.runs.manifest import MANIFEST, read_manifest
from poolbench.runs.record import (
    RECORD,
    DamagedRecord,
    Predictions,
    read_predictions,
    read_record,
)

# Keys of a configuration that never change a result.
BYSTANDERS = ("study", "output_dir", "logger", "retry_failed", "comparison")


@dataclass(frozen=True, eq=False)
class StudyCell:
    """One cell of a study, finished or not.

    Attributes:
        folder: relative to the study's folder.
        status: ``ok``, ``failed``, ``diverged``, ``damaged`` or ``missing``.
        error: why it is not ``ok``.
        command: trains this cell again; None where no plan was kept.
        record: what it left behind; empty where it is damaged or missing.
        predictions: of the test examples; None unless the status is ``ok``.
    """

    dataset: str
    encoder: str
    pooler: str
    seed: int
    digest: str
    folder: str
    status: str = "missing"
    error: str | None = None
    command: str | None = None
    record: Mapping[str, Any] = field(default_factory=dict, repr=False)
    predictions: Predictions | None = field(default=None, repr=False)

    @property
    def ok(self) -> bool:
        """It was trained and tested."""
        return self.status == "ok"

    def metric(self, name: str) -> float | None:
        """A figure of the record, such as ``test/accuracy``; None where there is none."""
        value = (self.record.get("metrics") or {}).get(name)
        return None if value is None else float(value)

    def setting(self, key: str) -> Any:
        """A value of the resolved configuration, ``optimizer.lr``; None where there is none."""
        value: Any = self.record.get("config")
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return value


@dataclass(frozen=True, eq=False)
class Study:
    """All cells of a study, in the order of dataset, encoder, pooler, seed.

    Attributes:
        comparison: the choices made before the results: reference, metric, margin, looks.
        unplanned: finished cells that the plan does not name; they are among the cells.
    """

    folder: Path
    cells: tuple[StudyCell, ...]
    comparison: Mapping[str, Any] = field(default_factory=dict)
    unplanned: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of the study's folder."""
        return self.folder.resolve().name

    def count(self, status: str) -> int:
        """Cells with this status."""
        return sum(cell.status == status for cell in self.cells)

    @cached_property
    def texts(self) -> dict[tuple[str, str], list[str]]:
        """(dataset, encoder) -> test texts in the order of the predictions, where kept."""
        found: dict[tuple[str, str], list[str]] = {}
        for cell in self.cells:
            task = cell.dataset, cell.encoder
            if task not in found and cell.predictions is not None:
                texts = _texts(self.folder, (cell.record.get("data") or {}).get("test_texts"))
                if texts is not None and len(texts) == len(cell.predictions.labels):
                    found[task] = texts
        return found


def read_study(folder: Path) -> Study:
    """The study in ``folder``: every record below it and every cell its plan names.

    Raises:
        BadInput: there is neither a record nor a plan, or the plan is damaged.
    """
    if not folder.is_dir():
        raise BadInput(f"{folder} is not a folder")
    plan = read_manifest(folder) or {}
    if not plan and (folder / MANIFEST).exists():
        raise BadInput(f"{folder / MANIFEST} is damaged: give it back, or remove it")
    cells = {path.parent: read_cell(folder, path.parent) for path in folder.rglob(RECORD)}
    planned = [planned_cell(cell) for cell in plan.get("cells", ())]
    places = {folder / cell.folder: cell for cell in planned}
    for place, cell in places.items():
        done = cells.get(place)
        cells[place] = cell if done is None else replace(done, command=cell.command)
    if not cells:
        raise BadInput(f"{folder} holds no {RECORD}: train first, python train.py study=...")
    return Study(
        folder=folder,
        cells=tuple(sorted(cells.values(), key=_order)),
        comparison=plan.get("comparison") or {},
        unplanned=tuple(sorted(c.folder for p, c in cells.items() if planned and p not in places)),
    )


def varying(cells: Iterable[StudyCell]) -> list[str]:
    """Configuration keys in which cells of one dataset, encoder, pooler and seed differ."""
    first: dict[tuple[Any, ...], dict[str, Any]] = {}
    keys: set[str] = set()
    for cell in cells:
        if not cell.record:
            continue
        config = cell.record.get("config") or {}
        values = dict(leaves({k: v for k, v in config.items() if k not in BYSTANDERS}))
        other = first.setdefault((cell.dataset, cell.encoder, cell.pooler, cell.seed), values)
        keys |= {k for k in values.keys() | other.keys() if values.get(k) != other.get(k)}
    return sorted(keys)


def written_setting(key: str, value: Any) -> str:
    """A setting as a table shows it: optimizer.lr=0.003; a class by its name, head=MlpHead."""
    part = key.removesuffix("._target_")
    return f"{part}={value if part == key else str(value).rpartition('.')[2]}"


def planned_cell(cell: Mapping[str, Any]) -> StudyCell:
    """A cell as the plan of its study names it, without a record.

    Raises:
        BadInput: the plan does not say which cell it is.
    """
    names = ("dataset", "encoder", "pooler", "seed", "digest", "folder")
    absent = [name for name in names if name not in cell]
    if absent:
        raise BadInput(f"a cell in {MANIFEST} has no {absent[0]}")
    return StudyCell(**{name: cell[name] for name in names}, command=cell.get("command"))


def read_cell(study: Path, folder: Path) -> StudyCell:
    """The cell that left a record in ``folder``, somewhere below ``study``; it may be damaged."""
    relative = folder.relative_to(study)
    try:
        record = read_record(folder)
        names = record["cell"]
        ok = record["status"] == "ok"
        return StudyCell(
            dataset=str(names["dataset"]),
            encoder=str(names["encoder"]),
            pooler=str(names["pooler"]),
            seed=int(names["seed"]),
            digest=str(names["digest"]),
            folder=relative.as_posix(),
            status=str(record["status"]),
            error=record.get("error"),
            command=record.get("command"),
            record=record,
            predictions=read_predictions(folder) if ok else None,
        )
    except (DamagedRecord, KeyError, TypeError, ValueError, OSError) as error:
        # The folder's own name still says which cell it was.
        *_, dataset, encoder, pooler, leaf = ("?", "?", "?", "?", *relative.parts)
        seed, _, digest = leaf.removeprefix("seed=").partition("-")
        return StudyCell(
            dataset=dataset,
            encoder=encoder,
            pooler=pooler,
            seed=int(seed) if seed.isdecimal() else -1,
            digest=digest,
            folder=relative.as_posix(),
            status="damaged",
            error=str(error).replace(f"{study}/", ""),
        )


def _texts(study: Path, name: str | None) -> list[str] | None:
    """Texts are a help to the reader: without them a report is still right."""
    if not name:
        return None
    path = (study / name).resolve()
    if not path.is_relative_to(study.resolve()):
        return None
    try:
        return [str(text) for text in json.loads(path.read_bytes())["texts"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _order(cell: StudyCell) -> tuple[Any, ...]:
    return cell.dataset, cell.encoder, cell.pooler, cell.seed, cell.digest
