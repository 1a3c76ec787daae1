"""One table over all studies: what shares a row, what is stale, and what has no result."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from poolbench.report.build import findings_of
from poolbench.report.leaderboard import read_leaderboard
from poolbench.report.leaderboard_rows import Row
from poolbench.runs.identity import NEUTRAL_KEYS
from poolbench.runs.record import RECORD, RunRecord
from tests.report.studies import EXAMPLES, write_run, write_study

OLD, NEW = ({"commit": letter * 40, "modified": False} for letter in "ab")


def at(record: RunRecord, seconds: float) -> RunRecord:
    """The record as if it was written at this time."""
    os.utime(record.folder / RECORD, (seconds, seconds))
    return record


def digests(**changed: str) -> dict[str, Any]:
    return {"order": ["o"], "tokens": "t", "test_ids": "i", "data": "d", "encoder": "e"} | changed


def rows(root: Path) -> list[tuple[str, int, tuple[str, ...], tuple[str, ...]]]:
    found = read_leaderboard(root).rows
    return [(r.record.run.pooler, len(r.results), (*r.unusual,), (*r.stale,)) for r in found]


def only(root: Path) -> Row:
    (row,) = read_leaderboard(root).rows
    return row


def test_seeds_of_one_configuration_share_a_row_across_studies(tmp_path: Path) -> None:
    write_study(tmp_path / "a", {"mean": 0.8}, seeds=[0, 1])
    write_study(tmp_path / "b", {"mean": 0.8}, seeds=[2])
    row = only(tmp_path)
    found = [r.metrics["test/accuracy"] for r in row.results]
    assert [r.run.seed for r in row.results] == [0, 1, 2]
    assert row.mean.value == pytest.approx(100 * np.mean(found))
    low, high = row.mean.interval
    assert low < row.mean.value < high


def test_without_spread_over_seeds_the_interval_is_that_of_the_examples(tmp_path: Path) -> None:
    first = write_run(tmp_path, "mean", 0).predictions
    for seed in (1, 2, 3):
        write_run(tmp_path, "mean", seed, predictions=first.predicted)
    row = only(tmp_path)
    right = (first.predicted == first.targets).astype(float)
    half = 100 * stats.t.ppf(0.975, EXAMPLES - 1) * right.std(ddof=1) / np.sqrt(EXAMPLES)
    assert row.mean.interval == pytest.approx((row.mean.value - half, row.mean.value + half))


@pytest.mark.parametrize("by", ["revision", "digest"])
def test_other_code_is_a_row_of_its_own_and_the_older_is_stale(tmp_path: Path, by: str) -> None:
    for name, time, accuracy, revision in (("old", 10, 0.9, OLD), ("new", 20, 0.6, NEW)):
        state = {"digests": digests(code=name)} if by == "digest" else {"revision": revision}
        for seed in (0, 1):
            at(write_run(tmp_path / name, "mean", seed, accuracy, **state), time)
    assert rows(tmp_path) == [("mean", 2, (), ()), ("mean", 2, (), ("other code",))]
    assert read_leaderboard(tmp_path).rows[0].mean.value < 70
    # Only the times of the records say which is newer.
    for path in (tmp_path / "old").rglob(RECORD):
        os.utime(path, (30, 30))
    assert read_leaderboard(tmp_path).rows[0].mean.value > 80


def test_a_commit_that_changes_no_code_makes_nothing_stale(tmp_path: Path) -> None:
    for seed, revision in enumerate((OLD, NEW)):
        write_run(tmp_path, "mean", seed, revision=revision, digests=digests(code="same"))
    assert rows(tmp_path) == [("mean", 2, (), ())]


def test_variants_are_rows_of_their_own_with_their_unusual_settings(tmp_path: Path) -> None:
    for digest, lr in (("d0", 0.001), ("d1", 0.003)):
        config = {"optimizer": {"lr": lr, "_target_": "torch.optim.AdamW"}}
        write_run(tmp_path, "mean", 0, spec={"digest": digest, "config": config})
    config = {"optimizer": {"lr": 0.001, "_target_": "torch.optim.Adam"}}
    write_run(tmp_path, "cls", 0, spec={"config": config})
    assert {unusual for _, _, unusual, _ in rows(tmp_path)} == {
        (),
        ("optimizer.lr=0.003",),
        ("optimizer=Adam",),
    }
    assert {stale for *_, stale in rows(tmp_path)} == {()}


def test_settings_of_a_pooler_are_compared_with_the_same_pooler_only(tmp_path: Path) -> None:
    for pooler, width in (("cls", 1), ("mean", 2), ("conv", 3)):
        write_run(tmp_path, pooler, 0, spec={"config": {"pooler": {"width": width}}})
    assert {unusual for _, _, unusual, _ in rows(tmp_path)} == {()}
    write_run(tmp_path, "conv", 0, spec={"digest": "d1", "config": {"pooler": {"width": 4}}})
    found = {unusual for pooler, _, unusual, _ in rows(tmp_path) if pooler == "conv"}
    assert found == {("pooler.width=3",), ("pooler.width=4",)}


def test_neutral_settings_are_never_unusual(tmp_path: Path) -> None:
    for seed, value in enumerate((True, True, False)):
        config: dict[str, Any] = {}
        for key in NEUTRAL_KEYS:
            group, _, name = key.partition(".")
            config.setdefault(group, {}).update({name: value} if name else {"x": value})
        write_run(
            tmp_path, "mean", seed, spec={"config": config, "variant": "v", "digest": f"{seed}"}
        )
        write_run(tmp_path, f"p{seed}", seed, spec={"config": config})
    assert {unusual for _, _, unusual, _ in rows(tmp_path)} == {()}


@pytest.mark.parametrize("name", ["data", "encoder", "tokens"])
def test_other_contents_under_the_same_settings_are_stale(tmp_path: Path, name: str) -> None:
    at(write_run(tmp_path, "mean", 0, digests=digests(**{name: "before"})), 1)
    at(write_run(tmp_path, "cls", 0, digests=digests()), 2)
    assert {p: stale for p, _, _, stale in rows(tmp_path)} == {
        "cls": (),
        "mean": (f"other {name}",),
    }


def test_data_limited_by_a_setting_make_nothing_stale(tmp_path: Path) -> None:
    for time, most, data in ((1, None, "d"), (2, 200, "small")):
        spec = {"digest": data, "config": {"dataset": {"max_examples": most}}}
        at(write_run(tmp_path, "mean", 0, spec=spec, digests=digests(data=data, tokens=data)), time)
    assert {stale for *_, stale in rows(tmp_path)} == {()}


def test_other_datasets_make_nothing_stale(tmp_path: Path) -> None:
    at(write_run(tmp_path, "mean", 0, revision=OLD), 1)
    at(write_run(tmp_path, "mean", 0, spec={"dataset": "news"}, revision=NEW), 2)
    assert {stale for *_, stale in rows(tmp_path)} == {()}


def test_of_a_repeated_run_the_newest_counts(tmp_path: Path) -> None:
    for folder, time, accuracy in (("b", 2, 0.6), ("a", 1, 0.9)):
        at(write_run(tmp_path / folder, "mean", 0, accuracy), time)
    row = only(tmp_path)
    assert len(row.results) == 1
    assert row.mean.value < 70


def test_a_row_has_one_command_for_its_seeds(tmp_path: Path) -> None:
    write_study(tmp_path, {"mean": 0.8}, seeds=[0, 1])
    write_run(tmp_path, "mean", 2, spec={"command": ""})
    assert only(tmp_path).commands == ["python train.py -m pooler=mean seed=0,1"]


def test_macro_f1_has_its_own_ranking(tmp_path: Path) -> None:
    for pooler, accuracy, f1 in (("mean", 0.9, 0.2), ("cls", 0.8, 0.3)):
        for seed in range(2):
            metrics = {"test/accuracy": accuracy, "test/f1_macro": f1}
            write_run(tmp_path, pooler, seed, metrics=metrics)
    found = read_leaderboard(tmp_path, "f1_macro").rows
    assert [(r.record.run.pooler, round(r.mean.value)) for r in found] == [
        ("cls", 30),
        ("mean", 20),
    ]


# The matrix


def matrix(root: Path) -> pd.DataFrame:
    return read_leaderboard(root).overview().frame


def test_the_best_group_is_that_of_a_study_with_the_same_runs(tmp_path: Path) -> None:
    study = write_study(tmp_path / "a", {"cls": 0.6, "mean": 0.89}, range(5))
    other = write_study(tmp_path / "b", {"conv": 0.9, "pitfall-sum": 0.95}, range(5))
    write_study(tmp_path / "c", {"max": 0.99}, range(6))  # other seeds: it cannot be paired
    found = {cell.value: cell for cell in matrix(tmp_path)["reviews × tiny"]}
    frame = matrix(tmp_path)
    stars = {c.value: n for c, n in zip(frame["pooler"], frame["★"], strict=True)}
    assert len(found) == 5
    shutil.copytree(other, study, dirs_exist_ok=True)
    group = findings_of(study).tasks[0].best.group
    assert {name for name, n in stars.items() if n} == set(group) == {"conv", "mean"}
    assert list(stars)[-1] == "pitfall-sum"


def test_stale_rows_are_marked_and_have_no_rank(tmp_path: Path) -> None:
    for time, revision, accuracy in ((1, OLD, 0.9), (2, NEW, 0.6)):
        for seed in (0, 1):
            at(write_run(tmp_path / f"{time}", "mean", seed, accuracy, revision=revision), time)
    frame = matrix(tmp_path)
    current, stale = frame["pooler"]
    assert (current.note, stale.note, stale.kind) == ("", "stale: other code", "tied")
    assert [cell.note for cell in frame["reviews × tiny"]] == ["rank 1", ""]
