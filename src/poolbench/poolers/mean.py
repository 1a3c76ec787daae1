from jaxtyping import Bool, Float
from torch import Tensor

from poolbench.poolers import masked
from poolbench.poolers.base import Pooler


class MeanPooler(Pooler):
    """The mean over valid tokens, sum_t x_t / n: Sentence-BERT (Reimers and Gurevych, 2019).

    Example:
        >>> hidden = torch.tensor([[[1.0], [7.0], [99.0]]])
        >>> mask = torch.tensor([[True, True, False]])
        >>> MeanPooler(hidden_dim=1)(hidden, mask)
        tensor([[4.]])
    """

    permutation_invariant = True
    weighs = "equal shares"

    def forward(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B D"]:
        return masked.mean(hidden, mask)

    def shares(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B T"]:
        return masked.uniform(mask)
