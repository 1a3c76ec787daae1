"""Layer selection: combine the hidden states of an encoder's layers into one per token."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from poolbench.core.errors import UserError


class LayerMix(nn.Module, ABC):
    """Combine the hidden states of R layers into one hidden state per token.

    Layer 0 is the embedding layer, layer L the last one (after the final normalisation, if the
    encoder has one). The encoder runs up to the highest layer in use.

    Args:
        indices: layers to use, -L - 1 to L; the attribute has them as 0 to L.
    """

    def __init__(self, hidden_dim: int, depth: int, indices: Sequence[int]) -> None:
        super().__init__()
        for index in indices:
            if not -depth - 1 <= index <= depth:
                raise UserError(
                    f"layer {index} does not exist: the encoder's layers are 0 (embeddings) "
                    f"to {depth}; choose one of them, or layers=last"
                )
        self.indices = tuple(index % (depth + 1) for index in indices)
        if not self.indices or len(set(self.indices)) < len(self.indices):
            raise UserError(
                f"layers.indices={list(indices)}: give at least one of 0 to {depth}, none twice"
            )
        self.output_dim = hidden_dim

    @abstractmethod
    def forward(self, states: Float[Tensor, "B T R D"]) -> Float[Tensor, "B T W"]:
        """Combine the hidden states of ``indices``, in this order."""


class SingleLayer(LayerMix):
    """The hidden states of one layer."""

    def __init__(self, hidden_dim: int, depth: int, index: int) -> None:
        super().__init__(hidden_dim, depth, [index])

    def forward(self, states: Float[Tensor, "B T R D"]) -> Float[Tensor, "B T D"]:
        return states[:, :, 0]


class LayerMean(LayerMix):
    """The mean of several layers.

    Example:
        >>> states = torch.tensor([[[[1.0], [7.0]]]])  # one token, two layers, D = 1
        >>> LayerMean(hidden_dim=1, depth=1, indices=[0, 1])(states)
        tensor([[[4.]]])
    """

    def forward(self, states: Float[Tensor, "B T R D"]) -> Float[Tensor, "B T D"]:
        return states.mean(dim=2)


class LayerConcat(LayerMix):
    """The concatenation of several layers (Devlin et al., 2019, table 7): width R D.

    Example:
        >>> states = torch.tensor([[[[1.0], [7.0]]]])
        >>> LayerConcat(hidden_dim=1, depth=1, indices=[0, 1])(states)
        tensor([[[1., 7.]]])
    """

    def __init__(self, hidden_dim: int, depth: int, indices: Sequence[int]) -> None:
        super().__init__(hidden_dim, depth, indices)
        self.output_dim = len(self.indices) * hidden_dim

    def forward(self, states: Float[Tensor, "B T R D"]) -> Float[Tensor, "B T W"]:
        return states.flatten(2)


class ScalarMix(LayerMix):
    """gamma sum_l softmax(w)_l x_l over all layers (ELMo; Peters et al., 2018).

    gamma and w are learned; the initial value is the mean of all layers.

    Example:
        >>> states = torch.tensor([[[[1.0], [7.0]]]])
        >>> ScalarMix(hidden_dim=1, depth=1)(states).detach()
        tensor([[[4.]]])
    """

    def __init__(self, hidden_dim: int, depth: int) -> None:
        super().__init__(hidden_dim, depth, range(depth + 1))
        self.weights = nn.Parameter(torch.zeros(depth + 1))
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, states: Float[Tensor, "B T R D"]) -> Float[Tensor, "B T D"]:
        return self.scale * torch.einsum("r,btrd->btd", self.weights.softmax(0), states)
