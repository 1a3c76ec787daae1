"""``vector_cost.json`` of a run: the metric of its pooled vectors after compression.

Written by ``scripts/vector_cost.py``, shown by the report.
"""

from typing import Literal

from pydantic import BaseModel

from poolbench.runs.protocol import Metric
from poolbench.runs.record import RunRecord
from poolbench.runs.schema import EXACT, Count, Number, RecordError, read_json

VECTOR_COST = "vector_cost.json"


class VectorCost(BaseModel):
    """The vectors of a run in one format, cut to ``width`` dimensions.

    Attributes:
        bytes: of one vector.
        value: of the metric, in percent.
        interval: of the difference to the vectors as they are, in points; all intervals of a run
            hold together. None for those vectors themselves, and where items are too few.
    """

    model_config = EXACT

    format: str
    width: Count
    bytes: Count
    value: Number
    difference: Number
    interval: tuple[Number, Number] | None


class VectorCosts(BaseModel):
    """The content of the file; the vectors as they are come first."""

    model_config = EXACT

    version: Literal[1] = 1
    predictions_sha256: str | None  # of the record
    metric: Metric
    costs: list[VectorCost]

    def smallest(self, margin: float) -> VectorCost | None:
        """The fewest bytes shown to lose less than ``margin`` points."""
        kept = [c for c in self.costs if c.interval and c.interval[0] > -margin]
        return min(kept, key=lambda c: (c.bytes, -c.value), default=None)


def read_vector_costs(record: RunRecord) -> VectorCosts | None:
    """The file in the folder of a run, None if there is none.

    Raises:
        RecordError: it is damaged, or the run was trained again since.
    """
    try:
        found = read_json(record.folder / VECTOR_COST, VectorCosts)
    except FileNotFoundError:
        return None
    if found.predictions_sha256 != record.predictions_sha256:
        path = record.folder / VECTOR_COST
        raise RecordError(f"{path} is of an earlier result: run scripts/vector_cost.py again")
    return found
