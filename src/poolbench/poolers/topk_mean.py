from poolbench.poolers import masked
from poolbench.poolers.base import Hidden, Mask, Pooled, Pooler, Size


class TopkMeanPooler(Pooler):
    """The mean of the min(k, n) largest values per dimension, after Kalchbrenner et al. (2014).

    Example:
        >>> hidden = torch.tensor([[[1.0], [7.0], [3.0], [99.0]]])
        >>> mask = torch.tensor([[True, True, True, False]])
        >>> TopkMeanPooler(hidden_dim=1, k=2)(hidden, mask)
        tensor([[5.]])
    """

    permutation_invariant = True

    def __init__(self, hidden_dim: int, k: Size = 3) -> None:
        super().__init__(hidden_dim)
        self.k = k

    def forward(self, hidden: Hidden, mask: Mask) -> Pooled:
        k = min(self.k, mask.shape[1])
        top = masked.fill(hidden, mask, float("-inf")).topk(k, dim=1).values
        return masked.mean(top, masked.left_aligned(mask)[:, :k])
