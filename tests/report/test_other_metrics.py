"""A study of two classes can be decided by AUROC, and its report shows every other metric."""

from pathlib import Path

import numpy as np

from poolbench.report.build import findings_of, report_files
from poolbench.report.tables import metrics_table, verdict_table
from poolbench.stats.verdict import Word
from tests.report.studies import Tags, declare, spec_of, write_run

AREAS = {"mean": 0.6, "max": 0.8}
RECALLS = {"mean": 0.02, "max": 0.5}


def study_of(folder: Path) -> Path:
    """The logits of mean are those of max, with other classes for 40 % of the examples."""
    for pooler, area in AREAS.items():
        for seed in range(5):
            recall = RECALLS[pooler] + seed / 100
            metrics = {"test/accuracy": 0.7, "test/auroc": area, "test/recall@1%fpr": recall}
            right = np.random.default_rng(0).integers(0, 2, 400)
            if pooler == "mean":
                right = np.where(np.random.default_rng(seed).random(400) < 0.6, right, 1 - right)
            write_run(folder, pooler, seed, predictions=right, metrics=metrics)
    specs = [spec_of(folder, pooler, seed) for pooler in AREAS for seed in range(5)]
    declare(folder, specs, metric="auroc", reference="mean")
    return folder


def test_auroc_decides_and_the_others_are_shown(tmp_path: Path) -> None:
    findings = findings_of(study_of(tmp_path / "areas"))
    (task,) = findings.tasks
    (found,) = task.against
    assert (found.first, found.metric, found.word) == ("max", "auroc", Word.BETTER)
    rows = verdict_table(task, findings).frame.set_index("pooler")
    assert rows["AUROC (×\N{NO-BREAK SPACE}100)"]["max"].value == 80
    assert rows["AUROC (×\N{NO-BREAK SPACE}100)"]["chance"] == 50
    others = metrics_table(task, "auroc")
    assert others is not None
    recall = others.frame.set_index("pooler")["recall at 1 % false positives (%)"]
    assert {name: cell.text for name, cell in recall.items()} == {
        "mean": "4.0 ± 1.6",
        "max": "52.0 ± 1.6",
    }
    assert [*others.frame] == ["pooler", "accuracy (%)", recall.name]
    files = report_files(findings)
    for text in (Tags(files["report.html"]).text, files["report.md"]):
        assert "recall at 1 % false positives" in text
        assert "52.0 ± 1.6" in text
    assert "AUROC are means of jackknife pseudo-values" in files["report.md"]
