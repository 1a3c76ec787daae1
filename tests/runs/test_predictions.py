"""The arrays of each task are accepted, and arrays of another task are not."""

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from poolbench.runs.identity import RunSpec
from poolbench.runs.predictions import LAYOUTS, Predictions
from poolbench.runs.protocol import METRICS, Metric, TaskName
from poolbench.runs.record import RecordError, RunRecord, read_record, write_record

N = 6
RNG = np.random.default_rng(0)
CLASSES = ["no", "yes", "maybe"]
LABELS = RNG.integers(0, 3, N), RNG.normal(size=(N, 3)).astype(np.float32)
SCORES = RNG.normal(size=N), RNG.normal(size=(N, 1)).astype(np.float32)
ARRAYS: dict[str, tuple[np.ndarray, np.ndarray]] = {
    "classification": LABELS,
    "pair_classification": LABELS,
    "multilabel": (RNG.integers(0, 2, (N, 3)).astype(np.int8), LABELS[1]),
    "regression": SCORES,
    "pair_regression": SCORES,
    "similarity": SCORES,
    "retrieval": (RNG.integers(0, 20, N), RNG.random((N, 5)).astype(np.float32)),
}
SPEC = {"study": "s", "dataset": "d", "encoder": "e", "pooler": "mean", "digest": "x"}


def record(folder: Path, task: str, **changed: Any) -> RunRecord:
    """A finished run; the task decides whether it has classes."""
    parts: dict[str, Any] = {"metrics": {"test/x": 0.5}, "seconds": {"wall": 1.0}}
    parts |= {"history": [{"epoch": 0}], "digests": {"order": ["a"]}}
    parts["data"] = {"classes": CLASSES if LAYOUTS[task].fewest_classes else []}
    run = RunSpec(**SPEC, seed=changed.pop("seed", 0), variant="v")
    return RunRecord(folder=folder, run=run, status="ok", task=task, **(parts | changed))


def test_every_task_has_arrays_and_metrics_and_every_metric_a_task() -> None:
    tasks = set(get_args(TaskName))
    assert set(LAYOUTS) == set(METRICS) == set(ARRAYS) == tasks
    assert {metric for of in METRICS.values() for metric in of} == set(get_args(Metric))


@pytest.mark.parametrize("task", ARRAYS)
@pytest.mark.parametrize("groups", [None, np.arange(N), np.arange(2 * N).reshape(N, 2)])
def test_the_arrays_of_a_task_are_kept(tmp_path: Path, task: str, groups: Any) -> None:
    written = Predictions(np.arange(N), *ARRAYS[task], groups)
    write_record(record(tmp_path, task), written)
    read = read_record(tmp_path)
    assert (read.task, read.trained) == (task, True)
    for name, value in vars(written).items():
        np.testing.assert_array_equal(getattr(read.predictions, name), value)


@pytest.mark.parametrize("task", ARRAYS)
def test_arrays_of_other_tasks_are_damage(tmp_path: Path, task: str) -> None:
    # Retrieval without relevant documents looks like classes, but has five outputs.
    for arrays in ARRAYS.values():
        if arrays[0].dtype != ARRAYS[task][0].dtype or arrays[1].shape != ARRAYS[task][1].shape:
            write_record(record(tmp_path, task), Predictions(np.arange(N), *arrays))
            with pytest.raises(RecordError, match="expected"):
                read_record(tmp_path)


def spoiled(task: str, **changed: float) -> Predictions:
    """The arrays of a task, the first value of some replaced."""
    found = Predictions(np.arange(N), *(a.copy() for a in ARRAYS[task]))
    for name, value in changed.items():
        getattr(found, name).flat[0] = value
    return found


WRONG = [
    ("classification", {"targets": 3}),
    ("multilabel", {"targets": 2}),
    ("multilabel", {"targets": -1}),
    ("retrieval", {"targets": -1}),
    ("regression", {"targets": np.nan}),
    ("similarity", {"outputs": np.inf}),
    ("retrieval", {"outputs": np.nan}),
]


@pytest.mark.parametrize(("task", "changed"), WRONG)
def test_values_out_of_range_are_damage(tmp_path: Path, task: str, changed: Any) -> None:
    write_record(record(tmp_path, task), spoiled(task, **changed))
    with pytest.raises(RecordError, match="target"):
        read_record(tmp_path)


def test_logits_may_be_infinite_and_scores_negative(tmp_path: Path) -> None:
    for task, changed in (("classification", {"outputs": np.inf}), ("similarity", {"targets": -9})):
        write_record(record(tmp_path, task), spoiled(task, **changed))
        assert read_record(tmp_path).ok


UNTRAINED: dict[str, Any] = {"history": [], "digests": {}}


@pytest.mark.parametrize("task", ["similarity", "retrieval"])
def test_a_run_without_parameters_has_no_history(tmp_path: Path, task: str) -> None:
    write_record(record(tmp_path, task, **UNTRAINED), Predictions(np.arange(N), *ARRAYS[task]))
    assert not read_record(tmp_path).trained


@pytest.mark.parametrize(
    ("task", "changed"),
    [
        ("classification", UNTRAINED),
        ("similarity", UNTRAINED | {"seed": 1}),
        ("similarity", {"history": []}),
        ("similarity", {"digests": {}}),
        ("classification", {"data": {"classes": ["one"]}}),
        ("multilabel", {"data": {"classes": []}}),
        ("regression", {"data": {"classes": CLASSES}}),
    ],
)
def test_a_record_that_contradicts_itself_is_rejected(tmp_path: Path, task: str, changed) -> None:
    with pytest.raises(ValueError, match=r"histor|classes"):
        record(tmp_path, task, **changed)


def test_the_predicted_class_has_the_highest_logit() -> None:
    found = replace(spoiled("classification"), outputs=np.eye(3, dtype=np.float32)[[2, 0, 1]])
    assert found.predicted.tolist() == [2, 0, 1]
