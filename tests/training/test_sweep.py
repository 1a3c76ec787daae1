"""Sweeps: what fails stays alone, what is finished stays finished."""

import re
import time
from pathlib import Path

import pytest

from poolbench.core.errors import BadInput
from poolbench.runs.manifest import read_manifest
from poolbench.runs.record import read_record
from poolbench.training import sweep
from poolbench.training.console import Progress
from poolbench.training.launch import check_command
from poolbench.training.lit_module import Classification
from tests.conftest import SMALL
from tests.sweeping import break_training, planned, run


@pytest.mark.parametrize("error", [RuntimeError("on purpose\nand more"), SystemExit(3)])
def test_a_failing_cell_stays_alone(tmp_path: Path, monkeypatch, capsys, error) -> None:
    cells = planned(tmp_path, "pooler=mean,max,cls", "study=failing")
    with monkeypatch.context() as broken:
        break_training(broken, "MaxPooler", error)
        assert run(cells) == 1
    records = {p.cell.pooler: read_record(p.cell.folder) for p in cells}
    assert {k: r["status"] for k, r in records.items()} == {
        "mean": "ok",
        "max": "failed",
        "cls": "ok",
    }
    folder = next(p.cell.folder for p in cells if p.cell.pooler == "max")
    assert "Traceback" in (folder / "failure.log").read_text()
    said = capsys.readouterr()
    assert type(error).__name__ in said.err
    assert str(folder / "failure.log") in said.err

    assert run(cells) == 1, "a failure is kept until it is asked to run again"
    assert read_record(folder)["status"] == "failed"
    again = planned(tmp_path, "pooler=mean,max,cls", "study=failing", "retry_failed=true")
    assert [p.cell.folder for p in again] == [p.cell.folder for p in cells]
    assert run(again) == 0


def test_a_diverged_cell_has_no_accuracy(tmp_path: Path, capsys) -> None:
    cells = planned(tmp_path, "optimizer.lr=1e30", "batch_size=4", "study=nan", "seed=0,1")
    assert run(cells) == 1
    record = read_record(cells[0].cell.folder)
    assert record["status"] == "diverged"
    assert "metrics" not in record
    assert "diverged" in capsys.readouterr().err


def test_finished_cells_are_skipped_in_milliseconds(tmp_path: Path, monkeypatch, capsys) -> None:
    cells = planned(tmp_path, "pooler=mean,max", "seed=0,1", "study=skip")
    assert run(cells) == 0
    table = capsys.readouterr().out.split("\n\n")[-1]
    monkeypatch.setattr(sweep, "run_cell", None)
    started = time.perf_counter()
    assert run(cells) == 0
    assert (time.perf_counter() - started) / len(cells) < 0.1
    assert capsys.readouterr().out.split("\n\n")[-1] == table


def test_a_full_disk_fails_the_cell_and_nothing_else(tmp_path: Path, monkeypatch) -> None:
    cells = planned(tmp_path, "pooler=mean,max", "study=full-disk")
    original = sweep.run_cell

    def run_cell(cfg, cell, prepared, loop):
        if cell.pooler == "mean":
            raise OSError(28, "No space left on device")
        return original(cfg, cell, prepared)

    monkeypatch.setattr(sweep, "run_cell", run_cell)
    assert run(cells) == 1
    assert read_record(cells[0].cell.folder)["error"].endswith("No space left on device")
    assert read_record(cells[1].cell.folder)["status"] == "ok"


def test_memory_that_runs_out_means_smaller_pieces_of_the_same_batch(
    tmp_path: Path, monkeypatch
) -> None:
    import torch

    (cell,) = planned(tmp_path, "study=pieces", "encoder.tuning=full")
    original = Classification.training_step

    def step(self, batch, index):
        if len(batch) > 16:
            raise torch.OutOfMemoryError("out of memory")
        return original(self, batch, index)

    with monkeypatch.context() as small:
        small.setattr(Classification, "training_step", step)
        run([cell])
    record = read_record(cell.cell.folder)
    assert record["metrics"]["perf/pieces_per_batch"] == 2
    (whole,) = planned(tmp_path, "study=one-piece", "encoder.tuning=full")
    run([whole])
    reference = read_record(whole.cell.folder)
    assert record["digests"]["order"] == reference["digests"]["order"]
    # Dropout differs between the pieces; the training is the same in kind.
    assert record["history"][0]["train/loss"] == pytest.approx(
        reference["history"][0]["train/loss"], abs=0.05
    )


