from typing import Annotated

from pydantic import Field

from poolbench.poolers import masked
from poolbench.poolers.base import Hidden, Mask, Pooled, Pooler


class EmaMaxPooler(Pooler):
    """max_t e_t per dimension, e_t = a x_t + (1 - a) e_{t-1}, e_0 = 0, over valid tokens.

    The maximum of an exponential moving average (Cunningham, Peng et al., 2025, Cost-Effective
    Constitutional Classifiers via Representation Re-use), there of one score per token. a is
    ``alpha``; a = 1 is ``max``.

    Example:
        >>> hidden, mask = torch.tensor([[[8.], [2.], [99.]]]), torch.tensor([[True, True, False]])
        >>> EmaMaxPooler(hidden_dim=1, alpha=0.5)(hidden, mask)  # max(4, 3)
        tensor([[4.]])
    """

    permutation_invariant = False

    def __init__(self, hidden_dim: int, alpha: Annotated[float, Field(gt=0, le=1)] = 0.5) -> None:
        super().__init__(hidden_dim)
        self.alpha = alpha

    def forward(self, hidden: Hidden, mask: Mask) -> Pooled:
        tokens = masked.fill(masked.upcast(hidden), mask, 0.0)
        position = masked.rank(mask).to(tokens.dtype)
        age = (position.unsqueeze(2) - position.unsqueeze(1)).clamp(min=0)
        # e_t = sum over s <= t of a (1 - a)^(t - s) x_s; powers of at most 1 cannot overflow.
        kernel = (self.alpha * (1 - self.alpha) ** age).tril()  # (B, T, T)
        return masked.maximum(kernel @ tokens, mask).to(hidden.dtype)
