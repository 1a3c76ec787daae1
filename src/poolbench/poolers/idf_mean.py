import torch
from jaxtyping import Int
from pydantic import PositiveFloat
from torch import Tensor

from poolbench.poolers import masked
from poolbench.poolers.base import Hidden, Mask, TokenWeights, WeightedSumPooler


class IdfMeanPooler(WeightedSumPooler):
    """A mean that gives frequent tokens less weight, 1/n sum_t a / (a + p(w_t)) x_t.

    Smooth inverse frequency (Arora et al., 2017), without the removal of the first principal
    component: p(w) is the relative frequency of token w in the training split.

    Example:
        >>> hidden, mask = torch.tensor([[[2.], [8.], [99.]]]), torch.tensor([[True, True, False]])
        >>> pooler = IdfMeanPooler(hidden_dim=1, token_counts=torch.tensor([3, 1]), a=0.25)
        >>> pooler(hidden, mask, token_ids=torch.tensor([[0, 1, 0]]))  # weights 1/4 and 1/2
        tensor([[2.2500]])
    """

    permutation_invariant = True
    weights_label = "inverse frequency"
    needs = frozenset({"token_ids", "token_counts"})
    weights: Tensor

    def __init__(
        self, hidden_dim: int, token_counts: Int[Tensor, " V"], a: PositiveFloat = 1e-3
    ) -> None:
        super().__init__(hidden_dim)
        frequency = token_counts / token_counts.sum().clamp(min=1)
        # The last weight is for all ids from V on.
        self.register_buffer("weights", torch.cat([a / (a + frequency), torch.ones(1)]))

    def token_weights(
        self, hidden: Hidden, mask: Mask, token_ids: Int[Tensor, "B T"]
    ) -> TokenWeights:
        weights = masked.upcast(self.weights[token_ids.clamp(max=len(self.weights) - 1)])
        return weights / masked.count(mask).unsqueeze(1) * mask
