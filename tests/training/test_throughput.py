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


def test_the_ratio_is_that_of_a_machine_that_others_use_as_well() -> None:
    draw = torch.Generator().manual_seed(0)
    alone = torch.tensor([0.1, 0.08]) * torch.linspace(1, 3, 6).unsqueeze(1)  # (batches, 2)
    for _ in range(20):
        slowed = 1 + 2 * torch.rand(5, 6, 1, generator=draw)  # both of a pair
        interrupted = 1 + (torch.rand(5, 6, 2, generator=draw) < 0.3)  # either
        assert throughput.ratio(alone * slowed * interrupted) == pytest.approx(0.8, rel=0.01)
        assert throughput.uncertainty(alone * slowed) == pytest.approx(0, abs=1e-6)
        noise = 1 + 0.5 * torch.rand(5, 6, 2, generator=draw)
        assert throughput.uncertainty(alone * noise) > 0.02


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
