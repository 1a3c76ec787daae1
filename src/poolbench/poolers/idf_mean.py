import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from poolbench.poolers import masked
from poolbench.poolers.base import Pooler


class IdfMeanPooler(Pooler):
    """The mean with rare tokens in front, 1/n sum_t a / (a + p(w_t)) x_t: SIF (Arora et al., 2017).

    p(w) is the share of token w in the training split; a token that it does not have weighs 1. The
    removal of the first principal component, SIF's second step, is left to the head.

    Args:
        hidden_dim: D.
        token_counts: how often each token id occurs in the training split.
        a: where the weight is one half, as a share of all tokens.

    Raises:
        ValueError: ``a`` is not above 0.

    Example:
        >>> from poolbench.poolers.base import Beside
        >>> hidden = torch.tensor([[[2.0], [8.0], [99.0]]])
        >>> mask = torch.tensor([[True, True, False]])
        >>> pooler = IdfMeanPooler(hidden_dim=1, token_counts=torch.tensor([3, 1]), a=0.25)
        >>> pooler(hidden, mask, Beside(token_ids=torch.tensor([[0, 1, 0]])))  # weights 1/4 and 1/2
        tensor([[2.2500]])
    """

    permutation_invariant = True
    weighs = "weights of rarity"
    needs = frozenset({"token_ids", "token_counts"})
    weights: Tensor

    def __init__(self, hidden_dim: int, token_counts: Int[Tensor, " V"], a: float = 1e-3) -> None:
        super().__init__(hidden_dim)
        if a <= 0:
            raise ValueError(f"a={a} must be above 0")
        share = token_counts / token_counts.sum().clamp(min=1)
        # One more at the end, for ids that training never saw.
        self.register_buffer("weights", torch.cat([a / (a + share), torch.ones(1)]))

    def forward(
        self,
        hidden: Float[Tensor, "B T D"],
        mask: Bool[Tensor, "B T"],
        token_ids: Int[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "B D"]:
        share = masked.widen(self._of(token_ids)) / masked.count(mask).unsqueeze(1)
        return masked.weighted_sum(hidden, share, mask)

    def shares(
        self,
        hidden: Float[Tensor, "B T D"],
        mask: Bool[Tensor, "B T"],
        token_ids: Int[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "B T"]:
        weights = masked.widen(self._of(token_ids)) * mask
        # Clamped for a row without tokens: the weight of a real one is never as small.
        return weights / weights.sum(dim=1, keepdim=True).clamp(min=1e-12)

    def _of(self, token_ids: Int[Tensor, "B T"] | None) -> Float[Tensor, "B T"]:
        assert token_ids is not None
        weights: Tensor = self.weights[token_ids.clamp(max=len(self.weights) - 1)]
        return weights
