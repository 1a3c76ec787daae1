"""A study: the runs declared in ``study.json`` and the records below its folder."""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path

from pydantic import BaseModel

from poolbench.core.errors import UserError
from poolbench.core.io import atomic_write, file_lock
from poolbench.core.redact import redacted
from poolbench.core.sources import code_digest
from poolbench.runs.identity import RunSpec
from poolbench.runs.protocol import Protocol
from poolbench.runs.record import RECORD, NamedSpec, RunRecord, read_record
from poolbench.runs.schema import EXACT, Count, RecordError, read_json

STUDY = "study.json"
LISTED = 5  # damaged files in one note
FEWEST_SEEDS = 5  # for a test; fewer are described only


class Declaration(BaseModel):
    """The content of ``study.json``: what was declared before the results were known."""

    model_config = EXACT

    schema_version: Count = 2
    protocol: Protocol
    runs: list[NamedSpec]


class KeptTexts(BaseModel):
    """The content of the file with the test texts, in the order of the predictions."""

    texts: list[str]


@dataclass(frozen=True, eq=False)
class Study:
    """All runs of a study, in the order of dataset, encoder, pooler and seed.

    Attributes:
        runs: declared or found; a declared run without a record has the status ``missing``.
        undeclared: folders of records that ``study.json`` does not name; they are among the runs.
        damaged: files and folders that cannot be used, with the reason.
        test_texts: by (dataset, encoder), where they exist; a report is correct without them.
    """

    folder: Path
    runs: tuple[RunRecord, ...]
    protocol: Protocol
    undeclared: tuple[str, ...] = ()
    damaged: dict[str, str] = field(default_factory=dict)
    test_texts: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.folder.resolve().name

    @property
    def finished(self) -> list[RunRecord]:
        """The runs that have a result."""
        return [run for run in self.runs if run.ok]


def declare(specs: Sequence[RunSpec], protocol: Protocol) -> None:
    """Add runs to ``study.json``; several processes may do so at once.

    The default of ``looks`` is replaced by the number of seeds that were declared first: seeds that
    are added when results are known do not move the planned test.

    Raises:
        UserError: the study was declared with another protocol: results may be known by now.
    """
    folder = specs[0].study_folder
    with file_lock(folder / ".study.lock"):
        known = read_declaration(folder) or Declaration(protocol=protocol, runs=[])
        runs = list({spec.path: spec for spec in [*known.runs, *specs]}.values())
        looks = known.protocol.looks or _one_look(known.runs) or protocol.looks or _one_look(runs)
        for key in Protocol.model_fields:
            before, now = getattr(known.protocol, key), getattr(protocol, key)
            if key == "looks":
                before, now = looks, now or looks
            if key != "published" and before != now:
                raise UserError(
                    f"study {folder.name} was declared with comparison.{key}={before}, not {now}: "
                    "keep it, or name another study"
                )
        published = protocol.published or known.protocol.published
        declaration = Declaration(
            protocol=known.protocol.model_copy(update={"published": published, "looks": looks}),
            runs=runs,
        )
        content = declaration.model_dump(mode="json", exclude={"runs": {"__all__": {"config"}}})
        with atomic_write(folder / STUDY) as file:
            file.write(json.dumps(redacted(content), indent=1).encode())


def _one_look(runs: Sequence[RunSpec]) -> list[int] | None:
    """The number of seeds of these runs, None if a test needs more."""
    seeds = len({spec.seed for spec in runs})
    return [seeds] if seeds >= FEWEST_SEEDS else None


def read_declaration(folder: Path) -> Declaration | None:
    """The declaration of the study in ``folder``, None if there is none."""
    try:
        return read_json(folder / STUDY, Declaration)
    except FileNotFoundError:
        return None
    except RecordError as error:
        raise RecordError(f"{error}; restore it, or remove it") from error


def read_records(root: Path) -> tuple[list[RunRecord], dict[str, str]]:
    """All records below ``root`` that can be compared, and by folder why others cannot.

    Raises:
        UserError: ``root`` is not a folder.
    """
    if not root.is_dir():
        raise UserError(f"{root} is not a folder")
    records: list[RunRecord] = []
    lost: dict[str, str] = {}
    for path in sorted(root.rglob(RECORD)):
        try:
            record = read_record(path.parent)
            if record.ok and len(record.predictions.targets) < 2:
                raise RecordError("it has fewer than 2 test examples")
            records.append(record)
        except (OSError, RecordError) as error:
            lost[path.parent.relative_to(root).as_posix()] = str(error).replace(f"{root}/", "")
    return records, lost


