"""A slower variant is found to be slower by what it is slower, whatever else goes on."""

import time

import pytest
from rounds import difference, interleave, ratio, timed


def test_a_planted_delay_is_found_and_a_twin_is_not() -> None:
    """The bounds leave room for a machine that is busy with other things."""
    seconds = interleave(
        {
            "slow": timed(lambda: time.sleep(0.06)),
            "fast": timed(lambda: time.sleep(0.01)),
            "twin": timed(lambda: time.sleep(0.01)),
        },
        rounds=7,
    )
    assert ratio(seconds, "slow", "fast").median > 2.5
    assert 0.4 < ratio(seconds, "twin", "fast").median < 2.5
    assert difference(seconds, "slow", "fast").median > 0.03


def test_a_machine_that_slows_down_leaves_the_ratio_as_it_is() -> None:
    """Each call is slower than the one before: times in blocks would blame the later variant."""
    calls = iter(range(1, 1000))

    def drifting(factor: float) -> float:
        return factor * 1.01 ** next(calls)

    seconds = interleave({"slow": lambda: drifting(3.0), "fast": lambda: drifting(1.0)}, rounds=50)
    assert max(seconds["fast"]) > 2 * min(seconds["fast"])
    assert ratio(seconds, "slow", "fast").median == pytest.approx(3.0, rel=0.02)


def test_warm_up_is_not_counted_and_the_order_changes() -> None:
    called: list[str] = []

    def variant(name: str) -> float:
        called.append(name)
        return float(len(called))

    names = ["a", "b", "c"]
    seconds = interleave({name: lambda name=name: variant(name) for name in names}, rounds=20)
    rounds = [tuple(called[i : i + 3]) for i in range(0, len(called), 3)]
    assert min(min(each) for each in seconds.values()) == 4
    assert all(sorted(each) == names for each in rounds)
    assert {len(each) for each in seconds.values()} == {20}
    assert len(set(rounds[1:])) == 6
