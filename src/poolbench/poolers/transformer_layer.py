from torch import nn

from poolbench.poolers import masked
from poolbench.poolers.base import Hidden, Mask, Pooled, Pooler, Size, check_divides


class TransformerLayerPooler(Pooler):
    """A transformer encoder layer (Vaswani et al., 2017), then the mean over valid tokens.

    As in BERT (GELU, norms after the residuals), without dropout. ``heads`` divides D.

    Example:
        >>> hidden = torch.tensor([[[1.0, -1.0], [1.0, -1.0], [99.0, 99.0]]])
        >>> mask = torch.tensor([[True, True, False]])
        >>> pooler = TransformerLayerPooler(hidden_dim=2, heads=1)
        >>> for layer in (pooler.layer.self_attn.out_proj, pooler.layer.linear2):
        ...     _ = nn.init.zeros_(layer.weight), nn.init.zeros_(layer.bias)
        >>> pooler(hidden, mask).detach()  # the norms remain; (1, -1) is normalised already
        tensor([[ 1.0000, -1.0000]])
    """

    permutation_invariant = True

    def __init__(self, hidden_dim: int, heads: Size = 8) -> None:
        super().__init__(hidden_dim)
        check_divides("heads", heads, hidden_dim)
        self.layer = nn.TransformerEncoderLayer(
            hidden_dim, heads, 4 * hidden_dim, dropout=0.0, activation="gelu", batch_first=True
        )

    def forward(self, hidden: Hidden, mask: Mask) -> Pooled:
        clean = masked.fill(hidden, mask, 0.0)
        states = self.layer(clean, src_key_padding_mask=~masked.attendable(mask))
        return masked.mean(states, mask)
