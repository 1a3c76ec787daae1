"""Figures show the numbers of the records."""

import json
from pathlib import Path

import numpy as np
import pytest

from poolbench.report.build import ACROSS, figures_of, findings_of
from poolbench.report.curves import length_bins
from poolbench.report.figures import Figure, shortened
from poolbench.report.predicted import reliability, roc_curve
from poolbench.runs.predictions import Predictions
from poolbench.runs.record import write_record
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
        found = dict(zip(trace.customdata, trace.x, strict=True))
        assert found == pytest.approx(task.standing(trace.name).scores)
    figure = only(study, "seeds", "differences")
    by_name = {c.first: c for c in task.against}
    for trace in seeds_in(figure):
        assert trace.x == pytest.approx(by_name[trace.name].per_seed)
    for trace in (t for t in figure.plot.data if t.error_x.array is not None):
        assert interval(trace).T.tolist() == [pytest.approx(by_name[trace.name].interval)]


def interval(trace) -> np.ndarray:
    """Lower and upper ends (2, points) of the horizontal error bars of a trace."""
    ends = [[-1], [1]] * np.array([trace.error_x.arrayminus, trace.error_x.array])
    return np.array(trace.x) + ends


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
    assert len(names) == 14
    # What the page draws is what plotly has checked.
    for figure in (f for sections in found.values() for drawn in sections.values() for f in drawn):
        page = json.loads(figure.json)
        assert json.loads(figure.plot.to_json())["data"] == page["data"]


def test_learning_curves_average_the_seeds_that_still_train(tmp_path: Path) -> None:
    for seed, epochs in ((0, [0.5, 0.7]), (1, [0.6])):
        history = [{"epoch": i, "val/accuracy": v, "val/loss": 1.0} for i, v in enumerate(epochs)]
        write_run(tmp_path, "mean", seed, history=history)
    line = named(only(tmp_path, "learning", "learning-accuracy"), "mean")
    assert list(line.x) == [1, 2]
    assert line.y == pytest.approx((55, 70))


def test_learning_curves_switch_to_seconds_if_every_record_has_them(tmp_path: Path) -> None:
    for pooler, pace in (("cls", 1.0), ("mean", 4.0)):
        for seed in range(2):
            history = [
                {"epoch": i, "val/accuracy": 0.5, "seconds": pace * (i + 1) + seed}
                for i in range(3)
            ]
            write_run(tmp_path, pooler, seed, history=history)
    figure = only(tmp_path, "learning", "learning-accuracy")
    (menu,) = figure.plot.layout.updatemenus
    names = [trace.name for trace in figure.plot.data]
    epochs, seconds = (dict(zip(names, b.args[0]["x"], strict=True)) for b in menu.buttons)
    assert epochs == {"cls": [1, 2, 3], "mean": [1, 2, 3]}
    assert seconds == {"cls": [1.5, 2.5, 3.5], "mean": [4.5, 8.5, 12.5]}
    write_run(tmp_path, "max", 0, history=[{"epoch": 0, "val/accuracy": 0.5}])
    assert not only(tmp_path, "learning", "learning-accuracy").plot.layout.updatemenus


def test_length_bins_hold_every_example_once_and_average_them(tmp_path: Path) -> None:
    study = write_study(tmp_path / "lengths", CLEAR)
    (task,) = findings_of(study).tasks
    bins = length_bins(task)
    assert sorted(np.concatenate(list(bins.values()))) == list(range(EXAMPLES))
    line = named(only(study, "lengths", "length"), "conv")
    right = task.standing("conv").right
    assert line.y == pytest.approx([100 * right[rows].mean() for rows in bins.values()], rel=1e-5)


def test_classes_show_f1_in_absolute_numbers(tmp_path: Path) -> None:
    for pooler, f1 in (("cls", [0.5, 0.6]), ("mean", [0.7, 0.5])):
        for seed, gain in enumerate((0, 0.1)):
            found = [value + gain for value in f1]
            write_run(tmp_path, pooler, seed, test_details={"f1": found})
    points = named(only(tmp_path, "classes", "classes"), "mean")
    assert points.x == pytest.approx((75, 55))
    assert list(points.customdata) == ["negative", "positive"]


