"""The layout of BEIR: from a folder and in the hub's layout; ids are checked."""

import gzip
from pathlib import Path
from typing import Any

import pytest

from poolbench.core.errors import UserError
from poolbench.data.beir import beir
from poolbench.data.loaders import digest
from poolbench.data.needs import Columns
from tests.data.table_files import write as write_table

RELEVANCE = Columns(2, "relevance")
CORPUS = [{"_id": f"d{i}", "title": "Title" if i % 2 else "", "text": f"{i}"} for i in range(30)]
QUERIES = [{"_id": str(i), "text": f"query {i}"} for i in range(25)]  # of which 5 are not used
QRELS = {
    "train": [(f"{i}", f"d{i}", 1) for i in range(10)],
    "dev": [(f"{i}", f"d{i}", 1) for i in range(10, 15)],
    "test": [(f"{i}", f"d{i + j}", 2 - j) for i in range(15, 20) for j in range(3)],
}


def write(
    folder: Path,
    corpus: list[dict[str, Any]] = CORPUS,
    queries: list[dict[str, Any]] = QUERIES,
    **qrels: list[tuple[str, str, int]],
) -> str:
    (folder / "qrels").mkdir(parents=True)
    plain = write_table(folder / "corpus.jsonl", corpus)
    (folder / "corpus.jsonl.gz").write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    write_table(folder / "queries.jsonl", queries)
    for split, rows in (qrels or QRELS).items():
        lines = ["query-id\tcorpus-id\tscore", *("\t".join(map(str, row)) for row in rows)]
        (folder / "qrels" / f"{split}.tsv").write_text("\n".join(lines) + "\n")
    return str(folder)


def text_of(document: str) -> str:
    number = document.removeprefix("d")
    return f"Title {number}" if int(number) % 2 else number


def test_a_folder_gives_its_graded_pairs_and_the_whole_corpus(tmp_path: Path) -> None:
    splits = beir(write(tmp_path / "data"), columns=RELEVANCE)
    for split, name in (("train", "train"), ("validation", "dev"), ("test", "test")):
        found = [(r["text"], r["text_b"], r["label"]) for r in splits[split] if r["text"]]
        expected = [(f"query {q}", text_of(d), float(grade)) for q, d, grade in QRELS[name]]
        assert found == expected
    corpus = {document for table in splits.values() for document in table["text_b"]}
    assert corpus == {text_of(f"d{i}") for i in range(30)}
    assert sum(map(len, splits.values())) == 30 + 8  # rows with a query, documents without


def test_without_training_qrels_only_test_has_queries(tmp_path: Path) -> None:
    splits = beir(write(tmp_path / "data", test=QRELS["test"]), columns=RELEVANCE)
    assert [sum(q is not None for q in t["text"]) for t in splits.values()] == [0, 0, 15]
    both = beir(
        write(tmp_path / "both", test=QRELS["test"], train=QRELS["train"]), columns=RELEVANCE
    )
    assert [sum(q is not None for q in t["text"]) for t in both.values()] == [9, 1, 15]


def test_equal_texts_are_one_document_with_the_highest_grade(tmp_path: Path, caplog) -> None:
    twins = [*CORPUS, {"_id": "twin", "title": "", "text": "16"}]
    qrels = [*QRELS["test"], ("15", "twin", 5)]
    splits = beir(write(tmp_path / "data", twins, test=qrels), columns=RELEVANCE)
    grades = {(r["text"], r["text_b"]): r["label"] for r in splits["test"]}
    assert grades["query 15", "16"] == 5.0
    assert "1 documents repeat the text" in caplog.text


FAULTS = {
    "an unknown query": ({"test": [("99", "d1", 1)]}, "qrels of test row 0: query-id '99' is not"),
    "an unknown document": (
        {"test": [("1", "x", 1)]},
        "test row 0: corpus-id 'x' is not",
    ),
    "a repeated document": ({"corpus": [*CORPUS, CORPUS[3]]}, "corpus row 30: _id 'd3' is that of"),
    "a repeated query": ({"queries": [*QUERIES, QUERIES[0]]}, "queries row 25: _id '0' is that of"),
    "a document without text": (
        {"corpus": [*CORPUS, {"_id": "e"}]},
        "row 30: column 'text'",
    ),
    "a word for a grade": (
        {"test": [("1", "d1", "high")]},
        "row 0: column 'score' contains",
    ),
    "no test qrels": ({"train": QRELS["train"]}, "qrels has no test file"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_named(fault: str, tmp_path: Path) -> None:
    changed, message = FAULTS[fault]
    with pytest.raises(UserError, match=message):
        beir(write(tmp_path / "data", **changed), columns=RELEVANCE)


def test_other_tasks_and_incomplete_folders_are_rejected(tmp_path: Path) -> None:
    folder = write(tmp_path / "data")
    with pytest.raises(UserError, match="set task=retrieval"):
        beir(folder)
    (tmp_path / "data" / "queries.jsonl").unlink()
    with pytest.raises(UserError, match="has no queries file"):
        beir(folder, columns=RELEVANCE)


def test_max_examples_counts_queries(tmp_path: Path) -> None:
    splits = beir(write(tmp_path / "data"), columns=RELEVANCE, max_examples=2)
    assert [len(set(table["text"]) - {None}) for table in splits.values()] == [2, 2, 2]
    assert len({document for table in splits.values() for document in table["text_b"]}) == 30
    assert digest(splits) != digest(beir(str(tmp_path / "data"), columns=RELEVANCE))
