"""Sentences of a report: the answer, missing runs, and caveats."""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from poolbench.report.rendering import render
from poolbench.report.summary import Findings, Standing, Task, control, without_controls
from poolbench.report.tables import DIGITS, runs_frame
from poolbench.runs.record import RunRecord
from poolbench.runs.study import varying_settings
from poolbench.stats.verdict import (
    METRIC_NAMES,
    Word,
    format_p,
    format_percent,
    format_points,
    plural,
)

# Groups of columns that describe how runs were made, and what a column of each is called.
DESCRIBED = {
    "data/examples": "examples",
    "hardware": "",
    "versions": "version",
    "digests": "digest",
}
VISIBLE = 0.05  # points: a smaller difference is shown as 0.0


class Answer(NamedTuple):
    """``headline`` says what to use, ``reason`` why and at what cost; plain text."""

    headline: str
    reason: str


def answer(task: Task, metric: str) -> Answer:
    """The recommended pooler on this dataset and encoder, the top group, and the cost."""
    pairs = without_controls(task.pairs)
    best = task.cheapest
    if not task.candidates:
        headline = f"Nothing to recommend on {task.name}: every pooler is a control."
        return Answer(headline, _highest(task, metric))
    if len(task.candidates) == 1:
        other = " that is not a control" if len(task.standings) > 1 else ""
        only = f"{task.candidates[0].pooler} is the only pooler{other}"
        return Answer(f"Nothing to compare on {task.name}: {only}.", _highest(task, metric))
    if best is None:
        whys = list(dict.fromkeys(c.why for c in pairs if c.why)) or ["no costs were recorded"]
        more = f" (and {plural(len(whys) - 1, 'other reason')})" if len(whys) > 1 else ""
        headline = f"No recommendation for {task.name} yet: {whys[0]}{more}."
        return Answer(headline, _highest(task, metric))
    judged = [c for c in pairs if c.word is not Word.NONE]
    names = {name for c in judged for name in (c.first, c.second)}
    unjudged = [s.pooler for s in task.candidates if s.pooler not in names]
    after = f"After {plural(len(judged[0].seeds), 'paired seed')}"
    cheapest = f"the cheapest in {'pooler time' if task.cost == 'pooler_ms' else 'parameters'}"
    if len(names) == len(task.top):
        reason = f"{after} no pooler is shown to beat another; {best.pooler} is {cheapest}."
    elif len(task.top) == 1:
        reason = f"{after} it beats every other pooler{' that has a verdict' * bool(unjudged)}."
    else:
        group = ", ".join(task.top)
        reason = f"{after} no pooler beats it; of the top group ({group}) it is {cheapest}."
    reason += f" Cost: {_cost(best)}{_gain(task, best)}.{_ahead(task, best)}"
    reason += f" No verdict on {', '.join(unjudged)}." if unjudged else ""
    exploratory = "Exploratory: " if judged[0].exploratory else ""
    return Answer(f"{exploratory}Use {best.pooler} on {task.name}.", reason)


def answers(findings: Findings) -> dict[str, str]:
    """Name of each task -> its answer in one line."""
    metric = findings.protocol.metric
    return {task.name: " ".join(answer(task, metric)) for task in findings.tasks}


def missing(findings: Findings) -> list[str]:
    """Runs without a result, one line for each status and pooler."""
    groups: dict[tuple[str, ...], list[RunRecord]] = {}
    for status in ("missing", "failed", "diverged", "damaged"):
        for r in findings.study.runs:
            if r.status == status:
                place = status, r.run.pooler, r.run.dataset, r.run.encoder
                groups.setdefault(place, []).append(r)
    return [
        f"{status}: {pooler} on {dataset} × {encoder}, seed{'s' * (len(group) > 1)} "
        f"{', '.join(str(r.run.seed) for r in group)}"
        + next((f": {r.error}" for r in group if r.error), "")
        for (status, pooler, dataset, encoder), group in groups.items()
    ]


