"""``plan=true``: what a command would cost, without training it."""

from pathlib import Path

import pytest

from poolbench.runs.identity import RunSpec
from poolbench.training.planner import Estimate, estimate
from poolbench.training.session import Session
from tests.conftest import TINY, plan, train

SWEEP = [*TINY, "pooler=mean,attention", "seed=0,1", "study=planned"]


def planned(folder: Path, *overrides: str) -> list[RunSpec]:
    return plan(folder, *SWEEP, *overrides)


def test_disk_and_runs_are_what_training_leaves(tmp_path: Path) -> None:
    session = Session()
    before = estimate(planned(tmp_path), session)
    assert before.runs == (4, 0)
    assert before.encoding_s > 0
    ((task, (least, most)),) = before.findable.items()
    assert "2 seeds, 64 examples, 2 poolers" in task
    assert 5 < least < most < 100
    assert f"smallest findable difference on {task}: {least:.1f} to {most:.1f} points" in str(
        before
    )
    assert not list(tmp_path.iterdir()), "a plan leaves nothing behind"
    train(planned(tmp_path), session)
    (file,) = (tmp_path / "cache").glob("*.states")
    assert file.stat().st_size == round(1e9 * before.cache_gb[0]) == round(1e9 * before.cache_gb[1])
    after = estimate(planned(tmp_path), session)
    assert after.runs == (4, 4)
    assert after.training_s == (0.0, 0.0)
    assert after.cache_gb == (before.cache_gb[0], 0.0)
    assert after.encoding_s == 0.0


def test_a_difference_beyond_all_hope_is_no_number() -> None:
    found = str(Estimate((90, 0), (0.0, 0.0), 0.0, (1.0, 1.0), 1.0, {"a × b": (393.2, 802.7)}))
    assert "difference on a × b: none that could be hoped for: add seeds" in found


@pytest.mark.slow
def test_time_grows_with_epochs_and_early_stopping_gives_a_range(tmp_path: Path) -> None:
    few = estimate(planned(tmp_path, "trainer.max_epochs=2", "patience=9"), Session())
    many = estimate(planned(tmp_path, "trainer.max_epochs=200", "patience=9"), Session())
    assert few.training_s[0] == few.training_s[1]
    assert many.training_s[0] < many.training_s[1]
    assert many.training_s[1] > 5 * few.training_s[1]
    assert "early stopping" in str(many)


def test_an_encoder_that_trains_caches_nothing(tmp_path: Path) -> None:
    found = estimate(planned(tmp_path, "encoder.tuning=full", "pooler=mean"), Session())
    assert found.cache_gb == (0.0, 0.0)
    assert found.training_s[1] > 0


def test_runs_that_train_nothing_cost_one_pass_of_the_encoder(tmp_path: Path) -> None:
    texts = tmp_path / "texts.csv"
    texts.write_text(
        "text\n" + "".join(f"the film number {i} is long but good\n" for i in range(90))
    )
    halves = ["task=retrieval", "dataset=files", f"dataset.test={texts}", "dataset.pairs=halves"]
    both = [*TINY, *halves, "dataset.max_examples=null", "pooler=mean,max"]
    session, output = Session(), tmp_path / "out"
    before = estimate(plan(output, *both, session=session), session)
    assert before.runs == (2, 0)
    assert before.encoding_s > 0
    assert before.cache_gb == (0.0, 0.0)
    assert not output.exists()
    train(plan(output, *both, session=session), session)
    after = estimate(plan(output, *both, session=session), session)
    assert (after.runs, after.encoding_s, after.training_s) == ((2, 2), 0.0, (0.0, 0.0))
