"""What the report logs to W&B, read back from the offline log."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from poolbench.report.build import findings_of
from scripts.report import log_to_wandb
from tests.report.studies import CLEAR, write_study


@pytest.mark.slow
def test_verdicts_and_figures_are_logged_to_one_run_of_the_group(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    findings = findings_of(write_study(tmp_path / "logged", CLEAR))
    assert "wandb sync" in log_to_wandb(findings)
    (folder,) = (tmp_path / "wandb").glob("offline-run-*")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(folder)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    (start,) = (r["run"] for r in map(json.loads, lines.splitlines()) if r["type"] == "run")
    assert (start["run_group"], start["job_type"]) == ("logged", "report")
    (table,) = folder.rglob("*.table.json")
    verdicts = json.loads(table.read_text())
    words = {row[verdicts["columns"].index("word")] for row in verdicts["data"]}
    assert "better" in words
    assert len(list(folder.rglob("*.plotly.json"))) == 10
    assert "conv may cost up to" in lines


@pytest.mark.slow
def test_without_a_network_the_run_is_kept_offline(tmp_path: Path, monkeypatch, capsys) -> None:
    import wandb

    def unreachable(**_: object) -> bool:
        raise wandb.errors.AuthenticationError("no network")

    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setattr(wandb, "login", unreachable)
    assert "wandb sync" in log_to_wandb(findings_of(write_study(tmp_path / "offline", CLEAR)))
    assert "W&B: no network" in capsys.readouterr().err
