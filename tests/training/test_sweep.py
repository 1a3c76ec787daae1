"""Sweeps: a failure stays alone, finished runs stay finished, interrupted ones continue."""

import re
import time
from pathlib import Path

import numpy as np
import pytest

from poolbench.core.errors import Interrupted
from poolbench.runs.identity import RunSpec
from poolbench.runs.record import Parameters, RunRecord, read_record
from poolbench.runs.study import read_declaration
from poolbench.training import sweep
from poolbench.training.console import print_summary
from poolbench.training.launch import compose_runs
from poolbench.training.lit_module import LitPooledModel
from poolbench.training.session import Session
from poolbench.training.sweep_progress import Progress
from tests.conftest import TINY, curves, logits, plan, rejection, train


def planned(output: Path, *overrides: str) -> list[RunSpec]:
    return plan(output, *TINY, *overrides)


def break_training(monkeypatch, pooler: str, error: BaseException, at: int = 0) -> None:
    """Runs with this pooler raise in step ``at`` of their training."""
    original = LitPooledModel.training_step

    def step(self, batch, index):
        if type(self.model.pooler).__name__ == pooler and self.global_step == at:
            raise error
        return original(self, batch, index)

    monkeypatch.setattr(LitPooledModel, "training_step", step)


@pytest.mark.parametrize("error", [RuntimeError("on purpose\nand more"), SystemExit(3)])
def test_a_failing_run_stays_alone(tmp_path: Path, monkeypatch, capsys, error) -> None:
    specs = planned(tmp_path, "pooler=mean,max,cls", "study=failing")
    with monkeypatch.context() as broken:
        break_training(broken, "MaxPooler", error)
        assert not train(specs)
    statuses = {spec.pooler: read_record(spec.folder).status for spec in specs}
    assert statuses == {"mean": "ok", "max": "failed", "cls": "ok"}
    folder = next(spec.folder for spec in specs if spec.pooler == "max")
    assert "Traceback" in (folder / "failure.log").read_text()
    output = capsys.readouterr()
    assert type(error).__name__ in output.err
    assert f"    {folder / 'failure.log'}" in output.err.splitlines()

    assert not train(specs), "a failure is kept until it is asked to run again"
    assert read_record(folder).status == "failed"
    again = planned(tmp_path, "pooler=mean,max,cls", "study=failing", "rerun=failed")
    assert [spec.folder for spec in again] == [spec.folder for spec in specs]
    assert train(again)


def test_a_diverged_run_has_no_accuracy(tmp_path: Path, capsys) -> None:
    specs = planned(tmp_path, "optimizer.lr=1e30", "batch_size=4", "study=nan", "seed=0,1")
    assert not train(specs)
    record = read_record(specs[0].folder)
    assert record.status == "diverged"
    assert not record.metrics
    assert "diverged" in capsys.readouterr().err


def test_finished_runs_are_skipped_in_milliseconds(tmp_path: Path, monkeypatch, capsys) -> None:
    specs = planned(tmp_path, "pooler=mean,max", "seed=0,1", "study=skip")
    assert train(specs)
    table = capsys.readouterr().out.split("\n\n")[-1]
    monkeypatch.setattr(sweep, "train_run", None)
    session = Session()
    started = time.perf_counter()
    assert train(specs, session)
    assert (time.perf_counter() - started) / len(specs) < 0.1
    assert capsys.readouterr().out.split("\n\n")[-1] == table


def test_results_of_other_code_are_kept_until_they_are_asked_to_run_again(
    tmp_path: Path, monkeypatch, caplog
) -> None:
    (spec,) = planned(tmp_path, "study=stale")
    train([spec])
    with monkeypatch.context() as changed:
        changed.setattr("poolbench.runs.record.code_digest", lambda: "other")
        changed.setattr(sweep, "train_run", None)
        assert train([spec])
        assert "1 results were made by other code; rerun=stale" in caplog.text
    (again,) = planned(tmp_path, "study=stale", "rerun=stale")
    assert again.folder == spec.folder
    trained: list[object] = []
    monkeypatch.setattr(
        sweep, "train_run", lambda *a: trained.append(a) or read_record(spec.folder)
    )
    train([again])
    assert not trained, "the code is the same"
    monkeypatch.setattr("poolbench.runs.record.code_digest", lambda: "other")
    train([again])
    assert len(trained) == 1


