import torch
from jaxtyping import Float
from torch import Tensor, nn

from poolbench.poolers import masked
from poolbench.poolers.base import Hidden, Mask, Pooled, Pooler, Size, TokenWeights, check_divides


class EfficientProbingPooler(Pooler):
    """K learned queries, each of which averages its own slice of the values: P = D.

    a_k = softmax_t(q_k . x_t / sqrt(D)); output slice k = sum_t a_kt (W x_t)[slice k] (Psomas et
    al., 2026; published for images, not text). ``queries`` is K and divides D.

    Example:
        >>> hidden, mask = torch.tensor([[[1.], [7.], [99.]]]), torch.tensor([[True, True, False]])
        >>> pooler = EfficientProbingPooler(hidden_dim=1, queries=1)
        >>> _ = nn.init.zeros_(pooler.queries)  # equal scores: the mean of the values
        >>> _ = nn.init.ones_(pooler.value.weight)
        >>> pooler(hidden, mask).detach()
        tensor([[4.]])
    """

    permutation_invariant = True
    weights_label = "attention, mean over queries"

    def __init__(self, hidden_dim: int, queries: Size = 8) -> None:
        super().__init__(hidden_dim)
        check_divides("queries", queries, hidden_dim)
        self.queries = nn.Parameter(torch.randn(queries, hidden_dim) * 0.02)
        self.value = nn.Linear(hidden_dim, hidden_dim, bias=False)

    def forward(self, hidden: Hidden, mask: Mask) -> Pooled:
        weights = self._attention(hidden, mask)
        values = masked.per_token(self.value, hidden, mask)
        values = values.view(*mask.shape, len(self.queries), -1)  # (B, T, K, D / K)
        slices = torch.einsum("bkt,btkd->bkd", weights, values.to(weights.dtype))
        return slices.flatten(1).to(hidden.dtype)

    def token_weights(self, hidden: Hidden, mask: Mask) -> TokenWeights:
        return self._attention(hidden, mask).mean(dim=1)

    def _attention(self, hidden: Tensor, mask: Tensor) -> Float[Tensor, "B K T"]:
        keys = masked.fill(hidden, mask, 0.0).transpose(1, 2)
        scores = self.queries * self.hidden_dim**-0.5 @ keys
        return masked.softmax(scores, mask.unsqueeze(1))
