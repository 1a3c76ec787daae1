"""Scores, lists of labels and grades mean the same in every type of file; others are rejected."""

from pathlib import Path

import datasets
import pytest

from poolbench.core.errors import UserError
from poolbench.data import loaders
from poolbench.data.columns import Names, typed
from poolbench.data.needs import Columns
from poolbench.data.tables import Table, from_dataset
from tests.data.table_files import write

LISTS = [["b"], [], ["a", "c"], ["b", "a"]] * 10
SCORES = [0.5, 3, -2e-3, 1e6] * 10
GRADES = [1, 2, 0, 1] * 10


def rows_of(columns: Columns, values: list[object]) -> list[dict[str, object]]:
    names = Names.of(columns)
    rows = [{names.text: f"one {i}", names.label: value} for i, value in enumerate(values)]
    return (
        [row | {names.text_b: f"two {i}"} for i, row in enumerate(rows)] if names.text_b else rows
    )


@pytest.mark.parametrize(
    ("columns", "values"),
    [
        (Columns(1, "score"), SCORES),
        (Columns(2, "score"), SCORES),
        (Columns(1, "labels"), LISTS),
        (Columns(2, "relevance"), [max(grade, 1) for grade in GRADES]),
    ],
    ids=["score", "score of a pair", "labels", "relevance"],
)
def test_every_file_type_gives_the_same_data(
    tmp_path: Path, columns: Columns, values: list[object]
) -> None:
    found = []
    for suffix in ("csv", "tsv", "jsonl", "parquet"):
        rows = rows_of(columns, values)
        file = str(write(tmp_path / f"train.{suffix}", rows))
        given = {"validation": file, "test": file}
        found.append(loaders.files(file, **given, columns=columns))
    assert len({loaders.digest(splits) for splits in found}) == 1
    table = found[0]["test"]
    label = table.features["label"]
    if columns.target == "labels":
        assert label.feature.names == ["a", "b", "c"]
        names = [[label.feature.names[i] for i in one] for one in table["label"]]
        assert names == [sorted(value) for value in values]
    else:
        assert label == datasets.Value("float64")
        assert table["label"][:] == [float(value) for value in values]
    assert table["text"][:2] == ["one 0", "one 1"]
    assert table.column_names == ["text", *(["text_b"] if columns.texts == 2 else []), "label"]


def test_class_names_of_a_list_column_are_kept_and_integers_are_sorted_as_numbers() -> None:
    names = ["world", "sport", "arts"]
    kind = datasets.List(datasets.ClassLabel(names=names))
    features = datasets.Features({"text": datasets.Value("string"), "labels": kind})
    table = datasets.Dataset.from_dict({"text": ["a", "b"], "labels": [[2, 0], []]}, features)
    columns = Columns(1, "labels")
    read = from_dataset(table, ["text", "labels"], [], "train")
    ready = typed({"train": read}, Names.of(columns), columns)["train"]
    assert ready.features["label"].feature.names == names
    assert ready["label"][:] == [[0, 2], []]
    numbers = Table({"text": ["a", "b"], "labels": [[10, 9], [2]]})
    ready = typed({"train": numbers}, Names.of(columns), columns)["train"]
    assert ready.features["label"].feature.names == ["2", "9", "10"]
    assert ready["label"][:] == [[1, 2], [0]]


def test_another_separator_cuts_lists_and_brackets_are_json() -> None:
    table = Table({"text": ["a", "b"], "labels": ["x, y | z", ' ["z", "x, y"]']})
    columns = Columns(1, "labels")
    ready = typed({"train": table}, Names.of(columns), columns, "|")["train"]
    assert ready.features["label"].feature.names == ["x, y", "z"]
    assert ready["label"][:] == [[0, 1], [0, 1]]


