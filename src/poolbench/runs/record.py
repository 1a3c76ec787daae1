"""The record of a run: ``record.json`` and, next to it, ``predictions.npz``.

``record.json`` is written last, in one step, with checksums: it exists if and only if the run is
finished. It is read by :func:`read_record` alone, which checks its checksum and its schema.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from poolbench.core.io import atomic_write, file_digest
from poolbench.core.redact import redacted
from poolbench.runs.identity import RunSpec

SCHEMA_VERSION: Literal[2] = 2
RECORD = "record.json"
PREDICTIONS = "predictions.npz"
Status = Literal["ok", "failed", "diverged", "missing", "damaged"]


@dataclass(frozen=True)
class Predictions:
    """The test examples of a run, in the order of the test split."""

    example_ids: NDArray[np.int64]  # (n,)
    labels: NDArray[np.int64]  # (n,)
    predictions: NDArray[np.int64]  # (n,)
    logits: NDArray[np.float32]  # (n, C)


class RecordError(ValueError):
    """A record or its predictions that are damaged, or of another version of the schema."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Parameters(_Part):
    """Numbers of parameters; those of a learned layer mix are counted with the pooler."""

    encoder: int = 0
    pooler: int = 0
    head: int = 0
    pooled_width: int = 0


class DataSummary(_Part):
    """The dataset as the run saw it."""

    classes: list[str] = []  # names, in the order of the logits
    examples: dict[str, int] = {}  # number in each split
    cut_texts: int = 0  # texts that were longer than encoder.max_length
    blank_texts: int = 0  # texts without any word
    test_tokens: list[int] = []  # number of tokens of each test text
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
    deviation: float | None
    limit: float | None
    kept: bool


class Revision(_Part):
    """Git commit of the code, and whether files differed from it."""

    commit: str
    modified: bool


class RunRecord(BaseModel):
    """A run after it ran, or the reason why it has no result."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    folder: Path = Field(exclude=True)  # where the record was found; not written
    schema_version: Literal[2] = SCHEMA_VERSION
    run: RunSpec
    status: Status  # "missing" and "damaged" are never written
    error: str | None = None  # why the status is not "ok", in one line
    failure_log: str | None = None  # file with the traceback, in the same folder
    metrics: dict[str, float] = {}  # final figures: test/accuracy, best/epoch, perf/...
    history: list[dict[str, float]] = []  # metrics of each epoch
    test_details: dict[str, list[Any]] = {}  # precision, recall, F1 of each class; confusion matrix
    parameters: Parameters = Parameters()
    data: DataSummary = DataSummary()
    digests: Digests = Digests()
    step_input: str = ""  # a training step starts from token ids, cached hidden states or vectors
    batching: str = ""  # how batches were made, which need not be as configured
    certificate: dict[str, ContractLine] = {}  # lines of the pooler contract, by name
    notes: list[str] = []  # what a reader of the result must know
    logger: tuple[str, str] | None = None  # name of the experiment logger, where its data is
    versions: dict[str, str] = {}
    hardware: dict[str, Any] = {}
    revision: Revision | None = None
    seconds: dict[str, float] = {}  # wall and CPU time
    predictions_sha256: str | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.status == "ok":
            for name in ("metrics", "history", "seconds"):
                if not getattr(self, name):
                    raise ValueError(f"status is ok but {name} is missing")
            if len(self.data.classes) < 2 or not self.digests.order:
                raise ValueError("status is ok but classes or order digests are missing")
        return self

    @property
    def ok(self) -> bool:
        """Whether the run was trained and tested."""
        return self.status == "ok"

    @cached_property
    def predictions(self) -> Predictions:
        """The test predictions, read from disk when first used."""
        path = self.folder / PREDICTIONS
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return Predictions(**{name: arrays[name] for name in arrays.files})
        except Exception as error:  # numpy raises many kinds for damaged archives
            raise RecordError(f"{path} cannot be read: {error}") from error


def write_record(record: RunRecord, predictions: Predictions | None = None) -> None:
    """Write both files; after a crash at any point there is either no record or a whole one."""
    record.folder.mkdir(parents=True, exist_ok=True)
    if predictions is not None:
        with atomic_write(record.folder / PREDICTIONS) as file:
            np.savez_compressed(file, **vars(predictions))
    content = redacted(record.model_dump(mode="json"))
    if predictions is not None:
        content["predictions_sha256"] = file_digest(record.folder / PREDICTIONS)
    content["checksum"] = _checksum(content)
    with atomic_write(record.folder / RECORD) as file:
        file.write(json.dumps(content, indent=1, allow_nan=False).encode())


def read_record(folder: Path) -> RunRecord:
    """The record in ``folder``, with its checksums verified.

    Raises:
        FileNotFoundError: there is none: the run is not finished.
        RecordError: it is damaged, or of another version of the schema.
    """
    path = folder / RECORD
    try:
        content = json.loads(path.read_bytes())
        version, checksum = content["schema_version"], content.pop("checksum")
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RecordError(f"{path} is not a record: {error}") from error
    if version != SCHEMA_VERSION:
        raise RecordError(
            f"{path} has schema {version}, this version of poolbench reads {SCHEMA_VERSION}: "
            "run the command again"
        )
    if _checksum(content) != checksum:
        raise RecordError(f"{path} does not match its checksum")
    try:
        record = RunRecord.model_validate({**content, "folder": folder})
    except ValidationError as error:
        detail = error.errors()[0]
        reason = f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}"
        raise RecordError(f"{path} is not a record: {reason}") from error
    path = folder / PREDICTIONS
    if record.ok and not (path.is_file() and file_digest(path) == record.predictions_sha256):
        raise RecordError(f"{path} is missing or does not match its checksum")
    return record


def _checksum(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
