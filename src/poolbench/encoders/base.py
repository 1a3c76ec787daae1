"""The contract of an encoder: token ids in, one state for each token out."""

import copy
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from poolbench.core.errors import BadInput
from poolbench.core.shape_checks import check_length
from poolbench.data.collate import Batch
from poolbench.encoders.native import NativeHead


class Encoder(nn.Module, ABC):
    """Hidden states of every token of a batch, and the tokenizer that made the tokens.

    Args:
        hidden_dim: D, the width of a state.
        depth: L, layers on top of the embeddings.
        positions: the longest sequence it can take, in tokens.
        max_length: where longer texts are cut, in tokens.
        tuning: "frozen" (eval mode, no gradient) or "full" (train mode, dropout on).
        padding_side: "left" or "right".
        pad_id: the token id that fills the padding.
        digest: the identity of the weights and the tokenizer.
        caveat: what a reader of its results must know.
        special_ids: ids of tokens that stand for no piece of a text, such as [CLS] and [SEP].

    Attributes:
        layers: whose states ``forward`` gives, 0 (embeddings) to L; the last one alone at first.
        packed: does it compute real tokens only? Not before ``pack`` is called.

    Raises:
        ShapeError: ``max_length`` is beyond ``positions``.
    """

    def __init__(
        self,
        *,
        hidden_dim: int,
        depth: int,
        positions: int,
        max_length: int,
        tuning: str,
        padding_side: str,
        pad_id: int,
        digest: str,
        caveat: str | None,
        special_ids: tuple[int, ...] = (),
    ) -> None:
        super().__init__()
        check_length(max_length, positions, type(self).__name__)
        self.hidden_dim, self.max_length, self.tuning = hidden_dim, max_length, tuning
        self.padding_side, self.pad_id = padding_side, pad_id
        self.digest, self.caveat = digest, caveat
        self.depth, self.special_ids = depth, special_ids
        self.layers: tuple[int, ...] = (depth,)
        self.packed = False

    stored: ClassVar[bool] = False
    """Are its states looked up rather than computed?"""

    @abstractmethod
    def tokenize(self, texts: list[str]) -> tuple[list[list[int]], int]:
        """Token ids of each text, at most ``max_length``, and how many texts had to be cut."""

    @abstractmethod
    def forward(self, batch: Batch) -> Float[Tensor, "B T R D"]:
        """The states of every token at ``layers``; what stands in the padding is undefined."""

    def reading(self, layers: tuple[int, ...]) -> "Encoder":
        """A copy with weights of its own that gives the states of other layers.

        Raises:
            BadInput: they cannot be had.
        """
        other = copy.deepcopy(self)
        other.layers = layers
        return other

    def pack(self) -> None:
        """Compute real tokens only from now on; changes nothing where that cannot be done."""

    def computed(self, batch: Batch) -> int:
        """For how many positions of a batch states are computed, padding included."""
        return batch.attention_mask.numel()

    def attention(self, device: torch.device, dtype: torch.dtype) -> str:
        """What computes its attention there, in the words of a record."""
        return "none"

    def unpooled_ids(self, pooled_tokens: str) -> tuple[int, ...]:
        """The tokens that are not pooled: none of "all", the special ones of "content"."""
        return self.special_ids if pooled_tokens == "content" else ()

    def native_head(self) -> NativeHead:
        """What the encoder's own family puts between its states and a classifier.

        Raises:
            BadInput: there is no such thing.
        """
        raise BadInput(f"pooler=native: {type(self).__name__} has no head of its own")

    def train(self, mode: bool = True) -> "Encoder":
        """Train mode only where the encoder trains: a frozen one keeps its dropout off."""
        return super().train(mode and self.tuning == "full")