def read_study(folder: Path) -> Study:
    """Every record below ``folder`` and every run that its ``study.json`` declares.

    Raises:
        UserError: there is neither a record nor a declaration, or the declaration is damaged.
    """
    records, lost = read_records(folder)
    declaration = read_declaration(folder) or Declaration(protocol=Protocol(), runs=[])
    runs: dict[Path, RunRecord] = {}
    for record in sorted(records, key=lambda r: r.folder != folder / r.run.path):
        if runs.setdefault(record.run.path, record) is not record:
            lost[record.folder.relative_to(folder).as_posix()] = f"a copy of {record.run.path}"
    # A damaged record does not know its run: its place does.
    places = [spec for path in lost if (spec := _spec_from_path(path, folder.name))]
    for spec in (*declaration.runs, *places):
        error = lost.get(spec.path.as_posix())
        absent = {"folder": folder / spec.path, "status": "damaged" if error else "missing"}
        runs.setdefault(spec.path, RunRecord(run=spec, error=error, **absent))
    if not runs:
        why = next(iter(lost.values()), "train first, python train.py study=...")
        raise UserError(f"{folder} holds no {RECORD} that can be used: {why}")
    undeclared = runs.keys() - {spec.path for spec in declaration.runs}
    order = attrgetter("dataset", "encoder", "pooler", "seed", "digest")
    ordered = sorted(runs.values(), key=lambda record: order(record.run))
    texts: dict[tuple[str, str], list[str]] = {}
    for record in (r for r in ordered if r.ok):
        task = record.run.dataset, record.run.encoder
        try:
            texts[task] = texts.get(task) or read_test_texts(record, folder)
        except RecordError as error:
            lost[record.data.test_texts] = str(error)
    named = tuple(sorted(map(str, undeclared if declaration.runs else ())))
    return Study(folder, tuple(ordered), declaration.protocol, named, lost, texts)


def read_test_texts(record: RunRecord, study: Path) -> list[str]:
    """The test texts that the folder of a study keeps, as many as were tested; [] without any.

    Raises:
        RecordError: the file is damaged, outside the study, or of another test split.
    """
    name, tested = Path(record.data.test_texts), len(record.predictions.targets)
    if name.is_absolute() or ".." in name.parts:
        raise RecordError("it is outside of the study")
    try:
        texts = read_json(study / name, KeptTexts).texts if name.parts else []
    except FileNotFoundError:
        return []
    if texts and len(texts) != tested:
        raise RecordError(f"it has {len(texts)} texts, but {tested} were tested")
    return texts


def notes_on(damaged: Mapping[str, str], runs: Collection[RunRecord]) -> list[str]:
    """What was left out, and which runs other code has made, in whole sentences."""
    notes, stale = [], [run.digests.code for run in runs if run.is_stale]
    if damaged:
        listed = [f"{path}: {why}" for path, why in damaged.items()]
        listed[LISTED:] = [f"{len(listed) - LISTED} more"] if listed[LISTED:] else []
        count = "1 file is" if len(damaged) == 1 else f"{len(damaged)} files are"
        notes.append(f"{count} damaged and left out: {'; '.join(listed)}.")
    if stale:
        notes.append(
            f"{len(stale)} of {len(runs)} runs were made by other code (digest "
            f"{', '.join(sorted(set(stale)))}; now {code_digest()}). To train them again, add "
            "rerun=stale to the command."
        )
    return notes


def _spec_from_path(path: str, study: str) -> RunSpec | None:
    """What the place of a run in its study says of it."""
    names = "(?P<dataset>[^/]+)/(?P<encoder>[^/]+)/(?P<pooler>[^/]+)"
    found = re.fullmatch(rf"{names}/seed=(?P<seed>\d{{1,15}})-(?P<digest>\w+)", path)
    known = found if found and path.isprintable() else None
    return RunSpec(study=study, variant="", **known.groupdict()) if known else None
