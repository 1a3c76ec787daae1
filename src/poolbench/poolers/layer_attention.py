import torch
from jaxtyping import Float
from torch import Tensor, nn

from poolbench.poolers import masked
from poolbench.poolers.base import Hidden, Mask, Pooled, Pooler, Size, multihead


class LayerAttentionPooler(Pooler):
    """Attention of a learned query to the [CLS] state and the mean of every layer.

    Attentive layer fusion of vision transformers (Ciernik, Morik et al., 2026, arXiv 2601.09322):
    multi-head attention to 2 L states, the first and the mean of the valid tokens in each of L
    layers. The embeddings are the first layer, so L is ``depth`` + 1. ``heads`` divides D.

    Example:
        >>> hidden, mask = torch.tensor([[[1.], [7.], [99.]]]), torch.tensor([[True, True, False]])
        >>> pooler = LayerAttentionPooler(hidden_dim=1, depth=1, heads=1)
        >>> _ = nn.init.zeros_(pooler.query)  # equal scores
        >>> _ = nn.init.ones_(pooler.attention.in_proj_weight)
        >>> _ = nn.init.ones_(pooler.attention.out_proj.weight)
        >>> layers = torch.stack([hidden + 1.0, hidden], dim=2)
        >>> pooler(hidden, mask, layers=layers).detach()  # first 2 and 1, mean 5 and 4
        tensor([[3.]])
    """

    permutation_invariant = False
    needs_special_tokens = True
    needs = frozenset({"layers", "depth"})

    def __init__(self, hidden_dim: int, depth: int, heads: Size = 8) -> None:
        super().__init__(hidden_dim)
        self.layer_indices = tuple(range(-depth - 1, 0))
        self.query = nn.Parameter(torch.randn(1, hidden_dim) * hidden_dim**-0.5)
        self.attention = multihead(hidden_dim, heads)

    def forward(self, hidden: Hidden, mask: Mask, layers: Float[Tensor, "B T L D"]) -> Pooled:
        states = layers.flatten(2)  # (B, T, L D)
        both = masked.first_state(states, mask), masked.mean(states, mask)
        keys = torch.cat(both, dim=1).unflatten(1, (-1, self.hidden_dim))  # (B, 2 L, D)
        used = mask.any(dim=1, keepdim=True).expand(-1, keys.shape[1])
        query = self.query.expand(len(mask), -1, -1)
        return masked.attend(self.attention, query, keys, used).squeeze(1)
