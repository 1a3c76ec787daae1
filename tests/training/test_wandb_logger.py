"""Runs in W&B: names of any length, offline runs, no network, failures and signals."""

import json
import re
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poolbench.core.errors import DivergedError
from poolbench.runs.record import Parameters
from poolbench.training import wandb_logger
from poolbench.training.launch import compose_runs
from poolbench.training.lit_module import LitPooledModel
from poolbench.training.logged_tables import LARGEST_MATRIX, confusions
from poolbench.training.loggers import open_logger
from poolbench.training.run_logger import RunLogger
from tests.conftest import TINY
from tests.processes import finish, send_once, start
from tests.training.logged import leet, long_names, offline_run, summary_of


@pytest.mark.slow
@pytest.mark.parametrize("classes", [LARGEST_MATRIX, LARGEST_MATRIX + 51])
def test_wandb_takes_names_of_any_length_and_any_number_of_classes(
    tmp_path: Path, monkeypatch, classes: int, caplog
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    spec, record = long_names(classes)
    component = {"_target_": "poolbench.training.wandb_logger.wandb_logger", "mode": "offline"}
    spec = spec.model_copy(update={"config": {"output_dir": str(tmp_path), "allow_targets": []}})
    with open_logger(component, spec, Parameters(), "token ids") as logger:
        logger.started = True
        logger.start(0)
        record.predictions = record_predictions = type("P", (), {})()
        record_predictions.targets = np.zeros(1, dtype=int)
        record_predictions.outputs = np.zeros((1, classes), dtype=np.float32)
        record.metrics = {"test/accuracy": 0.5}
        logger.finish(record, ["a text"])
    assert not [r for r in caplog.records if r.name.startswith("poolbench")]
    (folder,) = (tmp_path / "wandb").glob("offline-run-*")
    summary = summary_of(folder)
    assert summary["summary"]["test/accuracy"] == 0.5
    assert all(len(tag) <= 64 for tag in summary["tags"])
    tables = [json.loads(path.read_text()) for path in folder.rglob("*.table.json")]
    (pairs,) = (table["data"] for table in tables if "Actual" in table["columns"])
    (rows,) = confusions(record).values()
    assert len(pairs) == len(rows) - 1
    key = "test/most_confused_pairs"
    assert (key in summary["summary"]) == (classes > LARGEST_MATRIX)


@pytest.mark.slow
def test_an_offline_run_holds_what_the_dashboard_needs(run, shared_output, monkeypatch) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    record = run(*TINY, "logger=wandb", "pooler=conv", "study=dashboard", "seed=3")
    folder = offline_run(shared_output, "dashboard")
    assert "-conv-s3-" in folder.name
    summary = summary_of(folder)
    assert summary["state"] == "finished"
    assert summary["exit_code"] == 0
    assert set(summary["tags"]) == {"conv", "rotten_tomatoes", "scratch"}
    for name in ("test/accuracy", "test/f1_macro", "best/val_accuracy"):
        assert summary["summary"][name] == pytest.approx(record.metrics[name])
    entries = [json.loads(line) for line in leet(folder).splitlines()]
    (start,) = (e["run"] for e in entries if e["type"] == "run")
    assert start["run_group"] == "dashboard"
    assert start["job_type"] == "train"
    contents = [json.loads(path.read_text()) for path in folder.rglob("*.table.json")]
    assert any(table["columns"] == ["text", "label", "prediction", "correct"] for table in contents)


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

    wandb_logger._online.cache_clear()
    monkeypatch.setattr(wandb, "login", unreachable)
    record = run(*TINY, "logger=wandb", "study=unreachable")
    assert "offline" in record.logger[1]
    output = capsys.readouterr().err
    assert "W&B: no network and a second line; runs are kept offline" in output
    assert output.count("\n") == 1
    wandb_logger._online.cache_clear()


@pytest.mark.slow
def test_a_failed_run_is_marked_as_failed(run, shared_output, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise DivergedError("on purpose")

    monkeypatch.setattr(LitPooledModel, "training_step", fail)
    with pytest.raises(DivergedError):
        run(*TINY, "logger=wandb", "logger.mode=offline", "study=failing")
    assert summary_of(offline_run(shared_output, "failing"))["exit_code"] == 1


def test_the_environment_of_wandb_is_honoured(monkeypatch) -> None:
    def configured(**environment: str) -> dict[str, Any]:
        for name, value in environment.items():
            monkeypatch.setenv(f"WANDB_{name}", value)
        return compose_runs("logger=wandb")[0].config.logger

    for name in ("MODE", "PROJECT", "ENTITY", "DISABLED"):
        monkeypatch.delenv(f"WANDB_{name}", raising=False)
    plain = configured()
    assert (plain["project"], plain["entity"], plain["mode"]) == ("poolbench", None, "auto")
    found = configured(PROJECT="p", ENTITY="e", MODE="offline")
    assert (found["project"], found["entity"], found["mode"]) == ("p", "e", "offline")
    monkeypatch.setattr(wandb_logger, "_start", lambda *given: given)
    monkeypatch.setattr(wandb_logger, "WandbRunLogger", lambda given: given)
    empty = configured(PROJECT="", ENTITY="", MODE="")
    given = {key: value for key, value in empty.items() if key != "_target_"}
    assert wandb_logger.wandb_logger("spec", **given) == ("spec", "poolbench", None, "auto")
    for environment in ({"MODE": "disabled"}, {"MODE": "offline", "DISABLED": "true"}):
        mode = configured(**environment)["mode"]
        assert isinstance(wandb_logger.wandb_logger("spec", mode=mode), RunLogger)


@pytest.mark.slow
def test_an_empty_mode_and_a_wrong_one(tmp_path: Path) -> None:
    small = ["logger=wandb", "trainer.max_epochs=1"]
    empty = start(tmp_path, *small, WANDB_MODE="")
    wrong = start(tmp_path, *small, WANDB_MODE="foo")
    assert "wandb sync" in finish(empty)
    error = finish(wrong, code=2)
    assert re.search(r"logger\.mode='foo'.*'offline'", error)
    assert error.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_prints_no_traceback_while_wandb_is_on(
    tmp_path: Path, number: signal.Signals
) -> None:
    long = ["logger=wandb", "trainer.max_epochs=500", "patience=500", "batch_size=4"]
    process = start(tmp_path, *long, WANDB_MODE="offline")
    send_once(process, number, tmp_path, "epoch=*.ckpt")
    out, error = process.communicate(timeout=100)
    assert process.returncode == 128 + number, error
    assert error == "interrupted: the same command continues from here\n"
    assert "Traceback" not in out
    (folder,) = (tmp_path / "wandb").glob("offline-run-*")
    assert summary_of(folder)["exit_code"] == 1
