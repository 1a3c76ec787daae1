"""Interleaved timing and the lower limit of time."""

import time

import pytest
import torch
from measure import Rates, forward_operations, interleave, table, timed, training_limit
from torch.utils.flop_counter import FlopCounterMode

from poolbench.data.tokenized import tokenize_texts
from tests.conftest import make_scratch


def ratio(seconds: dict[str, list[float]], name: str) -> float:
    """The ratio to 'fast' that the table prints."""
    (line,) = (x for x in table(seconds, "fast").splitlines() if x.startswith(name))
    return float(line.split()[2].removesuffix("x"))


def test_a_planted_delay_is_found() -> None:
    """The bounds leave room for a busy machine."""
    seconds = interleave(
        {
            "slow": timed(lambda: time.sleep(0.06)),
            "fast": timed(lambda: time.sleep(0.01)),
            "same": timed(lambda: time.sleep(0.01)),
        },
        rounds=7,
    )
    assert ratio(seconds, "slow") > 2.5
    assert 0.4 < ratio(seconds, "same") < 2.5


def test_a_machine_that_slows_down_does_not_change_the_ratio() -> None:
    calls = iter(range(1, 1000))

    def drifting(factor: float) -> float:
        return factor * 1.01 ** next(calls)

    seconds = interleave({"slow": lambda: drifting(3.0), "fast": lambda: drifting(1.0)}, rounds=50)
    assert max(seconds["fast"]) > 2 * min(seconds["fast"])
    assert ratio(seconds, "slow") == pytest.approx(3.0, rel=0.02)


def test_the_warm_up_is_not_counted_and_the_order_varies() -> None:
    called: list[str] = []

    def variant(name: str) -> float:
        called.append(name)
        return float(len(called))

    names = ["a", "b", "c"]
    seconds = interleave({name: lambda name=name: variant(name) for name in names}, rounds=20)
    rounds = [tuple(called[i : i + 3]) for i in range(0, len(called), 3)]
    assert min(map(min, seconds.values())) == 4
    assert all(sorted(each) == names for each in rounds)
    assert len(set(rounds[1:])) == 6


def test_a_forward_pass_has_the_operations_that_torch_counts() -> None:
    """Texts of one length, so that nothing is padding; torch does not count biases and norms."""
    encoder = make_scratch(hidden_dim=64, layers=2)
    data = tokenize_texts(["a b c d e f g h i j k l"] * 3, encoder.tokenize)
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        encoder(encoder.collate(data, torch.arange(3)))
    found = forward_operations(encoder.model, 2, 64, data.lengths.tolist())
    assert found == pytest.approx(counted.get_total_flops(), rel=0.03)


def test_training_costs_three_forward_passes_and_the_optimizer() -> None:
    rates = Rates(flops=1e9, bytes=1e12)
    assert training_limit(1e9, 0, 10, rates) == pytest.approx(3)
    assert training_limit(1e9, 1_000_000_000, 10, rates) == pytest.approx(3.28)


def test_rates_are_plausible() -> None:
    rates = Rates.measure(side=128)
    assert 1e8 < rates.flops < 1e14
    assert 1e8 < rates.bytes < 1e13
