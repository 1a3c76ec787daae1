"""Shape checks with helpful messages: the axes, the expected shape and the fix.

They cover the path from an encoder's (B, T, D) hidden states through a pooler and a head to the
labels. ``check_*`` functions run before an operation; ``explained`` translates errors of torch.
"""

import re

import torch
from torch import Tensor

from poolbench.core.errors import UserError


class ShapeError(UserError):
    """Tensors whose shapes do not match; the message names the axes and the fix."""


# Messages of torch and what they mean.
_MEANINGS = {
    r"expected input(\[[\d, ]+\]) to have (\d+) channels, but got (\d+) channels": (
        "Conv1d got {0} and takes axis 1 ({2}) as channels, expected {1}: it needs (B, D, T) but "
        "hidden is (B, T, D); use hidden.transpose(1, 2) (view() has the right shape but mixes up "
        "the tokens)"
    ),
    r"shapes cannot be multiplied \(\d+x(\d+) and (\d+)x\d+\)": (
        "a linear layer with in_features={1} got width {0}: in_features must be the last axis of "
        "its input (hidden_dim in a pooler, pooler.output_dim in a head)"
    ),
    r"size of tensor a \((\d+)\) must match the size of tensor b \((\d+)\)": (
        "two tensors differ on one axis ({0} and {1}): hidden is (B, T, D) and the mask (B, T); "
        "use mask.unsqueeze(-1) to add a width axis"
    ),
}


def check_hidden_and_mask(hidden: Tensor, mask: Tensor | None, hidden_dim: int) -> None:
    """Check a pooler's inputs: rank, width and dtype of ``hidden``, and its mask."""
    if not isinstance(hidden, Tensor) or hidden.ndim != 3:
        raise ShapeError(
            f"hidden must be (batch, tokens, width), got {_shape(hidden)}: "
            "pass the encoder's last_hidden_state, not its pooler_output or one token's state"
        )
    if hidden.shape[2] != hidden_dim:
        swapped = hidden.shape[1] == hidden_dim
        hint = "use hidden.transpose(1, 2)" if swapped else f"set hidden_dim={hidden.shape[2]}"
        raise ShapeError(
            f"hidden is {_shape(hidden)} but this pooler was built for width D={hidden_dim}: {hint}"
        )
    if not hidden.is_floating_point():
        raise ShapeError(f"hidden must be floating point, got {hidden.dtype}: are these token ids?")
    if mask is None:
        raise ShapeError(
            "the mask is missing: pooling needs a bool mask (batch, tokens), True on real tokens; "
            "pass attention_mask.bool(), otherwise padding is pooled too"
        )
    if mask.dtype != torch.bool:
        raise ShapeError(
            f"the mask must be bool, got {mask.dtype}: convert it once with mask.bool()"
        )
    if mask.shape != hidden.shape[:2]:
        raise ShapeError(
            f"the mask is {_shape(mask)} but hidden is {_shape(hidden)}: expected (B, T) = "
            f"{tuple(hidden.shape[:2])}; take both from the same batch"
        )


def check_same_shape(outputs: Tensor, targets: Tensor) -> None:
    """Check that there is one target for each output: torch would broadcast them silently."""
    if outputs.shape != targets.shape:
        raise ShapeError(
            f"outputs are {_shape(outputs)} but targets {_shape(targets)}: a loss needs one target "
            "for each output; build the head with as many outputs as there are targets"
        )


def check_pooled(pooled: Tensor, hidden: Tensor, output_dim: int) -> None:
    """Check a pooler's output: one vector of width ``output_dim`` for each text."""
    expected = (hidden.shape[0], output_dim)
    if pooled.shape == expected:
        return
    if pooled.ndim == 3:
        hint = "the token axis is not reduced: reduce dim=1 (mean, max, ...) before returning"
    elif pooled.ndim == 2 and pooled.shape[0] == expected[0]:
        hint = f"set self.output_dim = {pooled.shape[1]} in __init__; the head is built from it"
    else:
        hint = "reduce dim=1 (tokens), never dim=0 (batch), and avoid a bare squeeze()"
    raise ShapeError(
        f"the pooler maps {_shape(hidden)} to {_shape(pooled)}, "
        f"expected (B, output_dim) = {expected}: {hint}"
    )


def check_head(head_input_dim: int, output_dim: int) -> None:
    """Check that a head takes the width that the pooler returns."""
    if head_input_dim != output_dim:
        raise ShapeError(
            f"the head takes width {head_input_dim} but the pooler returns output_dim={output_dim}"
            ": build the head with pooler.output_dim, not with the encoder's hidden width"
        )


def check_logits_and_labels(logits: Tensor, labels: Tensor) -> None:
    """Check that cross-entropy can compare logits and labels: (B, C) and (B,)."""
    if logits.ndim == 3:
        raise ShapeError(
            f"logits are {_shape(logits)} = (batch, tokens, classes) but labels are "
            f"{_shape(labels)}: pooling between encoder and head is missing"
        )
    if logits.ndim != 2 or labels.ndim != 1 or logits.shape[0] != labels.shape[0]:
        raise ShapeError(
            f"logits are {_shape(logits)} and labels {_shape(labels)}: "
            "expected (B, classes) and (B,), one class index per text, not one-hot"
        )


def check_labels(labels: Tensor, num_classes: int) -> None:
    """Check that labels lie in 0..C-1. Reads values: call it once per dataset, not per step."""
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= num_classes:
        raise ShapeError(
            f"labels range from {low} to {high} but there are {num_classes} classes: they must lie "
            f"in 0..{num_classes - 1} (do labels start at 1, or is this a hidden test split?)"
        )


def check_length(max_length: int, positions: int, encoder: str, window: int | None = None) -> None:
    """Check that the encoder has a position for every token of the longest text or window."""
    if window is not None and window > positions:
        raise ShapeError(
            f"encoder.windows.size={window} but {encoder} has {positions} positions: "
            f"set encoder.windows.size={positions} or less"
        )
    if window is not None and window >= max_length:
        raise ShapeError(
            f"encoder.windows.size={window} but texts are truncated to encoder.max_length="
            f"{max_length}, which is no more than a window: raise encoder.max_length"
        )
    if window is None and max_length > positions:
        raise ShapeError(
            f"encoder.max_length={max_length} but {encoder} has {positions} positions: "
            f"set encoder.max_length={positions} or less, or encode longer texts in windows with "
            f"encoder.windows.size={positions}"
        )


def explained(error: RuntimeError, where: str) -> RuntimeError | ShapeError:
    """Translate an error of torch inside ``where`` to a ShapeError with axes and fix, if known."""
    for pattern, meaning in _MEANINGS.items():
        if match := re.search(pattern, str(error)):
            return ShapeError(f"{where}: {meaning.format(*match.groups())}")
    return error


def _shape(value: object) -> str:
    return str(tuple(value.shape)) if isinstance(value, Tensor) else type(value).__name__
