"""What was logged, read back from the offline log itself."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from poolbench.core.errors import BadInput

TINY = ["encoder=scratch", "encoder.layers=1", "encoder.max_length=32"]


def leet(folder: Path, *options: str) -> str:
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", *options, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def summary_of(folder: Path) -> dict:
    return json.loads(leet(folder, "--summary"))


def test_an_offline_run_holds_what_the_dashboard_needs(run, shared_output, monkeypatch) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    record = run(*TINY, "logger=wandb", "pooler=conv", "study=dashboard", "seed=3")
    (folder,) = (shared_output / "wandb").glob("offline-run-*-dashboard-*")
    summary = summary_of(folder)
    assert summary["state"] == "finished"
    assert summary["exit_code"] == 0
    assert set(summary["tags"]) == {"conv", "rotten_tomatoes", "scratch"}
    assert summary["config"]["pooler"]["channels"] == 128
    assert summary["config"]["parameters"]["pooler"] == record["parameters"]["pooler"]
    for name in ("test/accuracy", "test/f1_macro", "best/val_accuracy", "perf/samples_per_sec"):
        if name in record["metrics"]:
            assert summary["summary"][name] == pytest.approx(record["metrics"][name])
    records = [json.loads(line) for line in leet(folder).splitlines()]
    (start,) = (r["run"] for r in records if r["type"] == "run")
    assert start["run_group"] == "dashboard"
    assert start["job_type"] == "train"
    tables = list(folder.rglob("*.table.json"))
    contents = [json.loads(path.read_text()) for path in tables]
    assert any(table["columns"] == ["text", "label", "prediction", "correct"] for table in contents)
    assert any("Actual" in table["columns"] for table in contents)


def test_two_cells_of_one_process_are_two_runs(run, shared_output) -> None:
    for pooler in ("mean", "max"):
        run(*TINY, "logger=wandb", f"pooler={pooler}", "study=two", "logger.mode=offline")
    folders = list((shared_output / "wandb").glob("offline-run-*-two-*"))
    assert len(folders) == 2
    assert {summary_of(f)["state"] for f in folders} == {"finished"}


def test_no_network_behind_a_key_means_offline_not_a_crash(run, monkeypatch, capsys) -> None:
    import wandb

    def unreachable(**_: object) -> bool:
        raise wandb.errors.AuthenticationError("no network\nand a second line")

    from poolbench.training import loggers as tracking

    tracking._online.cache_clear()
    monkeypatch.setattr(wandb, "login", unreachable)
    record = run(*TINY, "logger=wandb", "study=unreachable")
    assert "offline" in record["tracked"][1]
    said = capsys.readouterr().err
    assert "W&B: no network; runs are kept offline" in said
    assert said.count("\n") == 1
    tracking._online.cache_clear()


def test_a_cell_that_fails_leaves_a_run_marked_failed(run, shared_output, monkeypatch) -> None:
    from poolbench.training.lit_module import Classification, Diverged

    def fail(*_: object) -> None:
        raise Diverged("on purpose")

    monkeypatch.setattr(Classification, "training_step", fail)
    with pytest.raises(Diverged):
        run(*TINY, "logger=wandb", "logger.mode=offline", "study=failing")
    (folder,) = (shared_output / "wandb").glob("offline-run-*-failing-*")
    assert summary_of(folder)["exit_code"] == 1


def test_an_unknown_mode_is_refused(run) -> None:
    with pytest.raises(BadInput, match="expected auto, online or offline"):
        run(*TINY, "logger=wandb", "logger.mode=sometimes", "study=mode")


def test_csv_holds_the_same_figures(run) -> None:
    record = run(*TINY, "logger=csv", "study=csv")
    with (record["folder"] / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    logged = [float(row["test/accuracy"]) for row in rows if row.get("test/accuracy")]
    assert logged[-1] == pytest.approx(record["metrics"]["test/accuracy"])
    assert sum(bool(row.get("val/accuracy")) for row in rows) == len(record["history"])


def test_tensorboard_writes_its_event_file(run) -> None:
    pytest.importorskip("tensorboard", reason="the tensorboard extra is not installed")
    record = run(*TINY, "logger=tensorboard", "study=tensorboard")
    assert list(record["folder"].glob("events.out.tfevents.*"))
