"""Cut missing splits from the training data: stratified, with equal texts in one split."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Annotated

import datasets
import numpy as np
from pydantic import Field, PositiveInt

from poolbench.core.errors import UserError

Size = PositiveInt | Annotated[float, Field(gt=0, lt=1)]  # a number, or a fraction, of examples


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
        kept, cut = _cut(train, wanted, seed)
        parts[split], train = train.select(cut), train.select(kept)
    parts["train"] = train
    for split, table in parts.items():
        if max_examples is not None and len(table) > max_examples:
            parts[split] = table.select(_cut(table, max_examples, seed)[1])
    return datasets.DatasetDict({name: parts[name] for name in ("train", "validation", "test")})


def _cut(table: datasets.Dataset, wanted: int, seed: int) -> tuple[list[int], list[int]]:
    """Row numbers (kept, cut): about ``wanted`` rows are cut, class by class."""
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
    missing = 0.0
    for label in sorted(by_class):
        members = by_class[label]
        # The rounding error of one class is carried to the next, so the total is exact.
        missing += share * sum(map(len, members))
        for group in generator.permutation(len(members)):
            if missing < 0.5:
                break
            cut += members[group]
            missing -= len(members[group])
    chosen = set(cut)
    return [row for row in range(len(labels)) if row not in chosen], sorted(cut)
