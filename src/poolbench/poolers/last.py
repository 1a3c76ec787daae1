from poolbench.poolers import masked
from poolbench.poolers.base import Hidden, Mask, Pooled, Pooler, TokenWeights


class LastPooler(Pooler):
    """The state of the last valid token: SGPT (Muennighoff, 2022), for decoders.

    Example:
        >>> hidden, mask = torch.tensor([[[1.], [7.], [99.]]]), torch.tensor([[True, True, False]])
        >>> LastPooler(hidden_dim=1)(hidden, mask)
        tensor([[7.]])
    """

    permutation_invariant = False
    weights_label = "last token"

    def forward(self, hidden: Hidden, mask: Mask) -> Pooled:
        return masked.last_state(hidden, mask)

    def token_weights(self, hidden: Hidden, mask: Mask) -> TokenWeights:
        return masked.one_hot(masked.last(mask), mask)
