"""The page: one HTML file that needs nothing but itself."""

import base64
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from plotly.offline import get_plotlyjs

from poolbench.results import gallery
from poolbench.results.answer import answer, caveats, missing
from poolbench.results.blocks import Entry, details, facts, number, paragraphs, plot, table, text
from poolbench.results.drawing import Figure
from poolbench.results.examples import Example, disagreement
from poolbench.results.findings import Findings, Task
from poolbench.results.origin import cells_table, run_facts
from poolbench.results.verdict_tables import matrix, overall_table, verdicts

HERE = Path(__file__).parent
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
    return _document(f"{findings.study.name}: which pooler?", body)


def _document(title: str, body: str) -> str:
    scripts = (get_plotlyjs(), (HERE / "page.js").read_text())
    # Only these two scripts may run and nothing may be fetched, whatever a text contains.
    allowed = " ".join(f"'sha256-{_sha256(script)}'" for script in scripts)
    policy = (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
        "img-src data: blob:; font-src data:; base-uri 'none'; form-action 'none'"
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{(HERE / 'page.css').read_text()}</style></head>"
        f"<body>{body}{''.join(f'<script>{script}</script>' for script in scripts)}</body></html>"
    )


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
        ("verdicts", "Verdicts", f"Against {reference}", verdicts(task, metric)),
        ("seeds", "Seeds", "Every seed", drawn["seeds"]),
        ("pairs", "Pairs", "Every pair", matrix(task)),
        ("costs", "Cost", "Quality against cost", drawn["costs"]),
        ("tuning", "Tuning", "Tuning", drawn["tuning"]),
        ("learning", "Learning", "Learning curves", drawn["learning"]),
        ("lengths", "Length", "By text length", drawn["lengths"]),
        ("classes", "Classes", "By class", drawn["classes"]),
        ("texts", "Texts", "Where poolers disagree", _disagreements(task, reference)),
        ("padding", "Padding", "Padding certificate", _certificate(task)),
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


def _disagreements(task: Task, reference: str) -> str:
    if all(s.pooler != reference for s in task.standings):
        return ""
    best = task.cheapest.pooler if task.cheapest else task.standings[0].pooler
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
        body = (
            f"<h3>{escape(a)} right, {escape(b)} wrong</h3>{_texts(found.won, a, b)}"
            f"<h3>{escape(b)} right, {escape(a)} wrong</h3>{_texts(found.lost, a, b)}"
        )
        told.append(details(summary, body, shown=a == best))
    note = '<p class="quiet">Right means with most seeds. The clearest cases are shown.</p>'
    return note + "".join(told) if told else ""


def _texts(examples: Sequence[Example], first: str, second: str) -> str:
    if not examples:
        return "<p>None.</p>"
    told = []
    for e in examples:
        shown = f"Test example {e.number}" if e.text is None else e.text
        shown = shown if len(shown) <= LONGEST_TEXT else f"{shown[: LONGEST_TEXT - 1]}…"
        right = f"{first} {e.first_right}, {second} {e.second_right}"
        note = f"{e.label}; seeds that got it right: {right}"
        told.append(
            f'<blockquote>{escape(shown)}<br><span class="quiet">{escape(note)}</span></blockquote>'
        )
    return "".join(told)


def _certificate(task: Task) -> str:
    measured: dict[str, dict[str, float]] = {}
    for s in task.standings:
        for cell in s.finished:
            for line, deviation in (cell.record.get("certificate") or {}).items():
                of_pooler = measured.setdefault(s.pooler, {})
                of_pooler[line] = max(of_pooler.get(line, 0.0), abs(float(deviation)))
    lines = list(dict.fromkeys(line for found in measured.values() for line in found))
    if not lines:
        return '<p class="quiet">These records hold no padding certificate.</p>'
    rows: list[list[Entry]] = [
        [
            text(pooler),
            *(number(found.get(line), ".1e" if found.get(line) else ".0f") for line in lines),
        ]
        for pooler, found in measured.items()
    ]
    caption = "Largest measured deviation over the cells of each pooler; 0 means bit-identical."
    return table("Padding certificate", ["pooler", *lines], rows, caption)


def _how(findings: Findings) -> str:
    cells = details("Every cell, and the command that trains it again", cells_table(findings))
    return facts(run_facts(findings)) + cells


def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
