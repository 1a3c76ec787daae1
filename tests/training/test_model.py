"""Layers, pooled tokens and poolers in combination; the impossible combinations are rejected."""

from pathlib import Path

import numpy as np
import pytest
import torch

from poolbench.training.config import Config
from poolbench.training.launch import compose_runs
from poolbench.training.session import Session
from tests.conftest import ROOT, SMALL, logits, rejection

POOLERS = sorted(path.stem for path in (ROOT / "conf/pooler").glob("*.yaml"))
SELECT_LAYERS = ("native", "max_pool_bert", "layer_attention", "layer_token_gate")
POOL_SPECIAL_TOKENS = ("cls", "native", "max_pool_bert", "layer_attention")
LAYERS = sorted(path.stem for path in (ROOT / "conf/layers").glob("*.yaml"))
SCRATCH = ["encoder=scratch", "encoder.layers=4", "dataset.max_examples=8"]
UNCACHED = [*SCRATCH, "cache=off"]


def config(*overrides: str) -> Config:
    return compose_runs(*SMALL, *overrides)[0].config


def chosen(layers: str) -> list[str]:
    return [f"layers={layers}", *(["layers.index=2"] if layers == "layer" else [])]


def check_combination(session: Session, layers: str, tokens: str, pooler: str) -> None:
    one = config(*UNCACHED, f"pooler={pooler}", f"pooled_tokens={tokens}", *chosen(layers))
    special = pooler in POOL_SPECIAL_TOKENS and tokens == "content"
    if special or (pooler in SELECT_LAYERS and layers != "last"):
        message = rejection(lambda: session.model(one))
        assert "use pooled_tokens=all" in message or "use layers=last" in message
        return
    model = session.model(one).eval()
    outputs = model(model.encoder.collate(session.inputs(one).data, torch.arange(4), tokens))
    assert outputs.shape == (4, 2)
    assert outputs.isfinite().all()


@pytest.mark.parametrize("pooler", POOLERS)
def test_every_pooler_works_with_content_tokens_and_another_layer(
    session: Session, pooler: str
) -> None:
    check_combination(session, "last", "content", pooler)
    check_combination(session, "last4_concat", "all", pooler)


@pytest.mark.parametrize("layers", LAYERS)
def test_every_layer_mix_works_with_each_kind_of_pooler(session: Session, layers: str) -> None:
    for pooler in ("mean", "attention", "conv", "idf_mean", "native"):
        check_combination(session, layers, "all", pooler)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["layers=layer", "layers.index=5"], "layer 5 does not exist"),
        (["layers=last4_mean", "encoder.layers=2"], "layer -4 does not exist"),
        (["layers=first_last_mean", "encoder.layers=1"], "twice"),
        (["pooler=max_pool_bert", "pooler.layers=6"], "pooler.layers=6 but the encoder has 4"),
        (["pooler=multihead_attention", "pooler.heads=7"], "heads"),
    ],
)
def test_impossible_parts_are_rejected(
    session: Session, overrides: list[str], message: str
) -> None:
    assert message in rejection(lambda: session.model(config(*UNCACHED, *overrides)))


def test_layer_mixes_are_what_they_are_called(session: Session) -> None:
    one = config(*UNCACHED)
    inputs = session.inputs(one)
    encoder = inputs.encoder.with_layers((0, 1, 2, 3, 4)).eval()
    batch = encoder.collate(inputs.data, torch.arange(4))
    states = encoder(batch)
    expected = {
        "last": states[:, :, 4],
        "layer": states[:, :, 2],
        "last4_mean": states[:, :, 1:].mean(2),
        "last4_concat": torch.cat([states[:, :, i] for i in (1, 2, 3, 4)], dim=2),
        "first_last_mean": (states[:, :, 1] + states[:, :, 4]) / 2,
        "scalar_mix": states.mean(2),
    }
    assert sorted(expected) == LAYERS
    real = batch.attention_mask
    for name, hidden in expected.items():
        model = session.model(config(*UNCACHED, *chosen(name))).eval()
        found = model.layers(model.select(model.layers.indices, model.encoder(batch)))
        torch.testing.assert_close(found[real], hidden[real], rtol=1e-5, atol=1e-6)


