"""Reports of tasks without one true class, and of runs that trained nothing."""

from pathlib import Path

import pytest

from poolbench.core.errors import UserError
from poolbench.report.build import figures_of, findings_of, report_files
from poolbench.report.leaderboard import leaderboard_files, read_leaderboard
from poolbench.report.tables import runs_table, verdict_table
from poolbench.stats.verdict import Word
from tests.report.studies import Tags, headline, reason, write_study
from tests.report.task_studies import N, write_layers, write_task_run, write_task_study

NOISE = {"cls": 1.6, "mean": 0.4, "max": 1.2}
UNTRAINED = ("similarity", "retrieval")
TRAINED = ("multilabel", "pair_regression")
NAMES = {
    "similarity": "Spearman",
    "retrieval": "nDCG@10",
    "multilabel": "micro-F1",
    "pair_regression": "Spearman",
}
FOR_CLASSES = ("lengths", "certainty")


def study_of(folder: Path, task: str) -> Path:
    return write_task_study(folder, task, NOISE, (None,) if task in UNTRAINED else range(5))


@pytest.mark.parametrize("task", NAMES)
def test_a_task_is_reported_by_its_own_metric(tmp_path: Path, task: str) -> None:
    """Nothing is declared here: the default metric, accuracy, does not exist for these tasks."""
    findings = findings_of(study_of(tmp_path, task))
    assert f"by {NAMES[task]} instead" in str(findings.notes)
    assert headline(findings) == f"Decided on {task} × tiny: use mean."
    (found,) = findings.tasks
    assert [s.pooler for s in found.standings] == ["mean", "max", "cls"]
    assert {c.word for c in found.against} <= {Word.BETTER, Word.BETTER_UNCERTAIN}
    assert found.probabilities == []
    drawn = figures_of(findings)[found.name]
    assert not any(drawn[section] for section in FOR_CLASSES)
    assert [f.name for f in drawn["classes"]] == (["classes"] if task == "multilabel" else [])
    assert bool(drawn["learning"]) == (task in TRAINED)
    frame = verdict_table(found, findings).frame
    assert any(column.startswith(NAMES[task]) for column in frame)
    assert "by Brier score" not in frame
    assert ("seed" in found.size) == (task in TRAINED)
    assert len(frame) == 4, "three poolers and one baseline"


@pytest.mark.parametrize("task", NAMES)
def test_pages_leaderboard_and_figures_of_a_task(tmp_path: Path, task: str) -> None:
    findings = findings_of(study_of(tmp_path, task))
    files = report_files(findings)
    page, words = Tags(files["report.html"]).text, files["report.md"]
    for text in (page, words):
        assert NAMES[task] in text
        assert ("Nothing was trained: uncertainty is over the test items alone" in text) == (
            task in UNTRAINED
        )
    assert "no figure by text length" in words
    assert all(f.plot for of in figures_of(findings).values() for s in of.values() for f in s)
    board = read_leaderboard(tmp_path)
    assert NAMES[task] in leaderboard_files(board)["leaderboard.md"]
    assert [row.record.run.pooler for row in board.rows] == ["mean", "max", "cls"]
    assert all(row.mean.interval for row in board.rows)


def test_each_task_of_a_leaderboard_has_a_metric_of_its_own(tmp_path: Path) -> None:
    for task in NAMES:
        study_of(tmp_path / task, task)
    write_study(tmp_path / "classes", {"mean": 0.9, "cls": 0.6}, range(5))
    board = read_leaderboard(tmp_path)
    assert {row.task: row.metric for row in board.rows} == {
        "multilabel × tiny (multilabel, micro-F1)": "f1_micro",
        "pair_regression × tiny (pair regression, Spearman)": "spearman",
        "retrieval × tiny (retrieval, nDCG@10)": "ndcg@10",
        "reviews × tiny": "accuracy",
        "similarity × tiny (similarity, Spearman)": "spearman",
    }
    table = board.overview()
    (mean,) = (row for row in table.rows if row[0].text == "mean")
    assert all(cell.text.startswith("★") for cell in mean[3:])


def test_pairs_that_share_texts_are_clustered(tmp_path: Path) -> None:
    (task,) = findings_of(study_of(tmp_path, "similarity")).tasks
    assert task.against[0].estimate is not None
    clusters = task.against[0].estimate.clusters
    assert clusters is not None
    assert clusters < N / 2


def test_a_trained_pooler_is_compared_with_an_untrained_one(tmp_path: Path) -> None:
    write_task_run(tmp_path, "similarity", "cls", 1.6)
    for seed in range(5):
        write_task_run(tmp_path, "similarity", "attention", 0.4, seed=seed)
    findings = findings_of(tmp_path)
    assert headline(findings) == "Decided on similarity × tiny: use attention."
    assert "5 paired seeds, 600 examples" in reason(findings)
    assert report_files(findings)


def test_a_selection_needs_validation(tmp_path: Path) -> None:
    write_layers(tmp_path, "similarity", {"mean": [2, 1], "cls": [2, 1]})
    with pytest.raises(UserError, match="train nothing have no validation"):
        findings_of(tmp_path, ["layers.index"])


def test_the_table_of_runs_of_untrained_poolers(tmp_path: Path) -> None:
    frame = runs_table(findings_of(study_of(tmp_path, "retrieval"))).frame
    assert "test/ndcg@10" in frame
    assert "seed" not in frame
