"""What a task needs of a dataset; without the package ``datasets``, which GPU machines may lack."""

from dataclasses import dataclass
from typing import Literal

Target = Literal["class", "score", "labels", "relevance"]


@dataclass(frozen=True)
class Columns:
    """What a task needs of a dataset.

    Attributes:
        texts: one text or two in each example.
        target: what ``label`` is. "class": one class. "score": a finite number. "labels": a list
            of classes, which may be empty. "relevance": the grade, 0 or higher, of the second text,
            a document, for the first, a query; a row without a query adds a document to the corpus.
    """

    texts: Literal[1, 2] = 1
    target: Target = "class"


ONE_LABEL = Columns()
