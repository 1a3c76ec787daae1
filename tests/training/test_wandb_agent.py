"""``wandb agent`` runs a sweep that docs/dashboards.md describes; without the cloud."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml

from poolbench.runs.record import read_record
from tests.conftest import ROOT, TINY

wandb_agent = pytest.importorskip("wandb.wandb_agent")
CHOSEN = {"pooler": "mean", "optimizer.lr": 0.003, "seed": 2, "study": "agent"}


def documented_sweep() -> dict[str, Any]:
    """The sweep in docs/dashboards.md."""
    page = (ROOT / "docs/dashboards.md").read_text()
    _, _, after = page.partition("```yaml\nprogram: train.py\n")
    return yaml.safe_load("program: train.py\n" + after.partition("```")[0])


def started_by_an_agent(folder: Path, monkeypatch: Any) -> tuple[list[str], dict[str, str]]:
    """Command and environment with which an agent starts a run of the sweep."""
    sweep = documented_sweep()
    assert set(sweep["parameters"]) == set(CHOSEN)
    for key, choices in sweep["parameters"].items():
        assert CHOSEN[key] in choices.get("values", [choices.get("value")])
    started: dict[str, Any] = {}

    class Process:
        def __init__(self, **how: Any) -> None:
            started.update(how)

    monkeypatch.setattr(wandb_agent, "AgentProcess", Process)
    agent = object.__new__(wandb_agent.Agent)  # its constructor asks the cloud
    agent._in_jupyter = agent._function = agent._forward_signals = None
    agent._sweep_command, agent._run_processes = sweep["command"], {}
    arguments = {key: {"value": value} for key, value in CHOSEN.items()}
    given = {"WANDB_DIR": str(folder), "WANDB_SWEEP_ID": "s1", "WANDB_RUN_ID": ""}
    others = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}
    # The agent writes more into the environment, which must not reach other tests.
    with mock.patch.dict(os.environ, others | given, clear=True):
        agent._command_run({"run_id": "r1", "program": sweep["program"], "args": arguments})
    return started["command"], started["env"]


def test_an_agent_starts_a_run_with_overrides(tmp_path: Path, monkeypatch) -> None:
    command, _ = started_by_an_agent(tmp_path, monkeypatch)
    overrides = ["pooler=mean", "optimizer.lr=0.003", "seed=2", "study=agent"]
    assert command[:3] == ["/usr/bin/env", "python", "train.py"]
    assert sorted(command[3:]) == sorted(overrides)


@pytest.mark.slow
def test_a_run_of_an_agent_has_a_record_and_belongs_to_the_sweep(
    tmp_path: Path, monkeypatch
) -> None:
    command, environment = started_by_an_agent(tmp_path, monkeypatch)
    small = [*TINY, "trainer=cpu", "certify=false", "measure=false", "dataset.max_examples=64"]
    command = [sys.executable, *command[2:], *small, f"output_dir={tmp_path}"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment | {"WANDB_MODE": "offline"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    (path,) = tmp_path.rglob("record.json")
    record = read_record(path.parent)
    assert (record.run.pooler, record.run.seed, record.run.study) == ("mean", 2, "agent")
    assert record.run.setting("optimizer.lr") == 0.003
    (folder,) = (tmp_path / "wandb").glob("offline-run-*-r1")  # the id that the cloud chose
    inspect = ["wandb", "leet", "inspect", str(folder), "--json"]
    shown = subprocess.run(inspect, capture_output=True, text=True, check=True).stdout
    start = next(e["run"] for e in map(json.loads, shown.splitlines()) if e["type"] == "run")
    assert (start["sweep_id"], start["run_group"]) == ("s1", "agent")
    inspect[3:3] = ["--summary"]
    shown = subprocess.run(inspect, capture_output=True, text=True, check=True).stdout
    summary = json.loads(shown)
    assert summary["config"]["run"]["pooler"] == "mean"
    # What a Bayesian sweep optimizes.
    metric = documented_sweep()["metric"]["name"]
    assert summary["summary"][metric] == pytest.approx(record.metrics[metric])
