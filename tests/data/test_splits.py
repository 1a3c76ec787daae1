"""Splits are stratified and repeatable, and equal texts are in one split."""

import datasets
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from poolbench.core.errors import UserError
from poolbench.data.splits import complete


def table(texts: list[str], labels: list[int]) -> datasets.Dataset:
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(num_classes=3)}
    )
    return datasets.Dataset.from_dict({"text": texts, "label": labels}, features=features)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 2)), min_size=60, max_size=120))
def test_no_text_is_in_two_splits_and_none_is_lost(rows: list[tuple[int, int]]) -> None:
    texts, labels = [f"t{t}" for t, _ in rows], [label for _, label in rows]
    assume(len(set(texts)) > 20)
    parts = complete({"train": table(texts, labels)}, 0.2, 0.3, seed=1)
    sides = [list(part["text"]) for part in parts.values()]
    assert sorted(text for side in sides for text in side) == sorted(texts)
    for i, a in enumerate(sides):
        for b in sides[i + 1 :]:
            assert not set(a) & set(b)


def test_classes_keep_their_shares_and_sizes_are_exact() -> None:
    labels = [0] * 600 + [1] * 300 + [2] * 100
    parts = complete({"train": table([str(i) for i in range(1000)], labels)}, 100, 250, seed=0)
    assert [len(parts[s]) for s in ("train", "validation", "test")] == [650, 100, 250]
    for part in parts.values():
        share = list(part["label"]).count(2) / len(part)
        assert abs(share - 0.1) < 0.02


def test_a_cut_depends_on_its_seed_only() -> None:
    whole = {"train": table([str(i) for i in range(100)], [i % 3 for i in range(100)])}
    cuts = [list(complete(whole, 10, 20, seed)["test"]["text"]) for seed in (0, 0, 1)]
    assert cuts[0] == cuts[1] != cuts[2]


def test_given_splits_are_unchanged_and_limits_are_kept() -> None:
    whole = table([str(i) for i in range(100)], [i % 3 for i in range(100)])
    parts = complete({"train": whole, "test": whole.select(range(30))}, 10, 20, 0, max_examples=12)
    assert [len(parts[s]) for s in ("train", "validation", "test")] == [12, 10, 12]
    assert set(parts["test"]["text"]) <= {str(i) for i in range(30)}


def test_sizes_beyond_the_number_of_examples_are_rejected() -> None:
    with pytest.raises(UserError, match=r"dataset\.test_size=5000 asks for 5000 of 60"):
        complete({"train": table([str(i) for i in range(60)], [0, 1, 2] * 20)}, 10, 5000, 0)
