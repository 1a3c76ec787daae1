"""Cut splits: stratified by class, with equal texts and whole groups on one side."""

import logging
from collections.abc import Hashable, Iterable, Mapping
from typing import Annotated, Any

import datasets
import numpy as np
from pydantic import Field, PositiveInt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from poolbench.core.errors import UserError

Size = PositiveInt | Annotated[float, Field(gt=0, lt=1)]  # a number, or a fraction, of examples
Array = np.ndarray[Any, np.dtype[Any]]
log = logging.getLogger(__name__)
VALIDATION = 0.1  # of the examples that are not in the test set of a fold


def complete(
    splits: Mapping[str, datasets.Dataset],
    validation_size: Size,
    test_size: Size,
    seed: int,
    max_examples: int | None = None,
) -> datasets.DatasetDict:
    """``splits`` with validation and test, cut from train if they are missing.

    Args:
        seed: of the cut, a property of the dataset and not of a run.
        max_examples: keep at most this many examples of each split, drawn with the same seed.
    """
    parts = dict(splits)
    train = parts["train"]
    total = len(train)
    for split, size in (("test", test_size), ("validation", validation_size)):
        if split in parts:
            continue
        wanted = round(size * total) if size < 1 else int(size)
        if not 0 < wanted < len(train):
            raise UserError(
                f"dataset.{split}_size={size} asks for {wanted} of {len(train)} examples"
            )
        cut = _cut(train, wanted, seed)
        _check_shares(train, cut, wanted, split)
        parts[split], train = _rows(train, cut), _rows(train, ~cut)
    parts["train"] = train
    for split, table in parts.items():
        if max_examples is not None and len(table) > max_examples:
            parts[split] = _rows(table, _cut(table, max_examples, seed, whole=False))
    return datasets.DatasetDict({name: parts[name] for name in ("train", "validation", "test")})


def folds(table: datasets.Dataset, k: int, seed: int) -> list[list[int]]:
    """Row numbers of ``k`` test sets: each row is in one, equal texts and groups in the same.

    Raises:
        UserError: a class cannot be in the training data and the test set of every fold.
    """
    _, counts, unit = _units(table)
    targets = np.tile(counts.sum(0) / k, (k, 1))
    fold = _place(counts, targets, np.random.default_rng(seed))[unit]
    for i in range(k):
        _check_shares(table, fold == i, len(table) / k, f"fold {i}")
    return [np.flatnonzero(fold == i).tolist() for i in range(k)]


def cross_validation(table: datasets.Dataset, k: int, seed: int) -> list[dict[str, Array]]:
    """Row numbers of train, validation and test of each of ``k`` folds, ascending.

    Raises:
        UserError: a class cannot be in all of them.
    """
    found = []
    for i, test in enumerate(folds(table, k, seed)):
        rest = np.setdiff1d(np.arange(len(table)), test)
        others = table.select(rest)
        wanted = round(VALIDATION * len(rest))
        cut = _cut(others, wanted, seed)
        _check_shares(others, cut, wanted, f"the validation part of fold {i}")
        found.append({"train": rest[~cut], "validation": rest[cut], "test": np.array(test)})
    return found


