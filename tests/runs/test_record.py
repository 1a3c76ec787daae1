"""A record exists if and only if it is whole."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from poolbench.runs.record import (
    DamagedRecord,
    Predictions,
    read_predictions,
    read_record,
    write_record,
)

KEPT = Predictions(
    example_ids=np.arange(4),
    labels=np.array([0, 1, 0, 1]),
    predictions=np.array([0, 1, 1, 1]),
    logits=np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32),
)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    write_record(tmp_path / "cell", {"status": "ok", "metrics": {"a": 0.1}}, KEPT)
    assert read_record(tmp_path / "cell")["metrics"] == {"a": 0.1}
    for name, value in vars(read_predictions(tmp_path / "cell")).items():
        assert np.array_equal(value, getattr(KEPT, name))
    assert sorted(p.name for p in (tmp_path / "cell").iterdir()) == [
        "predictions.npz",
        "record.json",
    ]


@pytest.mark.parametrize("file", ["record.json", "predictions.npz"])
@pytest.mark.parametrize("damage", ["truncate", "flip", "empty"])
def test_damage_is_noticed(tmp_path: Path, file: str, damage: str) -> None:
    write_record(tmp_path, {"status": "ok"}, KEPT)
    content = bytearray((tmp_path / file).read_bytes())
    content[len(content) // 2] ^= 1 if damage == "flip" else 0
    changed = {"truncate": content[:-5], "empty": b""}.get(damage, content)
    (tmp_path / file).write_bytes(changed)
    with pytest.raises(DamagedRecord, match=file):
        read_record(tmp_path)


def test_a_changed_figure_is_noticed(tmp_path: Path) -> None:
    path = write_record(tmp_path, {"status": "ok", "metrics": {"test/accuracy": 0.71}}, KEPT)
    path.write_text(path.read_text().replace("0.71", "0.91"))
    with pytest.raises(DamagedRecord, match="checksum"):
        read_record(tmp_path)


@pytest.mark.parametrize("nth", range(4))
def test_a_crash_while_writing_leaves_no_record(tmp_path: Path, nth: int, monkeypatch) -> None:
    calls = iter(range(100))

    def crash(original):
        def maybe(*args: object) -> None:
            if next(calls) == nth:
                raise KeyboardInterrupt
            original(*args)

        return maybe

    monkeypatch.setattr(os, "fsync", crash(os.fsync))
    monkeypatch.setattr(os, "replace", crash(os.replace))
    with pytest.raises(KeyboardInterrupt):
        write_record(tmp_path, {"status": "ok"}, KEPT)
    with pytest.raises(FileNotFoundError):
        read_record(tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_figure_that_is_no_number_is_never_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_record(tmp_path, {"metrics": {"test/accuracy": float("nan")}}, KEPT)
    assert not (tmp_path / "record.json").exists()


def test_a_record_is_plain_json(tmp_path: Path) -> None:
    path = write_record(tmp_path, {"status": "failed"}, None)
    assert json.loads(path.read_text())["schema_version"] == 1
