"""Throughput counts training steps only; checkpoints notice every flipped bit of their content."""

import time
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader

from poolbench.data.collate import collate
from poolbench.data.tokenized import tokenize_texts
from poolbench.training import callbacks
from tests.conftest import QUIET

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
    rows = [[1] * 4, [1] * 1, [1] * 3]
    data = tokenize_texts(["", "", ""], lambda texts: (rows, 0))
    batches = [collate(data, torch.tensor([0, 1, 2])) for _ in range(12)]
    throughput = callbacks.TrainingSpeed(lambda batch: batch.attention_mask.numel())
    trainer = pl.Trainer(**QUIET, max_epochs=2, callbacks=[throughput])
    trainer.fit(
        Sleeper(), DataLoader(batches, batch_size=None), DataLoader(batches[:1], batch_size=None)
    )
    assert len(throughput.steps) == 24
    return throughput.summary(trainer.strategy)


def test_rates_are_those_of_the_steps_without_validation(figures: dict[str, float]) -> None:
    step_s = figures["perf/step_ms_p50"] / 1e3
    assert STEP_S <= step_s < 4 * STEP_S
    assert figures["perf/step_ms_p95"] < 1e3 * VALIDATION_S
    # 8 real tokens in a rectangle of 12; both rates share one denominator.
    assert figures["perf/tokens_per_sec"] / figures["perf/samples_per_sec"] == pytest.approx(8 / 3)
    assert figures["perf/padding_ratio"] == pytest.approx(12 / 8)
    assert figures["perf/samples_per_sec"] < 3 / STEP_S
    assert 0 <= figures["perf/host_wait_share"] < 0.5


def test_the_peak_of_one_run_does_not_count_for_the_next() -> None:
    cpu = torch.device("cpu")
    block = torch.ones(75_000_000)  # 300 MB
    high = callbacks._peak_memory(cpu)
    del block
    callbacks._reset_peak_memory(cpu)
    assert callbacks._peak_memory(cpu) < high - 200e6


def test_a_flipped_bit_in_a_tensor_is_noticed(tmp_path: Path) -> None:
    """``torch.load`` itself does not: the flipped weights load without an error."""
    path = tmp_path / "best.ckpt"
    weights = torch.arange(4096.0)
    torch.save({"weights": weights}, path)
    assert callbacks.is_intact(path)
    content = bytearray(path.read_bytes())
    content[content.index(weights.numpy().tobytes()) + 4] ^= 1
    path.write_bytes(content)
    assert not torch.equal(torch.load(path, weights_only=True)["weights"], weights)
    assert not callbacks.is_intact(path)
    path.write_bytes(content[:-40])
    assert not callbacks.is_intact(path)
    assert not callbacks.is_intact(tmp_path / "missing.ckpt")
