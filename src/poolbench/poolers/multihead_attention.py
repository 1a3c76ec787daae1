import torch
from torch import Tensor, nn

from poolbench.poolers import masked
from poolbench.poolers.base import Hidden, Mask, Pooled, Pooler, Size, TokenWeights


class MultiheadAttentionPooler(Pooler):
    """Multi-head attention of K learned queries to the tokens, concatenated: P = K D.

    The core of the Set Transformer's PMA (Lee et al., 2019) and of SigLIP's MAP head (Zhai et al.,
    2023), without the residual MLP after it. ``heads`` divides D; K is ``queries``.

    Example:
        >>> hidden, mask = torch.tensor([[[1.], [7.], [99.]]]), torch.tensor([[True, True, False]])
        >>> pooler = MultiheadAttentionPooler(hidden_dim=1, heads=1)
        >>> _ = nn.init.zeros_(pooler.queries)  # equal scores: the mean of the values
        >>> _ = nn.init.ones_(pooler.attention.in_proj_weight)
        >>> _ = nn.init.ones_(pooler.attention.out_proj.weight)
        >>> pooler(hidden, mask).detach()
        tensor([[4.]])
    """

    permutation_invariant = True
    weights_label = "attention, mean over heads and queries"

    def __init__(self, hidden_dim: int, heads: Size = 8, queries: Size = 1) -> None:
        super().__init__(hidden_dim)
        self.output_dim = queries * hidden_dim
        if hidden_dim % heads:
            raise ValueError(f"heads={heads} does not divide hidden_dim={hidden_dim}")
        self.queries = nn.Parameter(torch.randn(queries, hidden_dim) * hidden_dim**-0.5)
        self.attention = nn.MultiheadAttention(hidden_dim, heads, batch_first=True)

    def forward(self, hidden: Hidden, mask: Mask) -> Pooled:
        return self._attend(hidden, mask)[0].flatten(1)

    def token_weights(self, hidden: Hidden, mask: Mask) -> TokenWeights:
        return self._attend(hidden, mask, need_weights=True)[1].mean(dim=1)

    def _attend(self, hidden: Tensor, mask: Tensor, need_weights: bool = False) -> list[Tensor]:
        """Attended states (B, K, D), and weights (B, K, T) if needed."""
        clean = masked.fill(hidden, mask, 0.0)
        queries = self.queries.expand(hidden.shape[0], -1, -1)
        found = self.attention(queries, clean, clean, ~masked.attendable(mask), need_weights)
        return [masked.zero_empty_rows(x, mask) for x in found if x is not None]
