"""What a report shows: controls, contract certificate, costs, disagreements, hostile names."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from poolbench.report.build import figures_of, findings_of, report_files, write_report
from poolbench.report.caveats import caveats
from poolbench.report.controls import CONTROLS_EXPLAINED, marked
from tests.report.studies import (
    CLEAR,
    ENDING,
    EXAMPLES,
    HOSTILE,
    Tags,
    headline,
    hostile_study,
    reason,
    write_costs,
    write_run,
    write_study,
)

CONTROLS = ("pitfall-unmasked_mean", "control-wide_mean")


def pages(study: Path) -> tuple[str, str]:
    """Text of the page, and the Markdown without escapes."""
    files = report_files(findings_of(study))
    return Tags(files["report.html"]).text, files["report.md"].replace("\\", "")


# Controls


@pytest.mark.parametrize("pooler", CONTROLS)
def test_a_control_that_wins_is_a_caveat_and_not_the_answer(tmp_path: Path, pooler: str) -> None:
    findings = findings_of(write_study(tmp_path / "won", CLEAR | {pooler: 0.99}))
    (task,) = findings.tasks
    assert task.standings[0].pooler == pooler
    assert set(task.best.group) == {"attention", "conv"}
    assert "conv may cost up to" in headline(findings)
    assert pooler not in reason(findings)
    (line,) = [line for line in caveats(findings) if pooler in line]
    assert "beats conv, attention, cls on reviews × tiny" in line


def test_a_control_that_beats_none_is_no_caveat(tmp_path: Path) -> None:
    findings = findings_of(write_study(tmp_path / "lost", CLEAR | dict.fromkeys(CONTROLS, 0.5)))
    assert not [line for line in caveats(findings) if "control" in line]


def test_controls_are_marked_wherever_poolers_are_listed(tmp_path: Path) -> None:
    study = write_study(tmp_path / "marked", CLEAR | dict.fromkeys(CONTROLS, 0.85))
    findings = findings_of(study)
    files = report_files(findings)
    assert CONTROLS_EXPLAINED in Tags(files["report.html"]).text
    assert CONTROLS_EXPLAINED in files["report.md"]
    for pooler in CONTROLS:
        assert f">† {pooler}<" in files["report.html"]
        assert f">{pooler}<" not in files["report.html"]
        assert f"| {marked(pooler)} |" in files["report.md"].replace("\\", "")
    for sections in figures_of(findings).values():
        for figure in (figure for drawn in sections.values() for figure in drawn):
            shown = figure.name != "confusion"  # which is of one pooler
            assert figure.caption.endswith("marks a control.") == shown, figure.name
    write_report(findings)
    runs = pd.read_csv(study / "runs.csv", keep_default_na=False).set_index("pooler")
    kinds = dict(zip(CONTROLS, ("pitfall", "width control"), strict=True))
    assert runs.control.to_dict() == dict.fromkeys(CLEAR, "") | kinds


def test_without_controls_there_is_no_dagger(tmp_path: Path) -> None:
    assert not any("†" in text for text in pages(write_study(tmp_path / "plain", CLEAR)))


@pytest.mark.parametrize(
    ("poolers", "expected"),
    [
        (("mean", *CONTROLS), "mean is the only pooler that is not a control"),
        (CONTROLS, "every pooler is a control"),
    ],
)
def test_a_study_of_controls_recommends_nothing(tmp_path: Path, poolers, expected: str) -> None:
    findings = findings_of(write_study(tmp_path / "only", dict.fromkeys(poolers, 0.8)))
    assert expected in headline(findings)
    write_report(findings)


# Contract certificate


def line(deviation: float | None, kept: bool = True) -> dict[str, Any]:
    limit = None if deviation is None else 1e-5
    promise = "padding is ignored"
    return {"promise": promise, "deviation": deviation, "limit": limit, "kept": kept}


def test_the_certificate_shows_the_worst_run_of_each_pooler(tmp_path: Path) -> None:
    study = tmp_path / "worst"
    for seed in range(5):
        found = {"T1": line(1e-8 * seed), "T10": line(0.0)}
        found |= {"T1": line(3e-4, kept=False)} if seed == 2 else {}
        found |= {"T1": line(0.5)} if seed == 3 else {}  # passed: larger, and still not the worst
        write_run(study, "mean", seed, certificate=found)
    write_run(study, "cls", 0, certificate={"T10": line(None), "T2": line(0.0)})
    write_run(study, "max", 0)
    findings = findings_of(study)
    (task,) = findings.tasks
    assert task.standing("mean").certificate["T1"].deviation == 3e-4
    assert list(task.standing("cls").certificate) == ["T2", "T10"]
    expected = {"cls: 2 of 2 lines passed", "mean: T1 failed, 1 of 2 lines passed"}
    text, markdown = pages(study)
    assert "failed T13.0e-04" in text  # a line break is between them
    assert "padding is ignored (limit 1e-05)" in text
    assert all(words in markdown for words in expected)
    failed = "mean on reviews × tiny failed T1 of its contract: padding is ignored."
    assert failed in caveats(findings)


def test_a_pitfall_that_fails_its_line_is_no_caveat(tmp_path: Path) -> None:
    study = tmp_path / "meant"
    write_run(study, "pitfall-sum", 0, certificate={"T1": line(0.1, kept=False)})
    write_run(study, "cls", 0)
    assert "failed T1" in pages(study)[0]
    assert not [words for words in caveats(findings_of(study)) if "failed" in words]


def test_records_without_a_certificate_say_so(tmp_path: Path) -> None:
    assert "no padding certificate" in pages(write_study(tmp_path / "none", CLEAR))[0]


# Costs


def twins(study: Path) -> Path:
    """cls, and two better poolers that always agree: attention has fewer parameters than conv."""
    labels = np.random.default_rng(0).integers(0, 2, EXAMPLES)
    predictions = np.where(np.arange(EXAMPLES) % 10 == 0, 1 - labels, labels)
    for pooler in ("attention", "conv"):
        write_study(study, {pooler: 0.9}, predictions=predictions)
    return write_study(study, {"cls": 0.6})


def test_the_cheapest_within_the_margin_is_recommended(tmp_path: Path) -> None:
    study = twins(tmp_path / "study")
    by_parameters = findings_of(study)
    assert headline(by_parameters).endswith(": use attention.")
    assert "5,130 trained parameters" in reason(by_parameters)
    write_costs(study, {"cls": 0.1, "attention": 3.0, "conv": 1.0})
    by_time = findings_of(study)
    assert headline(by_time).endswith(": use conv.")
    assert "costs less (pooler time)" in reason(by_time)
    assert "1 ms per batch" in reason(by_time)
    for text in pages(study):
        assert "pooler ms" in text


def test_equal_costs_are_called_equal(tmp_path: Path) -> None:
    study = twins(tmp_path / "study")
    write_costs(study, {"cls": 0.1, "attention": 1.0, "conv": 1.05})
    assert "attention, conv cost the same (pooler time)" in reason(findings_of(study))


def test_poolers_that_are_not_all_timed_are_compared_by_parameters(tmp_path: Path) -> None:
    study = twins(tmp_path / "study")
    write_costs(study, {"cls": 1.0, "conv": 1.0})
    assert "costs less (trained parameters)" in reason(findings_of(study))


# Hostile names


def test_names_and_texts_cannot_become_markup(tmp_path: Path) -> None:
    files = report_files(findings_of(hostile_study(tmp_path / "hostile")))
    tags = Tags(files["report.html"])
    assert "img" not in tags.tags
    assert tags.tags.count("script") == tags.tags.count("figure") + 2
    assert HOSTILE in tags.text
    assert ENDING in tags.text
    assert "<script" not in files["report.md"]
    assert "<img" not in files["report.md"]


def test_names_in_figures_are_escaped_and_cannot_end_a_script(tmp_path: Path) -> None:
    for sections in figures_of(findings_of(hostile_study(tmp_path / "plots"))).values():
        for figure in (figure for drawn in sections.values() for figure in drawn):
            assert "<" not in figure.json
            assert "<img" not in json.dumps(json.loads(figure.json))


def test_no_cell_of_a_spreadsheet_is_a_formula(tmp_path: Path) -> None:
    study = hostile_study(tmp_path / "formulas")
    write_report(findings_of(study))
    for name, column in (("runs.csv", "pooler"), ("comparison.csv", "first")):
        frame = pd.read_csv(study / name, dtype=str, keep_default_na=False)
        for value in frame.to_numpy().ravel():
            assert not value.startswith(("=", "@", "+"))
            assert not value.startswith("-") or float(value) < 0
        assert "'=cmd()" in set(frame[column])
