"""Masked tensor operations: the only place with mask arithmetic.

``mask`` is True on valid tokens. The content of masked positions never reaches a result, not even
NaN or Inf. A row without valid tokens gives zeros. Sums are accumulated in float32 or wider;
results keep the dtype of ``hidden``.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor, nn
from torch.nn import functional

Hidden = Float[Tensor, "B T D"]
Mask = Bool[Tensor, "B T"]


def like(mask: Bool[Tensor, "*axes"], values: Tensor) -> Tensor:
    """``mask`` with axes of length 1 appended, to broadcast over ``values``."""
    return mask.view(*mask.shape, *[1] * (values.ndim - mask.ndim))


def fill(states: Num[Tensor, "B T *any"], mask: Mask, value: float) -> Num[Tensor, "B T *any"]:
    """``states`` with ``value`` at every masked position."""
    # masked_fill takes 1.5 times as long.
    return torch.where(like(mask, states), states, value)


def per_token(
    function: Callable[[Tensor], Tensor], hidden: Float[Tensor, "B T *any"], mask: Mask
) -> Tensor:
    """``function``, (N, *any) to (N, ...), of each valid token; 0 elsewhere: (B, T, ...)."""
    if hidden.device.type != "cpu" or torch.compiler.is_compiling():
        # Computing valid tokens only would synchronise the host, or make shapes depend on data.
        values = function(fill(hidden, mask, 0.0).flatten(0, 1))
        return fill(values.unflatten(0, mask.shape), mask, 0.0)
    positions = mask.flatten().nonzero().squeeze(1)  # (N,)
    values = function(hidden.flatten(0, 1).index_select(0, positions))
    zeros = values.new_zeros(mask.numel(), *values.shape[1:])
    return zeros.index_copy(0, positions, values).view(*mask.shape, *values.shape[1:])


def total(hidden: Hidden, mask: Mask) -> Float[Tensor, "B D"]:
    """The sum over valid tokens, in float32 or wider: the caller casts back."""
    dtype = torch.promote_types(hidden.dtype, torch.float32)
    return fill(hidden, mask, 0.0).sum(dim=1, dtype=dtype)


def mean(hidden: Hidden, mask: Mask) -> Float[Tensor, "B D"]:
    """The mean over valid tokens."""
    return (total(hidden, mask) / count(mask).unsqueeze(-1)).to(hidden.dtype)


def maximum(hidden: Hidden, mask: Mask) -> Float[Tensor, "B D"]:
    """The maximum over valid tokens, per dimension."""
    return zero_empty_rows(fill(hidden, mask, float("-inf")).amax(dim=1), mask)


def minimum(hidden: Hidden, mask: Mask) -> Float[Tensor, "B D"]:
    """The minimum over valid tokens, per dimension."""
    return zero_empty_rows(fill(hidden, mask, float("inf")).amin(dim=1), mask)


def softmax(scores: Float[Tensor, "*rows T"], mask: Bool[Tensor, "*#rows T"]) -> Tensor:
    """Softmax over the valid tokens of each row, in float32 or wider, 0 elsewhere."""
    wide = upcast(scores).masked_fill(~mask, float("-inf"))
    # An empty row would be 0/0: it gets finite scores, then zero weights.
    wide = wide.masked_fill(~mask.any(dim=-1, keepdim=True), 0.0)
    return wide.softmax(dim=-1).masked_fill(~mask, 0.0)


def softmax_per_dimension(scores: Hidden, mask: Mask) -> Hidden:
    """One softmax over the valid tokens per dimension, in float32 or wider."""
    wide = upcast(scores)
    # Not -inf: an empty row would be 0/0.
    return zero_empty_rows(fill(wide, mask, torch.finfo(wide.dtype).min).softmax(dim=1), mask)


def weighted_sum(hidden: Hidden, weights: Float[Tensor, "B T"], mask: Mask) -> Float[Tensor, "B D"]:
    """sum_t w_t x_t over valid tokens."""
    clean = fill(hidden, mask, 0.0).to(weights.dtype)
    return torch.einsum("bt,btd->bd", weights, clean).to(hidden.dtype)


def weighted_sum_per_dimension(hidden: Hidden, weights: Hidden, mask: Mask) -> Float[Tensor, "B D"]:
    """sum_t w_t * x_t over valid tokens, with one weight per dimension of each token."""
    return (fill(hidden, mask, 0.0) * weights).sum(dim=1).to(hidden.dtype)


def count(mask: Mask) -> Int[Tensor, " B"]:
    """The number of valid tokens of each row, at least 1 so that it can divide."""
    return mask.sum(dim=1).clamp(min=1)


def rank(mask: Mask) -> Int[Tensor, "B T"]:
    """0, 1, 2, ... along the valid tokens of each row: positions without the padding."""
    return (mask.cumsum(dim=1) - 1).clamp(min=0)


def first(mask: Mask) -> Int[Tensor, " B"]:
    """The index of the first valid token of each row."""
    return mask.int().argmax(dim=1)


def last(mask: Mask) -> Int[Tensor, " B"]:
    """The index of the last valid token of each row."""
    return mask.shape[1] - 1 - mask.int().flip(1).argmax(dim=1)


def take(hidden: Hidden, index: Int[Tensor, " B"], mask: Mask) -> Float[Tensor, "B D"]:
    """The state at one index of each row."""
    index = index.view(-1, 1, 1).expand(-1, 1, hidden.shape[2])
    return zero_empty_rows(hidden.gather(1, index).squeeze(1), mask)


def first_state(hidden: Hidden, mask: Mask) -> Float[Tensor, "B D"]:
    """The state of the first valid token."""
    return take(hidden, first(mask), mask)


def last_state(hidden: Hidden, mask: Mask) -> Float[Tensor, "B D"]:
    """The state of the last valid token."""
    return take(hidden, last(mask), mask)


def one_hot(index: Int[Tensor, " B"], mask: Mask) -> Float[Tensor, "B T"]:
    """Weight 1 at one index of each row, 0 elsewhere."""
    chosen = torch.arange(mask.shape[1], device=mask.device) == index.unsqueeze(-1)
    return (chosen & mask).to(torch.float32)


def uniform(mask: Mask) -> Float[Tensor, "B T"]:
    """Weight 1/n for each of the n valid tokens of a row."""
    return mask / count(mask).unsqueeze(-1)


def share_of_dimensions(
    hidden: Hidden, pooled: Float[Tensor, "B D"], mask: Mask
) -> Float[Tensor, "B T"]:
    """The share of dimensions in which a valid token equals ``pooled``; a tie is divided."""
    equal = (hidden == pooled.unsqueeze(1)) & mask.unsqueeze(-1)  # (B, T, D)
    return (equal / equal.sum(dim=1, keepdim=True).clamp(min=1)).mean(dim=2)


def left_aligned(mask: Mask) -> Mask:
    """The mask of the same rows with their valid tokens moved to the front."""
    return torch.arange(mask.shape[1], device=mask.device) < mask.sum(dim=1, keepdim=True)


def align_left(hidden: Hidden, mask: Mask) -> tuple[Hidden, Mask]:
    """The valid tokens of each row moved to the front, in order, zeros after them; and the mask."""
    order = (~mask).int().argsort(dim=1, stable=True)
    moved = fill(hidden, mask, 0.0).gather(1, order.unsqueeze(-1).expand_as(hidden))
    return moved, left_aligned(mask)


def window_means(
    hidden: Hidden, mask: Mask, window: int, stride: int = 1
) -> tuple[Float[Tensor, "B S D"], Bool[Tensor, "B S"]]:
    """Means over windows of consecutive valid tokens, in float32 or wider; and which exist.

    A window starts at every ``stride``-th valid token. The last one may be shorter than ``window``,
    and with a stride of at most ``window`` no token is left out.
    """
    tokens, _ = align_left(upcast(hidden), mask)
    padded = functional.pad(tokens.transpose(1, 2), (0, window - 1))  # (B, D, T + window - 1)
    sums = functional.avg_pool1d(padded, window, stride).transpose(1, 2) * window
    exists, length = windows(mask, window, stride)
    return sums / length.unsqueeze(-1), exists


def windows(
    mask: Mask, window: int, stride: int = 1
) -> tuple[Bool[Tensor, "B S"], Int[Tensor, "B S"]]:
    """Whether a row has a window at each of its valid tokens 0, stride, ...; tokens in it, or 1."""
    start = torch.arange(0, mask.shape[1], stride, device=mask.device)
    count = mask.sum(dim=1, keepdim=True)
    exists = (start <= (count - window + stride - 1).clamp(min=0)) & (count > 0)
    return exists, (count - start).clamp(min=1, max=window)


def descending(hidden: Hidden, mask: Mask) -> Hidden:
    """Valid values sorted per row and dimension, largest first, zeros after them."""
    largest_first = fill(hidden, mask, float("-inf")).sort(dim=1, descending=True).values
    return fill(largest_first, left_aligned(mask), 0.0)


def attendable(mask: Mask) -> Mask:
    """``mask`` with every token of an empty row allowed, for torch's attention modules.

    Some of their kernels give NaN for an empty row: ``fill`` before, ``zero_empty_rows`` after.
    """
    return mask | ~mask.any(dim=1, keepdim=True)


def attend(
    attention: nn.MultiheadAttention, queries: Float[Tensor, "B K D"], keys: Hidden, mask: Mask
) -> Float[Tensor, "B K D"]:
    """Attention of each query to the valid keys, which are the values too."""
    clean = fill(keys, mask, 0.0)
    states, _ = attention(queries, clean, clean, ~attendable(mask), need_weights=False)
    return zero_empty_rows(states, mask)


def attended(
    attention: nn.MultiheadAttention, queries: Float[Tensor, "B K D"], keys: Hidden, mask: Mask
) -> Float[Tensor, "B T"]:
    """The weights of ``attend``, averaged over heads and queries."""
    clean = fill(keys, mask, 0.0)
    _, weights = attention(queries, clean, clean, ~attendable(mask), need_weights=True)
    return zero_empty_rows(weights.mean(dim=1), mask)


def upcast(values: Tensor) -> Tensor:
    """``values`` in float32 or wider."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def zero_empty_rows(pooled: Float[Tensor, "B *any"], mask: Mask) -> Float[Tensor, "B *any"]:
    """``pooled`` with zeros in every row without valid tokens."""
    return pooled.masked_fill(like(~mask.any(dim=1), pooled), 0.0)
