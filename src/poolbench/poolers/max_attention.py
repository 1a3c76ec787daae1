from torch.nn import functional

from poolbench.poolers import masked
from poolbench.poolers.base import Hidden, Mask, TokenWeights, WeightedSumPooler


class MaxAttentionPooler(WeightedSumPooler):
    """sum_t softmax_t(q . x_t / |x_t|) x_t, q = max_t x_t per dimension (Maini et al., 2020).

    Example:
        >>> hidden, mask = torch.tensor([[[0.], [1.], [99.]]]), torch.tensor([[True, True, False]])
        >>> MaxAttentionPooler(hidden_dim=1)(hidden, mask)  # q = 1: e / (1 + e)
        tensor([[0.7311]])
    """

    permutation_invariant = True
    weights_label = "attention"

    def token_weights(self, hidden: Hidden, mask: Mask) -> TokenWeights:
        clean = masked.fill(masked.upcast(hidden), mask, 0.0)
        query = masked.maximum(clean, mask).unsqueeze(-1)  # (B, D, 1)
        scores = (functional.normalize(clean, dim=-1, eps=1e-6) @ query).squeeze(-1)  # (B, T)
        return masked.softmax(scores, mask)
