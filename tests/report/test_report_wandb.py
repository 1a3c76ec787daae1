"""What the report logs to W&B, read back from the offline log, and the view of a study."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from poolbench.report.build import findings_of
from scripts.report import log_to_wandb
from tests.report.written import CLEAR, write_study


def test_verdicts_and_figures_are_logged_to_one_run_of_the_group(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    findings = findings_of(write_study(tmp_path / "logged", CLEAR))
    where = log_to_wandb(findings)
    assert "wandb sync" in where
    (folder,) = (tmp_path / "wandb").glob("offline-run-*")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(folder)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    (start,) = (r["run"] for r in map(json.loads, lines.splitlines()) if r["type"] == "run")
    assert (start["run_group"], start["job_type"]) == ("logged", "report")
    (table,) = folder.rglob("*.table.json")
    verdicts = json.loads(table.read_text())
    words = {row[verdicts["columns"].index("word")] for row in verdicts["data"]}
    assert "better" in words
    assert len(list(folder.rglob("*.plotly.json"))) == 8
    assert "Use attention" in lines


def test_without_a_network_the_run_is_kept_offline(tmp_path: Path, monkeypatch, capsys) -> None:
    import wandb

    def unreachable(**_: object) -> bool:
        raise wandb.errors.AuthenticationError("no network")

    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setattr(wandb, "login", unreachable)
    assert "wandb sync" in log_to_wandb(findings_of(write_study(tmp_path / "offline", CLEAR)))
    assert "W&B: no network" in capsys.readouterr().err


def test_the_view_of_a_study_groups_its_training_runs_by_pooler(monkeypatch, capsys) -> None:
    pytest.importorskip("wandb_workspaces", reason="the workspaces extra is not installed")
    from scripts import wandb_workspace

    view = wandb_workspace.comparison_view("demo", "poolbench", "someone")
    sent = view._to_model().model_dump(by_alias=True)
    (runs,) = sent["spec"]["section"]["runSets"]
    assert [group["name"] for group in runs["grouping"]] == ["cell.value.pooler"]
    wanted = {(f["key"]["name"], f["value"]) for f in runs["filters"]["filters"]}
    assert wanted == {("group", "demo"), ("jobType", "train")}
    sections = sent["spec"]["section"]["panelBankConfig"]["sections"]
    kinds = [panel["viewType"] for section in sections for panel in section["panels"]]
    assert kinds.count("Bar Chart") == 5
    assert "Run Comparer" in kinds
    monkeypatch.setattr(wandb_workspace, "_own_entity", lambda: None)
    assert wandb_workspace.main(["demo"]) == 0
    said = capsys.readouterr().out
    assert "would save" in said
    assert "Test accuracy" in said
