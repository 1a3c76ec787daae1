import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from poolbench.poolers import masked
from poolbench.poolers.base import Pooler


class WindowMeanMaxPooler(Pooler):
    """The largest mean of any ``window`` neighbouring valid tokens, for each dimension.

    SWEM-hier (Shen et al., 2018): word order counts inside a window only. Windows lie wholly in
    the text; a text shorter than one window is one window, its mean.

    Args:
        hidden_dim: D.
        window: tokens averaged, at least 2 (1 would be the maximum).

    Raises:
        ValueError: ``window`` is less than 2.

    Example:
        >>> hidden = torch.tensor([[[1.0], [7.0], [3.0], [99.0]]])
        >>> mask = torch.tensor([[True, True, True, False]])
        >>> WindowMeanMaxPooler(hidden_dim=1, window=2)(hidden, mask)  # max(4, 5)
        tensor([[5.]])
    """

    permutation_invariant = False

    def __init__(self, hidden_dim: int, window: int = 5) -> None:
        super().__init__(hidden_dim)
        if window < 2:
            raise ValueError(f"window={window} must be at least 2")
        self.window = window

    def forward(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B D"]:
        tokens, _ = masked.align_left(masked.widen(hidden), mask)
        padded = functional.pad(tokens.transpose(1, 2), (0, self.window - 1))  # (B, D, T + w - 1)
        sums = functional.avg_pool1d(padded, self.window, stride=1).transpose(1, 2) * self.window
        count = masked.count(mask).unsqueeze(-1)
        means = sums / count.clamp(max=self.window).unsqueeze(-1)  # (B, T, D), by first token
        start = torch.arange(mask.shape[1], device=mask.device)
        whole = start <= (count - self.window).clamp(min=0)  # (B, T); an empty row: one, of zeros
        return masked.maximum(means, whole).to(hidden.dtype)