def run_facts(findings: Findings) -> dict[str, str]:
    """How the study was run; where runs differ, each value with its number of runs."""
    protocol, frame = findings.protocol, runs_frame(findings)
    looks = ", ".join(map(str, protocol.looks))
    count = plural(len(protocol.looks), "planned look")
    facts = {
        "runs": ", ".join(f"{n} {status}" for status, n in frame["status"].value_counts().items()),
        "seeds": ", ".join(map(str, sorted(frame["seed"].unique()))),
        "metric": METRIC_NAMES[protocol.metric],
        "reference": protocol.reference,
        "margin": f"{protocol.margin:g} points",
        "alpha": f"{format_percent(protocol.alpha)}, over {count} at {looks} seeds",
    }
    if findings.selection:
        chosen = findings.selection
        facts["tuned"] = f"{', '.join(chosen.keys)}, {len(chosen.grid)} settings per pooler"
        for (dataset, encoder, pooler), values in chosen.selected.items():
            facts[f"selected for {pooler} on {dataset} × {encoder}"] = chosen.format(values)
    frame = frame[~frame["status"].isin(["missing", "damaged"])]
    if "seconds/wall" in frame:
        facts["training time"] = f"{frame['seconds/wall'].sum() / 60:,.1f} min in all"
    for column in frame:
        group, _, name = column.rpartition("/")
        if column in ("encoder tuning", "revision") or group in DESCRIBED:
            known = [f"{v:g}" if isinstance(v, float) else str(v) for v in frame[column].dropna()]
            counts = Counter(value[:DIGITS] if group == "digests" else value for value in known)
            counts["not recorded"] = len(frame) - len(known) + counts.pop("", 0)
            found = {value: n for value, n in counts.most_common() if n}
            each = [f"{value} ({plural(n, 'run')})" for value, n in found.items()]
            facts[f"{name} {DESCRIBED.get(group, '')}"] = ", ".join(each if each[1:] else found)
    return {name.strip(): value for name, value in facts.items() if value != "not recorded"}


def caveats(findings: Findings) -> list[str]:
    """What limits the conclusions, in whole sentences."""
    runs = [r for r in findings.study.runs if r.status not in ("missing", "damaged")]
    notes = dict.fromkeys(" ".join(note.split()) for r in runs for note in r.notes)
    text = render(
        "caveats.txt",
        findings=findings,
        varying=[] if findings.selection else varying_settings(runs),
        notes=list(notes),
        beaten_by_controls=_beaten_by_controls,
        improving=_improving,
        tunings={r.run.setting("encoder.tuning") for r in runs},
        looks=_looks(findings),
        cut=max((r.data.cut_texts for r in runs), default=0),
    )
    return [line for line in text.splitlines() if line]


def _highest(task: Task, metric: str) -> str:
    best = next((s for s in task.candidates if s.mean is not None), None)
    if best is not None:
        mean = f"{best.pooler}, {best.mean:.1f} % over {plural(len(best.scores), 'seed')}"
        text = f"Highest mean {METRIC_NAMES[metric]} so far: {mean}."
        return f"{text} This is descriptive, not tested."
    if any(s.finished for s in task.candidates):
        return "No mean is shown, since a seed has several runs."
    return "No run has finished."


def _cost(standing: Standing) -> str:
    text = f"{standing.trained_parameters:,} trained parameters (pooler + head)"
    if standing.pooler_ms is not None:
        text += f" and {standing.pooler_ms:.3g} ms per batch in the pooler"
    return text


def _gain(task: Task, best: Standing) -> str:
    if best.pooler == task.reference or all(s.pooler != task.reference for s in task.standings):
        return ""
    gain = task.pair(best.pooler, task.reference).delta
    return "" if gain is None else f", for {format_points(gain)} points against {task.reference}"


def _ahead(task: Task, best: Standing) -> str:
    """The highest mean of the top group, if it is visibly above that of the recommended pooler."""
    leader = task.standing(task.top[0])
    lead = (leader.mean or 0.0) - (best.mean or 0.0)
    if lead < VISIBLE:
        return ""
    c = task.pair(leader.pooler, best.pooler)
    level = format_p(c.level).removeprefix("= ")
    tested = "" if c.p_holm is None else f" (p {format_p(c.p_holm)} at level {level})"
    return (
        f" {leader.pooler} has the highest mean, {lead:.1f} points more with {_cost(leader)}; "
        f"this difference is not significant{tested}."
    )


def _looks(findings: Findings) -> str:
    planned = ", ".join(map(str, findings.protocol.looks))
    pairs = [c for task in findings.tasks for c in task.pairs if c.word is not Word.NONE]
    if not pairs:
        return f"Looks were planned at {planned} seeds; none has given a verdict."
    lines = []
    for seeds, c in sorted({len(c.seeds): c for c in pairs}.items()):
        level = format_p(c.level).removeprefix("= ")
        look = f"look {c.look} of {len(c.looks)} ({planned} seeds), at level {level}"
        if c.exploratory:
            look = f"not one of the planned looks ({planned}): exploratory"
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
        accuracies = [epoch.get("val/accuracy", 0.0) for epoch in record.history]
        allowed = record.run.setting("trainer.max_epochs")
        return len(accuracies) == allowed != 1 and accuracies[-1] > max(accuracies[:-1])

    return [
        s.pooler for s in task.candidates if 2 * sum(map(best_last, s.finished)) > len(s.finished)
    ]
