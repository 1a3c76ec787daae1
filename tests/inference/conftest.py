"""Runs with a tiny BERT that has learned something."""

from collections.abc import Callable
from pathlib import Path

import pytest

LEARNING = ["optimizer.lr=0.01", "trainer.max_epochs=10", "patience=10"]


@pytest.fixture
def trained_bert(run, shared_output: Path) -> Callable[..., Path]:
    """The folder of a finished run, by its overrides."""
    # Imported here: this file is read also where the packages of data are missing.
    from tests.tiny_bert import tiny_bert

    def folder(*overrides: str) -> Path:
        folder: Path = run(*tiny_bert(shared_output), *LEARNING, *overrides).folder
        return folder

    return folder
