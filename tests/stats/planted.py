"""Runs of poolers whose true quality is known."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from poolbench.stats.compare import Run


def planted_runs(
    accuracies: dict[str, float],
    seeds: Sequence[int] = range(5),
    examples: int = 600,
    dataset: str = "rotten_tomatoes",
    encoder: str = "minilm",
    draw: int = 0,
    **fields: Any,
) -> list[Run]:
    """One run per pooler and seed, each right on its share of a two-class test set by chance."""
    rng = np.random.default_rng(draw)
    labels = rng.integers(0, 2, examples)
    return [
        run(pooler, seed, labels, flip(labels, rng.random(examples) > accuracy), **cell, **fields)
        for cell in [{"dataset": dataset, "encoder": encoder}]
        for pooler, accuracy in accuracies.items()
        for seed in seeds
    ]


def flip(labels: np.ndarray, where: np.ndarray) -> np.ndarray:
    """The labels, wrong where told."""
    return np.where(where, 1 - labels, labels)


def run(pooler: str, seed: int, labels: np.ndarray, predictions: np.ndarray, **fields: Any) -> Run:
    """A finished run that may be paired with any other."""
    defaults = {
        "dataset": "rotten_tomatoes",
        "encoder": "minilm",
        "status": "ok",
        "test_ids": "ids",
        "tokens": "tokens",
        "order": (f"{seed}/0", f"{seed}/1"),
    }
    return Run(
        pooler=pooler, seed=seed, labels=labels, predictions=predictions, **(defaults | fields)
    )
