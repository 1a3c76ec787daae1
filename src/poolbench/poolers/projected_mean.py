import torch
from jaxtyping import Bool, Float
from torch import Tensor

from poolbench.core.seeding import generator
from poolbench.poolers import masked
from poolbench.poolers.base import Pooler


class ProjectedMeanPooler(Pooler):
    """The mean through a fixed random matrix, R mean(x): a control for the width of other poolers.

    A pooler with P above D gives its head more weights to train. This one has the same P and knows
    no more than ``mean``: what it gains is due to width.

    Args:
        hidden_dim: D.
        width: P, of the pooler it is compared with.
        init_seed: of R, which is the same for every seed of a cell.

    Example:
        >>> hidden = torch.tensor([[[1.0], [7.0], [99.0]]])
        >>> mask = torch.tensor([[True, True, False]])
        >>> pooler = ProjectedMeanPooler(hidden_dim=1, width=2)
        >>> pooler.projection = torch.tensor([[1.0, -1.0]])
        >>> pooler(hidden, mask)
        tensor([[ 4., -4.]])
    """

    permutation_invariant = True
    weighs = "equal shares"
    projection: Tensor

    def __init__(self, hidden_dim: int, width: int, init_seed: int = 0) -> None:
        super().__init__(hidden_dim)
        draw = torch.randn(hidden_dim, width, generator=generator(init_seed, "projection"))
        # Keeps the scale of the mean, whatever the widths.
        self.register_buffer("projection", draw * hidden_dim**-0.5)
        self.output_dim = width

    def forward(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B P"]:
        pooled: Tensor = masked.mean(hidden, mask) @ self.projection
        return pooled

    def shares(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B T"]:
        return masked.uniform(mask)
