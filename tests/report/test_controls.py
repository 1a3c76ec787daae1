"""Controls are compared and marked wherever poolers are listed, and never recommended."""

from pathlib import Path

import pytest

from poolbench.report import gallery
from poolbench.report.build import findings_of, write_report
from poolbench.report.caveats import caveats
from poolbench.report.controls import EXPLAINED, MARK, control, marked, note
from poolbench.report.markdown import markdown
from poolbench.report.page import page
from tests.report.reading import Tags, headline, reason, rows
from tests.report.written import CLEAR, write_costs, write_study

CONTROLS = ("pitfall-unmasked_mean", "control-wide_mean")


@pytest.mark.parametrize("pooler", CONTROLS)
def test_a_control_that_wins_is_a_caveat_and_not_the_answer(tmp_path: Path, pooler: str) -> None:
    findings = findings_of(write_study(tmp_path / "won", CLEAR | {pooler: 0.99}))
    (task,) = findings.tasks
    assert task.standings[0].pooler == pooler
    assert set(task.top) == {"attention", "conv"}
    assert headline(findings) == "Use attention on reviews x tiny."
    assert pooler not in reason(findings)
    (told,) = [line for line in caveats(findings) if pooler in line]
    assert "beats conv, attention, cls on reviews x tiny" in told
    assert told in Tags(page(findings)).text


def test_a_control_that_beats_nobody_is_no_caveat(tmp_path: Path) -> None:
    findings = findings_of(write_study(tmp_path / "lost", CLEAR | dict.fromkeys(CONTROLS, 0.5)))
    assert not [line for line in caveats(findings) if "control" in line]


def test_the_cheapest_control_is_no_bargain(tmp_path: Path) -> None:
    study = write_study(tmp_path / "cheap", CLEAR | {CONTROLS[0]: 0.9})
    write_costs(study, {CONTROLS[0]: 0.001, "cls": 1.0, "attention": 2.0, "conv": 3.0})
    findings = findings_of(study)
    assert headline(findings) == "Use attention on reviews x tiny."
    parts = gallery.of_task(findings.tasks[0], findings)
    (by_time,) = [f for f in parts["costs"] if f.name == "cost-pooler_ms"]
    front = by_time.data[0]["x"]
    assert 0.001 not in front
    assert 1.0 in front


def test_controls_are_marked_wherever_poolers_are_listed(tmp_path: Path) -> None:
    study = write_study(tmp_path / "marked", CLEAR | dict.fromkeys(CONTROLS, 0.85))
    findings = findings_of(study)
    write_report(findings)
    html, text = (study / "report.html").read_text(), (study / "report.md").read_text()
    assert EXPLAINED in Tags(html).text
    for pooler in CONTROLS:
        assert f">{MARK} {pooler}<" in html
        assert f">{pooler}<" not in html
        escaped = pooler.replace("_", "\\_")
        assert f"| {MARK} {escaped} |" in text
    assert EXPLAINED in text
    parts = gallery.of_task(findings.tasks[0], findings)
    for figure in (figure for found in parts.values() for figure in found):
        assert figure.caption.endswith(note(CONTROLS)), figure.name
    cells = rows((study / "cells.csv").read_text())
    kinds = {row["pooler"]: row["control"] for row in cells}
    assert kinds == dict.fromkeys(CLEAR, "") | dict(
        zip(CONTROLS, ("pitfall", "width control"), strict=True)
    )
    comparison = rows((study / "comparison.csv").read_text())
    assert {row["first_control"] for row in comparison if row["first"] in CLEAR} == {""}
    assert {row["second_control"] for row in comparison if row["second"] == CONTROLS[0]} == {
        "pitfall"
    }


def test_without_controls_nothing_is_said_of_them(tmp_path: Path) -> None:
    findings = findings_of(write_study(tmp_path / "plain", CLEAR))
    for told in (Tags(page(findings)).text, markdown(findings)):
        assert MARK not in told
    assert all(marked(pooler) == pooler and control(pooler) is None for pooler in CLEAR)


@pytest.mark.parametrize(
    ("poolers", "expected"),
    [
        (("mean", *CONTROLS), "mean is the only pooler that is no control"),
        (CONTROLS, "every pooler here is a control"),
    ],
)
def test_a_study_of_controls_recommends_nothing(tmp_path: Path, poolers, expected: str) -> None:
    findings = findings_of(write_study(tmp_path / "only", dict.fromkeys(poolers, 0.8)))
    assert expected in headline(findings)
    assert findings.protocol.reference == poolers[0] or "mean" not in poolers
    write_report(findings)
