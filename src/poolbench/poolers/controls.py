"""Negative controls: pitfalls (common mistakes), the mean at another width, a graph without edges.

Each pitfall has the right output shape and trains without an error, but breaks some lines of the
contract (``contract.py``); the tests state which. ``experiment=pitfalls`` measures what they cost;
``pooler=glob(*)`` leaves out all controls.

Example:
    >>> hidden, mask = torch.tensor([[[-1.], [-7.], [99.]]]), torch.tensor([[True, True, False]])
    >>> UnmaskedMeanPooler(hidden_dim=1)(hidden, mask)  # correct: -4
    tensor([[30.3333]])
    >>> UnmaskedMaxPooler(hidden_dim=1)(hidden, mask)  # correct: -1
    tensor([[99.]])
    >>> ZeroPaddedMaxPooler(hidden_dim=1)(hidden, mask)  # correct: -1
    tensor([[0.]])
    >>> PositionZeroPooler(hidden_dim=1)(hidden.flip(1), mask.flip(1))  # correct: -7
    tensor([[99.]])
    >>> FinalPositionPooler(hidden_dim=1)(hidden, mask)  # correct: -7
    tensor([[99.]])
"""

import torch
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn

from poolbench.core.seeding import stream_generator
from poolbench.poolers import masked
from poolbench.poolers.base import Hidden, Mask, Pooled, Pooler, Size
from poolbench.poolers.conv import ConvPooler
from poolbench.poolers.mean import MeanPooler
from poolbench.poolers.token_graph import TokenGraphPooler


class ProjectedMeanPooler(MeanPooler):
    """The mean times a fixed random matrix, mean(x) R: a control for the width of other poolers.

    A pooler with P > D gives its head more weights to train. This one has the same P, but no more
    information than ``mean``. R is drawn from ``init_seed``, not from the seed of a run.

    Example:
        >>> hidden, mask = torch.tensor([[[1.], [7.], [99.]]]), torch.tensor([[True, True, False]])
        >>> pooler = ProjectedMeanPooler(hidden_dim=1, width=2)
        >>> pooler.projection = torch.tensor([[1.0, -1.0]])
        >>> pooler(hidden, mask)
        tensor([[ 4., -4.]])
    """

    projection: Tensor

    def __init__(self, hidden_dim: int, width: Size, init_seed: NonNegativeInt = 0) -> None:
        super().__init__(hidden_dim)
        self.output_dim = width
        normal = torch.randn(hidden_dim, width, generator=stream_generator(init_seed, "projection"))
        # Scaled so that the output has the variance of the mean.
        self.register_buffer("projection", normal * hidden_dim**-0.5)

    def forward(self, hidden: Hidden, mask: Mask) -> Pooled:
        return masked.mean(hidden, mask) @ self.projection


class MlpMeanPooler(MeanPooler):
    """A two-layer perceptron on the mean, V gelu(W mean + b) + c: a control for parameters.

    It has the width P and the number of parameters of the pooler that it is compared with, but no
    more information than ``mean``: its hidden width is the one that comes nearest.

    Args:
        width: P, of the pooler it is compared with.
        parameters: of that pooler.

    Raises:
        ValueError: the nearest number of parameters is more than 1 % off.

    Example:
        >>> pooler = MlpMeanPooler(hidden_dim=384, width=1152, parameters=591_872)
        >>> sum(p.numel() for p in pooler.parameters())  # 384 hidden units
        591360
    """

    def __init__(self, hidden_dim: int, width: Size, parameters: PositiveInt) -> None:
        super().__init__(hidden_dim)
        self.output_dim = width
        per_unit = hidden_dim + 1 + width
        units = max(1, round((parameters - width) / per_unit))
        nearest = units * per_unit + width
        if abs(nearest - parameters) > 0.01 * parameters:
            raise ValueError(
                f"parameters={parameters}: a perceptron from {hidden_dim} to {width} comes no "
                f"nearer than {nearest}"
            )
        self.mlp = nn.Sequential(nn.Linear(hidden_dim, units), nn.GELU(), nn.Linear(units, width))

    def forward(self, hidden: Hidden, mask: Mask) -> Pooled:
        return masked.zero_empty_rows(self.mlp(masked.mean(hidden, mask)), mask)


class EdgelessGraphPooler(TokenGraphPooler):
    """``token_graph`` with a threshold of 1, which no cosine exceeds: a token sees itself alone.

    The width, the parameters and the readout are the same. What it reaches needs no graph.
    """

    def __init__(self, hidden_dim: int, layers: Size = 2, attention_dim: Size = 256) -> None:
        super().__init__(hidden_dim, layers, threshold=1.0, attention_dim=attention_dim)


class Pitfall(Pooler):
    """A mistake that depends on the padding."""

    permutation_invariant = True
    depends_on_padding = True


class UnmaskedMeanPooler(Pitfall):
    """The mean over all positions, padding included. The correct version is ``mean``."""

    def forward(self, hidden: Hidden, mask: Mask) -> Pooled:
        return hidden.mean(dim=1)


class UnmaskedMaxPooler(Pitfall):
    """The maximum over all positions, padding included. The correct version is ``max``."""

    def forward(self, hidden: Hidden, mask: Mask) -> Pooled:
        return hidden.amax(dim=1)


class ZeroPaddedMaxPooler(Pitfall):
    """The maximum with 0 as padding: negative maxima are lost. The correct version is ``max``."""

    def forward(self, hidden: Hidden, mask: Mask) -> Pooled:
        return masked.fill(hidden, mask, 0.0).amax(dim=1)


class PositionZeroPooler(Pitfall):
    """The state at index 0, padding under left padding. The correct version is ``cls``."""

    permutation_invariant = False

    def forward(self, hidden: Hidden, mask: Mask) -> Pooled:
        return hidden[:, 0]


class FinalPositionPooler(Pitfall):
    """The state at index -1, padding under right padding. The correct version is ``last``."""

    permutation_invariant = False

    def forward(self, hidden: Hidden, mask: Mask) -> Pooled:
        return hidden[:, -1]


class ViewConvPooler(ConvPooler):
    """Convolutions over a (B, D, T) made with ``view``. The correct version is ``conv``.

    ``view`` and ``reshape`` keep the order of the numbers in memory: a "channel" is then T
    consecutive numbers, from several tokens, and depends on the padded length.

    Example:
        >>> hidden = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]])
        >>> hidden.transpose(1, 2), hidden.view(1, 2, 3)
        (tensor([[[1., 3., 5.],
                 [2., 4., 6.]]]), tensor([[[1., 2., 3.],
                 [4., 5., 6.]]]))
    """

    depends_on_padding = True

    def forward(self, hidden: Hidden, mask: Mask) -> Pooled:
        clean = masked.fill(hidden, mask, 0.0)
        viewed = clean.reshape(hidden.shape[0], self.hidden_dim, -1)  # (B, D, T)
        return self._convolve(viewed.transpose(1, 2), mask)
