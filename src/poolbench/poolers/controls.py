"""Mistakes that are made in the wild, kept as negative controls: never pool with these.

Each has the right shape and trains without a word of complaint. Each breaks named lines of the
contract (``tests/poolers/contract.py``), and its docstring names the twin that is right.
``experiment=pitfalls`` measures what they cost; ``pooler=glob(*)`` leaves them out.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from poolbench.poolers import masked
from poolbench.poolers.base import Pooler
from poolbench.poolers.conv import ConvPooler


class UnmaskedMeanPooler(Pooler):
    """The mean over all positions, padding too: a text's vector depends on the batch it is in.

    The right twin is ``mean``.

    Example:
        >>> hidden = torch.tensor([[[1.0], [7.0], [99.0]]])
        >>> mask = torch.tensor([[True, True, False]])
        >>> UnmaskedMeanPooler(hidden_dim=1)(hidden, mask)  # 4 would be right
        tensor([[35.6667]])
    """

    permutation_invariant = True
    reads_padding = True

    def forward(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B D"]:
        return hidden.mean(dim=1)


class UnmaskedMaxPooler(Pooler):
    """The maximum over all positions: padding wins wherever its state is the larger one.

    The right twin is ``max``.

    Example:
        >>> hidden = torch.tensor([[[1.0], [7.0], [99.0]]])
        >>> mask = torch.tensor([[True, True, False]])
        >>> UnmaskedMaxPooler(hidden_dim=1)(hidden, mask)  # 7 would be right
        tensor([[99.]])
    """

    permutation_invariant = True
    reads_padding = True

    def forward(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B D"]:
        return hidden.amax(dim=1)


class ZeroPaddedMaxPooler(Pooler):
    """The maximum with zeros in the padding: zero wins wherever every real value is negative.

    It forgets negative values of the texts that have padding beside them, and of those only. The
    right twin is ``max``.

    Example:
        >>> hidden = torch.tensor([[[-1.0], [-7.0], [99.0]]])
        >>> mask = torch.tensor([[True, True, False]])
        >>> ZeroPaddedMaxPooler(hidden_dim=1)(hidden, mask)  # -1 would be right
        tensor([[0.]])
    """

    permutation_invariant = True
    reads_padding = True

    def forward(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B D"]:
        return masked.fill(hidden, mask, 0.0).amax(dim=1)


class PositionZeroPooler(Pooler):
    """The state at index 0: the first token under right padding, padding under left padding.

    The right twin is ``cls``.

    Example:
        >>> hidden = torch.tensor([[[99.0], [1.0], [7.0]]])
        >>> mask = torch.tensor([[False, True, True]])
        >>> PositionZeroPooler(hidden_dim=1)(hidden, mask)  # 1 would be right
        tensor([[99.]])
    """

    permutation_invariant = False
    reads_padding = True

    def forward(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B D"]:
        return hidden[:, 0]


class FinalPositionPooler(Pooler):
    """The state at index -1: the last token under left padding, padding under right padding.

    The right twin is ``last``.

    Example:
        >>> hidden = torch.tensor([[[1.0], [7.0], [99.0]]])
        >>> mask = torch.tensor([[True, True, False]])
        >>> FinalPositionPooler(hidden_dim=1)(hidden, mask)  # 7 would be right
        tensor([[99.]])
    """

    permutation_invariant = False
    reads_padding = True

    def forward(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B D"]:
        return hidden[:, -1]


class ViewConvPooler(ConvPooler):
    """Convolutions over a (B, D, T) made with ``view``: the right shape, scrambled content.

    ``view`` (or ``reshape``) lays the same numbers out in rows of T: a "channel" is then T
    neighbouring values, across tokens, and which ones changes with the length of the batch. The
    right twin is ``conv``, which moves the axis with ``transpose(1, 2)``.

    Example:
        >>> hidden = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]])
        >>> hidden.transpose(1, 2), hidden.view(1, 2, 3)
        (tensor([[[1., 3., 5.],
                 [2., 4., 6.]]]), tensor([[[1., 2., 3.],
                 [4., 5., 6.]]]))
    """

    reads_padding = True

    def forward(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B P"]:
        batch, tokens, width = hidden.shape
        by_channel = masked.fill(hidden, mask, 0.0).reshape(batch, width, tokens)
        strongest = []
        for size, conv in zip(self.kernel_sizes, self.convs, strict=True):
            windows = functional.relu(conv(functional.pad(by_channel, (0, size - 1))))
            strongest.append(windows.masked_fill(~mask.unsqueeze(1), 0.0).amax(dim=2))
        return torch.cat(strongest, dim=1)
