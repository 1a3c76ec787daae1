"""Equal tuning: selected on validation, over one grid, or not at all."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from poolbench.core.errors import UserError
from poolbench.report.build import findings_of, report_files
from poolbench.report.selection import Selection, select
from poolbench.runs.study import read_study
from poolbench.stats.verdict import Word
from tests.report.studies import Tags, declare, spec_of, write_run

KEY = "optimizer.lr"


def variant(study: Path, pooler: str, lr: float, seeds=range(5), **changed) -> None:
    """Runs of one pooler with one learning rate."""
    spec = {"digest": f"lr{lr:g}", "config": {"optimizer": {"lr": lr}}}
    for seed in seeds:
        write_run(study, pooler, seed, spec=spec, **changed)


def tuned(study: Path, validation: Mapping[str, Mapping[float, float]]) -> Path:
    """Poolers -> learning rates -> validation accuracy."""
    for pooler, scores in validation.items():
        for lr, score in scores.items():
            variant(study, pooler, lr, validation=score)
    return study


def selection(study: Path) -> Selection:
    return select(read_study(study), [KEY])


def selected(study: Path) -> dict[str, float]:
    return {pooler: values[0] for (_, _, pooler), values in selection(study).selected.items()}


def test_validation_selects_and_the_test_split_is_not_read(tmp_path: Path) -> None:
    for pooler in ("cls", "mean"):
        variant(tmp_path, pooler, 0.1, accuracy=0.60, validation=0.9)
        variant(tmp_path, pooler, 0.2, accuracy=0.99, validation=0.5)
    assert selected(tmp_path) == {"cls": 0.1, "mean": 0.1}
    assert all(s.mean < 70 for s in findings_of(tmp_path, [KEY]).tasks[0].standings)


def test_the_metric_of_the_study_selects(tmp_path: Path) -> None:
    for pooler in ("cls", "mean"):
        for lr, accuracy, f1 in ((0.1, 0.9, 0.5), (0.2, 0.8, 0.7)):
            metrics = {"test/f1_macro": 0.5, "best/val_accuracy": accuracy, "best/val_f1_macro": f1}
            variant(tmp_path, pooler, lr, metrics=metrics)
    assert selected(tmp_path) == {"cls": 0.1, "mean": 0.1}
    declare(tmp_path, [r.run for r in read_study(tmp_path).runs], metric="f1_macro")
    assert selected(tmp_path) == {"cls": 0.2, "mean": 0.2}


def test_each_pooler_gets_its_own_best_and_they_are_compared(tmp_path: Path) -> None:
    grid = {"cls": {0.1: 0.6, 0.2: 0.7}, "mean": {0.1: 0.8, 0.2: 0.7}}
    study = tuned(tmp_path / "own", grid)
    assert selected(study) == {"cls": 0.2, "mean": 0.1}
    findings = findings_of(study, [KEY])
    (c,) = findings.tasks[0].against
    assert c.word is not Word.NONE
    assert len(c.seeds) == 5
    html = report_files(findings)["report.html"]
    assert "figure-sensitivity" in html
    assert "selected for mean on reviews × tiny" in Tags(html).text


def test_the_smaller_of_equal_values_is_selected(tmp_path: Path) -> None:
    assert selected(tuned(tmp_path, {"cls": {0.2: 0.7, 0.1: 0.7}})) == {"cls": 0.1}


def test_unequal_budgets_are_rejected(tmp_path: Path) -> None:
    grid = {"cls": {0.1: 0.6, 0.2: 0.7}, "mean": {0.1: 0.8, 0.2: 0.7, 0.3: 0.7}}
    with pytest.raises(UserError, match=r"budgets differ, cls on .* over 0.1, 0.2 .* and mean on"):
        selection(tuned(tmp_path / "grid", grid))
    study = tuned(tmp_path / "seeds", {"cls": {0.1: 0.6, 0.2: 0.7}})
    for lr in (0.1, 0.2):
        variant(study, "mean", lr, seeds=range(3))
    with pytest.raises(UserError, match=r"budgets differ, cls .*seeds 0, 1, 2, 3, 4.* mean"):
        selection(study)
    study = tuned(tmp_path / "values", {"cls": {0.1: 0.6}})
    variant(study, "cls", 0.2, seeds=range(3))
    with pytest.raises(UserError, match="not tried with the same seeds"):
        selection(study)
    study = tuned(tmp_path / "missing", {"cls": {0.1: 0.6, 0.2: 0.7}})
    declare(study, [spec_of(study, "cls", 9)])
    with pytest.raises(UserError, match=r"budgets differ, cls on .*seed 9 is missing"):
        selection(study)


def test_a_key_of_one_pooler_only_is_an_unequal_budget(tmp_path: Path) -> None:
    for seed in range(5):
        write_run(tmp_path, "cls", seed)
        for channels in (64, 128):
            spec = {"digest": f"c{channels}", "config": {"pooler": {"channels": channels}}}
            write_run(tmp_path, "conv", seed, spec=spec)
    with pytest.raises(UserError, match="budgets differ"):
        select(read_study(tmp_path), ["pooler.channels"])


def test_a_diverged_variant_was_tried_and_is_not_selected(tmp_path: Path) -> None:
    study = tuned(tmp_path, {"cls": {0.1: 0.6, 0.2: 0.9}, "mean": {0.1: 0.6, 0.2: 0.7}})
    variant(study, "cls", 0.2, seeds=[4], status="diverged")
    assert selected(study) == {"cls": 0.1, "mean": 0.2}
    assert len(selection(study).grid) == 2


def test_a_pooler_that_always_diverged_gets_no_verdict(tmp_path: Path) -> None:
    study = tuned(tmp_path, {"cls": {0.1: 0.6, 0.2: 0.7}})
    for lr in (0.1, 0.2):
        variant(study, "mean", lr, status="diverged")
    (c,) = findings_of(study, [KEY]).tasks[0].against
    assert c.word is Word.NONE
    assert c.why.startswith("diverged: mean")


def test_two_keys_make_one_grid(tmp_path: Path) -> None:
    for pooler in ("cls", "mean"):
        for lr in (0.1, 0.2):
            for sizes in ([3], [3, 5]):
                config = {"optimizer": {"lr": lr}, "sizes": sizes}
                spec = {"digest": f"{lr}-{len(sizes)}", "config": config}
                for seed in range(5):
                    write_run(tmp_path, pooler, seed, spec=spec, validation=lr + len(sizes))
    chosen = select(read_study(tmp_path), [KEY, "sizes"])
    assert len(chosen.grid) == 4
    assert set(chosen.selected.values()) == {(0.2, "[3, 5]")}
    assert len(chosen.chosen) == 10
    assert (
        "figure-sensitivity" in report_files(findings_of(tmp_path, [KEY, "sizes"]))["report.html"]
    )
