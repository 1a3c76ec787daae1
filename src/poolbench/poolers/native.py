from dataclasses import dataclass
from typing import Literal

from torch import nn

from poolbench.poolers import masked
from poolbench.poolers.base import Hidden, Mask, Pooled, Pooler

STATES = {"first": masked.first_state, "last": masked.last_state, "mean": masked.mean}


@dataclass(frozen=True)
class NativeHead:
    """The layers of a model family between a hidden state and its linear classifier."""

    takes: Literal["first", "last", "mean"]  # the state that enters; "first" is that of [CLS]
    transform: nn.Module  # (B, D) to (B, D)


class NativePooler(Pooler):
    """The classification head of the encoder's own family, without its last linear layer.

    ``encoders/classification_heads.py`` lists the families.

    Example:
        >>> hidden, mask = torch.tensor([[[1.], [7.], [99.]]]), torch.tensor([[True, True, False]])
        >>> NativePooler(hidden_dim=1, native_head=NativeHead("last", nn.Identity()))(hidden, mask)
        tensor([[7.]])
    """

    permutation_invariant = False
    needs_special_tokens = True
    needs = frozenset({"native_head"})

    def __init__(self, hidden_dim: int, native_head: NativeHead) -> None:
        super().__init__(hidden_dim)
        self.takes, self.transform = native_head.takes, native_head.transform

    def forward(self, hidden: Hidden, mask: Mask) -> Pooled:
        return masked.zero_empty_rows(self.transform(STATES[self.takes](hidden, mask)), mask)
