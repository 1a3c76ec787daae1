import torch
from torch import nn

from poolbench.poolers import masked
from poolbench.poolers.base import Hidden, Mask, Pooled, Pooler, Size, TokenWeights, multihead


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
        self.queries = nn.Parameter(torch.randn(queries, hidden_dim) * hidden_dim**-0.5)
        self.attention = multihead(hidden_dim, heads)

    def forward(self, hidden: Hidden, mask: Mask) -> Pooled:
        queries = self.queries.expand(hidden.shape[0], -1, -1)
        return masked.attend(self.attention, queries, hidden, mask).flatten(1)

    def token_weights(self, hidden: Hidden, mask: Mask) -> TokenWeights:
        queries = self.queries.expand(hidden.shape[0], -1, -1)
        return masked.attended(self.attention, queries, hidden, mask)
