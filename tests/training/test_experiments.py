"""Every file in conf/experiment and conf/debug composes; those that need no network or GPU run."""

from pathlib import Path

import pytest

from poolbench.training import console as closing
from poolbench.training import sweep
from poolbench.training.launch import check_command
from tests.conftest import ROOT

EXPERIMENTS = sorted(
    f"experiment={p.relative_to(ROOT / 'conf/experiment').with_suffix('')}"
    for p in (ROOT / "conf/experiment").rglob("*.yaml")
)
DEBUG = sorted(f"debug={path.stem}" for path in (ROOT / "conf/debug").glob("*.yaml"))
# What cannot run everywhere, and why.
ELSEWHERE = {"experiment=gpu": "needs a GPU"} | {
    name: "needs the hub: tests/test_published.py runs it on other data"
    for name in EXPERIMENTS
    if "published/" in name
}
SMALL = {
    "dataset.max_examples=40",
    "encoder=scratch",
    "encoder.layers=2",
    "trainer.max_epochs=1",
    "logger=none",
    "certify=false",
}


def test_no_file_is_forgotten() -> None:
    assert len(EXPERIMENTS) >= 4
    assert set(ELSEWHERE) <= set(EXPERIMENTS)
    for name in EXPERIMENTS:
        assert check_command([name], multirun=False), name


@pytest.mark.parametrize("choice", [*EXPERIMENTS, *DEBUG])
def test_it_runs_when_made_small(choice: str, tmp_path: Path) -> None:
    if choice in ELSEWHERE:
        pytest.skip(ELSEWHERE[choice])
    command = [
        choice,
        *sorted(SMALL),
        f"output_dir={tmp_path}",
        "trainer.enable_progress_bar=false",
    ]
    cells = sweep.plan(check_command(command, multirun=False))
    if len(cells) > 8:
        cells = cells[:: len(cells) // 8]
    sweep.declare_all(cells)
    sweep.run_all(cells)
    assert closing.print_all([(p.cell, sweep.finished(p.cell)) for p in cells]) == 0


def test_the_smoke_experiment_names_every_pooler() -> None:
    cells = check_command(["experiment=smoke"], multirun=False)
    poolers = {cell.choices["pooler"] for cell in cells}
    assert poolers == {path.stem for path in (ROOT / "conf/pooler").glob("*.yaml")}
