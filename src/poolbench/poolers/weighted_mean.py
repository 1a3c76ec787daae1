from jaxtyping import Bool, Float
from torch import Tensor

from poolbench.poolers import masked
from poolbench.poolers.base import Pooler


class WeightedMeanPooler(Pooler):
    """A mean that leans to the end of the text, sum_i i x_i / sum_i i, i = 1..n over valid tokens.

    SGPT (Muennighoff, 2022), for decoders, whose later tokens have seen more. i counts *valid*
    tokens: positions in the padded batch would change the weights with the padding side.

    Example:
        >>> hidden = torch.tensor([[[1.0], [7.0], [99.0]]])
        >>> mask = torch.tensor([[True, True, False]])
        >>> WeightedMeanPooler(hidden_dim=1)(hidden, mask)  # (1 * 1 + 2 * 7) / (1 + 2)
        tensor([[5.]])
    """

    permutation_invariant = False
    weighs = "weights of positions"

    def forward(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B D"]:
        wide = masked.widen(hidden)
        i = _places(mask).to(wide.dtype)  # (B, T)
        weighted = masked.weighted_sum(wide, i, mask)
        return (weighted / i.sum(dim=1, keepdim=True).clamp(min=1.0)).to(hidden.dtype)

    def shares(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B T"]:
        i = _places(mask)
        return i / i.sum(dim=1, keepdim=True).clamp(min=1)


def _places(mask: Tensor) -> Tensor:
    return (masked.rank(mask) + 1) * mask
