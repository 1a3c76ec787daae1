"""Studies of similarity, retrieval, regression and labels on disk, with known results."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from poolbench.runs.predictions import Predictions
from poolbench.runs.protocol import METRICS
from poolbench.runs.record import RunRecord, write_record
from poolbench.stats.scores import SCORES
from tests.report.studies import spec_of

N = 600
CLASSES = ["sport", "politics", "film"]
TEXTS = np.random.default_rng(3).integers(0, 500, (N, 2))


def arrays(task: str, noise: float, draw: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Targets, the same for every draw, and outputs with this much noise."""
    shared, own = np.random.default_rng(0), np.random.default_rng(draw)
    if task == "retrieval":
        difficulty = shared.normal(size=N)
        rank = np.floor(np.exp(difficulty + noise * own.normal(1, 1, N))) + 1
        gain = np.where(rank <= 10, 1 / np.log2(1 + rank), 0)
        found = [gain, rank == 1, rank <= 10, np.where(rank <= 10, 1 / rank, 0), np.full(N, 0.01)]
        return np.ones(N, np.int64), np.stack(found, axis=1).astype(np.float32)
    if task == "multilabel":
        targets = (shared.random((N, 3)) < (0.5, 0.3, 0.1)).astype(np.int8)
        return targets, (targets - 0.5 + noise * own.normal(size=(N, 3))).astype(np.float32)
    targets = shared.normal(size=N)
    return targets, (targets + noise * own.normal(size=N))[:, None].astype(np.float32)


def write_task_run(
    folder: Path,
    task: str,
    pooler: str,
    noise: float,
    *,
    seed: int | None = None,
    layer: int | None = None,
    speed: float = 0.9,
    draw: list[int] | None = None,
    **spec: Any,
) -> RunRecord:
    """One run; trained if it has a seed."""
    trained = seed is not None
    layers = {} if layer is None else {"layers": {"index": layer}}
    named = {"dataset": task, "config": layers, "digest": f"d{layer}"}
    named["command"] = f"python train.py task={task} pooler={pooler} layers.index={layer}"
    run = spec_of(folder, pooler, seed or 0, **(named | spec))
    own = [*map(ord, pooler), 0 if layer is None else 1 + layer, seed or 0]
    targets, outputs = arrays(task, noise, draw or own)
    metrics = {f"test/{m}": float(SCORES[m](targets, outputs).mean()) for m in METRICS[task]}
    primary = METRICS[task][0]
    parts: dict[str, Any] = {"digests": {"tokens": "t", "test_ids": "i"}, "step_input": "nothing"}
    metrics |= {"perf/relative_throughput": speed, "perf/pooler_forward_ms": 0.2 + noise / 10}
    if trained:
        metrics |= {f"best/val_{primary}": 0.5, "perf/pooler_train_ms": 0.5 + noise / 10}
        parts["history"] = [
            {"epoch": e, f"val/{primary}": 0.4 + e / 20, "val/loss": 1.0} for e in range(3)
        ]
        parts["digests"] |= {"order": [f"{seed}/0"]}
        parts |= {"parameters": {"pooler": 10, "head": 130}, "step_input": "tokens"}
    parts["data"] = {"examples": {"test": N}}
    if task == "multilabel":
        parts["data"] |= {"classes": CLASSES}
        parts["test_details"] = {"f1": [0.9, 0.8, 0.7]}
    record = RunRecord(
        folder=folder / run.path,
        run=run,
        task=task,
        status="ok",
        metrics=metrics,
        seconds={"wall": 1.0},
        versions={"python": "3.11"},
        **parts,
    )
    groups = TEXTS if task == "similarity" else None
    write_record(record, Predictions(np.arange(N), targets, outputs, groups))
    return record


def write_task_study(
    folder: Path, task: str, noise: Mapping[str, float], seeds: Iterable[int | None] = (None,)
) -> Path:
    """Poolers with this much noise; without seeds nothing was trained."""
    for pooler, much in noise.items():
        for seed in seeds:
            write_task_run(folder, task, pooler, much, seed=seed)
    return folder


def write_layers(folder: Path, task: str, noise: Mapping[str, Iterable[float]]) -> Path:
    """Each pooler on layers 0, 1, ..., with this much noise on each; lower layers are faster."""
    for pooler, of_layers in noise.items():
        found = list(of_layers)
        for layer, much in enumerate(found):
            speed = len(found) / (layer + 1)
            write_task_run(folder, task, pooler, much, layer=layer, speed=speed)
    return folder
