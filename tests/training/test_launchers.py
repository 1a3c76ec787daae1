"""Beyond one process: Hydra's launchers, two devices, and the exit codes that scripts rely on."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from poolbench.runs.record import read_predictions, read_record

ROOT = Path(__file__).parents[2]
SMALL = [
    "encoder=scratch",
    "dataset.max_examples=64",
    "logger=none",
]


def start(output: Path, *arguments: str) -> subprocess.Popen[str]:
    own = [*SMALL, f"output_dir={output}"]
    command = [sys.executable, str(ROOT / "train.py"), *arguments, *own]
    return subprocess.Popen(
        command, cwd=output.parent, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def finish(process: subprocess.Popen[str], code: int = 0) -> str:
    out, err = process.communicate(timeout=300)
    assert process.returncode == code, out + err
    return out + err


def records(output: Path) -> dict[str, dict]:
    return {p.parts[-3]: read_record(p.parent) for p in sorted(output.rglob("record.json"))}


@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_a_launcher_of_hydras_gives_the_same_cells(tmp_path: Path, launcher: str) -> None:
    pytest.importorskip(f"hydra_plugins.hydra_{launcher.split('_')[0]}_launcher")
    grid = ["-m", "pooler=mean,max"]
    here = start(tmp_path / "here", *grid, "trainer=cpu", "trainer.max_epochs=1")
    there = start(
        tmp_path / "there",
        *grid,
        "trainer=cpu",
        "trainer.max_epochs=1",
        f"hydra/launcher={launcher}",
    )
    finish(here)
    said = finish(there)
    assert "mean" in said
    assert "report:" in said
    ours, theirs = records(tmp_path / "here"), records(tmp_path / "there")
    assert set(ours) == set(theirs) == {"mean", "max"}
    for pooler in ours:
        assert ours[pooler]["digests"] == theirs[pooler]["digests"]
        assert (
            ours[pooler]["metrics"]["test/accuracy"] == theirs[pooler]["metrics"]["test/accuracy"]
        )


def test_two_processes_train_one_cell_as_one_process_does(tmp_path: Path) -> None:
    batches = ["batch_size=16", "trainer.max_epochs=4", "optimizer.lr=0.01"]
    finish(start(tmp_path / "one", "trainer=cpu", *batches))
    two = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.precision=32-true"]
    finish(start(tmp_path / "two", *two, *batches))
    (one,), (both,) = (records(tmp_path / name).values() for name in ("one", "two"))
    kept = [
        read_predictions(next((tmp_path / name).rglob("record.json")).parent)
        for name in ("one", "two")
    ]
    assert kept[0].example_ids.tolist() == kept[1].example_ids.tolist() == list(range(64))
    assert kept[0].labels.tolist() == kept[1].labels.tolist()
    # Sums of gradients in another order; each half batch is averaged by itself.
    assert abs(kept[0].logits - kept[1].logits).max() < 0.02
    assert both["metrics"]["test/accuracy"] == pytest.approx(
        one["metrics"]["test/accuracy"], abs=0.03
    )
    assert both["history"][-1]["train/loss"] == pytest.approx(
        one["history"][-1]["train/loss"], abs=0.01
    )
    assert both["metrics"]["perf/samples_per_sec"] > 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_sweep_with_its_own_code_and_a_hint(
    tmp_path: Path, number: signal.Signals
) -> None:
    process = start(
        tmp_path / "out",
        "-m",
        "pooler=mean,max",
        "seed=range(50)",
        "trainer=cpu",
        "trainer.max_epochs=1",
    )
    deadline = time.monotonic() + 120
    while not list((tmp_path / "out").rglob("record.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    assert "the same command goes on from here" in finish(process, 128 + number)
    for path in (tmp_path / "out").rglob("record.json"):
        assert read_record(path.parent)["status"] == "ok"


def test_bad_data_ends_with_2_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("text,label\na,1\nb,\n")
    said = finish(start(tmp_path / "out", "dataset=files", "dataset.train=bad.csv"), code=2)
    assert said.strip() == (
        "error: train row 1: column 'label' holds nothing, "
        "expected an integer or a string for its class"
    )
    assert not (tmp_path / "out").exists()


def test_without_wandb_installed_the_other_loggers_work(tmp_path: Path) -> None:
    script = (
        "import sys, runpy; sys.modules['wandb'] = None;"
        f"sys.argv[0] = {str(ROOT / 'train.py')!r};"
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    command = [sys.executable, "-c", script, *SMALL[:-1], "logger=csv", f"output_dir={tmp_path}"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(next(tmp_path.rglob("record.json")).read_text())["status"] == "ok"
