import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from poolbench.poolers import masked
from poolbench.poolers.base import Pooler


class PositionalMeanPooler(Pooler):
    """A mean with one learned weight per position, softmax over the valid positions.

    Learned weighted average (Ennadir et al., 2025). Positions count *valid* tokens, so that the
    padding side cannot move them; every token beyond ``positions`` shares the last weight.

    Args:
        hidden_dim: D.
        positions: learned weights, at least 2 (1 would be the mean).

    Raises:
        ValueError: ``positions`` is less than 2.

    Example:
        >>> hidden = torch.tensor([[[1.0], [7.0], [99.0]]])
        >>> mask = torch.tensor([[True, True, False]])
        >>> pooler = PositionalMeanPooler(hidden_dim=1)
        >>> _ = nn.init.zeros_(pooler.scores)  # equal weights: the plain mean
        >>> pooler(hidden, mask).detach()
        tensor([[4.]])
    """

    permutation_invariant = False
    weighs = "learned weights of positions"

    def __init__(self, hidden_dim: int, positions: int = 512) -> None:
        super().__init__(hidden_dim)
        if positions < 2:
            raise ValueError(f"positions={positions} must be at least 2")
        self.scores = nn.Parameter(torch.randn(positions) * 0.02)

    def forward(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B D"]:
        return masked.weighted_sum(hidden, self.shares(hidden, mask), mask)

    def shares(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B T"]:
        position = masked.rank(mask).clamp(max=len(self.scores) - 1)
        return masked.softmax(self.scores[position], mask)