def _cut(table: datasets.Dataset, wanted: int, seed: int, whole: bool = True) -> Array:
    """Whether each row is cut: about ``wanted`` rows are, class by class.

    Large units and those of several classes are placed first. Small ones then fill each class.

    Args:
        whole: keep units together; if not, ``wanted`` is exact.
    """
    labels, counts, unit = _units(table, whole)
    sizes = counts.sum(1)
    generator = np.random.default_rng(seed)
    targets = wanted / len(labels) * counts.sum(0)
    small = max(1, wanted // 100)
    fixed = whole & ((sizes > small) | ((counts > 0).sum(1) > 1))
    chosen = np.zeros(len(sizes), dtype=bool)
    both = np.stack([counts.sum(0) - targets, targets])
    chosen[fixed] = _place(counts[fixed], both, generator) == 1
    missing = 0.0
    cut = chosen[unit]
    rows = np.split(np.argsort(unit, kind="stable"), np.cumsum(sizes).astype(int)[:-1])
    first = labels[[members[0] for members in rows]] if len(rows) else labels
    for label in np.unique(first):
        missing += targets[label] - counts[chosen, label].sum()
        members = np.flatnonzero(first == label)
        order = members[generator.permutation(len(members))]
        for i in order[: len(order) - whole]:  # train keeps an example of every class
            if missing < 0.5:
                break
            if not fixed[i]:
                taken = rows[i] if whole else rows[i][: round(missing)]
                cut[taken] = True
                missing -= len(taken)
        # The rounding error of one class is carried to the next, so the total is exact; what its
        # large units make impossible is not: another class would pay for it.
        if counts[fixed, label].any():
            missing = min(max(missing, -small), 1)
    return cut


def _units(table: datasets.Dataset, grouped: bool = True) -> tuple[Array, Array, Array]:
    """Label of each row, number of rows of each unit and class, and unit of each row.

    Rows with the same text are of one unit, and so are those of one group.
    """
    labels = np.array(table["label"][:])
    unit = numbered(table["text"][:])
    if grouped and "group" in table.column_names:
        group = numbered(table["group"][:]) + len(table)
        edges = np.ones(len(table)), (unit, group)
        graph = coo_array(edges, shape=(2 * len(table), 2 * len(table)))
        unit = numbered(connected_components(graph, directed=False)[1][unit].tolist())
    counts = np.zeros((unit.max() + 1, table.features["label"].num_classes))
    np.add.at(counts, (unit, labels), 1)
    return labels, counts, unit


def numbered(values: Iterable[Hashable]) -> Array:
    """Equal values get equal numbers, in the order of their first occurrence."""
    codes: dict[Hashable, int] = {}
    return np.array([codes.setdefault(value, len(codes)) for value in values])


def _place(counts: Array, targets: Array, generator: np.random.Generator) -> Array:
    """The part of each unit, the largest placed first, those of one size in random order.

    A unit goes where it raises sum((filled - target)² / target) over parts and classes least.

    Args:
        counts: (units, classes) numbers of rows.
        targets: (parts, classes) numbers of rows.
    """
    parts = np.zeros(len(counts), dtype=int)
    filled = np.zeros_like(targets)
    weights = 1 / np.maximum(targets, 1e-9)
    order = generator.permutation(len(counts))
    for unit in order[np.argsort(-counts[order].sum(1), kind="stable")]:
        own = counts[unit]
        costs = ((2 * (filled - targets) + own) * own * weights).sum(1)
        parts[unit] = np.lexsort((filled.sum(1), costs.round(9)))[0]
        filled[parts[unit]] += own
    return parts


def _check_shares(table: datasets.Dataset, cut: Array, wanted: float, split: str) -> None:
    """Reject classes that are on one side only, and warn of those that are not in proportion."""
    labels = np.array(table["label"][:])
    names = table.features["label"].names
    totals = np.bincount(labels, minlength=len(names))
    reached = np.bincount(labels[cut], minlength=len(names))
    targets = wanted / len(table) * totals
    together = "since equal texts and groups stay together"
    one_sided = ((reached == 0) & (targets >= 1.5)) | (
        (reached == totals) & (totals - targets >= 1.5)
    )
    if one_sided.any():
        label = int(one_sided.argmax())
        raise UserError(
            f"class {names[label]!r:.80} cannot be in both train and {split}, {together}: it has "
            f"{totals[label]} examples; use another size, more distinct texts or groups, or a file "
            "for each split"
        )
    if not cut.any():
        raise UserError(f"no example can be cut for {split}: each class has a single one")
    errors = np.abs(reached - targets)
    off = np.flatnonzero(errors > np.maximum(2, 0.05 * targets))
    if len(off):
        worst = off[errors[off].argmax()]
        log.warning(
            "%d classes are not in proportion in %s, %s: class %r has %d of %d examples there "
            "instead of %.0f",
            *(len(off), split, together, names[worst], reached[worst], totals[worst]),
            targets[worst],
        )


def _rows(table: datasets.Dataset, chosen: Array) -> datasets.Dataset:
    return table.select(np.flatnonzero(chosen))
