"""All mask arithmetic, written once.

``hidden`` is (B, T, D); ``mask`` is (B, T), bool, True on the tokens that count. Whatever stands at
masked positions is never read into a result, not even NaN or Inf. A row with no valid token gives
zeros. Sums are accumulated in float32 at least, results keep the dtype of ``hidden``.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def fill(
    hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"], value: float
) -> Float[Tensor, "B T D"]:
    """``hidden`` with ``value`` at every masked position."""
    # masked_fill takes half as long again.
    return torch.where(mask.unsqueeze(-1), hidden, value)


def by_token(
    function: Callable[[Float[Tensor, "N D"]], Float[Tensor, "N *any"]],
    hidden: Float[Tensor, "B T D"],
    mask: Bool[Tensor, "B T"],
) -> Float[Tensor, "B T *any"]:
    """``function`` of the valid tokens, each by itself: padding is not computed. 0 elsewhere."""
    if hidden.device.type != "cpu" or torch.compiler.is_compiling():
        # Counting the valid tokens would make the host wait, or the shapes depend on the data.
        values = function(fill(hidden, mask, 0.0).flatten(0, 1))
        blank = mask.view(-1, *[1] * (values.ndim - 1))
        return torch.where(blank, values, 0.0).unflatten(0, mask.shape)
    valid = mask.flatten().nonzero().squeeze(1)  # (N,)
    values = function(hidden.flatten(0, 1).index_select(0, valid))
    everywhere = values.new_zeros(mask.numel(), *values.shape[1:])
    return everywhere.index_copy(0, valid, values).unflatten(0, mask.shape)


def total(hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B D"]:
    """The sum over valid tokens, in float32 or wider: the caller casts back."""
    return fill(hidden, mask, 0.0).sum(dim=1, dtype=_accumulator(hidden))


def mean(hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B D"]:
    """The mean over valid tokens."""
    return (total(hidden, mask) / count(mask).unsqueeze(-1)).to(hidden.dtype)


def maximum(hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B D"]:
    """The largest value over valid tokens, for each dimension."""
    largest = fill(hidden, mask, float("-inf")).amax(dim=1)
    return largest.masked_fill(~mask.any(dim=1, keepdim=True), 0.0)


def softmax(scores: Float[Tensor, "*rows T"], mask: Bool[Tensor, "*rows T"]) -> Tensor:
    """Weights over the valid tokens of each row, in float32 or wider, 0 elsewhere."""
    wide = scores.to(_accumulator(scores)).masked_fill(~mask, float("-inf"))
    # An empty row would be softmax over nothing, 0/0: give it finite scores, then no weight.
    wide = wide.masked_fill(~mask.any(dim=-1, keepdim=True), 0.0)
    return wide.softmax(dim=-1).masked_fill(~mask, 0.0)


def weighted_sum(
    hidden: Float[Tensor, "B T D"], weights: Float[Tensor, "B T"], mask: Bool[Tensor, "B T"]
) -> Float[Tensor, "B D"]:
    """sum_t w_t x_t over valid tokens."""
    clean = fill(hidden, mask, 0.0).to(weights.dtype)
    return torch.einsum("bt,btd->bd", weights, clean).to(hidden.dtype)


def count(mask: Bool[Tensor, "B T"]) -> Int[Tensor, " B"]:
    """The number of valid tokens of each row, at least 1 so that it can divide."""
    return mask.sum(dim=1).clamp(min=1)


def first(mask: Bool[Tensor, "B T"]) -> Int[Tensor, " B"]:
    """The position of the first valid token of each row, whatever the padding side."""
    return mask.int().argmax(dim=1)


def last(mask: Bool[Tensor, "B T"]) -> Int[Tensor, " B"]:
    """The position of the last valid token of each row, whatever the padding side."""
    return mask.shape[1] - 1 - mask.int().flip(1).argmax(dim=1)


def take(
    hidden: Float[Tensor, "B T D"], position: Int[Tensor, " B"], mask: Bool[Tensor, "B T"]
) -> Float[Tensor, "B D"]:
    """The state at one position of each row."""
    index = position.view(-1, 1, 1).expand(-1, 1, hidden.shape[2])
    taken = hidden.gather(1, index).squeeze(1)
    return taken.masked_fill(~mask.any(dim=1, keepdim=True), 0.0)


def uniform(mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    """Equal shares of 1 for the valid tokens of each row."""
    return mask / count(mask).unsqueeze(-1)


def one_hot(position: Int[Tensor, " B"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    """1 at one position of each row, 0 elsewhere."""
    there = torch.arange(mask.shape[1], device=mask.device) == position.unsqueeze(-1)
    return (there & mask).to(torch.float32)


def won(
    hidden: Float[Tensor, "B T D"], winner: Float[Tensor, "B D"], mask: Bool[Tensor, "B T"]
) -> Float[Tensor, "B T"]:
    """The share of dimensions in which each valid token has the winning value; a tie is split."""
    wins = (hidden == winner.unsqueeze(1)) & mask.unsqueeze(-1)  # (B, T, D)
    return (wins / wins.sum(dim=1, keepdim=True).clamp(min=1)).mean(dim=2)


def widen(values: Tensor) -> Tensor:
    """``values`` in float32 or wider, for arithmetic that half precision would spoil."""
    return values.to(_accumulator(values))


def blank_empty(
    pooled: Float[Tensor, "B *any"], mask: Bool[Tensor, "B T"]
) -> Float[Tensor, "B *any"]:
    """``pooled`` with zeros for every row that has no valid token."""
    empty = ~mask.any(dim=1)
    return pooled.masked_fill(empty.view(-1, *[1] * (pooled.ndim - 1)), 0.0)


def minimum(hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B D"]:
    """The smallest value over valid tokens, for each dimension."""
    return blank_empty(fill(hidden, mask, float("inf")).amin(dim=1), mask)


def logsumexp(hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B D"]:
    """log sum_t exp(x_t) over valid tokens, for each dimension, in float32 or wider."""
    # Over nothing it would be -inf with a NaN gradient: empty rows are finite until they are blank.
    wide = blank_empty(fill(widen(hidden), mask, float("-inf")), mask)
    return blank_empty(wide.logsumexp(dim=1), mask)


def softmax_by_dimension(
    scores: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
) -> Float[Tensor, "B T D"]:
    """One softmax over the valid tokens for each dimension, in float32 or wider."""
    by_dimension = scores.transpose(1, 2)  # (B, D, T)
    return softmax(by_dimension, mask.unsqueeze(1).expand_as(by_dimension)).transpose(1, 2)


def weighted_sum_by_dimension(
    hidden: Float[Tensor, "B T D"], weights: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
) -> Float[Tensor, "B D"]:
    """sum_t w_t * x_t over valid tokens, with a weight for each dimension of each token."""
    return total(fill(hidden, mask, 0.0) * weights, mask).to(hidden.dtype)


def rank(mask: Bool[Tensor, "B T"]) -> Int[Tensor, "B T"]:
    """0, 1, 2, ... along the valid tokens of each row: positions that no padding side moves."""
    return (mask.cumsum(dim=1) - 1).clamp(min=0)


def leading(mask: Bool[Tensor, "B T"]) -> Bool[Tensor, "B T"]:
    """The mask of the same rows with their valid tokens moved to the front."""
    return torch.arange(mask.shape[1], device=mask.device) < mask.sum(dim=1, keepdim=True)


def align_left(
    hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
) -> tuple[Float[Tensor, "B T D"], Bool[Tensor, "B T"]]:
    """The valid tokens of each row at its front, in their order, zeros behind; and their mask."""
    order = (~mask).int().argsort(dim=1, stable=True)
    moved = fill(hidden, mask, 0.0).gather(1, order.unsqueeze(-1).expand_as(hidden))
    return moved, leading(mask)


def descending(hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B T D"]:
    """The valid values of each row and dimension, largest first, zeros behind: see ``leading``."""
    largest_first = fill(hidden, mask, float("-inf")).sort(dim=1, descending=True).values
    return fill(largest_first, leading(mask), 0.0)


def attendable(mask: Bool[Tensor, "B T"]) -> Bool[Tensor, "B T"]:
    """``mask`` with every token of an empty row allowed, for torch's own attention.

    Over nothing some of its kernels give NaN: ``fill`` before it, ``blank_empty`` after it.
    """
    return mask | ~mask.any(dim=1, keepdim=True)


def _accumulator(values: Tensor) -> torch.dtype:
    return torch.promote_types(values.dtype, torch.float32)
