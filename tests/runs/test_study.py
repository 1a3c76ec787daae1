"""A study: declared runs and records found, in whatever state they are."""

from pathlib import Path

import pytest

from poolbench.core.errors import UserError
from poolbench.runs.identity import RunSpec
from poolbench.runs.protocol import Protocol
from poolbench.runs.record import RunRecord, write_record
from poolbench.runs.study import STUDY, declare, read_study


def spec(output: Path, pooler: str, seed: int = 0) -> RunSpec:
    return RunSpec(
        study="demo",
        dataset="d",
        encoder="e",
        pooler=pooler,
        seed=seed,
        digest=f"{pooler}{seed}",
        variant=pooler,
        config={"output_dir": str(output), "seed": seed},
    )


def fail(one: RunSpec) -> None:
    write_record(RunRecord(folder=one.folder, run=one, status="failed", error="on purpose"))


def test_declared_runs_without_a_record_are_missing(tmp_path: Path) -> None:
    specs = [spec(tmp_path, "max"), spec(tmp_path, "cls")]
    declare(specs, Protocol(margin=1.0))
    fail(specs[0])
    fail(spec(tmp_path, "extra"))
    study = read_study(tmp_path / "demo")
    assert [(r.run.pooler, r.status) for r in study.runs] == [
        ("cls", "missing"),
        ("extra", "failed"),
        ("max", "failed"),
    ]
    assert study.protocol.margin == 1.0
    assert study.undeclared == ("d/e/extra/seed=0-extra0",)
    assert study.finished == []


def test_an_unreadable_record_is_damaged_and_named_by_its_folder(tmp_path: Path) -> None:
    fail(spec(tmp_path, "max", 3))
    (tmp_path / "demo/d/e/max/seed=3-max3/record.json").write_text("{")
    (run,) = read_study(tmp_path / "demo").runs
    assert run.status == "damaged"
    assert (run.run.pooler, run.run.seed) == ("max", 3)
    assert "is damaged" in str(run.error)


def test_what_is_no_study_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a folder"):
        read_study(tmp_path / "nowhere")
    with pytest.raises(UserError, match="holds no record"):
        read_study(tmp_path)
    (tmp_path / STUDY).write_text("{}")
    with pytest.raises(UserError, match=r"study\.json is damaged"):
        read_study(tmp_path)
