from poolbench.poolers import masked
from poolbench.poolers.base import Hidden, Mask, Pooled, Pooler, TokenWeights


class WeightedMeanPooler(Pooler):
    """sum_i i x_i / sum_i i over valid tokens, i = 1..n: SGPT (Muennighoff, 2022), for decoders.

    Example:
        >>> hidden, mask = torch.tensor([[[1.], [7.], [99.]]]), torch.tensor([[True, True, False]])
        >>> WeightedMeanPooler(hidden_dim=1)(hidden, mask)  # (1 * 1 + 2 * 7) / (1 + 2)
        tensor([[5.]])
    """

    permutation_invariant = False
    weights_label = "position weights"

    def forward(self, hidden: Hidden, mask: Mask) -> Pooled:
        wide = masked.upcast(hidden)
        i = ((masked.rank(mask) + 1) * mask).to(wide.dtype)  # (B, T)
        # Dividing after the sum rounds once: integer weights are exact.
        weighted = masked.weighted_sum(wide, i, mask)
        return (weighted / i.sum(dim=1, keepdim=True).clamp(min=1.0)).to(hidden.dtype)

    def token_weights(self, hidden: Hidden, mask: Mask) -> TokenWeights:
        i = (masked.rank(mask) + 1) * mask
        return i / i.sum(dim=1, keepdim=True).clamp(min=1)
