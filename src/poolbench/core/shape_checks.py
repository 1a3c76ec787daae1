"""Shape errors that speak: which axes, what was expected, what to do.

Every mistake between an encoder's (B, T, D) states, a pooler, a head and the labels is caught here,
either before it happens (``check_*``) or by explaining what torch said about it (``explained``).
"""

import re

import torch
from torch import Tensor

from poolbench.core.errors import BadInput


class ShapeError(BadInput):
    """Tensors that do not fit together; the message names the axes and the mend."""


def check_hidden_and_mask(hidden: Tensor, mask: Tensor | None, hidden_dim: int) -> None:
    """Refuse what a pooler cannot pool: wrong rank, width or dtype, a missing or foreign mask."""
    if not isinstance(hidden, Tensor) or hidden.ndim != 3:
        raise ShapeError(
            f"hidden must be (batch, tokens, width), got {_shape(hidden)}: "
            "pass the encoder's last_hidden_state, not its pooler_output or one token's state"
        )
    if hidden.shape[2] != hidden_dim:
        swapped = hidden.shape[1] == hidden_dim
        hint = "it looks like (B, D, T): transpose(1, 2) it" if swapped else "build it for this one"
        raise ShapeError(
            f"hidden is {_shape(hidden)} but this pooler was built for width D={hidden_dim}: {hint}"
        )
    if not hidden.is_floating_point():
        raise ShapeError(f"hidden must be floating point, got {hidden.dtype}: are these token ids?")
    if mask is None:
        raise ShapeError(
            "the mask is missing: pooling needs (batch, tokens) bool, True on real tokens; "
            "pass attention_mask.bool(), or padding would be pooled too"
        )
    if mask.dtype != torch.bool:
        raise ShapeError(
            f"the mask must be bool, got {mask.dtype}: write mask.bool() once, where it is made"
        )
    if mask.shape != hidden.shape[:2]:
        raise ShapeError(
            f"the mask is {_shape(mask)} but hidden is {_shape(hidden)}: expected (B, T) = "
            f"{tuple(hidden.shape[:2])}; take both from the same tokenised, padded batch"
        )


def check_supplied(name: str, value: Tensor | None, hidden: Tensor) -> Tensor:
    """Refuse what a pooler needs besides ``hidden`` where it is missing or of other texts."""
    if value is None:
        raise ShapeError(
            f"this pooler needs {name} besides hidden and mask: pass beside=Beside({name}=...)"
        )
    if value.shape[:2] != hidden.shape[:2]:
        raise ShapeError(
            f"{name} are {_shape(value)} but hidden is {_shape(hidden)}: expected (B, T, ...) "
            f"= {tuple(hidden.shape[:2])}; take both from the same batch"
        )
    return value


def check_pooled(pooled: Tensor, hidden: Tensor, output_dim: int) -> None:
    """Refuse what is not one vector of the declared width for each text."""
    expected = (hidden.shape[0], output_dim)
    if pooled.shape == expected:
        return
    if pooled.ndim == 3:
        hint = "the token axis is still there: reduce it (mean, max, ...) before returning"
    elif pooled.ndim == 2 and pooled.shape[0] == expected[0]:
        hint = f"set output_dim={pooled.shape[1]} in __init__, the head is built from it"
    else:
        hint = "reduce dim=1 (tokens), never dim=0 (batch), and avoid a bare squeeze()"
    raise ShapeError(
        f"the pooler turned {_shape(hidden)} into {_shape(pooled)}, "
        f"expected (B, output_dim) = {expected}: {hint}"
    )


def check_head(head_input_dim: int, output_dim: int) -> None:
    """Refuse a head that was not built for what the pooler gives."""
    if head_input_dim != output_dim:
        raise ShapeError(
            f"the head takes width {head_input_dim} but the pooler gives output_dim={output_dim}: "
            "build the head from pooler.output_dim, never from the encoder's hidden width"
        )


def check_logits_and_labels(logits: Tensor, labels: Tensor) -> None:
    """Refuse logits and labels that a cross-entropy over texts cannot compare."""
    if logits.ndim == 3:
        raise ShapeError(
            f"logits are {_shape(logits)} = (batch, tokens, classes) but labels are "
            f"{_shape(labels)}: there is no pooling between encoder and head"
        )
    if logits.ndim != 2 or labels.ndim != 1 or logits.shape[0] != labels.shape[0]:
        raise ShapeError(
            f"logits are {_shape(logits)} and labels {_shape(labels)}: "
            "expected (B, classes) and (B,), one class index for each text, not one-hot"
        )


def check_labels(labels: Tensor, num_classes: int) -> None:
    """Refuse labels outside 0..C-1. Reads values, so call it once a dataset, not once a step."""
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= num_classes:
        raise ShapeError(
            f"labels run from {low} to {high} but there are {num_classes} classes: "
            f"they must lie in 0..{num_classes - 1} (labels that start at 1? a hidden test split?)"
        )


def check_length(max_length: int, positions: int, encoder: str) -> None:
    """Refuse sequences longer than the encoder has positions for."""
    if max_length > positions:
        raise ShapeError(
            f"encoder.max_length={max_length} but {encoder} has {positions} positions: "
            f"set encoder.max_length={positions} or less"
        )


def explained(error: RuntimeError, where: str) -> RuntimeError | ShapeError:
    """What torch said about a mismatch inside ``where``, with its axes and mend where known."""
    meaning = _meaning(str(error))
    return error if meaning is None else ShapeError(f"{where}: {meaning}")


def _meaning(message: str) -> str | None:
    conv = re.search(
        r"expected input(\[[\d, ]+\]) to have (\d+) channels, but got (\d+) channels", message
    )
    if conv:
        given, wanted, got = conv.groups()
        return (
            f"a Conv1d got {given} and took axis 1 ({got}) for its channels, expected {wanted}: it "
            f"wants (B, D, T), hidden is (B, T, D); use hidden.transpose(1, 2) "
            "(view() would give the right shape and scramble the tokens)"
        )
    product = re.search(r"shapes cannot be multiplied \((\d+)x(\d+) and (\d+)x(\d+)\)", message)
    if product:
        _, got, wanted, _ = product.groups()
        return (
            f"a linear layer built for width {wanted} got width {got}: its in_features must be the "
            "last axis of what it is fed (hidden_dim in a pooler, pooler.output_dim in a head)"
        )
    sizes = re.search(
        r"size of tensor a \((\d+)\) must match the size of tensor b \((\d+)\)", message
    )
    if sizes:
        return (
            f"two tensors disagree on one axis ({sizes[1]} against {sizes[2]}): hidden is "
            "(B, T, D) and the mask (B, T); write mask.unsqueeze(-1) to give it a width axis"
        )
    return None


def _shape(value: object) -> str:
    return str(tuple(value.shape)) if isinstance(value, Tensor) else type(value).__name__
