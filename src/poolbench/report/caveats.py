"""What limits the conclusions of a study, in whole sentences."""

from collections.abc import Iterator

from poolbench.report.controls import control
from poolbench.report.rendering import render
from poolbench.report.summary import Findings, Task
from poolbench.runs.identity import varying_settings
from poolbench.runs.protocol import METRIC_NAMES, METRICS
from poolbench.runs.record import RunRecord
from poolbench.runs.remarks import truncation
from poolbench.stats.verdict import Word

TRAINING = ("optimizer.", "head.", "batch_size", "patience", "trainer.max_epochs")
# Metrics that are no mean over examples: their scores are jackknife pseudo-values.
JACKKNIFED = ("f1_macro", "f1_micro", "auroc", "spearman", "pearson")


def caveats(findings: Findings) -> list[str]:
    """What limits the conclusions, in whole sentences."""
    runs = [r for r in findings.study.runs if r.status not in ("missing", "damaged")]
    known = (note for r in runs for note in (*r.notes, truncation(r)) if note)
    notes = dict.fromkeys(" ".join(note.split()) for note in known)
    specs = [record.run for record in runs]
    text = render(
        "caveats.txt",
        findings=findings,
        varying=[] if findings.selection else varying_settings(specs),
        notes=list(notes),
        beaten_by_controls=_beaten_by_controls,
        improving=_improving,
        tunings={r.run.setting("encoder.tuning") for r in runs},
        unequal=[key for key in varying_settings(specs, same=()) if key.startswith(TRAINING)],
        looks=_looks(findings),
        trained=any(task.trained for task in findings.tasks),
        unserved=[task for task in findings.tasks if "accuracy" not in METRICS[task.kind]],
        pseudo=METRIC_NAMES[metric] if (metric := findings.protocol.metric) in JACKKNIFED else "",
    )
    return [line for line in text.splitlines() if line]


def _looks(findings: Findings) -> str:
    pairs = [c for task in findings.tasks for c in task.pairs if c.word is not Word.NONE]
    if not pairs:
        return "No verdict was given."
    lines = []
    trained = [c for c in pairs if c.trained]
    if len(trained) < len(pairs):
        lines.append("nothing was trained: uncertainty is over the test items alone, tested once")
    for seeds, c in sorted({len(c.seeds): c for c in trained}.items()):
        planned = ", ".join(map(str, c.looks))
        look = f"look {c.look} of {len(c.looks)}, as planned ({planned} seeds)"
        if c.exploratory:
            look = f"not a planned look ({planned} seeds): exploratory"
        lines.append(f"tested at {seeds} seeds, {look}")
    return f"{'; '.join(lines).capitalize()}."


def _beaten_by_controls(task: Task) -> Iterator[tuple[str, list[str]]]:
    """Controls that beat poolers, after Holm over the pairs of the reference or over all."""
    for s in (s for s in task.standings if control(s.pooler)):
        both = [c if c.first == s.pooler else c.swapped() for c in (*task.against, *task.pairs)]
        won = {c.second for c in both if c.first == s.pooler and c.word.wins}
        beaten = [other.pooler for other in task.candidates if other.pooler in won]
        if beaten:
            yield s.pooler, beaten


def _improving(task: Task) -> list[str]:
    """Poolers of which most runs were best in the last epoch they were allowed."""

    def best_last(record: RunRecord) -> bool:
        metric = METRICS[record.task][0]
        found = [epoch.get(f"val/{metric}", 0.0) for epoch in record.history]
        allowed = record.run.setting("trainer.max_epochs")
        return len(found) == allowed and len(found) > 1 and found[-1] > max(found[:-1])

    return [
        s.pooler for s in task.candidates if 2 * sum(map(best_last, s.finished)) > len(s.finished)
    ]
