"""The answer of a report in sentences."""

from collections import Counter
from math import ceil
from typing import NamedTuple

from poolbench.report.controls import without_controls
from poolbench.report.layers import lowest_layer
from poolbench.report.standing import Standing
from poolbench.report.summary import Findings, Task
from poolbench.runs.protocol import METRIC_NAMES, scaled_value
from poolbench.runs.remarks import remarks
from poolbench.stats.best import Best
from poolbench.stats.power import needed, smallest_difference
from poolbench.stats.verdict import (
    Comparison,
    format_needs,
    format_percent,
    format_points,
    plural,
)

MOST_NAMED = 5  # poolers in a sentence about all tasks
VISIBLE = 0.05  # points: a smaller difference is shown as 0.0


class Answer(NamedTuple):
    """``headline`` says what to use or what a choice may lose, ``reason`` why; plain text."""

    headline: str
    reason: str


def answer(task: Task, metric: str) -> Answer:
    """The pooler to use on this dataset and encoder, or the bound on what it may lose."""
    pairs = without_controls(task.pairs)
    best = task.best
    if not task.candidates:
        headline = f"Nothing to recommend on {task.name}: every pooler is a control."
        return Answer(headline, _highest(task, metric))
    if len(task.candidates) == 1:
        other = " that is not a control" if len(task.standings) > 1 else ""
        only = f"{task.candidates[0].pooler} is the only pooler{other}"
        return Answer(f"Nothing to compare on {task.name}: {only}.", _highest(task, metric))
    if best is None:
        run = {s.pooler for s in task.candidates if s.finished}
        known = [c for c in pairs if {c.first, c.second} <= run] or pairs
        whys = list(dict.fromkeys(c.why for c in known if c.why))
        more = f" (and {plural(len(whys) - 1, 'other reason')})" if len(whys) > 1 else ""
        headline = f"No recommendation for {task.name} yet: {whys[0]}{more}."
        return Answer(headline, _highest(task, metric))
    opening = "Decided" if best.decided else "Not decided"
    opening = f"So far, {opening.lower()}" if task.missing else opening
    chosen = task.cheapest[0]
    c = task.pair(best.rival[chosen.pooler], chosen.pooler)
    opening += f"{' (exploratory)' * c.exploratory} on {task.name}: "
    if not best.useful:
        than = " and than ".join(f"the {n}" if n != "chance" else n for n in task.baselines(metric))
        shown = f"no pooler is shown to be better than {than}"
        return Answer(f"{opening}{shown}.", f"{_highest(task, metric)} {_caveat(task)}".strip())
    bound = ceil(round(10 * best.loss[chosen.pooler], 6)) / 10
    loss = f"{abs(bound):.1f} points of {METRIC_NAMES[metric]}"
    size = c.size
    family = plural(best.family, "comparison")
    evidence = f"({format_percent(1 - best.level)} confidence over {family}; {size})"
    if best.decided:
        headline = f"{opening}use {chosen.pooler}."
        if task.missing:
            missing = f"{plural(task.missing, 'declared run')} missing"
            headline = f"So far, the runs on {task.name} favour {chosen.pooler}; {missing}."
        other = "No other pooler is better" if bound > 0 else "Every other pooler is worse"
        reason = f"{other} by {loss} or more {evidence}."
    else:
        headline = f"{opening}{chosen.pooler} may cost up to {loss}."
        what = "mean" if task.trained else METRIC_NAMES[metric]
        reason = (
            f"The {what} of {chosen.pooler} is within the {best.margin:g}-point margin of the "
            f"highest, but {c.first} may be up to {loss} better {evidence}."
        )
    unjudged = ", ".join(s.pooler for s in task.candidates if s.pooler not in best.loss)
    cost = f"Cost: {_cost(task, chosen)}{_gain(task, chosen)}." if _cost(task, chosen) else ""
    parts = [reason, layers(task), _choice(task), best_group(task), _advice(best, c), cost]
    parts.append(_ahead(task, chosen))
    parts += [f"No verdict on {unjudged}." if unjudged else "", _caveat(task)]
    return Answer(headline, " ".join(filter(None, parts)))


def overall(findings: Findings) -> Answer:
    """On how many tasks a pooler is recommended, and which poolers may be best on most tasks."""
    tasks = findings.tasks
    judged = [task.best for task in tasks if task.best]
    ended = [t.best for t in tasks if t.best and not t.missing]
    decided = sum(best.decided and bool(best.useful) for best in ended)
    headline = f"Decided on {decided} of {len(tasks)} tasks."
    counts = Counter(name for best in judged for name in best.group).most_common()
    if not counts:
        whys = {task.why for task in tasks}
        why = f": {whys.pop()}" if len(whys) == 1 and None not in whys else ""
        return Answer(headline, f"There is no verdict on any task{why}.")
    most = [name for name, n in counts if n == counts[0][1]]
    more = f" and {len(most) - MOST_NAMED} more" if len(most) > MOST_NAMED else ""
    names = ", ".join(most[:MOST_NAMED]) + more
    group = f"Cannot be ruled out as best on {counts[0][1]} of {len(tasks)} tasks: {names}."
    return Answer(headline, group)


