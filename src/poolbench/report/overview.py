"""The overview of a study and of a leaderboard: poolers by tasks, best first."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TypeVar

from scipy.stats import rankdata

from poolbench.report.cells import Cell, Table, frame_of
from poolbench.report.controls import control, marked
from poolbench.report.summary import Findings, Task

T = TypeVar("T")


@dataclass(frozen=True)
class Score:
    """One pooler on one task.

    Attributes:
        values: the metric in percent of each seed.
        notes: what distinguishes its row from others of the same pooler.
        rank: among the poolers of its task, equal means sharing the mean of their ranks; None for
            controls and stale rows.
        best: whether it cannot be ruled out as best.
        href: where the page says more.
    """

    pooler: str
    task: str
    values: Sequence[float]
    notes: tuple[str, ...] = ()
    rank: float | None = None
    best: bool = False
    href: str = ""

    @property
    def cell(self) -> Cell:
        """Mean and standard deviation over seeds, and the rank."""
        text = f"{'★ ' * self.best}{(mean := fmean(self.values)):.1f}"
        text += f" ± {stdev(self.values):.1f}" if len(self.values) > 1 else ""
        note = f"rank {self.rank:g}" if self.rank else ""
        return Cell(text, mean, f"number {'better' * self.best}", note, href=self.href)


def ranks(values: Mapping[T, float]) -> dict[T, float]:
    """The rank of each key by its value, 1 for the highest."""
    return dict(zip(values, rankdata([-v for v in values.values()]).tolist(), strict=True))


def scores_of(task: Task, href: str = "") -> list[Score]:
    """The scores of a task of a study, highest mean first."""
    place = ranks({s.pooler: fmean(s.scores.values()) for s in task.candidates if s.scores})
    group = task.best.group if task.best else ()
    return [
        Score(
            s.pooler,
            task.name,
            list(s.scores.values()),
            rank=place.get(s.pooler),
            best=s.pooler in group,
            href=href,
        )
        for s in task.standings
        if s.scores
    ]


def overview(findings: Findings) -> Table:
    """All tasks of a study; a column links to its task."""
    tasks = enumerate(findings.tasks)
    return matrix([score for i, task in tasks for score in scores_of(task, f"#task{i}")])


def matrix(scores: Iterable[Score]) -> Table:
    """One row for each pooler and its notes, one column for each task, best mean rank first."""
    rows: dict[tuple[str, tuple[str, ...]], dict[str, Score]] = defaultdict(dict)
    tasks: dict[str, None] = {}
    for score in scores:
        rows[score.pooler, score.notes].setdefault(score.task, score)
        tasks[score.task] = None

    def order(key: tuple[str, tuple[str, ...]]) -> tuple[bool, int, float]:
        places = [score.rank for score in rows[key].values() if score.rank]
        return bool(control(key[0])), -len(places), fmean(places or [0])

    found = []
    for pooler, notes in sorted(rows, key=order):
        of = rows[pooler, notes]
        places = [score.rank for score in of.values() if score.rank]
        kind = "tied" if any(note.startswith("stale") for note in notes) else ""
        found.append(
            {
                "pooler": Cell(marked(pooler), pooler, kind, ", ".join(notes)),
                "★": sum(score.best for score in of.values()),
                # Ranks of different tasks cannot be compared.
                "mean rank": fmean(places) if len(places) == len(tasks) else None,
            }
            | {task: of[task].cell if task in of else None for task in tasks}
        )
    return Table("Overview", frame_of(found), {"mean rank": ".1f"}, "overview")
