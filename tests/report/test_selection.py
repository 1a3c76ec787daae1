"""Equal tuning: chosen on validation, over one grid, or not at all."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from poolbench.core.errors import BadInput
from poolbench.report.build import findings_of, write_report
from poolbench.report.selection import select
from poolbench.runs.study import read_study
from poolbench.stats.verdict import Word
from tests.report.written import declare, write_cell

KEY = "optimizer.lr"


def variant(study: Path, pooler: str, lr: float, seeds=range(5), **changed) -> None:
    for seed in seeds:
        config = {"optimizer": {"lr": lr}}
        write_cell(study, pooler, seed, digest=f"lr{lr:g}", config=config, **changed)


def tuned(study: Path, validation: Mapping[str, Mapping[float, float]], **changed) -> Path:
    """Poolers -> learning rates -> validation accuracy."""
    for pooler, scores in validation.items():
        for lr, score in scores.items():
            variant(study, pooler, lr, validation=score, **changed)
    return study


def taken(study: Path) -> dict[str, float]:
    chosen = select(read_study(study), [KEY])
    return {pooler: values[0] for (_, _, pooler), values in chosen.taken.items()}


def test_validation_chooses_and_the_test_split_has_no_say(tmp_path: Path) -> None:
    study = tmp_path / "adversary"
    for pooler in ("cls", "mean"):
        variant(study, pooler, 0.1, accuracy=0.60, validation=0.9)
        variant(study, pooler, 0.2, accuracy=0.99, validation=0.5)
    assert taken(study) == {"cls": 0.1, "mean": 0.1}
    findings = findings_of(study, [KEY])
    assert all(s.mean < 70 for s in findings.tasks[0].standings)


def test_each_pooler_gets_its_own_best_and_they_are_compared(tmp_path: Path) -> None:
    grid = {"cls": {0.1: 0.6, 0.2: 0.7}, "mean": {0.1: 0.8, 0.2: 0.7}}
    study = tuned(tmp_path / "own", grid)
    assert taken(study) == {"cls": 0.2, "mean": 0.1}
    findings = findings_of(study, [KEY])
    (c,) = findings.tasks[0].against
    assert c.word is not Word.NONE
    assert len(c.seeds) == 5
    write_report(findings)
    html = (study / "report.html").read_text()
    assert "figure-sensitivity" in html
    assert "taken by mean on reviews x tiny" in html


def test_the_smaller_value_is_taken_of_equals(tmp_path: Path) -> None:
    assert taken(tuned(tmp_path / "equal", {"cls": {0.2: 0.7, 0.1: 0.7}})) == {"cls": 0.1}


def test_another_grid_for_one_pooler_is_refused_in_one_sentence(tmp_path: Path) -> None:
    grid = {"cls": {0.1: 0.6, 0.2: 0.7}, "mean": {0.1: 0.8, 0.2: 0.7, 0.3: 0.7}}
    with pytest.raises(BadInput, match=r"budgets differ, cls on .* over 0.1, 0.2 .* and mean on"):
        taken(tuned(tmp_path / "unequal", grid))


def test_fewer_seeds_for_one_pooler_are_refused(tmp_path: Path) -> None:
    study = tuned(tmp_path / "seeds", {"cls": {0.1: 0.6, 0.2: 0.7}})
    for lr in (0.1, 0.2):
        variant(study, "mean", lr, seeds=range(3))
    with pytest.raises(BadInput, match=r"budgets differ, cls .*seeds 0, 1, 2, 3, 4.* mean"):
        taken(study)


def test_fewer_seeds_for_one_value_are_refused(tmp_path: Path) -> None:
    study = tuned(tmp_path / "values", {"cls": {0.1: 0.6}})
    variant(study, "cls", 0.2, seeds=range(3))
    with pytest.raises(BadInput, match="not tried with the same seeds"):
        taken(study)


def test_a_cell_that_is_still_missing_is_refused(tmp_path: Path) -> None:
    study = tuned(tmp_path / "missing", {"cls": {0.1: 0.6, 0.2: 0.7}})
    declare(study, [{"pooler": "cls", "seed": 9, "digest": "lr0.1"}])
    with pytest.raises(BadInput, match=r"budgets differ while cells .*cls seed 9 is missing, 1 in"):
        taken(study)


def test_a_variant_that_diverged_was_tried_and_is_not_taken(tmp_path: Path) -> None:
    study = tuned(
        tmp_path / "diverged", {"cls": {0.1: 0.6, 0.2: 0.9}, "mean": {0.1: 0.6, 0.2: 0.7}}
    )
    config = {"optimizer": {"lr": 0.2}}
    write_cell(study, "cls", 4, digest="lr0.2", config=config, status="diverged")
    assert taken(study) == {"cls": 0.1, "mean": 0.2}
    assert select(read_study(study), [KEY]).budget == 2


def test_a_pooler_that_diverged_everywhere_gets_no_verdict(tmp_path: Path) -> None:
    study = tuned(tmp_path / "never", {"cls": {0.1: 0.6, 0.2: 0.7}})
    for lr in (0.1, 0.2):
        variant(study, "mean", lr, status="diverged")
    (c,) = findings_of(study, [KEY]).tasks[0].against
    assert c.word is Word.NONE
    assert c.why.startswith("diverged: mean")


def test_a_key_that_only_one_pooler_has_is_an_unequal_budget(tmp_path: Path) -> None:
    study = tmp_path / "channels"
    for seed in range(5):
        write_cell(study, "cls", seed)
        for channels in (64, 128):
            config = {"pooler": {"channels": channels}}
            write_cell(study, "conv", seed, digest=f"c{channels}", config=config)
    with pytest.raises(BadInput, match="budgets differ"):
        select(read_study(study), ["pooler.channels"])


def test_two_keys_make_one_grid(tmp_path: Path) -> None:
    study = tmp_path / "two"
    for pooler in ("cls", "mean"):
        for lr in (0.1, 0.2):
            for size in ([3], [3, 5]):
                config = {"optimizer": {"lr": lr}, "sizes": size}
                for seed in range(5):
                    digest = f"{lr}-{len(size)}"
                    score = lr + len(size)
                    write_cell(study, pooler, seed, digest=digest, config=config, validation=score)
    chosen = select(read_study(study), [KEY, "sizes"])
    assert chosen.budget == 4
    assert set(chosen.taken.values()) == {(0.2, "[3, 5]")}
    assert len(chosen.chosen) == 10
    write_report(findings_of(study, [KEY, "sizes"]))
