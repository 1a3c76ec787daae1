"""An interrupted run continues to the same result, whatever happened to its checkpoints."""

from pathlib import Path

import numpy as np
import pytest

from poolbench.core.errors import Interrupted
from poolbench.runs.record import read_record
from poolbench.training.lit_module import LitPooledModel
from tests.conftest import curves, logits, train
from tests.training.breaking import break_training, planned


@pytest.mark.parametrize("cut_at", [0, 5, 8], ids=["first step", "epoch 2", "epoch 3"])
def test_an_interrupted_run_continues_to_the_same_result(
    tmp_path: Path, monkeypatch, cut_at: int
) -> None:
    overrides = ["pooler=attention", "encoder.tuning=full", "trainer.max_epochs=4", "head=mlp"]
    whole = planned(tmp_path, *overrides, "study=whole", "batch_size=20")
    assert train(whole)
    cut = planned(tmp_path, *overrides, "study=cut", "batch_size=20")
    with monkeypatch.context() as broken:
        break_training(broken, "AttentionPooler", Interrupted(143), at=cut_at)
        with pytest.raises(Interrupted):
            train(cut)
    assert not (cut[0].folder / "record.json").exists()

    steps: list[int] = []
    original = LitPooledModel.training_step
    monkeypatch.setattr(
        LitPooledModel,
        "training_step",
        lambda self, batch, i: (steps.append(self.global_step), original(self, batch, i))[1],
    )
    assert train(cut)
    assert steps[0] == cut_at // 4 * 4, "it continues at the start of the interrupted epoch"
    a, b = read_record(whole[0].folder), read_record(cut[0].folder)
    assert np.array_equal(logits(a), logits(b))
    assert curves(a) == curves(b)
    seconds = [epoch["seconds"] for epoch in b.history]
    assert seconds == sorted({*seconds, 0.0})[1:], "an interruption resets no clock"
    assert a.digests == b.digests
    assert [p.name for p in (cut[0].folder / "checkpoints").glob("*.ckpt")] == ["best.ckpt"]


def _interrupt(*_: object) -> None:
    raise Interrupted(143)


def test_a_run_interrupted_after_its_last_epoch_does_not_train_on(
    tmp_path: Path, monkeypatch
) -> None:
    overrides = ["trainer.max_epochs=9", "patience=1", "optimizer.lr=0.05"]
    whole = planned(tmp_path, *overrides, "study=whole")
    assert train(whole)
    cut = planned(tmp_path, *overrides, "study=cut")
    with monkeypatch.context() as broken:
        broken.setattr(LitPooledModel, "test_step", _interrupt)
        with pytest.raises(Interrupted):
            train(cut)
    assert train(cut)
    a, b = read_record(whole[0].folder), read_record(cut[0].folder)
    assert len(a.history) < 9
    assert curves(a) == curves(b)
    assert np.array_equal(logits(a), logits(b))


@pytest.mark.parametrize("damaged", [1, 2], ids=["the last", "both"])
def test_damaged_checkpoints_are_not_used(tmp_path: Path, monkeypatch, damaged: int) -> None:
    overrides = ["encoder.tuning=full", "trainer.max_epochs=4"]
    whole = planned(tmp_path, *overrides, "study=whole")
    train(whole)
    cut = planned(tmp_path, *overrides, "study=cut")
    with monkeypatch.context() as broken:
        break_training(broken, "MeanPooler", Interrupted(143), at=7)
        with pytest.raises(Interrupted):
            train(cut)
    epochs = sorted((cut[0].folder / "checkpoints").glob("epoch=*.ckpt"))
    assert len(epochs) == 2
    for path in epochs[-damaged:]:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    assert train(cut)
    assert np.array_equal(*(logits(read_record(specs[0].folder)) for specs in (whole, cut)))
