"""Small sweeps to break: planned, run and read back as the command does."""

from pathlib import Path

import numpy as np

from poolbench.runs.record import read_predictions
from poolbench.training import console as closing
from poolbench.training import sweep
from poolbench.training.launch import check_command
from poolbench.training.lit_module import Classification
from poolbench.training.together import Follower
from tests.conftest import SMALL

BASE = [*SMALL, "encoder=scratch", "encoder.layers=1", "encoder.max_length=32"]


def planned(output: Path, *overrides: str) -> list[sweep.Planned]:
    return sweep.plan(check_command([*BASE, f"output_dir={output}", *overrides], multirun=True))


def run(cells: list[sweep.Planned]) -> int:
    sweep.declare_all(cells)
    sweep.run_all(cells)
    return closing.print_all([(p.cell, sweep.finished(p.cell)) for p in cells])


def scores(cells: list[sweep.Planned]) -> list[np.ndarray]:
    return [read_predictions(p.cell.folder).logits for p in cells]


def break_training(monkeypatch, pooler: str, error: BaseException, at: int = 0) -> None:
    """Cells with this pooler raise in step ``at`` of their training."""

    def broken(original):
        def step(self, batch, index):
            if type(self.model.pooler).__name__ == pooler and self.global_step == at:
                raise error
            return original(self, batch, index)

        return step

    for kind in (Classification, Follower):
        monkeypatch.setattr(kind, "training_step", broken(kind.training_step))
