"""Whole cells on real text: what they leave behind, what they share, what they never mix."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from poolbench.core.errors import BadInput
from poolbench.encoders.base import Encoder
from poolbench.runs.record import read_predictions, read_record
from poolbench.training import build
from poolbench.training.lit_module import Classification, Diverged
from poolbench.training.session import model_of, prepare, trainer_options
from tests.conftest import asked

SCRATCH = ["encoder=scratch", "encoder.layers=1", "encoder.max_length=32"]


def predictions(record) -> np.ndarray:
    return read_predictions(record["folder"]).logits


def test_a_cell_leaves_a_whole_record(run) -> None:
    record = run("pooler=attention", "study=whole")
    folder: Path = record["folder"]
    assert read_record(folder)["status"] == "ok"
    parts = folder.parts[-5:]
    assert parts[:4] == ("whole", "rotten_tomatoes", "minilm", "attention")
    assert parts[4].startswith("seed=0-")
    assert {"config", "metrics", "parameters", "digests", "versions", "hardware"} <= set(record)
    metrics = record["metrics"]
    for name in (
        "test/accuracy",
        "test/f1_macro",
        "best/val_accuracy",
        "train/loss",
        "perf/peak_memory_mb",
    ):
        assert np.isfinite(metrics[name]), name
    assert record["parameters"]["pooler"] == 384 * 128 + 128 + 128
    assert record["parameters"]["head"] == 384 * 2 + 2
    assert record["data"]["classes"] == ["negative", "positive"]
    assert [epoch["epoch"] for epoch in record["history"]] == [0, 1]
    assert len(record["digests"]["order"]) == 2
    texts = folder.parents[3] / record["data"]["test_texts"]
    assert len(json.loads(texts.read_text())["texts"]) == 64
    assert any("mean pooling" in caveat for caveat in record["caveats"])
    assert metrics["best/val_accuracy"] == max(e["val/accuracy"] for e in record["history"])


def test_scores_in_the_record_follow_from_the_predictions_beside_it(run) -> None:
    record = run("study=scores")
    kept = read_predictions(record["folder"])
    assert kept.example_ids.tolist() == list(range(record["data"]["examples"]["test"]))
    assert (kept.logits.argmax(1) == kept.predictions).all()
    accuracy = (kept.predictions == kept.labels).mean()
    assert record["metrics"]["test/accuracy"] == pytest.approx(accuracy, abs=1e-6)
    confusion = np.zeros((2, 2), dtype=int)
    np.add.at(confusion, (kept.labels, kept.predictions), 1)
    assert record["test_details"]["confusion"] == confusion.tolist()


def test_what_changes_a_result_makes_another_cell(run) -> None:
    digests = {
        run(*SCRATCH, *overrides, "study=identity")["cell"]["digest"]
        for overrides in (
            [],
            ["optimizer.lr=2e-3"],
            ["batch_size=16"],
            ["encoder.max_length=20"],
            ["dataset.split_seed=1"],
            ["head=mlp"],
            ["cache=off"],
        )
    }
    assert len(digests) == 7


def test_stored_states_and_the_encoder_itself_predict_the_same(run) -> None:
    stored = run("study=parity", "pooler=attention")
    live = run("study=parity", "pooler=attention", "cache=off")
    np.testing.assert_allclose(predictions(stored), predictions(live), atol=5e-3)
    assert (predictions(stored).argmax(1) == predictions(live).argmax(1)).all()
    checkpoint = torch.load(live["folder"] / "checkpoints/best.ckpt", weights_only=True)
    assert not any(name.startswith("model.encoder") for name in checkpoint["state_dict"])


@pytest.mark.parametrize("tuning", ["frozen", "full"])
def test_one_more_random_draw_in_a_pooler_changes_nothing(run, tuning: str, monkeypatch) -> None:
    """The deterministic A/A: the same pooler under two names differs by exactly 0."""
    monkeypatch.setattr(build, "TARGETS", (*build.TARGETS, "tests."))
    overrides = [*SCRATCH, f"encoder.tuning={tuning}", "head=mlp", f"study=aa-{tuning}"]

    def draw_more(cfg) -> None:
        cfg.pooler._target_ = "tests.training.drawing_poolers.MeanWithOneMoreDraw"

    a, b = run(*overrides), run(*overrides, change=draw_more)
    assert a["cell"]["digest"] != b["cell"]["digest"]
    assert np.array_equal(predictions(a), predictions(b))
    assert a["digests"]["order"] == b["digests"]["order"]


def test_poolers_of_one_seed_see_the_same_order_and_seeds_another(run) -> None:
    order = {
        (pooler, seed): tuple(
            run(*SCRATCH, f"pooler={pooler}", f"seed={seed}", "study=order")["digests"]["order"]
        )
        for pooler in ("mean", "conv")
        for seed in (0, 1)
    }
    assert order["mean", 0] == order["conv", 0] != order["mean", 1] == order["conv", 1]


def test_a_cell_is_repeatable_bit_by_bit(run) -> None:
    overrides = [*SCRATCH, "encoder.tuning=full", "pooler=attention"]
    a, b = run(*overrides, "study=first"), run(*overrides, "study=second")
    assert a["cell"]["digest"] == b["cell"]["digest"]
    assert np.array_equal(predictions(a), predictions(b))


def test_fine_tuning_changes_the_encoder_and_keeps_it_in_the_checkpoint(run) -> None:
    record = run(*SCRATCH, "encoder.tuning=full", "study=full", "optimizer.encoder_lr=1e-3")
    state = torch.load(record["folder"] / "checkpoints/best.ckpt", weights_only=True)["state_dict"]
    assert any(name.startswith("model.encoder") for name in state)
    frozen = run(*SCRATCH, "study=full")
    assert not np.array_equal(predictions(record), predictions(frozen))


def test_the_test_split_is_evaluated_with_the_selected_weights(run) -> None:
    record = run(
        *SCRATCH, "study=selected", "trainer.max_epochs=6", "optimizer.lr=0.05", "patience=2"
    )
    by_epoch = [epoch["val/accuracy"] for epoch in record["history"]]
    best = int(record["metrics"]["best/epoch"])
    assert best == by_epoch.index(max(by_epoch))
    assert len(by_epoch) <= best + 1 + 2
    checkpoint = torch.load(record["folder"] / "checkpoints/best.ckpt", weights_only=True)
    assert checkpoint["epoch"] == best


def test_a_loss_that_is_no_number_stops_the_cell(run) -> None:
    with pytest.raises(Diverged, match="training loss of epoch 0 is"):
        run(*SCRATCH, "study=diverged", "optimizer.lr=1e30", "trainer.max_epochs=3", "batch_size=4")


def test_an_encoder_that_is_too_short_is_refused_before_training(run) -> None:
    with pytest.raises(BadInput, match="positions"):
        run("encoder=scratch", "encoder.max_positions=16", "encoder.max_length=32")


def test_the_schedule_warms_up_and_comes_down(scratch_encoder, monkeypatch) -> None:
    from poolbench.encoders.layer_mix import OneLayer
    from poolbench.poolers.mean import MeanPooler
    from poolbench.training.model import LinearHead, PooledClassifier

    model = PooledClassifier(
        scratch_encoder, OneLayer(64, 2, -1), MeanPooler(64), LinearHead(64, 2)
    )
    module = Classification(model, asked("optimizer.warmup=0.2").cfg.optimizer, seed=0)
    monkeypatch.setattr(
        Classification, "trainer", type("T", (), {"estimated_stepping_batches": 10})
    )
    optimisers = module.configure_optimizers()
    schedule, rates = optimisers["lr_scheduler"]["scheduler"], []
    for _ in range(10):
        rates.append(schedule.get_last_lr()[0])
        optimisers["optimizer"].step()
        schedule.step()
    assert rates[0] == 0
    assert max(rates) == pytest.approx(1e-3)
    assert rates.index(max(rates)) == 2
    assert rates[2:] == sorted(rates[2:], reverse=True)


def test_an_encoder_that_trains_is_compiled_when_asked_for(monkeypatch) -> None:
    """What is compiled is held to the plain encoder in tests/encoders/test_packed.py."""
    modes: list[str] = []
    monkeypatch.setattr(Encoder, "compile", lambda encoder, mode: modes.append(mode))
    for mode in ("null", "reduce-overhead"):
        small = [*SCRATCH, "encoder.tuning=full", "dataset.max_examples=16"]
        cfg = asked(*small, f"trainer.compile={mode}").cfg
        model_of(cfg, prepare(cfg))
        assert "compile" not in trainer_options(cfg)
    assert modes == ["reduce-overhead"]
