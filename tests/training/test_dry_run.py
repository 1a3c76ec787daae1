"""What a run will need is built and run once before the first run starts."""

from pathlib import Path

import pytest
import torch

from poolbench.runs.record import RECORD
from poolbench.training import sweep
from poolbench.training.session import Session
from tests.conftest import TINY, plan, rejection


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("trainer.accelerator=gpu", "No supported gpu backend"),
        ("trainer.accelerator=abacus", "invalid accelerator name"),
        ("trainer.strategy=magic", "invalid strategy name"),
        ("trainer.num_nodes=2", "torchrun"),
        ("trainer.devices=1000", "CPU cores"),
        ("optimizer._target_=torch.optim.SparseAdam", "SparseAdam"),
    ],
)
def test_what_cannot_run_is_rejected_in_one_line(
    session: Session, tmp_path: Path, command: str, message: str
) -> None:
    if "gpu" in command and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    rejected = rejection(lambda: plan(tmp_path, *TINY, command, session=session))
    assert message in rejected
    assert "\n" not in rejected
    assert list(tmp_path.iterdir()) == []


def test_random_numbers_are_left_as_they_were(session: Session, tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    plan(tmp_path, *TINY, "head=mlp", "pooler=attention", session=session)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_variants_that_have_their_results_are_not_tried_again(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[object] = []
    monkeypatch.setattr(sweep, "check_step", lambda config, _: tried.append(config.pooler))
    first = plan(tmp_path, *TINY, "seed=0,1", session=session)
    assert len(tried) == 1
    for spec in first:
        spec.folder.mkdir(parents=True)
        (spec.folder / RECORD).touch()
    plan(tmp_path, *TINY, "seed=0,1", session=session)
    assert len(tried) == 1
    plan(tmp_path, *TINY, "seed=0,1,2", session=session)
    plan(tmp_path, *TINY, "seed=0,1", "rerun=stale", session=session)
    assert len(tried) == 3