def test_a_full_disk_fails_one_run_only(tmp_path: Path, monkeypatch) -> None:
    specs = planned(tmp_path, "pooler=mean,max", "study=full-disk")
    original = sweep.train_run

    def train_run(spec, session, *watching):
        if spec.pooler == "mean":
            raise OSError(28, "No space left on device")
        return original(spec, session, *watching)

    monkeypatch.setattr(sweep, "train_run", train_run)
    assert not train(specs)
    assert read_record(specs[0].folder).error.endswith("No space left on device")
    assert read_record(specs[1].folder).ok


def test_the_declaration_keeps_grid_and_protocol(tmp_path: Path) -> None:
    margin = "comparison.margin=1.0"
    specs = planned(tmp_path, "pooler=mean,max", "study=declared", margin)
    sweep.declare_runs(specs)
    more = planned(tmp_path, "pooler=max,cls", "study=declared", margin)
    sweep.declare_runs(more)
    declared = read_declaration(tmp_path / "declared")
    assert declared.protocol.margin == 1.0
    assert [spec.pooler for spec in declared.runs] == ["mean", "max", "cls"]
    for spec, expected in zip(declared.runs, [*specs, more[1]], strict=True):
        assert spec.path == expected.path
        (request,) = compose_runs(*spec.command.split()[2:])
        assert request.config.model_dump(by_alias=True) == expected.config
    other = planned(tmp_path, "study=declared")
    assert "comparison.margin=1.0, not 0.5" in rejection(lambda: sweep.declare_runs(other))


def test_secrets_are_written_nowhere(tmp_path: Path) -> None:
    secret = "encoder.caveat='https://me:hunter2@host'"
    specs = planned(tmp_path, secret, "study=secret")
    assert train(specs)
    assert "***@host" in (specs[0].folder / "record.json").read_text()
    for path in (tmp_path / "secret").rglob("*.json"):
        assert "hunter2" not in path.read_text()


def test_an_output_folder_that_cannot_be_written_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    specs = planned(tmp_path / "file")
    assert "cannot write to" in rejection(lambda: sweep.declare_runs(specs))


def test_runs_that_share_data_and_encoder_follow_each_other(tmp_path: Path) -> None:
    specs = plan(tmp_path, "seed=0,1", "encoder=scratch,minilm")
    assert [spec.encoder for spec in specs] == ["scratch", "scratch", "minilm", "minilm"]


def test_progress_counts_and_estimates_the_time_left(tmp_path: Path, capsys) -> None:
    train(planned(tmp_path, "pooler=mean,max", "seed=0,1", "study=lines"))
    lines = capsys.readouterr().out.splitlines()
    one = r"seed (0|1): accuracy 0\.\d{4}"
    assert re.fullmatch(rf"\[1/4, about \d+ s left\] mean, {one}", lines[0])
    assert re.fullmatch(rf"\[4/4\] max, {one}", lines[3])
    assert lines[-1].strip() == f"report: python scripts/report.py {tmp_path / 'lines'}"
    assert all(line == line.rstrip() for line in lines)


def test_time_left_is_that_of_the_variant_or_of_the_others(tmp_path: Path, capsys) -> None:
    specs = planned(tmp_path, "pooler=cls,conv", "seed=0,1,2")
    progress = Progress(specs)
    for spec, wall in zip(specs, [10.0, 20.0, 30.0, 600.0, 660.0], strict=False):
        record = RunRecord.model_construct(
            run=spec, status="ok", metrics={"test/accuracy": 0.5}, seconds={"wall": wall}
        )
        progress.finish(spec, record)
    left = [line.partition("]")[0] for line in capsys.readouterr().out.splitlines()]
    assert left == [
        "[1/6, about 50 s left",
        "[2/6, about 1 min 00 s left",
        "[3/6, about 1 min 00 s left",
        "[4/6, about 20 min 00 s left",
        "[5/6, about 10 min 30 s left",
    ]


def test_the_table_names_what_differs_and_fits_a_terminal(tmp_path: Path, capsys) -> None:
    specs = planned(tmp_path, "pooler=soft_max,mean", "optimizer.lr=1e-3,1e-2", "seed=0,1")
    records = [
        RunRecord.model_construct(
            run=spec,
            status="ok",
            metrics={"test/accuracy": 0.5, "test/f1_macro": 0.5, "perf/relative_throughput": 0.97},
            parameters=Parameters(pooler=1_234_567),
            notes=[],
        )
        for spec in specs
    ]
    assert print_summary(list(zip(specs, records, strict=True)))
    table = capsys.readouterr().out.splitlines()
    assert sum("optimizer.lr=0.01" in line for line in table) == 2
    assert sum("0.97 × mean" in line for line in table) == 4
    assert all(len(line) <= 80 and line == line.rstrip() for line in table[:-1])
    records[0] = RunRecord.model_construct(run=specs[0], status="failed", error="x", folder=None)
    assert not print_summary(list(zip(specs, records, strict=True)))
    assert "1 of 8 runs have no result; report of the others" in capsys.readouterr().out


