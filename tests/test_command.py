"""What is wrong with a command is said in one line, at once, and nothing is written."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from poolbench.command import check_command
from poolbench.errors import BadInput

ROOT = Path(__file__).parents[1]

REFUSED = {
    "sede=1": "unknown key sede, did you mean seed?",
    "optimizer.lrr=1": "did you mean optimizer.lr?",
    "pooler=meen": "did you mean mean?",
    "pooler=conv pooler.kernal_sizes=[3]": "did you mean pooler.kernel_sizes?",
    "pooler=conv +pooler.kernal_sizes=[3]": "did you mean kernel_sizes?",
    "+optimizer.momentun=0.9": "unknown key optimizer.momentun",
    "+nonsense=1": "unknown key nonsense",
    "seed=abc": "could not be converted to Integer",
    "seed=-1": "seed must be 0 or more",
    "trainer.max_epochs=many": "could not be converted to Integer",
    "pooler=conv pooler.channels=lots": "expected int, like 128",
    "pooler=conv pooler.kernel_sizes=[2,x]": "expected list",
    "pooler=conv pooler.kernel_sizes=[200]": "longer than encoder.max_length=128",
    "optimizer.lr=-1": "optimizer.lr must be above 0",
    "optimizer.schedule=lin": "linear, cosine or constant",
    "encoder.tuning=half": "frozen or full",
    "encoder=pretrained": "encoder.name needs a value",
    "dataset=files": "dataset.train needs a value",
    "pooler=cls,mean": "add -m",
    "study=../elsewhere": "plain name",
    "pooler._target_=os.system": "is not allowed",
    "seed=[1": "no viable alternative",
}


@pytest.mark.parametrize("command", REFUSED)
def test_a_wrong_command_is_refused_in_one_line(command: str) -> None:
    with pytest.raises(BadInput) as refused:
        check_command(command.split(), multirun=False)
    assert REFUSED[command] in str(refused.value)
    assert "\n" not in str(refused.value)


def test_every_cell_of_a_grid_is_checked() -> None:
    assert len(check_command(["pooler=cls,mean", "seed=0,1,2"], multirun=True)) == 6
    with pytest.raises(BadInput, match="'x'"):
        check_command(["pooler=cls,mean", "seed=0,1,x"], multirun=True)


@pytest.mark.parametrize("group", ["dataset", "encoder", "head", "optimizer", "trainer", "logger"])
def test_every_file_of_a_group_can_be_chosen(group: str) -> None:
    needs = ["dataset.train=x.csv"], ["dataset.path=x"], ["encoder.name=x"], []
    for path in (ROOT / "conf" / group).glob("*.yaml"):
        for extra in needs:
            try:
                check_command([f"{group}={path.stem}", *extra], multirun=False)
                break
            except BadInput as error:
                last = error
        else:
            raise last


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["--cfg", "job"], 0),
        (["sede=1"], 2),
        (["pooler=meen"], 2),
        (["seed=x"], 2),
    ],
)
def test_the_answer_takes_less_than_half_a_second_of_cpu(
    arguments: list[str], code: int, tmp_path: Path
) -> None:
    script = (
        "import resource, subprocess, sys;"
        "done = subprocess.run(sys.argv[1:], capture_output=True, text=True);"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN);"
        "print(done.returncode, used.ru_utime + used.ru_stime, done.stderr.count('\\n'))"
    )
    command = [sys.executable, str(ROOT / "train.py"), *arguments]
    measured = []
    for _ in range(3):
        answer = subprocess.run(
            [sys.executable, "-c", script, *command], capture_output=True, text=True, cwd=tmp_path
        )
        returncode, cpu, lines = answer.stdout.split()
        assert int(returncode) == code
        assert int(lines) == (1 if code else 0)
        measured.append(float(cpu))
        if min(measured) < 0.5:
            break
        time.sleep(1)  # a busy machine inflates even CPU time: the least of three counts
    assert min(measured) < 0.5
    assert list(tmp_path.iterdir()) == []
