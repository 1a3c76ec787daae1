"""Retrieval data in the layout of BEIR (Thakur et al., 2021): a corpus, queries, and qrels.

A folder has ``corpus`` (columns ``_id``, ``text`` and optionally ``title``), ``queries`` (``_id``,
``text``) and ``qrels/test``, optionally ``qrels/train`` and ``qrels/dev`` (``query-id``,
``corpus-id``, ``score``), as jsonl, tsv, csv or parquet files. A hub dataset, such as those of
mteb, has the configurations ``corpus``, ``queries`` and ``default``, which are the qrels.
"""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

import datasets

from poolbench.core.errors import UserError
from poolbench.data import values
from poolbench.data.loaders import SplitOptions, load_from_hub, prepare
from poolbench.data.needs import Columns
from poolbench.data.tables import Table, find_table, from_columns, from_dataset, read_table

log = logging.getLogger(__name__)
# Columns that must and may be there.
TEXTS: tuple[Sequence[str], Sequence[str]] = ("_id", "text"), ("title",)
QRELS: tuple[Sequence[str], Sequence[str]] = ("query-id", "corpus-id", "score"), ()
SPLITS = {"train": ("train",), "validation": ("dev", "validation"), "test": ("test",)}


def beir(
    path: str,
    revision: str | None = None,
    columns: Columns = Columns(),
    **options: Unpack[SplitOptions],
) -> datasets.DatasetDict:
    """Queries, graded documents and a corpus; a document is its title, a space and its text.

    Queries of ``queries`` that are in no qrels are not used. Texts with several ids are one text,
    with the highest of their grades.

    Args:
        path: a folder, or the name of a hub dataset.
        revision: of a hub dataset; a commit hash pins the data.

    Raises:
        UserError: an id occurs twice, or qrels contain an unknown one.
    """
    if columns != Columns(2, "relevance"):
        raise UserError(f"{path} has queries and documents: set task=retrieval")
    tables = _folder(Path(path)) if os.path.isdir(path) else _hub(path, revision)
    documents = _texts(tables, "corpus", path)
    queries = _texts(tables, "queries", path)
    repeated = len(documents) - len(set(documents.values()))
    if repeated:
        log.warning("%s: %d documents repeat the text of another one", path, repeated)
    rows = {
        split: _graded(tables[split], f"{path}: qrels of {split}", queries, documents)
        for split in SPLITS
        if split in tables
    }
    # The corpus: rows without a query.
    alone = [(None, document, 0.0) for document in dict.fromkeys(documents.values())]
    rows["train"] = [*rows.get("train", []), *alone]

    def source(names: Sequence[str], optional: Sequence[str]) -> dict[str, Table]:
        keys = "query", "document", "relevance"
        return {
            split: from_columns(
                {key: [row[i] for row in triples] for i, key in enumerate(keys)},
                *(names, optional, path),
            )
            for split, triples in rows.items()
        }

    return prepare(source, columns, **options)


def _folder(folder: Path) -> dict[str, Table]:
    paths = {name: find_table(folder, name) for name in ("corpus", "queries")}
    for split, names in SPLITS.items():
        paths[split] = next(filter(None, (find_table(folder / "qrels", n) for n in names)), None)
    for name in ("corpus", "queries", "test"):
        if paths[name] is None:
            where = folder / "qrels" if name == "test" else folder
            raise UserError(f"{where} has no {name} file, as {name}.jsonl or {name}.tsv")
    return {
        name: read_table(path, *(QRELS if name in SPLITS else TEXTS))
        for name, path in paths.items()
        if path
    }


def _hub(path: str, revision: str | None) -> dict[str, Table]:
    tables = {}
    for name in ("corpus", "queries"):
        loaded = load_from_hub(path, name, revision)
        if len(loaded) != 1:
            raise UserError(f"dataset {path}, {name}: expected one split, not {', '.join(loaded)}")
        tables[name] = from_dataset(next(iter(loaded.values())), *TEXTS, f"{path}, {name}")
    qrels = load_from_hub(path, "default", revision)
    for split, names in SPLITS.items():
        for name in filter(qrels.__contains__, names):
            tables[split] = from_dataset(qrels[name], *QRELS, f"{path}, {name}")
    if "test" not in tables:
        raise UserError(f"dataset {path} has no split 'test', it has: {', '.join(qrels)}")
    return tables


def _texts(tables: dict[str, Table], name: str, path: str) -> dict[str, str]:
    """Id -> text."""
    table = tables[name]
    place = f"{path}: {name}"
    ids = values.names(table, place, "_id", "id")
    texts = values.texts(table, place, "text")
    if "title" in table.columns:
        titles = values.texts_or_none(table, place, "title")
        texts = [f"{a or ''} {b}".strip() for a, b in zip(titles, texts, strict=True)]
    first: dict[str, int] = {}
    for row, key in enumerate(ids):
        if first.setdefault(key, row) != row:
            raise UserError(f"{place} row {row}: _id {key!r:.80} is that of row {first[key]}")
    return dict(zip(ids, texts, strict=True))


def _graded(
    qrels: Table, place: str, queries: dict[str, str], documents: dict[str, str]
) -> list[tuple[str | None, str, float]]:
    """Query, document and grade; the highest grade of equal texts."""
    known = {"query-id": queries, "corpus-id": documents}
    ids = {name: values.names(qrels, place, name, "id") for name in known}
    for name, texts in known.items():
        for row, key in enumerate(ids[name]):
            if key not in texts:
                where = "queries" if name == "query-id" else "the corpus"
                raise UserError(f"{place} row {row}: {name} {key!r:.80} is not in {where}")
    grades: dict[tuple[str, str], float] = {}
    scores = values.numbers(qrels, place, "score")
    for query, document, score in zip(ids["query-id"], ids["corpus-id"], scores, strict=True):
        pair = queries[query], documents[document]
        grades[pair] = max(score, grades.get(pair, score))
    return [(query, document, grade) for (query, document), grade in grades.items()]
