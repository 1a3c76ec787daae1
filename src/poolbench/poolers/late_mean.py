from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from poolbench.poolers import masked
from poolbench.poolers.base import Pooler


class LateMeanPooler(Pooler):
    """The mean over valid tokens of gelu(W x_t + b): a layer before the mean, not after it.

    EuroBERT's "late" classifier (Boizard et al., 2025) averages the logits of all tokens; with a
    linear head that equals the head of this average.

    Example:
        >>> hidden = torch.tensor([[[1.0], [7.0], [99.0]]])
        >>> mask = torch.tensor([[True, True, False]])
        >>> pooler = LateMeanPooler(hidden_dim=1)
        >>> _ = nn.init.constant_(pooler.project.weight, 100.0), nn.init.zeros_(pooler.project.bias)
        >>> pooler(hidden, mask).detach()  # gelu leaves 100 and 700 as they are
        tensor([[400.]])
    """

    permutation_invariant = True

    def __init__(self, hidden_dim: int) -> None:
        super().__init__(hidden_dim)
        self.project = nn.Linear(hidden_dim, hidden_dim)

    def forward(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B D"]:
        return masked.mean(masked.by_token(self._project, hidden, mask), mask)

    def _project(self, tokens: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        return functional.gelu(self.project(tokens))
