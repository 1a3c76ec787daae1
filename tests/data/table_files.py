"""Files of every type that a dataset may be read from."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets


def write(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Rows as CSV, TSV, JSON lines or Parquet, by the suffix; cells have lists as "a, b"."""
    if path.suffix == ".parquet":
        datasets.Dataset.from_list(rows).to_parquet(path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        cells = [
            {k: ", ".join(v) if isinstance(v, list) else v for k, v in row.items()} for row in rows
        ]
        with path.open("w", newline="") as file:
            delimiter = "\t" if path.suffix == ".tsv" else ","
            writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
            writer.writeheader()
            writer.writerows(cells)
    return path
