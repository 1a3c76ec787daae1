"""The tables of ``scripts/pitfalls.py``, on runs that were really trained."""

from pathlib import Path

import pytest

from poolbench.runs.record import RunRecord
from scripts import pitfalls
from tests.conftest import TINY

SMALL = ["experiment=pitfalls", *TINY, "dataset.max_examples=150"]


@pytest.fixture(scope="module")
def finished() -> list[RunRecord]:
    return []


@pytest.fixture
def runs(run, finished: list[RunRecord]) -> list[RunRecord]:
    """cls and index 0 under both paddings, two seeds; and a pitfall without its twin."""
    if not finished:
        for side in ("right", "left"):
            for pooler in ("cls", "pitfall/position_zero"):
                for seed in (0, 1):
                    chosen = (f"pooler={pooler}", f"seed={seed}", f"encoder.padding_side={side}")
                    finished.append(run(*SMALL, *chosen))
        finished.append(run(*SMALL, "pooler=pitfall/unmasked_max", "seed=0"))
    return finished


@pytest.mark.slow
def test_a_pitfall_is_compared_with_its_twin_of_the_same_setting_and_seed(runs) -> None:
    table = pitfalls.costs(runs)
    assert len(table) == 2  # not the pitfall without a twin
    # Under right padding index 0 is the first token.
    right = table.loc["right", "position_zero", "cls"]
    assert (right["cost"], right["sd"], right["differ"], right["seed"]) == (0, 0, 0, 2)
    left = table.loc["left", "position_zero", "cls"]
    accuracy = {
        (r.run.pooler, r.run.seed): r.metrics["test/accuracy"]
        for r in runs
        if r.run.setting("encoder.padding_side") == "left"
    }
    cost = [accuracy["cls", s] - accuracy["pitfall-position_zero", s] for s in (0, 1)]
    assert left["cost"] == pytest.approx(50 * sum(cost))
    assert left["differ"] > 0


@pytest.mark.slow
def test_only_pitfalls_depend_on_the_batch(runs) -> None:
    table = pitfalls.changes(runs)
    assert list(table.columns) == [8, 32, 128]
    assert table.loc["right", "cls"].sum() == table.loc["left", "cls"].sum() == 0
    assert table.loc["right", "position_zero"].sum() == 0
    assert table.loc["left", "position_zero"].max() > 0


def test_without_a_study_the_command_is_shown(tmp_path: Path, capsys) -> None:
    assert pitfalls.main([str(tmp_path)]) == 2
    assert "experiment=pitfalls" in capsys.readouterr().err
