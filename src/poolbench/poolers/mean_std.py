import torch
from jaxtyping import Bool, Float
from torch import Tensor

from poolbench.poolers import masked
from poolbench.poolers.base import Pooler


class MeanStdPooler(Pooler):
    """[mean; std] over valid tokens, std = sqrt(sum_t (x_t - mean)^2 / n + eps), P = 2 D.

    Statistics pooling of x-vectors (Snyder et al., 2018).

    Args:
        hidden_dim: D.
        eps: under the root, whose slope at 0 is infinite: one token has no variance.

    Example:
        >>> hidden = torch.tensor([[[1.0], [7.0], [99.0]]])
        >>> mask = torch.tensor([[True, True, False]])
        >>> MeanStdPooler(hidden_dim=1, eps=0.0)(hidden, mask)
        tensor([[4., 3.]])
    """

    permutation_invariant = True

    def __init__(self, hidden_dim: int, eps: float = 1e-5) -> None:
        super().__init__(hidden_dim)
        self.output_dim = 2 * hidden_dim
        self.eps = eps

    def forward(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B P"]:
        clean = masked.fill(masked.widen(hidden), mask, 0.0)
        mean = masked.mean(clean, mask)
        variance = masked.mean((clean - mean.unsqueeze(1)).square(), mask)
        pooled = torch.cat([mean, (variance + self.eps).sqrt()], dim=1)
        return masked.blank_empty(pooled, mask).to(hidden.dtype)
