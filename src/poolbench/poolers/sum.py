from jaxtyping import Bool, Float
from torch import Tensor

from poolbench.poolers import masked
from poolbench.poolers.base import Pooler


class SumPooler(Pooler):
    """The sum over valid tokens, sum_t x_t: its norm grows with the length of the text.

    The expansive end of the reducers compared by Ennadir et al. (2025). A float16 sum can pass
    65504, the largest float16; no accumulator helps a *result* that does not fit.

    Example:
        >>> hidden = torch.tensor([[[1.0], [7.0], [99.0]]])
        >>> mask = torch.tensor([[True, True, False]])
        >>> SumPooler(hidden_dim=1)(hidden, mask)
        tensor([[8.]])
    """

    permutation_invariant = True
    weighs = "equal shares"

    def forward(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B D"]:
        return masked.total(hidden, mask).to(hidden.dtype)

    def shares(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B T"]:
        return masked.uniform(mask)
