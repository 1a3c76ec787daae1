from jaxtyping import Bool, Float
from torch import Tensor

from poolbench.poolers import masked
from poolbench.poolers.base import Pooler


class LastPooler(Pooler):
    """The state of the last valid token, which has seen the whole text in a decoder.

    SGPT (Muennighoff, 2022). The last *valid* position: ``mask.sum() - 1`` is wrong under left
    padding, ``hidden[:, -1]`` under right padding.

    Example:
        >>> hidden = torch.tensor([[[1.0], [7.0], [99.0]]])
        >>> mask = torch.tensor([[True, True, False]])
        >>> LastPooler(hidden_dim=1)(hidden, mask)
        tensor([[7.]])
    """

    permutation_invariant = False
    weighs = "the last token"

    def forward(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B D"]:
        return masked.take(hidden, masked.last(mask), mask)

    def shares(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B T"]:
        return masked.one_hot(masked.last(mask), mask)
