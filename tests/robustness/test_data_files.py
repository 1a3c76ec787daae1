"""Generated data files: valid ones give their rows exactly, damaged ones are read or rejected."""

import csv
import gzip
import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from poolbench.core.errors import UserError
from poolbench.data.loaders import files
from poolbench.data.needs import Columns
from poolbench.data.tables import read_table

MARK = st.sampled_from("\",;\t|\\\n\r\0' #{[\ufeff\u2028\x85²\U0001f4a9")
WORD = st.sampled_from(["\r\n", '\\"', '""', "NA", "null", "--1", "007", "\x1f\x8b", "text"])
ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUE = st.lists(MARK | WORD | ANY, max_size=6).map("".join)
GOOD = [(f"text {i}", "ab"[i % 2]) for i in range(30)]


def delimited(rows: list[tuple[str, str]], **dialect: Any) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, **dialect).writerows([("text", "label"), *rows])
    return text.getvalue().encode()


def jsonl(rows: list[tuple[str, str]], ascii_only: bool) -> bytes:
    objects = ({"text": text, "label": label, "other": [{}]} for text, label in rows)
    lines = (json.dumps(row, ensure_ascii=ascii_only) for row in objects)
    return "\n".join(lines).encode()


def tsv(rows: list[tuple[str, str]]) -> bytes:
    return "".join(f"{text}\t{label}\n" for text, label in [("text", "label"), *rows]).encode()


# Name of the file, its content for rows, and the values it can express.
FORMATS: dict[str, tuple[str, Callable[..., bytes], Callable[[str], bool]]] = {
    "csv": ("a.csv", delimited, lambda value: True),
    "semicolon": ("a.csv", lambda rows: delimited(rows, delimiter=";"), lambda value: True),
    "tab": ("a.csv", lambda rows: delimited(rows, delimiter="\t"), lambda value: True),
    "quoted": ("a.csv", lambda rows: delimited(rows, quoting=csv.QUOTE_ALL), lambda value: True),
    "tsv": ("a.tsv", tsv, lambda value: not set("\t\n\r") & set(value)),
    "jsonl": ("a.jsonl", lambda rows: jsonl(rows, False), lambda value: True),
    "ascii jsonl": ("a.jsonl", lambda rows: jsonl(rows, True), lambda value: True),
}


@st.composite
def valid_files(
    draw: st.DrawFn, labels: st.SearchStrategy[str] = VALUE
) -> tuple[str, bytes, list[tuple[str, str]]]:
    """Name, content and rows of a file; every fourth one is gzipped."""
    name, write, expresses = FORMATS[draw(st.sampled_from(sorted(FORMATS)))]
    rows = draw(st.lists(st.tuples(VALUE, labels), max_size=12))
    kept = [*GOOD, *(row for row in rows if all(map(expresses, row)))]
    content = write(kept)
    return name, content if draw(st.integers(0, 3)) else gzip.compress(content), kept


@st.composite
def damaged_files(draw: st.DrawFn) -> tuple[str, bytes]:
    """A valid file, bytes of which are changed, removed, repeated or inserted."""
    name, content, _ = draw(valid_files(st.sampled_from("ab")))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content)))
        end = at + draw(st.integers(0, 20))
        new = draw(st.binary(max_size=6) | st.sampled_from([content[at:end], b'"', b"[" * 5000]))
        content = content[:at] + new + content[end:]
    return draw(st.sampled_from([name] * 9 + ["a.csv", "a.tsv", "a.jsonl", "a.parquet"])), content


def rows_are_exact(file: tuple[str, bytes, list[tuple[str, str]]]) -> None:
    name, content, rows = file
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(content)
        columns = read_table(path, ["text", "label"]).columns
    assert list(zip(columns["text"], columns["label"], strict=True)) == rows


# What a task reads, and from which columns of the files: the labels are of any kind there.
KINDS: list[tuple[Columns, dict[str, str]]] = [
    (Columns(), {}),
    (Columns(1, "labels"), {"label_column": "label"}),
    (Columns(1, "score"), {"label_column": "label"}),
    (Columns(2, "class"), {"text_column": "text", "text_b_column": "label"}),
    (Columns(2, "relevance"), {"text_column": "text", "text_b_column": "label"}),
    (Columns(2, "relevance"), {"pairs": "halves"}),
]


def damage_is_one_line_or_a_dataset(
    file: tuple[str, bytes], kind: tuple[Columns, dict[str, str]]
) -> None:
    (name, content), (columns, options) = file, kind
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(content)
        try:
            outcome = ",".join(files(str(path), columns=columns, **options))
        except UserError as error:
            outcome = str(error)
    assert "\n" not in outcome
    assert len(outcome) < 1000


PROMISES = {
    "rows are exact": (rows_are_exact, [valid_files()]),
    "damage": (damage_is_one_line_or_a_dataset, [damaged_files(), st.sampled_from(KINDS)]),
}


def check(promise: str, examples: int) -> None:
    function, inputs = PROMISES[promise]
    # A file that takes longer than the deadline to read is a failure: nothing may hang.
    unhurried = settings(
        max_examples=examples, deadline=5000, database=None, suppress_health_check=HealthCheck
    )
    unhurried(given(*inputs)(function))()


@pytest.mark.parametrize("promise", PROMISES)
def test_generated_files(promise: str) -> None:
    check(promise, 100)


@pytest.mark.slow
@pytest.mark.parametrize("promise", PROMISES)
def test_many_generated_files(promise: str) -> None:
    check(promise, 1000)
