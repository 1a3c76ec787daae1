"""The certificate: the pooler contract, measured on real text behind an encoder."""

import pytest
import torch

from poolbench.runs.record import ContractLine
from poolbench.training.launch import compose_runs
from poolbench.training.session import Session
from tests.conftest import ROOT, SMALL

pytestmark = pytest.mark.usefixtures("no_shape_checks")
POOLERS = sorted(path.stem for path in (ROOT / "conf/pooler").glob("*.yaml"))
SCRATCH = ["encoder=scratch", "dataset.max_examples=40", "cache=off"]


def certified(session: Session, pooler: str, *overrides: str) -> dict[str, ContractLine]:
    config = compose_runs(*SMALL, *SCRATCH, f"pooler={pooler}", *overrides)[0].config
    return session.certificate(config, " ".join((pooler, *overrides)), session.model(config))


def broken(lines: dict[str, ContractLine]) -> set[str]:
    return {name for name, line in lines.items() if not line.kept}


@pytest.mark.slow
@pytest.mark.parametrize("pooler", POOLERS)
def test_every_pooler_keeps_every_line(session: Session, pooler: str) -> None:
    assert broken(certified(session, pooler)) == set()


@pytest.mark.parametrize(
    ("pitfall", "lines"),
    [
        ("unmasked_mean", {"T1", "encoder, alone"}),
        ("final_position", {"encoder, alone", "encoder, side"}),
        ("position_zero", {"encoder, side"}),
    ],
)
def test_a_pitfall_breaks_its_lines_behind_an_encoder(
    session: Session, pitfall: str, lines: set[str]
) -> None:
    assert lines <= broken(certified(session, f"pitfall/{pitfall}"))


@pytest.mark.parametrize(
    "overrides", [["layers=last4_concat", "encoder.layers=4"], ["pooled_tokens=content"]]
)
def test_layers_and_pooled_tokens_are_certified_with_the_pooler(
    session: Session, overrides: list[str]
) -> None:
    lines = certified(session, "mean", *overrides)
    assert broken(lines) == set()
    assert {"T1", "T2", "T3", "T4", "T5", "T7", "T15", "encoder, alone"} <= set(lines)


def test_measuring_changes_neither_the_model_nor_the_random_state(session: Session) -> None:
    config = compose_runs(*SMALL, *SCRATCH, "pooler=attention")[0].config
    model = session.model(config)
    before, random = model.state_dict(), torch.random.get_rng_state()
    kept = {name: value.clone() for name, value in before.items()}
    session.certificate(config, "unchanged", model)
    assert torch.equal(torch.random.get_rng_state(), random)
    assert all(torch.equal(kept[name], value) for name, value in model.state_dict().items())
    assert model.training


def test_a_record_carries_it(run) -> None:
    record = run("pooler=mean", "encoder=scratch", "trainer.max_epochs=1", "certify=true")
    line = record.certificate["T4"]
    assert line.kept
    assert line.deviation < line.limit
