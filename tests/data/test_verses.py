"""Verses of two translations: read without importing, aligned by number, split by verse."""

import itertools
import sys
from collections import Counter
from pathlib import Path

import datasets
import pytest
import yaml

from poolbench.core.errors import UserError
from poolbench.data.needs import Columns
from poolbench.data.verses import SHA256, read_verses, verses
from tests.conftest import ROOT

MODULE = '''
from somewhere import Bible, Version
raise_if_run = None
bible = Bible(
    Version.ANY,
    """1. In the beginning. 2.  And  the\nearth""",
    {1001001: 0, 1001002: 20},
    {1001001: 20, 1001002: 42},
    {Book.GENESIS: {1: 31}},
)
'''


def load(columns: Columns, **options: object) -> datasets.DatasetDict:
    file = yaml.safe_load((ROOT / "conf/dataset/verses.yaml").read_text())
    del file["_target_"]
    return verses(columns=columns, **file | options)


def overlap(a: str, b: str) -> float:
    first, second = set(a.lower().split()), set(b.lower().split())
    return len(first & second) / len(first | second)


def test_a_module_is_read_without_running_it_and_numbers_are_checked(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(MODULE.replace("raise_if_run = None\n", "raise_if_run: int\n"))
    assert read_verses(tmp_path / "a.py") == {
        1001001: "In the beginning.",
        1001002: "And the earth",
    }
    (tmp_path / "a.py").write_text(
        MODULE.replace("raise_if_run = None\n", "").replace(" 2. ", " 3. ")
    )
    with pytest.raises(UserError, match=r"a\.py: verse 1001002 does not start with its number"):
        read_verses(tmp_path / "a.py")


def test_two_thousand_queries_search_all_verses() -> None:
    splits = load(Columns(2, "relevance"))
    queries = {split: set(table["text"]) - {None} for split, table in splits.items()}
    assert [len(found) for found in queries.values()] == [800, 200, 1000]
    assert len(set.union(*queries.values())) == 2000
    documents = {document for table in splits.values() for document in table["text_b"]}
    assert len(documents) == 30_786  # some of the 31,014 verses are repeated
    assert not [text for text in documents if text[0].isdigit() or "  " in text]
    rows = [row for row in splits["test"] if row["text"]]
    aligned = sum(overlap(row["text"], row["text_b"]) for row in rows) / len(rows)
    others = itertools.pairwise(rows)
    assert aligned > 0.3 > 3 * sum(overlap(a["text"], b["text_b"]) for a, b in others) / len(rows)
    assert not set(SHA256) & set(sys.modules)


def test_paraphrases_are_nearer_than_next_verses_and_verses_stay_whole() -> None:
    splits = load(Columns(2, "class"), queries=600, test_size=0.5)
    assert splits["train"].features["label"].names == ["next verse", "paraphrase"]
    groups = {split: Counter(table["group"]) for split, table in splits.items()}
    assert sum(map(len, groups.values())) == 600
    assert {count for found in groups.values() for count in found.values()} == {2}
    for table in splits.values():
        near: list[list[float]] = [[], []]
        for row in table:
            near[row["label"]].append(overlap(row["text"], row["text_b"]))
        assert len(near[0]) == len(near[1])
        assert sum(near[1]) > 2 * sum(near[0])


def test_books_can_stay_whole_and_other_tasks_are_rejected() -> None:
    splits = load(Columns(2, "relevance"), group_column="book", validation_size=0.2, test_size=0.2)
    books = [{row["group"] for row in table if row["text"]} for table in splits.values()]
    assert sum(map(len, books)) == len(set.union(*books)) > 50
    for columns in (Columns(), Columns(2, "score"), Columns(1, "labels")):
        with pytest.raises(UserError, match="set task=retrieval or task=pair_classification"):
            load(columns)
