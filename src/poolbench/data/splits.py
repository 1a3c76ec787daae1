"""Cut splits: stratified by class or score, with equal texts and whole groups on one side."""

import logging
from collections.abc import Mapping
from typing import Annotated

import datasets
import numpy as np
from pydantic import Field, PositiveInt

from poolbench.core.errors import UserError
from poolbench.data.needs import Columns
from poolbench.data.units import Array, Examples

Size = PositiveInt | Annotated[float, Field(gt=0, lt=1)]  # a number, or a fraction, of examples
log = logging.getLogger(__name__)
VALIDATION = 0.1  # of the examples that are not in the test set of a fold


def complete(
    splits: Mapping[str, datasets.Dataset],
    validation_size: Size,
    test_size: Size,
    seed: int,
    max_examples: int | None = None,
    columns: Columns = Columns(),
) -> datasets.DatasetDict:
    """``splits`` with validation and test, cut from train if they are missing.

    For retrieval examples are queries, with all their rows. A train split without any, next to a
    test split, gives a validation split without any.

    Args:
        seed: of the cut, a property of the dataset and not of a run.
        max_examples: keep at most this many examples of each split, drawn with the same seed.
    """
    parts = dict(splits)
    train = parts["train"]
    total = 0
    for split, size in (("test", test_size), ("validation", validation_size)):
        if split in parts:
            continue
        examples = Examples.of(train, columns)
        total = total or len(examples)  # before the first cut
        if split == "validation" and not len(examples):
            parts[split] = train.select([])
            continue
        wanted = round(size * total) if size < 1 else int(size)
        if not 0 < wanted < len(examples):
            raise UserError(
                f"dataset.{split}_size={size} asks for {wanted} of {len(examples)} {examples.word}"
            )
        cut = _cut(examples, wanted, seed)
        _check_shares(examples, cut, wanted, split)
        rows = examples.rows_of(cut)
        parts[split], train = _rows(train, rows), _rows(train, ~rows)
    parts["train"] = train
    for split, table in parts.items():
        if max_examples is None:
            break
        examples = Examples.of(table, columns, grouped=False)
        if len(examples) > max_examples:
            rows = examples.rows_of(_cut(examples, max_examples, seed, whole=False))
            parts[split] = _rows(table, rows)
    return datasets.DatasetDict({name: parts[name] for name in ("train", "validation", "test")})


def folds(
    table: datasets.Dataset, k: int, seed: int, columns: Columns = Columns()
) -> list[list[int]]:
    """Row numbers of ``k`` test sets: each row is in one, equal texts and groups in the same.

    For retrieval, each row with a query is in one.

    Raises:
        UserError: a class cannot be in the training data and the test set of every fold.
    """
    examples = Examples.of(table, columns)
    counts = examples.counts
    targets = np.tile(counts.sum(0) / k, (k, 1))
    fold = _place(counts, targets, np.random.default_rng(seed))[examples.unit]
    for i in range(k):
        _check_shares(examples, fold == i, len(examples) / k, f"fold {i}")
    return [np.flatnonzero(examples.rows_of(fold == i)).tolist() for i in range(k)]


def cross_validation(
    table: datasets.Dataset, k: int, seed: int, columns: Columns = Columns()
) -> list[dict[str, Array]]:
    """Row numbers of train, validation and test of each of ``k`` folds, ascending.

    Raises:
        UserError: a class cannot be in all of them.
    """
    found = []
    for i, test in enumerate(folds(table, k, seed, columns)):
        rest = np.setdiff1d(np.arange(len(table)), test)
        others = Examples.of(table.select(rest), columns)
        wanted = round(VALIDATION * len(others))
        cut = _cut(others, wanted, seed)
        _check_shares(others, cut, wanted, f"the validation part of fold {i}")
        rows = others.rows_of(cut)
        found.append({"train": rest[~rows], "validation": rest[rows], "test": np.array(test)})
    return found


def _cut(examples: Examples, wanted: int, seed: int, whole: bool = True) -> Array:
    """Whether each example is cut: about ``wanted`` are, stratum by stratum.

    Large units and those of several strata are placed first. Small ones then fill each stratum.

    Args:
        whole: keep units together; if not, ``wanted`` is exact.
    """
    labels, counts, unit = examples.stratum, examples.counts, examples.unit
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


def _check_shares(examples: Examples, cut: Array, wanted: float, split: str) -> None:
    """Reject strata that are on one side only, and warn of those that are not in proportion."""
    names = examples.names
    totals = np.bincount(examples.stratum, minlength=len(names))
    reached = np.bincount(examples.stratum[cut], minlength=len(names))
    targets = wanted / len(examples) * totals
    together = "since equal texts and groups stay together"
    one_sided = ((reached == 0) & (targets >= 1.5)) | (
        (reached == totals) & (totals - targets >= 1.5)
    )
    if one_sided.any():
        label = int(one_sided.argmax())
        raise UserError(
            f"{names[label]} cannot be in both train and {split}, {together}: it has "
            f"{totals[label]} {examples.word}; use another size, more distinct texts or groups, or "
            "a file for each split"
        )
    if not cut.any():
        raise UserError(f"no example can be cut for {split}: each class has a single one")
    errors = np.abs(reached - targets)
    off = np.flatnonzero(errors > np.maximum(2, 0.05 * targets))
    if len(off):
        worst = off[errors[off].argmax()]
        log.warning(
            "%d of %d strata are not in proportion in %s, %s: %s has %d of %d %s there instead of "
            "%.0f",
            *(len(off), len(names), split, together, names[worst], reached[worst], totals[worst]),
            *(examples.word, targets[worst]),
        )


def _rows(table: datasets.Dataset, chosen: Array) -> datasets.Dataset:
    return table.select(np.flatnonzero(chosen))
