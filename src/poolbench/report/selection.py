"""Equal tuning: one variant per pooler, chosen on validation from one grid for everyone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from poolbench.core.errors import BadInput
from poolbench.runs.study import Study, StudyCell

Values = tuple[Any, ...]  # of the selected keys, in their order
Group = tuple[str, str, str]  # dataset, encoder, pooler
SCORE = "best/val_accuracy"


@dataclass(frozen=True, eq=False)
class Selection:
    """What was tried and what was taken.

    Attributes:
        keys: the configuration keys in which variants differ.
        grid: the values tried, the same for every pooler.
        scores: (dataset, encoder, pooler) -> values -> validation accuracy of each seed that was
            trained to its end.
        taken: (dataset, encoder, pooler) -> the values with the best mean.
        chosen: the cells to compare: of each pooler the taken variant, all its seeds.
    """

    keys: tuple[str, ...]
    grid: tuple[Values, ...]
    scores: Mapping[Group, Mapping[Values, tuple[float, ...]]]
    taken: Mapping[Group, Values]
    chosen: tuple[StudyCell, ...]

    @property
    def budget(self) -> int:
        """Settings tried for each pooler."""
        return len(self.grid)

    def written(self, values: Values) -> str:
        """optimizer.lr=0.001, as on a command line."""
        return " ".join(f"{key}={value}" for key, value in zip(self.keys, values, strict=True))


def select(study: Study, keys: Sequence[str]) -> Selection:
    """Pick one variant per pooler by mean validation accuracy; test figures are not looked at.

    A variant with a seed that failed or diverged counts as tried and is not taken, unless no
    variant of its pooler is whole.

    Raises:
        BadInput: nothing differs in these keys, or poolers were not tuned with the same grid.
    """
    keys = tuple(keys)
    groups = _grouped(study, keys)
    grid = _common_grid(groups, keys)
    scores = {
        group: {values: _scores(variants[values]) for values in grid}
        for group, variants in groups.items()
    }
    taken = {group: _best(groups[group], of_values) for group, of_values in scores.items()}
    chosen = [cell for group, values in taken.items() for cell in groups[group][values]]
    return Selection(keys, grid, scores, taken, tuple(chosen))


def _grouped(study: Study, keys: tuple[str, ...]) -> dict[Group, dict[Values, list[StudyCell]]]:
    unread = [c for c in study.cells if not c.record]
    if unread:
        first = f"{unread[0].pooler} seed {unread[0].seed} is {unread[0].status}"
        raise BadInput(
            f"cannot select on {', '.join(keys)}: budgets differ while cells have no record "
            f"({first}, {len(unread)} in all)"
        )
    groups: dict[Group, dict[Values, list[StudyCell]]] = {}
    for cell in study.cells:
        values = tuple(_plain(cell.setting(key)) for key in keys)
        variants = groups.setdefault((cell.dataset, cell.encoder, cell.pooler), {})
        variants.setdefault(values, []).append(cell)
    return groups


def _common_grid(
    groups: Mapping[Group, Mapping[Values, Sequence[StudyCell]]], keys: tuple[str, ...]
) -> tuple[Values, ...]:
    told = ", ".join(keys)
    tried = {group: _tried(variants) for group, variants in groups.items()}
    (first, expected), *others = tried.items()
    for group, found in others:
        if found != expected:
            raise BadInput(
                f"cannot select on {told}: budgets differ, {_named(first)} was tuned over "
                f"{_listed(expected)} and {_named(group)} over {_listed(found)}"
            )
    if len({values for values, _ in expected}) < 2:
        raise BadInput(f"cannot select on {told}: every cell has the same value")
    if len({seeds for _, seeds in expected}) > 1:
        raise BadInput(f"cannot select on {told}: its values were not tried with the same seeds")
    return tuple(sorted({values for values, _ in expected}, key=_ascending))


def _tried(variants: Mapping[Values, Sequence[StudyCell]]) -> set[tuple[Values, tuple[int, ...]]]:
    return {(values, tuple(sorted(c.seed for c in cells))) for values, cells in variants.items()}


def _scores(cells: Sequence[StudyCell]) -> tuple[float, ...]:
    found = [cell.metric(SCORE) for cell in sorted(cells, key=lambda c: c.seed) if cell.ok]
    return tuple(score for score in found if score is not None)


def _best(
    variants: Mapping[Values, Sequence[StudyCell]], scores: Mapping[Values, tuple[float, ...]]
) -> Values:
    whole = [v for v, found in scores.items() if found and len(found) == len(variants[v])]
    # max takes the first of equals: the smallest value of the grid.
    return max(whole or scores, key=lambda v: sum(scores[v]) / max(len(scores[v]), 1))


def _listed(tried: set[tuple[Values, tuple[int, ...]]]) -> str:
    values = sorted({values for values, _ in tried}, key=_ascending)
    seeds = sorted({seed for _, found in tried for seed in found})
    shown = ", ".join("/".join(map(str, v)) for v in values)
    return f"{shown} (seeds {', '.join(map(str, seeds))})"


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, int | float | str) else str(value)


def _ascending(values: Values) -> tuple[tuple[bool, float, str], ...]:
    numeric = [isinstance(v, int | float) and not isinstance(v, bool) for v in values]
    return tuple(
        (not n, float(v) if n else 0.0, str(v)) for n, v in zip(numeric, values, strict=True)
    )


def _named(group: Group) -> str:
    dataset, encoder, pooler = group
    return f"{pooler} on {dataset} x {encoder}"
