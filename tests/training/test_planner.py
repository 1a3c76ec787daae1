"""``plan=true``: what a command would take, without doing it."""

import subprocess
import sys
from pathlib import Path

import pytest

from poolbench.training.launch import check_command
from poolbench.training.planner import Cost, estimate
from poolbench.training.sweep import plan, run_all
from tests.conftest import ROOT, SMALL

SWEEP = ["encoder=scratch", "pooler=mean,attention", "seed=0,1", "study=planned"]


def planned(folder: Path, *overrides: str):
    command = [*SMALL, *SWEEP, f"output_dir={folder}", *overrides]
    return plan(check_command(command, multirun=True))


def test_disk_and_cells_are_what_a_run_leaves(tmp_path: Path) -> None:
    before = estimate(planned(tmp_path))
    assert before.cells == (4, 0)
    (states,) = before.states
    assert states.seconds > 0
    assert not list(tmp_path.iterdir()), "a plan leaves nothing behind"
    run_all(planned(tmp_path))
    (file,) = (tmp_path / "cache").glob("*.states")
    assert file.stat().st_size == round(1e9 * states.gigabytes)
    after = estimate(planned(tmp_path))
    assert after.cells == (4, 4)
    assert after.seconds == (0.0, 0.0)
    assert [s.seconds for s in after.states] == [0.0]


def test_time_goes_with_epochs_and_early_stopping_is_a_range(tmp_path: Path) -> None:
    few = estimate(planned(tmp_path, "trainer.max_epochs=2", "patience=9"))
    many = estimate(planned(tmp_path, "trainer.max_epochs=200", "patience=9"))
    assert few.seconds[0] == few.seconds[1]
    assert many.seconds[0] < many.seconds[1]
    assert many.seconds[1] > 5 * few.seconds[1]
    assert "as early stopping will have it" in str(many)


def test_a_further_seed_costs_less_where_seeds_share_a_loop() -> None:
    shared, alone = (Cost(1.0, 10.0, shared=way, memory_gb=1.0) for way in (True, False))
    assert shared.seconds(1, 4) == alone.seconds(1, 4) == 41.0
    assert alone.seconds(5, 4) == 5 * 41.0
    assert 45.0 < shared.seconds(5, 4) < 100.0


def test_an_encoder_that_trains_stores_no_states(tmp_path: Path) -> None:
    found = estimate(planned(tmp_path, "encoder.tuning=full", "pooler=mean"))
    assert found.states == []
    assert found.seconds[1] > 0


@pytest.mark.parametrize("multirun", [[], ["-m"]])
def test_the_command_prints_it_and_runs_nothing(tmp_path: Path, multirun: list[str]) -> None:
    command = [sys.executable, "train.py", *multirun, *SMALL, "encoder=scratch", "plan=true"]
    done = subprocess.run(
        [*command, f"output_dir={tmp_path}"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "1, 0 of them finished" in done.stdout
    assert "GB on disk" in done.stdout
    assert not list(tmp_path.iterdir())
