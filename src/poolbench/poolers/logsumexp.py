from pydantic import PositiveFloat

from poolbench.poolers import masked
from poolbench.poolers.base import Hidden, Mask, Pooled, Pooler


class LogSumExpPooler(Pooler):
    """A smooth maximum per dimension, 1/r log(sum_t exp(r x_t) / n) (Pinheiro and Collobert, 2015).

    Example:
        >>> hidden, mask = torch.tensor([[[5.], [5.], [99.]]]), torch.tensor([[True, True, False]])
        >>> LogSumExpPooler(hidden_dim=1)(hidden, mask)
        tensor([[5.]])
    """

    permutation_invariant = True

    def __init__(self, hidden_dim: int, r: PositiveFloat = 1.0) -> None:
        super().__init__(hidden_dim)
        self.r = r

    def forward(self, hidden: Hidden, mask: Mask) -> Pooled:
        wide = masked.fill(masked.upcast(hidden) * self.r, mask, float("-inf"))
        # An empty row would be -inf with a NaN gradient: it is zeroed before, and again after.
        log_sum = masked.zero_empty_rows(masked.zero_empty_rows(wide, mask).logsumexp(dim=1), mask)
        log_mean = log_sum - masked.count(mask).to(log_sum.dtype).log().unsqueeze(-1)
        return (log_mean / self.r).to(hidden.dtype)
