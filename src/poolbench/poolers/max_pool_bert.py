from jaxtyping import Float
from torch import Tensor

from poolbench.poolers import masked
from poolbench.poolers.base import Hidden, Mask, Pooled, Pooler, Size, multihead


class MaxPoolBertPooler(Pooler):
    """Attention of [CLS] to the maximum of the last k layers: MaxPoolBERT (Behrendt et al., 2025).

    x_t = max over layers, per dimension; then multi-head attention with the query x_first, keys and
    values x_t (their third variant). k is ``layers``; ``heads`` divides D.

    Example:
        >>> hidden, mask = torch.tensor([[[1.], [7.], [99.]]]), torch.tensor([[True, True, False]])
        >>> pooler = MaxPoolBertPooler(hidden_dim=1, layers=2, heads=1)
        >>> _ = torch.nn.init.zeros_(pooler.attention.in_proj_weight[:2])  # equal scores: the mean
        >>> _ = torch.nn.init.ones_(pooler.attention.in_proj_weight[2:])
        >>> _ = torch.nn.init.ones_(pooler.attention.out_proj.weight)
        >>> pooler(hidden, mask, layers=torch.stack([hidden - 1.0, hidden], dim=2)).detach()
        tensor([[4.]])
    """

    permutation_invariant = False
    needs_special_tokens = True
    needs = frozenset({"layers"})

    def __init__(self, hidden_dim: int, layers: Size = 3, heads: Size = 8) -> None:
        super().__init__(hidden_dim)
        self.layer_indices = tuple(range(-layers, 0))
        self.attention = multihead(hidden_dim, heads)

    def forward(self, hidden: Hidden, mask: Mask, layers: Float[Tensor, "B T L D"]) -> Pooled:
        # Filled before the maximum: its gradient at a NaN in the padding would be NaN.
        keys = masked.fill(layers, mask, 0.0).amax(dim=2)  # (B, T, D)
        query = masked.first_state(keys, mask).unsqueeze(1)  # (B, 1, D)
        return masked.attend(self.attention, query, keys, mask).squeeze(1)
