"""The memory of a comparison does not grow with the number of pairs."""

import tracemalloc

import numpy as np
import pytest

from poolbench.runs.protocol import Protocol
from poolbench.stats.best import best_of, compare_with_best
from poolbench.stats.compare import compare_all_pairs
from poolbench.stats.pairing import scores_of
from tests.stats.planted import planted_runs

POOLERS, SEEDS, EXAMPLES = 16, 5, 5000


def test_all_pairs_take_the_memory_of_a_few_scores_of_all_runs() -> None:
    shares = {f"pooler {i:02d}": 0.7 + 0.005 * i for i in range(POOLERS)}
    runs = planted_runs(shares, seeds=range(SEEDS), examples=EXAMPLES)
    scores = POOLERS * SEEDS * EXAMPLES * np.float64().nbytes  # (P, S, n)
    tracemalloc.start()
    pairs = compare_all_pairs(runs, Protocol(looks=[SEEDS]))
    best = best_of(runs, pairs)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # The differences of all 120 pairs are 7.5 times the scores.
    assert len(pairs) == POOLERS * (POOLERS - 1) / 2
    assert kept < 1.5 * scores
    assert peak < 4 * scores
    assert best


def test_the_best_is_found_from_the_estimates_of_pairs_or_from_scores_alike() -> None:
    shares = {"a": 0.7, "b": 0.72, "c": 0.75, "d": 0.6}
    runs = planted_runs(shares, seeds=range(SEEDS), groups=np.arange(600) // 3)
    scores = {name: scores_of([r for r in runs if r.pooler == name], "accuracy") for name in shares}
    found = best_of(runs, compare_all_pairs(runs, Protocol(looks=[SEEDS])))
    assert found
    direct = compare_with_best(scores, found.margin, found.level, groups=np.arange(600) // 3)
    assert found.loss == pytest.approx(direct.loss, rel=1e-12)
    assert found.behind == pytest.approx(direct.behind, rel=1e-12)
    assert (found.group, found.rival) == (direct.group, direct.rival)
