import torch
from pydantic import NonNegativeFloat

from poolbench.poolers import masked
from poolbench.poolers.attention import AttentionPooler
from poolbench.poolers.base import Hidden, Mask, Pooled, Pooler, Size, TokenWeights


class AttentiveStatisticsPooler(Pooler):
    """[mean; std] with the weights a of ``attention``, P = 2 D (Okabe et al., 2018).

    mean = sum_t a_t x_t; std = sqrt(sum_t a_t (x_t - mean)^2 + eps).

    Example:
        >>> hidden, mask = torch.tensor([[[1.], [7.], [99.]]]), torch.tensor([[True, True, False]])
        >>> pooler = AttentiveStatisticsPooler(hidden_dim=1, attention_dim=1, eps=0.0)
        >>> _ = torch.nn.init.zeros_(pooler.attention.score.weight)  # equal scores
        >>> pooler(hidden, mask).detach()
        tensor([[4., 3.]])
    """

    permutation_invariant = True
    weights_label = "attention"

    def __init__(
        self, hidden_dim: int, attention_dim: Size = 128, eps: NonNegativeFloat = 1e-5
    ) -> None:
        super().__init__(hidden_dim)
        self.output_dim = 2 * hidden_dim
        self.attention = AttentionPooler(hidden_dim, attention_dim)
        self.eps = eps

    def forward(self, hidden: Hidden, mask: Mask) -> Pooled:
        weights = self.token_weights(hidden, mask)
        wide = masked.upcast(masked.fill(hidden, mask, 0.0))
        mean = masked.weighted_sum(wide, weights, mask)
        variance = masked.weighted_sum((wide - mean.unsqueeze(1)).square(), weights, mask)
        pooled = torch.cat([mean, (variance + self.eps).sqrt()], dim=1)
        return masked.zero_empty_rows(pooled, mask).to(hidden.dtype)

    def token_weights(self, hidden: Hidden, mask: Mask) -> TokenWeights:
        return self.attention.token_weights(hidden, mask)
