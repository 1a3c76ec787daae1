from pydantic import PositiveFloat

from poolbench.poolers import masked
from poolbench.poolers.base import Hidden, Mask, Pooled, Pooler, TokenWeights


class SoftMaxPooler(Pooler):
    """sum_t softmax_t(x_t / temperature) * x_t per dimension: SoftPool (Stergiou et al., 2021).

    Example:
        >>> hidden, mask = torch.tensor([[[0.], [1.], [99.]]]), torch.tensor([[True, True, False]])
        >>> SoftMaxPooler(hidden_dim=1)(hidden, mask)  # e / (1 + e)
        tensor([[0.7311]])
    """

    permutation_invariant = True
    weights_label = "weights, mean over dimensions"

    def __init__(self, hidden_dim: int, temperature: PositiveFloat = 1.0) -> None:
        super().__init__(hidden_dim)
        self.temperature = temperature

    def forward(self, hidden: Hidden, mask: Mask) -> Pooled:
        return masked.weighted_sum_per_dimension(hidden, self._weights(hidden, mask), mask)

    def token_weights(self, hidden: Hidden, mask: Mask) -> TokenWeights:
        return self._weights(hidden, mask).mean(dim=2)

    def _weights(self, hidden: Hidden, mask: Mask) -> Hidden:
        return masked.softmax_per_dimension(masked.upcast(hidden) / self.temperature, mask)
