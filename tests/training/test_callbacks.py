"""The clock counts real work only, and what it reads agrees with a clock outside."""

import time

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader

from poolbench.data.collate import make_batch
from poolbench.training.callbacks import WARM_UP, Throughput
from tests.data.test_collate import corpus

STEP_S, VALIDATION_S = 0.01, 0.5


class Sleeper(pl.LightningModule):
    """Each step takes a known time, validation a much longer one."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)

    def training_step(self, batch, index):
        time.sleep(STEP_S)
        return self.layer(torch.ones(1)).sum()

    def validation_step(self, batch, index):
        time.sleep(VALIDATION_S)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


@pytest.fixture(scope="module")
def figures() -> dict[str, float]:
    texts = corpus([[1] * 4, [1] * 1, [1] * 3])
    batches = [make_batch(texts, torch.tensor([0, 1, 2])) for _ in range(12)]
    clock = Throughput()
    trainer = pl.Trainer(
        max_epochs=2,
        accelerator="cpu",
        callbacks=[clock],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(
        Sleeper(), DataLoader(batches, batch_size=None), DataLoader(batches[:1], batch_size=None)
    )
    assert len(clock.step_ms) == 24 - WARM_UP
    return clock.summary(trainer.strategy)


def test_rates_are_those_of_the_steps_without_validation(figures: dict[str, float]) -> None:
    step_s = figures["perf/step_ms_p50"] / 1e3
    assert STEP_S <= step_s < 4 * STEP_S
    assert figures["perf/step_ms_p95"] < 1e3 * VALIDATION_S
    # 8 real tokens in a rectangle of 12; both rates share one denominator.
    assert figures["perf/tokens_per_sec"] / figures["perf/samples_per_sec"] == pytest.approx(8 / 3)
    assert figures["perf/padding_ratio"] == pytest.approx(12 / 8)
    assert figures["perf/samples_per_sec"] < 3 / STEP_S
    assert 0 <= figures["perf/host_wait_share"] < 0.5


def test_the_peak_of_one_cell_is_not_that_of_the_cell_before(figures: dict[str, float]) -> None:
    from poolbench.training import callbacks as throughput

    cpu = torch.device("cpu")
    block = torch.ones(75_000_000)  # 300 MB
    high = throughput._peak_memory(cpu)
    del block
    throughput._forget_peak_memory(cpu)
    assert throughput._peak_memory(cpu) < high - 200e6
