"""Studies with cells that are missing, failed, damaged, undeclared or too few still report."""

from pathlib import Path

import pytest

from poolbench.report import gallery
from poolbench.report.build import findings_of, write_report
from poolbench.report.caveats import caveats, missing
from poolbench.runs.record import PREDICTIONS, RECORD
from poolbench.stats.verdict import Word
from tests.report.reading import Tags, headline, reason, rows
from tests.report.written import CLEAR, declare, write_cell, write_study


def test_an_unfinished_study_says_what_is_missing(tmp_path: Path) -> None:
    study = tmp_path / "unfinished"
    planned = [{"pooler": p, "seed": s} for p in CLEAR for s in range(5)]
    declare(study, planned, reference="cls")
    for cell in planned:
        if (cell["pooler"], cell["seed"]) not in {("conv", 3), ("conv", 4)}:
            write_cell(study, cell["pooler"], cell["seed"], CLEAR[cell["pooler"]])
    findings = findings_of(study)
    assert missing(findings) == ["missing: conv on reviews x tiny, seeds 3, 4"]
    words = {c.first: c.word for c in findings.tasks[0].against}
    assert words == {"attention": Word.BETTER, "conv": Word.NONE}
    assert headline(findings) == "Use attention on reviews x tiny."
    assert "No verdict on conv" in reason(findings)
    write_report(findings)
    assert "13 of 15 cells have a result" in (study / "report.html").read_text()
    assert "13 of 15 cells have a result" in (study / "report.md").read_text()
    left = [r for r in rows((study / "cells.csv").read_text()) if r["status"] == "missing"]
    assert [r["command"] for r in left] == [
        "python train.py pooler=conv seed=3",
        "python train.py pooler=conv seed=4",
    ]


def test_a_study_without_a_single_result_has_a_report(tmp_path: Path) -> None:
    declare(tmp_path / "planned", [{"pooler": p, "seed": 0} for p in ("cls", "mean")])
    findings = findings_of(tmp_path / "planned")
    assert "No recommendation" in headline(findings)
    assert "No cell has finished" in reason(findings)
    write_report(findings)


@pytest.mark.parametrize("status", ["failed", "diverged"])
def test_a_cell_that_ended_badly_is_counted_and_takes_its_verdict_along(
    tmp_path: Path, status: str
) -> None:
    study = write_study(tmp_path / "bad", CLEAR, seeds=range(4))
    for pooler in ("cls", "attention"):
        write_cell(study, pooler, 4, CLEAR[pooler])
    write_cell(study, "conv", 4, status=status)
    findings = findings_of(study)
    assert missing(findings) == [
        f"{status}: conv on reviews x tiny, seed 4: ValueError: on purpose"
    ]
    words = {c.first: c.word for c in findings.tasks[0].against}
    assert words == {"attention": Word.BETTER, "conv": Word.NONE}
    write_report(findings)
    assert status in Tags((study / "report.html").read_text()).text


@pytest.mark.parametrize("file", [RECORD, PREDICTIONS])
def test_a_damaged_cell_is_named_and_never_read(tmp_path: Path, file: str) -> None:
    study = write_study(tmp_path / "damaged", CLEAR)
    place = study / "reviews/tiny/conv/seed=2-d0" / file
    content = bytearray(place.read_bytes())
    content[len(content) // 2] ^= 1
    place.write_bytes(content)
    findings = findings_of(study)
    (told,) = missing(findings)
    assert told.startswith("damaged: conv on reviews x tiny, seed 2: reviews/tiny/conv")
    assert {c.first: c.word for c in findings.tasks[0].against}["conv"] is Word.NONE
    write_report(findings)


def test_a_record_from_elsewhere_that_lacks_everything_is_a_damaged_cell(tmp_path: Path) -> None:
    from poolbench.runs.record import write_record

    study = write_study(tmp_path / "strange", CLEAR)
    write_record(study / "reviews/tiny/conv/seed=7-d0", {"status": "ok"}, None)
    findings = findings_of(study)
    assert findings.study.count("damaged") == 1
    write_report(findings)


@pytest.mark.parametrize(("seeds", "why"), [(1, "single seed"), (3, "3 of the 5 seeds")])
def test_few_seeds_give_a_description_and_no_recommendation(
    tmp_path: Path, seeds: int, why: str
) -> None:
    findings = findings_of(write_study(tmp_path / "few", CLEAR, seeds=range(seeds)))
    assert "No recommendation" in headline(findings)
    assert why in headline(findings)
    assert "a description, not a claim" in reason(findings)
    write_report(findings)


def test_a_single_pooler_has_a_report_without_comparisons(tmp_path: Path) -> None:
    study = write_study(tmp_path / "alone", {"mean": 0.8})
    findings = findings_of(study)
    assert headline(findings).startswith("Nothing to compare")
    assert "cls is not in this study" in caveats(findings)[0]
    write_report(findings)
    assert rows((study / "comparison.csv").read_text()) == []


def test_an_unplanned_number_of_seeds_is_exploratory(tmp_path: Path) -> None:
    findings = findings_of(write_study(tmp_path / "seven", CLEAR, seeds=range(7)))
    assert headline(findings).startswith("Exploratory: ")
    assert any("7 seeds are not among the planned looks" in line for line in caveats(findings))


def test_a_finished_cell_that_nobody_declared_is_pointed_out(tmp_path: Path) -> None:
    study = write_study(tmp_path / "more", CLEAR)
    declare(study, [{"pooler": p, "seed": s} for p in ("cls", "conv") for s in range(5)])
    told = "\n".join(caveats(findings_of(study)))
    assert "5 records here belong to no declared cell" in told


def test_variants_without_a_choice_get_no_verdict_but_the_key_to_choose_by(tmp_path: Path) -> None:
    study = tmp_path / "variants"
    for digest, lr in (("d0", 0.1), ("d1", 0.2)):
        write_study(study, CLEAR, digest=digest, config={"optimizer": {"lr": lr}})
    findings = findings_of(study)
    assert {c.word for c in findings.tasks[0].against} == {Word.NONE}
    assert "--select optimizer.lr" in caveats(findings)[0]
    # Which of them would be "the" score of a seed? None is shown, drawn or averaged.
    assert {s.mean for s in findings.tasks[0].standings} == {None}
    assert "several runs at one seed" in reason(findings)
    assert not any(gallery.of_task(findings.tasks[0], findings).values())
    write_report(findings)
