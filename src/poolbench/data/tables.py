"""Read columns of CSV, TSV, JSON lines and Parquet files, each of which may be gzipped.

Values are returned as they are in the file ("NA" and "007" stay text), or the file is rejected.
"""

import csv
import difflib
import gzip
import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any

import datasets
import pyarrow.parquet

from poolbench.core.errors import UserError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Table:
    """Values of some columns, and the names of the classes for columns of class indices."""

    columns: dict[str, list[Any]]
    classes: dict[str, list[str]] = field(default_factory=dict)


Reader = Callable[[IO[bytes], Sequence[str], Sequence[str]], Table]


def read_table(path: Path, columns: Sequence[str], optional: Sequence[str] = ()) -> Table:
    """Columns of a file of a type in ``READERS``; of the ``optional`` ones, those that it has."""
    reader = READERS.get(file_type(path))
    if reader is None:
        raise UserError(f"{path}: unknown file type, expected {', '.join(READERS)}")
    try:
        with path.open("rb") as raw:
            gzipped = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            file: Any = gzip.GzipFile(fileobj=raw) if gzipped else raw
            return reader(file, columns, optional)
    except UserError:
        raise
    except Exception as error:  # damaged bytes make the parsers raise many types of exception
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        # csv's own advice, after " - ", is for programmers.
        raise UserError(f"{path}: {reason.splitlines()[0].partition(' - do')[0]}") from error


def from_dataset(
    dataset: datasets.Dataset, columns: Sequence[str], optional: Sequence[str], place: str
) -> Table:
    """Columns of a dataset; others are neither read nor decoded."""
    read = _present(dataset.column_names, columns, optional, place)
    features = {name: dataset.features[name] for name in read}
    items = {name: getattr(feature, "feature", feature) for name, feature in features.items()}
    return Table(
        # Iterating over a column would read it row by row, at a tenth of the speed.
        {name: dataset[name][:] for name in read},
        {n: list(f.names) for n, f in items.items() if isinstance(f, datasets.ClassLabel)},
    )


def from_columns(
    given: Mapping[str, list[Any]], columns: Sequence[str], optional: Sequence[str], place: str
) -> Table:
    """Columns of values in memory."""
    return Table({name: given[name] for name in _present(list(given), columns, optional, place)})


def find_table(folder: Path, name: str) -> Path | None:
    """The file of a type in ``READERS`` with this name in a folder; None if there is none."""
    found = [path for path in sorted(folder.glob(f"{name}.*")) if file_type(path) in READERS]
    if len(found) > 1:
        raise UserError(f"{folder} has several {name} files: {', '.join(map(str, found))}")
    return found[0] if found else None


def file_type(path: Path) -> str:
    """The suffix that names the type of a file: ``.csv`` for ``a.csv`` and ``a.CSV.gz``."""
    return Path(path.name.lower().removesuffix(".gz")).suffix


def _present(
    names: Sequence[str], columns: Sequence[str], optional: Sequence[str], place: str
) -> list[str]:
    """The columns to read, of a source with columns of these names."""
    if not names:
        raise UserError(f"{place} is empty, or its first line is")
    read = [*columns, *(name for name in optional if name in names)]
    for column in read:
        if names.count(column) > 1:
            raise UserError(f"{place}: two columns are named {column!r}")
        if column not in names:
            near = difflib.get_close_matches(column, names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it has: {str(names)[1:-1]}"
            raise UserError(f"{place} has no column {column!r}: {hint:.400}")
    return read


def _lines(file: IO[bytes]) -> Iterator[str]:
    file.seek(0)
    for number, line in enumerate(file, 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"line {number} is not UTF-8: save the file as UTF-8") from error


def _read_csv(file: IO[bytes], columns: Sequence[str], optional: Sequence[str]) -> Table:
    """Quotes inside quotes are doubled (RFC 4180); only if that fails, backslashes are escapes."""

    def fits(delimiter: str) -> bool:
        header = next(csv.reader(_lines(file), delimiter=delimiter), [])
        return set(columns) <= set(header)

    delimiter = next(filter(fits, ",;\t|"), ",")
    try:
        table = _read_rows(file, columns, optional, delimiter=delimiter)
    except ValueError as error:
        try:
            table = _read_rows(file, columns, optional, delimiter=delimiter, escapechar="\\")
        except ValueError:
            raise error from None
        log.warning("%s is read with backslashes as escapes", file.name)
    # Without quoting, a quote at the start of one text and another at the end of a later one are
    # read as one text, which contains the rows between them.
    ends = {value for values in list(table.columns.values())[1:2] for value in values}
    doubtful = sum(
        '\\"' in text or ("\n" in text and not ends.isdisjoint(_last_values(text, delimiter)))
        for texts in table.columns.values()
        for text in texts
    )
    if doubtful:
        log.warning('%s: %d texts contain \\" or other rows: check quotes', file.name, doubtful)
    return table


def _last_values(text: str, delimiter: str) -> list[str]:
    """What follows the last delimiter of each line that has one."""
    return [line.rpartition(delimiter)[2] for line in text.split("\n") if delimiter in line]


def _read_rows(
    file: IO[bytes], columns: Sequence[str], optional: Sequence[str], **dialect: Any
) -> Table:
    csv.field_size_limit(sys.maxsize)
    reader = csv.reader(_lines(file), strict=True, **dialect)
    try:
        header = next(reader, [])
        read = _present(header, columns, optional, str(file.name))
        places = {name: header.index(name) for name in read}
        found: dict[str, list[Any]] = {name: [] for name in read}
        for row in filter(None, reader):  # an empty line is no row
            if len(row) != len(header):
                raise ValueError(
                    f"line {reader.line_num} has {len(row)} columns, the header {len(header)}: put "
                    "a text that contains the delimiter in quotes (.tsv files have no quotes)"
                )
            for name, place in places.items():
                found[name].append(row[place])
    except csv.Error as error:
        hint = "double the quotes inside a quoted text"
        raise ValueError(f"line {reader.line_num}: {hint} ({error})") from error
    return Table(found)


def _read_jsonl(file: IO[bytes], columns: Sequence[str], optional: Sequence[str]) -> Table:
    found: dict[str, list[Any]] = {name: [] for name in [*columns, *optional]}
    names: dict[str, Any] = {}
    for number, line in enumerate(_lines(file), 1):
        if line.isspace():
            continue
        try:
            pairs = json.loads(line, object_pairs_hook=list)
        except (ValueError, RecursionError) as error:
            reason = getattr(error, "msg", error)
            raise ValueError(f"line {number} is not JSON: {reason}") from error
        if not line.lstrip().startswith("{"):
            raise ValueError(f'line {number} is not an object, {{"text": ..., "label": ...}}')
        row = dict(pairs)
        if len(row) < len(pairs):
            raise ValueError(f"line {number} has a key twice")
        names |= row
        for name, values in found.items():
            values.append(row.get(name))
    read = _present(list(names), columns, optional, str(file.name))
    return Table({name: found[name] for name in read})


def _read_parquet(file: IO[bytes], columns: Sequence[str], optional: Sequence[str]) -> Table:
    # Other columns may have types that the datasets library does not know.
    parquet = pyarrow.parquet.ParquetFile(file)
    read = _present(parquet.schema_arrow.names, columns, optional, str(file.name))
    return from_dataset(datasets.Dataset(parquet.read(read)), read, (), str(file.name))


READERS: dict[str, Reader] = {
    ".csv": _read_csv,
    ".tsv": partial(_read_rows, delimiter="\t", quoting=csv.QUOTE_NONE),
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}
