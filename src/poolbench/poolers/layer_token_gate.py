import torch
from jaxtyping import Float
from torch import Tensor, nn

from poolbench.poolers import masked
from poolbench.poolers.base import Hidden, Mask, Pooled, Pooler, TokenWeights


class LayerTokenGatePooler(Pooler):
    """Attention over the tokens of every layer, then over the layers.

    s_l = sum_t softmax_t(g_l . x_tl) x_tl in each of L layers, then sum_l softmax_l(u . s_l) s_l:
    the scoring-attention gate of Meyoyan and Del Corro (2026, arXiv 2601.13288). The embeddings are
    the first layer, so L is ``depth`` + 1.

    Example:
        >>> hidden, mask = torch.tensor([[[1.], [7.], [99.]]]), torch.tensor([[True, True, False]])
        >>> pooler = LayerTokenGatePooler(hidden_dim=1, depth=1)
        >>> _ = nn.init.zeros_(pooler.token_gates), nn.init.zeros_(pooler.layer_gate.weight)
        >>> layers = torch.stack([hidden + 2.0, hidden], dim=2)
        >>> pooler(hidden, mask, layers=layers).detach()  # equal scores: the mean of 6 and 4
        tensor([[5.]])
    """

    permutation_invariant = True
    needs = frozenset({"layers", "depth"})
    weights_label = "attention, mean over layers by their weights"

    def __init__(self, hidden_dim: int, depth: int) -> None:
        super().__init__(hidden_dim)
        self.layer_indices = tuple(range(-depth - 1, 0))
        self.token_gates = nn.Parameter(torch.randn(depth + 1, hidden_dim) * hidden_dim**-0.5)
        self.layer_gate = nn.Linear(hidden_dim, 1, bias=False)

    def forward(self, hidden: Hidden, mask: Mask, layers: Float[Tensor, "B T L D"]) -> Pooled:
        _, summaries = self._summaries(mask, layers)
        return (self._gate(summaries) * summaries).sum(dim=1).to(hidden.dtype)

    def token_weights(
        self, hidden: Hidden, mask: Mask, layers: Float[Tensor, "B T L D"]
    ) -> TokenWeights:
        tokens, summaries = self._summaries(mask, layers)
        return (self._gate(summaries) * tokens).sum(dim=1)

    def _summaries(self, mask: Tensor, layers: Tensor) -> tuple[Tensor, Tensor]:
        """Weights of the tokens (B, L, T) and their weighted sums (B, L, D)."""
        weights, summaries = [], []
        # One layer at a time: its states fit into the CPU's cache, which takes half as long.
        for states, gate in zip(layers.unbind(dim=2), self.token_gates.unbind(), strict=True):
            weights.append(masked.softmax(masked.fill(states, mask, 0.0) @ gate, mask))
            summaries.append(masked.weighted_sum(states, weights[-1], mask))
        return torch.stack(weights, dim=1), torch.stack(summaries, dim=1)

    def _gate(self, summaries: Float[Tensor, "B L D"]) -> Float[Tensor, "B L 1"]:
        return masked.upcast(self.layer_gate(summaries)).softmax(dim=1)
