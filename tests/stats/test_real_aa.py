"""Real trainings under names that cannot differ: the protocol may find nothing between them."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scripts.validate_statistics import main
from statistics_rates import Row
from statistics_real import (
    read_runs,
    real_false_positives,
    swapped_false_positives,
)

from poolbench.core.errors import BadInput
from poolbench.stats.compare import Protocol, Word, compare_with_reference
from poolbench.stats.pairing import Run
from tests.report.trained import train_study
from tests.report.written import write_study

SPLITS = 100


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    outputs = tmp_path_factory.mktemp("outputs")
    train_study(outputs, "aa", "pooler=mean", "seed=range(20)", "trainer.max_epochs=1")
    return train_study(outputs, "aa", "pooler=max", "seed=range(10)", "trainer.max_epochs=1")


@pytest.fixture(scope="module")
def runs(study: Path) -> list[Run]:
    return read_runs(study, "mean")


@pytest.fixture(scope="module")
def rows(runs: list[Run]) -> list[Row]:
    return list(real_false_positives(runs, SPLITS, np.random.default_rng(0)))


def test_two_halves_of_the_seeds_differ_no_more_often_than_alpha(rows: list[Row]) -> None:
    checked = {(row.what, row.seeds): row for row in rows if row.limit == 0.05}
    assert set(checked) == {
        ("real A/A, one pair", 5),
        ("real A/A, one pair", 10),
        ("real A/A, 2 planned looks", "5, 10"),
        ("real A/A, any of 3 (Holm)", 5),
    }
    assert not [row for row in checked.values() if row.exceeds]


def test_poolers_that_swap_names_on_random_examples_do_not_differ(
    study: Path, runs: list[Run]
) -> None:
    runs, others = runs[:10], read_runs(study, "max")
    rng = np.random.default_rng(0)
    rows = list(swapped_false_positives(runs, others, SPLITS, rng))
    assert [row.seeds for row in rows] == [5, 10]
    assert not [row for row in rows if row.exceeds]
    # They are still two poolers: there is luck of the examples to fall for.
    apart = np.mean([a.predictions != b.predictions for a, b in zip(runs, others, strict=True)])
    assert apart > 0.05
    shuffled = [replace(run, order=("another",)) for run in others]
    with pytest.raises(BadInput, match="order digests differ"):
        list(swapped_false_positives(runs, shuffled, 3, rng))


def test_the_seeds_have_luck_that_a_naive_procedure_falls_for(rows: list[Row]) -> None:
    """Without it the halves could not differ, and the test above could not fail."""
    (naive,) = [row for row in rows if "the highest mean" in row.what]
    assert naive.rate > 0.5


def test_two_names_with_the_same_seeds_are_exactly_equal(runs: list[Run], rows: list[Row]) -> None:
    (same,) = [row for row in rows if row.what.startswith("two names, the same seeds")]
    assert (same.rate, same.limit) == (0.0, 0.0)
    named = [replace(run, pooler=name) for name in ("a", "b") for run in runs]
    (c,) = compare_with_reference(named, Protocol(reference="a", looks=(20,)))
    assert (c.delta, c.interval, c.p) == (0.0, (0.0, 0.0), 1.0)
    assert c.word is Word.TIED


def test_names_that_do_differ_are_found(runs: list[Run]) -> None:
    """The same deals see a difference once there is one: every third answer of b made right."""
    right = [replace(run, pooler="a") for run in runs]
    better = [
        replace(
            run,
            pooler="b",
            predictions=np.where(np.arange(len(run.labels)) % 3, run.predictions, run.labels),
        )
        for run in runs
    ]
    (c,) = compare_with_reference([*right, *better], Protocol(reference="a", looks=(20,)))
    assert c.word is Word.BETTER


def test_silence_is_no_correct_answer(runs: list[Run]) -> None:
    """Runs that get no verdict would have no false positives either."""
    strange = [*runs[:-1], replace(runs[-1], test_ids="others")]
    with pytest.raises(BadInput, match="test example digests differ"):
        list(real_false_positives(strange, 3, np.random.default_rng(0)))


def test_what_cannot_be_dealt_out_is_one_line_and_code_2(tmp_path: Path, capsys) -> None:
    few = write_study(tmp_path / "few", {"mean": 0.8}, seeds=range(9))
    twice = write_study(tmp_path / "twice", {"mean": 0.8}, seeds=range(10))
    write_study(twice, {"mean": 0.8}, seeds=range(10), digest="d1")
    for folder, pooler, expected in (
        (few, "mean", "has 9 finished runs of mean"),
        (few, "max", "has 0 finished runs of max"),
        (twice, "mean", "several runs of mean at one seed"),
        (tmp_path / "nowhere", "mean", "is not a folder"),
    ):
        assert main(["--real", str(folder), "--pooler", pooler]) == 2
        said = capsys.readouterr().err
        assert expected in said
        assert said.count("\n") == 1


def test_the_script_reads_records_and_prints_the_table(tmp_path: Path, study: Path, capsys) -> None:
    copied = tmp_path / "copied"
    shutil.copytree(study, copied)
    assert main(["--real", str(copied), "--studies", "20"]) == 0
    said = capsys.readouterr().out
    assert "| real A/A, one pair | mean, 20 seeds dealt out | 10 |" in said
    assert "0 over the limit" in said
