from poolbench.poolers import masked
from poolbench.poolers.base import Hidden, Mask, Pooled
from poolbench.poolers.mean import MeanPooler


class SumPooler(MeanPooler):
    """The sum over valid tokens (Ennadir et al., 2025): its norm grows with the length of the text.

    Example:
        >>> hidden, mask = torch.tensor([[[1.], [7.], [99.]]]), torch.tensor([[True, True, False]])
        >>> SumPooler(hidden_dim=1)(hidden, mask)
        tensor([[8.]])
    """

    def forward(self, hidden: Hidden, mask: Mask) -> Pooled:
        return masked.total(hidden, mask).to(hidden.dtype)
