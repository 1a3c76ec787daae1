from jaxtyping import Bool, Float
from torch import Tensor, nn

from poolbench.poolers import masked
from poolbench.poolers.base import Pooler


class TransformerLayerPooler(Pooler):
    """One more encoder layer, then the mean over valid tokens: the price of a large pooler.

    A layer as in BERT (Vaswani et al., 2017; GELU, norms after the residuals), without dropout, so
    that it differs from ``mean`` by the layer alone. It adds no positions: order reaches it through
    the encoder only.

    Args:
        hidden_dim: D.
        heads: H; each attends in D / H dimensions.

    Raises:
        ValueError: ``heads`` does not divide ``hidden_dim``.

    Example:
        >>> hidden = torch.tensor([[[1.0, -1.0], [1.0, -1.0], [99.0, 99.0]]])
        >>> mask = torch.tensor([[True, True, False]])
        >>> pooler = TransformerLayerPooler(hidden_dim=2, heads=1)
        >>> for layer in (pooler.layer.self_attn.out_proj, pooler.layer.linear2):
        ...     _ = nn.init.zeros_(layer.weight), nn.init.zeros_(layer.bias)
        >>> pooler(hidden, mask).detach()  # only the norms are left, and 1, -1 is normal
        tensor([[ 1.0000, -1.0000]])
    """

    permutation_invariant = True

    def __init__(self, hidden_dim: int, heads: int = 8) -> None:
        super().__init__(hidden_dim)
        if hidden_dim % heads:
            raise ValueError(f"heads={heads} does not divide hidden_dim={hidden_dim}")
        self.layer = nn.TransformerEncoderLayer(
            hidden_dim, heads, 4 * hidden_dim, dropout=0.0, activation="gelu", batch_first=True
        )

    def forward(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B D"]:
        clean = masked.fill(hidden, mask, 0.0)
        states = self.layer(clean, src_key_padding_mask=~masked.attendable(mask))
        return masked.mean(states, mask)
