"""Variants timed in turn, round after round, so that a busy machine slows all of them alike."""

import gc
import random
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Variant = Callable[[], float]
"""Does its work once and returns the seconds that count."""


def timed(work: Callable[[], object]) -> Variant:
    """A variant that counts everything ``work`` does."""

    def variant() -> float:
        started = time.perf_counter()
        work()
        return time.perf_counter() - started

    return variant


def interleave(
    variants: Mapping[str, Variant], rounds: int, warm_up: bool = True
) -> dict[str, list[float]]:
    """Seconds of every variant in every round, after one round that is not counted.

    ``warm_up=False`` leaves that one out, for whoever has warmed up with less.

    The order changes from round to round, so that none of them always follows the same other one.

    Example:
        >>> interleave({"slow": lambda: 0.2, "fast": lambda: 0.1}, rounds=2)
        {'slow': [0.2, 0.2], 'fast': [0.1, 0.1]}
    """
    for variant in variants.values() if warm_up else ():
        variant()
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    order = random.Random(0)
    # What one variant leaves behind is not for the next one to clear away; what is here already,
    # all libraries, need not be looked through each time.
    gc.freeze()
    try:
        for _ in range(rounds):
            for name in order.sample(list(variants), len(variants)):
                gc.collect()
                seconds[name].append(variants[name]())
    finally:
        gc.unfreeze()
    return seconds


@dataclass(frozen=True)
class Ratio:
    """How many times one variant's time is that of another, from round to round."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f}x ({self.low:.2f}-{self.high:.2f})"


def ratio(seconds: Mapping[str, list[float]], slow: str, fast: str) -> Ratio:
    """Median, least and greatest of ``slow / fast`` over the rounds.

    Example:
        >>> seconds = {"slow": [2.0, 9.0, 6.0], "fast": [1.0, 3.0, 3.0]}
        >>> print(ratio(seconds, "slow", "fast"))
        2.00x (2.00-3.00)
    """
    each = [s / f for s, f in zip(seconds[slow], seconds[fast], strict=True)]
    return Ratio(statistics.median(each), min(each), max(each))


def difference(seconds: Mapping[str, list[float]], slow: str, fast: str) -> Ratio:
    """Median, least and greatest of ``slow - fast`` over the rounds, in seconds."""
    each = [s - f for s, f in zip(seconds[slow], seconds[fast], strict=True)]
    return Ratio(statistics.median(each), min(each), max(each))
