import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from poolbench.poolers import masked
from poolbench.poolers.base import Pooler


class LatentAttentionPooler(Pooler):
    """The mean over valid tokens after each has looked itself up in a learned dictionary.

    y_t = x_t + attention(query x_t, keys and values: the latents); z_t = y_t + MLP(y_t);
    mean_t z_t: NV-Embed (Lee et al., 2024), with layer norms before attention and MLP. Tokens see
    the latents, never each other, so no mask is needed before the mean.

    Args:
        hidden_dim: D.
        latents: entries of the dictionary.
        heads: H; each attends in D / H dimensions.

    Raises:
        ValueError: ``heads`` does not divide ``hidden_dim``.

    Example:
        >>> hidden = torch.tensor([[[1.0], [7.0], [99.0]]])
        >>> mask = torch.tensor([[True, True, False]])
        >>> pooler = LatentAttentionPooler(hidden_dim=1, latents=2, heads=1)
        >>> for parameter in pooler.parameters():
        ...     _ = nn.init.zeros_(parameter)  # both residual branches say nothing: the mean
        >>> pooler(hidden, mask).detach()
        tensor([[4.]])
    """

    permutation_invariant = True

    def __init__(self, hidden_dim: int, latents: int = 512, heads: int = 8) -> None:
        super().__init__(hidden_dim)
        if hidden_dim % heads:
            raise ValueError(f"heads={heads} does not divide hidden_dim={hidden_dim}")
        self.latents = nn.Parameter(torch.randn(latents, hidden_dim))
        self.norm_tokens = nn.LayerNorm(hidden_dim)
        self.norm_latents = nn.LayerNorm(hidden_dim)
        self.attention = nn.MultiheadAttention(hidden_dim, heads, bias=False, batch_first=True)
        self.mlp = nn.Sequential(
            nn.LayerNorm(hidden_dim),
            nn.Linear(hidden_dim, 4 * hidden_dim),
            nn.GELU(),
            nn.Linear(4 * hidden_dim, hidden_dim),
        )

    def forward(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B D"]:
        return masked.mean(masked.by_token(self._look_up, hidden, mask), mask)

    def _look_up(self, tokens: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        # All tokens as one text: they do not see each other, and share the latents.
        queries, latents = self.norm_tokens(tokens), self.norm_latents(self.latents)
        tokens = tokens + self.attention(queries, latents, latents, need_weights=False)[0]
        found: Tensor = tokens + self.mlp(tokens)
        return found
