import torch
from jaxtyping import Bool, Float
from torch import Tensor

from poolbench.poolers import masked
from poolbench.poolers.base import Pooler


class MeanMaxPooler(Pooler):
    """[mean; max] over valid tokens, P = 2 D: SWEM-concat (Shen et al., 2018).

    The head is twice as wide as after ``mean`` or ``max``: compare at equal width.

    Example:
        >>> hidden = torch.tensor([[[1.0], [7.0], [99.0]]])
        >>> mask = torch.tensor([[True, True, False]])
        >>> MeanMaxPooler(hidden_dim=1)(hidden, mask)
        tensor([[4., 7.]])
    """

    permutation_invariant = True
    weighs = "half equal shares, half share of dimensions won"

    def __init__(self, hidden_dim: int) -> None:
        super().__init__(hidden_dim)
        self.output_dim = 2 * hidden_dim

    def forward(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B P"]:
        return torch.cat([masked.mean(hidden, mask), masked.maximum(hidden, mask)], dim=1)

    def shares(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B T"]:
        largest = masked.won(hidden, masked.maximum(hidden, mask), mask)
        return (masked.uniform(mask) + largest) / 2
