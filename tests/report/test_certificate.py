"""The padding certificate: the worst cell of each pooler, broken lines marked in words."""

from pathlib import Path
from typing import Any

import pytest

from poolbench.report.build import findings_of, write_report
from poolbench.report.caveats import caveats
from poolbench.report.contract_table import broken, certificate, certificate_lines
from poolbench.report.markdown import markdown
from poolbench.report.page import page
from tests.report.reading import Tags
from tests.report.written import write_cell


def line(deviation: float | None, kept: bool = True, promise: str = "padding is ignored") -> Any:
    limit = None if deviation is None else 1e-5
    return {"promise": promise, "deviation": deviation, "limit": limit, "kept": kept}


def certified(study: Path, **of_poolers: dict[int, Any]) -> Path:
    """Poolers -> seeds -> certificates."""
    for pooler, by_seed in of_poolers.items():
        for seed, found in by_seed.items():
            write_cell(study, pooler, seed, certificate=found)
    return study


def test_the_worst_cell_speaks_for_its_pooler(tmp_path: Path) -> None:
    cells = {seed: {"T1": line(1e-8 * seed), "T10": line(0.0)} for seed in range(5)}
    cells[2]["T1"] = line(3e-4, kept=False)
    cells[3]["T1"] = line(0.5)  # kept: larger, and still not the worst
    study = certified(tmp_path / "worst", cls={0: {"T10": line(None), "T2": line(0.0)}}, mean=cells)
    findings = findings_of(study)
    (task,) = findings.tasks
    assert certificate(task.standing("mean"))["T1"].deviation == 3e-4
    assert list(broken(task.standing("mean"))) == ["T1"]
    assert list(certificate(task.standing("cls"))) == ["T2", "T10"]
    assert set(certificate_lines(task)) == {
        "cls: all 2 lines kept",
        "mean: T1 broken, 1 of 2 lines kept",
    }
    text = Tags(page(findings)).text
    assert "✗ T13.0e-04" in text  # a line break stands between them
    assert "padding is ignored (limit 1e-05)" in text
    assert "mean: T1 broken, 1 of 2 lines kept" in markdown(findings)
    assert "mean on reviews x tiny breaks T1 of its contract: padding is ignored." in caveats(
        findings
    )


def test_a_pitfall_that_breaks_its_line_is_no_caveat(tmp_path: Path) -> None:
    broken_line = {0: {"T1": line(0.1, kept=False)}}
    study = certified(tmp_path / "meant", **{"pitfall-sum": broken_line, "cls": {0: {}}})
    findings = findings_of(study)
    assert "✗ T1" in Tags(page(findings)).text
    assert not [told for told in caveats(findings) if "breaks" in told]


def test_lines_without_a_number_and_uncertified_poolers_are_shown_as_such(tmp_path: Path) -> None:
    found = {0: {"T12": line(None), "T15": line(None, kept=False)}}
    findings = findings_of(certified(tmp_path / "words", cls=found, mean={0: {}}))
    text = Tags(page(findings)).text
    assert "✓" in text
    assert "✗ T15" in text
    assert certificate_lines(findings.tasks[0]) == ["cls: T15 broken, 1 of 2 lines kept"]


@pytest.mark.parametrize("other", [None, [], "kept", {"padding": 1e-8}, {"T1": {"kept": "yes"}}])
def test_what_is_no_certificate_certifies_nothing(tmp_path: Path, other: Any) -> None:
    findings = findings_of(certified(tmp_path / "other", cls={0: other}, mean={0: other}))
    assert certificate_lines(findings.tasks[0]) == []
    write_report(findings)
    assert "hold no padding certificate" in page(findings)
