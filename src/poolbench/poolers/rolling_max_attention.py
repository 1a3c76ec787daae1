import torch
from torch import nn
from torch.nn import functional

from poolbench.poolers import masked
from poolbench.poolers.base import Hidden, Mask, Pooled, Pooler, Size


class RollingMaxAttentionPooler(Pooler):
    """z_h = max over windows of sum_t a_th (v_h . y_t), a_h = softmax over a window of q_h . y_t.

    y_t = gelu(W x_t + b), h = 1..H, P = H: the rolling attention of Gemini's probes (Kramár et al.,
    2026, arXiv 2601.11516). A window is ``window`` consecutive valid tokens, a shorter text is one
    window. H is ``heads``, and W maps D to ``mlp_dim``.

    Example:
        >>> hidden = torch.tensor([[[1.0], [7.0], [3.0], [99.0]]])
        >>> mask = torch.tensor([[True, True, True, False]])
        >>> pooler = RollingMaxAttentionPooler(hidden_dim=1, heads=1, window=2, mlp_dim=1)
        >>> pooler.score = nn.Linear(1, 2, bias=False)  # without the hidden layer
        >>> pooler.score.weight.data = torch.tensor([[0.0], [1.0]])  # q = 0 (equal scores), v = 1
        >>> pooler(hidden, mask).detach()  # max(4, 5)
        tensor([[5.]])
    """

    permutation_invariant = False

    def __init__(
        self, hidden_dim: int, heads: Size = 64, window: Size = 10, mlp_dim: Size = 128
    ) -> None:
        super().__init__(hidden_dim)
        self.output_dim, self.window = heads, window
        self.score = nn.Sequential(
            nn.Linear(hidden_dim, mlp_dim), nn.GELU(), nn.Linear(mlp_dim, 2 * heads, bias=False)
        )

    def forward(self, hidden: Hidden, mask: Mask) -> Pooled:
        found, _ = masked.align_left(masked.per_token(self.score, hidden, mask), mask)
        padded = functional.pad(masked.upcast(found), (0, 0, 0, self.window - 1))
        windows = padded.unfold(1, self.window, 1).movedim(-1, 2)  # (B, T, w, 2 H)
        scores, values = windows.chunk(2, dim=-1)
        exists, length = masked.windows(mask, self.window)
        inside = torch.arange(self.window, device=mask.device) < length.unsqueeze(-1)  # (B, T, w)
        weights = scores.masked_fill(~inside.unsqueeze(-1), float("-inf")).softmax(dim=2)
        means = (weights * values).sum(dim=2)  # (B, T, H), by first token
        return masked.maximum(means, exists).to(hidden.dtype)
