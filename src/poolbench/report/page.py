"""The page: one HTML file that needs nothing but itself."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from poolbench.report import gallery
from poolbench.report.blocks import details, facts, paragraphs, plot
from poolbench.report.caveats import caveats, missing
from poolbench.report.contract_table import certificate_table
from poolbench.report.document import document
from poolbench.report.drawing import Figure
from poolbench.report.examples import Example, disagreement
from poolbench.report.explained import Explained, legend, read_explained, strip_html
from poolbench.report.narrative import answer
from poolbench.report.origin import cells_table, run_facts
from poolbench.report.published import published_section, repetitions
from poolbench.report.summary import Findings, Task
from poolbench.report.tables import matrix, overall_table, verdicts
from poolbench.runs.pooler_cost import untimed

LONGEST_TEXT = 400


@dataclass(frozen=True)
class Part:
    """A part of the page: its anchor, its name in the links on top, its title, its HTML."""

    key: str
    link: str
    title: str
    body: str


def page(findings: Findings) -> str:
    """The whole report as HTML."""
    parts = [*_across(findings)]
    for place, task in enumerate(findings.tasks):
        parts += _of_task(task, findings, f"task{place}-" if place else "")
    repeated = repetitions(findings)
    if repeated:
        title = "Against the published table"
        parts.append(Part("published", "Published", title, published_section(repeated)))
    parts += [
        Part("how", "Run", "How it was run", _how(findings)),
        Part("caveats", "Caveats", "Caveats", paragraphs(caveats(findings))),
    ]
    name = escape(findings.study.name)
    body = (
        f'<header><a class="skip" href="#verdicts">Skip to the verdicts</a>'
        f"<h1>poolbench study {name}</h1>{_answers(findings)}</header>{_links(parts)}"
        f"<main>{''.join(map(_section, parts))}</main>"
        '<footer class="quiet">How a verdict is made, and how often it was measured to be wrong: '
        "docs/statistics.md of poolbench.</footer>"
    )
    return document(f"{findings.study.name}: which pooler?", body)


def _answers(findings: Findings) -> str:
    told = []
    for task in findings.tasks:
        found = answer(task, findings.protocol.metric)
        told.append(
            f'<div class="answer"><p class="headline">{escape(found.headline)}</p>'
            f"<p>{escape(found.reason)}</p></div>"
        )
    gaps = missing(findings)
    if gaps:
        done = findings.study.count("ok")
        told.append(
            f'<div class="answer missing"><p>{done} of {len(findings.study.cells)} cells have a '
            f"result. Without one:</p>{paragraphs(gaps)}</div>"
        )
    return "".join(told)


def _links(parts: Sequence[Part]) -> str:
    anchors = "".join(
        f'<a href="#{part.key}">{escape(part.link)}</a>' for part in parts if part.link
    )
    return f'<nav aria-label="Parts of this page"><div>{anchors}</div></nav>'


def _section(part: Part) -> str:
    return f'<section id="{part.key}"><h2>{escape(part.title)}</h2>{part.body}</section>'


def _across(findings: Findings) -> Iterator[Part]:
    if findings.across:
        body = overall_table(findings.across) + _plots(gallery.of_all(findings), "")
        yield Part("across", "Overall", "Over all datasets and encoders", body)


def _of_task(task: Task, findings: Findings, prefix: str) -> list[Part]:
    metric, reference = findings.protocol.metric, findings.protocol.reference
    drawn = {key: _plots(found, prefix) for key, found in gallery.of_task(task, findings).items()}
    parts = (
        ("verdicts", "Verdicts", f"Against {reference}", verdicts(task, metric, findings.costs)),
        ("seeds", "Seeds", "Every seed", drawn["seeds"]),
        ("pairs", "Pairs", "Every pair", matrix(task)),
        ("costs", "Cost", "Quality against cost", drawn["costs"] + _untimed(task, findings)),
        ("tuning", "Tuning", "Tuning", drawn["tuning"]),
        ("learning", "Learning", "Learning curves", drawn["learning"]),
        ("lengths", "Length", "By text length", drawn["lengths"]),
        ("classes", "Classes", "By class", drawn["classes"]),
        ("texts", "Texts", "Where poolers disagree", _disagreements(task, findings)),
        ("padding", "Padding", "Padding certificate", certificate_table(task)),
    )
    several = len(findings.tasks) > 1
    where = f" on {task.name}" if several else ""
    return [
        # Of several tasks each has one link, or the links would be longer than the page.
        Part(
            prefix + key, link if not several else task.name * (key == "verdicts"), t + where, body
        )
        for key, link, t, body in parts
        if body
    ]


def _plots(found: Sequence[Figure], prefix: str) -> str:
    shown = "".join(plot(figure, prefix) for figure in found)
    return f'<div class="grid">{shown}</div>' if shown else ""


def _untimed(task: Task, findings: Findings) -> str:
    if len(task.standings) < 2:
        return ""
    told = untimed(findings.costs, (s.pooler for s in task.standings), findings.study.folder)
    return f'<p class="quiet">{escape(told)}</p>' if told else ""


def _disagreements(task: Task, findings: Findings) -> str:
    reference = findings.protocol.reference
    if all(s.pooler != reference for s in task.standings):
        return ""
    best = task.cheapest or next(iter(task.candidates or task.standings))
    explained = read_explained(findings.study)
    told = []
    for c in task.against:
        found = disagreement(task, c.first, reference)
        if found is None:
            continue
        a, b = found.first, found.second
        share = 100 * (found.only_first + found.only_second) / found.examples
        summary = (
            f"{a} and {b} disagree on {share:.1f} % of {found.examples:,} examples: "
            f"{found.only_first:,} only {a} gets right, {found.only_second:,} only {b}"
        )
        won, lost = (_texts(e, a, b, task, explained) for e in (found.won, found.lost))
        body = (
            f"<h3>{escape(a)} right, {escape(b)} wrong</h3>{won}"
            f"<h3>{escape(b)} right, {escape(a)} wrong</h3>{lost}"
        )
        told.append(details(summary, body, shown=a == best.pooler))
    note = '<p class="quiet">Right means with most seeds. The clearest cases are shown.</p>'
    return note + _taken(task, findings, explained) + "".join(told) if told else ""


def _taken(task: Task, findings: Findings, explained: Explained) -> str:
    """How to read the strips, or how to get them."""
    strips = [s for of_text in explained.strips.values() for s in of_text.values()]
    if strips:
        told = f"{legend(strips)} The bars are those of the lowest seed."
        return f'<p class="quiet">{escape(told)}</p>'
    if task.texts is None:
        return ""
    command = f"python scripts/explain.py {findings.study.folder} --disagreements"
    return (
        '<p class="quiet">What each pooler took from these texts is not shown; to add it: '
        f"<code>{escape(command)}</code>, then make the report again.</p>"
    )


def _texts(
    examples: Sequence[Example], first: str, second: str, task: Task, explained: Explained
) -> str:
    if not examples:
        return "<p>None.</p>"
    told = []
    for e in examples:
        shown = f"Test example {e.number}" if e.text is None else e.text
        shown = shown if len(shown) <= LONGEST_TEXT else f"{shown[: LONGEST_TEXT - 1]}…"
        right = f"{first} {e.first_right}, {second} {e.second_right}"
        note = f"{e.label}; seeds that got it right: {right}"
        strips = [s for name in (first, second) for s in explained.of(task, name, e.number)]
        told.append(
            f'<blockquote>{escape(shown)}<br><span class="quiet">{escape(note)}</span>'
            f"{''.join(map(strip_html, strips))}</blockquote>"
        )
    return "".join(told)


def _how(findings: Findings) -> str:
    cells = details("Every cell, and the command that trains it again", cells_table(findings))
    return facts(run_facts(findings)) + cells
