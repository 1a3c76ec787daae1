from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from poolbench.poolers import masked
from poolbench.poolers.base import Hidden, Mask, Pooled, Pooler, Size

CELLS: dict[str, Callable[..., nn.Module]] = {"GRU": nn.GRU, "LSTM": nn.LSTM}
REDUCE = {"max": masked.maximum, "mean": masked.mean, "last": masked.last_state}
# Typed, unlike torch's decorator.
uncompiled: Callable[[Callable[..., Tensor]], Callable[..., Tensor]] = torch.compiler.disable


class RnnPooler(Pooler):
    """[forward; backward] states of a GRU or LSTM, reduced: InferSent (Conneau et al., 2017).

    P = 2 state_dim. Both directions read the valid tokens first and padding after them, so that no
    lengths have to be copied to the host for packing.

    Example:
        >>> hidden, mask = torch.tensor([[[1.], [7.], [99.]]]), torch.tensor([[True, True, False]])
        >>> pooler = RnnPooler(hidden_dim=1, cell="GRU", state_dim=1, reduce="last")
        >>> for parameter in pooler.parameters():
        ...     _ = nn.init.zeros_(parameter)
        >>> _ = nn.init.constant_(pooler.forwards.bias_ih_l0, 100.0)  # update gate shut: state 0
        >>> _ = nn.init.constant_(pooler.backwards.bias_ih_l0[2:], 100.0)  # half way to 1 each step
        >>> pooler(hidden, mask).detach()
        tensor([[0.0000, 0.7500]])
    """

    permutation_invariant = False
    graph_break = True

    def __init__(
        self,
        hidden_dim: int,
        cell: Literal["GRU", "LSTM"],
        state_dim: Size = 256,
        reduce: Literal["max", "mean", "last"] = "max",
    ) -> None:
        super().__init__(hidden_dim)
        self.output_dim = 2 * state_dim
        self.reduce = reduce
        self.forwards = CELLS[cell](hidden_dim, state_dim, batch_first=True)
        self.backwards = CELLS[cell](hidden_dim, state_dim, batch_first=True)

    def forward(self, hidden: Hidden, mask: Mask) -> Pooled:
        tokens, valid = masked.align_left(hidden, mask)
        reverse, _ = masked.align_left(hidden.flip(1), mask.flip(1))
        return REDUCE[self.reduce](self._states(tokens, reverse), valid)

    # torch.compile would unroll the recurrence: a new, longer graph for every T.
    @uncompiled
    def _states(self, tokens: Tensor, reverse: Tensor) -> Tensor:
        # Step t is not the same token in both directions; this is irrelevant to all reductions.
        return torch.cat([self.forwards(tokens)[0], self.backwards(reverse)[0]], dim=2)
