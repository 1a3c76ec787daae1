from jaxtyping import Bool, Float
from torch import Tensor

from poolbench.poolers import masked
from poolbench.poolers.base import Pooler


class SoftMaxPooler(Pooler):
    """A mean of each dimension weighted by itself, sum_t softmax_t(x_t / temperature) x_t.

    SoftPool (Stergiou et al., 2021): unlike the maximum, every token gets a gradient.

    Args:
        hidden_dim: D.
        temperature: small gives the maximum, large the mean.

    Raises:
        ValueError: ``temperature`` is not positive.

    Example:
        >>> hidden = torch.tensor([[[0.0], [1.0], [99.0]]])
        >>> mask = torch.tensor([[True, True, False]])
        >>> SoftMaxPooler(hidden_dim=1)(hidden, mask)  # e / (1 + e)
        tensor([[0.7311]])
    """

    permutation_invariant = True
    weighs = "weights, mean over dimensions"

    def __init__(self, hidden_dim: int, temperature: float = 1.0) -> None:
        super().__init__(hidden_dim)
        if temperature <= 0:
            raise ValueError(f"temperature={temperature} must be positive")
        self.temperature = temperature

    def forward(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B D"]:
        return masked.weighted_sum_by_dimension(hidden, self._weights(hidden, mask), mask)

    def shares(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B T"]:
        return self._weights(hidden, mask).mean(dim=2)

    def _weights(self, hidden: Tensor, mask: Tensor) -> Float[Tensor, "B T D"]:
        clean = masked.fill(hidden, mask, 0.0)
        return masked.softmax_by_dimension(masked.widen(clean) / self.temperature, mask)
