from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from poolbench.poolers import masked
from poolbench.poolers.base import Pooler


class MaxAttentionPooler(Pooler):
    """Attention whose query is the maximum over valid tokens: no parameters.

    q = max_t x_t for each dimension, then sum_t softmax_t(x_t / |x_t| . q) x_t (Maini et al.,
    2020). Padding is left out of the query too.

    Example:
        >>> hidden = torch.tensor([[[0.0], [1.0], [99.0]]])
        >>> mask = torch.tensor([[True, True, False]])
        >>> MaxAttentionPooler(hidden_dim=1)(hidden, mask)  # q = 1: e / (1 + e)
        tensor([[0.7311]])
    """

    permutation_invariant = True
    weighs = "attention"

    def forward(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B D"]:
        return masked.weighted_sum(hidden, self.shares(hidden, mask), mask)

    def shares(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B T"]:
        clean = masked.fill(masked.widen(hidden), mask, 0.0)
        query = masked.maximum(clean, mask).unsqueeze(-1)  # (B, D, 1)
        scores = (functional.normalize(clean, dim=-1, eps=1e-6) @ query).squeeze(-1)  # (B, T)
        return masked.softmax(scores, mask)
