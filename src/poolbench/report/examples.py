"""What single test examples tell: by length, by class, and where two poolers disagree.

**n** test examples, **C** classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poolbench.report.summary import Standing, Task
from poolbench.stats.scores import Array

LENGTH_BINS = 5
SHOWN = 5  # example texts on each side of a disagreement


@dataclass(frozen=True, eq=False)
class LengthBin:
    """Test examples (``rows``) with ``first`` to ``last`` tokens."""

    first: int
    last: int
    rows: NDArray[np.int64]


@dataclass(frozen=True)
class Example:
    """One test example; ``first_right`` says with how many seeds the first pooler is right."""

    number: int
    text: str | None
    label: str
    first_right: str
    second_right: str


@dataclass(frozen=True)
class Disagreement:
    """Examples that most seeds of one pooler get right and most seeds of the other get wrong."""

    first: str
    second: str
    examples: int
    only_first: int
    only_second: int
    won: tuple[Example, ...]
    lost: tuple[Example, ...]


def length_bins(task: Task) -> list[LengthBin]:
    """About equally filled bins of text length; fewer where many texts are equally long."""
    tokens = _of_data(task, "test_tokens")
    n = max((len(s.right) for s in task.standings), default=0)
    if tokens is None or len(tokens) != n or n == 0:
        return []
    lengths = np.asarray(tokens)
    edges = np.unique(np.quantile(lengths, np.linspace(0, 1, LENGTH_BINS + 1)[1:-1]))
    place = np.searchsorted(edges, lengths, side="left")
    rows = [np.flatnonzero(place == k) for k in range(len(edges) + 1)]
    return [LengthBin(int(lengths[r].min()), int(lengths[r].max()), r) for r in rows if len(r)]


def class_f1(standing: Standing) -> Array:
    """F1 of each class (C,), mean over seeds; empty without runs."""
    found = []
    for cell in standing.finished:
        kept = cell.predictions
        if kept is None:
            continue
        classes = kept.logits.shape[1]
        hits = np.bincount(kept.labels[kept.labels == kept.predictions], minlength=classes)
        total = np.bincount(kept.labels, minlength=classes)
        total = total + np.bincount(kept.predictions, minlength=classes)
        found.append(2 * hits / np.maximum(total, 1))
    if len({len(f1) for f1 in found}) != 1:
        return np.empty(0)
    return np.asarray(np.mean(found, axis=0))


def disagreement(task: Task, first: str, second: str) -> Disagreement | None:
    """Where two poolers disagree; None where they were not tested on the same examples."""
    a, b = task.standing(first), task.standing(second)
    labels = _labels(a)
    if not len(a.right) or len(a.right) != len(b.right) or not np.array_equal(labels, _labels(b)):
        return None
    won = np.flatnonzero((a.right > 0.5) & (b.right < 0.5))
    lost = np.flatnonzero((a.right < 0.5) & (b.right > 0.5))
    names = _of_data(task, "classes") or []

    def clearest(rows: NDArray[np.int64]) -> tuple[Example, ...]:
        # Shuffled before it is sorted, else equally clear ones come as the data are ordered.
        rows = np.random.default_rng(0).permutation(rows)
        gap = np.abs(a.right[rows] - b.right[rows])
        return tuple(
            Example(
                number=int(i),
                text=None if task.texts is None else task.texts[i],
                label=str(names[labels[i]]) if labels[i] < len(names) else str(labels[i]),
                first_right=_share(a, i),
                second_right=_share(b, i),
            )
            for i in rows[np.argsort(-gap, kind="stable")][:SHOWN]
        )

    return Disagreement(
        first, second, len(labels), len(won), len(lost), clearest(won), clearest(lost)
    )


def _share(standing: Standing, example: int) -> str:
    seeds = len(standing.finished)
    return f"{round(seeds * standing.right[example])} of {seeds}"


def _labels(standing: Standing) -> NDArray[np.int64]:
    kept = [c.predictions for c in standing.finished if c.predictions is not None]
    return np.asarray(kept[0].labels if kept else [], dtype=np.int64)


def _of_data(task: Task, key: str) -> Sequence[Any] | None:
    for s in task.standings:
        for cell in s.finished:
            found: Sequence[Any] | None = (cell.record.get("data") or {}).get(key)
            if found:
                return found
    return None
