import torch

from poolbench.poolers import masked
from poolbench.poolers.base import Hidden, Mask, Pooled, Pooler, TokenWeights


class MeanMaxPooler(Pooler):
    """[mean; maximum] over valid tokens, P = 2 D: SWEM-concat (Shen et al., 2018).

    Example:
        >>> hidden, mask = torch.tensor([[[1.], [7.], [99.]]]), torch.tensor([[True, True, False]])
        >>> MeanMaxPooler(hidden_dim=1)(hidden, mask)
        tensor([[4., 7.]])
    """

    permutation_invariant = True
    weights_label = "half equal weights, half share of dimensions where the token is the maximum"

    def __init__(self, hidden_dim: int) -> None:
        super().__init__(hidden_dim)
        self.output_dim = 2 * hidden_dim

    def forward(self, hidden: Hidden, mask: Mask) -> Pooled:
        return torch.cat([masked.mean(hidden, mask), masked.maximum(hidden, mask)], dim=1)

    def token_weights(self, hidden: Hidden, mask: Mask) -> TokenWeights:
        share = masked.share_of_dimensions(hidden, masked.maximum(hidden, mask), mask)
        return (masked.uniform(mask) + share) / 2
