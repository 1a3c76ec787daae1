"""Every file in conf/experiment and conf/debug composes; those that need no network or GPU run."""

from pathlib import Path

import pytest

from poolbench.training import sweep
from poolbench.training.launch import compose_runs
from poolbench.training.session import Session
from tests.conftest import ROOT, train

EXPERIMENTS = sorted(
    f"experiment={p.relative_to(ROOT / 'conf/experiment').with_suffix('')}"
    for p in (ROOT / "conf/experiment").rglob("*.yaml")
)
DEBUG = sorted(f"debug={path.stem}" for path in (ROOT / "conf/debug").glob("*.yaml"))
HERE = [c for c in [*EXPERIMENTS, *DEBUG] if "published/" not in c and c != "experiment=gpu"]
SMALL = [
    "dataset.max_examples=40",
    "encoder=scratch",
    "encoder.layers=2",
    "trainer.max_epochs=1",
    "trainer.enable_progress_bar=false",
    "logger=none",
    "certify=false",
]


LARGE = {"experiment=layer_map"}  # many runs to compose


@pytest.mark.parametrize(
    "choice",
    [
        pytest.param(choice, marks=[pytest.mark.slow] * (choice in LARGE))
        for choice in [*EXPERIMENTS, *DEBUG]
    ],
)
def test_it_composes(choice: str) -> None:
    assert compose_runs(choice)


@pytest.mark.slow
@pytest.mark.parametrize("choice", HERE)
def test_it_runs_when_made_small(choice: str, tmp_path: Path) -> None:
    layers = ["encoder.layers=6"] if "layer" in choice else []
    requests = compose_runs(choice, *SMALL, *layers, f"output_dir={tmp_path}")
    session = Session()
    specs = sweep.plan(requests[:: max(len(requests) // 8, 1)], session)
    assert train(specs, session)
