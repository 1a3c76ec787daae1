from math import sqrt
from typing import Annotated

import torch
from pydantic import Field
from torch.nn import functional

from poolbench.poolers import masked
from poolbench.poolers.base import Hidden, Mask, TokenWeights, WeightedSumPooler

ITERATIONS = 40


class PageRankPooler(WeightedSumPooler):
    """sum_t p_t x_t, p the PageRank of the tokens in the graph of their cosine similarities.

    After Pool PaRTI (Tartici et al., 2025, Bioinformatics 41(6)), whose graph is the attention of a
    protein model. An edge weighs w_ij = max(0, cos(x_i, x_j)), a token is its own neighbour, and
    p_i = d sum_j w_ij p_j / g_j + (1 - d) / n with the ``damping`` d, n valid tokens and
    degrees g_j = sum_i w_ij. 40 power iterations leave an error below 1e-6, summed over the tokens.

    Example:
        >>> hidden = torch.tensor([[[4.0, 0.0], [0.0, 2.0], [99.0, 99.0]]])
        >>> mask = torch.tensor([[True, True, False]])
        >>> PageRankPooler(hidden_dim=2)(hidden, mask)  # no edge between the two: 1/2 each
        tensor([[2., 1.]])
    """

    permutation_invariant = True
    weights_label = "PageRank"

    def __init__(
        self, hidden_dim: int, damping: Annotated[float, Field(ge=0, le=0.85)] = 0.85
    ) -> None:
        super().__init__(hidden_dim)
        self.damping = damping
        # Momentum of a second-order iteration (Golub and Varga, 1961): w_ij / g_j has real
        # eigenvalues in [-1, 1]. At d = .85 an error shrinks by .56 a step, without it by .85.
        self.momentum = 2 / (1 + sqrt(1 - damping**2))

    def token_weights(self, hidden: Hidden, mask: Mask) -> TokenWeights:
        unit = functional.normalize(masked.fill(masked.upcast(hidden), mask, 0.0), dim=-1, eps=1e-6)
        own = torch.eye(mask.shape[1], dtype=torch.bool, device=mask.device)
        edges = (unit @ unit.transpose(1, 2)).relu().masked_fill(own, 1.0)  # (B, T, T)
        moves = self.damping * edges / edges.sum(dim=1, keepdim=True)
        start = masked.uniform(mask).to(edges.dtype).unsqueeze(-1)  # (B, T, 1)
        before, ranks = start, moves @ start + (1 - self.damping) * start
        for _ in range(ITERATIONS - 1):
            step = moves @ ranks + (1 - self.damping) * start
            before, ranks = ranks, self.momentum * step + (1 - self.momentum) * before
        return ranks.squeeze(-1)
