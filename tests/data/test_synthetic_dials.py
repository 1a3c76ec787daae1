"""The proofs of the datasets with pairs and dials hold, on bags of words and without training."""

import itertools
from collections.abc import Callable
from typing import Any

import datasets
import numpy as np
import pytest

from poolbench.core.errors import UserError
from poolbench.data.needs import Columns
from poolbench.data.synthetic import VOCABULARY
from poolbench.data.synthetic_dials import (
    RELIABILITY,
    TOKENS,
    bayes_accuracy,
    dilution,
    distractors,
    informative_tokens,
)
from poolbench.data.synthetic_pairs import multisets

Array = np.ndarray[Any, np.dtype[Any]]
SIZES = {"train_size": 256, "validation_size": 64, "test_size": 4096}
PAIRS = Columns(2, "class")
# Poolers on one-hot states: (tokens, words) -> (words,).
POOLERS: dict[str, Callable[[Array], Array]] = {
    "mean": lambda states: states.mean(0),
    "max": lambda states: states.max(0),
    "cls": lambda states: states[0],
    "last": lambda states: states[-1],
}


def pooled(texts: list[str], pooler: str) -> Array:
    """(texts, words) pooled one-hot states; ``0*word`` has the state zero."""
    rows = []
    for text in texts:
        words = text.split()
        states = np.array([[word == known for known in VOCABULARY] for word in words], float)
        rows.append(POOLERS[pooler](states))
    return np.array(rows)


def best_accuracy(features: Array, labels: Array) -> float:
    """Of the best classifier that sees the features alone, with any head."""
    _, group = np.unique(features.round(9), axis=0, return_inverse=True)
    counts = np.zeros((group.max() + 1, 2))
    np.add.at(counts, (group.ravel(), labels), 1)
    return float(counts.max(1).sum() / len(labels))


def both(table: datasets.Dataset, pooler: str) -> tuple[Array, Array, Array]:
    texts, others = pooled(table["text"][:], pooler), pooled(table["text_b"][:], pooler)
    return texts, others, np.array(table["label"][:])


@pytest.fixture(scope="module")
def pairs() -> datasets.Dataset:
    return multisets(**SIZES, columns=PAIRS)["test"]


def test_a_linear_head_on_uv_cannot_beat_a_constant(pairs: datasets.Dataset) -> None:
    u, v, labels = both(pairs, "mean")
    features = np.hstack([u, v, np.ones((len(u), 1))])
    signed = features * np.where(labels == 1, 1, -1)[:, None]
    # The margins of each four pairs add up to zero, whatever the weights.
    assert abs(signed.reshape(-1, 4, features.shape[1]).sum(1)).max() < 1e-12
    draw = np.random.default_rng(0)
    weights = [*draw.normal(size=(200, features.shape[1])), np.linalg.lstsq(features, labels)[0]]
    # The best heads compare both texts, with a bias that decides for class equal.
    weights += [np.concatenate([w, -w, [1e-3]]) for w in draw.normal(size=(20, u.shape[1]))]
    for w in weights:
        margins = signed @ w
        assert np.logaddexp(0, -margins).mean() >= np.log(2)
        assert (margins > 0).mean() <= 0.75


def test_abs_diff_separates_for_mean_and_nothing_does_for_max(pairs: datasets.Dataset) -> None:
    u, v, labels = both(pairs, "mean")
    distance = abs(u - v).sum(1)
    assert distance[labels == 1].max() == 0
    assert distance[labels == 0].min() > 2 / 12 - 1e-9
    u, v, _ = both(pairs, "max")
    assert best_accuracy(np.hstack([u, v]), labels) == 0.5


@pytest.mark.parametrize("pooler", ["cls", "last"])
def test_single_tokens_of_multisets_are_near_chance(pairs: datasets.Dataset, pooler: str) -> None:
    u, v, labels = both(pairs, pooler)
    assert ((u == v).all(1) == labels).mean() == pytest.approx(0.5 + 11 / 144, abs=0.025)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8, 0.9])
