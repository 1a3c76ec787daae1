"""Runs on the datasets with proven answers have the proven accuracies, at five seeds."""

from collections.abc import Callable
from math import sqrt

import pytest

from poolbench.runs.protocol import Protocol
from poolbench.runs.record import RunRecord
from poolbench.stats.compare import ScoredRun, compare_all_pairs
from poolbench.stats.verdict import Word

pytestmark = pytest.mark.slow
SEEDS = range(5)
Claim = Callable[[float, RunRecord], bool]
"""(test accuracy, record) -> whether it holds."""


def separates(accuracy: float, record: RunRecord) -> bool:
    """Weights without an error exist. Training keeps the first epoch with the best validation
    accuracy; where that is 1 on n examples the error rate is below 3/n with 95 % confidence.
    """
    return accuracy >= 1 - 3 / record.data.examples["validation"]


def is_half(accuracy: float, record: RunRecord) -> bool:
    """Twins get one vector: counted, not estimated, so nothing is allowed."""
    return accuracy == 1 / 2


def is_nine_sixteenths(accuracy: float, record: RunRecord) -> bool:
    """No head can do better, and any threshold between 2 and 15 half units does as well."""
    return accuracy == 9 / 16


def goes_by_the_first_token(accuracy: float, record: RunRecord) -> bool:
    """An expectation: within 3 standard deviations of a binomial share, twins counting once."""
    pairs = record.data.examples["test"] / 2
    expected = 12.5 / 17
    return abs(accuracy - expected) < 3 * sqrt(expected * (1 - expected) / pairs)


PROVEN: dict[str, dict[str, Claim]] = {
    "presence": {"max": separates, "mean": is_nine_sixteenths},
    "majority": {"mean": separates, "max": is_half, "cls": goes_by_the_first_token},
    "order": {"conv": separates, "mean": is_half},
    "first": {"cls": separates, "mean": is_half, "last": is_half},
    "length": {"pitfall/unmasked_mean": separates, "mean": is_half},
}
QUICK = ["experiment=known_answers", "dataset.max_examples=null", "trainer.max_epochs=6"]


def exact_accuracy(record: RunRecord) -> float:
    """Test accuracy from the predictions: the metric in the record is a float32."""
    kept = record.predictions
    return float((kept.predicted == kept.targets).mean())


@pytest.mark.parametrize("dataset", PROVEN)
def test_accuracies_and_verdicts_are_as_proven(run, dataset: str) -> None:
    claims = PROVEN[dataset]
    runs = []
    for pooler, holds in claims.items():
        for seed in SEEDS:
            record = run(*QUICK, f"dataset={dataset}", f"pooler={pooler}", f"seed={seed}")
            assert holds(exact_accuracy(record), record), (pooler, seed, exact_accuracy(record))
            runs.append(ScoredRun.from_record(record))
    claim_of = {pooler.replace("/", "-"): claim for pooler, claim in claims.items()}
    verdicts = compare_all_pairs(runs, Protocol(looks=[len(SEEDS)]))
    for verdict in verdicts:
        first, second = claim_of[verdict.first], claim_of[verdict.second]
        if first is second is is_half:
            assert not verdict.word.wins, verdict.sentence
            assert not verdict.word.loses, verdict.sentence
        elif separates in (first, second):
            better = verdict if first is separates else verdict.swapped()
            assert better.word is Word.BETTER, verdict.sentence
    assert len(verdicts) == len(claims) * (len(claims) - 1) / 2


def test_padding_leaks_only_where_a_short_text_shares_a_batch_with_a_long_one(run) -> None:
    leaky = [*QUICK, "dataset=length", "pooler=pitfall/unmasked_mean", "seed=0"]
    # Evaluation by length, 128 at a time: the long ones of 512 texts fill two batches, the short
    # ones two more. Validation is one batch.
    apart = run(*leaky, "dataset.test_size=512")
    assert apart.metrics["best/val_accuracy"] == 1.0
    assert exact_accuracy(apart) == 1 / 2
