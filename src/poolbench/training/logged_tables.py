"""Tables of the final result of a run, for experiment loggers."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from poolbench.runs.protocol import RANKING
from poolbench.runs.record import RunRecord

LARGEST_MATRIX = 100  # classes whose confusion matrix is logged whole
PAIRS = 100  # most confused pairs that are logged of a larger one
TEXTS = 200  # test texts whose predictions are logged

Rows = list[list[Any]]


def tables(record: RunRecord, texts: Sequence[str]) -> dict[str, Rows]:
    """Rows of each table by its name, the names of the columns first."""
    found = {"test/predictions": predictions(record, texts)}
    return found | (confusions(record) if "confusion" in record.test_details else {})


def predictions(record: RunRecord, texts: Sequence[str]) -> Rows:
    """The first test texts with what was predicted."""
    kept, names = record.predictions, record.data.classes
    targets, outputs = kept.targets[:TEXTS], kept.outputs[:TEXTS]
    if record.task == "retrieval":
        rows = [["query", *RANKING], *outputs.tolist()]
    elif not names:
        rows = [["text", "score", "prediction"], *np.column_stack([targets, outputs]).tolist()]
    else:
        labels, guesses = (
            [", ".join(names[i] for i in np.flatnonzero(row)) for row in chosen]
            for chosen in _chosen(record, targets, outputs)
        )
        right = [label == guess for label, guess in zip(labels, guesses, strict=True)]
        columns = zip(labels, guesses, right, strict=True)
        rows = [["text", "label", "prediction", "correct"], *map(list, columns)]
    whole = [rows[0]]
    whole += [[text, *row] for text, row in zip(texts, rows[1:], strict=False)]
    return whole


def _chosen(record: RunRecord, targets: Any, outputs: Any) -> tuple[Any, Any]:
    """Whether each class is a label of an example, and whether it is predicted, (n, C) both."""
    if record.task == "multilabel":
        return targets > 0, outputs > 0
    classes = np.arange(outputs.shape[1])
    return targets[:, None] == classes, outputs.argmax(axis=1)[:, None] == classes


def confusions(record: RunRecord) -> dict[str, Rows]:
    """A table of all pairs of classes that occur, by its name.

    With more than ``LARGEST_MATRIX`` classes these are the ``PAIRS`` most confused pairs only.
    """
    names = record.data.classes
    whole = len(names) <= LARGEST_MATRIX
    counts = np.array(record.test_details["confusion"], dtype=int)
    rows: Rows = [
        [names[actual], names[predicted], int(counts[actual, predicted])]
        for actual, predicted in np.argwhere(counts)
        if whole or actual != predicted
    ]
    if not whole:
        rows = sorted(rows, key=lambda row: -row[2])[:PAIRS]
    name = "test/confusion" if whole else "test/most_confused_pairs"
    return {name: [["Actual", "Predicted", "nPredictions"], *rows]}
