"""The least time that a computation can take on a machine, from its arithmetic and its traffic.

``fraction of limit`` = limit / measured. The limit is what the multiplications cost at the measured
rate of a large matrix product, and what the bytes cost at the measured rate of a large copy;
everything else (softmax, padding, Python, the loader) counts as waste.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from machine import Rates
from torch import nn

ADAMW_BYTES = 28
"""Of a float32 parameter in one AdamW step: four values read (parameter, gradient, two moments),
three written."""


@dataclass(frozen=True)
class Arithmetic:
    """What decides an encoder's floating-point operations.

    Attributes:
        parameters: P_enc, without embedding tables: looking a row up multiplies nothing.
        layers: n_layers.
        width: D.
    """

    parameters: int
    layers: int
    width: int

    def forward(self, lengths: Sequence[int]) -> float:
        """Operations of a forward pass over texts of so many real tokens each.

        f(l) = 2 P_enc l + 4 n_layers D l^2: each weight multiplies and adds once a token, and
        attention forms l x l scores and averages l values, both D wide, in each layer.

        Example:
            >>> Arithmetic(parameters=100, layers=1, width=5).forward([10])
            4000.0
        """
        weights = 2 * self.parameters * sum(lengths)
        attention = 4 * self.layers * self.width * sum(length**2 for length in lengths)
        return float(weights + attention)


def arithmetic(model: nn.Module, layers: int, width: int) -> Arithmetic:
    """Counted from the modules of an encoder.

    Example:
        >>> arithmetic(nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 4)), layers=1, width=4)
        Arithmetic(parameters=20, layers=1, width=4)
    """
    tables = sum(m.weight.numel() for m in model.modules() if isinstance(m, nn.Embedding))
    return Arithmetic(sum(p.numel() for p in model.parameters()) - tables, layers, width)


def encoding_seconds(forward: float, rates: Rates) -> float:
    """One pass over everything: f / Pi.

    Example:
        >>> encoding_seconds(4000.0, Rates(flops=1000.0, bytes=1.0))
        4.0
    """
    return forward / rates.flops


def training_seconds(
    forward: float, trained_share: float, trained_parameters: int, steps: int, rates: Rates
) -> float:
    """All steps of a training: f (1 + 2 tau) / Pi + steps * 28 P_trained / beta.

    Args:
        forward: f, the operations of the forward passes of all steps together.
        trained_share: tau, the share of the encoder that trains: 0 frozen, 1 all of it. The
            backward pass costs twice the forward pass where it goes.
        trained_parameters: P_trained, what the optimiser updates.
        steps: optimiser steps.
        rates: of the machine, in the training's dtype.

    Example:
        >>> training_seconds(1000.0, 1.0, 10, 2, Rates(flops=1000.0, bytes=280.0))
        5.0
    """
    traffic = steps * ADAMW_BYTES * trained_parameters
    return forward * (1 + 2 * trained_share) / rates.flops + traffic / rates.bytes


def frozen_sweep_seconds(
    forward: float, tokens: int, width: int, passes: int, rates: Rates
) -> float:
    """Encode once, then read the float16 states once in each pass: f / Pi + passes * 2 D n / beta.

    Args:
        forward: f, of one pass of the encoder over the data.
        tokens: n, real tokens in the data.
        width: D.
        passes: poolers x seeds x epochs.
        rates: of the machine.

    Example:
        >>> frozen_sweep_seconds(1000.0, 10, 5, 3, Rates(flops=1000.0, bytes=100.0))
        4.0
    """
    return encoding_seconds(forward, rates) + passes * 2 * width * tokens / rates.bytes
