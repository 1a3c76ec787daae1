import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from poolbench.poolers import masked
from poolbench.poolers.base import Pooler


class SlicedWassersteinPooler(Pooler):
    """How the values along learned directions are distributed, against a learned reference.

    For each slice l: the values theta_l . x_t of a text, sorted and interpolated at M evenly spaced
    quantiles q_lm from the largest to the smallest, give sum_m w_m (q_lm - r_lm), where the
    reference points r_l are sorted too. P = slices. PSWE (Naderializadeh et al., 2021).

    Args:
        hidden_dim: D.
        slices: directions, D if not given.
        points: M, at least 2.

    Raises:
        ValueError: fewer than two ``points``.

    Example:
        >>> hidden = torch.tensor([[[1.0], [7.0], [3.0], [99.0]]])
        >>> mask = torch.tensor([[True, True, True, False]])
        >>> pooler = SlicedWassersteinPooler(hidden_dim=1, points=2)
        >>> _ = nn.init.ones_(pooler.slices), nn.init.zeros_(pooler.reference)
        >>> _ = nn.init.ones_(pooler.weight)
        >>> pooler(hidden, mask).detach()  # the two ends, 7 + 1
        tensor([[8.]])
    """

    permutation_invariant = True

    def __init__(self, hidden_dim: int, slices: int | None = None, points: int = 16) -> None:
        super().__init__(hidden_dim)
        if points < 2:
            raise ValueError(f"points={points} must be at least 2")
        self.output_dim = slices or hidden_dim
        self.slices = nn.Parameter(torch.randn(self.output_dim, hidden_dim))
        self.reference = nn.Parameter(torch.linspace(1, -1, points).repeat(self.output_dim, 1))
        self.weight = nn.Parameter(torch.randn(points) * points**-0.5)

    def forward(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B P"]:
        theta = functional.normalize(self.slices, dim=1)
        values = masked.by_token(lambda tokens: tokens @ theta.T, hidden, mask)  # (B, T, slices)
        quantiles = self._quantiles(masked.widen(masked.descending(values, mask)), mask)
        reference = masked.widen(self.reference.sort(dim=1, descending=True).values)
        distance = quantiles.transpose(1, 2) - reference  # (B, slices, M)
        pooled = distance @ masked.widen(self.weight)
        return masked.blank_empty(pooled, mask).to(hidden.dtype)

    def _quantiles(self, ordered: Tensor, mask: Tensor) -> Tensor:
        steps = len(self.weight) - 1
        end = masked.count(mask).unsqueeze(-1) - 1  # (B, 1)
        place = torch.arange(steps + 1, device=mask.device) * end  # (B, M), in steps-ths of a token
        before = place // steps
        after = (before + 1).minimum(end)
        share = (place % steps / steps).unsqueeze(-1).to(ordered.dtype)
        return torch.lerp(_at(ordered, before), _at(ordered, after), share)


def _at(ordered: Tensor, position: Tensor) -> Tensor:
    return ordered.gather(1, position.unsqueeze(-1).expand(-1, -1, ordered.shape[2]))
