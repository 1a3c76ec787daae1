"""A study: the runs declared in ``study.json`` and the records below its folder."""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from poolbench.core.errors import UserError
from poolbench.core.io import atomic_write, file_lock
from poolbench.core.redact import redacted
from poolbench.runs.identity import RunSpec
from poolbench.runs.protocol import Protocol
from poolbench.runs.record import RECORD, RecordError, RunRecord, read_record

STUDY = "study.json"


class Declaration(BaseModel):
    """The content of ``study.json``: what was declared before the results were known."""

    model_config = ConfigDict(extra="forbid")

    schema_version: int = 2
    protocol: Protocol
    runs: list[RunSpec]


@dataclass(frozen=True, eq=False)
class Study:
    """All runs of a study, in the order of dataset, encoder, pooler and seed.

    Attributes:
        runs: declared or found; a declared run without a record has the status ``missing``.
        undeclared: folders of records that ``study.json`` does not name; they are among the runs.
    """

    folder: Path
    runs: tuple[RunRecord, ...]
    protocol: Protocol
    undeclared: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.folder.resolve().name

    @property
    def finished(self) -> list[RunRecord]:
        """The runs that have a result."""
        return [run for run in self.runs if run.ok]

    @cached_property
    def test_texts(self) -> dict[tuple[str, str], list[str]]:
        """Test texts by (dataset, encoder), in the order of the predictions, where they exist."""
        found: dict[tuple[str, str], list[str]] = {}
        for record in self.finished:
            task = record.run.dataset, record.run.encoder
            path = (self.folder / record.data.test_texts).resolve()
            if task in found or not path.is_relative_to(self.folder.resolve()):
                continue
            # A report is correct without them.
            with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
                texts = [str(text) for text in json.loads(path.read_bytes())["texts"]]
                if len(texts) == record.data.examples.get("test"):
                    found[task] = texts
        return found


def declare(specs: Sequence[RunSpec], protocol: Protocol) -> None:
    """Add runs to ``study.json``; several processes may do so at once.

    Raises:
        UserError: the study was declared with another protocol: results may be known by now.
    """
    folder = specs[0].study_folder
    with file_lock(folder / ".study.lock"):
        known = read_declaration(folder) or Declaration(protocol=protocol, runs=[])
        for key in Protocol.model_fields:
            before, now = getattr(known.protocol, key), getattr(protocol, key)
            if key != "published" and before != now:
                raise UserError(
                    f"study {folder.name} was declared with comparison.{key}={before}, not {now}: "
                    "keep it, or name another study"
                )
        published = protocol.published or known.protocol.published
        by_path = {spec.path: spec for spec in [*known.runs, *specs]}
        declaration = Declaration(
            protocol=known.protocol.model_copy(update={"published": published}),
            runs=list(by_path.values()),
        )
        content = declaration.model_dump(mode="json", exclude={"runs": {"__all__": {"config"}}})
        with atomic_write(folder / STUDY) as file:
            file.write(json.dumps(redacted(content), indent=1).encode())


def read_declaration(folder: Path) -> Declaration | None:
    """The declaration of the study in ``folder``, None if there is none."""
    path = folder / STUDY
    try:
        return Declaration.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:  # a ValidationError is a ValueError
        reason = "is damaged or of another version: restore it, or remove it"
        raise UserError(f"{path} {reason}") from error


def read_study(folder: Path) -> Study:
    """Every record below ``folder`` and every run that its ``study.json`` declares.

    Raises:
        UserError: there is neither a record nor a declaration, or the declaration is damaged.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder")
    declaration = read_declaration(folder)
    runs = {path.parent: read_run(path.parent) for path in folder.rglob(RECORD)}
    declared = {folder / spec.path: spec for spec in declaration.runs} if declaration else {}
    for place, spec in declared.items():
        found = runs.get(place) or RunRecord(run=spec, folder=place, status="missing")
        # A damaged record does not know its command.
        runs[place] = found.model_copy(update={"run": spec}) if found.status == "damaged" else found
    if not runs:
        raise UserError(f"{folder} holds no {RECORD}: train first, python train.py study=...")
    undeclared = [place.relative_to(folder) for place in runs if declared and place not in declared]
    order = attrgetter("dataset", "encoder", "pooler", "seed", "digest")
    return Study(
        folder=folder,
        runs=tuple(sorted(runs.values(), key=lambda record: order(record.run))),
        protocol=declaration.protocol if declaration else Protocol(),
        undeclared=tuple(sorted(place.as_posix() for place in undeclared)),
    )


def read_run(folder: Path) -> RunRecord:
    """The record in ``folder``; an unreadable one has the status ``damaged`` and an error."""
    try:
        return read_record(folder)
    except (RecordError, OSError) as error:
        spec = _spec_from_path(folder)
        return RunRecord(run=spec, folder=folder, status="damaged", error=str(error))


def varying_settings(runs: Iterable[RunRecord]) -> list[str]:
    """Settings in which runs of one dataset, encoder, pooler and seed differ, as dotted keys."""
    first: dict[tuple[Any, ...], Mapping[str, Any]] = {}
    keys: set[str] = set()
    for record in runs:
        spec = record.run
        if spec.config:
            own = spec.settings
            other = first.setdefault((spec.dataset, spec.encoder, spec.pooler, spec.seed), own)
            keys |= {k for k in own.keys() | other.keys() if own.get(k) != other.get(k)}
    return sorted(keys)


def _spec_from_path(folder: Path) -> RunSpec:
    """What the folder of a run says of it: ``<study>/<dataset>/<encoder>/<pooler>/seed=0-abc``."""
    study, dataset, encoder, pooler, leaf = ("?", "?", "?", "?", "?", *folder.parts)[-5:]
    seed, _, digest = leaf.removeprefix("seed=").partition("-")
    return RunSpec(
        study=study,
        dataset=dataset,
        encoder=encoder,
        pooler=pooler,
        seed=int(seed) if seed.isdecimal() and len(seed) < 19 else -1,
        digest=digest,
        variant="",
    )
