"""Does an exported model say what the cell says?"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from poolbench.inference.load import Trained
from poolbench.runs.record import read_predictions
from poolbench.training.session import prepare


@dataclass(frozen=True)
class Parity:
    """An exported model beside the cell it came from, on some test texts.

    Attributes:
        texts: their number.
        deviation: the largest difference between two logits.
        equal: texts that get the same class from both.
        recorded: texts that get the class that the cell's own test gave them. That test may have
            been run in half precision: a text between two classes can fall on the other side.
    """

    texts: int
    deviation: float
    equal: int
    recorded: int

    @property
    def holds(self) -> bool:
        """Is every class the same?"""
        return self.equal == self.texts


def parity(
    trained: Trained,
    rows: Int[np.ndarray, " n"],
    texts: Sequence[str],
    exported: Float[np.ndarray, "n C"],
) -> Parity:
    """Compare.

    Args:
        trained: the cell.
        rows: of its test split.
        texts: those that stand there.
        exported: what the exported model says of them.
    """
    own = trained.logits(texts).numpy()
    classes = exported.argmax(axis=1)
    return Parity(
        texts=len(texts),
        deviation=float(np.abs(exported - own).max()),
        equal=int((classes == own.argmax(axis=1)).sum()),
        recorded=int((classes == read_predictions(trained.folder).predictions[rows]).sum()),
    )


def some_tested(trained: Trained, number: int) -> tuple[Int[np.ndarray, " n"], list[str]]:
    """Rows of the test split, evenly spread over it, and their texts.

    Raises:
        BadInput: neither the study nor the dataset has the texts any more.
    """
    texts = tested(trained)
    rows = np.unique(np.linspace(0, len(texts) - 1, min(number, len(texts))).round().astype(int))
    return rows, [texts[row] for row in rows]


def tested(trained: Trained) -> list[str]:
    """The texts of the test split, as the study kept them, else from the dataset.

    Raises:
        BadInput: the dataset cannot be had.
    """
    name = trained.record["data"].get("test_texts")
    folders: Sequence[Path] = trained.folder.resolve().parents if name else ()
    for folder in folders:
        if (folder / name).is_file():
            return [str(text) for text in json.loads((folder / name).read_bytes())["texts"]]
    return list(prepare(trained.cfg).splits["test"]["text"])
