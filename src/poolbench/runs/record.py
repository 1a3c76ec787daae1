"""The record of a run: ``record.json`` and, next to it, ``predictions.npz``.

``record.json`` is written last, in one step, with checksums: it exists if and only if the run is
finished. It is read by :func:`read_record` alone, which checks both files.
"""

import hashlib
import json
import re
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    model_validator,
)
from pydantic_core import from_json, to_json

from poolbench.core.io import atomic_write, file_digest
from poolbench.core.redact import redacted
from poolbench.core.sources import code_digest
from poolbench.runs.identity import RunSpec
from poolbench.runs.predictions import LAYOUTS, Predictions
from poolbench.runs.protocol import TaskName
from poolbench.runs.schema import EXACT, Count, Number, damaged, read_json
from poolbench.runs.schema import RecordError as RecordError

SCHEMA_VERSION: Literal[3] = 3
RECORD = "record.json"
PREDICTIONS = "predictions.npz"
UNTRAINED = ("similarity", "retrieval")  # tasks that have a result without training
Status = Literal["ok", "failed", "diverged", "missing", "damaged"]


def _named(spec: RunSpec) -> RunSpec:
    """The names in a spec are folders, none of which may lead out of the folder of the study."""
    for key in ("study", "dataset", "encoder", "pooler", "digest"):
        if not re.fullmatch(r"(?!\.{1,2}$)[^/\0]+", name := getattr(spec, key)):
            raise ValueError(f"{key} {name!r} is not the name of a folder")
    if not 0 <= spec.seed < 2**53:
        raise ValueError(f"{spec.seed} is not a seed")
    if spec.setting("encoder.tuning") not in (None, "frozen", "full"):
        raise ValueError("config.encoder.tuning is neither frozen nor full")
    return spec


NamedSpec = Annotated[RunSpec, AfterValidator(_named)]


class _Part(BaseModel):
    model_config = EXACT


class Parameters(_Part):
    """Numbers of parameters; those of a learned layer mix are counted with the pooler."""

    encoder: Count = 0
    pooler: Count = 0
    head: Count = 0
    pooled_width: Count = 0


class DataSummary(_Part):
    """The dataset as the run saw it."""

    classes: list[str] = []  # names, in the order of the logits
    examples: dict[str, Count] = {}  # number in each split
    texts: Count = 0  # number of texts that were tokenized
    cut_texts: Count = 0  # those that were longer than encoder.max_length
    blank_texts: Count = 0  # texts without any word
    duplicates: dict[str, Count] = {}  # shared texts, conflicting labels: data/duplicates.py
    test_tokens: list[Count] = []  # number of tokens of each test text
    folds: Count = 0  # of cross-validation, whose fold is the seed of the run; 0: no folds
    test_texts: str = ""  # file with the test texts, relative to the folder of the study


class Digests(_Part):
    """Digests of what went into a run; ``order`` has one of the training order per epoch."""

    data: str = ""
    tokens: str = ""
    test_ids: str = ""
    encoder: str = ""
    code: str = ""
    order: list[str] = []


class ContractLine(_Part):
    """One line of the pooler contract, measured: see ``poolers/contract.py``."""

    promise: str
    deviation: Number | None
    limit: Number | None
    kept: bool


class Revision(_Part):
    """Git commit of the code, and whether files differed from it."""

    commit: str
    modified: bool


