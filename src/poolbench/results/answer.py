"""The answer in one or two sentences, and what a reader must know besides."""

from dataclasses import dataclass

from poolbench.results.findings import Findings, Standing, Task
from poolbench.results.study import StudyCell, varying
from poolbench.results.verdict import METRIC_NAMES, Comparison, Word, counted, points, written_p


@dataclass(frozen=True)
class Answer:
    """``headline`` says what to use, ``reason`` why and at what price; both plain text."""

    headline: str
    reason: str


def answer(task: Task, metric: str) -> Answer:
    """Which pooler to use on this dataset and encoder, the top group, and the price."""
    best = task.cheapest
    if len(task.standings) == 1:
        (only,) = task.standings
        return Answer(
            f"Nothing to compare on {task.name}: {only.pooler} is the only pooler.",
            _highest(task, metric),
        )
    if best is None:
        whys = list(dict.fromkeys(c.why for c in task.pairs if c.why))
        more = f" (and {counted(len(whys) - 1, 'other reason')})" if len(whys) > 1 else ""
        why = f"{whys[0]}{more}" if whys else "no costs were recorded"
        return Answer(f"No recommendation for {task.name} yet: {why}.", _highest(task, metric))
    judged = {name for c in task.pairs if c.word is not Word.NONE for name in (c.first, c.second)}
    unjudged = [s.pooler for s in task.standings if s.pooler not in judged]
    looked = next(c for c in task.pairs if c.word is not Word.NONE)
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


def missing(findings: Findings) -> list[str]:
    """Cells without a result, one line for each kind and pooler."""
    told = []
    for status in ("missing", "failed", "diverged", "damaged"):
        cells = [cell for cell in findings.study.cells if cell.status == status]
        groups: dict[tuple[str, str, str], list[StudyCell]] = {}
        for cell in cells:
            groups.setdefault((cell.pooler, cell.dataset, cell.encoder), []).append(cell)
        for (pooler, dataset, encoder), group in groups.items():
            seeds = ", ".join(str(cell.seed) for cell in group)
            plural = "s" if len(group) > 1 else ""
            error = next((f": {cell.error}" for cell in group if cell.error), "")
            told.append(f"{status}: {pooler} on {dataset} x {encoder}, seed{plural} {seeds}{error}")
    return told


def caveats(findings: Findings) -> list[str]:
    """What limits the conclusions, in whole sentences."""
    study, protocol = findings.study, findings.protocol
    cells = [cell for cell in study.cells if cell.record]
    told = list(findings.notes)
    keys = [] if findings.selection else varying(cells)
    if keys:
        told.append(
            f"Cells of one pooler and seed differ in {', '.join(keys)}: choose among them on "
            f"validation with --select {' '.join(keys)}."
        )
    told += list(dict.fromkeys(c for cell in cells for c in cell.record.get("caveats") or ()))
    tunings = {str(cell.setting("encoder.tuning")) for cell in cells}
    if "frozen" in tunings:
        told.append(
            "The encoder was frozen: the ranking is of poolers on fixed token states. Where the "
            "encoder learns too (encoder.tuning=full), it may be another one."
        )
    if "full" in tunings:
        told.append("Encoder, pooler and head were trained together (encoder.tuning=full).")
    told.append(_looks(findings))
    if findings.selection is None:
        told.append(
            "All poolers were trained with the same settings, which may suit some better than "
            "others. For equal tuning sweep a key and use --select."
        )
    told.append(
        "Training speed (examples/s) is that of the whole training loop and indicative: timings "
        "of different runs on a shared machine are not comparable."
    )
    cut = {int((cell.record.get("data") or {}).get("cut_texts") or 0) for cell in cells}
    if max(cut, default=0):
        told.append(f"Up to {max(cut):,} texts were longer than encoder.max_length and were cut.")
    if study.unplanned:
        told.append(
            f"{counted(len(study.unplanned), 'record')} here belong to no declared cell "
            f"(first: {study.unplanned[0]}); they are part of this report."
        )
    if protocol.metric == "f1_macro":
        told.append(
            "Differences in macro-F1 are of jackknife pseudo-values, which may differ from the "
            "difference of the shown means in the last digit."
        )
    return told


def price(standing: Standing) -> str:
    """What is trained besides the encoder, and the pooler's own time where it was measured."""
    parameters = standing.trained_parameters
    count = "an unknown number of" if parameters is None else f"{parameters:,}"
    told = f"{count} parameters with its head"
    if standing.pooler_ms is not None:
        told += f" and {standing.pooler_ms:.3g} ms in the pooler"
    return told


def _looks(findings: Findings) -> str:
    judged = [c for task in findings.tasks for c in task.pairs if c.word is not Word.NONE]
    planned = ", ".join(map(str, findings.protocol.looks))
    if not judged:
        return f"Looks were planned at {planned} seeds; none has been taken with a verdict."
    told = []
    for seeds in sorted({len(c.seeds) for c in judged}):
        c = next(c for c in judged if len(c.seeds) == seeds)
        if c.exploratory:
            told.append(f"{seeds} seeds are not among the planned looks ({planned}): exploratory")
        else:
            look = f"look {c.looks.index(seeds) + 1} of {len(c.looks)} ({planned} seeds)"
            told.append(f"tested at {seeds} seeds, {look}, at level {_level(c)}")
    told[0] = told[0][0].upper() + told[0][1:]
    return "; ".join(told) + "."


def _level(c: Comparison) -> str:
    return written_p(c.level).removeprefix("= ")


def _highest(task: Task, metric: str) -> str:
    best = task.standings[0]
    if best.mean is None:
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
    """The highest mean of the top group, where it is another pooler than the recommended one."""
    leader = task.standing(task.top[0])
    if leader is best or leader.mean is None or best.mean is None:
        return ""
    c = task.pair(leader.pooler, best.pooler)
    tested = "" if c.p_holm is None else f" (p {written_p(c.p_holm)} at level {_level(c)})"
    return (
        f" {leader.pooler} has the highest mean, {leader.mean - best.mean:.1f} points more for "
        f"{price(leader)}; that is not shown to be more than luck{tested}."
    )
