"""Bad files: a one-line error that names file, row or column, or a documented policy."""

import gzip
import json
from pathlib import Path

import pytest

from poolbench.data.loaders import files
from poolbench.runs.record import RunRecord
from poolbench.training.session import Session
from poolbench.training.sweep import run_one
from tests.conftest import TINY, plan, rejection

GOOD = [f'"text number {i}",{"yes" if i % 2 else "no"}' for i in range(40)]
CSV = "text,label\n" + "\n".join(GOOD) + "\n"
JSONL = "".join(json.dumps({"text": f"text {i}", "label": i % 2}) + "\n" for i in range(40))


def jsonl(**changed: object) -> bytes:
    row = {"text": "a text", "label": 1} | changed
    return (JSONL + json.dumps(row) + "\n").encode()


REJECTED: dict[str, tuple[str, bytes, str]] = {
    "a text that is None": ("x.jsonl", jsonl(text=None), "row 40"),
    "a text that is a list": ("x.jsonl", jsonl(text=["a"]), "row 40: column 'text'"),
    "a lone surrogate": ("x.jsonl", jsonl(text="\ud800"), "row 40: column 'text'"),
    "an empty label": ("x.csv", (CSV + "text,\n").encode(), "row 40"),
    "a duplicate column": ("x.csv", CSV.replace("text,label", "text,text", 1).encode(), "'text'"),
    "bytes that are not UTF-8": ("x.csv", CSV.encode() + b"\xff\xfe,no\n", "line 42 is not UTF-8"),
    "UTF-16": ("x.csv", CSV.encode("utf-16"), "line 1 is not UTF-8"),
    "a ragged csv": ("x.csv", (CSV + "a,b,c\n").encode(), "line 42 has 3 columns"),
    "a quote that never ends": ("x.csv", (CSV + '"a,no\n').encode(), "line 42: double the quotes"),
    "another delimiter": ("x.csv", CSV.replace(",", "#").encode(), "it has: 'text#label'"),
    "quoted lines in a tsv": ("x.tsv", b'text\tlabel\n"a\nb"\tno\n', "line 2 has 1 columns"),
    "an empty csv": ("x.csv", b"", "x.csv is empty"),
    "an empty jsonl": ("x.jsonl", b"\n", "x.jsonl is empty"),
    "a header alone": ("x.csv", b"text,label\n", "no rows"),
    "a torn jsonl": ("x.jsonl", JSONL.encode()[:-9], "line 40 is not JSON"),
    "deeply nested JSON": ("x.jsonl", b"[" * 100_000, "line 1 is not JSON: maximum recursion"),
    "an array of rows": ("x.jsonl", b'[{"text": "a"}]', "line 1 is not an object"),
    "a key twice": ("x.jsonl", b'{"text": "a", "text": "b"}', "line 1 has a key twice"),
    "a torn gzip file": ("x.csv.gz", gzip.compress(CSV.encode())[:-9], "x.csv.gz: Compressed"),
    "a parquet that is none": ("x.parquet", b"PAR1 not really", "x.parquet"),
}


def load(train: Path, test: Path | None = None):
    return files(
        train=str(train),
        validation=None,
        test=None if test is None else str(test),
        text_column="text",
        label_column="label",
        validation_size=0.1,
        test_size=0.2,
        split_seed=0,
    )


@pytest.mark.parametrize("fault", REJECTED)
def test_it_is_rejected_in_one_line(fault: str, tmp_path: Path) -> None:
    name, content, message = REJECTED[fault]
    (tmp_path / name).write_bytes(content)
    assert message in rejection(lambda: load(tmp_path / name))


POLICIES = {
    "a NUL": ["before \0 after"],
    "a very long text": ["word " * 20_000],
    "emoji and scripts": ["\N{PILE OF POO} жук 虫"],
    "nothing but padding": ["", "   "],
}


@pytest.mark.parametrize("policy", POLICIES)
def test_odd_texts_stay_as_they_are_and_train(policy: str, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in JSONL.splitlines()]
    odd = POLICIES[policy] * 4
    for row, text in zip(rows, odd, strict=False):
        row["text"] = text
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    texts = [text for split in load(tmp_path / "x.jsonl").values() for text in split["text"]]
    assert sorted(texts) == sorted(row["text"] for row in rows)
    own = [*TINY, "dataset=files", f"dataset.train={tmp_path / 'x.jsonl'}"]
    session = Session()
    (spec,) = plan(tmp_path / "outputs", *own, session=session)
    record = run_one(spec, session)
    assert isinstance(record, RunRecord)
    assert record.ok
    assert record.data.blank_texts == (8 if policy == "nothing but padding" else 0)
    assert record.data.cut_texts == (4 if policy == "a very long text" else 0)


def test_a_byte_order_mark_is_not_part_of_a_column_name(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"\xef\xbb\xbf" + CSV.encode())
    assert load(tmp_path / "x.csv")["train"].column_names == ["text", "label"]


def test_integer_and_string_labels_share_one_map(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text(JSONL)
    (tmp_path / "test.csv").write_text("text,label\na,1\nb,0\n")
    splits = load(tmp_path)
    assert splits["train"].features["label"].names == ["0", "1"]
    assert list(splits["test"]["label"]) == [1, 0]
