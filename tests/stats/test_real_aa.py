"""A/A: the protocol finds no difference between names that cannot differ, on real trainings too."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from statistics_real import dealt_false_positives, read_runs, swapped_false_positives
from validate_statistics import main

from poolbench.core.errors import UserError
from poolbench.runs.protocol import Protocol
from poolbench.stats.compare import ScoredRun, compare_with_reference
from poolbench.stats.verdict import Word
from tests.stats.planted import logits, planted_runs, write_runs

ROOT = Path(__file__).parents[2]
SMALL = [
    "encoder=scratch",
    "encoder.layers=1",
    "encoder.max_length=32",
    "dataset.max_examples=120",
    "trainer=cpu",
    "trainer.max_epochs=1",
    "trainer.enable_progress_bar=false",
    "logger=none",
    "certify=false",
]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 real trainings of mean and 10 of max, on few examples."""
    outputs = tmp_path_factory.mktemp("outputs")
    for pooler, seeds in (("mean", 20), ("max", 10)):
        grid = [f"pooler={pooler}", f"seed=range({seeds})", "study=aa", f"output_dir={outputs}"]
        command = [sys.executable, "train.py", "-m", *SMALL, *grid]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return outputs / "aa"


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """Written records of two equal poolers."""
    return write_runs(tmp_path / "planted", planted_runs({"mean": 0.8, "max": 0.8}, range(10), 200))


@pytest.mark.slow
def test_names_of_one_trained_pooler_do_not_differ(study: Path) -> None:
    rows = list(dealt_false_positives(read_runs(study, "mean"), 100, np.random.default_rng(0)))
    checked = {(row.what, row.seeds): row for row in rows if row.limit == 0.05}
    assert set(checked) == {
        ("real A/A, one pair", 5),
        ("real A/A, one pair", 10),
        ("real A/A, 2 planned looks", "5, 10"),
        ("real A/A, any of 3 (Holm)", 5),
    }
    assert not [row for row in checked.values() if row.exceeds]
    (same,) = [row for row in rows if row.what.startswith("two names, the same seeds")]
    assert (same.rate, same.limit) == (0.0, 0.0)
    # Seeds do vary: without this the names could not differ and the test could not fail.
    (naive,) = [row for row in rows if "the highest mean" in row.what]
    assert naive.rate > 0.5


@pytest.mark.slow
def test_trained_poolers_that_swap_names_on_random_examples_do_not_differ(study: Path) -> None:
    runs, others = read_runs(study, "mean")[:10], read_runs(study, "max")
    rows = list(swapped_false_positives(runs, others, 100, np.random.default_rng(0)))
    assert [row.seeds for row in rows] == [5, 10]
    assert not [row for row in rows if row.exceeds]
    # They are different poolers: examples do vary.
    predicted = [[r.outputs.argmax(1) for r in of] for of in (runs, others)]
    apart = np.mean(np.not_equal(*predicted))
    assert apart > 0.05


def test_two_names_with_the_same_seeds_are_exactly_equal() -> None:
    runs = planted_runs({"a": 0.8}, range(20))
    named = [*runs, *(replace(run, pooler="b") for run in runs)]
    (c,) = compare_with_reference(named, Protocol(reference="a", looks=[20]))
    assert (c.delta, c.interval, c.p) == (0.0, (0.0, 0.0), 1.0)
    assert c.word is Word.TIED


def test_names_that_do_differ_are_found() -> None:
    """Every third prediction of b is corrected."""
    runs = planted_runs({"a": 0.7}, range(20))
    third = np.arange(len(runs[0].targets)) % 3 == 0
    better = [
        replace(run, pooler="b", outputs=np.where(third[:, None], logits(run.targets), run.outputs))
        for run in runs
    ]
    (c,) = compare_with_reference([*runs, *better], Protocol(reference="a", looks=[20]))
    assert c.word is Word.BETTER


@pytest.mark.parametrize("poolers", [["mean"], ["mean", "max"]])
def test_the_command_reads_records_and_prints_the_table(
    planted: Path, capsys: pytest.CaptureFixture[str], poolers: list[str]
) -> None:
    assert main(["--real", str(planted), "--studies", "5", "--pooler", *poolers]) == 0
    printed = capsys.readouterr().out
    assert "| real A/A, one pair | mean" in printed
    assert "0 over the limit" in printed


def test_runs_without_a_verdict_are_an_error(planted: Path) -> None:
    """They would have no false positives either."""
    rng = np.random.default_rng(0)
    runs, others = read_runs(planted, "mean"), read_runs(planted, "max")

    def changed(runs: list[ScoredRun], **fields: object) -> list[ScoredRun]:
        return [*runs[:-1], replace(runs[-1], **fields)]

    with pytest.raises(UserError, match="test example digests differ"):
        list(dealt_false_positives(changed(runs, test_ids="others"), 3, rng))
    with pytest.raises(UserError, match="order digests differ"):
        list(swapped_false_positives(runs, changed(others, order=("another",)), 3, rng))


def test_a_study_that_cannot_be_dealt_is_one_line_and_code_2(
    tmp_path: Path, planted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = write_runs(tmp_path / "few", planted_runs({"mean": 0.8}, range(9)))
    write_runs(planted, planted_runs({"max": 0.8}, range(10)), digest="d1")
    for folder, pooler, expected in (
        (few, "mean", "has 9 finished runs of mean"),
        (few, "max", "has 0 finished runs of max"),
        (planted, "max", "several runs of max at one seed"),
        (tmp_path / "nowhere", "mean", "is not a folder"),
    ):
        assert main(["--real", str(folder), "--pooler", pooler]) == 2
        printed = capsys.readouterr().err
        assert expected in printed
        assert printed.count("\n") == 1
