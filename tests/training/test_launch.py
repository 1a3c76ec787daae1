"""The command line: wrong commands end in one line, a grid is checked before its first run."""

import re
from pathlib import Path

import hydra
import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType

from poolbench.core.errors import UserError
from poolbench.training import config, grid
from poolbench.training.arguments import CONF, GROUPS, check_first_words
from poolbench.training.help import help_text
from poolbench.training.launch import compose_runs
from tests.conftest import ROOT, rejection

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
    "experiment=null": "the name of one file of conf/experiment",
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
