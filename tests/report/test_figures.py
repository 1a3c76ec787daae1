"""Figures show the numbers of the records."""

from pathlib import Path

import numpy as np
import pytest

from poolbench.report.build import figures_of, findings_of
from poolbench.report.curves import length_bins
from poolbench.report.figures import Figure
from tests.report.studies import CLEAR, EXAMPLES, write_costs, write_run, write_study

TASK = "reviews × tiny"


def only(study: Path, section: str, name: str) -> Figure:
    """One figure of a study with one task."""
    return next(f for f in figures_of(findings_of(study))[TASK][section] if f.name == name)


def named(figure: Figure, name: str):
    """The trace of one pooler."""
    return next(t for t in figure.plot.data if t.name == name and t.showlegend is not False)


def test_seeds_and_differences_are_those_of_the_records(tmp_path: Path) -> None:
    study = write_study(tmp_path / "seeds", CLEAR)
    (task,) = findings_of(study).tasks
    for trace in seeds_in(only(study, "seeds", "seeds")):
        found = dict(zip(trace.customdata[:, 0], trace.x, strict=True))
        assert found == pytest.approx(task.standing(trace.name).scores, rel=1e-4)
    figure = only(study, "seeds", "differences")
    by_name = {c.first: c for c in task.against}
    for trace in seeds_in(figure):
        assert trace.x == pytest.approx(by_name[trace.name].per_seed, rel=1e-4)
    for trace in (t for t in figure.plot.data if t.error_x.array is not None):
        low, high = trace.x - trace.error_x.arrayminus, trace.x + trace.error_x.array
        assert (*low, *high) == pytest.approx(by_name[trace.name].interval, rel=1e-4)


def seeds_in(figure: Figure):
    """The traces of single seeds: one for each pooler."""
    found = [t for t in figure.plot.data if "seed=" in (t.hovertemplate or "")]
    assert found
    return found


def test_every_section_has_its_figures(tmp_path: Path) -> None:
    study = tmp_path / "figures"
    for dataset in ("news", "reviews"):
        for digest, lr in (("d0", 0.1), ("d1", 0.2)):
            spec = {"dataset": dataset, "digest": digest, "config": {"optimizer": {"lr": lr}}}
            write_study(study, CLEAR, spec=spec, validation=lr)
    write_costs(study, dict.fromkeys(CLEAR, 1.0))
    found = figures_of(findings_of(study, ["optimizer.lr"]))
    assert all(all(sections.values()) for sections in found.values())
    names = {f.name for sections in found.values() for drawn in sections.values() for f in drawn}
    assert len(names) == 11


def test_learning_curves_average_the_seeds_that_still_train(tmp_path: Path) -> None:
    for seed, epochs in ((0, [0.5, 0.7]), (1, [0.6])):
        history = [{"epoch": i, "val/accuracy": v, "val/loss": 1.0} for i, v in enumerate(epochs)]
        write_run(tmp_path, "mean", seed, history=history)
    line = named(only(tmp_path, "learning", "learning-accuracy"), "mean")
    assert list(line.x) == [1, 2]
    assert line.y == pytest.approx((55, 70))


def test_length_bins_hold_every_example_once_and_average_them(tmp_path: Path) -> None:
    study = write_study(tmp_path / "lengths", CLEAR)
    (task,) = findings_of(study).tasks
    bins = length_bins(task)
    assert sorted(np.concatenate(list(bins.values()))) == list(range(EXAMPLES))
    line = named(only(study, "lengths", "length"), "conv")
    right = task.standing("conv").right
    assert line.y == pytest.approx([100 * right[rows].mean() for rows in bins.values()], rel=1e-5)


def test_classes_show_the_difference_in_f1(tmp_path: Path) -> None:
    for pooler, f1 in (("cls", [0.5, 0.6]), ("mean", [0.7, 0.5])):
        write_run(tmp_path, pooler, 0, test_details={"f1": f1})
    points = named(only(tmp_path, "classes", "classes"), "mean")
    assert points.x == pytest.approx((20, -10))
    assert list(points.customdata[:, 0]) == ["negative", "positive"]


def test_every_variant_is_drawn_at_its_own_value(tmp_path: Path) -> None:
    """Learning rates of fine-tuning are small: rounded, they would be one."""
    for lr, score in ((1e-5, 0.6), (2e-5, 0.9), (3e-5, 0.7)):
        spec = {"digest": f"{lr}", "config": {"optimizer": {"lr": lr}}}
        write_run(tmp_path, "mean", 0, validation=score, spec=spec)
    (figure,) = figures_of(findings_of(tmp_path, ["optimizer.lr"]))[TASK]["tuning"]
    line = named(figure, "mean")
    assert (*line.x, *line.y) == pytest.approx((1e-5, 2e-5, 3e-5, 60, 90, 70))
    assert figure.plot.layout.xaxis.type == "log"


# Quality against cost


def by_time(study: Path) -> Figure:
    return only(study, "costs", "cost-pooler_ms")


def test_the_pareto_front_joins_poolers_that_none_beats_on_both(tmp_path: Path) -> None:
    poolers = {"cls": 0.6, "mean": 0.8, "max": 0.7, "conv": 0.9}
    study = write_study(tmp_path / "front", poolers | {"pitfall-sum": 0.9})
    costs = {"pitfall-sum": 0.001, "cls": 1.0, "mean": 2.0, "max": 3.0, "conv": 4.0}
    write_costs(study, costs)
    figure = by_time(study)
    assert list(figure.plot.data[-1].x) == [1.0, 2.0, 4.0]  # no control is on it
    assert {t.name.removeprefix("† "): t.x[0] for t in figure.plot.data[:-1]} == costs


def test_names_are_written_at_the_front_and_the_reference(tmp_path: Path) -> None:
    crowd = [f"pooler_{i}" for i in range(9)]
    study = write_study(tmp_path / "crowd", {"cls": 0.6, "mean": 0.95} | dict.fromkeys(crowd, 0.75))
    write_costs(study, {"cls": 120.0, "mean": 100.0} | dict.fromkeys(crowd, 110.0))
    figure = by_time(study)
    traces = figure.plot.data[:-1]
    assert {t.name for t in traces if t.text[0]} == {"cls", "mean"}
    assert {t.name for t in traces} == {"cls", "mean", *crowd}
    assert "Point at a marker" in figure.caption  # no legend has room for all
