"""What is wrong with a command is said in one line, at once, and nothing is written."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from poolbench.core.errors import BadInput
from poolbench.training import launch as command
from poolbench.training.launch import check_command

ROOT = Path(__file__).parents[2]

REFUSED = {
    "sede=1": "unknown key sede, did you mean seed?",
    "optimizer.lrr=1": "did you mean optimizer.lr?",
    "pooler=meen": "did you mean mean?",
    "pooler=conv pooler.kernal_sizes=[3]": "did you mean pooler.kernel_sizes?",
    "pooler=conv +pooler.kernal_sizes=[3]": "did you mean kernel_sizes?",
    "+optimizer.momentun=0.9": "unknown key optimizer.momentun",
    "+nonsense=1": "unknown key nonsense",
    "+comparison.published.source=x": "below a key that is null: +comparison.published.source=x",
    "experiment=published/imdb_bert +comparison.published.souce=x": "did you mean source?",
    "seed=abc": "could not be converted to Integer",
    "seed=-1": "seed must be 0 or more",
    "trainer.max_epochs=many": "could not be converted to Integer",
    "pooler=conv pooler.channels=lots": "expected int, like 128",
    "pooler=conv pooler.kernel_sizes=[2,x]": "expected list",
    "pooler=conv pooler.kernel_sizes=[200]": "longer than encoder.max_length=128",
    "trainer.compile=fast": "trainer.compile must be null, default, reduce-overhead",
    "trainer.compile=default": "needs an encoder that trains: encoder.tuning=full",
    "optimizer.lr=-1": "optimizer.lr must be above 0",
    "optimizer.schedule=lin": "linear, cosine or constant",
    "encoder.tuning=half": "frozen or full",
    "encoder=pretrained": "encoder.name needs a value",
    "dataset=files": "dataset.train needs a value",
    "pooler=cls,mean": "add -m",
    "study=../elsewhere": "plain name",
    "comparison.looks=[5,5]": "rising numbers of seeds",
    "comparison.metric=auc": "accuracy or f1_macro",
    "pooler._target_=os.system": "is not allowed",
    "seed=[1": "no viable alternative",
}


@pytest.mark.parametrize("given", REFUSED)
def test_a_wrong_command_is_refused_in_one_line(given: str) -> None:
    with pytest.raises(BadInput) as refused:
        check_command(given.split(), multirun=False)
    assert REFUSED[given] in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_mistake_of_ours_is_not_told_as_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise AssertionError("ours")

    monkeypatch.setattr(command, "check_values", broken)
    with pytest.raises(AssertionError, match="ours"):
        check_command(["pooler=mean"], multirun=False)


def test_what_only_a_grid_can_get_wrong_is_refused() -> None:
    with pytest.raises(BadInput, match="names one cell twice: pooler=mean seed=1"):
        check_command(["pooler=mean", "seed=1,2,1"], multirun=True)
    with pytest.raises(BadInput, match="-m does not go together with several devices"):
        check_command(["pooler=mean,max", "trainer=ddp"], multirun=True)


def test_every_cell_of_a_grid_is_checked() -> None:
    assert len(check_command(["pooler=cls,mean", "seed=0,1,2"], multirun=True)) == 6
    with pytest.raises(BadInput, match="'x'"):
        check_command(["pooler=cls,mean", "seed=0,1,x"], multirun=True)


@pytest.mark.parametrize(
    "grid",
    [
        ["pooler=cls,mean", "seed=range(0,4)"],
        ["seed=2,1", "pooler=conv", "encoder.max_length=64"],
        ["dataset=presence", "dataset.max_examples=${seed}", "seed=300,400"],
        ["seed=7", "seed=1,2"],
        ["seed=1_0,2", "study=s${seed}"],
    ],
)
def test_a_cell_of_a_grid_is_the_one_its_own_command_asks_for(grid: list[str]) -> None:
    for cell in check_command(grid, multirun=True):
        assert check_command(list(cell.overrides), multirun=False) == [cell]


def test_seeds_are_not_composed_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    composed = []
    compose = command.compose
    monkeypatch.setattr(command, "compose", lambda *a, **k: composed.append(a) or compose(*a, **k))
    assert len(check_command(["pooler=cls,mean", "seed=range(0,20)"], multirun=True)) == 40
    assert len(composed) <= 3  # the command itself, and each pooler


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
    train = [sys.executable, str(ROOT / "train.py"), *arguments]
    floor, measured = [], []
    for _ in range(3):
        floor.append(
            cpu_seconds([sys.executable, "-c", "import hydra.main, omegaconf"], tmp_path)[1]
        )
        answer, seconds = cpu_seconds(train, tmp_path)
        assert answer.returncode == code
        assert answer.stderr.count("\n") == (1 if code else 0)
        measured.append(seconds)
    # A busy machine inflates CPU time too: importing Hydra alone takes 0.12 s on an idle one.
    assert min(measured) < 0.5 * max(1.0, min(floor) / 0.12)
    assert list(tmp_path.iterdir()) == []


def cpu_seconds(command: list[str], cwd: Path) -> tuple[subprocess.CompletedProcess[str], float]:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    answer = subprocess.run(command, capture_output=True, text=True, cwd=cwd)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return answer, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
