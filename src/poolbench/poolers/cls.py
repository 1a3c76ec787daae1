from poolbench.poolers import masked
from poolbench.poolers.base import Hidden, Mask, Pooled, Pooler, TokenWeights


class ClsPooler(Pooler):
    """The state of the first valid token: [CLS] in BERT-like encoders (Devlin et al., 2019).

    Example:
        >>> hidden, mask = torch.tensor([[[99.], [1.], [7.]]]), torch.tensor([[False, True, True]])
        >>> ClsPooler(hidden_dim=1)(hidden, mask)
        tensor([[1.]])
    """

    permutation_invariant = False
    needs_special_tokens = True
    weights_label = "first token"

    def forward(self, hidden: Hidden, mask: Mask) -> Pooled:
        return masked.first_state(hidden, mask)

    def token_weights(self, hidden: Hidden, mask: Mask) -> TokenWeights:
        return masked.one_hot(masked.first(mask), mask)
