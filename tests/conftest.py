"""Fixtures that several tests share: small, but with real text and real weights."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict

from poolbench.command import CONF
from poolbench.encoders.scratch import ScratchEncoder
from poolbench.results.record import RECORD

SMALL = [
    "logger=none",
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


def composed(*overrides: str) -> DictConfig:
    """The configuration of a command line, with Hydra's own part set as under hydra.main."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides=list(overrides), return_hydra_config=True)
    HydraConfig.instance().set_config(cfg)
    with open_dict(cfg):
        del cfg["hydra"]
    return cfg


@pytest.fixture
def run(shared_output: Path) -> Callable[..., dict[str, Any]]:
    """Run one small cell on real text and give its record."""
    from poolbench.experiment import run_cell

    def run(*overrides: str, change: Callable[[DictConfig], None] = lambda cfg: None) -> Any:
        cfg = composed(*SMALL, f"output_dir={shared_output}", *overrides)
        change(cfg)
        before = set(shared_output.rglob(RECORD))
        objective = run_cell(cfg)
        (folder,) = (path.parent for path in set(shared_output.rglob(RECORD)) - before)
        record = json.loads((folder / RECORD).read_text())
        return record | {"folder": folder, "objective": objective}

    return run