@pytest.mark.parametrize("cut_at", [0, 5, 8], ids=["first step", "epoch 2", "epoch 3"])
def test_an_interrupted_run_continues_to_the_same_result(
    tmp_path: Path, monkeypatch, cut_at: int
) -> None:
    overrides = ["pooler=attention", "encoder.tuning=full", "trainer.max_epochs=4", "head=mlp"]
    whole = planned(tmp_path, *overrides, "study=whole", "batch_size=20")
    assert train(whole)
    cut = planned(tmp_path, *overrides, "study=cut", "batch_size=20")
    with monkeypatch.context() as broken:
        break_training(broken, "AttentionPooler", Interrupted(143), at=cut_at)
        with pytest.raises(Interrupted):
            train(cut)
    assert not (cut[0].folder / "record.json").exists()

    steps: list[int] = []
    original = LitPooledModel.training_step
    monkeypatch.setattr(
        LitPooledModel,
        "training_step",
        lambda self, batch, i: (steps.append(self.global_step), original(self, batch, i))[1],
    )
    assert train(cut)
    assert steps[0] == cut_at // 4 * 4, "it continues at the start of the interrupted epoch"
    a, b = read_record(whole[0].folder), read_record(cut[0].folder)
    assert np.array_equal(logits(a), logits(b))
    assert curves(a) == curves(b)
    seconds = [epoch["seconds"] for epoch in b.history]
    assert seconds == sorted({*seconds, 0.0})[1:], "an interruption resets no clock"
    assert a.digests == b.digests
    assert [p.name for p in (cut[0].folder / "checkpoints").glob("*.ckpt")] == ["best.ckpt"]


def _interrupt(*_: object) -> None:
    raise Interrupted(143)


def test_a_run_interrupted_after_its_last_epoch_does_not_train_on(
    tmp_path: Path, monkeypatch
) -> None:
    overrides = ["trainer.max_epochs=9", "patience=1", "optimizer.lr=0.05"]
    whole = planned(tmp_path, *overrides, "study=whole")
    assert train(whole)
    cut = planned(tmp_path, *overrides, "study=cut")
    with monkeypatch.context() as broken:
        broken.setattr(LitPooledModel, "test_step", _interrupt)
        with pytest.raises(Interrupted):
            train(cut)
    assert train(cut)
    a, b = read_record(whole[0].folder), read_record(cut[0].folder)
    assert len(a.history) < 9
    assert curves(a) == curves(b)
    assert np.array_equal(logits(a), logits(b))


@pytest.mark.parametrize("damaged", [1, 2], ids=["the last", "both"])
def test_damaged_checkpoints_are_not_used(tmp_path: Path, monkeypatch, damaged: int) -> None:
    overrides = ["encoder.tuning=full", "trainer.max_epochs=4"]
    whole = planned(tmp_path, *overrides, "study=whole")
    train(whole)
    cut = planned(tmp_path, *overrides, "study=cut")
    with monkeypatch.context() as broken:
        break_training(broken, "MeanPooler", Interrupted(143), at=7)
        with pytest.raises(Interrupted):
            train(cut)
    epochs = sorted((cut[0].folder / "checkpoints").glob("epoch=*.ckpt"))
    assert len(epochs) == 2
    for path in epochs[-damaged:]:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    assert train(cut)
    assert np.array_equal(*(logits(read_record(specs[0].folder)) for specs in (whole, cut)))


@pytest.mark.parametrize("change", ["test/Accuracy", "flipped"])
def test_a_damaged_record_is_set_aside_and_made_again(tmp_path: Path, change: str) -> None:
    specs = planned(tmp_path, "study=damage")
    train(specs)
    before = logits(read_record(specs[0].folder))
    path = specs[0].folder / "record.json"
    text = path.read_text()
    path.write_text(
        text[: len(text) // 2] if change == "flipped" else text.replace("test/accuracy", change)
    )
    assert train(specs)
    assert len(list(path.parent.glob("record.json.damaged-*"))) == 1
    assert np.array_equal(logits(read_record(specs[0].folder)), before)
