"""Quality against cost: who is on the line, and whose name is written."""

from pathlib import Path

from poolbench.report import gallery
from poolbench.report.build import findings_of
from poolbench.report.drawing import Figure
from tests.report.written import write_costs, write_study


def by_time(study: Path) -> Figure:
    findings = findings_of(study)
    found = gallery.of_task(findings.tasks[0], findings)["costs"]
    return next(figure for figure in found if figure.name == "cost-pooler_ms")


def named(figure: Figure) -> dict[str, str]:
    """Names that are written, and on which side of their point."""
    points = (trace for trace in figure.data if "text" in trace and "text" in trace["mode"])
    return {trace["text"][0].strip(): trace["textposition"] for trace in points}


def test_only_poolers_that_none_beats_on_both_are_joined(tmp_path: Path) -> None:
    study = write_study(tmp_path / "front", {"cls": 0.6, "mean": 0.8, "max": 0.7, "conv": 0.9})
    write_costs(study, {"cls": 1.0, "mean": 2.0, "max": 3.0, "conv": 4.0})
    assert by_time(study).data[0]["x"] == [1.0, 2.0, 4.0]


def test_neighbours_write_their_names_on_different_sides(tmp_path: Path) -> None:
    study = write_study(tmp_path / "near", {"cls": 0.6, "mean": 0.9, "last": 0.75, "max": 0.751})
    write_costs(study, {"cls": 1.0, "mean": 100.0, "last": 10.0, "max": 10.5})
    figure = by_time(study)
    sides = named(figure)
    assert set(sides) == {"cls", "mean", "last", "max"}
    assert sides["last"] != sides["max"]
    assert "touch a point" not in figure.caption


def test_names_without_room_are_left_out_aloud_and_the_line_keeps_its_own(tmp_path: Path) -> None:
    crowd = [f"pooler_{i}" for i in range(9)]
    poolers = {"cls": 0.6, "mean": 0.95} | dict.fromkeys(crowd, 0.75)
    study = write_study(tmp_path / "crowd", poolers)
    write_costs(study, {"cls": 1.0, "mean": 100.0} | dict.fromkeys(crowd, 110.0))
    figure = by_time(study)
    assert {"cls", "mean"} <= set(named(figure))
    assert len(named(figure)) < len(poolers)
    assert "Not all have room for their name" in figure.caption
    hover = "".join(trace.get("hovertemplate", "") for trace in figure.data)
    assert all(pooler in hover for pooler in poolers)
