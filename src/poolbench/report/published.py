"""A study beside the published table that it repeats: ours, theirs, and whether they agree."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from poolbench.core.errors import BadInput
from poolbench.report.blocks import NOTHING, Entry, paragraphs, table
from poolbench.report.summary import Findings, Task
from poolbench.runs.finished import SCORES
from poolbench.runs.manifest import MANIFEST
from poolbench.runs.study import StudyCell, written_setting
from poolbench.stats.mean import ALPHA, Mean, mean_over_seeds
from poolbench.stats.verdict import METRIC_NAMES, counted, percent


@dataclass(frozen=True)
class PublishedMean:
    """A published mean and ours.

    Attributes:
        settings: in what its cells differ from others of the pooler, as a table shows it.
        theirs, their_interval: in percent; None where no interval was published.
        ours: None for the reason in ``why``.
        seeds: how many of ours.
        comparable: both are of the same data and encoder.
    """

    pooler: str
    settings: str
    theirs: float
    their_interval: tuple[float, float] | None
    ours: Mean | None
    seeds: int
    why: str
    comparable: bool

    @property
    def agreement(self) -> str:
        """Whether each mean lies inside the other's interval, where there is one."""
        if self.ours is None:
            return self.why
        if not self.comparable:
            return "not comparable"
        inside = self.ours.within(self.theirs)
        if inside is None:
            told = "one seed of ours, no interval"
        else:
            told = f"theirs {'inside' if inside else 'outside'} our interval"
        if self.their_interval is None:
            return f"{told}; none was published"
        low, high = self.their_interval
        return f"{told}; ours {'inside' if low <= self.ours.value <= high else 'outside'} theirs"


@dataclass(frozen=True)
class Repetition:
    """A published table as one task of a study repeats it; ``notes`` are whole sentences."""

    metric: str
    task: str
    means: tuple[PublishedMean, ...]
    notes: tuple[str, ...]


def repetitions(findings: Findings) -> list[Repetition]:
    """One for each dataset and encoder of a study that repeats a published table, else none.

    Raises:
        BadInput: what the study declared about the table cannot be read.
    """
    published = findings.study.comparison.get("published")
    if not published:
        return []
    try:
        return [_repeated(published, task, findings) for task in findings.tasks]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadInput(
            f"comparison.published in {findings.study.folder / MANIFEST} cannot be read "
            f"({error!r}): give it back, or set it to null"
        ) from error


def lines(repetition: Repetition) -> list[dict[str, str]]:
    """The table: column -> what stands there, one line for each published mean."""
    name = METRIC_NAMES[repetition.metric]
    varied = any(mean.settings for mean in repetition.means)
    return [
        {
            "pooler": mean.pooler,
            **({"settings": mean.settings} if varied else {}),
            f"our {name} (%)": f"{mean.ours.value:.2f}" if mean.ours else "",
            "theirs": f"{mean.theirs:.2f}",
            "difference": f"{mean.ours.value - mean.theirs:+.2f}" if mean.ours else "",
            "agreement": mean.agreement,
            f"our {percent(1 - ALPHA)} interval": _span(mean.ours.interval if mean.ours else None),
            "their interval": _span(mean.their_interval),
            "our seeds": str(mean.seeds or ""),
        }
        for mean in repetition.means
    ]


def published_section(found: Sequence[Repetition]) -> str:
    """The tables as HTML; empty where there is none."""
    kinds = {"pooler": "", "settings": "code", "agreement": "why"}
    told = []
    for repetition in found:
        shown = lines(repetition)
        rows = [
            [
                Entry(escape(words) or NOTHING, words, kinds.get(name, "number"))
                for name, words in line.items()
            ]
            for line in shown
        ]
        caption = f"{repetition.task}. The difference is ours minus theirs, in points."
        told.append(table(f"Published, {repetition.task}", list(shown[0]), rows, caption))
        told.append(paragraphs(repetition.notes))
    return "".join(told)


def _repeated(published: Mapping[str, Any], task: Task, findings: Findings) -> Repetition:
    metric = published["metric"]
    if not published["values"]:
        raise ValueError("no values")
    cells = [cell for standing in task.standings for cell in standing.cells]
    why_not = _incomparable(published, task, cells)
    return Repetition(
        metric=metric,
        task=task.name,
        means=tuple(_mean(v, metric, cells, not why_not) for v in published["values"]),
        notes=(*why_not, *_notes(published)),
    )


def _mean(
    value: Mapping[str, Any], metric: str, cells: Sequence[StudyCell], comparable: bool
) -> PublishedMean:
    settings = value.get("settings") or {}
    same = [
        cell
        for cell in cells
        if cell.pooler == value["pooler"]
        and all(cell.setting(key) == wanted for key, wanted in settings.items())
    ]
    kept = [(c, c.predictions) for c in same if c.predictions and len(c.predictions.labels) > 1]
    why, ours = "no result yet", None
    if len({cell.seed for cell, _ in kept}) < len(kept):
        why = "several of ours at one seed: select one variant"
    elif kept:
        scores = [SCORES[metric](p.labels, p.predictions) for _, p in kept]
        ours = mean_over_seeds([cell.metric(f"test/{metric}") for cell, _ in kept], scores)
    low, high = value.get("low"), value.get("high")
    return PublishedMean(
        pooler=value["pooler"],
        settings=", ".join(written_setting(k, v) for k, v in settings.items()),
        theirs=float(value["value"]),
        their_interval=None if low is None or high is None else (float(low), float(high)),
        ours=ours,
        seeds=len(kept),
        why=why,
        comparable=comparable,
    )


def _incomparable(
    published: Mapping[str, Any], task: Task, cells: Sequence[StudyCell]
) -> list[str]:
    told = []
    where = f"{published['dataset']} x {published['encoder']}"
    if where != task.name:
        told.append(f"Ours is {task.name}, theirs {where}: their difference says nothing.")
    if any(cell.setting("dataset.max_examples") for cell in cells):
        told.append("Ours saw a part of the data only (dataset.max_examples).")
    return told


def _notes(published: Mapping[str, Any]) -> Iterator[str]:
    seeds = published.get("seeds")
    theirs = counted(seeds, "seed") if seeds else "an unknown number of seeds"
    yield f"Source: {published['source']}, over {theirs}."
    yield from (f"Where we differ: {told}" for told in published.get("deviations") or ())


def _span(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f"{interval[0]:.1f} to {interval[1]:.1f}"
