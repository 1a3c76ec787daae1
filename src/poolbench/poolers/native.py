from jaxtyping import Bool, Float
from torch import Tensor

from poolbench.encoders.native import NativeHead
from poolbench.poolers import masked
from poolbench.poolers.base import Pooler


class NativePooler(Pooler):
    """What the encoder's own family classifies from.

    BERT: the [CLS] state through its *pretrained* dense layer and tanh (Devlin et al., 2019).
    RoBERTa and MPNet: a new dense layer and tanh. ELECTRA and DeBERTa: dense and GELU. DistilBERT:
    dense and ReLU. ModernBERT: [CLS] or mean, dense, GELU, norm. Decoders: the last token's state.

    Args:
        hidden_dim: D.
        native_head: of the encoder's family.

    Example:
        >>> hidden = torch.tensor([[[1.0], [7.0], [99.0]]])
        >>> mask = torch.tensor([[True, True, False]])
        >>> head = NativeHead("last", torch.nn.Identity())
        >>> NativePooler(hidden_dim=1, native_head=head)(hidden, mask)
        tensor([[7.]])
    """

    permutation_invariant = False
    reads_special = True
    needs = frozenset({"native_head"})

    def __init__(self, hidden_dim: int, native_head: NativeHead) -> None:
        super().__init__(hidden_dim)
        self.takes, self.transform = native_head.takes, native_head.transform

    def forward(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B D"]:
        if self.takes == "mean":
            taken = masked.mean(hidden, mask)
        else:
            place = masked.first(mask) if self.takes == "first" else masked.last(mask)
            taken = masked.take(hidden, place, mask)
        return masked.blank_empty(self.transform(taken), mask)
