"""Rows read are the rows of the file, whatever they contain; the rest is rejected."""

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import datasets
import pyarrow
import pyarrow.parquet
import pytest

from poolbench.core.errors import UserError
from poolbench.data.tables import read_table

COLUMNS = ["text", "label"]
ROWS = [
    ['he said "hi"', "a"],
    ['"', "b"],
    ["", "a"],
    ["two\nlines, and a comma", "b"],
    ["semicolon; tab\t; pipe |", "a"],
    ["NA", "null"],
    [" None ", "007"],
    ["a\r\0\u2028\x85b", "²"],
    ["x" * 2_200_000, "--1"],
]


def rows_of(path: Path) -> list[list[str]]:
    table = read_table(path, COLUMNS)
    return [list(row) for row in zip(*table.columns.values(), strict=True)]


def written(path: Path, rows: list[list[str]] = ROWS, **dialect: Any) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file, **dialect).writerows([COLUMNS, *rows])
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_csv_of_every_delimiter(tmp_path: Path, delimiter: str, ending: str) -> None:
    dialect = {"delimiter": delimiter, "lineterminator": ending, "quoting": csv.QUOTE_ALL}
    assert rows_of(written(tmp_path / "a.csv", **dialect)) == ROWS


def test_backslash_escapes_are_detected_and_told(tmp_path: Path, caplog) -> None:
    dialect = {"escapechar": "\\", "doublequote": False, "quoting": csv.QUOTE_ALL}
    assert rows_of(written(tmp_path / "a.csv", **dialect)) == ROWS
    assert "backslashes" in caplog.text
    (tmp_path / "c.csv").write_text('text,label\n"a" b,x\nc,y\n')
    with pytest.raises(UserError, match="line 2: double the quotes"):
        rows_of(tmp_path / "c.csv")
    backslashes = [["C:\\dir\\", "a"], ['a \\" b', "b"], ['"', "b"]]
    assert rows_of(written(tmp_path / "b.csv", backslashes)) == backslashes


def test_tsv_has_no_quotes(tmp_path: Path) -> None:
    rows = [['"opens', "a"], ["plain", "b"], ['closes"', "a"], ['"whole"', "b"], ["a\rb\\", "a"]]
    lines = "".join("\t".join(row) + "\n" for row in [COLUMNS, *(row for row in rows)])
    (tmp_path / "a.tsv").write_text(lines.replace("a\rb", "ab"), newline="")
    assert rows_of(tmp_path / "a.tsv") == [*rows[:-1], ["ab\\", "a"]]


def test_a_csv_whose_quotes_glue_rows_is_told(tmp_path: Path, caplog) -> None:
    (tmp_path / "a.csv").write_text('text,label\n"one,pos\ntwo,neg\nthree",pos\nfour,neg\n')
    assert len(rows_of(tmp_path / "a.csv")) == 2
    assert "1 texts contain" in caplog.text
    caplog.clear()
    rows_of(written(tmp_path / "b.csv"))
    assert not caplog.text


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "A.CSV.GZ"])
def test_gzip_is_found_by_content(tmp_path: Path, name: str) -> None:
    content = written(tmp_path / "plain.csv").read_bytes()
    (tmp_path / name).write_bytes(gzip.compress(content))
    assert rows_of(tmp_path / name) == ROWS


def test_jsonl_with_other_values_of_any_type(tmp_path: Path) -> None:
    rows = [
        {"text": text, "label": label, "other": other}
        for (text, label), other in zip(
            ROWS, [1, None, {"a": [1]}, "x", [], 2.5, 0, 1, 2], strict=True
        )
    ]
    lines = (json.dumps(row, ensure_ascii=bool(i % 2)) for i, row in enumerate(rows))
    (tmp_path / "a.jsonl").write_text("\n\n".join(lines), newline="")
    assert rows_of(tmp_path / "a.jsonl") == ROWS


def test_parquet_reads_the_needed_columns_alone(tmp_path: Path) -> None:
    n = len(ROWS)
    table = pyarrow.table(
        {
            "text": pyarrow.array([text for text, _ in ROWS], pyarrow.large_string()),
            "label": pyarrow.array([label for _, label in ROWS]).dictionary_encode(),
            "map": pyarrow.array([[("a", 1)]] * n, pyarrow.map_("string", "int64")),
            "nested": pyarrow.array([{"text": [1]}] * n),
            "bytes": pyarrow.array([b"\xff"] * n),
            "decimal": pyarrow.array([1] * n).cast(pyarrow.decimal128(20)),
            "view": pyarrow.array(["a"] * n, pyarrow.string_view()),
        }
    )
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    assert rows_of(tmp_path / "a.parquet") == ROWS


def test_class_names_of_a_parquet_file_are_kept(tmp_path: Path) -> None:
    features = {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["b", "a"])}
    data = datasets.Dataset.from_dict({"text": ["x"], "label": [1]}, datasets.Features(features))
    data.to_parquet(tmp_path / "a.parquet")
    table = read_table(tmp_path / "a.parquet", COLUMNS)
    assert (table.columns["label"], table.classes) == ([1], {"label": ["b", "a"]})


def test_a_missing_column_is_named_with_the_nearest_one(tmp_path: Path) -> None:
    for name, content in (("a.csv", "texts,label\na,b\n"), ("a.jsonl", '{"texts":1,"label":2}')):
        (tmp_path / name).write_text(content)
        with pytest.raises(UserError, match=rf"{name} has no column 'text': did you mean 'texts'"):
            read_table(tmp_path / name, COLUMNS)


def test_names_that_are_no_text_or_no_files_end_in_one_line(tmp_path: Path) -> None:
    name = b"caf\xe9.csv".decode("utf-8", "surrogateescape")
    assert rows_of(written(tmp_path / name)) == ROWS
    (tmp_path / "folder.csv").mkdir()
    for bad in (tmp_path / "folder.csv", tmp_path / ("x" * 300 + ".csv"), Path("a\0.csv")):
        with pytest.raises(UserError, match=r"csv: "):
            read_table(bad, COLUMNS)