REJECTED: dict[str, tuple[Columns, list[object], str]] = {
    "a word for a score": (Columns(1, "score"), [1, "high"], "row 1: column 'score' contains 'hi"),
    "no score": (Columns(1, "score"), [1, None], "row 1: .*contains nothing, expected a finite"),
    "an empty cell": (Columns(1, "score"), ["1", ""], "row 1: .*contains nothing, expected a fin"),
    "not a number": (Columns(1, "score"), [1, float("nan")], "row 1: .*contains nan"),
    "not a number in a csv": (Columns(1, "score"), ["1", "nan"], "row 1: .*contains 'nan'"),
    "infinity": (Columns(1, "score"), [1, float("-inf")], "row 1: .*contains -inf"),
    "more than a float holds": (Columns(1, "score"), [1, "1e999"], "row 1: .*'1e999'"),
    "an integer beyond floats": (Columns(1, "score"), [1, 10**400], "row 1: .*expected a finite"),
    "a truth value": (Columns(1, "score"), [1, True], "row 1: .*True .bool"),
    "digits with a separator": (Columns(1, "score"), ["1", "1_000"], "row 1: .*'1_000'"),
    "a decimal comma": (Columns(1, "score"), ["1", "1,5"], "row 1: .*'1,5'"),
    "a single score": (Columns(1, "score"), [2, 2.0], "train has a single score, 2.0"),
    "no list": (Columns(1, "labels"), [["a"], None], "row 1: column 'labels' contains nothing"),
    "a fraction in a list": (Columns(1, "labels"), [["a", 0.5]], "row 0: .*different integers"),
    "an empty label": (Columns(1, "labels"), ["a,,b"], "row 0: .*different integers"),
    "a label twice": (Columns(1, "labels"), [["a", "a"]], "row 0: .*different integers"),
    "a list as Python writes it": (Columns(1, "labels"), ["['a', 'b']"], "row 0: .*JSON"),
    "a number in brackets": (Columns(1, "labels"), ["[1.5]"], "row 0: .*different integers"),
    "nothing but empty lists": (Columns(1, "labels"), [[], ""], "train has no labels.*'labels'"),
    "a negative grade": (Columns(2, "relevance"), [1, -1], "row 1: .*-1.0.*cannot be negative"),
    "a word for a grade": (Columns(2, "relevance"), [1, "high"], "row 1: .*a finite number"),
}


@pytest.mark.parametrize("fault", REJECTED)
def test_unusable_labels_are_rejected_by_split_and_row(fault: str) -> None:
    columns, values, message = REJECTED[fault]
    rows = rows_of(columns, values)
    table = Table({name: [row[name] for row in rows] for name in rows[0]})
    with pytest.raises(UserError, match=message):
        typed({"train": table}, Names.of(columns), columns)


def test_a_label_that_train_lacks_is_named() -> None:
    tables = {
        split: Table({"text": ["x"], "labels": [labels]})
        for split, labels in (("train", ["a"]), ("test", ["a", "z"]))
    }
    columns = Columns(1, "labels")
    with pytest.raises(UserError, match="test row 0: label 'z' does not occur in train"):
        typed(tables, Names.of(columns), columns)


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        (Columns(), ["text", "label"]),
        (Columns(2), ["text_a", "label", "text_b"]),
        (Columns(2, "score"), ["text_a", "score", "text_b"]),
        (Columns(1, "labels"), ["text", "labels"]),
        (Columns(2, "relevance"), ["query", "document"]),
    ],
    ids=str,
)
def test_columns_have_the_names_of_the_task(columns: Columns, names: list[str]) -> None:
    assert Names.of(columns).required == names
    own = Names.of(columns, "a", "b" if columns.texts == 2 else None, "c", "d").required
    assert own == ["a", "c", "b", "d"] if columns.texts == 2 else ["a", "c", "d"]


def test_missing_columns_are_named_with_the_nearest_one(tmp_path: Path) -> None:
    file = str(write(tmp_path / "train.csv", rows_of(Columns(2, "score"), SCORES)))
    with pytest.raises(UserError, match="no column 'text': did you mean 'text_b'"):
        loaders.files(file, columns=Columns(1, "score"))
    with pytest.raises(UserError, match="no column 'scores': did you mean 'score'"):
        loaders.files(file, columns=Columns(2, "score"), label_column="scores")
    with pytest.raises(UserError, match=r"dataset\.text_b_column=text_b: this task has one text"):
        loaders.files(file, columns=Columns(1, "score"), text_b_column="text_b")
    with pytest.raises(UserError, match="rotten_tomatoes has single texts of two classes"):
        loaders.movie_reviews("rotten_tomatoes", columns=Columns(2, "score"))
