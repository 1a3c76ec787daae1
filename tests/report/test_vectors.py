"""The figure and the table of compressed vectors show the numbers of the files."""

from pathlib import Path

import pytest

from poolbench.report import vectors
from poolbench.report.build import figures_of, findings_of
from poolbench.runs.schema import write_json
from poolbench.runs.vector_cost import VECTOR_COST, VectorCost, VectorCosts
from tests.report.task_studies import write_task_study

BYTES = {"float32": (32, 16), "int8": (8, 4), "binary": (1, 1)}


def costs_of(sha: str | None, lost: float) -> VectorCosts:
    costs = [
        VectorCost(
            format=name,
            width=width,
            bytes=size,
            value=60 - lost / size,
            difference=-lost / size,
            interval=(-lost / size - 0.1, -lost / size + 0.1) if size < 32 else None,
        )
        for name, sizes in BYTES.items()
        for width, size in zip((8, 4), sizes, strict=True)
    ]
    return VectorCosts(predictions_sha256=sha, metric="spearman", costs=costs)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Three poolers, two of them with measured vectors."""
    study = write_task_study(tmp_path, "similarity", {"cls": 1.6, "mean": 0.4, "max": 1.2})
    for record in findings_of(study).study.finished:
        if record.run.pooler != "cls":
            lost = {"mean": 2.0, "max": 40.0}[record.run.pooler]
            write_json(record.folder / VECTOR_COST, costs_of(record.predictions_sha256, lost))
    return study


def test_figure_and_table_show_every_measured_vector(study: Path) -> None:
    findings = findings_of(study)
    (task,) = findings.tasks
    (figure,) = figures_of(findings)[task.name]["vectors"]
    drawn = {}
    for trace in figure.plot.data:
        for x, y, more in zip(trace.x, trace.y, trace.customdata or (), strict=False):
            drawn[trace.name, *more] = (x, y)
    expected = {
        (pooler, c.format, c.width): (c.bytes, pytest.approx(c.value))
        for pooler, costs in vectors.measured(task).items()
        for c in costs.costs
    }
    assert drawn == expected
    assert len(expected) == 12
    named = [t.name for t in figure.plot.data if t.showlegend is not False]
    assert sorted(named) == sorted(["mean", "max", *BYTES])
    assert figure.plot.layout.xaxis.type == "log"
    frame = vectors.table(task).frame
    rows = {(r.pooler, r.format, r.width): r.bytes for r in frame.itertuples()}
    assert rows == {key: size for key, (size, _) in expected.items()}


def test_the_smallest_vector_depends_on_the_margin(study: Path) -> None:
    (task,) = findings_of(study).tasks
    of_mean, of_max = vectors.smallest(task, 0.5)
    assert "int8 at width 8 (8 bytes, 4 times smaller)" in of_mean
    assert "nothing smaller" in of_max
    assert "binary" in vectors.smallest(task, 3.0)[0]
