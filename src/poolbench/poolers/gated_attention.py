import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from poolbench.poolers import masked
from poolbench.poolers.base import Pooler


class GatedAttentionPooler(Pooler):
    """A learned weighted mean, sum_t a_t x_t, whose scores are gated.

    a = softmax_t(w . (tanh(V x_t + b) * sigmoid(U x_t + c))): multiple-instance learning (Ilse et
    al., 2018), where the gate makes up for tanh being nearly linear around 0.

    Args:
        hidden_dim: D.
        attention_dim: rows of V and U, the width in which tokens are scored.

    Example:
        >>> hidden = torch.tensor([[[1.0], [7.0], [99.0]]])
        >>> mask = torch.tensor([[True, True, False]])
        >>> pooler = GatedAttentionPooler(hidden_dim=1, attention_dim=1)
        >>> _ = nn.init.zeros_(pooler.score.weight)  # equal scores: the plain mean
        >>> pooler(hidden, mask).detach()
        tensor([[4.]])
    """

    permutation_invariant = True
    weighs = "attention"

    def __init__(self, hidden_dim: int, attention_dim: int = 128) -> None:
        super().__init__(hidden_dim)
        self.project = nn.Linear(hidden_dim, attention_dim)
        self.gate = nn.Linear(hidden_dim, attention_dim)
        self.score = nn.Linear(attention_dim, 1, bias=False)

    def forward(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B D"]:
        return masked.weighted_sum(hidden, self.shares(hidden, mask), mask)

    def shares(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B T"]:
        return masked.softmax(masked.by_token(self._score, hidden, mask), mask)

    def _score(self, tokens: Float[Tensor, "N D"]) -> Float[Tensor, " N"]:
        gated = torch.tanh(self.project(tokens)) * torch.sigmoid(self.gate(tokens))
        scores: Tensor = self.score(gated).squeeze(-1)
        return scores
