"""Small real studies, trained by the project's own sweep while testing."""

from pathlib import Path

from poolbench.training import sweep
from poolbench.training.launch import check_command

SMALL = [
    "encoder=scratch",
    "encoder.layers=1",
    "encoder.max_length=32",
    "dataset.max_examples=120",
    "trainer=cpu",
    "trainer.max_epochs=2",
    "trainer.enable_progress_bar=false",
    "logger=none",
    "certify=false",
]


def train_study(outputs: Path, name: str, *grid: str) -> Path:
    """Train every cell of the grid below ``outputs``; returns the folder of the study."""
    command = [*SMALL, *grid, f"study={name}", f"output_dir={outputs}"]
    planned = sweep.plan(check_command(command, multirun=True))
    sweep.declare_all(planned)
    sweep.run_all(planned)
    return outputs / name
