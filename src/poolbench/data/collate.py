"""Collate examples into a padded batch: the only place that pads and makes masks."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Int, Num
from torch import Tensor

from poolbench.data.tokenized import TokenizedDataset

PaddingSide = Literal["left", "right"]


@dataclass(frozen=True)
class Batch:
    """Token ids, masks and labels of B examples of K texts each, KB texts in all.

    The first texts of all examples come first, then the second ones.
    """

    input_ids: Int[Tensor, "KB T"]
    attention_mask: Bool[Tensor, "KB T"]
    pooling_mask: Bool[Tensor, "KB T"]
    labels: Num[Tensor, "B *C"]
    example_ids: Int[Tensor, " B"]
    text_ids: Int[Tensor, " KB"]
    tokens: int  # real ones, known on the host: counting them on a GPU would synchronise
    segments: Int[Tensor, "KB T"] | None = None  # of each token, where a text is two texts
    windows: int | None = None  # number of windows, if some text has more than one

    def __len__(self) -> int:
        return self.labels.shape[0]

    def to(self, device: torch.device, non_blocking: bool = False) -> "Batch":
        """The same batch on another device."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "Batch":
        """The same batch in pinned memory, from which a GPU copies it; called by DataLoader."""
        return self._map(Tensor.pin_memory)

    def _map(self, function: Callable[[Tensor], Tensor]) -> "Batch":
        tensors = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        changed: Any = {name: function(tensor) for name, tensor in tensors.items()}
        return replace(self, **changed)


def collate(
    dataset: TokenizedDataset,
    rows: Int[Tensor, " B"],
    padding_side: PaddingSide = "right",
    pad_id: int = 0,
    unpooled_ids: tuple[int, ...] = (),
    window: int | None = None,
) -> Batch:
    """Collate examples into a padded batch; ``pooling_mask`` leaves out ``unpooled_ids``.

    ``window`` is the size of the windows of which long texts consist.

    Example:
        >>> ids, starts = torch.tensor([5, 6, 7]), torch.tensor([0, 2, 3])
        >>> pair = torch.tensor([[0, 1]])
        >>> dataset = TokenizedDataset(ids, starts, labels=torch.tensor([1]), members=pair)
        >>> collate(dataset, torch.tensor([0]), pad_id=99).input_ids
        tensor([[ 5,  6],
                [ 7, 99]])
    """
    # numpy: on a few dozen rows its operations take a third of the time of torch's.
    texts, starts = dataset.members.numpy()[rows.numpy()].T.ravel(), dataset.starts.numpy()
    first = starts[texts]
    lengths = starts[texts + 1] - first
    width = max(int(lengths.max()), 1)
    position = np.arange(width)
    if padding_side == "left":
        position = position - (width - lengths)[:, None]
        real = position >= 0
    else:
        real = position < lengths[:, None]
    # In the padding the index points at another text's token, or past the end.
    places = first[:, None] + position

    def padded(values: Tensor, padding: int) -> Tensor:
        found = values.numpy().take(places, mode="clip")
        return torch.from_numpy(np.where(real, found, padding).astype(np.int64))

    input_ids = padded(dataset.ids, pad_id)
    mask = torch.from_numpy(real)
    pooled = mask & ~torch.isin(input_ids, torch.tensor(unpooled_ids)) if unpooled_ids else mask
    return Batch(
        input_ids=input_ids,
        attention_mask=mask,
        pooling_mask=pooled,
        labels=torch.from_numpy(dataset.labels.numpy()[rows.numpy()]),
        example_ids=rows,
        text_ids=torch.from_numpy(texts),
        tokens=int(lengths.sum()),
        segments=None if dataset.segments is None else padded(dataset.segments, 0),
        windows=int((-(-lengths // window)).sum()) if window and width > window else None,
    )
