"""``explanations.json`` of a study: written by ``scripts/explain.py``, shown by the report."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from poolbench.runs.schema import Number, read_json

EXPLANATIONS = "explanations.json"


class Explanation(BaseModel):
    """The weight of every word of one text in one prediction of one run.

    Attributes:
        method: what the weights are.
        label: predicted class, and its ``probability``.
        words: (word, weight, whether it is a special token such as [CLS]). The absolute weights sum
            to 1; a negative weight is evidence against the predicted class.
    """

    pooler: str
    method: str
    label: str
    probability: Number
    words: list[tuple[str, Number, bool]]

    @property
    def relative_weights(self) -> list[float]:
        """The weights divided by the largest absolute one: from -1 to 1."""
        largest = max((abs(weight) for _, weight, _ in self.words), default=0.0) or 1.0
        return [weight / largest for _, weight, _ in self.words]


class ExplainedExample(BaseModel):
    """One test example; explanations by ``predictions_sha256`` of the record of the run."""

    dataset: str
    encoder: str
    example: int
    explanations: dict[str, Explanation]


class Explanations(BaseModel):
    """The content of the file."""

    version: Literal[2] = 2
    examples: list[ExplainedExample] = []


def read_explanations(study: Path) -> Explanations:
    """The file in the folder of a study, empty if there is none. RecordError: it is damaged."""
    try:
        return read_json(study / EXPLANATIONS, Explanations)
    except FileNotFoundError:
        return Explanations()
