from jaxtyping import Bool, Float
from torch import Tensor, nn

from poolbench.poolers import masked
from poolbench.poolers.base import Pooler


class MaxPoolBertPooler(Pooler):
    """What [CLS] finds by attention in the largest states of the last k layers.

    x_t = max over layers, for each dimension; then multi-head attention with the query x_first and
    all x_t as keys and values: the third variant of MaxPoolBERT (Behrendt et al., 2025).

    Args:
        hidden_dim: D.
        layers: k.
        heads: H.

    Raises:
        ValueError: ``heads`` does not divide ``hidden_dim``, or ``layers`` is below 1.

    Example:
        >>> from poolbench.poolers.base import Beside
        >>> hidden = torch.tensor([[[1.0], [7.0], [99.0]]])
        >>> mask = torch.tensor([[True, True, False]])
        >>> pooler = MaxPoolBertPooler(hidden_dim=1, layers=2, heads=1)
        >>> _ = nn.init.zeros_(pooler.attention.in_proj_weight[:2])  # equal scores
        >>> _ = nn.init.ones_(pooler.attention.in_proj_weight[2:])
        >>> _ = nn.init.ones_(pooler.attention.out_proj.weight)
        >>> states = torch.stack([hidden - 1.0, hidden], dim=2)
        >>> pooler(hidden, mask, Beside(layers=states)).detach()  # the mean of 1 and 7
        tensor([[4.]])
    """

    permutation_invariant = False
    reads_special = True
    needs = frozenset({"layers"})

    def __init__(self, hidden_dim: int, layers: int = 3, heads: int = 8) -> None:
        super().__init__(hidden_dim)
        if hidden_dim % heads:
            raise ValueError(f"heads={heads} does not divide hidden_dim={hidden_dim}")
        if layers < 1:
            raise ValueError(f"layers={layers} must be 1 or more")
        self.reads = tuple(range(-layers, 0))
        self.attention = nn.MultiheadAttention(hidden_dim, heads, batch_first=True)

    def forward(
        self,
        hidden: Float[Tensor, "B T D"],
        mask: Bool[Tensor, "B T"],
        layers: Float[Tensor, "B T R D"] | None = None,
    ) -> Float[Tensor, "B D"]:
        assert layers is not None
        # Before the maximum: its gradient at a NaN in the padding would be NaN.
        clean = masked.fill(layers.flatten(2), mask, 0.0).view_as(layers)
        largest = clean.amax(dim=2)
        query = masked.take(largest, masked.first(mask), mask).unsqueeze(1)  # (B, 1, D)
        barred = ~masked.attendable(mask)
        found, _ = self.attention(
            query, largest, largest, key_padding_mask=barred, need_weights=False
        )
        return masked.blank_empty(found.squeeze(1), mask)
