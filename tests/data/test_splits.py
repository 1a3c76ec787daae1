"""Splits are stratified and repeatable, and equal texts are in one split."""

from collections import Counter

import datasets
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from poolbench.core.errors import UserError
from poolbench.data.duplicates import count_duplicates
from poolbench.data.needs import Columns
from poolbench.data.splits import complete, cross_validation, folds


def table(texts: list[str], labels: list[int], groups: list[str] | None = None) -> datasets.Dataset:
    columns = {"text": texts, "label": labels} | ({"group": groups} if groups else {})
    features = {name: datasets.Value("string") for name in columns}
    features["label"] = datasets.ClassLabel(num_classes=3)
    return datasets.Dataset.from_dict(columns, features=datasets.Features(features))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 2)), min_size=60, max_size=120))
def test_no_text_is_in_two_splits_and_none_is_lost(rows: list[tuple[int, int]]) -> None:
    texts, labels = [f"t{t}" for t, _ in rows], [label for _, label in rows]
    assume(len(set(texts)) > 20)
    try:
        parts = complete({"train": table(texts, labels)}, 0.2, 0.3, seed=1)
    except UserError:  # a class of few distinct texts
        assume(False)
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


def test_a_large_group_of_equal_texts_stays_in_train_and_no_class_pays_for_it(caplog) -> None:
    texts = ["n/a" if i % 2 == 0 and i < 400 else f"t{i}" for i in range(1000)]
    parts = complete({"train": table(texts, [i % 2 for i in range(1000)])}, 0.1, 0.2, seed=0)
    assert "n/a" in set(parts["train"]["text"])
    for split, each in (("train", 350), ("validation", 50), ("test", 100)):
        assert Counter(parts[split]["label"]) == {0: each, 1: each}
    assert not caplog.text


def test_large_groups_are_spread_and_what_is_not_in_proportion_is_told(caplog) -> None:
    # Class 0 has six texts of 50 examples each, class 1 has 300 texts.
    texts = [f"zero {i // 50}" for i in range(300)] + [f"one {i}" for i in range(300)]
    parts = complete({"train": table(texts, [0] * 300 + [1] * 300)}, 0.2, 0.2, seed=0)
    assert {s: Counter(p["label"])[0] for s, p in parts.items()} == {
        "train": 200,
        "validation": 50,
        "test": 50,
    }
    assert all(abs(Counter(parts[s]["label"])[1] - 60) <= 2 for s in ("validation", "test"))
    assert "class '0' has 50 of 300 examples there instead of 60" in caplog.text


def test_what_cannot_be_stratified_is_rejected() -> None:
    texts = ["same"] * 50 + [f"t{i}" for i in range(50)]
    with pytest.raises(
        UserError, match=r"class '0' cannot be in both train and test.*a file for each"
    ):
        complete({"train": table(texts, [0] * 50 + [1] * 50)}, 10, 10, 0)


def test_a_class_of_one_example_stays_in_train_and_the_size_is_exact() -> None:
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(num_classes=101)}
    )
    rows = {"text": [str(i) for i in range(400)], "label": [*range(100), *[100] * 300]}
    data = datasets.Dataset.from_dict(rows, features=features)
    parts = complete({"train": data}, 40, 80, seed=0)
    assert set(parts["train"]["label"]) == set(range(101))
    assert [len(parts[s]) for s in ("validation", "test")] == [40, 80]
    with pytest.raises(UserError, match="no example can be cut for test"):
        complete({"train": data.select(range(100))}, 10, 20, seed=0)


GROUPED = [(f"g{i % 37}", i % 37 % 3 if i % 4 else i % 3) for i in range(600)]


def grouped() -> datasets.Dataset:
    """37 groups with examples of all classes in unequal shares; some texts are in two groups."""
    texts = [f"t{i - 13 if i % 100 == 99 else i}" for i in range(600)]
    return table(texts, [label for _, label in GROUPED], [group for group, _ in GROUPED])


def test_groups_stay_on_one_side() -> None:
    parts = complete({"train": grouped()}, 0.1, 0.2, seed=0)
    sides = [set(part[key]) for key in ("group", "text") for part in parts.values()]
    for three in (sides[:3], sides[3:]):
        assert sum(map(len, three)) == len(set.union(*three))
    assert 0.17 < len(parts["test"]) / 600 < 0.23
    assert parts["train"].column_names == ["text", "label", "group"]


@pytest.mark.parametrize("k", [2, 5])
def test_folds_are_stratified_and_grouped(k: int) -> None:
    data = grouped()
    cuts = folds(data, k, seed=0)
    assert sorted(row for cut in cuts for row in cut) == list(range(600))
    sides = [set(data.select(cut)["group"]) for cut in cuts]
    assert sum(map(len, sides)) == 37
    whole = Counter(data["label"])
    for cut in cuts:
        own = Counter(data.select(cut)["label"])
        assert all(abs(own[c] * k / whole[c] - 1) < 0.35 for c in whole)
    assert cuts == folds(data, k, seed=0) != folds(data, k, seed=1)


