"""The birth of a batch: the only place that pads, and the only place that makes a mask."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from poolbench.data.tokenized import Corpus


@dataclass(frozen=True)
class Batch:
    """A few texts as one rectangle of token ids."""

    input_ids: Int[Tensor, "B T"]
    attention_mask: Bool[Tensor, "B T"]
    pooling_mask: Bool[Tensor, "B T"]
    labels: Int[Tensor, " B"]
    example_ids: Int[Tensor, " B"]
    tokens: int
    """Real tokens, known on the host: counting them later would make a GPU wait."""

    def __len__(self) -> int:
        return self.labels.shape[0]

    def to(self, device: torch.device, non_blocking: bool = False) -> "Batch":
        """The same batch on another device."""
        moved: dict[str, Any] = {
            name: value.to(device, non_blocking=non_blocking)
            for name, value in vars(self).items()
            if isinstance(value, Tensor)
        }
        return replace(self, **moved)


def make_batch(
    corpus: Corpus,
    example_ids: Int[Tensor, " B"],
    padding_side: str = "right",
    pad_id: int = 0,
    unpooled_ids: tuple[int, ...] = (),
) -> Batch:
    """The given examples, padded on one side to the longest of them.

    Args:
        corpus: the tokenised texts.
        example_ids: rows of the corpus.
        padding_side: "left" or "right".
        pad_id: the token id that fills the padding.
        unpooled_ids: tokens that the encoder sees and the pooler does not.

    Example:
        >>> corpus = Corpus(
        ...     ids=torch.tensor([5, 6, 7], dtype=torch.int32), starts=torch.tensor([0, 2, 3]),
        ...     labels=torch.tensor([0, 1]), splits={}, class_names=("no", "yes"), cut=0, blank=0,
        ...     data_digest="",
        ... )
        >>> make_batch(corpus, torch.tensor([0, 1]), pad_id=99).input_ids
        tensor([[ 5,  6],
                [ 7, 99]])
    """
    # numpy: on a few dozen rows an operation costs it a third of what it costs torch.
    rows, starts = example_ids.numpy(), corpus.starts.numpy()
    first = starts[rows]
    lengths = starts[rows + 1] - first
    width = max(int(lengths.max()), 1)
    position = np.arange(width)
    if padding_side == "left":
        position = position - (width - lengths)[:, None]
        real = position >= 0
    else:
        real = position < lengths[:, None]
    # In the padding the place is that of some other token, or beyond the last one.
    found = corpus.ids.numpy().take(first[:, None] + position, mode="clip")
    input_ids = torch.from_numpy(np.where(real, found, pad_id).astype(np.int64))
    mask = torch.from_numpy(real)
    pooled = mask & ~torch.isin(input_ids, torch.tensor(unpooled_ids)) if unpooled_ids else mask
    return Batch(
        input_ids=input_ids,
        attention_mask=mask,
        pooling_mask=pooled,
        labels=torch.from_numpy(corpus.labels.numpy()[rows]),
        example_ids=example_ids,
        tokens=int(lengths.sum()),
    )
