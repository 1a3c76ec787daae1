"""Studies with missing, failed, damaged, few or undeclared runs have a report that says so."""

from pathlib import Path

import pandas as pd
import pytest

from poolbench.report.build import figures_of, findings_of, write_report
from poolbench.report.caveats import caveats
from poolbench.report.overview import ranks
from poolbench.report.provenance import missing
from poolbench.runs.record import PREDICTIONS, RECORD
from poolbench.stats.verdict import Word
from tests.report.studies import (
    CLEAR,
    Tags,
    declare,
    headline,
    reason,
    spec_of,
    write_run,
    write_study,
)


def test_an_unfinished_study_lists_what_is_missing(tmp_path: Path) -> None:
    study = tmp_path / "unfinished"
    specs = [spec_of(study, pooler, seed) for pooler in CLEAR for seed in range(5)]
    declare(study, specs)
    for spec in specs:
        if (spec.pooler, spec.seed) not in {("conv", 3), ("conv", 4)}:
            write_run(study, spec.pooler, spec.seed, CLEAR[spec.pooler])
    findings = findings_of(study)
    assert missing(findings) == ["missing: conv on reviews × tiny, seeds 3, 4"]
    words = {c.first: c.word for c in findings.tasks[0].against}
    assert words == {"attention": Word.BETTER, "conv": Word.NONE}
    assert headline(findings).startswith("So far, the runs on reviews × tiny favour attention; 2")
    assert "No verdict on conv" in reason(findings)
    write_report(findings)
    for name in ("report.html", "report.md"):
        assert "13 of 15 runs have a result" in (study / name).read_text()
    runs = pd.read_csv(study / "runs.csv")
    assert list(runs[runs.status == "missing"].command) == [
        "python train.py pooler=conv seed=3",
        "python train.py pooler=conv seed=4",
    ]


def test_a_study_without_any_result_has_a_report(tmp_path: Path) -> None:
    study = tmp_path / "planned"
    declare(study, [spec_of(study, pooler, 0) for pooler in ("cls", "mean")])
    findings = findings_of(study)
    assert "No recommendation" in headline(findings)
    assert "No run has finished." in reason(findings)
    write_report(findings)


@pytest.mark.parametrize("status", ["failed", "diverged"])
def test_a_failed_run_is_counted_and_leaves_no_verdict(tmp_path: Path, status: str) -> None:
    study = write_study(tmp_path / "bad", CLEAR)
    write_run(study, "conv", 4, status=status)
    findings = findings_of(study)
    (line,) = missing(findings)
    assert line == f"{status}: conv on reviews × tiny, seed 4: ValueError: on purpose"
    words = {c.first: c.word for c in findings.tasks[0].against}
    assert words == {"attention": Word.BETTER, "conv": Word.NONE}
    assert line in Tags(write_report(findings)[0].read_text()).text


@pytest.mark.parametrize("file", [RECORD, PREDICTIONS])
def test_a_damaged_run_is_named_and_not_read(tmp_path: Path, file: str) -> None:
    study = write_study(tmp_path / "damaged", CLEAR)
    place = study / "reviews/tiny/conv/seed=2-d0" / file
    content = bytearray(place.read_bytes())
    content[len(content) // 2] ^= 1
    place.write_bytes(content)
    findings = findings_of(study)
    (line,) = missing(findings)
    assert line.startswith("damaged: conv on reviews × tiny, seed 2: reviews/tiny/conv")
    assert {c.first: c.word for c in findings.tasks[0].against}["conv"] is Word.NONE
    write_report(findings)


def test_a_record_of_another_schema_or_one_test_example_is_damaged(tmp_path: Path) -> None:
    study = write_study(tmp_path / "strange", CLEAR)
    (write_run(study, "conv", 7).folder / RECORD).write_text('{"status": "ok"}')
    write_run(study, "attention", 8, examples=1)
    findings = findings_of(study)
    assert [r.status for r in findings.study.runs].count("damaged") == 2
    assert any("fewer than 2 test examples" in line for line in missing(findings))
    write_report(findings)


@pytest.mark.parametrize(("seeds", "why"), [(1, "single seed"), (3, "3 of the 5 seeds")])
def test_few_seeds_give_a_description_and_no_recommendation(
    tmp_path: Path, seeds: int, why: str
) -> None:
    findings = findings_of(write_study(tmp_path / "few", CLEAR, range(seeds)))
    assert "No recommendation" in headline(findings)
    assert why in headline(findings)
    assert "descriptive, not tested" in reason(findings)
    write_report(findings)


def test_one_reason_for_no_verdict_is_told_once_and_missing_poolers_add_none(
    tmp_path: Path,
) -> None:
    study = write_study(tmp_path / "few", CLEAR, range(2))
    declare(study, [spec_of(study, pooler, s) for pooler in (*CLEAR, "late") for s in range(2)])
    findings = findings_of(study)
    assert headline(findings).endswith("yet: descriptive only, 2 of the 5 seeds a test needs.")
    write_report(findings)
    page = (study / "report.md").read_text()
    assert page.count("2 of the 5 seeds a test needs") == 2  # in the answer, below the table
    assert "2 seeds, " in page
    assert "| p (corrected) |" not in page


def test_equal_means_share_their_ranks() -> None:
    assert ranks({"a": 5.0, "b": 7.0, "c": 5.0, "d": 1.0}) == {"a": 2.5, "b": 1, "c": 2.5, "d": 4}


def test_a_single_pooler_has_a_report_without_comparisons(tmp_path: Path) -> None:
    study = write_study(tmp_path / "alone", {"mean": 0.8})
    findings = findings_of(study)
    assert headline(findings).startswith("Nothing to compare")
    write_report(findings)
    assert (study / "comparison.csv").read_text().strip() == ""


def test_an_undeclared_number_of_seeds_is_exploratory(tmp_path: Path) -> None:
    findings = findings_of(write_study(tmp_path / "seven", CLEAR, range(7)), looks=[5])
    assert headline(findings).startswith("Not decided (exploratory) on ")
    assert any("7 seeds, not a planned look (5 seeds)" in line for line in caveats(findings))


def test_an_undeclared_run_is_pointed_out(tmp_path: Path) -> None:
    study = write_study(tmp_path / "more", CLEAR)
    declare(study, [spec_of(study, pooler, s) for pooler in ("cls", "conv") for s in range(5)])
    assert any("Undeclared runs: 5" in line for line in caveats(findings_of(study)))


def test_variants_without_a_selection_have_no_verdict_and_no_mean(tmp_path: Path) -> None:
    study = tmp_path / "variants"
    for digest, lr in (("d0", 0.1), ("d1", 0.2)):
        spec = {"digest": digest, "config": {"optimizer": {"lr": lr}}}
        write_study(study, CLEAR, spec=spec)
    findings = findings_of(study)
    (task,) = findings.tasks
    assert {c.word for c in task.against} == {Word.NONE}
    assert "--select optimizer.lr" in caveats(findings)[0]
    # Which variant would be the score of a seed? None is shown, drawn or averaged.
    assert {s.mean for s in task.standings} == {None}
    assert "a seed has several runs" in reason(findings)
    assert not any(figures_of(findings)[task.name].values())
    write_report(findings)