class RunRecord(BaseModel):
    """A run after it ran, or the reason why it has no result."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    folder: Path = Field(exclude=True)  # where the record was found; not written
    schema_version: Literal[3] = SCHEMA_VERSION
    run: NamedSpec
    task: TaskName = "classification"
    status: Status  # "missing" and "damaged" are never written
    error: str | None = None  # why the status is not "ok", in one line
    failure_log: str | None = None  # file with the traceback, in the same folder
    metrics: dict[str, Number] = {}  # final figures: test/accuracy, best/epoch, perf/...
    # Metrics of each epoch, and seconds of training so far; empty if nothing was trained.
    history: list[dict[str, Number]] = []
    test_details: dict[str, list[Number | list[Number]]] = {}  # of each class: F1, confusion matrix
    parameters: Parameters = Parameters()
    data: DataSummary = DataSummary()
    digests: Digests = Digests()
    step_input: str = ""  # a training step starts from token ids, cached hidden states or vectors
    batching: str = ""  # how batches were made, which need not be as configured
    certificate: dict[str, ContractLine] = {}  # lines of the pooler contract, by name
    notes: list[str] = []  # what a reader of the result must know
    logger: tuple[str, str] | None = None  # name of the experiment logger, where its data is
    versions: dict[str, str] = {}
    hardware: dict[str, str | int | Number | None] = {}
    revision: Revision | None = None
    seconds: dict[str, Number] = {}  # wall and CPU time
    finished: AwareDatetime | None = None  # UTC
    predictions_sha256: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.status == "ok":
            for name in ("metrics", "seconds"):
                if not getattr(self, name):
                    raise ValueError(f"status is ok but {name} is missing")
            classes, fewest = len(self.data.classes), LAYOUTS[self.task].fewest_classes
            if classes < fewest or (classes and not fewest):
                raise ValueError(f"{classes} classes do not fit the task {self.task}")
            if self.trained != bool(self.digests.order):
                raise ValueError("history and order digests belong together: one is missing")
            if not self.trained and (self.task not in UNTRAINED or self.run.seed):
                raise ValueError(f"{self.task} at seed {self.run.seed} without a history")
            if any(epoch.get("epoch", -1) < 0 for epoch in self.history):
                raise ValueError("history has an epoch without a number")
            if 0 < self.data.folds <= self.run.seed:
                raise ValueError(f"seed {self.run.seed} is none of {self.data.folds} folds")
            if any(len(values) != classes for values in self.test_details.values()):
                raise ValueError(f"test_details are not of {classes} classes")
        return self

    @property
    def ok(self) -> bool:
        """Whether the run was trained and tested."""
        return self.status == "ok"

    @property
    def trained(self) -> bool:
        """Whether there was anything to learn."""
        return bool(self.history)

    @property
    def written(self) -> datetime:
        """When the run finished; of a record that does not say so, the time of its file."""
        modified = (self.folder / RECORD).stat().st_mtime if self.finished is None else 0
        return self.finished or datetime.fromtimestamp(modified, UTC)

    @property
    def is_stale(self) -> bool:
        """Whether other code than the present one has computed the result."""
        return self.digests.code not in ("", code_digest())

    @cached_property
    def predictions(self) -> Predictions:
        """The test predictions, read from disk and checked when first used."""
        path = self.folder / PREDICTIONS
        try:
            # Unknown for a record that was just written.
            if self.predictions_sha256 not in (None, file_digest(path)):
                raise ValueError("it does not match its checksum")
            with np.load(path, allow_pickle=False) as arrays:
                found = Predictions(**arrays)
            total = sum(self.data.examples.values()) if self.data.folds else None
            found.check(self.task, len(self.data.classes), total)
            tested = {self.data.examples.get("test"), len(self.data.test_tokens) or None}
            if not tested <= {len(found.targets), None}:
                raise ValueError(f"{len(found.targets)} examples, the record has {tested}")
            return found
        except Exception as error:  # numpy raises many kinds for damaged archives
            raise damaged(path, error) from error


def write_record(record: RunRecord, predictions: Predictions | None = None) -> None:
    """Write both files; after a crash at any point there is either no record or a whole one."""
    record.folder.mkdir(parents=True, exist_ok=True)
    if predictions is not None:
        with atomic_write(record.folder / PREDICTIONS) as file:
            arrays = {k: v for k, v in vars(predictions).items() if v is not None}
            np.savez_compressed(file, **arrays)
    content = redacted(record.model_dump(mode="json"))
    if predictions is not None:
        content["predictions_sha256"] = file_digest(record.folder / PREDICTIONS)
    content["checksum"] = _checksum(content)
    with atomic_write(record.folder / RECORD) as file:
        file.write(json.dumps(content, indent=1, allow_nan=False).encode())


def read_record(folder: Path) -> RunRecord:
    """The record in ``folder``, checked together with its predictions.

    Raises:
        FileNotFoundError: there is none: the run is not finished.
        RecordError: a file is damaged, or of another version of the schema.
    """
    path = folder / RECORD

    def verified(content: bytes) -> bytes:
        values = from_json(content, allow_inf_nan=False)
        if not isinstance(values, dict) or not {"schema_version", "checksum"} <= values.keys():
            raise ValueError("it is not a record")
        if (version := values["schema_version"]) != SCHEMA_VERSION:
            raise RecordError(
                f"{path} has schema {version!r:.20}, this version of poolbench reads "
                f"{SCHEMA_VERSION}: run the command again"
            )
        if values.pop("checksum") != _checksum(values):
            raise ValueError("it does not match its checksum")
        return to_json(values | {"folder": "."})

    record = read_json(path, RunRecord, verified).model_copy(update={"folder": folder})
    if record.ok and not (record.predictions_sha256 and record.predictions):
        raise damaged(path, "it has no checksum of predictions")
    return record


def _checksum(content: dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
