"""Throughput: the ratio to mean is comparable, a delay shows, and nothing of the run changes."""

import time

import pytest
import torch

from poolbench.poolers.mean import MeanPooler
from poolbench.training import throughput
from poolbench.training.launch import compose_runs
from poolbench.training.run import make_trainer
from poolbench.training.session import Session
from tests.conftest import SMALL

SCRATCH = ["encoder=scratch", "cache=off"]


def measured(
    session: Session, pooler: str, *overrides: str, delay: float = 0.0
) -> dict[str, float]:
    config = compose_runs(*SMALL, *SCRATCH, f"pooler={pooler}", *overrides)[0].config
    model = session.computing_model(config, session.model(config))
    if delay:
        model.pooler.register_forward_hook(lambda *_: time.sleep(delay))
    whole = session.run_encoder(config, (session.encoder(config).depth,))
    reference = throughput.reference_model(whole, session.task(config))
    batches = session.test_batches(config, 3)
    return throughput.measure(model, reference, batches, torch.device("cpu"))


def test_mean_is_as_fast_as_mean(session: Session) -> None:
    found = measured(session, "mean")
    assert found["perf/relative_throughput"] == pytest.approx(1, abs=0.2)
    assert all(value > 0 for value in found.values())


@pytest.mark.slow
def test_a_delay_in_the_pooler_shows_in_every_figure(session: Session) -> None:
    plain, slow = measured(session, "mean"), measured(session, "mean", delay=0.1)
    assert slow["perf/relative_throughput"] < 0.7 * plain["perf/relative_throughput"]
    assert slow["perf/inference_samples_per_sec"] < plain["perf/inference_samples_per_sec"]
    for name in ("perf/pooler_forward_ms", "perf/pooler_train_ms"):
        assert slow[name] > plain[name] + 90


def test_the_reference_is_mean_over_the_last_layer_of_the_whole_encoder(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = compose_runs(*SMALL, *SCRATCH, "layers=layer", "layers.index=1")[0].config
    found = []
    monkeypatch.setattr(throughput, "measure", lambda *models, **_: found.extend(models[:2]) or {})
    trainer = make_trainer(config)
    session.throughput(config, "a variant", session.model(config), trainer)
    model, reference = found
    assert model.encoder.layers == (1,)
    assert isinstance(reference.pooler, MeanPooler)
    assert reference.encoder.layers == (reference.encoder.depth,)
    assert len(model.encoder.block_list()) < len(reference.encoder.block_list())


@pytest.mark.slow
def test_an_encoder_that_stops_early_is_faster(session: Session) -> None:
    stops = ["encoder.layers=6", "layers=layer", "layers.index=1"]
    assert measured(session, "mean", *stops)["perf/relative_throughput"] > 2


def test_a_record_carries_it_once_per_variant(run) -> None:
    same = ["encoder=scratch", "study=speed", "trainer.max_epochs=1", "measure=true"]
    first, second = (run(*same, f"seed={seed}") for seed in (0, 1))
    names = [name for name in first.metrics if name.startswith("perf/")]
    assert "perf/relative_throughput" in names
    assert first.metrics["perf/relative_throughput"] == second.metrics["perf/relative_throughput"]
