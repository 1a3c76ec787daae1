"""A pooler with a batch to measure it on, and the batches that its contract compares with it."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import inf
from operator import itemgetter

import torch
from torch import Tensor
from torch.nn import functional

from poolbench.poolers import masked
from poolbench.poolers.base import Hidden, Mask, Pooler


@dataclass(frozen=True, eq=False)
class Subject:
    """A pooler and a padded batch to measure it on, float32, with texts of several lengths."""

    pooler: Pooler
    hidden: Hidden
    mask: Mask
    extra_inputs: Mapping[str, Tensor] = field(default_factory=dict)  # each (B, T, ...)

    def pooled(self) -> Tensor:
        return self.pooler(self.hidden, self.mask, **self.extra_inputs)

    def deviation(self, other: "Subject") -> float:
        return deviation_of(other.pooled(), self.pooled())

    def map(self, change: Callable[[Tensor], Tensor], mask: Tensor | None = None) -> "Subject":
        """``change`` applied to ``hidden``, to the extra inputs, and to ``mask`` unless given."""
        extra = {name: change(value) for name, value in self.extra_inputs.items()}
        mask = change(self.mask) if mask is None else mask
        return Subject(self.pooler, change(self.hidden), mask, extra)

    def copy(self) -> "Subject":
        # A penalty that requires gradients cannot be copied.
        pooler = copy.deepcopy(self.pooler, {id(self.pooler.extra_loss): None})
        return replace(self.map(lambda x: x.detach().clone()), pooler=pooler)

    def cast(self, dtype: torch.dtype) -> "Subject":
        other = self.copy().map(lambda x: x.to(dtype) if x.is_floating_point() else x)
        return replace(other, pooler=other.pooler.to(dtype))

    def filled(self, value: float) -> "Subject":
        """``value`` at masked positions of all states, 0 at those of token ids."""

        def fill(x: Tensor) -> Tensor:
            return masked.fill(x, self.mask, value if x.is_floating_point() else 0.0).to(x.dtype)

        return self.map(fill, self.mask)

    def padded(self, more: int) -> "Subject":
        """``more`` masked positions at the right, with zeros."""
        return self.map(lambda x: functional.pad(x, (*[0, 0] * (x.ndim - 2), 0, more)))

    def reordered(self, order: Tensor) -> "Subject":
        rows = torch.arange(len(order), device=order.device).unsqueeze(1)
        return self.map(itemgetter((rows, order)))

    def rotated(self, start: Tensor) -> "Subject":
        """Each text from its position ``start`` (B,) on, followed by what is before it."""
        positions = torch.arange(self.mask.shape[1], device=start.device)
        return self.reordered((positions + start.unsqueeze(1)) % len(positions))

    def texts(self) -> list["Subject"]:
        """Each text that has tokens as a batch of one, without padding."""
        ends = zip(masked.first(self.mask).tolist(), masked.last(self.mask).tolist(), strict=True)
        cuts = [(slice(i, i + 1), slice(start, end + 1)) for i, (start, end) in enumerate(ends)]
        return [self.map(itemgetter(cut)) for cut in cuts if self.mask[cut].any()]

    def gradients(self) -> tuple[Tensor, list[Tensor], list[Tensor | None]]:
        """``pooled``, and the gradients of a weighted sum of it at the inputs and parameters."""
        leaves = self.map(lambda x: x.detach().clone().requires_grad_(x.is_floating_point()))
        inputs = [x for x in (leaves.hidden, *leaves.extra_inputs.values()) if x.requires_grad]
        parameters = [x for x in self.pooler.parameters() if x.requires_grad]
        # In eval mode, cuDNN has no backward pass of a recurrence.
        with torch.backends.cudnn.flags(enabled=False):
            pooled = leaves.pooled()
            weights = torch.linspace(0.5, 1.5, pooled.shape[1], device=pooled.device)
            total = (pooled * weights).sum()
            found = torch.autograd.grad(total, [*inputs, *parameters], allow_unused=True)
        at_inputs = [x for x in found[: len(inputs)] if x is not None]
        return pooled, at_inputs, list(found[len(inputs) :])


def largest(x: Tensor) -> float:
    """max |x|; inf if a value is not finite."""
    return float(x.detach().abs().max()) if x.isfinite().all() else inf


def deviation_of(found: Tensor, expected: Tensor) -> float:
    """max |found - expected| / max |expected|."""
    return largest(found - expected) / max(largest(expected), 1e-12)
