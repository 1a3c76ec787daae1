"""What was cut short or damaged goes on, or starts again, to the result it would have had."""

from pathlib import Path

import numpy as np
import pytest

from poolbench.core.errors import Interrupted
from poolbench.runs.record import read_record
from poolbench.training.lit_module import Classification
from tests.sweeping import break_training, planned, run, scores


@pytest.mark.parametrize("cut_at", [0, 5, 8], ids=["at once", "in epoch 2", "in epoch 3"])
def test_an_interrupted_cell_goes_on_to_the_same_result(
    tmp_path: Path, monkeypatch, cut_at: int
) -> None:
    overrides = ["pooler=attention", "encoder.tuning=full", "trainer.max_epochs=4", "head=mlp"]
    whole = planned(tmp_path, *overrides, "study=whole", "batch_size=20")
    assert run(whole) == 0

    cut = planned(tmp_path, *overrides, "study=cut", "batch_size=20")
    with monkeypatch.context() as broken:
        break_training(broken, "AttentionPooler", Interrupted(143), at=cut_at)
        with pytest.raises(Interrupted):
            run(cut)
    assert not (cut[0].cell.folder / "record.json").exists()

    steps = []
    original = Classification.training_step
    monkeypatch.setattr(
        Classification,
        "training_step",
        lambda self, batch, i: (steps.append(self.global_step), original(self, batch, i))[1],
    )
    assert run(cut) == 0
    assert steps[0] == cut_at // 4 * 4, "it goes on at the start of the epoch it was in"
    assert np.array_equal(scores(whole)[0], scores(cut)[0])
    a, b = read_record(whole[0].cell.folder), read_record(cut[0].cell.folder)
    assert a["history"] == b["history"]
    assert a["digests"] == b["digests"]
    assert [p.name for p in (cut[0].cell.folder / "checkpoints").glob("*.ckpt")] == ["best.ckpt"]


def test_a_cell_cut_short_after_it_decided_to_stop_does_not_train_on(
    tmp_path: Path, monkeypatch
) -> None:
    overrides = ["trainer.max_epochs=9", "patience=1", "optimizer.lr=0.05", "fused=false"]
    whole = planned(tmp_path, *overrides, "study=whole")
    assert run(whole) == 0
    cut = planned(tmp_path, *overrides, "study=cut")
    with monkeypatch.context() as broken:
        broken.setattr(Classification, "test_step", _interrupt)
        with pytest.raises(Interrupted):
            run(cut)
    assert run(cut) == 0
    histories = [read_record(p[0].cell.folder)["history"] for p in (whole, cut)]
    assert len(histories[0]) < 9
    assert histories[0] == histories[1]
    assert np.array_equal(scores(whole)[0], scores(cut)[0])


def _interrupt(*_: object) -> None:
    raise Interrupted(143)


@pytest.mark.parametrize("damaged", [1, 2], ids=["the last", "both"])
def test_damaged_checkpoints_are_not_gone_on_from(
    tmp_path: Path, monkeypatch, damaged: int
) -> None:
    overrides = ["encoder.tuning=full", "trainer.max_epochs=4"]
    whole = planned(tmp_path, *overrides, "study=whole")
    run(whole)
    cut = planned(tmp_path, *overrides, "study=cut")
    with monkeypatch.context() as broken:
        break_training(broken, "MeanPooler", Interrupted(143), at=7)
        with pytest.raises(Interrupted):
            run(cut)
    epochs = sorted((cut[0].cell.folder / "checkpoints").glob("epoch=*.ckpt"))
    assert len(epochs) == 2
    for path in epochs[-damaged:]:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    assert run(cut) == 0
    assert np.array_equal(scores(whole)[0], scores(cut)[0])


def test_a_damaged_record_is_set_aside_and_made_again(tmp_path: Path) -> None:
    cells = planned(tmp_path, "study=damage")
    run(cells)
    before = scores(cells)[0]
    path = cells[0].cell.folder / "record.json"
    path.write_text(path.read_text().replace("test/accuracy", "test/Accuracy"))
    assert run(cells) == 0
    assert path.with_name("record.json.damaged").exists()
    assert np.array_equal(scores(cells)[0], before)
