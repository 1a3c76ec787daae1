"""Runs on real text: what they leave behind, what they share, what they never mix."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from poolbench.core.errors import DivergedError
from poolbench.data.tokenized import tokenize_texts
from poolbench.encoders.layer_mix import SingleLayer
from poolbench.poolers.mean import MeanPooler
from poolbench.stats.compare import ScoredRun
from poolbench.tasks.classification import Classification
from poolbench.tasks.heads import LinearHead
from poolbench.training import config
from poolbench.training.launch import compose_runs
from poolbench.training.lit_module import LitPooledModel
from poolbench.training.model import PooledModel
from tests.conftest import TINY, logits, rejection


def test_a_run_leaves_a_complete_record(run) -> None:
    record = run("pooler=attention", "study=complete")
    folder: Path = record.folder
    assert folder.parts[-5:-1] == ("complete", "rotten_tomatoes", "minilm", "attention")
    assert folder.name.startswith("seed=0-")
    for name in ("test/accuracy", "test/f1_macro", "best/val_accuracy", "perf/peak_memory_mb"):
        assert np.isfinite(record.metrics[name]), name
    assert record.parameters.pooler == 384 * 128 + 128 + 128
    assert record.parameters.head == 384 * 2 + 2
    assert record.data.classes == ["negative", "positive"]
    assert [epoch["epoch"] for epoch in record.history] == [0, 1]
    first, second = (epoch["seconds"] for epoch in record.history)
    assert 0 < first < second < record.seconds["wall"]
    assert len(record.digests.order) == 2
    assert record.digests.code
    texts = folder.parents[3] / record.data.test_texts
    assert len(json.loads(texts.read_text())["texts"]) == 64
    assert any("mean pooling" in note for note in record.notes)
    best = max(epoch["val/accuracy"] for epoch in record.history)
    assert record.metrics["best/val_accuracy"] == best
    chosen = record.history[int(record.metrics["best/epoch"])]
    assert record.metrics["best/val_f1_macro"] == chosen["val/f1_macro"]
    assert record.written == record.finished


def test_groups_and_duplicates_of_the_data_reach_the_record_and_the_verdict(
    run, tmp_path: Path
) -> None:
    rows = [f"t{i},{'ab'[i % 2]},g{i // 2}" for i in range(60)]
    train, test = tmp_path / "train.csv", tmp_path / "test.csv"
    train.write_text("\n".join(["text,label,doc", *rows, "t0,b,g0"]))
    test.write_text("\n".join(["text,label,doc", "t0,a,x", "t1,b,y", "new,a,x", "newer,b,z"]))
    files = ["dataset=files", f"dataset.train={train}", f"dataset.test={test}"]
    record = run(*TINY, *files, "dataset.group_column=doc", "study=groups")
    x, y, also_x, z = record.predictions.groups.tolist()
    assert x == also_x
    assert len({x, y, z}) == 3
    assert ScoredRun.from_record(record).groups.tolist() == [x, y, x, z]
    assert record.data.duplicates == {
        "test examples have a text that train has too": 2,
        "texts have different labels": 1,
    }


def test_metrics_of_the_record_follow_from_the_predictions(run) -> None:
    record = run("study=metrics")
    kept = record.predictions
    assert kept.example_ids.tolist() == list(range(record.data.examples["test"]))
    accuracy = (kept.predicted == kept.targets).mean()
    assert record.metrics["test/accuracy"] == pytest.approx(accuracy, abs=1e-6)
    confusion = np.zeros((2, 2), dtype=int)
    np.add.at(confusion, (kept.targets, kept.predicted), 1)
    assert record.test_details["confusion"] == confusion.tolist()


def test_cached_hidden_states_and_the_encoder_itself_predict_the_same(run) -> None:
    cached = run("study=parity", "pooler=attention")
    computed = run("study=parity", "pooler=attention", "cache=off")
    np.testing.assert_allclose(logits(cached), logits(computed), atol=5e-3)
    assert (logits(cached).argmax(1) == logits(computed).argmax(1)).all()
    checkpoint = torch.load(computed.folder / "checkpoints/best.ckpt", weights_only=True)
    assert not any(name.startswith("model.encoder") for name in checkpoint["state_dict"])


@pytest.mark.parametrize("tuning", ["frozen", "full"])
def test_one_more_random_draw_in_a_pooler_changes_nothing(run, tuning: str) -> None:
    """The deterministic A/A: the same pooler under two names differs by exactly 0."""
    overrides = [*TINY, f"encoder.tuning={tuning}", "head=mlp", f"study=aa-{tuning}"]
    drawing = "pooler._target_=tests.training.drawing_poolers.MeanWithOneMoreDraw"
    a, b = run(*overrides), run(*overrides, drawing, "allow_targets=[tests.]")
    assert a.run.digest != b.run.digest
    assert np.array_equal(logits(a), logits(b))
    assert a.digests.order == b.digests.order


def test_poolers_of_one_seed_see_the_same_order_and_seeds_another(run) -> None:
    order = {
        (pooler, seed): run(*TINY, f"pooler={pooler}", f"seed={seed}", "study=order").digests.order
        for pooler in ("mean", "conv")
        for seed in (0, 1)
    }
    assert order["mean", 0] == order["conv", 0] != order["mean", 1] == order["conv", 1]


def test_a_run_is_repeatable_bit_by_bit(run) -> None:
    overrides = [*TINY, "encoder.tuning=full", "pooler=attention"]
    a, b = run(*overrides, "study=first"), run(*overrides, "study=second")
    assert a.run.digest == b.run.digest
    assert np.array_equal(logits(a), logits(b))


def test_fine_tuning_changes_the_encoder_and_keeps_it_in_the_checkpoint(run) -> None:
    tuned = run(*TINY, "encoder.tuning=full", "study=full", "optimizer.encoder_lr=1e-3")
    state = torch.load(tuned.folder / "checkpoints/best.ckpt", weights_only=True)["state_dict"]
    assert any(name.startswith("model.encoder") for name in state)
    assert not np.array_equal(logits(tuned), logits(run(*TINY, "study=full")))


def test_the_test_split_is_evaluated_with_the_best_weights(run) -> None:
    record = run(*TINY, "study=selected", "trainer.max_epochs=6", "optimizer.lr=0.05", "patience=2")
    by_epoch = [epoch["val/accuracy"] for epoch in record.history]
    best = int(record.metrics["best/epoch"])
    assert best == by_epoch.index(max(by_epoch))
    assert len(by_epoch) <= best + 1 + 2
    checkpoint = torch.load(record.folder / "checkpoints/best.ckpt", weights_only=True)
    assert checkpoint["epoch"] == best


def test_a_loss_that_is_not_finite_stops_the_run(run) -> None:
    with pytest.raises(DivergedError, match="training loss of epoch 0 is"):
        run(*TINY, "study=diverged", "optimizer.lr=1e30", "trainer.max_epochs=3", "batch_size=4")


def test_out_of_memory_gives_the_fix(run, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("no memory")

    monkeypatch.setattr(LitPooledModel, "training_step", full)
    message = rejection(lambda: run(*TINY, "study=memory"))
    assert "batch_size to 16" in message
    assert "accumulate_grad_batches=2" in message


def test_accumulated_batches_train_like_one_large_batch(run) -> None:
    whole = run(*TINY, "study=whole", "batch_size=32", "trainer.max_epochs=1")
    parts = run(
        *TINY,
        "study=parts",
        "batch_size=16",
        "trainer.accumulate_grad_batches=2",
        "trainer.max_epochs=1",
    )
    assert parts.history[0]["train/loss"] == pytest.approx(whole.history[0]["train/loss"], abs=0.02)


def test_an_encoder_with_too_few_positions_is_rejected(run) -> None:
    short = ["encoder=scratch", "encoder.max_positions=16", "encoder.max_length=32"]
    assert "positions" in rejection(lambda: run(*short))


def test_the_schedule_warms_up_and_comes_down(scratch_encoder, monkeypatch) -> None:
    model = PooledModel(scratch_encoder, SingleLayer(64, 2, -1), MeanPooler(64), LinearHead(64, 2))
    optimizer = compose_runs("optimizer.warmup=0.2")[0].config.optimizer
    data = replace(tokenize_texts([], lambda _: ([], 0)), class_names=("a", "b"))
    module = LitPooledModel(model, Classification(data), optimizer, seed=0)
    monkeypatch.setattr(
        LitPooledModel,
        "trainer",
        type("T", (), {"estimated_stepping_batches": 10, "precision": "32-true"}),
    )
    configured = module.configure_optimizers()
    schedule, rates = configured["lr_scheduler"]["scheduler"], []
    for _ in range(10):
        rates.append(schedule.get_last_lr()[0])
        configured["optimizer"].step()
        schedule.step()
    assert rates[0] == 0
    assert max(rates) == pytest.approx(1e-3)
    assert rates.index(max(rates)) == 2
    assert rates[2:] == sorted(rates[2:], reverse=True)


def test_a_number_of_training_batches_is_not_a_share(run) -> None:
    record = run(*TINY, "study=limit", "trainer.limit_train_batches=1", "trainer.max_epochs=1")
    assert record.run.setting("trainer.limit_train_batches") == 1
    assert isinstance(config.Config.model_validate(record.run.config), config.Config)
    checkpoint = torch.load(record.folder / "checkpoints/best.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 1


def test_the_record_says_how_batches_were_made(run) -> None:
    packed = run(*TINY, "pooler=attention", "study=packed", "encoder.tuning=full")
    padded = run(
        *TINY, "pooler=attention", "study=padded", "batching=padded", "encoder.tuning=full"
    )
    grouped = run(*TINY, "pooler=attention", "study=grouped", "batching=grouped")
    assert [r.batching for r in (packed, padded, grouped)] == ["packed", "padded", "grouped"]
    assert packed.digests.order == padded.digests.order != grouped.digests.order
    assert any("similar length" in note for note in grouped.notes)
    unpacked = run("encoder=embedding", "study=unpacked")
    assert unpacked.batching == "padded", "this encoder cannot compute packed batches"


def test_a_head_of_another_width_is_rejected(scratch_encoder) -> None:
    parts = SingleLayer(64, 2, -1), MeanPooler(64), LinearHead(32, 2)
    message = rejection(lambda: PooledModel(scratch_encoder, *parts))
    assert "32" in message
    assert "64" in message
