"""Names and texts of the user stay text: in a page, in Markdown, in a spreadsheet."""

import json
from pathlib import Path

from poolbench.report.blocks import as_script
from poolbench.report.build import findings_of, write_report
from tests.report.reading import Tags, rows
from tests.report.written import (
    CLEAR,
    ENDING,
    EXAMPLES,
    HOSTILE,
    hostile_study,
    keep_texts,
    write_study,
)


def test_names_and_texts_of_the_user_cannot_become_markup(tmp_path: Path) -> None:
    study = hostile_study(tmp_path / "hostile")
    write_report(findings_of(study))
    html = (study / "report.html").read_text()
    tags = Tags(html)
    assert "img" not in tags.tags
    figures = tags.tags.count("figure")
    assert tags.tags.count("script") == figures + 2
    assert HOSTILE in tags.text
    assert ENDING in tags.text
    markdown = (study / "report.md").read_text()
    assert "<script" not in markdown
    assert "<img" not in markdown


def test_data_in_a_script_cannot_end_it() -> None:
    written = as_script({"name": ENDING})
    assert "<" not in written
    assert json.loads(written) == {"name": ENDING}


def test_no_cell_of_a_spreadsheet_is_a_formula(tmp_path: Path) -> None:
    study = hostile_study(tmp_path / "formulas")
    write_report(findings_of(study))
    for name in ("cells.csv", "comparison.csv"):
        found = rows((study / name).read_text())
        for value in (value for row in found for value in row.values()):
            assert not value.startswith(("=", "@", "+"))
            assert not value.startswith("-") or float(value) < 0
        assert "'=cmd()" in {row.get("pooler") or row.get("first") for row in found}


def test_texts_outside_the_study_are_not_read(tmp_path: Path) -> None:
    keep_texts(tmp_path, ["secret"] * EXAMPLES)
    data = {"test_texts": "../texts.json", "classes": ["a", "b"]}
    study = write_study(tmp_path / "inside", CLEAR, data=data)
    assert findings_of(study).tasks[0].texts is None


def test_texts_that_do_not_fit_the_predictions_are_not_shown(tmp_path: Path) -> None:
    study = tmp_path / "misfit"
    data = {"test_texts": keep_texts(study, ["one too few"] * (EXAMPLES - 1))}
    assert findings_of(write_study(study, CLEAR, data=data)).tasks[0].texts is None
