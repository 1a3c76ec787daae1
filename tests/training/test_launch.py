"""The command line: wrong commands end in one line, a grid is checked before its first run."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import hydra
import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType

from poolbench.core.errors import UserError
from poolbench.runs.record import read_record
from poolbench.training import config, grid
from poolbench.training.arguments import CONF, GROUPS, check_first_words
from poolbench.training.help import help_text
from poolbench.training.launch import compose_runs
from tests.conftest import ROOT, TINY, rejection

REJECTED = {
    "sede=1": "unknown key sede, did you mean seed?",
    "optimizer.lrr=1": "did you mean optimizer.lr?",
    "pooler=meen": "did you mean mean?",
    "pooler=conv pooler.kernal_sizes=[3]": "did you mean pooler.kernel_sizes?",
    "+optimizer.momentun=0.9": "unknown key optimizer.momentun",
    "+nonsense=1": "unknown key nonsense",
    "comparison.published={source:x}": "comparison.published.dataset is missing",
    "experiment=published/imdb_bert +comparison.published.souce=x": "did you mean source?",
    "seed=abc": "seed='abc': expected a valid integer",
    "seed=1.5": "seed=1.5",
    "seed=-1": "greater than or equal to 0",
    "trainer.max_epochs=many": "valid integer",
    "trainer.limit_train_batches=1.5": "trainer.limit_train_batches=1.5",
    "trainer.compile=fast": "'reduce-overhead'",
    "trainer.compile=default": "needs a trainable encoder: encoder.tuning=full",
    "optimizer.lr=-1": "greater than 0",
    "optimizer.lr=inf": "finite",
    "optimizer.lr=nan": "optimizer.lr=nan",
    "optimizer.schedule=lin": "'linear', 'cosine' or 'constant'",
    "encoder=pretrained": "encoder.name needs a value",
    "pooler=control/mlp_mean": "matched.width needs a value",
    "study=../elsewhere": "plain name",
    "comparison.looks=[5,5]": "ascending",
    "comparison.metric=auc": "'accuracy', 'f1_macro'",
    "comparison.margin=0": "greater than 0",
    "pooled_tokens=most": "'all' or 'content'",
    "batching=most": "'packed', 'padded' or 'grouped'",
    "seed=[1": "not of the form key=value",
    "dataset.train=~/a=(b).csv": "'dataset.train=\"~/a=(b).csv\"'",
    "=3": "must be a string",
    "--pooler=mean": "${args_no_hyphens}",
    "hydra.job.chdir=true": "relative to the folder of the command",
    "pooler=null": "the name of one file of conf/pooler",
    "pooler=[mean,max]": "the name of one file of conf/pooler",
    "pooler=mean,null": "the name of one file of conf/pooler",
    "optimizer={lr:1}": "optimizer.key=value",
    "seed=4294967296": "less than 4294967296",
    "output_dir=": "output_dir",
    "study=${nothing}": "'nothing' not found",
    "comparison.reference=meen": "did you mean mean?",
    "allow_targets=[os]": "allow_targets",
    "seed=range(0)": "the sweep is empty",
    "seed=1,2,1": "contains a run twice: seed=1",
    "study=a,b": "study differs between the runs",
    "comparison.margin=1,2": "comparison differs between the runs",
    "pooler=mean,max trainer=ddp": "-m does not work with several devices",
    "seed=0,1,x": "seed='x'",
}


@pytest.mark.parametrize("command", REJECTED)
def test_a_wrong_command_is_rejected_in_one_line(command: str) -> None:
    assert REJECTED[command] in rejection(lambda: compose_runs(*command.split()))


def test_a_bug_is_not_reported_as_an_error_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise AssertionError("ours")

    monkeypatch.setattr(config, "validate", broken)
    with pytest.raises(AssertionError, match="ours"):
        compose_runs("pooler=mean")


@pytest.mark.parametrize(
    "command",
    [
        ["pooler=cls,mean", "seed=range(0,4)"],
        ["seed=2,1", "pooler=conv", "encoder.max_length=64"],
        ["dataset=presence", "dataset.max_examples=${seed}", "seed=300,400"],
        ["seed=7"],
        ["optimizer.lr=1e-3,1e-4", "trainer.max_epochs=3"],
    ],
)
def test_a_run_of_a_grid_is_the_run_of_its_own_command(command: list[str]) -> None:
    for request in compose_runs(*command):
        assert compose_runs(*request.overrides) == [request]


def test_runs_that_differ_in_the_seed_are_composed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[object] = []
    original = grid.check_run
    monkeypatch.setattr(grid, "check_run", lambda *a: checked.append(a) or original(*a))
    assert len(compose_runs("pooler=cls,mean", "seed=range(0,500)")) == 1000
    assert len(checked) == 2


def test_a_pooler_given_by_its_class_is_not_named_after_a_file() -> None:
    (request,) = compose_runs("pooler=mean", "pooler._target_=poolbench.poolers.max.MaxPooler")
    assert request.names["pooler"] == "MaxPooler"


def test_an_experiment_names_its_own_grid() -> None:
    requests = compose_runs("experiment=smoke")
    names = {request.names["pooler"] for request in requests}
    assert names == {path.stem for path in (ROOT / "conf/pooler").glob("*.yaml")}
    assert len(compose_runs("experiment=smoke", "pooler=mean")) == 1


@pytest.mark.parametrize("group", ["dataset", "encoder", "head", "optimizer", "trainer", "logger"])
def test_every_file_of_a_group_can_be_chosen(group: str) -> None:
    needs = {
        "files": "dataset.train=x.csv",
        "hub": "dataset.path=x",
        "beir": "dataset.path=x",
        "pretrained": "encoder.name=x",
    }
    for path in (ROOT / "conf" / group).glob("*.yaml"):
        extra = [needs[path.stem]] if path.stem in needs else []
        assert compose_runs(f"{group}={path.stem}", *extra)


def start(
    output: Path, *arguments: str, env: dict[str, str] | None = None
) -> "subprocess.Popen[str]":
    own = [*TINY, "dataset.max_examples=64", "logger=none", f"output_dir={output}"]
    return subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *arguments, *own],
        cwd=output.parent,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=env,
    )


def free_port() -> str:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return str(listening.getsockname()[1])


def finish(process: "subprocess.Popen[str]", code: int = 0) -> str:
    out, err = process.communicate(timeout=300)
    assert process.returncode == code, out + err
    return out + err


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
    command = [sys.executable, str(ROOT / "train.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert answer in done.stdout + done.stderr
    assert done.stderr.count("\n") == (1 if code else 0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("argument", "code"), [("--help", 0), ("sede=1", 2), ("poler=mean", 2)])
def test_help_and_misspelt_first_words_are_answered_without_hydra(argument: str, code: int) -> None:
    command = [sys.executable, "-X", "importtime", str(ROOT / "train.py"), argument]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == code
    assert "poolbench.training.help" in done.stderr
    assert not re.search(r"hydra|omegaconf|pydantic|yaml", done.stderr)


def test_the_help_lists_what_hydra_can_choose_also_from_folders_of_the_user(tmp_path: Path) -> None:
    for name in ("one/pooler/own/mine", "two/pooler/theirs", "two/fourth/choice"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{name}.yaml").touch()
    two = tmp_path / "two"
    text = help_text(["--help", f"--config-dir={tmp_path}/one", f"hydra.searchpath=[file://{two}]"])
    listed = dict(re.findall(r"^([\w/]+): (.*)$", text, re.MULTILINE))
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        for group in GROUPS:
            options = loader.get_group_options(group, ObjectType.CONFIG)
            assert set(options) == set(listed[group].split(", ")) - {"theirs"}
    assert listed["pooler/own"] == "mine"
    assert listed["fourth"] == "choice"


@pytest.mark.parametrize("argument", ["--config-dir=own", "-cn=config", "-cd=own"])
def test_first_words_of_other_configurations_are_left_to_hydra(argument: str) -> None:
    check_first_words([argument, "mine=1"])
    with pytest.raises(UserError, match="unknown key mine"):
        check_first_words(["mine=1"])


def test_bad_data_ends_with_2_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("text,label\na,1\nb,\n")
    output = finish(start(tmp_path / "out", "dataset=files", "dataset.train=bad.csv"), code=2)
    assert output.startswith("error: ")
    assert "row 1: column 'label'" in output
    assert output.count("\n") == 1
    assert not (tmp_path / "out").exists()


def records(output: Path) -> dict[str, object]:
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
            started.append(start(tmp_path / "two", *two, *batches, env=os.environ | own))
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
    deadline = time.monotonic() + 120
    while not list((tmp_path / "out").rglob("record.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    assert "the same command continues from here" in finish(process, 128 + number)
    assert all(record.ok for record in records(tmp_path / "out").values())


@pytest.mark.slow
def test_without_wandb_the_other_loggers_work(tmp_path: Path) -> None:
    script = (
        "import sys, runpy; sys.modules['wandb'] = None;"
        f"sys.argv[0] = {str(ROOT / 'train.py')!r};"
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    small = [*TINY, "dataset.max_examples=64", "logger=csv", f"output_dir={tmp_path}"]
    done = subprocess.run(
        [sys.executable, "-c", script, *small], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(next(tmp_path.rglob("record.json")).read_text())["status"] == "ok"


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
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}
    output = finish(start(tmp_path / "out", *own, env=environment), code=2)
    assert "allow_targets=[mypackage.]" in output
    allowed = [*own, "allow_targets=[mypackage.]"]
    finish(start(tmp_path / "out", *allowed, env=environment))
    assert set(records(tmp_path / "out")) == {"mine"}
