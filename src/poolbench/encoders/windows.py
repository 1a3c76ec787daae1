"""Windows of long texts: each is encoded by itself, as if it were a text.

The row of token ids of a long text has its windows end to end, each with what the tokenizer puts
around a text. All but the last have exactly ``size`` tokens, so that the place of a token in its
row tells its window. A text that fits in one window has the row that it has without windows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import torch
from jaxtyping import Float, Int
from pydantic import PositiveInt
from torch import Tensor

from poolbench.core.errors import UserError
from poolbench.data.collate import Batch, PaddingSide
from poolbench.poolers import masked

T = TypeVar("T")


# ``size``: tokens of a window, special ones included; None: no windows. ``stride``: tokens of the
# text from the start of a window to the next; None: windows do not overlap.
WindowOptions = dict[Literal["size", "stride"], PositiveInt | None]


@dataclass(frozen=True)
class Layout:
    """How the tokens of a text are laid out in windows.

    Attributes:
        before, after: numbers of tokens that the tokenizer puts around a text.
    """

    size: int
    stride: int
    before: int
    after: int

    @classmethod
    def of(
        cls, options: WindowOptions, tokenize: Callable[[list[str]], list[list[int]]]
    ) -> "Layout":
        """The layout for a tokenizer, which may put a prefix and special tokens around a text.

        ``options`` have a size.

        Raises:
            UserError: windows of this size have no room for text, or the stride would skip tokens.
        """
        size = options.get("size") or 0
        empty, word = tokenize(["", "a"])
        before = _equal(empty, word)
        after = min(_equal(empty[::-1], word[::-1]), len(empty) - before)
        room = size - before - after
        if room < 1:
            raise UserError(
                f"encoder.windows.size={size} has no room for text: the tokenizer puts "
                f"{before + after} tokens around it"
            )
        stride = options.get("stride") or room
        if stride > room:
            raise UserError(
                f"encoder.windows.stride={stride} would skip tokens: windows of size {size} have "
                f"{room} tokens of the text; set encoder.windows.stride={room} or less"
            )
        return cls(size, stride, before, after)

    def cut(self, row: Sequence[T]) -> list[T]:
        """A value for each token of a text -> one for each token of its windows, end to end.

        Example:
            >>> Layout(size=5, stride=2, before=1, after=1).cut("[abcd]")
            ['[', 'a', 'b', 'c', ']', '[', 'c', 'd', ']']
        """
        if len(row) <= self.size:
            return list(row)
        end = len(row) - self.after
        before, text, after = row[: self.before], row[self.before : end], row[end:]
        room = self.size - self.before - self.after
        starts = range(0, len(text) - room + self.stride, self.stride)
        return [x for s in starts for x in (*before, *text[s : s + room], *after)]


@dataclass(frozen=True)
class Windows:
    """The windows of a batch, as a batch of N texts; nothing here synchronises host and GPU."""

    batch: Batch  # (N, size)
    place: Int[Tensor, "B T"]  # of each token in the flattened (N, size)

    @classmethod
    def of(cls, batch: Batch, size: int, padding_side: PaddingSide, pad_id: int) -> "Windows":
        """The windows of a batch that has more than one in some text."""
        assert batch.windows is not None
        mask, slots = batch.attention_mask, max(batch.windows, 1) * size
        length = mask.sum(dim=1)
        windows = (length + size - 1) // size
        place = masked.rank(mask)
        if padding_side == "left":
            in_last = place // size == (length.unsqueeze(1) - 1) // size
            place = place + in_last * (-length % size).unsqueeze(1)
        place = place + size * (windows.cumsum(0) - windows).unsqueeze(1)
        # What stands in the padding goes to a slot of its own, which is cut off.
        target = torch.where(mask, place, slots).flatten()

        def moved(values: Tensor, filling: int) -> Tensor:
            row = values.new_full((slots + 1,), filling).index_copy(0, target, values.flatten())
            return row[:slots].view(-1, size)

        ids, real = moved(batch.input_ids, pad_id), moved(mask, False)
        owner = moved(batch.text_ids.unsqueeze(1).expand_as(mask), 0).amax(dim=1)
        own: dict[str, Any] = {"input_ids": ids, "attention_mask": real, "pooling_mask": real}
        windows_alone = replace(batch, **own, text_ids=owner, windows=None)
        return cls(windows_alone, place.clamp(max=slots - 1))

    def join(self, states: Float[Tensor, "N S R D"]) -> Float[Tensor, "B T R D"]:
        """The states of the tokens of each text; values in the padding are undefined."""
        found = states.flatten(0, 1).index_select(0, self.place.flatten())
        return found.unflatten(0, self.place.shape)


def _equal(first: Sequence[int], second: Sequence[int]) -> int:
    """How many tokens two rows have in common at their start."""
    pairs = zip(first, second, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))
