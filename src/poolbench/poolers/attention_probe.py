import torch
from jaxtyping import Float
from torch import Tensor, nn

from poolbench.poolers import masked
from poolbench.poolers.base import Hidden, Mask, Pooled, Pooler, Size, TokenWeights


class AttentionProbePooler(Pooler):
    """H concatenated weighted means, a_h = softmax_t(q_h . x_t + b_h t): P = H D.

    Attention probes (EleutherAI, 2025, blog.eleuther.ai/attention-probes) with a learned slope b_h
    per head; t = 0, 1, ... counts valid tokens. Their values, V_h x_t summed over the heads, are a
    linear head on these means. H is ``heads``.

    Example:
        >>> hidden, mask = torch.tensor([[[1.], [7.], [99.]]]), torch.tensor([[True, True, False]])
        >>> pooler = AttentionProbePooler(hidden_dim=1, heads=2)
        >>> _ = nn.init.zeros_(pooler.query.weight)
        >>> pooler.slope.data = torch.tensor([0.0, 50.0])  # equal scores, and late tokens first
        >>> pooler(hidden, mask).detach()
        tensor([[4., 7.]])
    """

    permutation_invariant = False
    weights_label = "attention, mean over heads"

    def __init__(self, hidden_dim: int, heads: Size = 8) -> None:
        super().__init__(hidden_dim)
        self.output_dim = heads * hidden_dim
        self.query = nn.Linear(hidden_dim, heads, bias=False)
        self.slope = nn.Parameter(torch.randn(heads) * 0.01)

    def forward(self, hidden: Hidden, mask: Mask) -> Pooled:
        weights = self._attention(hidden, mask)
        means = weights @ masked.fill(hidden, mask, 0.0).to(weights.dtype)  # (B, H, D)
        return means.flatten(1).to(hidden.dtype)

    def token_weights(self, hidden: Hidden, mask: Mask) -> TokenWeights:
        return self._attention(hidden, mask).mean(dim=1)

    def _attention(self, hidden: Tensor, mask: Tensor) -> Float[Tensor, "B H T"]:
        scores = masked.upcast(masked.per_token(self.query, hidden, mask))  # (B, T, H)
        # In bfloat16, positions from 256 on would be rounded.
        scores = scores + masked.upcast(self.slope) * masked.rank(mask).unsqueeze(-1)
        return masked.softmax(scores.transpose(1, 2), mask.unsqueeze(1))