def test_the_manifest_keeps_the_grid_and_the_comparison(tmp_path: Path) -> None:
    cells = planned(tmp_path, "pooler=mean,max", "study=manifest", "comparison.margin=1.0")
    sweep.declare_all(cells)
    more = planned(tmp_path, "pooler=max,cls", "study=manifest", "comparison.margin=1.0")
    sweep.declare_all(more)
    manifest = read_manifest(tmp_path / "manifest")
    assert manifest["comparison"]["margin"] == 1.0
    assert [cell["pooler"] for cell in manifest["cells"]] == ["mean", "max", "cls"]
    for cell, p in zip(manifest["cells"], [*cells, more[1]], strict=True):
        assert tmp_path / "manifest" / cell["folder"] == p.cell.folder
        assert check_command(cell["command"].split()[2:], multirun=False)[0].cfg == p.asked.cfg
    with pytest.raises(BadInput, match=r"declared with comparison\.margin=1\.0, not 0\.5"):
        sweep.declare_all(planned(tmp_path, "study=manifest"))


def test_secrets_reach_neither_record_nor_manifest(tmp_path: Path) -> None:
    secret = "encoder.caveat='https://me:hunter2@host'"
    (cell,) = cells = planned(tmp_path, secret, "study=secret")
    assert run(cells) == 0
    assert "***@host" in (cell.cell.folder / "record.json").read_text()
    for path in (tmp_path / "secret" / "study.json", cell.cell.folder / "record.json"):
        assert "hunter2" not in path.read_text()


def test_what_does_not_change_a_result_does_not_change_the_cell(tmp_path: Path) -> None:
    def digest(*overrides: str) -> str:
        return planned(tmp_path, *overrides)[0].cell.digest

    same = {
        digest(),
        digest("study=other"),
        digest("logger=csv"),
        digest("trainer.enable_progress_bar=true"),
        digest("cache.max_gb=1.0"),
        digest("retry_failed=true"),
        digest("comparison.margin=2.0"),
        planned(tmp_path / "elsewhere")[0].cell.digest,
    }
    assert len(same) == 1
    assert digest("optimizer.lr=2e-3") not in same
    assert digest("encoder.init_seed=1") not in same, "other weights"


def test_data_that_changed_make_another_cell_wherever_they_lie(tmp_path: Path) -> None:
    rows = [f"text number {i},{i % 2}\n" for i in range(40)]

    def digest(name: str, rows: list[str]) -> str:
        (tmp_path / name).write_text("text,label\n" + "".join(rows))
        from poolbench.training import session as prepare

        prepare._splits.cache_clear()
        prepare._prepared.cache_clear()
        return planned(tmp_path, "dataset=files", f"dataset.train={tmp_path / name}")[0].cell.digest

    first = digest("a.csv", rows)
    assert digest("b.csv", rows) == first
    assert digest("a.csv", [*rows[:-1], "another text,1\n"]) != first


def test_cells_that_share_data_and_encoder_stand_together(tmp_path: Path) -> None:
    command = [*SMALL, f"output_dir={tmp_path}", "seed=0,1", "encoder=scratch,minilm"]
    cells = sweep.plan(check_command(command, multirun=True))
    assert [p.cell.encoder for p in cells] == ["scratch", "scratch", "minilm", "minilm"]


def test_the_progress_lines_count_and_say_what_is_left(tmp_path: Path, capsys) -> None:
    run(planned(tmp_path, "pooler=mean,max", "seed=0,1", "study=lines"))
    lines = capsys.readouterr().out.splitlines()
    one = r" on rotten_tomatoes x scratch, seed (0|1): test accuracy 0\.\d{4}"
    assert re.fullmatch(rf"\[1/4\] mean{one}, about \d+ s left, 2 cells not yet timed", lines[0])
    assert re.fullmatch(rf"\[2/4\] mean{one}, 2 cells not yet timed", lines[1])
    assert re.fullmatch(rf"\[3/4\] max{one}, about \d+ s left", lines[2])
    assert re.fullmatch(rf"\[4/4\] max{one}", lines[3])
    assert lines[-1].strip() == f"report: python scripts/report.py {tmp_path / 'lines'}"


def test_what_is_left_comes_from_cells_of_the_same_kind(tmp_path: Path, capsys) -> None:
    """A sweep that goes on knows what its finished cells took, and guesses at no other pooler."""
    cells = [p.cell for p in planned(tmp_path, "pooler=cls,conv", "seed=0,1,2")]
    progress = Progress(cells)
    took = [10.0, 20.0, 30.0, 600.0, 660.0]
    for cell, wall in zip(cells, took, strict=False):
        scores = {"metrics": {"test/accuracy": 0.5}, "seconds": {"wall": wall}}
        progress.done(cell, {"status": "ok", **scores})
    left = [line.partition("0.5000")[2] for line in capsys.readouterr().out.splitlines()]
    assert left == [
        ", about 20 s left, 3 cells not yet timed",
        ", about 15 s left, 3 cells not yet timed",
        ", 3 cells not yet timed",
        ", about 20 min 00 s left",
        ", about 10 min 30 s left",
    ]
