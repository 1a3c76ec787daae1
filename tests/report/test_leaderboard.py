"""One table over all studies: what may share a row, what is stale, and what has no result."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from poolbench.report.leaderboard import Row, read_leaderboard
from poolbench.report.leaderboard_page import commands, leaderboard_page
from poolbench.runs.record import (
    RECORD,
    Predictions,
    read_predictions,
    read_record,
    write_record,
)
from tests.report.reading import Tags
from tests.report.written import EXAMPLES, declare, write_cell, write_study

OLD, NEW = ({"commit": letter * 40, "modified": False} for letter in "ab")


def written_at(place: Path, seconds: float) -> Path:
    os.utime(place / RECORD, (seconds, seconds))
    return place


def cell_of(root: Path, pooler: str, seed: int, at: float = 0.0, **changed: Any) -> Path:
    return written_at(write_cell(root / "study", pooler, seed, revision=NEW, **changed), at)


def digests(**changed: str) -> Mapping[str, Any]:
    return {"order": ["o"], "tokens": "t", "test_ids": "i", "data": "d", "encoder": "e"} | changed


def rewrite(place: Path, kept: Predictions) -> None:
    """Give a cell other predictions."""
    record = read_record(place)
    share = float((kept.predictions == kept.labels).mean())
    record["metrics"]["test/accuracy"] = share
    write_record(place, record, kept)


def rows(root: Path) -> list[tuple[str, int, tuple[str, ...], tuple[str, ...]]]:
    found = read_leaderboard(root).rows
    return [(r.cell.pooler, len(r.results), r.unusual, r.stale) for r in found]


def only(root: Path) -> Row:
    (row,) = read_leaderboard(root).rows
    return row


def test_seeds_of_one_configuration_share_a_row_across_studies(tmp_path: Path) -> None:
    write_study(tmp_path / "a", {"mean": 0.8}, seeds=[0, 1])
    write_study(tmp_path / "b", {"mean": 0.8}, seeds=[2])
    row = only(tmp_path)
    found = [r.cell.metric("test/accuracy") for r in row.results]
    assert [r.cell.seed for r in row.results] == [0, 1, 2]
    assert row.mean.value == pytest.approx(100 * np.mean(found))
    low, high = row.mean.interval
    assert low < row.mean.value < high


def test_without_spread_over_seeds_the_interval_is_that_of_the_examples(tmp_path: Path) -> None:
    places = [write_cell(tmp_path, "mean", seed) for seed in range(4)]
    kept = read_predictions(places[0])
    for place in places[1:]:
        rewrite(place, kept)
    row = only(tmp_path)
    right = (kept.predictions == kept.labels).astype(float)
    error = right.std(ddof=1) / np.sqrt(EXAMPLES)
    half = 100 * stats.t.ppf(0.975, EXAMPLES - 1) * error
    assert row.mean.interval == pytest.approx((row.mean.value - half, row.mean.value + half))


def test_a_single_seed_has_no_interval(tmp_path: Path) -> None:
    cell_of(tmp_path, "mean", 0)
    assert only(tmp_path).mean.interval is None


def test_two_revisions_are_two_rows_and_the_older_is_stale(tmp_path: Path) -> None:
    for seed in (0, 1):
        written_at(write_cell(tmp_path / "old", "mean", seed, 0.9, revision=OLD), 10)
        written_at(write_cell(tmp_path / "new", "mean", seed, 0.6, revision=NEW), 20)
    assert rows(tmp_path) == [("mean", 2, (), ()), ("mean", 2, (), ("other code",))]
    current = read_leaderboard(tmp_path).rows[0]
    assert current.mean.value < 70
    # The same files written the other way round: nothing but their times says which is newer.
    for place in (tmp_path / "old").rglob(RECORD):
        written_at(place.parent, 30)
    assert read_leaderboard(tmp_path).rows[0].mean.value > 80


def test_uncommitted_changes_are_another_code(tmp_path: Path) -> None:
    written_at(write_cell(tmp_path / "a", "mean", 0, revision=NEW), 1)
    written_at(write_cell(tmp_path / "b", "mean", 1, revision=NEW | {"modified": True}), 2)
    assert [stale for *_, stale in rows(tmp_path)] == [(), ("other code",)]


def test_variants_are_rows_of_their_own_with_what_differs(tmp_path: Path) -> None:
    for digest, lr in (("d0", 0.001), ("d1", 0.003)):
        config = {"optimizer": {"lr": lr, "_target_": "torch.optim.AdamW"}}
        cell_of(tmp_path, "mean", 0, digest=digest, config=config)
    config = {"optimizer": {"lr": 0.001, "_target_": "torch.optim.Adam"}}
    cell_of(tmp_path, "cls", 0, config=config)
    told = {unusual for _, _, unusual, _ in rows(tmp_path)}
    assert told == {(), ("optimizer.lr=0.003",), ("optimizer=Adam",)}
    assert {stale for *_, stale in rows(tmp_path)} == {()}


def test_knobs_are_compared_with_the_same_poolers_only(tmp_path: Path) -> None:
    for pooler, width in (("cls", 1), ("mean", 2), ("conv", 3)):
        cell_of(tmp_path, pooler, 0, config={"pooler": {"width": width}})
    assert {unusual for _, _, unusual, _ in rows(tmp_path)} == {()}
    cell_of(tmp_path, "conv", 0, digest="d1", config={"pooler": {"width": 4}})
    told = {unusual for pooler, _, unusual, _ in rows(tmp_path) if pooler == "conv"}
    assert told == {("pooler.width=3",), ("pooler.width=4",)}


@pytest.mark.parametrize("name", ["data", "encoder", "tokens"])
def test_other_contents_under_the_same_settings_are_stale(tmp_path: Path, name: str) -> None:
    cell_of(tmp_path, "mean", 0, at=1, digests=digests(**{name: "before"}))
    cell_of(tmp_path, "cls", 0, at=2, digests=digests())
    assert {p: stale for p, _, _, stale in rows(tmp_path)} == {
        "cls": (),
        "mean": (f"other {name}",),
    }


def test_data_cut_on_purpose_is_a_variant_and_makes_nothing_stale(tmp_path: Path) -> None:
    for at, most, data in ((1, None, "d"), (2, 200, "small")):
        config = {"dataset": {"max_examples": most}}
        found = digests(data=data, tokens=data)
        cell_of(tmp_path, "mean", 0, at=at, digest=data, config=config, digests=found)
    assert {stale for *_, stale in rows(tmp_path)} == {()}


def test_an_older_record_schema_is_stale_whenever_it_was_written(tmp_path: Path) -> None:
    cell_of(tmp_path, "mean", 0, at=9, schema_version=1)
    cell_of(tmp_path, "cls", 0, at=1, schema_version=2)
    stale = {p: stale for p, _, _, stale in rows(tmp_path)}
    assert stale == {"cls": (), "mean": ("record schema 1, now 2",)}


def test_other_datasets_and_encoders_make_nothing_stale(tmp_path: Path) -> None:
    written_at(write_cell(tmp_path / "a", "mean", 0, revision=OLD), 1)
    written_at(write_cell(tmp_path / "a", "mean", 0, dataset="news", revision=NEW), 2)
    assert {stale for *_, stale in rows(tmp_path)} == {()}


def test_a_cell_trained_twice_counts_once_and_other_results_are_named(tmp_path: Path) -> None:
    written_at(write_cell(tmp_path / "a", "mean", 0, 0.9), 1)
    written_at(write_cell(tmp_path / "b", "mean", 0, 0.9), 2)
    board = read_leaderboard(tmp_path)
    assert len(board.rows[0].results) == 1
    assert board.notes == ("Trained more than once: 1 cell; of each the newest counts.",)
    written_at(write_cell(tmp_path / "b", "mean", 0, 0.6), 2)
    board = read_leaderboard(tmp_path)
    assert board.rows[0].mean.value < 70
    assert "The same cell with other results: a/reviews" in board.notes[1]


def test_a_row_has_one_command_for_its_seeds(tmp_path: Path) -> None:
    study = write_study(tmp_path / "planned", {"mean": 0.8}, seeds=[0, 1, 2])
    declare(study, [{"pooler": "mean", "seed": seed} for seed in (0, 1)])
    assert commands(only(tmp_path)) == ["python train.py -m pooler=mean seed=0,1"]
    page = Tags(leaderboard_page(read_leaderboard(tmp_path))).text
    assert "python train.py -m pooler=mean seed=0,1" in page
    assert "no command kept for1 cell" in page
    declare(study, [{"pooler": "mean", "seed": 2}])
    assert commands(only(tmp_path)) == ["python train.py pooler=mean seed=2"]


def test_commands_that_differ_in_more_than_the_seed_stay_apart(tmp_path: Path) -> None:
    study = write_study(tmp_path / "planned", {"mean": 0.8}, seeds=[0, 1])
    declare(study, [{"pooler": "mean", "seed": seed} for seed in (0, 1)])
    plan = json.loads((study / "study.json").read_text())
    plan["cells"][1]["command"] += " study=other"
    (study / "study.json").write_text(json.dumps(plan))
    assert commands(only(tmp_path)) == [
        "python train.py pooler=mean seed=0",
        "python train.py pooler=mean seed=1 study=other",
    ]


def test_macro_f1_is_ranked_by_itself(tmp_path: Path) -> None:
    for pooler, accuracy, f1 in (("mean", 0.9, 0.2), ("cls", 0.8, 0.3)):
        for seed in range(2):
            metrics = {"test/accuracy": accuracy, "test/f1_macro": f1}
            write_cell(tmp_path, pooler, seed, metrics=metrics)
    found = read_leaderboard(tmp_path, "f1_macro").rows
    assert [(r.cell.pooler, round(r.mean.value)) for r in found] == [("cls", 30), ("mean", 20)]
