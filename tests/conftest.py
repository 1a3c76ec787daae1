"""Fixtures that several tests share: small, but with real text and real weights."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig

from poolbench.encoders.scratch import ScratchEncoder
from poolbench.runs.record import read_record
from poolbench.training.launch import Asked, check_command

ROOT = Path(__file__).parents[1]

# The suite runs in two processes: threads of one would only wait for those of the other.
torch.set_num_threads(1)

SMALL = [
    "logger=none",
    "certify=false",
    "dataset.max_examples=64",
    "trainer=cpu",
    "trainer.max_epochs=2",
    "trainer.enable_progress_bar=false",
]


@pytest.fixture
def scratch_encoder() -> ScratchEncoder:
    return make_scratch()


def make_scratch(**changed: Any) -> ScratchEncoder:
    knobs = {
        "model_type": "bert",
        "layers": 2,
        "hidden_dim": 64,
        "heads": 4,
        "vocab_size": 512,
        "max_positions": 64,
        "init_seed": 0,
        "tuning": "frozen",
        "max_length": 32,
        "padding_side": "right",
        "caveat": None,
    }
    return ScratchEncoder(**knobs | changed)


@pytest.fixture(scope="session")
def shared_output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One output folder for the whole session: token states are paid once."""
    return tmp_path_factory.mktemp("outputs")


def asked(*overrides: str) -> Asked:
    """The one cell of a command line, checked as ``train.py`` checks it."""
    return check_command(list(overrides), multirun=False)[0]


@pytest.fixture
def run(shared_output: Path) -> Callable[..., dict[str, Any]]:
    """Run one small cell on real text and give its record; errors come out as they are."""
    from poolbench.training.run import run_cell
    from poolbench.training.session import prepare
    from poolbench.training.sweep import plan

    def run(*overrides: str, change: Callable[[DictConfig], None] = lambda cfg: None) -> Any:
        one = asked(*SMALL, f"output_dir={shared_output}", *overrides)
        change(one.cfg)
        cell = plan([one])[0].cell
        run_cell(one.cfg, cell, prepare(one.cfg))
        return read_record(cell.folder) | {"folder": cell.folder}

    return run
