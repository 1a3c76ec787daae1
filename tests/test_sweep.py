"""Sweeps: what fails stays alone, what is finished stays finished, what was cut short goes on."""

import time
from pathlib import Path

import numpy as np
import pytest

from poolbench import closing, sweep
from poolbench.command import check_command
from poolbench.errors import BadInput, Interrupted
from poolbench.module import Classification
from poolbench.results.manifest import read_manifest
from poolbench.results.record import read_predictions, read_record
from poolbench.together import Follower
from tests.conftest import SMALL

BASE = [*SMALL, "encoder=scratch", "encoder.layers=1", "encoder.max_length=32"]


def planned(output: Path, *overrides: str) -> list[sweep.Planned]:
    return sweep.plan(check_command([*BASE, f"output_dir={output}", *overrides], multirun=True))


def run(cells: list[sweep.Planned]) -> int:
    sweep.declare_all(cells)
    sweep.run_all(cells)
    return closing.print_all([(p.cell, sweep.finished(p.cell)) for p in cells])


def scores(cells: list[sweep.Planned]) -> list[np.ndarray]:
    return [read_predictions(p.cell.folder).logits for p in cells]


def break_training(monkeypatch, pooler: str, error: BaseException, at: int = 0) -> None:
    """Cells with this pooler raise in step ``at`` of their training."""

    def broken(original):
        def step(self, batch, index):
            if type(self.model.pooler).__name__ == pooler and self.global_step == at:
                raise error
            return original(self, batch, index)

        return step

    for kind in (Classification, Follower):
        monkeypatch.setattr(kind, "training_step", broken(kind.training_step))


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


@pytest.mark.parametrize("cut_at", [0, 5, 8], ids=["at once", "in epoch 2", "in epoch 3"])
def test_an_interrupted_cell_goes_on_to_the_same_result(
    tmp_path: Path, monkeypatch, cut_at: int
) -> None:
    overrides = ["pooler=attention", "encoder.tuning=full", "trainer.max_epochs=4", "head=mlp"]
    whole = planned(tmp_path, *overrides, "study=whole", "batch_size=20")
    assert run(whole) == 0

    cut = planned(tmp_path, *overrides, "study=cut", "batch_size=20")
    with monkeypatch.context() as broken:
        break_training(broken, "AttentionPooler", Interrupted(143), at=cut_at)
        with pytest.raises(Interrupted):
            run(cut)
    assert not (cut[0].cell.folder / "record.json").exists()

    steps = []
    original = Classification.training_step
    monkeypatch.setattr(
        Classification,
        "training_step",
        lambda self, batch, i: (steps.append(self.global_step), original(self, batch, i))[1],
    )
    assert run(cut) == 0
    assert steps[0] == cut_at // 4 * 4, "it goes on at the start of the epoch it was in"
    assert np.array_equal(scores(whole)[0], scores(cut)[0])
    a, b = read_record(whole[0].cell.folder), read_record(cut[0].cell.folder)
    assert a["history"] == b["history"]
    assert a["digests"] == b["digests"]
    assert [p.name for p in (cut[0].cell.folder / "checkpoints").glob("*.ckpt")] == ["best.ckpt"]


def test_a_cell_cut_short_after_it_decided_to_stop_does_not_train_on(
    tmp_path: Path, monkeypatch
) -> None:
    overrides = ["trainer.max_epochs=9", "patience=1", "optimizer.lr=0.05", "fused=false"]
    whole = planned(tmp_path, *overrides, "study=whole")
    assert run(whole) == 0
    cut = planned(tmp_path, *overrides, "study=cut")
    with monkeypatch.context() as broken:
        broken.setattr(Classification, "test_step", _interrupt)
        with pytest.raises(Interrupted):
            run(cut)
    assert run(cut) == 0
    histories = [read_record(p[0].cell.folder)["history"] for p in (whole, cut)]
    assert len(histories[0]) < 9
    assert histories[0] == histories[1]
    assert np.array_equal(scores(whole)[0], scores(cut)[0])


def _interrupt(*_: object) -> None:
    raise Interrupted(143)


@pytest.mark.parametrize("damaged", [1, 2], ids=["the last", "both"])
def test_damaged_checkpoints_are_not_gone_on_from(
    tmp_path: Path, monkeypatch, damaged: int
) -> None:
    overrides = ["encoder.tuning=full", "trainer.max_epochs=4"]
    whole = planned(tmp_path, *overrides, "study=whole")
    run(whole)
    cut = planned(tmp_path, *overrides, "study=cut")
    with monkeypatch.context() as broken:
        break_training(broken, "MeanPooler", Interrupted(143), at=7)
        with pytest.raises(Interrupted):
            run(cut)
    epochs = sorted((cut[0].cell.folder / "checkpoints").glob("epoch=*.ckpt"))
    assert len(epochs) == 2
    for path in epochs[-damaged:]:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    assert run(cut) == 0
    assert np.array_equal(scores(whole)[0], scores(cut)[0])


def test_a_damaged_record_is_set_aside_and_made_again(tmp_path: Path) -> None:
    cells = planned(tmp_path, "study=damage")
    run(cells)
    before = scores(cells)[0]
    path = cells[0].cell.folder / "record.json"
    path.write_text(path.read_text().replace("test/accuracy", "test/Accuracy"))
    assert run(cells) == 0
    assert path.with_name("record.json.damaged").exists()
    assert np.array_equal(scores(cells)[0], before)


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
        from poolbench import prepare

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


def test_the_progress_lines_count(tmp_path: Path, capsys) -> None:
    run(planned(tmp_path, "pooler=mean,max", "study=lines"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("[1/2] mean on rotten_tomatoes x scratch, seed 0: test accuracy")
    assert lines[0].endswith("left")
    assert lines[1].startswith("[2/2] max")
    assert lines[-1].strip() == f"report: python scripts/report.py {tmp_path / 'lines'}"
