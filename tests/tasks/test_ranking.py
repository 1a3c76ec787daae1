"""Ranking metrics against a loop over orders, and against sentence-transformers."""

import itertools
import math

import numpy as np
import pytest
import torch

from poolbench.data.relevance import Relevance, queries_of
from poolbench.tasks.ranking import ranking_metrics


def relevance_of(grades: list[list[float]]) -> Relevance:
    """From the grades of each document for each query, 0 for those that are not relevant."""
    table = torch.tensor(grades)
    query, place = table.nonzero(as_tuple=True)
    starts = torch.cat([torch.zeros(1).long(), torch.bincount(query, minlength=len(table))])
    return Relevance(torch.arange(table.shape[1]), starts.cumsum(0), place, table[query, place])


def by_loop(scores: list[float], grades: list[float]) -> list[float]:
    """The mean of each metric over all orders of the documents that the scores allow."""
    orders = [
        order
        for order in itertools.permutations(range(len(scores)))
        if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order))
    ]

    def dcg(ranked: list[float]) -> float:
        return sum(g / math.log2(r + 2) for r, g in enumerate(ranked[:10]))

    def metrics(order: tuple[int, ...]) -> list[float]:
        ranked = [grades[i] for i in order]
        hits = [r for r, g in enumerate(ranked) if g > 0]
        recall = [sum(r < k for r in hits) / len(hits) for k in (1, 10)]
        reciprocal = 1 / (hits[0] + 1) if hits[0] < 10 else 0.0
        return [dcg(ranked) / dcg(sorted(grades, reverse=True)), *recall, reciprocal]

    return np.mean([metrics(order) for order in orders], axis=0).tolist()


@pytest.mark.parametrize(
    "scores",
    [
        [0.1, 0.9, 0.3, 0.8, 0.2, 0.7],
        [0.5, 0.9, 0.5, 0.5, 0.2, 0.9],
        [1.0, 1.0, 1.0, 1.0, 1.0, 1.0],
    ],
)
@pytest.mark.parametrize("grades", [[0, 1, 0, 0, 0, 0], [2, 0, 1, 1, 0, 3]])
def test_metrics_are_means_over_the_orders_of_ties(scores: list[float], grades: list[int]) -> None:
    table = [[float(g) for g in grades], [1.0, 0, 0, 0, 0, 0]]
    found = ranking_metrics(
        torch.tensor([scores, scores], dtype=torch.float64), torch.arange(2), relevance_of(table)
    )
    np.testing.assert_allclose(found[0, :4], by_loop(scores, table[0]), rtol=1e-12)
    np.testing.assert_allclose(found[1, :4], by_loop(scores, table[1]), rtol=1e-12)


def test_constant_scores_give_chance_and_not_a_perfect_ranking() -> None:
    documents = 500
    one = torch.eye(3, documents).tolist()
    found = ranking_metrics(torch.ones(3, documents).double(), torch.arange(3), relevance_of(one))
    discount = sum(1 / math.log2(r + 2) for r in range(10))
    reciprocal = sum(1 / r for r in range(1, 11))
    expected = [discount, 1, 10, reciprocal, discount]
    np.testing.assert_allclose(found, [[e / documents for e in expected]] * 3, rtol=1e-12)


def test_distinct_scores_agree_with_sentence_transformers() -> None:
    evaluation = pytest.importorskip("sentence_transformers.sentence_transformer.evaluation")
    from sentence_transformers import util

    draw = np.random.default_rng(0)
    queries, documents = draw.normal(size=(40, 8)), draw.normal(size=(200, 8))
    relevant = draw.random((40, 200)) < 0.02
    relevant[:, 0] |= ~relevant.any(axis=1)
    own_vectors = {"q": queries, "d": documents}

    class Encoder:
        """Looks vectors up by the text: q for a query, d for a document, and its number."""

        def encode(self, texts: list[str], **_: object) -> np.ndarray:
            return np.stack([own_vectors[text[0]][int(text[1:])] for text in texts])

        encode_query = encode_document = encode

    evaluator = evaluation.InformationRetrievalEvaluator(
        queries={f"q{i}": f"q{i}" for i in range(40)},
        corpus={f"d{i}": f"d{i}" for i in range(200)},
        relevant_docs={
            f"q{i}": {f"d{j}" for j in np.flatnonzero(row)} for i, row in enumerate(relevant)
        },
        precision_recall_at_k=[1, 10],
        score_functions={"cosine": util.cos_sim},
        show_progress_bar=False,
        write_csv=False,
    )
    theirs = evaluator.compute_metrices(Encoder())["cosine"]
    vectors = [torch.tensor(v / np.linalg.norm(v, axis=1)[:, None]) for v in (queries, documents)]
    own = ranking_metrics(
        vectors[0] @ vectors[1].T, torch.arange(40), relevance_of(relevant.astype(float).tolist())
    ).mean(0)
    expected = [
        theirs["ndcg@k"][10],
        theirs["recall@k"][1],
        theirs["recall@k"][10],
        theirs["mrr@k"][10],
    ]
    np.testing.assert_allclose(own[:4], expected, atol=1e-6)


def test_relevant_documents_of_some_queries() -> None:
    relevance = relevance_of([[1, 0, 2], [0, 0, 3], [4, 5, 0]])
    row, place, grade = relevance.of(torch.tensor([2, 0]))
    assert row.tolist() == [0, 0, 1, 1]
    assert place.tolist() == [0, 1, 0, 2]
    assert grade.tolist() == [4, 5, 1, 2]


def test_a_query_without_a_relevant_document_is_left_out_and_the_best_one_comes_first() -> None:
    rows = [("a", "x", 1.0), ("b", "x", 0.0), (None, "y", 0.0), ("a", "z", 2.0), ("a", "x", 0.0)]
    assert queries_of(rows) == {"a": {"z": 2.0, "x": 1.0}}
    assert list(queries_of(rows)["a"]) == ["z", "x"]
