from typing import Annotated

import torch
from pydantic import Field
from torch.nn import functional

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
        tokens, _ = masked.align_left(masked.upcast(hidden), mask)
        padded = functional.pad(tokens.transpose(1, 2), (0, self.window - 1))  # (B, D, T + w - 1)
        sums = functional.avg_pool1d(padded, self.window, stride=1).transpose(1, 2) * self.window
        count = masked.count(mask).unsqueeze(-1)
        means = sums / count.clamp(max=self.window).unsqueeze(-1)  # (B, T, D), by first token
        start = torch.arange(mask.shape[1], device=mask.device)
        complete = start <= (count - self.window).clamp(min=0)  # (B, T), at least one window
        return masked.maximum(means, complete).to(hidden.dtype)
