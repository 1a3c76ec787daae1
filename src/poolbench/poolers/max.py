from jaxtyping import Bool, Float
from torch import Tensor

from poolbench.poolers import masked
from poolbench.poolers.base import Pooler


class MaxPooler(Pooler):
    """The largest value over valid tokens, for each dimension (Conneau et al., 2017).

    Padding is left out, not set to zero: zeros would win wherever every real value is negative.

    Example:
        >>> hidden = torch.tensor([[[-1.0], [-7.0], [99.0]]])
        >>> mask = torch.tensor([[True, True, False]])
        >>> MaxPooler(hidden_dim=1)(hidden, mask)
        tensor([[-1.]])
    """

    permutation_invariant = True
    weighs = "share of dimensions won"

    def forward(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B D"]:
        return masked.maximum(hidden, mask)

    def shares(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B T"]:
        return masked.won(hidden, self.forward(hidden, mask), mask)