def test_folds_of_distinct_texts_have_equal_sizes() -> None:
    labels = [0] * 57 + [1] * 33 + [2] * 11
    cuts = folds(table([str(i) for i in range(101)], labels), 5, seed=3)
    assert sorted(map(len, cuts)) == [20, 20, 20, 20, 21]
    for c, (low, high) in enumerate(((11, 12), (6, 7), (2, 3))):
        assert {sum(labels[row] == c for row in cut) for cut in cuts} == {low, high}


def test_cross_validation_tests_every_example_once_and_separates_groups() -> None:
    data = grouped()
    parts = cross_validation(data, 4, seed=0)
    assert sorted(row for part in parts for row in part["test"]) == list(range(600))
    for part in parts:
        assert sorted(row for rows in part.values() for row in rows) == list(range(600))
        assert all((rows[1:] > rows[:-1]).all() for rows in part.values())
        for column in ("group", "text"):
            sides = [set(data.select(rows)[column]) for rows in part.values()]
            assert sum(map(len, sides)) == len(set.union(*sides))
        assert 0.05 < len(part["validation"]) / (600 - len(part["test"])) < 0.15
    assert parts[0]["train"].tolist() != parts[1]["train"].tolist()


def pairs(a: list[str], b: list[str], scores: list[float]) -> datasets.Dataset:
    return datasets.Dataset.from_dict({"text": a, "text_b": b, "label": scores})


def test_scores_keep_their_distribution() -> None:
    scores = np.random.default_rng(0).gamma(1.0, size=1000).tolist()
    texts = [str(i) for i in range(1000)]
    columns = Columns(2, "score")
    parts = complete({"train": pairs(texts, texts, scores)}, 100, 200, seed=0, columns=columns)
    assert [len(part) for part in parts.values()] == [700, 100, 200]
    edges = np.quantile(scores, [0.2, 0.4, 0.6, 0.8])
    for part in parts.values():
        counts = np.bincount(np.searchsorted(edges, part["label"][:], side="right"))
        assert abs(counts - len(part) / 5).max() <= 1
    cuts = folds(pairs(texts, texts, scores), 4, seed=0, columns=columns)
    assert [len(cut) for cut in cuts] == [250] * 4
    means = [np.mean([scores[row] for row in cut]) for cut in cuts]
    assert max(means) - min(means) < 0.2


def test_scores_with_ties_and_labels_lists_are_cut() -> None:
    texts = [str(i) for i in range(100)]
    tied = pairs(texts, texts, [0.0] * 90 + [5.0] * 10)
    parts = complete({"train": tied}, 10, 20, seed=0, columns=Columns(2, "score"))
    assert [part["label"][:].count(5.0) for part in parts.values()] == [7, 1, 2]
    kind = datasets.List(datasets.ClassLabel(num_classes=2))
    features = datasets.Features({"text": datasets.Value("string"), "label": kind})
    table = datasets.Dataset.from_dict({"text": texts, "label": [[], [0, 1]] * 50}, features)
    parts = complete({"train": table}, 10, 20, seed=0, columns=Columns(1, "labels"))
    assert [len(part) for part in parts.values()] == [70, 10, 20]


def test_pairs_stay_together_in_either_order_but_texts_may_be_shared() -> None:
    a = [f"t{i % 30}" for i in range(200)]
    b = [f"t{i % 7}" for i in range(200)]
    columns = Columns(2, "class")
    kinds = {"text": datasets.Value("string"), "text_b": datasets.Value("string")}
    features = datasets.Features(kinds | {"label": datasets.ClassLabel(num_classes=2)})
    both = {"text": a + b, "text_b": b + a, "label": [0, 1] * 200}
    table = datasets.Dataset.from_dict(both, features)
    parts = complete({"train": table}, 0.1, 0.2, seed=0, columns=columns)
    sides = [{frozenset((r["text"], r["text_b"])) for r in part} for part in parts.values()]
    assert sum(map(len, sides)) == len(set.union(*sides))
    counts = count_duplicates(parts, columns)
    assert not [what for what in counts if "have a pair" in what]
    assert counts["test examples have a text that train has too"] == len(parts["test"])


def test_shared_pairs_and_texts_are_counted_apart() -> None:
    train = pairs(["a", "b", "a"], ["x", "y", "x"], [1.0, 2.0, 3.0])
    # (x, a) may rightly have another label than (a, x), as in entailment.
    test = pairs(["x", "a", "new"], ["a", "z", "new"], [9.0, 1.0, 1.0])
    splits = datasets.DatasetDict({"train": train, "validation": test.select([2]), "test": test})
    assert count_duplicates(splits, Columns(2, "score")) == {
        "test examples have a pair that train has too": 1,
        "test examples have a text that train has too": 2,
        "pairs have different labels": 1,
    }
    assert count_duplicates(splits, Columns(2, "relevance")) == {
        "test examples have a query that train has too": 1
    }
