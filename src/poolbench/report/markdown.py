"""The report for a pull request: the answer, the verdicts, what is missing, the caveats."""

from poolbench.report.caveats import caveats, missing
from poolbench.report.contract_table import certificate_lines
from poolbench.report.controls import EXPLAINED, control, marked
from poolbench.report.narrative import answer, overall
from poolbench.report.origin import run_facts
from poolbench.report.published import Repetition, lines, repetitions
from poolbench.report.summary import Findings, Task
from poolbench.report.tables import sign
from poolbench.runs.pooler_cost import untimed
from poolbench.stats.verdict import METRIC_NAMES, percent, points, span, written_p

ESCAPES = str.maketrans(
    {"<": "&lt;", ">": "&gt;", "&": "&amp;"} | {c: f"\\{c}" for c in "\\`*_[]|#"}
)


def markdown(findings: Findings) -> str:
    """The report as GitHub Markdown; names and texts of the user are escaped."""
    study, metric = findings.study, findings.protocol.metric
    parts = []
    for task in findings.tasks:
        found = answer(task, metric)
        parts.append(f"**{plain(found.headline)}** {plain(found.reason)}")
    gaps = missing(findings)
    if gaps:
        done = f"{study.count('ok')} of {len(study.cells)} cells have a result. Without one:"
        parts.append("\n".join([done, "", *(f"* {plain(gap)}" for gap in gaps)]))
    if findings.across:
        told = (f"* {plain(line)}" for line in overall(findings))
        parts.append("\n".join(["## Over all datasets and encoders", "", *told]))
    for task in findings.tasks:
        title = plain(f"Against {findings.protocol.reference} on {task.name}")
        parts += [f"## {title}", _verdicts(task, metric), plain(_top(task))]
        parts += [plain(line) for line in _notes(task, findings)]
        certified = certificate_lines(task)
        if certified:
            title = plain(f"Padding certificate on {task.name}")
            parts += [f"## {title}", "\n".join(f"* {plain(line)}" for line in certified)]
    poolers = dict.fromkeys(s.pooler for task in findings.tasks for s in task.standings)
    without = untimed(findings.costs, poolers, study.folder)
    if without and len(poolers) > 1:
        parts.append(plain(without))
    for repetition in repetitions(findings):
        title = plain(f"Against the published table, {repetition.task}")
        notes = "\n".join(f"* {plain(note)}" for note in repetition.notes)
        parts += [f"## {title}", _published(repetition), notes]
    parts += ["## Caveats", "\n".join(f"* {plain(line)}" for line in caveats(findings))]
    facts = "; ".join(f"{name} {value}" for name, value in run_facts(findings))
    parts += ["## How it was run", plain(facts) + "."]
    return "\n\n".join(parts) + "\n"


def plain(words: str) -> str:
    """Words on one line that Markdown and HTML leave as they are."""
    return " ".join(words.translate(ESCAPES).split())


def _published(repetition: Repetition) -> str:
    shown = lines(repetition)
    rows = [list(shown[0]), ["---"] * len(shown[0]), *(line.values() for line in shown)]
    return "\n".join(f"| {' | '.join(map(plain, row))} |" for row in rows)


def _verdicts(task: Task, metric: str) -> str:
    by_pooler = {c.first: c for c in task.against}
    level = next((c.level for c in task.against if c.interval), None)
    interval = f"{percent(1 - level)} interval" if level else "interval"
    verdict = ["difference", interval, "p (Holm)", "verdict", "seeds", "examples"]
    timed = any(s.pooler_ms is not None for s in task.standings)
    costs = ["pooler parameters", *["pooler ms"] * timed, "examples/s (indicative)"]
    rows = [["pooler", f"{METRIC_NAMES[metric]} (%)", *verdict, *costs]]
    rows.append(["---" if name in ("pooler", "verdict") else "---:" for name in rows[0]])
    for s in task.standings:
        c = by_pooler.get(s.pooler)
        if c is None:
            compared = ["", "", "", "reference", str(len(s.scores)), f"{len(s.right):,}"]
        else:
            why = f": {c.why}" if c.why else ", exploratory" if c.exploratory else ""
            compared = [
                "" if c.delta is None else points(c.delta),
                span(c.interval) if c.interval else "",
                "" if c.p_holm is None else written_p(c.p_holm).removeprefix("= "),
                f"{sign(c.word)} {c.word}{why}",
                str(len(c.seeds) or ""),
                f"{c.examples:,}" if c.examples else "",
            ]
        parameters = "" if s.pooler_parameters is None else f"{s.pooler_parameters:,}"
        times = ["" if s.pooler_ms is None else f"{s.pooler_ms:.3g}"] * timed
        speed = "" if s.samples_per_sec is None else f"{s.samples_per_sec:,.0f}"
        mean = "" if s.mean is None else f"{s.mean:.1f}"
        row = (marked(s.pooler), mean, *compared, parameters, *times, speed)
        rows.append([plain(cell) for cell in row])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _notes(task: Task, findings: Findings) -> list[str]:
    poolers = [s.pooler for s in task.standings]
    told = [EXPLAINED] if any(map(control, poolers)) else []
    if any(s.pooler_ms is not None for s in task.standings):
        told.append(f"Pooler ms: forward and backward of one batch ({findings.costs.setting}).")
    return told


def _top(task: Task) -> str:
    if not task.top:
        return "No top group: there is no verdict on any pair."
    return f"Top group, beaten by none after Holm over all pairs: {', '.join(task.top)}."
