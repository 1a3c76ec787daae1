from torch import nn

from poolbench.poolers import masked
from poolbench.poolers.base import Hidden, Mask, Pooled, Pooler, Size, TokenWeights


class VectorAttentionPooler(Pooler):
    """sum_t a_t * x_t, a = softmax_t(W2 relu(W1 x_t + b)), a_t in R^D (Chen, Ling and Zhu, 2018).

    Example:
        >>> hidden, mask = torch.tensor([[[1.], [7.], [99.]]]), torch.tensor([[True, True, False]])
        >>> pooler = VectorAttentionPooler(hidden_dim=1, attention_dim=1)
        >>> _ = nn.init.zeros_(pooler.score.weight)  # equal scores: the plain mean
        >>> pooler(hidden, mask).detach()
        tensor([[4.]])
    """

    permutation_invariant = True
    weights_label = "attention, mean over dimensions"

    def __init__(self, hidden_dim: int, attention_dim: Size = 128) -> None:
        super().__init__(hidden_dim)
        self.project = nn.Linear(hidden_dim, attention_dim)
        self.score = nn.Linear(attention_dim, hidden_dim, bias=False)  # softmax needs no bias

    def forward(self, hidden: Hidden, mask: Mask) -> Pooled:
        return masked.weighted_sum_per_dimension(hidden, self._weights(hidden, mask), mask)

    def token_weights(self, hidden: Hidden, mask: Mask) -> TokenWeights:
        return self._weights(hidden, mask).mean(dim=2)

    def _weights(self, hidden: Hidden, mask: Mask) -> Hidden:
        scores = masked.per_token(lambda x: self.score(self.project(x).relu()), hidden, mask)
        return masked.softmax_per_dimension(scores, mask)
