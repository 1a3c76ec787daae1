"""Queries, documents and grades: rows (query, document, grade), of which some have no query.

A row without a query adds a document to the corpus, which is every distinct document of all splits.
"""

import logging
import re
from collections.abc import Iterable

import datasets

from poolbench.core.errors import UserError
from poolbench.data.tables import Table
from poolbench.data.values import texts

log = logging.getLogger(__name__)


def answered(table: datasets.Dataset, split: str) -> datasets.Dataset:
    """The rows of queries with a relevant document, each once.

    Raises:
        UserError: a query and a document have several grades.
    """
    rows = list(zip(table["text"][:], table["text_b"][:], table["label"][:], strict=True))
    first: dict[tuple[str, str], int] = {}
    repeated = 0
    for row, (query, document, grade) in enumerate(rows):
        if query is None:
            continue
        known = first.setdefault((query, document), row)
        repeated += known < row
        if rows[known][2] != grade:
            raise UserError(
                f"{split} row {row}: the query and the document are those of row {known}, but the "
                f"grade is {grade} instead of {rows[known][2]}"
            )
    relevant = {query for query, _, grade in rows if grade > 0}
    others = len({query for query, _ in first} - relevant)
    if repeated:
        log.warning("%s: %d repeated rows are left out", split, repeated)
    if others:
        log.warning("%s: %d queries without a relevant document are left out", split, others)
    return table.select([row for (query, _), row in first.items() if query in relevant])


def add_corpus(
    splits: datasets.DatasetDict, sources: Iterable[datasets.Dataset]
) -> datasets.DatasetDict:
    """``splits`` with the documents of the sources that they lack, in rows of train."""
    known = {document for table in splits.values() for document in table["text_b"][:]}
    wanted = dict.fromkeys(document for table in sources for document in table["text_b"][:])
    missing = [document for document in wanted if document not in known]
    if not missing:
        return splits
    train = splits["train"]
    empty = {"text": None, "label": 0.0, "group": ""}
    columns = {name: [empty.get(name)] * len(missing) for name in train.column_names}
    rows = datasets.Dataset.from_dict(columns | {"text_b": missing}, train.features)
    return datasets.DatasetDict(splits | {"train": datasets.concatenate_datasets([train, rows])})


# Names of the columns that `halves` makes; a column of the user cannot have them by chance.
FIRST, SECOND = "first half of the text", "second half of the text"


def halves(table: Table, split: str, column: str) -> Table:
    """Each text as a query, its first half, and a document that answers it, its second half.

    A text is cut at the white space nearest its middle. Those of fewer than two words, which cannot
    be cut, are left out.
    """
    halved = [_halves(text) for text in texts(table, split, column)]
    kept = [row for row, pair in enumerate(halved) if pair]
    if len(kept) < len(halved):
        left_out = len(halved) - len(kept)
        log.warning("%s: %d texts of fewer than two words are left out", split, left_out)
    others = {
        name: [values[row] for row in kept]
        for name, values in table.columns.items()
        if name != column
    }
    pairs = list(filter(None, halved))
    cut = {FIRST: [first for first, _ in pairs], SECOND: [second for _, second in pairs]}
    return Table(others | cut, table.classes)


def _halves(text: str) -> tuple[str, str] | None:
    stripped = text.strip()
    gaps = [match.span() for match in re.finditer(r"\s+", stripped)]
    if not gaps:
        return None
    start, end = min(gaps, key=lambda gap: abs(sum(gap) - len(stripped)))
    return stripped[:start], stripped[end:]
