"""A damaged or foreign run is loaded, or rejected in one line."""

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from poolbench.inference.load import load
from poolbench.runs.record import RECORD
from poolbench.training.session import Session
from tests.conftest import TINY, plan, train, works
from tests.robustness.mutations import mutations, replaced, signed


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a trained run."""
    specs = plan(tmp_path_factory.mktemp("trained"), *TINY, "pooler=conv", "trainer.max_epochs=1")
    train(specs)
    return specs[0].folder


@pytest.mark.parametrize("every", [60, pytest.param(1, marks=pytest.mark.slow)])
def test_a_run_is_loaded_or_rejected(trained: Path, tmp_path: Path, every: int) -> None:
    folder = shutil.copytree(trained, tmp_path.joinpath("s", "d", "e", "p", "run"))
    document, session, draw = json.loads((folder / RECORD).read_text()), Session(), random.Random(0)
    assert works(lambda: load(folder, session))
    for place, value in mutations(document["run"]["config"]):
        if draw.random() > 1 / every:
            continue
        (folder / RECORD).write_bytes(signed(replaced(document, ("run", "config", *place), value)))
        try:
            works(lambda: load(folder, session))
        except Exception as error:
            raise AssertionError(f"{place} = {value!r}") from error


CHECKPOINTS: list[Any] = [
    None,
    [],
    {},
    {"state_dict": None},
    {"state_dict": {}},
    {"state_dict": {1: 2}},
    {"state_dict": {"model.head.classify.bias": "x"}},
    {"state_dict": {"model.head.classify.bias": torch.zeros(7)}},
]


@pytest.mark.parametrize("content", [*CHECKPOINTS, b"", b"PK", b"\x80\x04N."], ids=repr)
def test_a_foreign_checkpoint_is_works(trained: Path, tmp_path: Path, content: Any) -> None:
    folder = shutil.copytree(trained, tmp_path / "run")
    path = folder / "checkpoints/best.ckpt"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    assert not works(lambda: load(folder))
