from poolbench.poolers import masked
from poolbench.poolers.base import Hidden, Mask, Pooled
from poolbench.poolers.mean import MeanPooler


class MeanSqrtPooler(MeanPooler):
    """sum_t x_t / sqrt(n) over valid tokens: Universal Sentence Encoder (Cer et al., 2018).

    Example:
        >>> hidden = torch.tensor([[[1.0], [7.0], [1.0], [3.0], [99.0]]])
        >>> mask = torch.tensor([[True, True, True, True, False]])
        >>> MeanSqrtPooler(hidden_dim=1)(hidden, mask)  # 12 / sqrt(4)
        tensor([[6.]])
    """

    def forward(self, hidden: Hidden, mask: Mask) -> Pooled:
        root = masked.count(mask).unsqueeze(-1).sqrt()
        return (masked.total(hidden, mask) / root).to(hidden.dtype)
