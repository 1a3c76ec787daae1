from poolbench.poolers import masked
from poolbench.poolers.base import Hidden, Mask, Pooled, Pooler, TokenWeights


class MaxPooler(Pooler):
    """The maximum over valid tokens, per dimension (Conneau et al., 2017).

    Example:
        >>> hidden = torch.tensor([[[-1.0], [-7.0], [99.0]]])
        >>> mask = torch.tensor([[True, True, False]])
        >>> MaxPooler(hidden_dim=1)(hidden, mask)
        tensor([[-1.]])
    """

    permutation_invariant = True
    weights_label = "share of dimensions where the token is the maximum"

    def forward(self, hidden: Hidden, mask: Mask) -> Pooled:
        return masked.maximum(hidden, mask)

    def token_weights(self, hidden: Hidden, mask: Mask) -> TokenWeights:
        return masked.share_of_dimensions(hidden, self.forward(hidden, mask), mask)
