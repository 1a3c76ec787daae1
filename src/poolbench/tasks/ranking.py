"""Ranking metrics of one query, with expected values where scores are equal.

Equal scores are in random order: each metric is its mean over all these orders (McSherry and
Najork, 2008). Documents that all have one score therefore give chance, and never a perfect ranking.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from poolbench.data.relevance import Relevance

CUT = 10  # ranks that count
CHUNK = 256  # (query, document) pairs compared with all documents at once


def ranking_metrics(
    scores: Float[Tensor, "B M"], rows: Int[Tensor, " B"], relevance: Relevance
) -> Float[Tensor, "B 5"]:
    """``runs.protocol.RANKING``: nDCG@10, recall@1, recall@10, MRR@10, expected nDCG@10 at random.

    Gains are the grades themselves, as in trec_eval.

    Args:
        scores: of all M documents of the corpus for each query.
        rows: the queries, as items of ``relevance``; each has a relevant document.
    """
    query, place, grade = relevance.of(rows)  # (R,) each
    own = scores[query, place]
    above, equal = torch.empty_like(query), torch.empty_like(query)
    for part in torch.arange(len(query), device=query.device).split(CHUNK):
        others, score = scores[query[part]], own[part].unsqueeze(1)
        above[part], equal[part] = (others > score).sum(1), (others == score).sum(1)

    def expected(weight: Float[Tensor, " cut"]) -> Float[Tensor, " R"]:
        """The mean of a weight of ranks over the ranks that a document may have."""
        total = torch.cat([weight.new_zeros(1), weight.cumsum(0)])
        last = len(weight)
        return (total[(above + equal).clamp(max=last)] - total[above.clamp(max=last)]) / equal

    def summed(values: Float[Tensor, " R"]) -> Float[Tensor, " B"]:
        return values.new_zeros(len(rows)).index_add(0, query, values)

    grade = grade.to(scores.dtype)
    discount = 1 / torch.arange(2, CUT + 2, device=scores.device, dtype=scores.dtype).log2()
    ideal = summed(grade * _discount_of_own_rank(query, grade, discount))
    count = summed(torch.ones_like(grade))
    columns = [
        summed(grade * expected(discount)) / ideal,
        *(summed(expected(discount.new_ones(k))) / count for k in (1, CUT)),
        _reciprocal_rank(query, above, equal, len(rows)).to(scores.dtype),
        summed(grade) * discount[: scores.shape[1]].sum() / scores.shape[1] / ideal,
    ]
    return torch.stack(columns, dim=1)


def _discount_of_own_rank(query: Tensor, grade: Tensor, discount: Tensor) -> Tensor:
    """The discount of each document where those of a query are sorted by grade."""
    order = (-grade).argsort(stable=True)
    order = order[query[order].argsort(stable=True)]  # by query, then by grade
    first = torch.searchsorted(query[order].contiguous(), query[order].contiguous())
    rank = torch.empty_like(query)
    rank[order] = torch.arange(len(query), device=query.device) - first
    return torch.cat([discount, discount.new_zeros(1)])[rank.clamp(max=CUT)]


def _reciprocal_rank(query: Tensor, above: Tensor, equal: Tensor, queries: int) -> Tensor:
    """The expected 1 / rank of the first relevant document of each query, 0 beyond ``CUT``."""
    far = torch.full((queries,), torch.iinfo(above.dtype).max, device=query.device)
    best = far.scatter_reduce(0, query, above, "amin")
    tied = above == best[query]  # the relevant documents with the highest score of their query
    relevant = torch.zeros_like(best).index_add(0, query, tied.long())
    size = torch.zeros_like(best).scatter_reduce(0, query, equal * tied, "amax")
    value = torch.zeros(queries, device=query.device, dtype=torch.float64)
    none_yet = torch.ones_like(value)
    for j in range(CUT):
        left = size - j  # places of the group that are still open
        hit = torch.where(left > 0, relevant.double() / left.clamp(min=1), 0.0).clamp(max=1.0)
        rank = best + j + 1
        value = value + torch.where(rank <= CUT, none_yet * hit / rank, 0.0)
        none_yet = none_yet * (1 - hit)
    return value
