"""Runs of poolers whose true quality is known."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from poolbench.runs.identity import RunSpec
from poolbench.runs.predictions import Predictions
from poolbench.runs.record import DataSummary, Digests, RunRecord, write_record
from poolbench.stats.compare import ScoredRun


def planted_runs(
    accuracies: dict[str, float],
    seeds: Sequence[int] = range(5),
    examples: int = 600,
    dataset: str = "rotten_tomatoes",
    encoder: str = "minilm",
    draw: int = 0,
    **fields: Any,
) -> list[ScoredRun]:
    """One run per pooler and seed, right on a random share of a two-class test set."""
    rng = np.random.default_rng(draw)
    labels = rng.integers(0, 2, examples)
    task = {"dataset": dataset, "encoder": encoder}
    return [
        run(pooler, seed, labels, flip(labels, rng.random(examples) > accuracy), **task, **fields)
        for pooler, accuracy in accuracies.items()
        for seed in seeds
    ]


def flip(labels: np.ndarray, where: np.ndarray) -> np.ndarray:
    """The two-class labels, wrong where ``where`` is True."""
    return np.where(where, 1 - labels, labels)


def run(
    pooler: str, seed: int, labels: np.ndarray, predictions: np.ndarray, **fields: Any
) -> ScoredRun:
    """A finished run that can be paired with any other."""
    defaults = {
        "dataset": "rotten_tomatoes",
        "encoder": "minilm",
        "status": "ok",
        "test_ids": "ids",
        "tokens": "tokens",
        "order": (f"{seed}/0", f"{seed}/1"),
    }
    arrays = {"targets": labels, "outputs": logits(predictions)}
    return ScoredRun(pooler=pooler, seed=seed, **arrays, **(defaults | fields))


def logits(predictions: np.ndarray) -> np.ndarray:
    """Logits (n, 2) of predicted classes (n,)."""
    return np.eye(2, dtype=np.float32)[predictions]


def record_of(run: ScoredRun, study: Path, digest: str = "d0") -> tuple[RunRecord, Predictions]:
    """The record and the predictions from which `ScoredRun.from_record` makes this run."""
    spec = RunSpec(
        study=study.name,
        dataset=run.dataset,
        encoder=run.encoder,
        pooler=run.pooler,
        seed=run.seed,
        digest=digest,
        variant="v0",
    )
    record = RunRecord(
        folder=study / spec.path,
        run=spec,
        status="ok",
        metrics={"test/accuracy": float(run.scores("accuracy").mean())},
        history=[{"epoch": 0}],
        data=DataSummary(classes=["no", "yes"]),
        digests=Digests(test_ids=run.test_ids, tokens=run.tokens, order=list(run.order)),
        seconds={"wall": 1.0},
        predictions_sha256="0",
    )
    return record, Predictions(np.arange(len(run.targets)), run.targets, run.outputs)


def write_runs(study: Path, runs: Iterable[ScoredRun], digest: str = "d0") -> Path:
    """The records of these runs below the folder of a study."""
    for one in runs:
        write_record(*record_of(one, study, digest))
    return study
