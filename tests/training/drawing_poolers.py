"""Poolers that draw more random numbers than they need: what pairing has to withstand."""

import torch

from poolbench.poolers.mean import MeanPooler


class MeanWithOneMoreDraw(MeanPooler):
    """The mean, after drawing numbers that nobody uses."""

    def __init__(self, hidden_dim: int) -> None:
        super().__init__(hidden_dim)
        torch.nn.Conv1d(hidden_dim, 7, 3)