@pytest.mark.parametrize("classes", [3, 31])
def test_the_errors_of_the_best_pooler_are_counted(tmp_path: Path, classes: int) -> None:
    rng = np.random.default_rng(0)
    counts = np.zeros((classes, classes))
    labels = rng.integers(0, classes, EXAMPLES)
    for seed in range(2):
        predictions = np.where(rng.random(EXAMPLES) < 0.6, labels, (labels + 1) % classes)
        names = {"classes": [str(k) for k in range(classes)]}
        record = write_run(tmp_path, "mean", seed, data=names, test_details={})
        logits = np.eye(classes, dtype=np.float32)[predictions]
        write_record(record, Predictions(np.arange(EXAMPLES), labels, logits))
        for label, predicted in zip(labels, predictions, strict=True):
            counts[label, predicted] += 0.5
    (drawn,) = only(tmp_path, "classes", "confusion").plot.data
    if classes == 3:
        assert np.asarray(drawn.z) == pytest.approx(100 * counts / counts.sum(1, keepdims=True))
    else:
        errors = counts * (1 - np.eye(classes))
        assert list(drawn.x) == sorted(errors[errors > 0], reverse=True)[:20]
        label, predicted = map(int, drawn.customdata[0].split(" as "))
        assert errors[label, predicted] == drawn.x[0]


def test_calibration_and_roc_agree_with_torchmetrics(tmp_path: Path) -> None:
    functional = pytest.importorskip("torchmetrics.functional")
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, EXAMPLES)
    # Multiples of 1/8 are exact: some differences are equal.
    logits = rng.normal(size=(EXAMPLES, 2)) + 1.5 * np.eye(2)[labels]
    logits = (np.round(8 * logits) / 8).astype(np.float32)
    found = Predictions(np.arange(EXAMPLES), labels, logits)
    tensors = torch.from_numpy(logits).softmax(1), torch.from_numpy(labels)
    error = functional.calibration_error(*tensors, "multiclass", n_bins=15, num_classes=2)
    assert reliability(found)[1] == pytest.approx(float(error), abs=1e-6)
    area = functional.auroc(torch.from_numpy(logits[:, 1] - logits[:, 0]), tensors[1], "binary")
    wrong, right = roc_curve(found)
    assert np.trapezoid(right, wrong) == pytest.approx(float(area), abs=1e-6)
    assert (wrong[-1], right[-1]) == (1, 1)


def test_the_calibration_error_is_the_distance_from_the_diagonal(
    tmp_path: Path,
) -> None:
    write_study(tmp_path / "sure", {"mean": 0.8}, range(1))
    figure = only(tmp_path / "sure", "certainty", "calibration")
    curve = named(figure, "mean")
    assert curve.x == pytest.approx([100 * np.e / (np.e + 1)])
    assert f"mean {abs(curve.x[0] - curve.y[0]):.1f} %" in figure.caption


def test_forest_plots_share_their_axis(tmp_path: Path) -> None:
    for dataset, conv in (("news", 0.9), ("reviews", 0.7)):
        accuracies = {"cls": 0.6, "mean": 0.65, "conv": conv}
        write_study(tmp_path / "many", accuracies, spec={"dataset": dataset})
    figures = figures_of(findings_of(tmp_path / "many"))[ACROSS]["forest"]
    ranges = {figure.plot.layout.xaxis.range for figure in figures}
    assert len(figures) == 2
    assert len(ranges) == 1
    ((low, high),) = ranges
    for trace in (t for f in figures for t in f.plot.data):
        assert low < interval(trace).min() < interval(trace).max() < high


def test_every_variant_is_drawn_at_its_own_value(tmp_path: Path) -> None:
    """Learning rates of fine-tuning are small: rounded, they would be one."""
    for lr, score in ((1e-5, 0.6), (2e-5, 0.9), (3e-5, 0.7)):
        spec = {"digest": f"{lr}", "config": {"optimizer": {"lr": lr}}}
        write_run(tmp_path, "mean", 0, validation=score, spec=spec)
    (figure,) = figures_of(findings_of(tmp_path, ["optimizer.lr"]))[TASK]["tuning"]
    line = named(figure, "mean")
    assert (*line.x, *line.y) == pytest.approx((1e-5, 2e-5, 3e-5, 60, 90, 70))
    assert figure.plot.layout.xaxis.type == "log"


def test_long_names_are_shortened_in_their_middle() -> None:
    assert shortened("x" * 24) == "x" * 24
    found = {shortened("same_beginning_" * 3 + end, 16) for end in ("mean", "max", "cls")}
    assert len(found) == 3
    assert {len(name) for name in found} == {16}


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
    assert "Hover over a marker" in figure.caption  # no legend has room for all
