from jaxtyping import Bool, Float
from torch import Tensor

from poolbench.poolers import masked
from poolbench.poolers.base import Pooler


class LogSumExpPooler(Pooler):
    """A smooth maximum for each dimension, (1/r) log(sum_t exp(r x_t) / n).

    Pinheiro and Collobert (2015). It runs from the mean (r near 0) to the maximum (large r).

    Args:
        hidden_dim: D.
        r: sharpness.

    Raises:
        ValueError: ``r`` is not positive.

    Example:
        >>> hidden = torch.tensor([[[5.0], [5.0], [99.0]]])
        >>> mask = torch.tensor([[True, True, False]])
        >>> LogSumExpPooler(hidden_dim=1)(hidden, mask)
        tensor([[5.]])
    """

    permutation_invariant = True

    def __init__(self, hidden_dim: int, r: float = 1.0) -> None:
        super().__init__(hidden_dim)
        if r <= 0:
            raise ValueError(f"r={r} must be positive")
        self.r = r

    def forward(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B D"]:
        log_sum = masked.logsumexp(masked.widen(hidden) * self.r, mask)
        log_mean = log_sum - masked.count(mask).to(log_sum.dtype).log().unsqueeze(-1)
        return (log_mean / self.r).to(hidden.dtype)