def test_distractors_set_the_accuracy_of_every_pooler(share: float) -> None:
    table = distractors(share, **SIZES)["test"]
    labels, m, p = np.array(table["label"][:]), informative_tokens(share), RELIABILITY
    mean = pooled(table["text"][:], "mean")
    votes = (mean[:, VOCABULARY.index("blue")] - mean[:, VOCABULARY.index("red")]).round(9)
    found = {"mean": ((votes > 0) == labels)[votes != 0].sum() + (votes == 0).sum() / 2}
    for pooler in ("max", "cls", "last"):
        # The counts of red and blue alone: fillers say nothing.
        features = pooled(table["text"][:], pooler)[:, :2]
        found[pooler] = best_accuracy(features, labels) * len(labels)
    expected = {
        "mean": bayes_accuracy(share),
        "max": 0.5 + (p**m - (1 - p) ** m) / 2,
        "cls": 0.5 + m / TOKENS * (p - 0.5),
        "last": 0.5 + m / TOKENS * (p - 0.5),
    }
    for pooler, accuracy in expected.items():
        # Three standard errors of 2,048 independent pairs of twins.
        assert found[pooler] / len(labels) == pytest.approx(accuracy, abs=3 * 0.5 / 2048**0.5)
    assert found["mean"] > max(found["max"], found["cls"])
    if share in (0.2, 0.9):  # the dial exchanges max and cls
        assert (found["cls"] > found["max"]) == (share == 0.2)


def test_more_distractors_are_harder() -> None:
    bayes = [bayes_accuracy(share) for share in np.arange(0.2, 0.91, 0.1)]
    assert all(a > b > 0.5 for a, b in itertools.pairwise(bayes))


@pytest.mark.parametrize("factor", [3, 4, 16])
def test_mean_is_diluted_by_the_factor_and_max_is_not(factor: int) -> None:
    splits = dilution(factor, train_size=256, validation_size=64, test_size=128)
    lengths = {split: {len(text.split()) for text in t["text"]} for split, t in splits.items()}
    assert lengths == {"train": {8}, "validation": {8}, "test": {8 * factor}}
    signal = VOCABULARY.index("signal")
    for split, expected in (("train", 1 / 8), ("validation", 1 / 8), ("test", 1 / 8 / factor)):
        labels = np.array(splits[split]["label"][:])
        mean = pooled(splits[split]["text"][:], "mean")
        np.testing.assert_allclose(mean[:, signal], labels * expected)
        assert abs(np.delete(mean, signal, 1)).max() == 0
        largest = pooled(splits[split]["text"][:], "max")
        np.testing.assert_array_equal(largest[:, signal], labels)
        # The threshold of equal margins in train: every diluted mean is below it.
        accuracy = ((mean[:, signal] > 1 / 16) == labels).mean()
        assert accuracy == (0.5 if split == "test" else 1.0)


def test_nouns_are_words_for_any_encoder_and_too_many_to_be_ignored() -> None:
    test = dilution(16, 64, 32, 512, fillers="nouns")["test"]
    words = [text.split() for text in test["text"]]
    assert {len(row) for row in words} == {128}
    assert [row.count("signal") for row in words] == test["label"][:]
    assert all(word.isalpha() for row in words for word in row)
    assert len({word for row in words for word in row}) > 64  # the width of random_decoder


def test_generated_data_depend_on_their_seed_and_fit_one_task() -> None:
    for make, given in ((multisets, {"columns": PAIRS}), (dilution, {"factor": 4})):
        sizes = {"train_size": 64, "validation_size": 32, "test_size": 40}
        first, again, other = (
            make(**sizes, **given, data_seed=seed)["test"].to_dict() for seed in (0, 0, 1)
        )
        assert first == again != other
        assert len(first["text"]) == 32
    with pytest.raises(UserError, match="set task=pair_classification"):
        multisets(**SIZES)
    for make, given in ((distractors, {"share": 0.5}), (dilution, {"factor": 4})):
        with pytest.raises(UserError, match="set task=classification"):
            make(**SIZES, **given, columns=PAIRS)
