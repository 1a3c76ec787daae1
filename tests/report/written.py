"""Studies on disk whose results are known, written as a training would leave them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from poolbench.runs.record import Predictions, write_record
from tests.stats.planted import flip

EXAMPLES = 400
# Two poolers that are surely better than the reference, and one of them costs less.
CLEAR = {"cls": 0.6, "attention": 0.9, "conv": 0.9}
PARAMETERS = {"cls": 0, "max": 0, "mean": 0, "attention": 5_000, "conv": 90_000}


def write_study(
    folder: Path,
    accuracies: Mapping[str, float],
    seeds: Sequence[int] = range(5),
    dataset: str = "reviews",
    encoder: str = "tiny",
    **changed: Any,
) -> Path:
    """A study in which each pooler is right on its share of the test examples, by chance."""
    for pooler, accuracy in accuracies.items():
        for seed in seeds:
            write_cell(folder, pooler, seed, accuracy, dataset=dataset, encoder=encoder, **changed)
    return folder


def write_cell(
    folder: Path,
    pooler: str,
    seed: int,
    accuracy: float = 0.8,
    *,
    dataset: str = "reviews",
    encoder: str = "tiny",
    digest: str = "d0",
    validation: float | None = None,
    config: Mapping[str, Any] | None = None,
    classes: Sequence[str] = ("negative", "positive"),
    status: str = "ok",
    examples: int = EXAMPLES,
    **changed: Any,
) -> Path:
    """One cell; what else is given replaces parts of its record. Returns the cell's folder."""
    # Labels are the same in every cell; which examples are hard is partly shared by all poolers.
    labels = np.random.default_rng(0).integers(0, len(classes), examples)
    place = folder / dataset / encoder / pooler / f"seed={seed}-{digest}"
    record: dict[str, Any] = {
        "status": status,
        "cell": {
            "study": folder.name,
            "dataset": dataset,
            "encoder": encoder,
            "pooler": pooler,
            "seed": seed,
            "digest": digest,
        },
        "config": {"encoder": {"tuning": "frozen"}, **(config or {})},
    }
    if status != "ok":
        write_record(place, record | {"error": "ValueError: on purpose"} | changed, None)
        return place
    own = np.random.default_rng([seed, *map(ord, pooler + digest)])
    wrong = own.random(examples) > accuracy
    predictions = flip(labels, wrong) % len(classes)
    share = float((predictions == labels).mean())
    validation = share if validation is None else validation
    record |= {
        "metrics": {
            "test/accuracy": share,
            "test/f1_macro": share,
            "best/val_accuracy": validation,
            "perf/samples_per_sec": 1000.0,
        },
        "history": [
            {"epoch": epoch, "val/accuracy": validation - 0.1 / (epoch + 1), "val/loss": 0.5}
            for epoch in range(3)
        ],
        "parameters": {"encoder": 0, "pooler": PARAMETERS.get(pooler, 10), "head": 130},
        "data": {
            "classes": list(classes),
            "examples": {"train": 100, "validation": 50, "test": examples},
            "test_tokens": [3 + i % 40 for i in range(examples)],
        },
        "digests": {"order": [f"{seed}/0"], "tokens": "t", "test_ids": "i"},
        "caveats": [],
        "versions": {"python": "3.11"},
        "hardware": {"device": "CPU"},
        "seconds": {"wall": 1.0},
    }
    logits = np.eye(len(classes), dtype=np.float32)[predictions]
    kept = Predictions(np.arange(examples), labels, predictions, logits)
    write_record(place, record | changed, kept)
    return place


def write_costs(folder: Path, milliseconds: Mapping[str, float]) -> Path:
    """The benchmark of a study's poolers: half of the time forward, half backward."""
    poolers = {
        name: {"forward_ms": ms / 2, "backward_ms": ms / 2, "memory_mb": 1.0, "parameters": 0}
        for name, ms in milliseconds.items()
    }
    shape = {"batch": 32, "tokens": 32, "width": 384}
    content = {"shape": shape, "threads": 2, "device": "cpu", "poolers": poolers}
    path = folder / "pooler_cost.json"
    path.write_text(json.dumps(content))
    return path


def declare(folder: Path, cells: Sequence[Mapping[str, Any]], **comparison: Any) -> None:
    """The plan of a study; each cell names at least its pooler and seed."""
    defaults = {"dataset": "reviews", "encoder": "tiny", "digest": "d0"}
    planned = []
    for cell in cells:
        names = defaults | cell
        place = "{dataset}/{encoder}/{pooler}/seed={seed}-{digest}".format(**names)
        command = "python train.py pooler={pooler} seed={seed}".format(**names)
        planned.append({"folder": place, "command": command, **names})
    folder.mkdir(parents=True, exist_ok=True)
    plan = {"schema_version": 1, "comparison": comparison, "cells": planned}
    (folder / "study.json").write_text(json.dumps(plan))


def keep_texts(folder: Path, texts: Sequence[str]) -> str:
    """Test texts beside the cells; returns the name a record refers to them by."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "texts.json").write_text(json.dumps({"texts": list(texts)}))
    return "texts.json"


HOSTILE = "<script>window.pwned=1</script>"
ENDING = "</script><img src=x onerror=window.pwned=1>"


def hostile_study(folder: Path) -> Path:
    """Names, classes, texts and caveats that try to become markup or formulas."""
    texts = keep_texts(folder, [f"{ENDING} {i}" for i in range(EXAMPLES)])
    data = {
        "classes": [HOSTILE, "=HYPERLINK(1)"],
        "test_texts": texts,
        "test_tokens": [3 + i % 40 for i in range(EXAMPLES)],
    }
    for pooler, accuracy in (("cls", 0.6), ("<img src=x onerror=window.pwned=1>", 0.9)):
        for seed in range(5):
            write_cell(folder, pooler, seed, accuracy, data=data, caveats=[HOSTILE])
    for pooler in ("=cmd()", "@sum", "-1+1"):
        write_cell(folder, pooler, 0, data=data)
    return folder
