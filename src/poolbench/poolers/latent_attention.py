import torch
from jaxtyping import Float
from torch import Tensor, nn

from poolbench.poolers import masked
from poolbench.poolers.base import Hidden, Mask, Pooled, Pooler, Size, multihead


class LatentAttentionPooler(Pooler):
    """Attention of each token to learned latents, an MLP, then the mean over valid tokens.

    y_t = x_t + attention(query x_t, keys and values: the latents); z_t = y_t + MLP(y_t);
    mean_t z_t: NV-Embed (Lee et al., 2024), with layer norms before attention and MLP. Tokens
    do not attend to each other: only the mean needs the mask. ``heads`` divides D.

    Example:
        >>> hidden, mask = torch.tensor([[[1.], [7.], [99.]]]), torch.tensor([[True, True, False]])
        >>> pooler = LatentAttentionPooler(hidden_dim=1, latents=2, heads=1)
        >>> for parameter in pooler.parameters():
        ...     _ = nn.init.zeros_(parameter)  # both residual branches are 0: the plain mean
        >>> pooler(hidden, mask).detach()
        tensor([[4.]])
    """

    permutation_invariant = True

    def __init__(self, hidden_dim: int, latents: Size = 512, heads: Size = 8) -> None:
        super().__init__(hidden_dim)
        self.latents = nn.Parameter(torch.randn(latents, hidden_dim))
        self.norm_tokens = nn.LayerNorm(hidden_dim)
        self.norm_latents = nn.LayerNorm(hidden_dim)
        self.attention = multihead(hidden_dim, heads, bias=False)
        self.mlp = nn.Sequential(
            nn.LayerNorm(hidden_dim),
            nn.Linear(hidden_dim, 4 * hidden_dim),
            nn.GELU(),
            nn.Linear(4 * hidden_dim, hidden_dim),
        )

    def forward(self, hidden: Hidden, mask: Mask) -> Pooled:
        return masked.mean(masked.per_token(self._transform, hidden, mask), mask)

    def _transform(self, tokens: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        # All tokens are one unbatched sequence of queries: they share the latents.
        queries, latents = self.norm_tokens(tokens), self.norm_latents(self.latents)
        tokens = tokens + self.attention(queries, latents, latents, need_weights=False)[0]
        return tokens.add(self.mlp(tokens))
