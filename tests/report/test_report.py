"""A study becomes a report: its files, its choices, and what cannot be reported."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from poolbench.core.errors import BadInput
from poolbench.report import gallery
from poolbench.report.build import findings_of, write_report
from poolbench.report.caveats import caveats
from poolbench.report.page import page
from poolbench.runs.record import read_predictions, read_record, write_record
from scripts.report import main
from tests.report.reading import Tags, reason, rows, run_without_heavy_imports
from tests.report.written import CLEAR, declare, write_cell, write_study


def test_a_study_becomes_four_files_whose_first_sentence_answers(tmp_path: Path, capsys) -> None:
    study = write_study(tmp_path / "clear", CLEAR)
    assert main([str(study)]) == 0
    assert capsys.readouterr().out.startswith("Use attention on reviews x tiny.")
    html, markdown = (study / "report.html").read_text(), (study / "report.md").read_text()
    assert "Use attention on reviews x tiny." in Tags(html).text
    assert markdown.startswith("**Use attention on reviews x tiny.**")
    comparison = rows((study / "comparison.csv").read_text())
    words = {row["first"]: row["word"] for row in comparison if row["family"] == "reference"}
    assert words == {"attention": "better", "conv": "better"}
    assert [row["family"] for row in comparison].count("pairs") == 3
    cells = rows((study / "cells.csv").read_text())
    assert len(cells) == 15
    assert {row["status"] for row in cells} == {"ok"}


def test_poolers_that_cannot_be_told_apart_are_said_to_be(tmp_path: Path) -> None:
    findings = findings_of(write_study(tmp_path / "same", {"cls": 0.8, "mean": 0.8, "max": 0.8}))
    assert "no pooler is shown to beat another" in reason(findings)


def test_what_was_declared_counts_and_the_reader_may_ask_otherwise(tmp_path: Path) -> None:
    study = write_study(tmp_path / "declared", CLEAR)
    cells = [{"pooler": p, "seed": s} for p in CLEAR for s in range(5)]
    declare(study, cells, reference="conv", metric="f1_macro", margin=2.0, looks=[5])
    declared = findings_of(study).protocol
    assert (declared.reference, declared.metric) == ("conv", "f1_macro")
    assert (declared.margin, declared.looks) == (2.0, (5,))
    asked = findings_of(study, reference="attention", margin=1.0, metric="accuracy").protocol
    assert (asked.reference, asked.metric, asked.margin) == ("attention", "accuracy", 1.0)
    write_report(findings_of(study))


def test_a_reference_that_is_not_there_is_replaced_aloud(tmp_path: Path) -> None:
    findings = findings_of(write_study(tmp_path / "r", {"max": 0.8, "mean": 0.8}))
    assert findings.protocol.reference == "max"
    assert "The reference cls is not in this study: max" in caveats(findings)[0]


def test_several_datasets_have_an_answer_each_and_one_overall(tmp_path: Path) -> None:
    study = tmp_path / "many"
    for dataset in ("news", "reviews"):
        write_study(study, CLEAR, dataset=dataset)
    findings = findings_of(study)
    assert [task.name for task in findings.tasks] == ["news x tiny", "reviews x tiny"]
    assert {(a.first, a.wins) for a in findings.across} == {("attention", 2), ("conv", 2)}
    text = Tags(page(findings)).text
    assert "Over all datasets and encoders" in text
    assert text.count("Use attention on") == 2
    assert [figure.name for figure in gallery.of_all(findings)] == [
        f"forest-{a.first}" for a in findings.across
    ]


def test_a_dataset_without_the_reference_is_reported_all_the_same(tmp_path: Path) -> None:
    study = write_study(tmp_path / "uneven", CLEAR)
    write_study(study, {"conv": 0.9, "attention": 0.6}, dataset="news")
    findings = findings_of(study)
    news, _ = findings.tasks
    assert {c.why for c in news.against} == {"missing: cls has no run"}
    assert news.top == ("conv",)
    write_report(findings)


def test_two_reports_of_one_study_are_the_same_bytes(tmp_path: Path) -> None:
    study = write_study(tmp_path / "twice", CLEAR)
    first = {path.name: path.read_bytes() for path in write_report(findings_of(study))}
    assert {path.name: path.read_bytes() for path in write_report(findings_of(study))} == first


def test_what_cannot_be_reported_is_one_line_and_code_2(tmp_path: Path, capsys) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/study.json").write_text("{")
    study = write_study(tmp_path / "fine", CLEAR)
    for arguments, expected in (
        ([str(tmp_path / "nowhere")], "is not a folder"),
        ([str(tmp_path / "empty")], "train first"),
        ([str(tmp_path / "broken")], "is damaged"),
        ([str(study), "--margin", "-1"], "expected more than 0 points"),
        ([str(study), "--select", "optimizer.lr"], "every cell has the same value"),
    ):
        assert main(arguments) == 2
        said = capsys.readouterr().err
        assert expected in said
        assert said.count("\n") == 1


def test_a_report_needs_no_torch(tmp_path: Path) -> None:
    run_without_heavy_imports("report", write_study(tmp_path / "light", CLEAR))


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    study = write_study(tmp_path / "closed", CLEAR)
    findings = findings_of(study)
    (study / "report.html").mkdir()
    with pytest.raises(BadInput, match=r"cannot write .*report\.html"):
        write_report(findings)


def test_poolers_that_were_still_rising_are_named(tmp_path: Path) -> None:
    """The written cells rise in each of three epochs: with three allowed they were cut short."""
    for pooler, epochs in (("cut", 3), ("stopped", 9)):
        for seed in range(3):
            config = {"trainer": {"max_epochs": epochs}}
            write_cell(tmp_path / "rising", pooler, seed, config=config)
    (told,) = [line for line in caveats(findings_of(tmp_path / "rising")) if "Still better" in line]
    assert ": cut." in told
    assert "stopped" not in told


def test_a_lead_that_would_be_shown_as_nothing_is_not_told(tmp_path: Path) -> None:
    """One answer in 15,000 is nothing; at every seed 9 of 3,000 won and 6 lost are a tenth."""
    for study, won, lost, seeds in (("hair", 1, 0, {0}), ("tenth", 9, 6, set(range(5)))):
        for seed in range(5):
            cheap, dear = (
                write_cell(tmp_path / study, pooler, seed, examples=3000)
                for pooler in ("cls", "conv")
            )
            kept = read_predictions(cheap)
            predictions, right = kept.predictions.copy(), kept.predictions == kept.labels
            if seed in seeds:
                changed = [*np.flatnonzero(~right)[:won], *np.flatnonzero(right)[:lost]]
                predictions[changed] = 1 - predictions[changed]
            record = read_record(dear)
            record["metrics"]["test/accuracy"] = float((predictions == kept.labels).mean())
            write_record(dear, record, replace(kept, predictions=predictions))
    lead = "conv has the highest mean"
    assert lead not in reason(findings_of(tmp_path / "hair"))
    assert lead in reason(findings_of(tmp_path / "tenth"))
