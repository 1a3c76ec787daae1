"""Sweeps: a failure stays alone, and finished runs stay finished."""

import time
from pathlib import Path

import numpy as np
import pytest

from poolbench.runs.record import read_record
from poolbench.runs.study import read_declaration
from poolbench.training import sweep
from poolbench.training.launch import compose_runs
from poolbench.training.session import Session
from tests.conftest import logits, plan, rejection, train
from tests.training.breaking import break_training, planned


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
