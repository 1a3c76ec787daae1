"""What an encoder family puts between its states and a classifier, as the encoder hands it over."""

from dataclasses import dataclass
from typing import Literal

from torch import nn


@dataclass(frozen=True)
class NativeHead:
    """The part of a family's classification head that comes before its last linear layer.

    Attributes:
        takes: the state or states it starts from; "first" is that of [CLS].
        transform: (B, D) to (B, D).
    """

    takes: Literal["first", "last", "mean"]
    transform: nn.Module
