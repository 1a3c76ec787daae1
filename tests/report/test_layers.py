"""Settings in names: poolers on several layers, and pairs with several features."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poolbench.report.build import figures_of, findings_of, report_files
from poolbench.report.layers import lowest_layer
from poolbench.runs.study import read_study
from poolbench.stats.best import Best
from poolbench.stats.verdict import Word
from tests.report.studies import CLEAR, declare, headline, keep_texts, reason, spec_of, write_study
from tests.report.task_studies import write_layers, write_task_run

LAYERS = {"cls": [9, 4, 3], "mean": [3, 1, 0.4], "max": [3, 2, 1.5]}


@pytest.mark.parametrize("task", ["similarity", "retrieval"])
def test_poolers_on_layers_are_compared_with_each_other(tmp_path: Path, task: str) -> None:
    findings = findings_of(write_layers(tmp_path, task, LAYERS))
    assert headline(findings) == f"Decided on {task} × tiny: use mean@2."
    assert "cls@2, on its highest layer, is the reference" in str(findings.notes)
    (found,) = findings.tasks
    assert len(found.standings) == 9
    assert found.cost == "inference_time"
    assert "No layer below 2 is shown to be within" in reason(findings)
    (figure,) = figures_of(findings)[found.name]["layers"]
    (cells,) = figure.plot.data
    assert list(figure.plot.layout.yaxis.ticktext) == ["0 ", "1 ", "2 "]
    names = list(figure.plot.layout.xaxis.ticktext)
    assert names[0] == "mean"
    for row, values in enumerate(cells.z):
        for name, value in zip(names, values, strict=True):
            assert value == found.standing(f"{name}@{row}").mean
    starred = [text for row in cells.text for text in row if text.startswith("★")]
    assert starred == [f"★{found.standing('mean@2').mean:.1f}"]
    page = report_files(findings)["report.html"]
    assert "Layers and poolers" in page
    assert "select one variant" not in page


def test_a_declared_run_without_a_record_is_on_its_layer(tmp_path: Path) -> None:
    write_layers(tmp_path, "similarity", LAYERS)
    specs = [record.run for record in findings_of(tmp_path).study.runs]
    plain = [spec.model_copy(update={"pooler": spec.pooler.partition("@")[0]}) for spec in specs]
    missing = plain[0].model_copy(
        update={"digest": "d3", "config": {}, "command": "python train.py x layers.index=3"}
    )
    declare(tmp_path, [*plain, missing], metric="spearman", reference="mean")
    findings = findings_of(tmp_path)
    (lost,) = [r for r in findings.study.runs if not r.ok]
    assert lost.run.pooler == "cls@3"
    assert findings.protocol.reference == "mean@2"
    assert report_files(findings)


def test_layers_of_trained_poolers_are_compared_over_seeds(tmp_path: Path) -> None:
    for pooler, accuracy in CLEAR.items():
        for layer in (1, -1):
            spec = {"config": {"layers": {"index": layer}}, "digest": f"d{layer}"}
            share = accuracy - 0.1 * (layer == 1)
            write_study(tmp_path, {pooler: share}, range(5), spec=spec)
    findings = findings_of(tmp_path)
    (task,) = findings.tasks
    assert task.reference == "cls@-1"
    assert task.best is not None
    assert {s.pooler for s in task.standings} == {f"{p}@{k}" for p in CLEAR for k in (1, -1)}
    assert figures_of(findings)[task.name]["layers"]
    assert report_files(findings)


def test_other_differences_still_need_a_selection(tmp_path: Path) -> None:
    for layer, lr in ((0, 0.1), (1, 0.2)):
        config = {"layers": {"index": layer}, "optimizer": {"lr": lr}}
        write_study(tmp_path, CLEAR, range(5), spec={"config": config, "digest": f"d{layer}"})
    (task,) = findings_of(tmp_path).tasks
    assert not task.layered
    assert {c.word for c in task.against} == {Word.NONE}


def best(**loss: float) -> Best:
    """Comparisons in which the last name given is the leader."""
    named = {name.replace("_", "@"): value for name, value in loss.items()}
    group = tuple(name for name, value in named.items() if value < 2)
    return Best({}, named, {}, group, margin=0.5, level=0.05, family=3)


SPEEDS = {"mean@1": 4.0, "cls@2": 2.0, "mean@2": 2.0, "mean@6": 1.0}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (
            best(mean_1=0.4, cls_2=0.3, mean_6=0.2),
            "Stop at layer 1: mean@1 is tied with mean@6 within the 0.5-point margin, 4 times as "
            "fast.",
        ),
        # The pooler with the highest mean on its layer decides.
        (best(mean_1=9.0, cls_2=0.3, mean_2=0.4, mean_6=0.2), "Stop at layer 2: mean@2 is tied"),
        (best(mean_1=9.0, mean_2=0.6, mean_6=0.2), "No layer below 6 is shown to be within"),
        (
            best(mean_1=9.0, mean_2=1.5, mean_6=0.7),
            "No layer is shown to be within the 0.5-point margin of all others: layer 2 (mean@2) "
            "cannot be ruled out.",
        ),
    ],
)
def test_the_lowest_layer_that_is_good_enough(found: Best, expected: str) -> None:
    means = dict(zip(found.loss, np.arange(len(found.loss)), strict=True))
    assert lowest_layer(found, means, SPEEDS).startswith(expected)


def test_a_tie_of_layers_is_said_with_its_speed(tmp_path: Path) -> None:
    """Layers 1 and 2 make the same errors, a bit smaller on layer 2."""
    for pooler, noise in (("mean", (5.0, 0.4, 0.399)), ("cls", (5.0, 2.0, 2.0))):
        for layer, much in enumerate(noise):
            of: dict[str, Any] = {"layer": layer, "speed": 3 / (layer + 1), "draw": [7, layer > 0]}
            write_task_run(tmp_path, "similarity", pooler, much, **of)
    findings = findings_of(tmp_path)
    assert headline(findings) == "Decided on similarity × tiny: use mean@1."
    expected = "Stop at layer 1: mean@1 is tied with mean@2 within the 0.5-point margin, 1.5 times"
    assert expected in reason(findings)
    assert expected in report_files(findings)["report.html"]


def test_poolers_are_compared_on_the_same_features_of_pairs(tmp_path: Path) -> None:
    data = keep_texts(tmp_path, [f"text {i}" for i in range(400)])
    for features in ("uv", "all"):
        spec = {"config": {"pair_features": features}, "digest": features}
        write_study(tmp_path, CLEAR, range(5), spec=spec, data=data)
    lost = {"digest": "lost", "command": "python train.py pooler=cls pair_features=uv seed=9"}
    runs = [record.run for record in read_study(tmp_path).runs]
    declare(tmp_path, [*runs, spec_of(tmp_path, "cls", 9, **lost)])
    findings = findings_of(tmp_path)
    assert [task.name for task in findings.tasks] == ["reviews (all) × tiny", "reviews (uv) × tiny"]
    assert [task.missing for task in findings.tasks] == [0, 1]
    assert all(task.best and len(task.texts) == 400 for task in findings.tasks)
