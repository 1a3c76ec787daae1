"""The answer in one or two sentences."""

from dataclasses import dataclass

from poolbench.report.summary import Findings, Standing, Task, without_controls
from poolbench.stats.verdict import METRIC_NAMES, Comparison, Word, counted, points, written_p

SHOWN = 0.05  # points: less reads as 0.0


@dataclass(frozen=True)
class Answer:
    """``headline`` says what to use, ``reason`` why and at what price; both plain text."""

    headline: str
    reason: str


def answer(task: Task, metric: str) -> Answer:
    """Which pooler to use on this dataset and encoder, the top group, and the price."""
    if len(task.candidates) < 2:
        return Answer(_alone(task), _highest(task, metric))
    pairs = without_controls(task.pairs)
    best = task.cheapest
    if best is None:
        whys = list(dict.fromkeys(c.why for c in pairs if c.why))
        more = f" (and {counted(len(whys) - 1, 'other reason')})" if len(whys) > 1 else ""
        why = f"{whys[0]}{more}" if whys else "no costs were recorded"
        return Answer(f"No recommendation for {task.name} yet: {why}.", _highest(task, metric))
    judged = {name for c in pairs if c.word is not Word.NONE for name in (c.first, c.second)}
    unjudged = [s.pooler for s in task.candidates if s.pooler not in judged]
    looked = next(c for c in pairs if c.word is not Word.NONE)
    seeds = counted(len(looked.seeds), "paired seed")
    exploratory = "Exploratory: " if looked.exploratory else ""
    if len(judged) == len(task.top):
        told = (
            f"After {seeds} no pooler is shown to beat another, "
            f"and {best.pooler} is {_cheapness(task)}."
        )
    elif len(task.top) == 1:
        others = "every other pooler" + " that has a verdict" * bool(unjudged)
        told = f"After {seeds} it beats {others}."
    else:
        told = (
            f"After {seeds} nothing beats it, and it is {_cheapness(task)} of the top group "
            f"({', '.join(task.top)})."
        )
    left_out = f" No verdict on {', '.join(unjudged)}." if unjudged else ""
    reason = f"{told} {_price(task, best)}{_ahead(task, best)}{left_out}"
    return Answer(f"{exploratory}Use {best.pooler} on {task.name}.", reason)


def overall(findings: Findings) -> list[str]:
    """What holds over several datasets and encoders, one sentence for each pooler."""
    return [across.sentence for across in findings.across]


def price(standing: Standing) -> str:
    """What is trained besides the encoder, and the pooler's own time where it was measured."""
    parameters = standing.trained_parameters
    count = "an unknown number of" if parameters is None else f"{parameters:,}"
    told = f"{count} parameters with its head"
    if standing.pooler_ms is not None:
        told += f" and {standing.pooler_ms:.3g} ms a batch in the pooler"
    return told


def _alone(task: Task) -> str:
    if not task.candidates:
        return f"Nothing to recommend on {task.name}: every pooler here is a control."
    only = task.candidates[0].pooler
    beside = " that is no control" if len(task.standings) > 1 else ""
    return f"Nothing to compare on {task.name}: {only} is the only pooler{beside}."


def _highest(task: Task, metric: str) -> str:
    best = next((s for s in task.candidates if s.mean is not None), None)
    if best is None:
        several = any(s.finished for s in task.candidates)
        if several:
            return "No mean is shown, since there are several runs at one seed."
        return "No cell has finished."
    seeds = counted(len(best.scores), "seed")
    return (
        f"Highest mean {METRIC_NAMES[metric]} so far: {best.pooler}, {best.mean:.1f} % over "
        f"{seeds}. That is a description, not a claim."
    )


def _cheapness(task: Task) -> str:
    measured = "in pooler time" if task.cost == "pooler_ms" else "in parameters"
    return f"the cheapest {measured}"


def _price(task: Task, best: Standing) -> str:
    told = f"Its price: {price(best)}"
    reference = task.against[0].second if task.against else best.pooler
    if reference == best.pooler or not any(s.pooler == reference for s in task.standings):
        return f"{told}."
    gain = task.pair(best.pooler, reference).delta
    return f"{told}." if gain is None else f"{told}, for {points(gain)} points against {reference}."


def _ahead(task: Task, best: Standing) -> str:
    """The highest mean of the top group, where it is visibly above the recommended pooler's."""
    leader = task.standing(task.top[0])
    if leader is best or leader.mean is None or best.mean is None:
        return ""
    if leader.mean - best.mean < SHOWN:
        return ""
    c = task.pair(leader.pooler, best.pooler)
    tested = "" if c.p_holm is None else f" (p {written_p(c.p_holm)} at level {written_level(c)})"
    return (
        f" {leader.pooler} has the highest mean, {leader.mean - best.mean:.1f} points more for "
        f"{price(leader)}; that is not shown to be more than luck{tested}."
    )


def written_level(c: Comparison) -> str:
    """The level a verdict was made at: .017."""
    return written_p(c.level).removeprefix("= ")
