"""Published tables: ours, theirs, and whether they agree."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poolbench.report.build import findings_of, report_files
from poolbench.report.published import published_tables
from poolbench.runs.protocol import Protocol, PublishedTable
from poolbench.runs.study import declare as declare_runs
from poolbench.runs.study import read_declaration
from scripts.report import main
from tests.report.studies import HOSTILE, Tags, declare, spec_of, write_run, write_study


def table_of(*values: dict[str, Any], **changed: Any) -> dict[str, Any]:
    known = {"source": "Somebody (2020)", "dataset": "reviews", "encoder": "tiny"}
    return {**known, "values": list(values), **changed}


def compared(study: Path, published: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Pooler -> its row in the table."""
    declare(study, [spec_of(study, "mean", 0)], reference="mean", published=published)
    ((table, _),) = published_tables(findings_of(study))
    return {row["pooler"]: row for row in table.frame.to_dict("records")}


def test_agreement_says_inside_or_outside_for_both_intervals(tmp_path: Path) -> None:
    write_study(tmp_path, {"mean": 0.8, "max": 0.8, "cls": 0.8})
    found = compared(
        tmp_path,
        table_of(
            {"pooler": "mean", "value": 80.0},
            {"pooler": "max", "value": 99.0, "low": 10.0, "high": 99.5},
            {"pooler": "cls", "value": 80.0, "low": 98.0, "high": 99.0},
            {"pooler": "gru", "value": 80.0},
        ),
    )
    assert {name: row["agreement"] for name, row in found.items()} == {
        "mean": "theirs inside our interval; none was published",
        "max": "theirs outside our interval; ours inside theirs",
        "cls": "theirs inside our interval; ours outside theirs",
        "gru": "no result yet",
    }


def test_ours_is_the_mean_over_its_seeds(tmp_path: Path) -> None:
    write_study(tmp_path, {"mean": 0.8}, seeds=[0, 1, 2])
    row = compared(tmp_path, table_of({"pooler": "mean", "value": 80.0}))["mean"]
    shares = [r.metrics["test/accuracy"] for r in findings_of(tmp_path).study.runs]
    assert row["our accuracy (%)"] == pytest.approx(100 * np.mean(shares))
    assert row["difference"] == pytest.approx(100 * np.mean(shares) - 80)
    assert row["our seeds"] == 3


def test_one_seed_has_no_interval(tmp_path: Path) -> None:
    write_run(tmp_path, "mean", 0)
    row = compared(tmp_path, table_of({"pooler": "mean", "value": 80.0}))["mean"]
    assert row["agreement"] == "one seed of ours, no interval; none was published"


def test_settings_select_the_variant(tmp_path: Path) -> None:
    for digest, index, accuracy in (("d0", -1, 0.9), ("d1", 3, 0.6)):
        spec = {"digest": digest, "config": {"layers": {"index": index}}}
        write_study(tmp_path, {"mean": accuracy}, range(2), spec=spec)
    published = table_of({"pooler": "mean", "value": 90.0, "settings": {"layers.index": 3}})
    row = compared(tmp_path, published)["mean"]
    assert row["settings"] == "layers.index=3"
    assert row["our accuracy (%)"] < 70
    unclear = compared(tmp_path, table_of({"pooler": "mean", "value": 90.0}))["mean"]
    assert unclear["our accuracy (%)"] is None
    assert "select one variant" in unclear["agreement"]


@pytest.mark.parametrize(
    ("changed", "config"),
    [({"dataset": "other"}, {}), ({}, {"dataset": {"max_examples": 40}})],
    ids=["another dataset", "a part of the data"],
)
def test_different_data_are_not_compared(tmp_path: Path, changed: Any, config: Any) -> None:
    write_study(tmp_path, {"mean": 0.8}, spec={"config": config})
    found = compared(tmp_path, table_of({"pooler": "mean", "value": 80.0}, **changed))
    assert found["mean"]["agreement"] == "not comparable"


def test_the_report_shows_the_table_its_source_and_deviations(tmp_path: Path) -> None:
    write_study(tmp_path, {"mean": 0.8, "cls": 0.7})
    published = table_of({"pooler": "mean", "value": 81.25}, deviations=[HOSTILE, "no warm-up"])
    compared(tmp_path, published)
    files = report_files(findings_of(tmp_path))
    for text in (Tags(files["report.html"]).text, files["report.md"]):
        assert "Comparison with the published table" in text
        assert "Somebody (2020)" in text
        assert "81.25" in text
        assert text.count("Deviation:") == 2
    assert HOSTILE in Tags(files["report.html"]).text
    assert "<script" not in files["report.md"]


def test_a_study_without_a_published_table_has_no_section(tmp_path: Path) -> None:
    assert (
        "published table"
        not in report_files(findings_of(write_study(tmp_path, {"cls": 0.7})))["report.md"]
    )


def test_a_declaration_with_an_invalid_table_is_one_line_and_exit_code_2(
    tmp_path: Path, capsys
) -> None:
    study = write_study(tmp_path, {"mean": 0.8})
    compared(study, table_of({"pooler": "mean", "value": 80.0}))
    path = study / "study.json"
    path.write_text(path.read_text().replace("80.0", '"?"'))
    assert main([str(study)]) == 2
    assert "study.json is damaged" in (error := capsys.readouterr().err)
    assert error.count("\n") == 1


def test_a_published_table_may_be_reworded_and_is_kept_by_commands_without_one(tmp_path) -> None:
    spec = spec_of(tmp_path / "s", "mean", 0, config={"output_dir": str(tmp_path)})
    first = PublishedTable(**table_of({"pooler": "mean", "value": 80.0}))
    reworded = first.model_copy(update={"source": "reworded"})
    for published in (first, reworded, None):
        declare_runs([spec], Protocol(reference="mean", published=published))
    assert read_declaration(tmp_path / "s").protocol.published == reworded
