"""Equal tuning: one variant per pooler, selected on validation from one grid for all poolers."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from poolbench.core.errors import UserError
from poolbench.runs.record import RunRecord
from poolbench.runs.study import Study

Values = tuple[Any, ...]  # of the selected keys, in their order
Group = tuple[str, str, str]  # dataset, encoder, pooler


@dataclass(frozen=True, eq=False)
class Selection:
    """What was tried and what was selected.

    Attributes:
        keys: the dotted settings in which variants differ.
        grid: the values tried, the same for every pooler.
        scores: group -> values -> validation accuracy of each finished seed.
        selected: group -> the values with the best mean.
        chosen: the runs to compare: all seeds of the selected variant of each pooler.
    """

    keys: tuple[str, ...]
    grid: tuple[Values, ...]
    scores: Mapping[Group, Mapping[Values, list[float]]]
    selected: Mapping[Group, Values]
    chosen: list[RunRecord]

    def format(self, values: Values) -> str:
        """Values as on a command line: optimizer.lr=0.001."""
        return " ".join(f"{key}={value}" for key, value in zip(self.keys, values, strict=True))


def select(study: Study, keys: Sequence[str]) -> Selection:
    """Select one variant per pooler by mean validation accuracy; test metrics are not read.

    A variant with a failed or diverged seed counts as tried and is not selected, unless no variant
    of its pooler is complete.

    Raises:
        UserError: nothing differs in these keys, or poolers were not tuned with the same grid.
    """
    prefix = f"cannot select on {', '.join(keys)}"
    groups: dict[Group, dict[Values, list[RunRecord]]] = defaultdict(lambda: defaultdict(list))
    tried: dict[Group, set[tuple[Values, int]]] = defaultdict(set)
    for record in study.runs:
        run = record.run
        if record.status in ("missing", "damaged"):
            raise UserError(f"{prefix}: budgets differ, {run.label} is {record.status}")
        found = (run.setting(key) for key in keys)
        values = tuple(str(v) if isinstance(v, list | dict) else v for v in found)
        group = run.dataset, run.encoder, run.pooler
        groups[group][values].append(record)
        tried[group].add((values, run.seed))
    first, expected = next(iter(tried.items()))
    for group, budget in tried.items():
        if budget != expected:
            differ = f"{_describe(first, expected)} and {_describe(group, budget)}"
            raise UserError(f"{prefix}: budgets differ, {differ}")
    grid = sorted({values for values, _ in expected}, key=_order)
    if len(grid) < 2:
        raise UserError(f"{prefix}: every run has the same value")
    if len(expected) < len(grid) * len({seed for _, seed in expected}):
        raise UserError(f"{prefix}: its values were not tried with the same seeds")
    score = f"best/val_{study.protocol.metric}"
    if not all(record.trained for record in study.finished):
        raise UserError(f"{prefix}: runs that train nothing have no validation")
    lacking = [r.run.label for r in study.finished if score not in r.metrics]
    if lacking:
        raise UserError(f"{prefix}: {lacking[0]} has no {score}: add rerun=stale to its command")
    scores = {
        group: {v: [r.metrics[score] for r in variants[v] if r.ok] for v in grid}
        for group, variants in groups.items()
    }
    selected = {}
    for group, of in scores.items():
        complete = [v for v in grid if of[v] and len(of[v]) == len(groups[group][v])]
        # max keeps the first of equal means: the smallest value of the grid.
        selected[group] = max(complete or grid, key=lambda v: fmean(of[v] or [0.0]))
    chosen = [record for group, values in selected.items() for record in groups[group][values]]
    return Selection(tuple(keys), tuple(grid), scores, selected, chosen)


def _describe(group: Group, tried: Iterable[tuple[Values, int]]) -> str:
    dataset, encoder, pooler = group
    values = ", ".join("/".join(map(str, v)) for v in sorted({v for v, _ in tried}, key=_order))
    seeds = ", ".join(map(str, sorted({seed for _, seed in tried})))
    return f"{pooler} on {dataset} × {encoder} was tuned over {values} (seeds {seeds})"


def _order(values: Values) -> list[tuple[bool, float, str]]:
    """Numbers ascending, then everything else by its text."""
    numeric = [isinstance(v, int | float) and not isinstance(v, bool) for v in values]
    return [(not n, float(v) if n else 0.0, str(v)) for n, v in zip(numeric, values, strict=True)]
