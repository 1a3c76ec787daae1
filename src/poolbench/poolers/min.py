from poolbench.poolers import masked
from poolbench.poolers.base import Hidden, Mask, Pooled
from poolbench.poolers.max import MaxPooler


class MinPooler(MaxPooler):
    """The minimum over valid tokens, per dimension (Rückle et al., 2018).

    Example:
        >>> hidden, mask = torch.tensor([[[1.], [7.], [-99.]]]), torch.tensor([[True, True, False]])
        >>> MinPooler(hidden_dim=1)(hidden, mask)
        tensor([[1.]])
    """

    weights_label = "share of dimensions where the token is the minimum"

    def forward(self, hidden: Hidden, mask: Mask) -> Pooled:
        return masked.minimum(hidden, mask)
