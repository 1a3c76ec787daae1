"""The matrix of bad input: a one-line error that names file, row or key, or a stated policy."""

import json
from pathlib import Path

import pytest

from poolbench.core.errors import BadInput
from tests.conftest import SMALL, asked

GOOD = [f'"text number {i}",{"yes" if i % 2 else "no"}' for i in range(40)]
CSV = "text,label\n" + "\n".join(GOOD) + "\n"
JSONL = "".join(json.dumps({"text": f"text {i}", "label": i % 2}) + "\n" for i in range(40))


def jsonl(**changed: object) -> bytes:
    row = {"text": "a text", "label": 1} | changed
    return (JSONL + json.dumps(row) + "\n").encode()


REFUSED: dict[str, tuple[str, bytes, str]] = {
    "a text that is None": ("x.jsonl", jsonl(text=None), "row 40.*holds nothing"),
    "texts that are numbers": (
        "x.jsonl",
        b"".join(b'{"text": %d, "label": %d}\n' % (i, i % 2) for i in range(9)),
        "row 0.*expected text",
    ),
    "a text that is a list": ("x.jsonl", jsonl(text=["a"]), "x.jsonl"),
    "a lone surrogate": ("x.jsonl", jsonl(text="\ud800"), "x.jsonl"),
    "a label that is None": ("x.jsonl", jsonl(label=None), "row 40.*holds nothing"),
    "an empty label": ("x.csv", (CSV + "text,\n").encode(), "row 40.*holds nothing"),
    "labels that are fractions": (
        "x.jsonl",
        b"".join(b'{"text": "t%d", "label": %d.5}\n' % (i, i % 2) for i in range(9)),
        "row 0.*expected an integer or a string",
    ),
    "a single class": ("x.csv", b"text,label\na,x\nb,x\nc,x\n", "a single class"),
    "a missing column": (
        "x.csv",
        CSV.replace("label", "lable", 1).encode(),
        "did you mean 'lable'",
    ),
    "a column that stands there twice": (
        "x.csv",
        CSV.replace("text,label", "text,text", 1).encode(),
        "column 'text' stands there twice",
    ),
    "bytes that are no UTF-8": ("x.csv", CSV.encode() + b"\xff\xfe,no\n", "x.csv.*UTF8"),
    "a ragged csv": ("x.csv", (CSV + "a,b,c\n").encode(), "x.csv.*Expected 2 columns, got 3"),
    "zero bytes": ("x.csv", b"", "x.csv.*[Ee]mpty"),
    "zero bytes of jsonl": ("x.jsonl", b"", "x.jsonl.*[Ee]mpty"),
    "a header alone": ("x.csv", b"text,label\n", "no rows"),
    "a torn jsonl": ("x.jsonl", JSONL.encode()[:-9], "x.jsonl"),
    "no parquet inside": ("x.parquet", b"PAR1 not really", "x.parquet"),
}


def plan_of(file: Path, output: Path, *overrides: str):
    from poolbench.training.sweep import plan

    one = asked(
        *SMALL,
        "encoder=scratch",
        "encoder.layers=1",
        "dataset=files",
        f"dataset.train={file}",
        f"output_dir={output}",
        *overrides,
    )
    return plan([one])[0]


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "outputs"


@pytest.mark.parametrize("fault", REFUSED)
def test_it_is_refused_in_one_line_and_nothing_is_written(
    fault: str, tmp_path: Path, output: Path
) -> None:
    name, content, message = REFUSED[fault]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=message) as refused:
        plan_of(tmp_path / name, output)
    assert "\n" not in str(refused.value)
    assert not output.exists()


def test_a_label_that_only_test_has_is_refused(tmp_path: Path, output: Path) -> None:
    (tmp_path / "train.csv").write_text(CSV)
    (tmp_path / "test.csv").write_text("text,label\na,no\nb,perhaps\n")
    with pytest.raises(BadInput, match="test row 1: label 'perhaps' never occurs in train"):
        plan_of(tmp_path, output)


POLICIES = {
    "words that look like missing values": ["NA", "null", "None", "nan"],
    "a NUL": ["before \0 after"],
    "a very long text": ["word " * 200_000],
    "emoji and scripts": ["\N{PILE OF POO} жук 虫"],
    "nothing but padding": ["", "   "],
}


@pytest.mark.parametrize("policy", POLICIES)
def test_odd_texts_stay_as_they_are_and_train(policy: str, tmp_path: Path, output: Path) -> None:
    from poolbench.training.sweep import run_one

    rows = [json.loads(line) for line in JSONL.splitlines()]
    for i, text in enumerate(POLICIES[policy] * 4):
        rows[i]["text"] = text
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    planned = plan_of(tmp_path / "x.jsonl", output)
    record = run_one(planned)
    assert record["status"] == "ok"
    assert record["data"]["blank_texts"] == (8 if policy == "nothing but padding" else 0)
    assert record["data"]["cut_texts"] == (4 if policy == "a very long text" else 0)


def test_a_byte_order_mark_is_no_part_of_a_column_name(tmp_path: Path, output: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"\xef\xbb\xbf" + CSV.encode())
    assert plan_of(tmp_path / "x.csv", output).cell.dataset == "x"


def test_integer_and_string_labels_give_one_map_for_all_splits(tmp_path: Path) -> None:
    from poolbench.training.session import prepare

    (tmp_path / "train.jsonl").write_text(JSONL)
    (tmp_path / "test.csv").write_text("text,label\na,1\nb,0\n")
    planned = plan_of(tmp_path, tmp_path / "outputs")
    corpus = prepare(planned.asked.cfg).corpus
    assert corpus.class_names == ("0", "1")
    assert corpus.labels[corpus.splits["test"].start :].tolist() == [1, 0]


def test_names_of_files_cannot_leave_the_output_folder(tmp_path: Path, output: Path) -> None:
    (tmp_path / "..x.csv").write_text(CSV)
    folder = plan_of(tmp_path / "..x.csv", output).cell.folder
    assert output.resolve() in folder.resolve().parents


def test_an_output_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    from poolbench.training.sweep import declare_all

    (tmp_path / "x.csv").write_text(CSV)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BadInput, match="cannot write to"):
        declare_all([plan_of(tmp_path / "x.csv", tmp_path / "file")])
