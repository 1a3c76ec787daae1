import torch
from pydantic import PositiveFloat
from torch import Tensor, nn

from poolbench.poolers import masked
from poolbench.poolers.base import Hidden, Mask, Pooled, Pooler


class PowerMeanPooler(Pooler):
    """The sign-preserving power mean: m = sum_t sign(x_t) |x_t|^p / n, then sign(m) |m|^(1/p).

    Rückle et al. (2018), with the learned p of GeM (Radenovic et al., 2018). sign(x) |x|^p is
    computed as x max(|x|, eps)^(p - 1), so that the root has a finite gradient at 0.

    Example:
        >>> hidden = torch.tensor([[[-1.0], [-2.0], [0.0], [99.0]]])
        >>> mask = torch.tensor([[True, True, True, False]])
        >>> PowerMeanPooler(hidden_dim=1, power=3.0)(hidden, mask)  # -(9 / 3)^(1/3)
        tensor([[-1.4422]])
    """

    permutation_invariant = True
    log_power: Tensor

    def __init__(
        self,
        hidden_dim: int,
        power: PositiveFloat = 3.0,
        learned: bool = False,
        eps: PositiveFloat = 1e-3,
    ) -> None:
        super().__init__(hidden_dim)
        self.eps = eps
        log_power = torch.tensor(float(power)).log()
        if learned:
            self.log_power = nn.Parameter(log_power)
        else:
            self.register_buffer("log_power", log_power)

    def forward(self, hidden: Hidden, mask: Mask) -> Pooled:
        power = masked.upcast(self.log_power).exp()
        clean = masked.fill(masked.upcast(hidden), mask, 0.0)
        mean = masked.mean(_signed_power(clean, power, self.eps), mask)
        # eps^p underflows for a large p; the gradient contains floor^-2, finite down to 1e-18.
        floor = (self.eps**power).clamp(min=1e-18)
        return _signed_power(mean, 1 / power, floor).to(hidden.dtype)


def _signed_power(values: Tensor, power: Tensor, floor: float | Tensor) -> Tensor:
    return values * values.abs().clamp(min=floor) ** (power - 1)
