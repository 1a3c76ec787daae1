"""Pool each window of a long text, then the vectors of its windows."""

import torch
from jaxtyping import Int
from torch import Tensor

from poolbench.poolers.base import Hidden, Mask, Pooled, Pooler, TokenWeights


class AcrossWindows(Pooler):
    """A second pooler over what a first one makes of each window of ``size`` tokens.

    Windows are those of the encoder: token p of a text is in window p // ``size``, where special
    tokens count, and ``positions`` are these p. A penalty (``extra_loss``) is the mean over as many
    windows as the longest text of the batch has room for.

    Example:
        >>> from poolbench.poolers.max import MaxPooler
        >>> from poolbench.poolers.mean import MeanPooler
        >>> pooler = AcrossWindows(MeanPooler(1), MaxPooler(1), size=2)
        >>> hidden = torch.tensor([[[1.0], [7.0], [3.0], [99.0]]])
        >>> mask = torch.tensor([[True, True, True, False]])
        >>> pooler(hidden, mask, positions=torch.tensor([[0, 1, 2, 2]]))  # max(4, 3)
        tensor([[4.]])
    """

    permutation_invariant = True  # the order of the tokens is in ``positions``

    def __init__(self, within: Pooler, across: Pooler, size: int) -> None:
        super().__init__(within.hidden_dim)
        self.within, self.across, self.size = within, across, size
        self.output_dim, self.layer_indices = across.output_dim, within.layer_indices
        self.needs = within.needs | {"positions"}
        both = (within, across)
        self.needs_special_tokens = within.needs_special_tokens
        self.depends_on_padding = any(pooler.depends_on_padding for pooler in both)
        self.graph_break = any(pooler.graph_break for pooler in both)
        labels = [pooler.weights_label for pooler in both]
        if all(labels):
            self.weights_label = " of each window, times ".join(map(str, labels))

    def forward(
        self, hidden: Hidden, mask: Mask, positions: Int[Tensor, "B T"], **extra: Tensor
    ) -> Pooled:
        states, valid, extra = self._windows(hidden, mask, positions, extra)
        found: Tensor = self.across(*self._vectors(len(mask), states, valid, extra))
        penalties = []
        for pooler in (self.within, self.across):
            if pooler.extra_loss is not None:
                penalties.append(pooler.extra_loss)
                pooler.extra_loss = None
        self.extra_loss = torch.stack(penalties).sum() if penalties else None
        return found

    def token_weights(
        self, hidden: Hidden, mask: Mask, positions: Int[Tensor, "B T"], **extra: Tensor
    ) -> TokenWeights:
        states, valid, extra = self._windows(hidden, mask, positions, extra)
        own = self.within.token_weights(states, valid, **extra)
        between = self.across.token_weights(*self._vectors(len(mask), states, valid, extra))
        weights: Tensor = (own.unflatten(0, between.shape) * between.unsqueeze(-1)).flatten(1)
        found: Tensor = weights.gather(1, positions).masked_fill(~mask, 0.0)
        return found

    def _windows(
        self, hidden: Hidden, mask: Mask, positions: Tensor, extra: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """States (B W, S, D), mask (B W, S) and extra inputs of windows; some have no tokens."""
        # Tokens that are not pooled may precede the first one: one window more than T fill.
        slots = (mask.shape[1] // self.size + 1) * self.size
        # What is not pooled goes to a slot of its own, which is cut off.
        target = torch.where(mask, positions, slots)
        given = {name: _moved(values, target, slots, self.size) for name, values in extra.items()}
        states, valid = (_moved(values, target, slots, self.size) for values in (hidden, mask))
        return states, valid, given

    def _vectors(
        self, texts: int, states: Tensor, valid: Tensor, extra: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Vectors (B, W, P) of the windows, and which windows have tokens (B, W)."""
        pooled = self.within(states, valid, **extra)
        return pooled.unflatten(0, (texts, -1)), valid.any(dim=1).unflatten(0, (texts, -1))


def _moved(values: Tensor, target: Int[Tensor, "B T"], slots: int, size: int) -> Tensor:
    """(B, T, ...) -> (B W, size, ...): each value in its slot of W size, zeros in the others."""
    index = target.view(*target.shape, *[1] * (values.ndim - 2)).expand_as(values)
    empty = values.new_zeros(len(values), slots + 1, *values.shape[2:])
    row = empty.scatter(1, index, values)[:, :slots]
    windows: Tensor = row.unflatten(1, (-1, size)).flatten(0, 1)
    return windows
