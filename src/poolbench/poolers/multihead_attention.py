import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from poolbench.poolers import masked
from poolbench.poolers.base import Pooler


class MultiheadAttentionPooler(Pooler):
    """What K learned queries find in the text by multi-head attention, concatenated: P = K D.

    The core of the Set Transformer's PMA (Lee et al., 2019) and of SigLIP's MAP head (Zhai et al.,
    2023), without the residual MLP behind it.

    Args:
        hidden_dim: D.
        heads: H; each attends in D / H dimensions.
        queries: K.

    Raises:
        ValueError: ``heads`` does not divide ``hidden_dim``.

    Example:
        >>> hidden = torch.tensor([[[1.0], [7.0], [99.0]]])
        >>> mask = torch.tensor([[True, True, False]])
        >>> pooler = MultiheadAttentionPooler(hidden_dim=1, heads=1)
        >>> _ = nn.init.zeros_(pooler.queries)  # equal scores: the mean of the values
        >>> _ = nn.init.ones_(pooler.attention.in_proj_weight)
        >>> _ = nn.init.ones_(pooler.attention.out_proj.weight)
        >>> pooler(hidden, mask).detach()
        tensor([[4.]])
    """

    permutation_invariant = True
    weighs = "attention, mean over heads and queries"

    def __init__(self, hidden_dim: int, heads: int = 8, queries: int = 1) -> None:
        super().__init__(hidden_dim)
        if hidden_dim % heads:
            raise ValueError(f"heads={heads} does not divide hidden_dim={hidden_dim}")
        self.queries = nn.Parameter(torch.randn(queries, hidden_dim) * hidden_dim**-0.5)
        self.attention = nn.MultiheadAttention(hidden_dim, heads, batch_first=True)
        self.output_dim = queries * hidden_dim

    def forward(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B P"]:
        found, _ = self._attend(hidden, mask, need_weights=False)
        return masked.blank_empty(found, mask).flatten(1)

    def shares(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B T"]:
        _, weights = self._attend(hidden, mask, need_weights=True)  # (B, K, T)
        assert weights is not None
        return masked.blank_empty(weights.mean(dim=1), mask)

    def _attend(
        self, hidden: Tensor, mask: Tensor, need_weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        clean = masked.fill(hidden, mask, 0.0)
        queries = self.queries.expand(hidden.shape[0], -1, -1)  # (B, K, D)
        barred = ~masked.attendable(mask)
        return self.attention(
            queries, clean, clean, key_padding_mask=barred, need_weights=need_weights
        )
