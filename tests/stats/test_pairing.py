"""What may not be compared is refused, with the reason in words."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from poolbench.stats.compare import Protocol, Run
from poolbench.stats.pairing import differences, objection
from tests.stats.planted import planted_runs

RUNS = planted_runs({"mean": 0.8, "cls": 0.7})


def sides(runs: list[Run]) -> dict[str, list[Run]]:
    return {name: [r for r in runs if r.pooler == name] for name in ("mean", "cls")}


def change(seed: int, pooler: str = "mean", **fields: Any) -> list[Run]:
    """The runs, with one of them changed."""
    return [replace(r, **fields) if (r.pooler, r.seed) == (pooler, seed) else r for r in RUNS]


def without(pooler: str, *seeds: int) -> list[Run]:
    return [r for r in RUNS if not (r.pooler == pooler and r.seed in seeds)]


EMPTY = {"labels": np.empty(0, np.int64), "predictions": np.empty(0, np.int64)}
OTHER_LABELS = 1 - RUNS[0].labels

REFUSED = {
    "failed: mean seed 2": change(2, status="failed", **EMPTY),
    "diverged: cls seed 1": change(1, "cls", status="diverged", **EMPTY),
    "unequal seeds: seeds 3, 4 only for cls": without("mean", 3, 4),
    "missing: mean has no run": without("mean", *range(5)),
    "more than one run of mean at seed 0, select one variant": [*RUNS, RUNS[0]],
    "test example digests differ": change(1, test_ids="others"),
    "tokenisation digests differ": change(1, tokens="others"),
    "no tokenisation digest was recorded": change(1, tokens=""),
    "test labels differ": change(1, labels=OTHER_LABELS),
    "order digests differ at seed 1": change(1, order=("1/0", "another")),
    "no order digest was recorded at seed 1": change(1, order=()),
    "unequal tuning budget, settings tried: mean 4, cls 1": [
        replace(r, budget=4) if r.pooler == "mean" else r for r in RUNS
    ],
}


def test_complete_runs_are_paired() -> None:
    assert objection(sides(RUNS), Protocol()) is None


@pytest.mark.parametrize("why", REFUSED)
def test_what_may_not_be_compared_is_refused_with_the_reason(why: str) -> None:
    assert objection(sides(REFUSED[why]), Protocol()) == why


def test_seeds_that_were_planned_and_are_missing_for_both_are_named() -> None:
    why = objection(sides(RUNS), Protocol(seeds=(0, 1, 2, 3, 4, 5, 6)))
    assert why == "missing: mean seeds 5, 6; missing: cls seeds 5, 6"


def test_early_stopping_pairs_runs_over_the_epochs_both_trained() -> None:
    assert objection(sides(change(1, order=("1/0",))), Protocol()) is None
    assert objection(sides(change(1, order=("1/0", "1/1", "1/2"))), Protocol()) is None


def test_the_same_tuning_budget_is_no_obstacle() -> None:
    tuned = [replace(r, budget=4) for r in RUNS]
    assert objection(sides(tuned), Protocol()) is None


def test_differences_are_paired_by_seed_whatever_the_order_of_the_runs() -> None:
    mean, cls = sides(RUNS).values()
    d = differences(mean, cls, "accuracy")
    assert d.shape == (5, 600)
    np.testing.assert_array_equal(d, differences(mean[::-1], cls, "accuracy"))
    np.testing.assert_array_equal(d, -differences(cls, mean, "accuracy"))


def test_a_record_becomes_a_run() -> None:
    record = {
        "status": "ok",
        "cell": {"dataset": "d", "encoder": "e", "pooler": "mean", "seed": 3},
        "digests": {"order": ["a", "b"], "tokens": "t", "test_ids": "i"},
    }
    run = Run.from_record(record, np.array([0, 1]), np.array([0, 0]), budget=2)
    assert (run.dataset, run.encoder, run.pooler, run.seed) == ("d", "e", "mean", 3)
    assert (run.order, run.tokens, run.test_ids, run.budget) == (("a", "b"), "t", "i", 2)


def test_a_failed_record_needs_no_predictions_and_an_ok_one_does() -> None:
    cell = {"dataset": "d", "encoder": "e", "pooler": "mean", "seed": 3}
    assert Run.from_record({"status": "failed", "cell": cell}).labels.size == 0
    with pytest.raises(ValueError, match="mean seed 3 is ok but has no predictions"):
        Run.from_record({"status": "ok", "cell": cell})


def test_a_run_with_labels_and_predictions_of_other_lengths_is_refused() -> None:
    with pytest.raises(ValueError, match=r"should both be \(n,\)"):
        replace(RUNS[0], predictions=np.zeros(3, np.int64))
