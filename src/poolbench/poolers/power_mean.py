import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from poolbench.poolers import masked
from poolbench.poolers.base import Pooler


class PowerMeanPooler(Pooler):
    """The sign-preserving power mean: m = sum_t sign(x_t) |x_t|^p / n, then sign(m) |m|^(1/p).

    Power means of word vectors (Rückle et al., 2018), with GeM's learned p (Radenovic et al.,
    2018) but not its clamp at 0, which would destroy every negative activation. p = 1 is the mean.

    Args:
        hidden_dim: D.
        power: p, at the start where it is learned.
        learned: train p (kept positive as exp(log p)).
        eps: sign(x) |x|^p is x max(|x|, eps)^(p - 1) here: activations smaller than eps count in
            proportion, so that the root has no infinite slope at 0.

    Raises:
        ValueError: ``power`` is not positive.

    Example:
        >>> hidden = torch.tensor([[[-1.0], [-2.0], [0.0], [99.0]]])
        >>> mask = torch.tensor([[True, True, True, False]])
        >>> PowerMeanPooler(hidden_dim=1, power=3.0)(hidden, mask)  # -(9 / 3)^(1/3)
        tensor([[-1.4422]])
    """

    permutation_invariant = True
    log_power: Tensor

    def __init__(
        self, hidden_dim: int, power: float = 3.0, learned: bool = False, eps: float = 1e-3
    ) -> None:
        super().__init__(hidden_dim)
        if power <= 0:
            raise ValueError(f"power={power} must be positive")
        self.eps = eps
        log_power = torch.tensor(float(power)).log()
        if learned:
            self.log_power = nn.Parameter(log_power)
        else:
            self.register_buffer("log_power", log_power)

    def forward(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B D"]:
        power = masked.widen(self.log_power).exp()
        clean = masked.fill(masked.widen(hidden), mask, 0.0)
        mean = masked.mean(_signed_power(clean, power, self.eps), mask)
        # eps^p underflows for a large p; this is the least whose -2nd power, met in the gradient,
        # is finite in float32.
        floor = (self.eps**power).clamp(min=1e-18)
        return _signed_power(mean, 1 / power, floor).to(hidden.dtype)


def _signed_power(values: Tensor, power: Tensor, floor: float | Tensor) -> Tensor:
    return values * values.abs().clamp(min=floor) ** (power - 1)
