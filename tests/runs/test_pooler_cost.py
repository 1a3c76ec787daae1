"""Pooler times come from one benchmark of the study, or are said to be missing."""

import json
from pathlib import Path

import pytest

from poolbench.report.build import findings_of
from poolbench.report.caveats import caveats
from poolbench.report.markdown import markdown
from poolbench.report.page import page
from tests.report.reading import Tags, headline, reason
from tests.report.written import CLEAR, write_costs, write_study


def test_the_cheapest_of_the_top_group_is_recommended(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study", CLEAR)
    by_parameters = findings_of(study)
    assert set(by_parameters.tasks[0].top) == {"attention", "conv"}
    assert "Use attention" in headline(by_parameters)
    assert "5,130 parameters" in reason(by_parameters)
    write_costs(study, {"cls": 0.1, "attention": 3.0, "conv": 1.0})
    by_time = findings_of(study)
    assert "Use conv" in headline(by_time)
    assert "cheapest in pooler time" in reason(by_time)
    assert "1 ms a batch" in reason(by_time)


def test_times_stand_in_the_table_with_their_setting(tmp_path: Path) -> None:
    study = write_study(tmp_path / "timed", CLEAR)
    write_costs(study, {"cls": 0.25, "attention": 3.0, "conv": 1.5})
    findings = findings_of(study)
    setting = "batch 32, 32 tokens, width 384, 2 threads on cpu"
    for told in (Tags(page(findings)).text, markdown(findings)):
        assert setting in told
        assert "0.25" in told
        assert "benchmark.py" not in told
    assert "figure-cost-pooler_ms" in page(findings)


def test_times_in_records_are_not_compared(tmp_path: Path) -> None:
    metrics = {"test/accuracy": 0.8, "perf/pooler_ms": 1.0}
    findings = findings_of(write_study(tmp_path / "records", CLEAR, metrics=metrics))
    assert {s.pooler_ms for s in findings.tasks[0].standings} == {None}


def test_what_is_not_measured_is_told_with_the_command_that_measures_it(tmp_path: Path) -> None:
    study = write_study(tmp_path / "my study", CLEAR)
    command = f"python scripts/benchmark.py poolers --study '{study.as_posix()}'"
    for known, expected in (
        ({}, f"Pooler times are not measured yet: {command}"),
        ({"cls": 1.0, "conv": 1.0}, f"Pooler times of attention are not measured yet: {command}"),
    ):
        write_costs(study, known)
        assert Tags(page(findings_of(study))).text.count(expected) == 1
        assert "not measured yet" in markdown(findings_of(study))
    # A top group that is not timed as a whole is weighed by parameters.
    assert "in parameters" in reason(findings_of(study))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda content: "{", "Expecting property name"),
        (lambda content: "[]", "list indices"),
        (lambda content: json.dumps({"shape": content["shape"]}), "it has no poolers"),
        (lambda content: json.dumps(content | {"shape": {}}), "it has no batch"),
        (lambda content: json.dumps(content | {"poolers": {"cls": {}}}), "it has no forward_ms"),
        (
            lambda content: json.dumps(
                content | {"poolers": {"cls": {"forward_ms": float("nan"), "backward_ms": 1}}}
            ),
            "nan",
        ),
    ],
)
def test_a_damaged_benchmark_is_a_caveat_and_no_crash(tmp_path: Path, change, why: str) -> None:
    study = write_study(tmp_path / "damaged", CLEAR)
    path = write_costs(study, dict.fromkeys(CLEAR, 1.0))
    path.write_text(change(json.loads(path.read_text())))
    findings = findings_of(study)
    (told,) = [line for line in caveats(findings) if "pooler_cost.json is damaged" in line]
    assert why in told
    assert "Use attention" in headline(findings)
    assert "is damaged" in page(findings)
