from typing import Annotated

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from poolbench.poolers import masked
from poolbench.poolers.attention import AttentionPooler
from poolbench.poolers.base import Hidden, Mask, Pooled, Pooler, Size, TokenWeights


class TokenGraphPooler(Pooler):
    """Graph attention between similar tokens, then ``attention``: GLOT, P = (K + 1) D.

    Mantri et al. (2026, arXiv 2603.03389): tokens i and j are neighbours if cos(x_i, x_j) is above
    ``threshold``, and a token is its own neighbour. U = [X; GAT_1(X); GAT_2(GAT_1(X)); ...] are the
    K + 1 states of each token side by side, (B, T, P), with K = ``layers``; pooled is their mean
    with the weights of ``attention`` on U.

    Example:
        >>> hidden, mask = torch.tensor([[[1.], [7.], [99.]]]), torch.tensor([[True, True, False]])
        >>> pooler = TokenGraphPooler(hidden_dim=1, layers=1, attention_dim=1)
        >>> _ = nn.init.ones_(pooler.layers[0].project.weight)
        >>> _ = nn.init.zeros_(pooler.layers[0].score.weight)  # both tokens become their mean, 4
        >>> _ = nn.init.zeros_(pooler.readout.score.weight)  # equal scores
        >>> pooler(hidden, mask).detach()
        tensor([[4., 4.]])
    """

    permutation_invariant = True
    weights_label = "attention"

    def __init__(
        self,
        hidden_dim: int,
        layers: Size = 2,
        threshold: Annotated[float, Field(ge=0, le=1)] = 0.6,
        attention_dim: Size = 256,
    ) -> None:
        super().__init__(hidden_dim)
        self.output_dim = (layers + 1) * hidden_dim
        self.threshold = threshold
        self.layers = nn.ModuleList(GraphAttention(hidden_dim) for _ in range(layers))
        self.readout = AttentionPooler(self.output_dim, attention_dim)

    def forward(self, hidden: Hidden, mask: Mask) -> Pooled:
        return self.readout(self._refined(hidden, mask), mask)

    def token_weights(self, hidden: Hidden, mask: Mask) -> TokenWeights:
        return self.readout.token_weights(self._refined(hidden, mask), mask)

    def _refined(self, hidden: Hidden, mask: Mask) -> Float[Tensor, "B T P"]:
        states = [masked.fill(hidden, mask, 0.0)]
        neighbours = self._neighbours(states[0], mask)
        for layer in self.layers:
            states.append(layer(states[-1], neighbours, mask))
        return torch.cat(states, dim=-1)

    def _neighbours(self, clean: Hidden, mask: Mask) -> Bool[Tensor, "B T T"]:
        unit = functional.normalize(masked.upcast(clean), dim=-1, eps=1e-6)
        own = torch.eye(mask.shape[1], dtype=torch.bool, device=mask.device)
        # Rounding puts cosines above 1; a threshold of 1 leaves no edge.
        similar = ((unit @ unit.transpose(1, 2)).clamp(max=1.0) > self.threshold) | own
        return similar & mask.unsqueeze(1) & mask.unsqueeze(2)


class GraphAttention(nn.Module):
    """y_i = relu(sum_j a_ij W x_j), a single head of a GAT layer (Veličković et al., 2018).

    a_i = softmax_j(leaky_relu(l . W x_i + r . W x_j)) over the neighbours j of i.
    """

    def __init__(self, hidden_dim: int) -> None:
        super().__init__()
        self.project = nn.Linear(hidden_dim, hidden_dim, bias=False)
        self.score = nn.Linear(hidden_dim, 2, bias=False)  # l and r

    def forward(self, states: Hidden, neighbours: Bool[Tensor, "B T T"], mask: Mask) -> Hidden:
        values = masked.per_token(self.project, states, mask)
        left, right = self.score(values).split(1, dim=-1)  # (B, T, 1) each
        scores = functional.leaky_relu(left + right.transpose(1, 2), negative_slope=0.2)
        weights = masked.softmax(scores, neighbours)
        return (weights.to(values.dtype) @ values).relu()
