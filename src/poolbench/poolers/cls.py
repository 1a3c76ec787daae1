from jaxtyping import Bool, Float
from torch import Tensor

from poolbench.poolers import masked
from poolbench.poolers.base import Pooler


class ClsPooler(Pooler):
    """The state of the first valid token: [CLS] where the encoder has one (Devlin et al., 2019).

    The first *valid* token, not index 0, which is padding in a left-padded batch.

    Example:
        >>> hidden = torch.tensor([[[99.0], [1.0], [7.0]]])
        >>> mask = torch.tensor([[False, True, True]])
        >>> ClsPooler(hidden_dim=1)(hidden, mask)
        tensor([[1.]])
    """

    permutation_invariant = False
    weighs = "the first token"
    reads_special = True

    def forward(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B D"]:
        return masked.take(hidden, masked.first(mask), mask)

    def shares(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B T"]:
        return masked.one_hot(masked.first(mask), mask)
