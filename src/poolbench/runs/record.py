"""What one finished cell leaves behind: ``record.json`` and, beside it, ``predictions.npz``.

``record.json`` is written last, in one step, with checksums: it exists if and only if the cell is
finished. What does not match its checksum is not a record.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from poolbench.core.io import file_digest, replacing

SCHEMA_VERSION = 1
RECORD = "record.json"
PREDICTIONS = "predictions.npz"


@dataclass(frozen=True)
class Predictions:
    """The test examples of one cell, in the order of the test split."""

    example_ids: np.ndarray  # (n,)
    labels: np.ndarray  # (n,)
    predictions: np.ndarray  # (n,)
    logits: np.ndarray  # (n, C)


class DamagedRecord(ValueError):
    """A record or its predictions that are not what was written."""


def write_record(folder: Path, record: dict[str, Any], predictions: Predictions | None) -> Path:
    """Write both files; after a crash at any point there is either no record or a whole one."""
    folder.mkdir(parents=True, exist_ok=True)
    record = {"schema_version": SCHEMA_VERSION, **record}
    if predictions is not None:
        path = folder / PREDICTIONS
        with replacing(path) as file:
            np.savez_compressed(file, **vars(predictions))
        record["predictions_sha256"] = file_digest(path)
    record["checksum"] = _checksum(record)
    with replacing(folder / RECORD) as file:
        file.write(json.dumps(record, indent=1, allow_nan=False).encode())
    return folder / RECORD


def read_record(folder: Path) -> dict[str, Any]:
    """The record in ``folder``.

    Raises:
        FileNotFoundError: there is none: the cell is not finished.
        DamagedRecord: a checksum does not match.
    """
    path = folder / RECORD
    try:
        record: dict[str, Any] = json.loads(path.read_bytes())
        expected = record["checksum"]
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedRecord(f"{path} is not a record: {error}") from error
    if _checksum(record) != expected:
        raise DamagedRecord(f"{path} does not match its checksum")
    if "predictions_sha256" in record:
        scores = folder / PREDICTIONS
        if not scores.exists() or file_digest(scores) != record["predictions_sha256"]:
            raise DamagedRecord(f"{scores} is missing or does not match its checksum")
    return record


def read_predictions(folder: Path) -> Predictions:
    """The test predictions in ``folder``, as :func:`read_record` has verified them."""
    with np.load(folder / PREDICTIONS, allow_pickle=False) as arrays:
        return Predictions(**{name: arrays[name] for name in arrays.files})


def _checksum(record: dict[str, Any]) -> str:
    content = {key: value for key, value in record.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
