"""Published tables: declared as data, swept as declared, and compared with in the report."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poolbench.core.errors import BadInput
from poolbench.core.nested import leaves
from poolbench.report.build import findings_of, write_report
from poolbench.report.published import PublishedMean, repetitions
from poolbench.stats.mean import mean_over_seeds
from poolbench.training import sweep
from poolbench.training.launch import check_command
from poolbench.training.rules import plain
from scripts.report import main
from tests.conftest import ROOT
from tests.report.reading import Tags
from tests.report.written import HOSTILE, declare, write_cell, write_study

FOLDER = ROOT / "conf/experiment/published"
TABLES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
STAND_IN = [
    "dataset=rotten_tomatoes",
    "dataset.max_examples=40",
    "encoder=scratch",
    "encoder.layers=4",
    "encoder.hidden_dim=16",
    "encoder.heads=2",
    "encoder.max_length=32",
    "trainer=cpu",
    "trainer.max_epochs=1",
    "trainer.enable_progress_bar=false",
    "seed=0,1",
    "logger=none",
    "certify=false",
]


def test_every_table_is_here() -> None:
    assert TABLES == [
        "imdb_bert",
        "imdb_roberta",
        "pool_me_wisely_banking77",
        "pool_me_wisely_tweets",
        "sun_2019_layers",
    ]


@pytest.mark.parametrize("table", TABLES)
def test_what_is_swept_is_what_was_published(table: str) -> None:
    asked = check_command([f"experiment=published/{table}"], multirun=False)
    cfg = asked[0].cfg
    published = cfg.comparison.published
    assert published.dataset == cfg.dataset.alias
    assert published.encoder == cfg.encoder.alias
    assert published.deviations
    seeds = {a.cfg.seed for a in asked}
    assert published.seeds in (None, len(seeds))
    cells = [(a.choices["pooler"].replace("/", "-"), dict(leaves(plain(a.cfg)))) for a in asked]
    for value in published["values"]:
        same = [
            name == value.pooler and all(c.get(k) == v for k, v in value.settings.items())
            for name, c in cells
        ]
        assert sum(same) == len(seeds), value
        header = (FOLDER / f"{table}.yaml").read_text().partition("defaults:")[0]
        assert f"{value.value:.2f}" in header


@pytest.mark.parametrize("table", TABLES)
def test_it_ends_in_a_report_with_the_comparison(table: str, tmp_path: Path) -> None:
    command = [f"experiment=published/{table}", *STAND_IN, f"output_dir={tmp_path}"]
    planned = sweep.plan(check_command(command, multirun=False))
    sweep.declare_all(planned)
    sweep.run_all(planned)
    study = tmp_path / f"published_{table}"
    findings = findings_of(study)
    (repetition,) = repetitions(findings)
    assert {mean.seeds for mean in repetition.means} == {2}
    assert {mean.agreement for mean in repetition.means} == {"not comparable"}
    write_report(findings)
    published = json.loads((study / "study.json").read_text())["comparison"]["published"]
    for told in (Tags((study / "report.html").read_text()).text, (study / "report.md").read_text()):
        assert "Against the published table" in told
        assert published["source"] in told
        assert all(f"{value['value']:.2f}" in told for value in published["values"])
        assert told.count("Where we differ") == len(published["deviations"])


def table_of(*values: dict[str, Any], **changed: Any) -> dict[str, Any]:
    known = {"source": "Somebody (2020)", "dataset": "reviews", "encoder": "tiny"}
    return {**known, "metric": "accuracy", "values": list(values), **changed}


def repeated(study: Path, published: dict[str, Any]) -> dict[str, PublishedMean]:
    declare(study, [{"pooler": "mean", "seed": 0}], reference="mean", published=published)
    (found,) = repetitions(findings_of(study))
    return {mean.pooler: mean for mean in found.means}


def test_inside_and_outside_are_told_of_both_intervals(tmp_path: Path) -> None:
    write_study(tmp_path, {"mean": 0.8, "max": 0.8, "cls": 0.8})
    found = repeated(
        tmp_path,
        table_of(
            {"pooler": "mean", "value": 80.0},
            {"pooler": "max", "value": 99.0, "low": 10.0, "high": 99.5},
            {"pooler": "cls", "value": 80.0, "low": 98.0, "high": 99.0},
            {"pooler": "gru", "value": 80.0},
        ),
    )
    assert found["mean"].agreement == "theirs inside our interval; none was published"
    assert found["max"].agreement == "theirs outside our interval; ours inside theirs"
    assert found["cls"].agreement == "theirs inside our interval; ours outside theirs"
    assert found["gru"].agreement == "no result yet"


def test_ours_is_the_mean_over_its_seeds(tmp_path: Path) -> None:
    write_study(tmp_path, {"mean": 0.8}, seeds=[0, 1, 2])
    ours = repeated(tmp_path, table_of({"pooler": "mean", "value": 80.0}))["mean"].ours
    shares = [c.metric("test/accuracy") for c in findings_of(tmp_path).study.cells]
    assert ours.value == pytest.approx(100 * np.mean(shares))
    assert ours.within(ours.value)


def test_one_seed_has_no_interval_to_be_inside_of(tmp_path: Path) -> None:
    write_cell(tmp_path, "mean", 0)
    found = repeated(tmp_path, table_of({"pooler": "mean", "value": 80.0}))["mean"]
    assert found.agreement == "one seed of ours, no interval; none was published"


def test_settings_say_which_variant_is_meant(tmp_path: Path) -> None:
    for digest, index, accuracy in (("d0", -1, 0.9), ("d1", 3, 0.6)):
        config = {"layers": {"index": index}}
        for seed in range(2):
            write_cell(tmp_path, "mean", seed, accuracy, digest=digest, config=config)
    published = table_of({"pooler": "mean", "value": 90.0, "settings": {"layers.index": 3}})
    found = repeated(tmp_path, published)["mean"]
    assert found.settings == "layers.index=3"
    assert found.ours.value < 70
    unclear = repeated(tmp_path, table_of({"pooler": "mean", "value": 90.0}))["mean"]
    assert unclear.ours is None
    assert "select one variant" in unclear.agreement


@pytest.mark.parametrize(
    ("changed", "config"),
    [({"dataset": "other"}, {}), ({}, {"dataset": {"max_examples": 40}})],
    ids=["another dataset", "a part of the data"],
)
def test_other_data_are_not_compared(tmp_path: Path, changed: Any, config: Any) -> None:
    write_study(tmp_path, {"mean": 0.8}, config=config)
    found = repeated(tmp_path, table_of({"pooler": "mean", "value": 80.0}, **changed))
    assert found["mean"].agreement == "not comparable"


def test_a_study_without_the_key_has_no_section(tmp_path: Path) -> None:
    study = write_study(tmp_path / "plain", {"mean": 0.8, "cls": 0.7})
    declare(study, [{"pooler": "mean", "seed": 0}], reference="cls")
    findings = findings_of(study)
    assert repetitions(findings) == []
    write_report(findings)
    assert "published table" not in (study / "report.md").read_text()


def test_a_study_declared_before_the_key_existed_goes_on(tmp_path: Path) -> None:
    command = ["study=old", f"output_dir={tmp_path}", *STAND_IN, "pooler=mean"]
    planned = sweep.plan(check_command(command, multirun=True))
    sweep.declare_all(planned)
    path = tmp_path / "old/study.json"
    plan = json.loads(path.read_text())
    assert plan["comparison"].pop("published") is None
    path.write_text(json.dumps(plan))
    sweep.declare_all(planned)
    assert "published" not in json.loads(path.read_text())["comparison"]


def test_a_table_may_be_reworded_and_stays_when_a_command_does_not_name_it(tmp_path: Path) -> None:
    reworded = "comparison.published.source=reworded"
    for more in ([], [reworded], ["comparison.published=null"]):
        command = ["experiment=published/imdb_bert", *STAND_IN, f"output_dir={tmp_path}", *more]
        sweep.declare_all(sweep.plan(check_command(command, multirun=False)))
    plan = json.loads((tmp_path / "published_imdb_bert/study.json").read_text())
    assert plan["comparison"]["published"]["source"] == "reworded"


def test_a_table_that_cannot_be_read_is_one_line_and_code_2(tmp_path: Path, capsys) -> None:
    study = write_study(tmp_path, {"mean": 0.8})
    for published in ({"source": "x"}, "x", table_of(), table_of({"pooler": "mean", "value": "?"})):
        declare(study, [{"pooler": "mean", "seed": 0}], published=published)
        assert main([str(study)]) == 2
        said = capsys.readouterr().err
        assert "comparison.published in" in said
        assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("comparison.published.soruce=x", "did you mean comparison.published.source"),
        ("comparison.published.values=[{poler:cls}]", "did you mean pooler"),
        ("comparison.published.values=[{pooler:cls,value:much}]", "could not be converted"),
    ],
)
def test_what_a_table_cannot_hold_is_refused_before_training(wrong: str, told: str) -> None:
    with pytest.raises(BadInput, match=told):
        check_command(["experiment=published/imdb_bert", wrong], multirun=False)


def test_words_of_a_table_cannot_become_markup(tmp_path: Path) -> None:
    write_study(tmp_path, {"mean": 0.8, "cls": 0.7})
    published = table_of({"pooler": "mean", "value": 80.0}, deviations=[HOSTILE], source=HOSTILE)
    repeated(tmp_path, published)
    write_report(findings_of(tmp_path))
    assert HOSTILE in Tags((tmp_path / "report.html").read_text()).text
    assert "<script" not in (tmp_path / "report.md").read_text()


def test_seeds_that_err_on_each_others_examples_are_not_sure() -> None:
    first = np.arange(60) % 2.0
    found = mean_over_seeds([None, None], [first, 1 - first])
    assert found.value == 50
    assert found.interval[1] - found.interval[0] > 20
