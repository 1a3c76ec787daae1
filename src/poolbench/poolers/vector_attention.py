import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from poolbench.poolers import masked
from poolbench.poolers.base import Pooler


class VectorAttentionPooler(Pooler):
    """A learned weighted mean for each dimension: one softmax over tokens per dimension.

    sum_t a_t * x_t with a = softmax_t(W2 relu(W1 x_t + b)), a_t in R^D (Chen, Ling and Zhu, 2018).
    Mean, maximum and scalar attention are special cases.

    Args:
        hidden_dim: D.
        attention_dim: rows of W1, the width in which tokens are scored.

    Example:
        >>> hidden = torch.tensor([[[1.0], [7.0], [99.0]]])
        >>> mask = torch.tensor([[True, True, False]])
        >>> pooler = VectorAttentionPooler(hidden_dim=1, attention_dim=1)
        >>> _ = nn.init.zeros_(pooler.score.weight)  # equal scores: the plain mean
        >>> pooler(hidden, mask).detach()
        tensor([[4.]])
    """

    permutation_invariant = True
    weighs = "attention, mean over dimensions"

    def __init__(self, hidden_dim: int, attention_dim: int = 128) -> None:
        super().__init__(hidden_dim)
        self.project = nn.Linear(hidden_dim, attention_dim)
        # No bias: a softmax does not change when all its scores move together.
        self.score = nn.Linear(attention_dim, hidden_dim, bias=False)

    def forward(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B D"]:
        return masked.weighted_sum_by_dimension(hidden, self._weights(hidden, mask), mask)

    def shares(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B T"]:
        return self._weights(hidden, mask).mean(dim=2)

    def _weights(self, hidden: Tensor, mask: Tensor) -> Float[Tensor, "B T D"]:
        return masked.softmax_by_dimension(masked.by_token(self._score, hidden, mask), mask)

    def _score(self, tokens: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        scores: Tensor = self.score(torch.relu(self.project(tokens)))
        return scores
