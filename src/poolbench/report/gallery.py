"""Every figure of a report, under the part of the page it belongs to."""

from collections.abc import Iterable

from poolbench.report import cost_figures, curves, figures
from poolbench.report.drawing import Figure, Look, looks
from poolbench.report.summary import Findings, Task


def drawn_by(findings: Findings) -> dict[str, Look]:
    """How each pooler is drawn, the same in every figure."""
    poolers = [cell.pooler for cell in findings.study.cells]
    return looks(poolers, findings.protocol.reference)


def of_task(task: Task, findings: Findings) -> dict[str, list[Figure]]:
    """Part of the page -> its figures, without those there is nothing to draw for."""
    drawn, metric = drawn_by(findings), findings.protocol.metric
    chosen = findings.selection
    parts = {
        "seeds": (figures.every_seed(task, drawn, metric), figures.paired_differences(task, drawn)),
        "costs": cost_figures.costs(task, drawn, metric),
        "tuning": (curves.sensitivity(task, drawn, chosen),) if chosen else (),
        "learning": curves.learning(task, drawn),
        "lengths": (curves.by_length(task, drawn),),
        "classes": (curves.by_class(task, drawn),),
    }
    return {part: _present(found) for part, found in parts.items()}


def of_all(findings: Findings) -> list[Figure]:
    """The forest plots: one for each pair, where there are several datasets or encoders."""
    drawn = drawn_by(findings)
    return _present(figures.forest(across, drawn) for across in findings.across)


def _present(found: Iterable[Figure | None]) -> list[Figure]:
    return [figure for figure in found if figure is not None]
