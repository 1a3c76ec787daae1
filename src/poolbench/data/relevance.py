"""Which documents of a corpus are relevant to each query."""

from collections.abc import Iterable
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, Int
from torch import Tensor

Judged = tuple[str | None, str, float]  # query, document, grade


@dataclass(frozen=True)
class Relevance:
    """Relevant documents of N items, end to end; M documents in the corpus.

    Attributes:
        corpus: ids of the texts that are documents.
        starts: index of the first relevant document of each item, then the total.
        places: of the relevant documents in ``corpus``.
        grades: of the relevant documents, above 0.
    """

    corpus: Int[Tensor, " M"]
    starts: Int[Tensor, " N+1"]
    places: Int[Tensor, " R"]
    grades: Float[Tensor, " R"]

    def of(self, items: Int[Tensor, " B"]) -> tuple[Tensor, Tensor, Tensor]:
        """Row in ``items``, place in the corpus and grade of each relevant document of some items.

        Example:
            >>> two = Relevance(torch.arange(9), torch.tensor([0, 1, 3]), *torch.eye(3)[:2].int())
            >>> two.of(torch.tensor([1]))[0]
            tensor([0, 0])
        """
        first = self.starts[items]
        counts = self.starts[items + 1] - first
        row = torch.arange(len(items), device=items.device).repeat_interleave(counts)
        offset = torch.arange(len(row), device=items.device) - (counts.cumsum(0) - counts)[row]
        index = first[row] + offset
        return row, self.places[index], self.grades[index]

    def to(self, device: torch.device) -> "Relevance":
        """The same on another device."""
        return Relevance(*(getattr(self, field.name).to(device) for field in fields(self)))


def queries_of(rows: Iterable[Judged]) -> dict[str, dict[str, float]]:
    """Relevant documents of each query with their grades, the best one first.

    Queries without a relevant document are left out: no order of the documents is right for them.
    """
    found: dict[str, dict[str, float]] = {}
    for query, document, grade in rows:
        if query is not None and grade > 0:
            of = found.setdefault(query, {})
            of[document] = max(grade, of.get(document, 0.0))
    return {
        query: dict(sorted(of.items(), key=lambda pair: -pair[1])) for query, of in found.items()
    }
