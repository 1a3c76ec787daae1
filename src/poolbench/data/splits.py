"""Cutting the splits a source does not have: stratified, equal texts always on one side."""

from collections import defaultdict
from collections.abc import Mapping

import datasets
import numpy as np

from poolbench.core.errors import BadInput

Size = int | float
"""A count of examples, or below 1 a share of them."""


def complete(
    splits: Mapping[str, datasets.Dataset],
    validation_size: Size,
    test_size: Size,
    seed: int,
    max_examples: int | None = None,
) -> datasets.DatasetDict:
    """``splits`` with validation and test, cut from train where they are missing.

    Args:
        splits: has at least ``train``.
        validation_size: of the part to cut for validation.
        test_size: of the part to cut for testing.
        seed: of the cut alone; it is a property of the dataset, not of a cell.
        max_examples: keep at most so many of each split, drawn with the same seed.

    Raises:
        BadInput: more examples are asked for than there are.
    """
    parts = dict(splits)
    total = len(parts["train"])
    for split, size in (("test", test_size), ("validation", validation_size)):
        if split in parts:
            continue
        wanted = round(size * total) if size < 1 else int(size)
        if not 0 < wanted < len(parts["train"]):
            raise BadInput(
                f"dataset.{split}_size={size} asks for {wanted} of {len(parts['train'])} examples"
            )
        kept, cut = _cut(parts["train"], wanted, seed)
        parts["train"], parts[split] = parts["train"].select(kept), parts["train"].select(cut)
    if max_examples is not None:
        for split, table in parts.items():
            if len(table) > max_examples:
                _, few = _cut(table, max_examples, seed)
                parts[split] = table.select(few)
    return datasets.DatasetDict({name: parts[name] for name in ("train", "validation", "test")})


def _cut(table: datasets.Dataset, wanted: int, seed: int) -> tuple[list[int], list[int]]:
    """Row numbers (kept, cut): ``wanted`` cut, class by class, equal texts staying together."""
    groups: dict[str, list[int]] = defaultdict(list)
    labels = list(table["label"])
    for row, text in enumerate(table["text"]):
        groups[text].append(row)
    by_class: dict[int, list[list[int]]] = defaultdict(list)
    for rows in groups.values():
        by_class[labels[rows[0]]].append(rows)
    generator = np.random.default_rng(seed)
    share = wanted / len(labels)
    cut: list[int] = []
    owed = 0.0
    for label in sorted(by_class):
        members = by_class[label]
        # What rounding leaves over in one class is owed by the next, so the total comes out.
        owed += share * sum(map(len, members))
        for group in generator.permutation(len(members)):
            if owed < 0.5:
                break
            cut += members[group]
            owed -= len(members[group])
    chosen = set(cut)
    return [row for row in range(len(labels)) if row not in chosen], sorted(cut)
