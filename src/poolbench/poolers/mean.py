from poolbench.poolers import masked
from poolbench.poolers.base import Hidden, Mask, Pooled, Pooler, TokenWeights


class MeanPooler(Pooler):
    """The mean over valid tokens, sum_t x_t / n: Sentence-BERT (Reimers and Gurevych, 2019).

    Example:
        >>> hidden, mask = torch.tensor([[[1.], [7.], [99.]]]), torch.tensor([[True, True, False]])
        >>> MeanPooler(hidden_dim=1)(hidden, mask)
        tensor([[4.]])
    """

    permutation_invariant = True
    weights_label = "equal weights"

    def forward(self, hidden: Hidden, mask: Mask) -> Pooled:
        return masked.mean(hidden, mask)

    def token_weights(self, hidden: Hidden, mask: Mask) -> TokenWeights:
        return masked.uniform(mask)
