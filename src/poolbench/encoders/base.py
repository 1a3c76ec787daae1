"""The encoder interface: token ids in, hidden states of every token out."""

import copy
from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from poolbench.core.errors import UserError
from poolbench.core.shape_checks import check_length
from poolbench.data.collate import Batch, PaddingSide, collate
from poolbench.data.tokenized import TokenizedDataset
from poolbench.poolers.native import NativeHead

Tuning = Literal["frozen", "full"]
PooledTokens = Literal["all", "content"]


class Encoder(nn.Module, ABC):
    """Hidden states of the tokens of a batch, with the tokenizer.

    Args:
        hidden_dim: D, the width of a hidden state.
        depth: L, the number of layers on top of the embeddings.
        positions: the longest sequence the encoder accepts.
        max_length: texts are truncated to this number of tokens.
        window: longer texts are encoded in windows of this number of tokens; None: as a whole.
        tuning: "frozen" (eval mode, no gradients) or "full" (train mode, with dropout).
        digest: identifies weights and tokenizer.
        caveat: a note for readers of its results.

    Attributes:
        layers: layers that ``forward`` returns, 0 (embeddings) to L; initially (L,).
        declared_pooling: the pooler that the files of the encoder ask for, if any.
        packed: whether hidden states are computed for real tokens only.
        cached: whether hidden states are read from a cache.
    """

    cached: ClassVar[bool] = False
    declared_pooling: str | None = None

    def __init__(
        self,
        *,
        hidden_dim: int,
        depth: int,
        positions: int,
        max_length: int,
        tuning: Tuning,
        padding_side: PaddingSide,
        pad_id: int,
        digest: str,
        caveat: str | None,
        special_ids: tuple[int, ...] = (),
        window: int | None = None,
    ) -> None:
        super().__init__()
        check_length(max_length, positions, type(self).__name__, window)
        self.hidden_dim, self.depth, self.max_length = hidden_dim, depth, max_length
        self.window = window
        self.tuning, self.digest, self.caveat = tuning, digest, caveat
        self.padding_side, self.pad_id, self.special_ids = padding_side, pad_id, special_ids
        self.layers: tuple[int, ...] = (depth,)
        self.packed = False

    @abstractmethod
    def tokenize(self, texts: list[str]) -> tuple[list[list[int]], int]:
        """Token ids of each text, and the number of texts truncated to ``max_length``.

        Of a text longer than ``window``, those of its windows end to end.
        """

    def tokenize_pairs(
        self, first: list[str], second: list[str]
    ) -> tuple[list[list[int]], list[list[int]], int]:
        """Each pair of texts as one sequence: token ids, segments, and how many were truncated."""
        raise UserError(
            f"pair_features=together: {type(self).__name__} does not encode two texts as one "
            "sequence, a Hugging Face encoder without windows does"
        )

    @abstractmethod
    def forward(self, batch: Batch) -> Float[Tensor, "B T R D"]:
        """Hidden states at ``layers``; values in the padding are undefined."""

    def collate(
        self, dataset: TokenizedDataset, rows: Tensor, pooled_tokens: PooledTokens = "all"
    ) -> Batch:
        """Collate examples into a padded batch; "content" leaves special tokens unpooled."""
        unpooled_ids = self.unpooled_ids(pooled_tokens)
        padding = (self.padding_side, self.pad_id)
        return collate(dataset, rows, *padding, unpooled_ids, self.window)

    def unpooled_ids(self, pooled_tokens: PooledTokens) -> tuple[int, ...]:
        """Token ids that are not pooled: the special ones with "content", none with "all"."""
        return self.special_ids if pooled_tokens == "content" else ()

    def check_layers(self, layers: tuple[int, ...]) -> None:
        """Raise a UserError if the hidden states of one of these layers cannot be read."""

    def with_layers(self, layers: tuple[int, ...]) -> "Encoder":
        """A copy with its own weights that returns the hidden states of other layers."""
        other = copy.deepcopy(self)
        other.layers = layers
        return other

    def pack(self) -> None:
        """Compute hidden states of real tokens only, if the encoder supports it."""

    def computed_positions(self, batch: Batch) -> int:
        """Number of positions computed for a batch, padding included."""
        if self.window is None or batch.windows is None:
            return batch.attention_mask.numel()
        return batch.windows * self.window

    def attention_kernel(self, device: torch.device, dtype: torch.dtype) -> str:
        """Name of the attention implementation, for records."""
        return "none"

    def native_head(self) -> NativeHead:
        """The layers that the encoder's model family applies before its linear classifier."""
        raise UserError(f"pooler=native: {type(self).__name__} has no classification head")

    def train(self, mode: bool = True) -> "Encoder":
        """Train mode if the encoder is tuned; a frozen encoder stays in eval mode."""
        return super().train(mode and self.tuning == "full")
