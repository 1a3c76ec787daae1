from typing import Annotated

from pydantic import Field

from poolbench.poolers import masked
from poolbench.poolers.base import Hidden, Mask, Pooled, Pooler


class WindowMeanMaxPooler(Pooler):
    """The maximum per dimension of the means over windows of tokens: SWEM-hier (Shen et al., 2018).

    A text shorter than ``window`` is one window.

    Example:
        >>> hidden = torch.tensor([[[1.0], [7.0], [3.0], [99.0]]])
        >>> mask = torch.tensor([[True, True, True, False]])
        >>> WindowMeanMaxPooler(hidden_dim=1, window=2)(hidden, mask)  # max(4, 5)
        tensor([[5.]])
    """

    permutation_invariant = False

    def __init__(self, hidden_dim: int, window: Annotated[int, Field(ge=2)] = 5) -> None:
        super().__init__(hidden_dim)
        self.window = window

    def forward(self, hidden: Hidden, mask: Mask) -> Pooled:
        means, exists = masked.window_means(hidden, mask, self.window)
        return masked.maximum(means, exists).to(hidden.dtype)
