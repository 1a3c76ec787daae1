"""A study of several datasets: an answer for each, an overview, and claims over all."""

from pathlib import Path

import numpy as np

from poolbench.report.build import findings_of, write_report
from poolbench.report.narrative import overall
from poolbench.report.overview import overview
from tests.report.studies import CLEAR, Tags, write_study


def test_several_datasets_have_an_answer_each_and_one_overall(tmp_path: Path) -> None:
    study = tmp_path / "many"
    for dataset in ("news", "reviews"):
        write_study(study, CLEAR, spec={"dataset": dataset})
    findings = findings_of(study)
    assert [task.name for task in findings.tasks] == ["news × tiny", "reviews × tiny"]
    assert {(a.first, a.counts["wins"]) for a in findings.across} == {("attention", 2), ("conv", 2)}
    text = Tags(write_report(findings)[0].read_text()).text
    assert "Over all tasks" in text
    assert text.count("conv may cost up to") == 2


def test_the_overview_has_the_mean_deviation_and_rank_on_every_task(tmp_path: Path) -> None:
    study = tmp_path / "many"
    for dataset, mean in (("news", 0.9), ("reviews", 0.5)):
        accuracies = {"cls": 0.7, "mean": mean, "pitfall-sum": 0.99}
        write_study(study, accuracies, spec={"dataset": dataset})
    findings = findings_of(study)
    frame = overview(findings).frame
    assert [cell.value for cell in frame["pooler"]] == ["mean", "cls", "pitfall-sum"]
    assert list(frame["mean rank"]) == [1.5, 1.5, None]
    for task in findings.tasks:
        for pooler, cell in zip(frame["pooler"], frame[task.name], strict=True):
            scores = list(task.standing(pooler.value).scores.values())
            star = "★ " if pooler.value in task.best.group else ""
            assert cell.text == f"{star}{np.mean(scores):.1f} ± {np.std(scores, ddof=1):.1f}"
            assert ("rank" in cell.note) == (pooler.value != "pitfall-sum")
    answer = overall(findings)
    assert answer.headline.startswith("Decided on 2 of 2 tasks")
    assert "on 1 of 2 tasks: " in answer.reason


def test_a_dataset_without_the_reference_is_reported(tmp_path: Path) -> None:
    study = write_study(tmp_path / "uneven", CLEAR)
    write_study(study, {"conv": 0.9, "attention": 0.6}, spec={"dataset": "news"})
    news, _ = findings_of(study).tasks
    assert {c.why for c in news.against} == {"missing: cls has no run"}
    assert news.best.group == ("conv",)
    write_report(findings_of(study))
