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


def planned(output: Path, seeds: range, **protocol: object) -> list[int] | None:
    declare([spec(output, "max", seed) for seed in seeds], Protocol(**protocol))
    return read_study(output / "demo").protocol.looks


def test_seeds_that_are_added_later_do_not_move_the_planned_test(tmp_path: Path) -> None:
    assert planned(tmp_path, range(3)) is None, "too few for a test: nothing is planned yet"
    assert planned(tmp_path, range(3, 6)) == [6]
    assert planned(tmp_path, range(6, 12)) == [6]
    assert planned(tmp_path, range(12), looks=[6]) == [6]
    with pytest.raises(UserError, match=r"declared with comparison\.looks=\[6\], not \[6, 12\]"):
        planned(tmp_path, range(12), looks=[6, 12])


def test_declared_looks_are_kept_by_a_command_that_names_none(tmp_path: Path) -> None:
    assert planned(tmp_path, range(5), looks=[5, 10]) == [5, 10]
    assert planned(tmp_path, range(5, 10)) == [5, 10]
