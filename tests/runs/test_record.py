"""A record exists if and only if it is complete; one of another version is never misread."""

import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from poolbench.core import sources
from poolbench.runs.identity import RunSpec
from poolbench.runs.predictions import Predictions
from poolbench.runs.record import (
    DataSummary,
    Digests,
    RecordError,
    RunRecord,
    read_record,
    write_record,
)

KEPT = Predictions(
    example_ids=np.arange(4),
    targets=np.array([0, 1, 0, 1]),
    outputs=np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32),
)
SPEC = RunSpec(
    study="s",
    dataset="d",
    encoder="e",
    pooler="mean",
    seed=0,
    digest="abc",
    variant="def",
    config={"seed": 0, "logger": {"api_key": "hunter2"}},
)


def record(folder: Path, accuracy: float = 0.71) -> RunRecord:
    return RunRecord(
        folder=folder,
        run=SPEC,
        status="ok",
        metrics={"test/accuracy": accuracy},
        history=[{"epoch": 0, "val/accuracy": 0.5}],
        data=DataSummary(classes=["no", "yes"], examples={"test": 4}),
        digests=Digests(order=["a"]),
        seconds={"wall": 1.0},
    )


def test_what_was_written_is_read(tmp_path: Path) -> None:
    write_record(record(tmp_path / "run"), KEPT)
    read = read_record(tmp_path / "run")
    assert read.metrics == {"test/accuracy": 0.71}
    assert read.folder == tmp_path / "run"
    assert read.run.setting("seed") == 0
    for name, value in vars(read.predictions).items():
        assert np.array_equal(value, getattr(KEPT, name))
    assert "hunter2" not in (tmp_path / "run/record.json").read_text()
    names = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert names == ["predictions.npz", "record.json"]


@pytest.mark.parametrize("file", ["record.json", "predictions.npz"])
@pytest.mark.parametrize("damage", ["truncate", "flip", "empty"])
def test_damage_is_noticed(tmp_path: Path, file: str, damage: str) -> None:
    write_record(record(tmp_path), KEPT)
    content = bytearray((tmp_path / file).read_bytes())
    content[len(content) // 2] ^= 1 if damage == "flip" else 0
    changed = {"truncate": content[:-5], "empty": b""}.get(damage, content)
    (tmp_path / file).write_bytes(changed)
    with pytest.raises(RecordError, match=file):
        read_record(tmp_path)


def test_a_changed_figure_is_noticed(tmp_path: Path) -> None:
    write_record(record(tmp_path), KEPT)
    path = tmp_path / "record.json"
    path.write_text(path.read_text().replace("0.71", "0.91"))
    with pytest.raises(RecordError, match="checksum"):
        read_record(tmp_path)


def test_a_record_of_another_version_is_rejected_with_the_fix(tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text(json.dumps({"schema_version": 1, "checksum": "x"}))
    with pytest.raises(RecordError, match=r"schema 1.*reads 3.*run the command again"):
        read_record(tmp_path)


def test_groups_of_the_test_examples_are_kept_and_checked(tmp_path: Path) -> None:
    write_record(record(tmp_path), replace(KEPT, groups=np.array([7, 7, 0, 3])))
    found = read_record(tmp_path).predictions.groups
    assert found is not None
    assert found.tolist() == [7, 7, 0, 3]
    write_record(record(tmp_path), replace(KEPT, groups=np.arange(3)))
    with pytest.raises(RecordError, match=r"predictions\.npz.*groups: expected"):
        read_record(tmp_path)


def test_the_examples_of_a_fold_are_rows_of_all_examples(tmp_path: Path) -> None:
    data = DataSummary(classes=["no", "yes"], examples={"train": 5, "test": 4}, folds=2)
    fold = record(tmp_path).model_copy(update={"data": data})
    write_record(fold, replace(KEPT, example_ids=np.array([0, 3, 7, 8])))
    assert read_record(tmp_path).predictions.example_ids.tolist() == [0, 3, 7, 8]
    for wrong in ([0, 3, 3, 8], [0, 3, 7, 9], [3, 0, 7, 8]):
        write_record(fold, replace(KEPT, example_ids=np.array(wrong)))
        with pytest.raises(RecordError, match="not those of the test split"):
            read_record(tmp_path)


def test_the_date_is_that_of_the_run_and_not_of_its_file(tmp_path: Path) -> None:
    write_record(record(tmp_path), KEPT)
    os.utime(tmp_path / "record.json", (0, 0))
    assert read_record(tmp_path).written.year == 1970
    finished = datetime(2026, 5, 1, 12, tzinfo=UTC)
    write_record(record(tmp_path).model_copy(update={"finished": finished}), KEPT)
    os.utime(tmp_path / "record.json", (0, 0))
    assert read_record(tmp_path).written == finished


def test_only_results_of_other_code_are_stale(tmp_path: Path) -> None:
    package = Path(sources.__file__).parents[1]
    assert all((package / name).is_file() for name in sources.NEUTRAL)
    one = record(tmp_path)
    for code, stale in ((sources.code_digest(), False), ("", False), ("other", True)):
        made = one.model_copy(update={"digests": Digests(order=["a"], code=code)})
        assert made.is_stale == stale


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
        write_record(record(tmp_path), KEPT)
    with pytest.raises(FileNotFoundError):
        read_record(tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_figure_that_is_not_finite_is_never_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="finite"):
        record(tmp_path, accuracy=float("nan"))


def test_a_result_without_its_parts_is_no_result(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="metrics is missing"):
        RunRecord(folder=tmp_path, run=SPEC, status="ok")
