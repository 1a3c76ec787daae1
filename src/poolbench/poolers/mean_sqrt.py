from jaxtyping import Bool, Float
from torch import Tensor

from poolbench.poolers import masked
from poolbench.poolers.base import Pooler


class MeanSqrtPooler(Pooler):
    """The sum over valid tokens over the root of their number, sum_t x_t / sqrt(n).

    Universal Sentence Encoder (Cer et al., 2018). The root divides: multiplying the *mean* by
    sqrt(n) is the same, multiplying the sum is not.

    Example:
        >>> hidden = torch.tensor([[[1.0], [7.0], [1.0], [3.0], [99.0]]])
        >>> mask = torch.tensor([[True, True, True, True, False]])
        >>> MeanSqrtPooler(hidden_dim=1)(hidden, mask)  # 12 / sqrt(4)
        tensor([[6.]])
    """

    permutation_invariant = True
    weighs = "equal shares"

    def forward(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B D"]:
        root = masked.count(mask).unsqueeze(-1).sqrt()
        return (masked.total(hidden, mask) / root).to(hidden.dtype)

    def shares(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B T"]:
        return masked.uniform(mask)
