from torch import Tensor

from poolbench.poolers import masked
from poolbench.poolers.base import Hidden, Mask, Pooled, Pooler, Size, TokenWeights, multihead


class AdaPoolPooler(Pooler):
    """Multi-head attention of the mean to the tokens: AdaPool (Brothers, 2025, arXiv 2506.09215).

    The query is the mean of the states (B, T, D) over valid tokens, keys and values are the states.
    ``heads`` divides D. In ``multihead_attention`` the query is learned and the same for all texts.

    Example:
        >>> hidden, mask = torch.tensor([[[1.], [7.], [99.]]]), torch.tensor([[True, True, False]])
        >>> pooler = AdaPoolPooler(hidden_dim=1, heads=1)
        >>> _ = torch.nn.init.zeros_(pooler.attention.in_proj_weight[:2])  # equal scores
        >>> _ = torch.nn.init.ones_(pooler.attention.in_proj_weight[2:])  # values: the states
        >>> _ = torch.nn.init.ones_(pooler.attention.out_proj.weight)
        >>> pooler(hidden, mask).detach()
        tensor([[4.]])
    """

    permutation_invariant = True
    weights_label = "attention, mean over heads"

    def __init__(self, hidden_dim: int, heads: Size = 8) -> None:
        super().__init__(hidden_dim)
        self.attention = multihead(hidden_dim, heads)

    def forward(self, hidden: Hidden, mask: Mask) -> Pooled:
        return masked.attend(self.attention, _query(hidden, mask), hidden, mask).squeeze(1)

    def token_weights(self, hidden: Hidden, mask: Mask) -> TokenWeights:
        return masked.attended(self.attention, _query(hidden, mask), hidden, mask)


def _query(hidden: Tensor, mask: Tensor) -> Tensor:
    return masked.mean(hidden, mask).unsqueeze(1)  # (B, 1, D)
