import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from poolbench.poolers import masked
from poolbench.poolers.base import Pooler


class AttentiveStatisticsPooler(Pooler):
    """[mean; std] over valid tokens under learned weights, P = 2 D (Okabe et al., 2018).

    a = softmax_t(v . tanh(W x_t + b)); mean = sum_t a_t x_t;
    std = sqrt(sum_t a_t (x_t - mean)^2 + eps).

    Args:
        hidden_dim: D.
        attention_dim: rows of W, the width in which tokens are scored.
        eps: under the root, whose slope at 0 is infinite: one token has no variance.

    Example:
        >>> hidden = torch.tensor([[[1.0], [7.0], [99.0]]])
        >>> mask = torch.tensor([[True, True, False]])
        >>> pooler = AttentiveStatisticsPooler(hidden_dim=1, attention_dim=1, eps=0.0)
        >>> _ = nn.init.zeros_(pooler.score.weight)  # equal scores: plain mean and std
        >>> pooler(hidden, mask).detach()
        tensor([[4., 3.]])
    """

    permutation_invariant = True
    weighs = "attention"

    def __init__(self, hidden_dim: int, attention_dim: int = 128, eps: float = 1e-5) -> None:
        super().__init__(hidden_dim)
        self.project = nn.Linear(hidden_dim, attention_dim)
        self.score = nn.Linear(attention_dim, 1, bias=False)
        self.eps = eps
        self.output_dim = 2 * hidden_dim

    def forward(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B P"]:
        weights = self.shares(hidden, mask)
        wide = masked.widen(masked.fill(hidden, mask, 0.0))
        mean = masked.weighted_sum(wide, weights, mask)
        variance = masked.weighted_sum((wide - mean.unsqueeze(1)).square(), weights, mask)
        pooled = torch.cat([mean, (variance + self.eps).sqrt()], dim=1)
        return masked.blank_empty(pooled, mask).to(hidden.dtype)

    def shares(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B T"]:
        return masked.softmax(masked.by_token(self._score, hidden, mask), mask)

    def _score(self, tokens: Float[Tensor, "N D"]) -> Float[Tensor, " N"]:
        scores: Tensor = self.score(torch.tanh(self.project(tokens))).squeeze(-1)
        return scores
