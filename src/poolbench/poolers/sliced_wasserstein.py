from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from poolbench.poolers import masked
from poolbench.poolers.base import Hidden, Mask, Pooled, Pooler, Size


class SlicedWassersteinPooler(Pooler):
    """Quantiles of the tokens along learned directions, minus those of a learned reference.

    PSWE (Naderializadeh et al., 2021). For each slice l, sum_m w_m (q_lm - r_lm): q_l are M evenly
    spaced quantiles of the values theta_l . x_t, from the largest to the smallest, and r_l sorted
    reference points. P is ``slices``, D if None; M is ``points``.

    Example:
        >>> hidden = torch.tensor([[[1.0], [7.0], [3.0], [99.0]]])
        >>> mask = torch.tensor([[True, True, True, False]])
        >>> pooler = SlicedWassersteinPooler(hidden_dim=1, points=2)
        >>> _ = nn.init.ones_(pooler.slices), nn.init.zeros_(pooler.reference)
        >>> _ = nn.init.ones_(pooler.weight)
        >>> pooler(hidden, mask).detach()  # largest and smallest: 7 + 1
        tensor([[8.]])
    """

    permutation_invariant = True

    def __init__(
        self,
        hidden_dim: int,
        slices: Size | None = None,
        points: Annotated[int, Field(ge=2, le=65_536)] = 16,
    ) -> None:
        super().__init__(hidden_dim)
        self.output_dim = slices or hidden_dim
        self.slices = nn.Parameter(torch.randn(self.output_dim, hidden_dim))
        self.reference = nn.Parameter(torch.linspace(1, -1, points).repeat(self.output_dim, 1))
        self.weight = nn.Parameter(torch.randn(points) * points**-0.5)

    def forward(self, hidden: Hidden, mask: Mask) -> Pooled:
        theta = functional.normalize(self.slices, dim=1)
        values = masked.per_token(lambda tokens: tokens @ theta.T, hidden, mask)  # (B, T, slices)
        quantiles = self._quantiles(masked.upcast(masked.descending(values, mask)), mask)
        reference = masked.upcast(self.reference.sort(dim=1, descending=True).values)
        pooled = (quantiles.transpose(1, 2) - reference) @ masked.upcast(self.weight)
        return masked.zero_empty_rows(pooled, mask).to(hidden.dtype)

    def _quantiles(self, ordered: Tensor, mask: Tensor) -> Float[Tensor, "B M slices"]:
        steps = len(self.weight) - 1
        end = masked.count(mask).unsqueeze(-1) - 1  # (B, 1)
        position = torch.arange(steps + 1, device=mask.device) * end  # (B, M), times steps
        before = position // steps
        after = (before + 1).minimum(end)
        fraction = (position % steps / steps).unsqueeze(-1).to(ordered.dtype)
        index = (i.unsqueeze(-1).expand(-1, -1, ordered.shape[2]) for i in (before, after))
        low, high = (ordered.gather(1, i) for i in index)
        return torch.lerp(low, high, fraction)
