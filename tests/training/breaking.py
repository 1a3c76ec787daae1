"""Plan a tiny sweep, and break the training of one of its poolers."""

from pathlib import Path

from poolbench.runs.identity import RunSpec
from poolbench.training.lit_module import LitPooledModel
from tests.conftest import TINY, plan


def planned(output: Path, *overrides: str) -> list[RunSpec]:
    return plan(output, *TINY, *overrides)


def break_training(monkeypatch, pooler: str, error: BaseException, at: int = 0) -> None:
    """Runs with this pooler raise in step ``at`` of their training."""
    original = LitPooledModel.training_step

    def step(self, batch, index):
        if type(self.model.pooler).__name__ == pooler and self.global_step == at:
            raise error
        return original(self, batch, index)

    monkeypatch.setattr(LitPooledModel, "training_step", step)
