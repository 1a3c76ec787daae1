from torch import nn
from torch.nn import functional

from poolbench.poolers import masked
from poolbench.poolers.base import Hidden, Mask, Pooled, Pooler


class LateMeanPooler(Pooler):
    """The mean over valid tokens of gelu(W x_t + b): EuroBERT's "late" head (Boizard et al., 2025).

    Example:
        >>> hidden, mask = torch.tensor([[[1.], [7.], [99.]]]), torch.tensor([[True, True, False]])
        >>> pooler = LateMeanPooler(hidden_dim=1)
        >>> _ = nn.init.constant_(pooler.project.weight, 100.0), nn.init.zeros_(pooler.project.bias)
        >>> pooler(hidden, mask).detach()  # gelu(100) = 100 and gelu(700) = 700
        tensor([[400.]])
    """

    permutation_invariant = True

    def __init__(self, hidden_dim: int) -> None:
        super().__init__(hidden_dim)
        self.project = nn.Linear(hidden_dim, hidden_dim)

    def forward(self, hidden: Hidden, mask: Mask) -> Pooled:
        states = masked.per_token(lambda x: functional.gelu(self.project(x)), hidden, mask)
        return masked.mean(states, mask)
