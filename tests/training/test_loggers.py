"""What was logged, read back from the files of each logger: the same from every one."""

import csv
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poolbench.core.errors import Interrupted
from poolbench.runs.record import Parameters, RunRecord, read_record
from poolbench.training.launch import compose_runs
from poolbench.training.lit_module import LitPooledModel
from poolbench.training.logged_tables import LARGEST_MATRIX, PAIRS, confusions
from poolbench.training.loggers import check_installed, open_logger
from poolbench.training.run_logger import RunLogger, run_id
from tests.conftest import TINY, plan, rejection, train
from tests.processes import start
from tests.report.studies import spec_of
from tests.training.logged import (
    CURVES,
    LONG,
    READERS,
    TRAINED_AT,
    check_curves,
    long_names,
    read_csv,
)


@pytest.mark.parametrize(
    "logger",
    ["csv", "tensorboard", "trackio", pytest.param("wandb", marks=pytest.mark.slow)],
)
def test_every_logger_holds_the_same_figures(run, monkeypatch, logger: str) -> None:
    if logger in ("tensorboard", "trackio"):
        pytest.importorskip(logger, reason=f"the {logger} extra is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    changed = ["pooler=conv", "measure=true", f"study=contract-{logger}"]
    record = run(*TINY, *CURVES, *changed, f"logger={logger}")
    curves, hyperparameters, confused = READERS[logger](record)
    check_curves(curves, record)
    assert hyperparameters["pooler.channels"] == 128
    assert hyperparameters["study"] == f"contract-{logger}"
    assert hyperparameters["run.pooler"] == "conv"
    assert hyperparameters["parameters.pooler"] == record.parameters.pooler
    assert hyperparameters["step_input"] == "cached hidden states"
    names, matrix = record.data.classes, np.zeros((2, 2), dtype=int)
    for actual, predicted, count in confused:
        matrix[names.index(actual), names.index(predicted)] = int(count)
    assert matrix.tolist() == record.test_details["confusion"]


def test_a_logger_of_lightning_gets_the_same(run, tmp_path: Path) -> None:
    target = "pytorch_lightning.loggers.CSVLogger"
    own = [f"logger._target_={target}", f"+logger.save_dir={tmp_path}", "+logger.name=mine"]
    record = run(*TINY, *CURVES, *own, "study=lightning", "allow_targets=[pytorch_lightning.]")
    assert record.logger == ("CSVLogger", str(tmp_path))
    with (tmp_path / "mine/version_0/metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows if row["train/loss"]] == TRAINED_AT
    assert float(rows[-1]["test/accuracy"]) == pytest.approx(record.metrics["test/accuracy"])


def test_an_interrupted_run_keeps_the_points_of_its_first_part(tmp_path: Path, monkeypatch) -> None:
    specs = plan(tmp_path, *TINY, *CURVES, "logger=csv", "study=cut")
    original = LitPooledModel.training_step

    def step(self: LitPooledModel, batch: Any, index: int) -> Any:
        if self.global_step == 13:
            raise Interrupted(143)
        return original(self, batch, index)

    with monkeypatch.context() as broken:
        broken.setattr(LitPooledModel, "training_step", step)
        with pytest.raises(Interrupted):
            train(specs)
    assert train(specs)
    check_curves(read_csv(record := read_record(specs[0].folder))[0], record)


class Broken(RunLogger):
    """Raises in one method."""

    def __init__(self, method: str = "send") -> None:
        super().__init__(("Broken", ""))
        if method == "__init__":
            raise ConnectionError("gone\nwith a second line")

        def fail(*_: object) -> None:
            self.calls += 1
            raise ConnectionError("gone\nwith a second line")

        self.calls = 0
        setattr(self, method, fail)


@pytest.mark.parametrize("method", ["__init__", "start", "send", "save", "send_table", "close"])
def test_an_error_of_a_logger_costs_no_result(run, caplog, capsys, method: str) -> None:
    own = [f"logger._target_={__name__}.Broken", f"+logger.method={method}"]
    assert run(*TINY, *own, f"study=gone{method}", "allow_targets=[tests.]").ok
    assert [r.getMessage() for r in caplog.records] == [
        "logger: gone with a second line; the run goes on without it"
    ], "one line, once"
    assert "Traceback" not in "".join(capsys.readouterr())


def test_the_record_is_written_before_the_last_word_of_the_logger(run, monkeypatch) -> None:
    existed = []

    def finish(self: RunLogger, record: RunRecord, texts: object) -> None:
        existed.append((record.folder / "record.json").exists())

    monkeypatch.setattr(RunLogger, "finish", finish)
    assert run(*TINY, "study=before").ok
    assert existed == [True]


def test_a_logger_without_its_package_is_rejected_before_anything_starts(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    config = compose_runs("logger=tensorboard")[0].config
    assert "pip install tensorboard" in rejection(lambda: check_installed(config.logger))
    check_installed(compose_runs("logger=csv")[0].config.logger)


def test_confusions_of_many_classes_are_the_most_frequent_ones() -> None:
    _, record = long_names(LARGEST_MATRIX)
    ((name, rows),) = confusions(record).items()
    assert (name, len(rows)) == ("test/confusion", 1 + 2 * LARGEST_MATRIX - 1)
    _, record = long_names(LARGEST_MATRIX + 51)
    ((name, rows),) = confusions(record).items()
    assert (name, len(rows)) == ("test/most_confused_pairs", 1 + PAIRS)
    assert rows[1] == [f"{LONG}0", f"{LONG}1", 9]
    assert all(actual != predicted for actual, predicted, _ in rows[1:])


def test_ids_begin_with_pooler_and_seed_and_stay_distinct() -> None:
    spec, _ = long_names(2)
    other = spec.model_copy(update={"study": spec.study + "2"})
    assert run_id(spec).startswith("conv-s3-0123abcd-")
    assert len(run_id(spec)) == len(run_id(other)) == 64
    assert run_id(spec) != run_id(other)
    short = spec.model_copy(update={"study": "a", "dataset": "b/c", "encoder": "d"})
    assert run_id(short) == "conv-s3-0123abcd-a-b-c-d"


@pytest.mark.slow
def test_trackio_asks_no_server_even_with_a_login(tmp_path: Path) -> None:
    pytest.importorskip("trackio", reason="the trackio extra is not installed")
    prelude = """
import os, sys
def watch(event, given):
    if event in ('socket.connect', 'socket.getaddrinfo'): print('asked', given)
sys.addaudithook(watch)
os.environ.pop("TRACKIO_DIR", None)
"""
    small = ["logger=trackio", "trainer=cpu", "trainer.max_epochs=1"]
    process = start(tmp_path, *small, prelude=prelude, HF_TOKEN="hf_" + "a" * 34)
    output, error = process.communicate(timeout=300)
    assert (process.returncode, error) == (0, "")
    assert "asked" not in output
    assert f"TRACKIO_DIR={tmp_path / 'trackio'} trackio show --project default" in output
    assert (tmp_path / "trackio/default.db").exists()


@pytest.mark.parametrize(
    "environment",
    [{"LOCAL_RANK": "1"}, {"RANK": "1", "LOCAL_RANK": "0"}, {"SLURM_PROCID": "1"}],
)
def test_no_other_process_of_a_distributed_run_logs(tmp_path, monkeypatch, environment) -> None:
    config = {"output_dir": str(tmp_path), "allow_targets": []}
    spec = spec_of(tmp_path / "s", "mean", 0, config=config)
    csv_logger = {"_target_": "poolbench.training.loggers.CsvRunLogger"}

    def opened() -> RunLogger:
        with open_logger(csv_logger, spec, Parameters(), "") as logger:
            return logger

    assert type(opened()) is not RunLogger
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert type(opened()) is RunLogger
