import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from poolbench.poolers import masked
from poolbench.poolers.base import Pooler

CELLS = {"GRU": nn.GRU, "LSTM": nn.LSTM}
REDUCE = {
    "max": masked.maximum,
    "mean": masked.mean,
    "last": lambda states, mask: masked.take(states, masked.last(mask), mask),
}


class RnnPooler(Pooler):
    """[forward; backward] states of a bidirectional GRU or LSTM, reduced over valid tokens.

    InferSent (Conneau et al., 2017), P = 2 state_dim. Both directions read valid tokens first and
    padding after them, so its states are cut off, never carried on, and no lengths leave the GPU to
    pack the batch. torch.compile runs the recurrence as it is, between two graphs.

    Args:
        hidden_dim: D.
        cell: "GRU" or "LSTM".
        state_dim: width of each direction.
        reduce: "max" or "mean" of all states, or the "last" of each direction.

    Raises:
        ValueError: an unknown ``cell`` or ``reduce``.

    Example:
        >>> hidden = torch.tensor([[[1.0], [7.0], [99.0]]])
        >>> mask = torch.tensor([[True, True, False]])
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
        self, hidden_dim: int, cell: str = "GRU", state_dim: int = 256, reduce: str = "max"
    ) -> None:
        super().__init__(hidden_dim)
        if cell not in CELLS:
            raise ValueError(f"cell={cell!r} is not one of {', '.join(CELLS)}")
        if reduce not in REDUCE:
            raise ValueError(f"reduce={reduce!r} is not one of {', '.join(REDUCE)}")
        self.reduce = reduce
        self.forwards = CELLS[cell](hidden_dim, state_dim, batch_first=True)
        self.backwards = CELLS[cell](hidden_dim, state_dim, batch_first=True)
        self.output_dim = 2 * state_dim

    def forward(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B P"]:
        tokens, valid = masked.align_left(hidden, mask)
        reverse, _ = masked.align_left(hidden.flip(1), mask.flip(1))
        return REDUCE[self.reduce](self._states(tokens, reverse), valid)

    # Traced, the recurrence would be unrolled: a new, longer graph for every T.
    @torch.compiler.disable
    def _states(self, tokens: Tensor, reverse: Tensor) -> Tensor:
        # Step t is another token in each direction; no reduction minds.
        return torch.cat([self.forwards(tokens)[0], self.backwards(reverse)[0]], dim=2)
