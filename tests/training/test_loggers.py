"""What was logged, read back from the files of each logger."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from poolbench.core.errors import DivergedError
from poolbench.training import loggers
from poolbench.training.lit_module import LitPooledModel
from tests.conftest import TINY


def leet(folder: Path, *options: str) -> str:
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", *options, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def summary_of(folder: Path) -> dict:
    return json.loads(leet(folder, "--summary"))


@pytest.mark.slow
def test_an_offline_run_holds_what_the_dashboard_needs(run, shared_output, monkeypatch) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    record = run(*TINY, "logger=wandb", "pooler=conv", "study=dashboard", "seed=3")
    (folder,) = (shared_output / "wandb").glob("offline-run-*-dashboard-*")
    summary = summary_of(folder)
    assert summary["state"] == "finished"
    assert summary["exit_code"] == 0
    assert set(summary["tags"]) == {"conv", "rotten_tomatoes", "scratch"}
    assert summary["config"]["pooler"]["channels"] == 128
    assert summary["config"]["parameters"]["pooler"] == record.parameters.pooler
    for name in ("test/accuracy", "test/f1_macro", "best/val_accuracy"):
        assert summary["summary"][name] == pytest.approx(record.metrics[name])
    entries = [json.loads(line) for line in leet(folder).splitlines()]
    (start,) = (e["run"] for e in entries if e["type"] == "run")
    assert start["run_group"] == "dashboard"
    assert start["job_type"] == "train"
    contents = [json.loads(path.read_text()) for path in folder.rglob("*.table.json")]
    assert any(table["columns"] == ["text", "label", "prediction", "correct"] for table in contents)
    assert any("Actual" in table["columns"] for table in contents)


@pytest.mark.slow
def test_two_runs_of_one_process_are_two_wandb_runs(run, shared_output) -> None:
    for pooler in ("mean", "max"):
        run(*TINY, "logger=wandb", f"pooler={pooler}", "study=two", "logger.mode=offline")
    folders = list((shared_output / "wandb").glob("offline-run-*-two-*"))
    assert len(folders) == 2
    assert {summary_of(folder)["state"] for folder in folders} == {"finished"}


@pytest.mark.slow
def test_no_network_behind_a_key_means_offline_not_a_crash(run, monkeypatch, capsys) -> None:
    import wandb

    def unreachable(**_: object) -> bool:
        raise wandb.errors.AuthenticationError("no network\nand a second line")

    loggers._online.cache_clear()
    monkeypatch.setattr(wandb, "login", unreachable)
    record = run(*TINY, "logger=wandb", "study=unreachable")
    assert "offline" in record.logger[1]
    output = capsys.readouterr().err
    assert "W&B: no network; runs are kept offline" in output
    assert output.count("\n") == 1
    loggers._online.cache_clear()


@pytest.mark.slow
def test_a_failed_run_is_marked_as_failed(run, shared_output, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise DivergedError("on purpose")

    monkeypatch.setattr(LitPooledModel, "training_step", fail)
    with pytest.raises(DivergedError):
        run(*TINY, "logger=wandb", "logger.mode=offline", "study=failing")
    (folder,) = (shared_output / "wandb").glob("offline-run-*-failing-*")
    assert summary_of(folder)["exit_code"] == 1


def test_an_error_of_a_logger_costs_no_result(run, monkeypatch, caplog) -> None:
    def fail(*_: object) -> None:
        raise ConnectionError("gone")

    monkeypatch.setattr(loggers.RunLogger, "_finish", fail)
    assert run(*TINY, "logger=csv", "study=gone").ok
    assert "gone" in caplog.text


def test_csv_holds_the_same_figures(run) -> None:
    record = run(*TINY, "logger=csv", "study=csv")
    with (record.folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    logged = [float(row["test/accuracy"]) for row in rows if row.get("test/accuracy")]
    assert logged[-1] == pytest.approx(record.metrics["test/accuracy"])
    assert sum(bool(row.get("val/accuracy")) for row in rows) == len(record.history)


def test_tensorboard_writes_its_event_file(run) -> None:
    pytest.importorskip("tensorboard", reason="the tensorboard extra is not installed")
    record = run(*TINY, "logger=tensorboard", "study=tensorboard")
    assert list(record.folder.glob("events.out.tfevents.*"))
