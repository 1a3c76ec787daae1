"""Studies on disk whose results are known, and what their reports say."""

import json
from collections.abc import Iterable, Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np

from poolbench.report.narrative import answer
from poolbench.report.summary import Findings
from poolbench.runs.identity import RunSpec
from poolbench.runs.predictions import Predictions
from poolbench.runs.protocol import Protocol
from poolbench.runs.record import RunRecord, read_record, write_record
from poolbench.runs.schema import write_json
from poolbench.runs.study import STUDY, Declaration

EXAMPLES = 400
# Two poolers that are certainly better than the reference; one of them costs less.
CLEAR = {"cls": 0.6, "attention": 0.9, "conv": 0.9}
PARAMETERS = {"cls": 0, "max": 0, "mean": 0, "attention": 5_000, "conv": 90_000}
HOSTILE = "<script>window.pwned=1</script>"
ENDING = "</script><img src=x onerror=window.pwned=1>"


def write_study(
    folder: Path, accuracies: Mapping[str, float], seeds: Iterable[int] = range(5), **changed: Any
) -> Path:
    """A study in which each pooler is right on its share of the test examples, by chance."""
    for pooler, accuracy in accuracies.items():
        for seed in seeds:
            write_run(folder, pooler, seed, accuracy, **changed)
    return folder


def spec_of(folder: Path, pooler: str, seed: int, **changed: Any) -> RunSpec:
    """The spec of a run of the study in ``folder``."""
    names = {"study": folder.name, "dataset": "reviews", "encoder": "tiny", "digest": "d0"}
    names |= {"command": f"python train.py pooler={pooler} seed={seed}", "config": {}}
    names |= changed
    names["config"] = {"encoder": {"tuning": "frozen"}} | names["config"]
    variant = json.dumps([names["config"], names["digest"]], sort_keys=True)
    return RunSpec(**{"variant": variant} | names, pooler=pooler, seed=seed)


def write_run(
    folder: Path,
    pooler: str,
    seed: int,
    accuracy: float = 0.8,
    *,
    validation: float | None = None,
    status: str = "ok",
    examples: int = EXAMPLES,
    predictions: np.ndarray | None = None,
    spec: Mapping[str, Any] | None = None,
    **changed: Any,
) -> RunRecord:
    """One run; ``spec`` replaces parts of its spec, other keywords parts of its record."""
    run = spec_of(folder, pooler, seed, **(spec or {}))
    place = folder / run.path
    if status != "ok":
        parts = {"error": "ValueError: on purpose"} | changed
        record = RunRecord(folder=place, run=run, status=status, **parts)
        write_record(record)
        return record
    # Labels are the same in every run.
    labels = np.random.default_rng(0).integers(0, 2, examples)
    if predictions is None:
        own = np.random.default_rng([seed, *map(ord, pooler + run.digest)])
        predictions = np.where(own.random(examples) > accuracy, 1 - labels, labels)
    share = float((predictions == labels).mean())
    validation = share if validation is None else validation
    parts = {
        "metrics": {
            "test/accuracy": share,
            "test/f1_macro": share,
            "best/val_accuracy": validation,
            "perf/relative_throughput": 0.9,
        },
        "history": [
            {"epoch": epoch, "val/accuracy": validation - 0.1 / (epoch + 1), "val/loss": 0.5}
            for epoch in range(3)
        ],
        "test_details": {"f1": [share, share / 2]},
        "parameters": {"pooler": PARAMETERS.get(pooler, 10), "head": 130},
        "digests": {"order": [f"{seed}/0"], "tokens": "t", "test_ids": "i"},
        "versions": {"python": "3.11"},
        "hardware": {"device": "CPU"},
        "seconds": {"wall": 1.0},
    } | changed
    data = {"classes": ["negative", "positive"], "examples": {"test": examples}}
    data |= {"test_tokens": [3 + i % 40 for i in range(examples)]}
    parts["data"] = data | changed.get("data", {})
    record = RunRecord(folder=place, run=run, status="ok", **parts)
    logits = np.eye(2, dtype=np.float32)[predictions]
    write_record(record, Predictions(np.arange(examples), labels, logits))
    return record


def declare(folder: Path, specs: Iterable[RunSpec], **protocol: Any) -> None:
    """The declaration of a study."""
    folder.mkdir(parents=True, exist_ok=True)
    content = Declaration(protocol=Protocol(**protocol), runs=list(specs))
    write_json(folder / STUDY, content)


def write_costs(folder: Path, milliseconds: Mapping[str, float]) -> None:
    """Give the records of a study the measured time of their pooler."""
    for path in folder.rglob("record.json"):
        record = read_record(path.parent)
        if record.run.pooler in milliseconds:
            time = {"perf/pooler_train_ms": milliseconds[record.run.pooler]}
            changed = record.model_copy(update={"metrics": record.metrics | time})
            write_record(changed, record.predictions)


def keep_texts(folder: Path, texts: Sequence[str]) -> dict[str, Any]:
    """Test texts of a study; returns what its records say about their data."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "texts.json").write_text(json.dumps({"texts": list(texts)}))
    return {"test_texts": "texts.json"}


def hostile_study(folder: Path) -> Path:
    """Names, classes, texts and notes that try to become markup or formulas."""
    data = keep_texts(folder, [f"{ENDING} {i}" for i in range(EXAMPLES)])
    data |= {"classes": [HOSTILE, "=HYPERLINK(1)"]}
    for pooler, accuracy in (("cls", 0.6), ("<img src=x onerror=window.pwned=1>", 0.9)):
        for seed in range(5):
            write_run(folder, pooler, seed, accuracy, data=data, notes=[HOSTILE])
    for pooler in ("=cmd()", "@sum", "-1+1"):
        write_run(folder, pooler, 0, data=data)
    return folder


def headline(findings: Findings) -> str:
    """The headline of the only task."""
    (task,) = findings.tasks
    return answer(task, findings.protocol.metric).headline


def reason(findings: Findings) -> str:
    """The reason of the only task."""
    (task,) = findings.tasks
    return answer(task, findings.protocol.metric).reason


class Tags(HTMLParser):
    """The elements of a page, and its text outside scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return "".join(self.words)
