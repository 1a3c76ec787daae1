"""Texts on which poolers disagree, and the explanations of predictions."""

from pathlib import Path

from poolbench.report.build import findings_of, report_files
from poolbench.report.explained import disagreed, disagreements, strips_page
from poolbench.runs.explanations import (
    EXPLANATIONS,
    ExplainedExample,
    Explanation,
    Explanations,
)
from poolbench.runs.schema import write_json
from tests.report.studies import CLEAR, ENDING, EXAMPLES, HOSTILE, Tags, keep_texts, write_study


def test_disagreements_are_counted_over_all_examples(tmp_path: Path) -> None:
    (task,) = findings_of(write_study(tmp_path / "disagree", CLEAR)).tasks
    conv, cls = (task.standing(name).right > 0.5 for name in ("conv", "cls"))
    found = next(d for d in disagreements(task) if d.first.pooler == "conv")
    assert len(found.won) == (conv & ~cls).sum()
    assert len(found.lost) == (cls & ~conv).sum()
    shown = found.clearest(found.won)
    assert len(shown) == 5
    assert all(conv[i] and not cls[i] for i in shown)


def test_explanations_of_current_runs_are_shown(tmp_path: Path) -> None:
    study = tmp_path / "explained"
    write_study(study, CLEAR, data=keep_texts(study, [f"Text {i}." for i in range(EXAMPLES)]))
    assert "scripts/explain.py" in report_files(findings_of(study))["report.html"]
    (task,) = findings_of(study).tasks
    example = min(disagreed(task)["conv"])
    words = [("[CLS]", 0.25, True), ("seen", -0.75, False)]
    told = Explanation(pooler="conv", method="gradient", label="x", probability=0.5, words=words)
    record = task.standing("conv").finished[0]
    names = {"dataset": "reviews", "encoder": "tiny", "example": example}
    for key, shown in ((record.predictions_sha256, True), ("of another run", False)):
        examples = [ExplainedExample(**names, explanations={key: told})]
        write_json(study / EXPLANATIONS, Explanations(examples=examples))
        html = report_files(findings_of(study))["report.html"]
        assert ('class="special' in html) == shown
        assert ("striped bar" in html) == shown


def test_a_page_of_explanations_escapes_its_words() -> None:
    words = [(HOSTILE, -0.5, False), ('"', 0.5, True)]
    told = Explanation(pooler=HOSTILE, method=HOSTILE, label=HOSTILE, probability=0.5, words=words)
    tags = Tags(strips_page([ENDING], [[told]]))
    assert tags.tags.count("script") == 1
    assert "img" not in tags.tags
    assert tags.text.count(HOSTILE) == 4
