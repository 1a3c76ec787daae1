"""The report for a pull request: the answer, the verdicts, what is missing, the caveats."""

from poolbench.results.answer import answer, caveats, missing, overall
from poolbench.results.findings import Findings, Task
from poolbench.results.origin import run_facts
from poolbench.results.verdict import METRIC_NAMES, percent, points, span, written_p
from poolbench.results.verdict_tables import sign

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
    parts += ["## Caveats", "\n".join(f"* {plain(line)}" for line in caveats(findings))]
    facts = "; ".join(f"{name} {value}" for name, value in run_facts(findings))
    parts += ["## How it was run", plain(facts) + "."]
    return "\n\n".join(parts) + "\n"


def plain(words: str) -> str:
    """Words on one line that Markdown and HTML leave as they are."""
    return " ".join(words.translate(ESCAPES).split())


def _verdicts(task: Task, metric: str) -> str:
    by_pooler = {c.first: c for c in task.against}
    level = next((c.level for c in task.against if c.interval), None)
    interval = f"{percent(1 - level)} interval" if level else "interval"
    verdict = ["difference", interval, "p (Holm)", "verdict", "seeds", "examples"]
    costs = ["pooler parameters", "examples/s (indicative)"]
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
        speed = "" if s.samples_per_sec is None else f"{s.samples_per_sec:,.0f}"
        mean = "" if s.mean is None else f"{s.mean:.1f}"
        rows.append([plain(cell) for cell in (s.pooler, mean, *compared, parameters, speed)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _top(task: Task) -> str:
    if not task.top:
        return "No top group: there is no verdict on any pair."
    return f"Top group, beaten by none after Holm over all pairs: {', '.join(task.top)}."
