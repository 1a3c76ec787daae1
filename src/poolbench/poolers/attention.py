from torch import nn

from poolbench.poolers import masked
from poolbench.poolers.base import Hidden, Mask, Size, TokenWeights, WeightedSumPooler


class AttentionPooler(WeightedSumPooler):
    """sum_t a_t x_t, a = softmax_t(v . tanh(W x_t + b)): HAN attention (Yang et al., 2016).

    Example:
        >>> hidden, mask = torch.tensor([[[1.], [7.], [99.]]]), torch.tensor([[True, True, False]])
        >>> pooler = AttentionPooler(hidden_dim=1, attention_dim=1)
        >>> _ = nn.init.zeros_(pooler.score.weight)  # equal scores: the plain mean
        >>> pooler(hidden, mask).detach()
        tensor([[4.]])
    """

    permutation_invariant = True
    weights_label = "attention"

    def __init__(self, hidden_dim: int, attention_dim: Size = 128) -> None:
        super().__init__(hidden_dim)
        self.project = nn.Linear(hidden_dim, attention_dim)
        self.score = nn.Linear(attention_dim, 1, bias=False)

    def token_weights(self, hidden: Hidden, mask: Mask) -> TokenWeights:
        scores = masked.per_token(lambda x: self.score(self.project(x).tanh()), hidden, mask)
        return masked.softmax(scores.squeeze(-1), mask)
