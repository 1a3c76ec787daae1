"""Labels are mapped by the classes of train; unusable values are errors that name the row."""

import datasets
import pytest

from poolbench.core.errors import UserError
from poolbench.data.columns import Names, typed
from poolbench.data.needs import Columns
from poolbench.data.tables import Table, from_dataset


def prepared(train: dict[str, list[object]], **splits: dict[str, list[object]]):
    tables = {name: Table(table) for name, table in {"train": train, **splits}.items()}
    return typed(tables, Names.of(Columns()), Columns())


def test_integers_are_sorted_as_numbers_and_strings_as_words() -> None:
    numbers = prepared({"text": ["a", "b", "c"], "label": [10, 9, 2]})["train"]
    assert numbers.features["label"].names == ["2", "9", "10"]
    assert list(numbers["label"]) == [2, 1, 0]
    words = prepared({"text": ["a", "b"], "label": ["spam", "ham"]})["train"]
    assert words.features["label"].names == ["ham", "spam"]


def test_classes_may_have_any_characters() -> None:
    odd = ["²", "--1", "7", "07", " ", "a b", "\N{PILE OF POO}", "9" * 5000, "\0"]
    table = prepared({"text": odd, "label": list(odd)})["train"]
    names = table.features["label"].names
    assert names == sorted(odd)
    assert [names[label] for label in table["label"]] == odd
    # Equal numbers that are spelled differently are different classes, in a fixed order.
    table = prepared({"text": list("abc"), "label": ["7", "07", "-1"]})["train"]
    assert table.features["label"].names == ["-1", "07", "7"]


def test_groups_become_strings_and_are_never_missing() -> None:
    train = Table({"text": ["a", "b"], "label": [0, 1], "author": [3, "x"]})
    names = Names.of(Columns(), group="author")
    table = typed({"train": train}, names, Columns())["train"]
    assert table["group"][:] == ["3", "x"]
    train.columns["author"][1] = None
    with pytest.raises(UserError, match=r"train row 1: column 'author' contains nothing"):
        typed({"train": train}, names, Columns())


def test_the_label_map_of_train_is_used_for_every_split() -> None:
    both = prepared(
        {"text": ["a", "b", "c"], "label": ["x", "y", "z"]}, test={"text": ["d"], "label": ["z"]}
    )
    assert list(both["test"]["label"]) == [2]


def test_class_names_of_the_source_are_kept() -> None:
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["world", "sport"])}
    )
    table = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [1, 1]}, features=features)
    tables = {"train": from_dataset(table, ["text", "label"], [], "train")}
    ready = typed(tables, Names.of(Columns()), Columns())["train"]
    assert ready.features["label"].names == ["world", "sport"]
    assert list(ready["label"]) == [1, 1]


GOOD = {"text": ["a", "b"], "label": [0, 1]}
REJECTED = {
    "no rows": ({"text": [], "label": []}, {}, "train has no rows"),
    "a number for a text": ({"text": [1, 2], "label": [0, 1]}, {}, "train row 0.*expected text"),
    "no text": ({"text": ["a", None], "label": [0, 1]}, {}, "train row 1.*contains nothing"),
    "no label": ({"text": ["a", "b"], "label": [0, None]}, {}, "train row 1.*contains nothing"),
    "a fraction for a label": ({"text": ["a"], "label": [0.5]}, {}, "0.5 .float.*an integer"),
    "a truth value for a label": ({"text": ["a"], "label": [True]}, {}, "True .bool.*an integer"),
    "a lone surrogate": ({"text": ["a", "\ud800"], "label": [0, 1]}, {}, "train row 1.*text"),
    "a single class": ({"text": ["a", "b"], "label": [1, 1]}, {}, "a single class"),
    "a label that train lacks": (GOOD, {"text": ["c"], "label": [7]}, "test row 0: label '7'"),
    "a hidden test split": (GOOD, {"text": ["c"], "label": [-1]}, "hidden test split"),
}


@pytest.mark.parametrize("fault", REJECTED)
def test_unusable_values_are_rejected_by_split_and_row(fault: str) -> None:
    train, test, message = REJECTED[fault]
    with pytest.raises(UserError, match=message):
        prepared(train, **({"test": test} if test else {}))
