import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from poolbench.poolers import masked
from poolbench.poolers.base import Pooler


class EfficientProbingPooler(Pooler):
    """K learned queries, each of which averages its own slice of the values: P = D.

    a_k = softmax_t(q_k . x_t / sqrt(D)); output slice k = sum_t a_kt (W x_t)[slice k]. The states
    are the keys, so W is the only matrix (Psomas et al., 2026, who report images, not text).

    Args:
        hidden_dim: D.
        queries: K; each owns D / K dimensions of the output.

    Raises:
        ValueError: ``queries`` does not divide ``hidden_dim``.

    Example:
        >>> hidden = torch.tensor([[[1.0], [7.0], [99.0]]])
        >>> mask = torch.tensor([[True, True, False]])
        >>> pooler = EfficientProbingPooler(hidden_dim=1, queries=1)
        >>> _ = nn.init.zeros_(pooler.queries)  # equal scores: the mean of the values
        >>> _ = nn.init.ones_(pooler.value.weight)
        >>> pooler(hidden, mask).detach()
        tensor([[4.]])
    """

    permutation_invariant = True
    weighs = "attention, mean over queries"

    def __init__(self, hidden_dim: int, queries: int = 8) -> None:
        super().__init__(hidden_dim)
        if hidden_dim % queries:
            raise ValueError(f"queries={queries} does not divide hidden_dim={hidden_dim}")
        self.queries = nn.Parameter(torch.randn(queries, hidden_dim) * 0.02)
        self.value = nn.Linear(hidden_dim, hidden_dim, bias=False)

    def forward(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B D"]:
        weights = self._weights(masked.fill(hidden, mask, 0.0), mask)
        values = masked.by_token(self.value, hidden, mask)
        values = values.unflatten(2, (len(self.queries), -1))  # (B, T, K, D / K)
        slices = torch.einsum("bkt,btkd->bkd", weights, values.to(weights.dtype))
        return slices.flatten(1).to(hidden.dtype)

    def shares(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B T"]:
        return self._weights(masked.fill(hidden, mask, 0.0), mask).mean(dim=1)

    def _weights(self, clean: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]) -> Tensor:
        scores = self.queries * self.hidden_dim**-0.5 @ clean.transpose(1, 2)  # (B, K, T)
        return masked.softmax(scores, mask.unsqueeze(1).expand_as(scores))
