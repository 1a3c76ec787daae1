"""Figures are ones plotly knows, and their numbers those of the predictions."""

import itertools
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest

from poolbench.report import gallery
from poolbench.report.build import findings_of
from poolbench.report.examples import class_f1, disagreement, length_bins
from tests.report.written import CLEAR, EXAMPLES, write_costs, write_study


def test_every_figure_is_one_that_plotly_knows(tmp_path: Path) -> None:
    study = tmp_path / "figures"
    metrics = {"test/accuracy": 0.8, "perf/samples_per_sec": 5.0}
    for dataset in ("news", "reviews"):
        for digest, lr in (("d0", 0.1), ("d1", 0.2)):
            config = {"optimizer": {"lr": lr}}
            more = {"metrics": metrics | {"best/val_accuracy": lr}, "config": config}
            write_study(study, CLEAR, dataset=dataset, digest=digest, **more)
    write_costs(study, dict.fromkeys(CLEAR, 1.0))
    findings = findings_of(study, ["optimizer.lr"])
    drawn = [*gallery.of_all(findings)]
    for task in findings.tasks:
        parts = gallery.of_task(task, findings)
        assert all(parts.values()), [part for part, found in parts.items() if not found]
        drawn += [figure for found in parts.values() for figure in found]
    for figure in drawn:
        go.Figure(figure.data, figure.layout)  # raises for what plotly does not know
    assert len({figure.name for figure in drawn}) == 12


def test_length_bins_hold_every_example_once(tmp_path: Path) -> None:
    (task,) = findings_of(write_study(tmp_path / "lengths", CLEAR)).tasks
    bins = length_bins(task)
    assert sorted(np.concatenate([b.rows for b in bins])) == list(range(EXAMPLES))
    assert all(a.last < b.first for a, b in itertools.pairwise(bins))


def test_disagreements_are_counted_over_all_examples(tmp_path: Path) -> None:
    (task,) = findings_of(write_study(tmp_path / "disagree", CLEAR)).tasks
    right = {}
    for name in ("conv", "cls"):
        kept = [cell.predictions for cell in task.standing(name).finished]
        right[name] = np.mean([k.predictions == k.labels for k in kept], axis=0) > 0.5
    found = disagreement(task, "conv", "cls")
    assert found.only_first == int((right["conv"] & ~right["cls"]).sum())
    assert found.only_second == int((right["cls"] & ~right["conv"]).sum())
    assert len(found.won) == 5
    assert all(right["conv"][e.number] and not right["cls"][e.number] for e in found.won)


def test_the_f1_of_a_class_is_the_one_of_its_confusion_counts(tmp_path: Path) -> None:
    study = write_study(tmp_path / "f1", {"cls": 0.7}, seeds=[0])
    (task,) = findings_of(study).tasks
    (cell,) = task.standing("cls").finished
    kept = cell.predictions
    for k, f1 in enumerate(class_f1(task.standing("cls"))):
        precision = (kept.labels[kept.predictions == k] == k).mean()
        recall = (kept.predictions[kept.labels == k] == k).mean()
        assert f1 == pytest.approx(2 * precision * recall / (precision + recall))
