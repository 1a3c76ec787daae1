"""What was logged, read back from the files of each logger, and what all of them must hold."""

import csv
import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from poolbench.runs.identity import RunSpec
from poolbench.runs.record import DataSummary, RunRecord
from poolbench.training.run_logger import run_id

# 64 training examples in batches of 8: 8 steps in each of 2 epochs.
CURVES = ["batch_size=8", "trainer.log_every_n_steps=3"]
TRAINED_AT = [3, 6, 8, 9, 12, 15, 16]
TRAINED = ("train/loss", "train/lr", "perf/train_samples_per_sec", "perf/train_tokens_per_sec")
LONG = "x" * 200
Curves = dict[str, list[tuple[int, float]]]
approx = pytest.approx


def check_curves(curves: Curves, record: RunRecord) -> None:
    """The contract: training every three steps and once an epoch, validation, final figures."""
    for name in TRAINED:
        assert [step for step, _ in curves[name]] == TRAINED_AT, name
        assert all(np.isfinite(value) for _, value in curves[name])
    rates = [value for _, value in curves["train/lr"]]
    assert rates[0] > rates[-1] > 0
    by_epoch = [(8 * (e["epoch"] + 1), approx(e["val/accuracy"])) for e in record.history]
    assert curves["val/accuracy"] == by_epoch
    # Epochs have 3 + 3 + 2 steps of 8 examples: their loss follows from the points.
    losses = [value for _, value in curves["train/loss"]]
    first = (3 * losses[0] + 3 * losses[1] + 2 * losses[2]) / 8
    assert first == approx(record.history[0]["train/loss"], rel=1e-5)
    for name, value in record.metrics.items():
        if name != "train/loss":
            assert curves[name] == [(16, approx(value, rel=1e-6))], name


def leet(folder: Path, *options: str) -> str:
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", *options, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def summary_of(folder: Path) -> dict[str, Any]:
    return json.loads(leet(folder, "--summary"))


def offline_run(output: Path, study: str) -> Path:
    (folder,) = (output / "wandb").glob(f"offline-run-*-{study}-*")
    return folder


def read_csv(record: RunRecord) -> tuple[Curves, dict[str, Any], list[list[str]]]:
    curves: Curves = defaultdict(list)
    with (record.folder / "metrics.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            step = int(row.pop("step"))
            for name, value in row.items():
                if value:
                    curves[name].append((step, float(value)))
    hyperparameters = yaml.safe_load((record.folder / "hparams.yaml").read_text())
    with (record.folder / "confusion.csv").open(newline="") as file:
        return curves, hyperparameters, list(csv.reader(file))[1:]


def read_tensorboard(record: RunRecord) -> tuple[Curves, dict[str, Any], list[list[str]]]:
    pytest.importorskip("tensorboard", reason="the tensorboard extra is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    events = EventAccumulator(str(record.folder), size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    curves = {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }
    (content,) = events.PluginTagToContent("hparams").values()
    session = HParamsPluginData.FromString(content).session_start_info.hparams
    hyperparameters = {
        key: value.number_value if value.HasField("number_value") else value.string_value
        for key, value in session.items()
    }
    (text,) = events.Tensors("test/confusion/text_summary")
    assert text.step == 16
    rows = text.tensor_proto.string_val[0].decode().splitlines()[2:]
    return curves, hyperparameters, [row.split(" | ") for row in rows]


def read_trackio(record: RunRecord) -> tuple[Curves, dict[str, Any], list[list[str]]]:
    pytest.importorskip("trackio", reason="the trackio extra is not installed")
    from trackio.sqlite_storage import SQLiteStorage

    name = run_id(record.run)
    curves: Curves = defaultdict(list)
    rows: list[list[str]] = []
    for entry in SQLiteStorage.get_logs(record.run.study, name):
        step, _ = entry.pop("step"), entry.pop("timestamp")
        entry.pop("test/predictions", None)
        if table := entry.pop("test/confusion", None):
            rows = [[str(cell) for cell in row.values()] for row in table["_value"]]
        for key, value in entry.items():
            curves[key].append((step, value))
    return curves, SQLiteStorage.get_run_config(record.run.study, name), rows


def read_wandb(record: RunRecord) -> tuple[Curves, dict[str, Any], list[list[str]]]:
    folder = offline_run(record.run.study_folder.parent, record.run.study)
    curves: Curves = defaultdict(list)
    for entry in map(json.loads, leet(folder).splitlines()):
        if entry["type"] == "history":
            values = entry["history"]["item"]
            step = values.pop("trainer/global_step")
            for key, value in values.items():
                if not key.startswith("_") and isinstance(value, int | float):
                    curves[key].append((step, value))
    tables = [json.loads(path.read_text()) for path in folder.rglob("*.table.json")]
    (confusion,) = (table["data"] for table in tables if "Actual" in table["columns"])
    config = summary_of(folder)["config"]
    flat = {"pooler.channels": config["pooler"]["channels"], "study": config["study"]}
    flat["parameters.pooler"] = config["parameters"]["pooler"]
    flat["step_input"], flat["run.pooler"] = config["step_input"], config["run"]["pooler"]
    return curves, flat, [[str(cell) for cell in row] for row in confusion]


READERS = {
    "csv": read_csv,
    "tensorboard": read_tensorboard,
    "trackio": read_trackio,
    "wandb": read_wandb,
}


def long_names(classes: int) -> tuple[RunSpec, RunRecord]:
    """A run with names of 200 characters, and a class that is mostly taken for the next one."""
    names = {"study": "s" * 120, "dataset": LONG, "encoder": LONG, "pooler": "conv"}
    spec = RunSpec(**names, seed=3, digest="0123abcd", variant="v", config={"output_dir": "x"})
    matrix = np.eye(classes, dtype=int) + 2 * np.eye(classes, k=1, dtype=int)
    matrix[0, 1] = 9
    record = RunRecord.model_construct(
        run=spec,
        data=DataSummary(classes=[f"{LONG}{i}" for i in range(classes)]),
        test_details={"confusion": matrix.tolist()},
    )
    return spec, record