def layers(task: Task) -> str:
    """Where the encoder can stop; empty if one layer was pooled."""
    if task.best is None or not task.layered:
        return ""
    judged = [task.standing(name) for name in task.best.loss]
    means = {s.pooler: s.mean or 0.0 for s in judged}
    speeds = {s.pooler: s.relative_throughput for s in judged if s.relative_throughput}
    return lowest_layer(task.best, means, speeds)


def best_group(task: Task) -> str:
    """The poolers that may be best, in words."""
    if task.best is None:
        return "There is no verdict on any pair."
    if len(task.best.group) == len(task.best.loss):
        return "No pooler can be ruled out as best."
    names = [s.pooler for s in task.standings if s.pooler in task.best.group]
    return f"Cannot be ruled out as best: {', '.join(names)}."


def answers(findings: Findings) -> dict[str, str]:
    """Name of each task -> its answer in one line."""
    metric = findings.protocol.metric
    return {task.name: " ".join(answer(task, metric)) for task in findings.tasks}


def _highest(task: Task, metric: str) -> str:
    best = next((s for s in task.candidates if s.mean is not None), None)
    if best is not None and best.mean is not None:
        over = f"over {plural(len(best.scores), 'seed')}" if task.trained else "without training"
        mean = f"{best.pooler}, {scaled_value(best.mean, metric)} {over}"
        text = f"Highest mean {METRIC_NAMES[metric]} so far: {mean}."
        return f"{text} This is descriptive, not tested."
    if any(s.finished for s in task.candidates):
        return "No mean is shown because a seed has several runs."
    return "No run has finished."


def _cost(task: Task, standing: Standing) -> str:
    parts = []
    if task.trained:
        parts.append(f"{standing.trained_parameters:,} trained parameters (pooler + head)")
    if standing.pooler_ms is not None:
        parts.append(f"{standing.pooler_ms:.3g} ms per batch in the pooler")
    if task.layered and standing.relative_throughput is not None:
        speed = f"{standing.relative_throughput:.2f} × the throughput"
        parts.append(f"{speed} of mean on the last layer")
    return " and ".join(parts)


def _gain(task: Task, best: Standing) -> str:
    if best.pooler == task.reference or all(s.pooler != task.reference for s in task.standings):
        return ""
    gain = task.pair(best.pooler, task.reference).delta
    return "" if gain is None else f", for {format_points(gain)} points against {task.reference}"


def _choice(task: Task) -> str:
    """Why this pooler and not another one that is as good."""
    best, cheap = task.best, [s.pooler for s in task.cheapest]
    if best is None or len(best.eligible) == 1:
        return ""
    others = ", ".join(name for name in best.eligible if name not in cheap)
    what = task.cost.replace("_ms", " time").replace("_", " ")
    if not cheap[1:]:
        return f"It costs less ({what}) than the other choices within the margin: {others}."
    less = f", less than {others}" if others else ""
    return f"{', '.join(cheap)} cost the same ({what}){less}; it has the highest mean of them."


def _advice(best: Best, c: Comparison) -> str:
    """What these runs can find, and what would decide between two poolers."""
    level = best.level / best.family
    assert c.estimate is not None
    found = 100 * smallest_difference(c.estimate, len(c.seeds), c.examples, level, c.power)
    power = f"with {format_percent(c.power)} power"
    finds = f"These runs find a difference of {found:.1f} points or more {power}."
    if best.decided:
        return finds
    # A bound below the margin needs the power of a one-sided test against the margin.
    needs = needed(c.estimate, best.margin / 100, 2 * level, c.power)
    wanted = format_needs(needs, len(c.seeds), c.examples, c.unit)
    return f"{finds} If {c.second} and {c.first} are equal, {wanted} would decide, {power}."


def _ahead(task: Task, chosen: Standing) -> str:
    """The highest mean, if it is visibly above that of the chosen pooler."""
    leader = next(s for s in task.candidates if task.best and s.pooler in task.best.loss)
    lead = (leader.mean or 0.0) - (chosen.mean or 0.0)
    if lead < VISIBLE:
        return ""
    cost = f", with {_cost(task, leader)}" if _cost(task, leader) else ""
    return f"{leader.pooler} has the highest mean, {lead:.1f} points more{cost}."


def _caveat(task: Task) -> str:
    """What a reader must know of the encoder, which may favour a pooler, and of the texts."""
    notes = (note for s in task.standings for r in s.finished for note in remarks(r))
    return " ".join(dict.fromkeys(f"Note: {' '.join(note.split())}" for note in notes))