def test_vectors_are_cached_for_poolers_that_learn_nothing(
    session: Session, shared_output: Path
) -> None:
    for pooler in POOLERS:
        one = config(*SCRATCH, f"output_dir={shared_output}", f"pooler={pooler}")
        model = session.model(one)
        learns = any(p.requires_grad for p in model.pooler.parameters())
        assert (model.vectors is None) == learns, pooler
        if model.vectors is not None:
            rows = torch.tensor([5, 9, 17])
            batch = model.encoder.collate(session.inputs(one).data, rows)
            pooled = model.pool(model.encoder(batch), batch)
            torch.testing.assert_close(model.vectors[rows], pooled, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "overrides",
    [
        ["pooler=pitfall/unmasked_mean"],  # depends on the batch
        ["layers=scalar_mix"],  # learns
        ["cache=off"],
        ["encoder.tuning=full"],
    ],
)
def test_vectors_that_may_change_are_not_cached(
    session: Session, overrides: list[str], shared_output: Path
) -> None:
    model = session.model(config(*SCRATCH, f"output_dir={shared_output}", *overrides))
    assert model.vectors is None


def test_cached_vectors_and_cached_states_give_the_same_run(run, monkeypatch) -> None:
    same = ["pooler=max", "encoder=scratch", "pooled_tokens=content", "encoder.layers=4"]
    same += ["layers=last4_mean"]
    fast = run(*same, "study=fast")
    monkeypatch.setattr(
        "poolbench.training.model.PooledModel.has_fixed_vectors", property(lambda _: False)
    )
    slow = run(*same, "study=slow")
    np.testing.assert_allclose(logits(fast), logits(slow), rtol=1e-4, atol=1e-5)
    assert fast.digests == slow.digests
    assert [r.step_input for r in (fast, slow)] == ["cached pooled vectors", "cached hidden states"]
    kept = torch.load(fast.folder / "checkpoints/best.ckpt", weights_only=True)["state_dict"]
    assert not any("vectors" in name for name in kept)


def test_a_learned_mix_trains_behind_a_frozen_encoder(run) -> None:
    record = run("layers=scalar_mix", "encoder=scratch", "trainer.max_epochs=1")
    kept = torch.load(record.folder / "checkpoints/best.ckpt", weights_only=True)["state_dict"]
    assert (kept["model.layers.weights"] != 0).all()
    assert record.parameters.pooler == 4  # three layers and a scale


def test_the_penalty_of_a_pooler_is_part_of_the_training_loss_only(run) -> None:
    same = ["pooler=self_attentive", "encoder=scratch", "trainer.max_epochs=1"]
    without, with_ = (
        run(*same, f"pooler.penalty={penalty}", "optimizer.lr=1e-9") for penalty in (0.0, 100.0)
    )
    assert with_.metrics["train/loss"] > without.metrics["train/loss"] + 10
    assert with_.metrics["test/accuracy"] == without.metrics["test/accuracy"]
    assert with_.history[0]["val/loss"] == pytest.approx(without.history[0]["val/loss"], abs=1e-4)


def test_token_statistics_come_from_the_training_split(session: Session) -> None:
    data = session.inputs(config(*UNCACHED)).data
    rows = data.splits["train"]
    tokens = [t for r in rows for t in data.ids[data.starts[r] : data.starts[r + 1]].tolist()]
    assert data.token_counts.sum() == len(tokens)
    assert all(data.token_counts[token] == tokens.count(token) for token in set(tokens))


def test_a_trainable_encoder_is_compiled_on_request(session: Session, monkeypatch) -> None:
    modes: list[str] = []
    monkeypatch.setattr(
        "poolbench.encoders.base.Encoder.compile", lambda encoder, mode: modes.append(mode)
    )
    for mode in ("null", "reduce-overhead"):
        session.model(config(*SCRATCH, "encoder.tuning=full", f"trainer.compile={mode}"))
    assert modes == ["reduce-overhead"]


@pytest.mark.parametrize("depth", [1, 3])
def test_poolers_of_all_layers_get_all_layers(session: Session, depth: int) -> None:
    for pooler in ("layer_attention", "layer_token_gate"):
        model = session.model(config(*UNCACHED, f"encoder.layers={depth}", f"pooler={pooler}"))
        assert model.encoder.layers == tuple(range(depth + 1))
