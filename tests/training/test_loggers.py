"""What was logged, read back from the files of each logger: the same from every one."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from poolbench.core.errors import DivergedError, Interrupted
from poolbench.runs.identity import RunSpec
from poolbench.runs.record import DataSummary, Parameters, RunRecord, read_record
from poolbench.training import wandb_logger
from poolbench.training.launch import compose_runs
from poolbench.training.lit_module import LitPooledModel
from poolbench.training.logged_tables import LARGEST_MATRIX, PAIRS, confusions
from poolbench.training.loggers import check_installed, open_logger
from poolbench.training.run_logger import RunLogger, run_id
from tests.conftest import ROOT, TINY, plan, rejection, train

# 64 training examples in batches of 8: 8 steps in each of 2 epochs.
CURVES = ["batch_size=8", "trainer.log_every_n_steps=3"]
TRAINED_AT = [3, 6, 8, 9, 12, 15, 16]
TRAINED = ("train/loss", "train/lr", "perf/train_samples_per_sec", "perf/train_tokens_per_sec")
LONG = "x" * 200
Curves = dict[str, list[tuple[int, float]]]
approx = pytest.approx


def leet(folder: Path, *options: str) -> str:
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", *options, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def summary_of(folder: Path) -> dict[str, Any]:
    return json.loads(leet(folder, "--summary"))


def offline_run(output: Path, study: str) -> Path:
    (folder,) = (output / "wandb").glob(f"offline-run-*-{study}-*")
    return folder


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
    assert float(rows[-1]["test/accuracy"]) == approx(record.metrics["test/accuracy"])


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
@pytest.mark.parametrize("classes", [LARGEST_MATRIX, LARGEST_MATRIX + 51])
def test_wandb_takes_names_of_any_length_and_any_number_of_classes(
    tmp_path: Path, monkeypatch, classes: int, caplog
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    spec, record = long_names(classes)
    component = {"_target_": "poolbench.training.wandb_logger.wandb_logger", "mode": "offline"}
    spec = spec.model_copy(update={"config": {"output_dir": str(tmp_path), "allow_targets": []}})
    with open_logger(component, spec, Parameters(), "token ids") as logger:
        logger.started = True
        logger.start(0)
        record.predictions = record_predictions = type("P", (), {})()
        record_predictions.targets = np.zeros(1, dtype=int)
        record_predictions.outputs = np.zeros((1, classes), dtype=np.float32)
        record.metrics = {"test/accuracy": 0.5}
        logger.finish(record, ["a text"])
    assert not [r for r in caplog.records if r.name.startswith("poolbench")]
    (folder,) = (tmp_path / "wandb").glob("offline-run-*")
    summary = summary_of(folder)
    assert summary["summary"]["test/accuracy"] == 0.5
    assert all(len(tag) <= 64 for tag in summary["tags"])
    tables = [json.loads(path.read_text()) for path in folder.rglob("*.table.json")]
    (pairs,) = (table["data"] for table in tables if "Actual" in table["columns"])
    (rows,) = confusions(record).values()
    assert len(pairs) == len(rows) - 1
    key = "test/most_confused_pairs"
    assert (key in summary["summary"]) == (classes > LARGEST_MATRIX)


@pytest.mark.slow
def test_an_offline_run_holds_what_the_dashboard_needs(run, shared_output, monkeypatch) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    record = run(*TINY, "logger=wandb", "pooler=conv", "study=dashboard", "seed=3")
    folder = offline_run(shared_output, "dashboard")
    assert "-conv-s3-" in folder.name
    summary = summary_of(folder)
    assert summary["state"] == "finished"
    assert summary["exit_code"] == 0
    assert set(summary["tags"]) == {"conv", "rotten_tomatoes", "scratch"}
    for name in ("test/accuracy", "test/f1_macro", "best/val_accuracy"):
        assert summary["summary"][name] == approx(record.metrics[name])
    entries = [json.loads(line) for line in leet(folder).splitlines()]
    (start,) = (e["run"] for e in entries if e["type"] == "run")
    assert start["run_group"] == "dashboard"
    assert start["job_type"] == "train"
    contents = [json.loads(path.read_text()) for path in folder.rglob("*.table.json")]
    assert any(table["columns"] == ["text", "label", "prediction", "correct"] for table in contents)


@pytest.mark.slow
def test_two_runs_of_one_process_are_two_wandb_runs(run, shared_output) -> None:
    for pooler in ("mean", "max"):
        run(*TINY, "logger=wandb", f"pooler={pooler}", "study=two", "logger.mode=offline")
    folders = list((shared_output / "wandb").glob("offline-run-*-two-*"))
    assert len(folders) == 2
    assert {summary_of(folder)["state"] for folder in folders} == {"finished"}


@pytest.mark.slow
def test_no_network_behind_a_key_means_offline_not_a_crash(run, monkeypatch, capsys) -> None:
    import wandb

    def unreachable(**_: object) -> bool:
        raise wandb.errors.AuthenticationError("no network\nand a second line")

    wandb_logger._online.cache_clear()
    monkeypatch.setattr(wandb, "login", unreachable)
    record = run(*TINY, "logger=wandb", "study=unreachable")
    assert "offline" in record.logger[1]
    output = capsys.readouterr().err
    assert "W&B: no network and a second line; runs are kept offline" in output
    assert output.count("\n") == 1
    wandb_logger._online.cache_clear()


@pytest.mark.slow
def test_a_failed_run_is_marked_as_failed(run, shared_output, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise DivergedError("on purpose")

    monkeypatch.setattr(LitPooledModel, "training_step", fail)
    with pytest.raises(DivergedError):
        run(*TINY, "logger=wandb", "logger.mode=offline", "study=failing")
    assert summary_of(offline_run(shared_output, "failing"))["exit_code"] == 1


def test_the_environment_of_wandb_is_honoured(monkeypatch) -> None:
    def configured(**environment: str) -> dict[str, Any]:
        for name, value in environment.items():
            monkeypatch.setenv(f"WANDB_{name}", value)
        return compose_runs("logger=wandb")[0].config.logger

    for name in ("MODE", "PROJECT", "ENTITY", "DISABLED"):
        monkeypatch.delenv(f"WANDB_{name}", raising=False)
    plain = configured()
    assert (plain["project"], plain["entity"], plain["mode"]) == ("poolbench", None, "auto")
    found = configured(PROJECT="p", ENTITY="e", MODE="offline")
    assert (found["project"], found["entity"], found["mode"]) == ("p", "e", "offline")
    monkeypatch.setattr(wandb_logger, "_start", lambda *given: given)
    monkeypatch.setattr(wandb_logger, "WandbRunLogger", lambda given: given)
    empty = configured(PROJECT="", ENTITY="", MODE="")
    given = {key: value for key, value in empty.items() if key != "_target_"}
    assert wandb_logger.wandb_logger("spec", **given) == ("spec", "poolbench", None, "auto")
    for environment in ({"MODE": "disabled"}, {"MODE": "offline", "DISABLED": "true"}):
        mode = configured(**environment)["mode"]
        assert isinstance(wandb_logger.wandb_logger("spec", mode=mode), RunLogger)


def command(output: Path, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
    own = [*TINY, "trainer=cpu", "certify=false", "measure=false", f"output_dir={output}"]
    return subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *arguments, *own],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | environment,
    )


@pytest.mark.slow
def test_an_empty_mode_and_a_wrong_one(tmp_path: Path) -> None:
    small = ["logger=wandb", "dataset.max_examples=64", "trainer.max_epochs=1"]
    empty = command(tmp_path, *small, WANDB_MODE="")
    wrong = command(tmp_path, *small, WANDB_MODE="foo")
    output = "".join(empty.communicate(timeout=300))
    assert empty.returncode == 0, output
    assert "wandb sync" in output
    _, error = wrong.communicate(timeout=300)
    assert wrong.returncode == 2
    assert re.search(r"logger\.mode='foo'.*'offline'", error)
    assert error.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_prints_no_traceback_while_wandb_is_on(
    tmp_path: Path, number: signal.Signals
) -> None:
    long = ["logger=wandb", "trainer.max_epochs=500", "patience=500", "batch_size=4"]
    process = command(tmp_path, *long, WANDB_MODE="offline")
    deadline = time.monotonic() + 200
    while not list(tmp_path.rglob("epoch=*.ckpt")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    out, error = process.communicate(timeout=100)
    assert process.returncode == 128 + number, error
    assert error == "interrupted: the same command continues from here\n"
    assert "Traceback" not in out
    (folder,) = (tmp_path / "wandb").glob("offline-run-*")
    assert summary_of(folder)["exit_code"] == 1


@pytest.mark.slow
def test_trackio_asks_no_server_even_with_a_login(tmp_path: Path) -> None:
    pytest.importorskip("trackio", reason="the trackio extra is not installed")
    script = (
        "import sys, runpy\n"
        "def watch(event, given):\n"
        "    if event in ('socket.connect', 'socket.getaddrinfo'): print('asked', given)\n"
        "sys.addaudithook(watch)\n"
        f"sys.argv[0] = {str(ROOT / 'train.py')!r}\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    small = [*TINY, "trainer=cpu", "certify=false", "measure=false", "logger=trackio"]
    small += ["dataset.max_examples=64", "trainer.max_epochs=1", f"output_dir={tmp_path}"]
    environment = os.environ | {"HF_TOKEN": "hf_" + "a" * 34}
    environment.pop("TRACKIO_DIR", None)
    done = subprocess.run(
        [sys.executable, "-c", script, *small], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert "asked" not in done.stdout
    assert done.stderr == ""
    assert f"TRACKIO_DIR={tmp_path / 'trackio'} trackio show --project default" in done.stdout
    assert (tmp_path / "trackio/default.db").exists()


@pytest.mark.parametrize(
    "environment",
    [{"LOCAL_RANK": "1"}, {"RANK": "1", "LOCAL_RANK": "0"}, {"SLURM_PROCID": "1"}],
)
def test_no_other_process_of_a_distributed_run_logs(tmp_path, monkeypatch, environment) -> None:
    config = {"output_dir": str(tmp_path), "allow_targets": []}
    spec = RunSpec(
        study="s",
        dataset="d",
        encoder="e",
        pooler="p",
        seed=0,
        digest="0",
        variant="v",
        config=config,
    )
    csv_logger = {"_target_": "poolbench.training.loggers.CsvRunLogger"}

    def opened() -> RunLogger:
        with open_logger(csv_logger, spec, Parameters(), "") as logger:
            return logger

    assert type(opened()) is not RunLogger
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert type(opened()) is RunLogger
