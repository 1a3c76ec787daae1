from typing import Annotated

import torch
from pydantic import Field
from torch import nn

from poolbench.poolers import masked
from poolbench.poolers.base import Hidden, Mask, TokenWeights, WeightedSumPooler


class PositionalMeanPooler(WeightedSumPooler):
    """A mean with one learned score per position, softmax over positions (Ennadir et al., 2025).

    Positions count valid tokens; all tokens beyond ``positions`` share the last score.

    Example:
        >>> hidden, mask = torch.tensor([[[1.], [7.], [99.]]]), torch.tensor([[True, True, False]])
        >>> pooler = PositionalMeanPooler(hidden_dim=1)
        >>> _ = nn.init.zeros_(pooler.scores)  # equal scores: the plain mean
        >>> pooler(hidden, mask).detach()
        tensor([[4.]])
    """

    permutation_invariant = False
    weights_label = "learned position weights"

    def __init__(
        self, hidden_dim: int, positions: Annotated[int, Field(ge=2, le=65_536)] = 512
    ) -> None:
        super().__init__(hidden_dim)
        self.scores = nn.Parameter(torch.randn(positions) * 0.02)

    def token_weights(self, hidden: Hidden, mask: Mask) -> TokenWeights:
        position = masked.rank(mask).clamp(max=len(self.scores) - 1)
        return masked.softmax(self.scores[position], mask)
