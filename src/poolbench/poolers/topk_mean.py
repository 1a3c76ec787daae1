import torch
from jaxtyping import Bool, Float
from torch import Tensor

from poolbench.poolers import masked
from poolbench.poolers.base import Pooler


class TopkMeanPooler(Pooler):
    """The mean of the min(k, n) largest valid values of each dimension.

    After the k-max pooling of Kalchbrenner et al. (2014), which keeps the k values apart and in
    their order. k = 1 is the maximum; a text shorter than k gives its mean, never padding.

    Args:
        hidden_dim: D.
        k: values averaged.

    Raises:
        ValueError: ``k`` is less than 1.

    Example:
        >>> hidden = torch.tensor([[[1.0], [7.0], [3.0], [99.0]]])
        >>> mask = torch.tensor([[True, True, True, False]])
        >>> TopkMeanPooler(hidden_dim=1, k=2)(hidden, mask)
        tensor([[5.]])
    """

    permutation_invariant = True

    def __init__(self, hidden_dim: int, k: int = 3) -> None:
        super().__init__(hidden_dim)
        if k < 1:
            raise ValueError(f"k={k} must be at least 1")
        self.k = k

    def forward(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B D"]:
        top = torch.arange(mask.shape[1], device=mask.device) < self.k  # (T,)
        return masked.mean(masked.descending(hidden, mask), masked.leading(mask) & top)
