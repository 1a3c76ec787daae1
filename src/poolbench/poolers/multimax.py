from torch import nn

from poolbench.poolers import masked
from poolbench.poolers.base import Hidden, Mask, Pooled, Pooler, Size


class MultiMaxPooler(Pooler):
    """z_h = max_t v_h . gelu(W x_t + b) for h = 1..H: MultiMax probes, P = H.

    From the probes of Gemini (Kramár et al., 2026, arXiv 2601.11516), which add the heads up to one
    score; here the head of the task does. H is ``heads``, and W maps D to ``mlp_dim``.

    Example:
        >>> hidden, mask = torch.tensor([[[1.], [7.], [99.]]]), torch.tensor([[True, True, False]])
        >>> pooler = MultiMaxPooler(hidden_dim=1, heads=2, mlp_dim=1)
        >>> pooler.score = nn.Linear(1, 2, bias=False)  # without the hidden layer
        >>> pooler.score.weight.data = torch.tensor([[1.0], [-1.0]])
        >>> pooler(hidden, mask).detach()
        tensor([[ 7., -1.]])
    """

    permutation_invariant = True

    def __init__(self, hidden_dim: int, heads: Size = 64, mlp_dim: Size = 128) -> None:
        super().__init__(hidden_dim)
        self.output_dim = heads
        self.score = nn.Sequential(
            nn.Linear(hidden_dim, mlp_dim), nn.GELU(), nn.Linear(mlp_dim, heads, bias=False)
        )

    def forward(self, hidden: Hidden, mask: Mask) -> Pooled:
        return masked.maximum(masked.per_token(self.score, hidden, mask), mask)
