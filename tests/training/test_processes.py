"""``train.py`` as a process: exit codes, other launchers, several processes, signals, packages."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from poolbench.runs.record import RunRecord, read_record
from tests.processes import TRAIN, finish, send_once, start


def free_port() -> str:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return str(listening.getsockname()[1])


@pytest.mark.parametrize(
    ("arguments", "code", "answer"),
    [
        (["--help"], 0, "pooler: "),
        (["--cfg", "job"], 0, "batch_size: 32"),
        (["--info", "searchpath"], 0, "conf"),
        (["sede=1"], 2, "did you mean seed?"),
        (["pooler=cls,mean"], 2, "add -m"),
        (["seed=x"], 2, "valid integer"),
        (["-m", "seed=0,x"], 2, "valid integer"),
        pytest.param(["pooler._target_=os.system"], 2, "not allowed", marks=pytest.mark.slow),
        pytest.param(
            ["-m", "pooler.channels=0,1", "pooler=conv"],
            2,
            "greater than 0",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ["pooler=conv", "+pooler.chanels=3"],
            2,
            "did you mean channels?",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_answers_without_training_write_nothing(
    tmp_path: Path, arguments: list[str], code: int, answer: str
) -> None:
    command = [sys.executable, TRAIN, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert answer in done.stdout + done.stderr
    assert done.stderr.count("\n") == (1 if code else 0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("argument", "code"), [("--help", 0), ("sede=1", 2), ("poler=mean", 2)])
def test_help_and_misspelt_first_words_are_answered_without_hydra(argument: str, code: int) -> None:
    command = [sys.executable, "-X", "importtime", TRAIN, argument]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == code
    assert "poolbench.training.help" in done.stderr
    assert not re.search(r"hydra|omegaconf|pydantic|yaml", done.stderr)


def test_bad_data_ends_with_2_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("text,label\na,1\nb,\n")
    output = finish(start(tmp_path / "out", "dataset=files", "dataset.train=bad.csv"), code=2)
    assert output.startswith("error: ")
    assert "row 1: column 'label'" in output
    assert output.count("\n") == 1
    assert not (tmp_path / "out").exists()


def records(output: Path) -> dict[str, RunRecord]:
    return {p.parts[-3]: read_record(p.parent) for p in sorted(output.rglob("record.json"))}


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_another_launcher_of_hydra_gives_the_same_runs(tmp_path: Path, launcher: str) -> None:
    pytest.importorskip(f"hydra_plugins.hydra_{launcher.split('_')[0]}_launcher")
    grid = ["-m", "pooler=mean,max", "trainer=cpu", "trainer.max_epochs=1"]
    here = start(tmp_path / "here", *grid)
    there = start(tmp_path / "there", *grid, f"hydra/launcher={launcher}")
    finish(here)
    assert "report:" in finish(there)
    ours, theirs = records(tmp_path / "here"), records(tmp_path / "there")
    assert set(ours) == set(theirs) == {"mean", "max"}
    for pooler in ours:
        assert ours[pooler].digests == theirs[pooler].digests
        assert ours[pooler].metrics["test/accuracy"] == theirs[pooler].metrics["test/accuracy"]


@pytest.mark.slow
@pytest.mark.parametrize("nodes", [1, 2])
def test_two_processes_train_one_run_as_one_process_does(tmp_path: Path, nodes: int) -> None:
    batches = ["batch_size=16", "trainer.max_epochs=4", "optimizer.lr=0.01"]
    finish(start(tmp_path / "one", "trainer=cpu", *batches))
    two = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.precision=32-true"]
    if nodes == 1:
        finish(start(tmp_path / "two", *two, *batches))
    else:
        # One process on each node, with the variables that torchrun sets.
        two += ["trainer.num_nodes=2", "trainer.devices=1"]
        shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port(), "WORLD_SIZE": "2"}
        shared |= {"LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1", "TORCHELASTIC_RUN_ID": "test"}
        started = []
        for rank in "01":
            own = shared | {"RANK": rank, "GROUP_RANK": rank}
            started.append(start(tmp_path / "two", *two, *batches, **own))
        for process in started:
            finish(process)
    (one,), (both,) = (records(tmp_path / name).values() for name in ("one", "two"))
    assert both.digests.order == one.digests.order
    kept = one.predictions, both.predictions
    assert kept[0].example_ids.tolist() == kept[1].example_ids.tolist() == list(range(64))
    assert kept[0].targets.tolist() == kept[1].targets.tolist()
    # Gradients are summed in another order, and each half of a batch is averaged by itself.
    assert abs(kept[0].outputs - kept[1].outputs).max() < 0.02
    assert both.history[-1]["train/loss"] == pytest.approx(one.history[-1]["train/loss"], abs=0.01)
    assert both.metrics["perf/samples_per_sec"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_sweep_with_its_own_code_and_a_hint(
    tmp_path: Path, number: signal.Signals
) -> None:
    grid = ["-m", "pooler=mean,max", "seed=range(50)", "trainer=cpu", "trainer.max_epochs=1"]
    process = start(tmp_path / "out", *grid)
    send_once(process, number, tmp_path / "out", "record.json")
    assert "the same command continues from here" in finish(process, 128 + number)
    assert all(record.ok for record in records(tmp_path / "out").values())


@pytest.mark.slow
def test_without_wandb_the_other_loggers_work(tmp_path: Path) -> None:
    prelude = "import sys; sys.modules['wandb'] = None"
    finish(start(tmp_path / "out", "logger=csv", prelude=prelude))
    assert [record.status for record in records(tmp_path / "out").values()] == ["ok"]


@pytest.mark.slow
def test_a_pooler_of_another_package_works_after_it_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "mypackage.py").write_text(
        "from poolbench.poolers.mean import MeanPooler\n"
        "class MyPooler(MeanPooler):\n"
        "    def __init__(self, hidden_dim: int, power: float = 1.0) -> None:\n"
        "        super().__init__(hidden_dim)\n"
    )
    (tmp_path / "extra/pooler").mkdir(parents=True)
    yaml = tmp_path / "extra/pooler/mine.yaml"
    yaml.write_text("_target_: mypackage.MyPooler\npower: 1.0\n")
    own = ["--config-dir", "extra", "pooler=mine", "trainer=cpu", "trainer.max_epochs=1"]
    path = f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"
    output = finish(start(tmp_path / "out", *own, PYTHONPATH=path), code=2)
    assert "allow_targets=[mypackage.]" in output
    allowed = [*own, "allow_targets=[mypackage.]"]
    finish(start(tmp_path / "out", *allowed, PYTHONPATH=path))
    assert set(records(tmp_path / "out")) == {"mine"}
