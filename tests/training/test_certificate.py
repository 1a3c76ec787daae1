"""The certificate says of each pooler what the contract says, measured behind an encoder."""

import json

import jaxtyping
import pytest
import torch

from poolbench.training.certificate import certificate
from poolbench.training.launch import check_command
from scripts.certify import main
from tests.conftest import SMALL, asked
from tests.poolers.test_contract import POOLERS
from tests.poolers.test_pitfalls import BREAKS

SCRATCH = ["encoder=scratch", "dataset.max_examples=40"]


@pytest.fixture(autouse=True)
def _plain_annotations():
    # They are checked while testing only, and that checker cannot be traced by torch.compile.
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def certified(pooler: str, *overrides: str) -> dict:
    return certificate(asked(*SMALL, *SCRATCH, f"pooler={pooler}", *overrides).cfg)


def broken(lines: dict) -> set[str]:
    return {name for name, line in lines.items() if not line["kept"]}


@pytest.mark.parametrize("pooler", POOLERS)
def test_every_pooler_keeps_every_line(pooler: str) -> None:
    lines = certified(pooler)
    assert broken(lines) == set()
    assert {"T1", "T2", "T3", "T4", "T5", "T6", "T7", "T8", "T12", "T15"} <= set(lines)
    json.dumps(lines, allow_nan=False)


# More padding (t02) tells nothing new of a batch that has some padding in most rows.
CLEAR = {"t01": "T1", "t03": "T3", "t04": "T4", "t05": "T5", "t08": "T8"}


@pytest.mark.parametrize("name", BREAKS)
def test_a_pitfall_breaks_the_lines_that_the_contract_names(name: str) -> None:
    expected = {CLEAR[line] for line in BREAKS[name] & set(CLEAR)}
    assert expected <= broken(certified(f"pitfall/{name}"))


@pytest.mark.parametrize(
    "overrides", [["layers=last4_concat", "encoder.layers=4"], ["pooled_tokens=content"]]
)
def test_layers_and_pooled_tokens_are_certified_with_the_pooler(overrides: list[str]) -> None:
    assert broken(certified("mean", *overrides)) == set()


def test_the_seed_changes_nothing_and_nothing_is_measured_twice() -> None:
    assert certified("attention", "seed=1") is certified("attention", "seed=2")


def test_measuring_leaves_the_random_numbers_where_they_were() -> None:
    before = torch.random.get_rng_state()
    certified("conv", "pooler.channels=7")
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_record_carries_it(run) -> None:
    record = run("pooler=mean", "encoder=scratch", "trainer.max_epochs=1", "certify=true")
    assert record["certificate"]["T4"]["kept"] is True
    assert record["certificate"]["T4"]["deviation"] < record["certificate"]["T4"]["limit"]


def test_the_script_prints_a_table_and_tells_the_broken_ones(capsys) -> None:
    choice = [*SMALL, *SCRATCH]
    assert main(["pooler=mean", *choice]) == 0
    assert "T15" in capsys.readouterr().out
    assert main(["pooler=mean,pitfall/unmasked_mean", *choice]) == 1
    assert "BROKEN" in capsys.readouterr().out
    assert main(["pooler=meen", *choice]) == 2
    assert "did you mean mean" in capsys.readouterr().err
    assert check_command(["pooler=mean"], multirun=True)
