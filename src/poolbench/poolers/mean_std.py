import torch
from pydantic import NonNegativeFloat

from poolbench.poolers import masked
from poolbench.poolers.base import Hidden, Mask, Pooled, Pooler


class MeanStdPooler(Pooler):
    """[mean; std], std = sqrt(sum_t (x_t - mean)^2 / n + eps), P = 2 D (Snyder et al., 2018).

    Example:
        >>> hidden, mask = torch.tensor([[[1.], [7.], [99.]]]), torch.tensor([[True, True, False]])
        >>> MeanStdPooler(hidden_dim=1, eps=0.0)(hidden, mask)
        tensor([[4., 3.]])
    """

    permutation_invariant = True

    def __init__(self, hidden_dim: int, eps: NonNegativeFloat = 1e-5) -> None:
        super().__init__(hidden_dim)
        self.output_dim = 2 * hidden_dim
        self.eps = eps

    def forward(self, hidden: Hidden, mask: Mask) -> Pooled:
        clean = masked.fill(masked.upcast(hidden), mask, 0.0)
        mean = masked.mean(clean, mask)
        variance = masked.mean((clean - mean.unsqueeze(1)).square(), mask)
        pooled = torch.cat([mean, (variance + self.eps).sqrt()], dim=1)
        return masked.zero_empty_rows(pooled, mask).to(hidden.dtype)
