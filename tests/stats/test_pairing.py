"""Runs that are not paired get no verdict, with the reason; records become runs."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poolbench.runs.protocol import Protocol
from poolbench.runs.record import RunRecord, read_record, write_record
from poolbench.stats.compare import compare_with_reference
from poolbench.stats.pairing import ScoredRun, pairing_errors
from poolbench.stats.verdict import Word
from tests.stats.planted import planted_runs, record_of

RUNS = planted_runs({"mean": 0.8, "cls": 0.7})
EMPTY = {"targets": np.empty(0), "outputs": np.empty(0)}


def change(seed: int, pooler: str = "mean", **fields: Any) -> list[ScoredRun]:
    """The runs, with one of them changed."""
    return [replace(r, **fields) if (r.pooler, r.seed) == (pooler, seed) else r for r in RUNS]


def without(pooler: str, *seeds: int) -> list[ScoredRun]:
    return [r for r in RUNS if not (r.pooler == pooler and r.seed in seeds)]


UNPAIRED = {
    "failed: mean seed 2": change(2, status="failed", **EMPTY),
    "diverged: cls seed 1": change(1, "cls", status="diverged", **EMPTY),
    "missing: mean seed 4": change(4, status="missing", **EMPTY),
    "unequal seeds: seeds 3, 4 only for cls": without("mean", 3, 4),
    "missing: mean has no run": without("mean", *range(5)),
    "several runs of mean at seed 0": [*RUNS, RUNS[0]],
    "test example digests differ": change(1, test_ids="others"),
    "tokenization digests differ": change(1, tokens="others"),
    "no tokenization digest was recorded": change(1, tokens=""),
    "test targets differ": change(1, targets=1 - RUNS[0].targets),
    "order digests differ at seed 1": change(1, order=("1/0", "another")),
    "no order digest was recorded at seed 1": change(1, order=()),
    "unequal tuning budget, settings tried: mean 4, cls 1": [
        replace(r, budget=4) if r.pooler == "mean" else r for r in RUNS
    ],
}


@pytest.mark.parametrize("why", UNPAIRED)
def test_runs_that_cannot_be_paired_are_rejected_with_the_reason(why: str) -> None:
    sides = {name: [r for r in UNPAIRED[why] if r.pooler == name] for name in ("mean", "cls")}
    assert why in next(pairing_errors(sides))
    for c in compare_with_reference(UNPAIRED[why], Protocol()):
        assert c.word is Word.NONE
        assert why in str(c.why)


@pytest.mark.parametrize(
    "runs",
    [
        RUNS,
        change(1, order=("1/0",)),  # early stopping
        change(1, order=("1/0", "1/1", "1/2")),
        [replace(r, budget=4) for r in RUNS],
    ],
)
def test_complete_runs_are_paired(runs: list[ScoredRun]) -> None:
    assert compare_with_reference(runs, Protocol())[0].why is None


def test_a_record_becomes_a_scored_run(tmp_path: Path) -> None:
    record, predictions = record_of(RUNS[3], tmp_path / "study")
    write_record(record, predictions)
    found = ScoredRun.from_record(read_record(record.folder), budget=2)
    for name, value in vars(replace(RUNS[3], budget=2)).items():
        np.testing.assert_array_equal(getattr(found, name), value)


def test_a_record_that_is_not_ok_has_no_predictions(tmp_path: Path) -> None:
    record, _ = record_of(RUNS[3], tmp_path / "study")
    failed = RunRecord(folder=record.folder, run=record.run, status="failed", error="ValueError")
    found = ScoredRun.from_record(failed)
    assert (found.status, found.targets.size, found.outputs.size) == ("failed", 0, 0)


def test_targets_and_outputs_of_different_lengths_are_rejected() -> None:
    with pytest.raises(ValueError, match="mean seed 0"):
        replace(RUNS[0], outputs=np.zeros((3, 2)))
    with pytest.raises(ValueError, match="2 or more test examples"):
        replace(RUNS[0], targets=np.zeros(1, np.int64), outputs=np.zeros((1, 2)))


@pytest.mark.parametrize(
    "fields",
    [
        {"metric": "f1"},
        {"margin": 0.0},
        {"margin": float("nan")},
        {"alpha": 0.5},
        {"power": 1.0},
        {"looks": []},
        {"looks": [5, 5]},
    ],
)
def test_a_protocol_that_allows_no_verdict_is_rejected(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(fields))):
        Protocol(**fields)
