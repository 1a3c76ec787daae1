"""Which of an encoder's layers the pooler sees: one of them, their mean, all side by side, a mix.

Layer 0 is the embedding layer, layer L the last one (behind the encoder's final norm, where it has
one); -1 is the last, as in Python. An encoder is not run beyond the last layer that is read.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from poolbench.core.errors import BadInput


class Layers(nn.Module, ABC):
    """From the states of R layers to one state for each token.

    Args:
        hidden_dim: D, of the encoder.
        depth: L, the encoder's layers.
        layers: those to read, 0..L or counted from the end.

    Raises:
        BadInput: the encoder has no such layer, or one is named twice.
    """

    def __init__(self, hidden_dim: int, depth: int, layers: Sequence[int]) -> None:
        super().__init__()
        for layer in layers:
            if not -depth - 1 <= layer <= depth:
                raise BadInput(
                    f"layer {layer} does not exist: the encoder's layers are 0 (its embeddings) "
                    f"to {depth}; choose others, or layers=last"
                )
        self.read = tuple(layer % (depth + 1) for layer in layers)
        if len(set(self.read)) < len(self.read):
            raise BadInput(
                f"layers {list(layers)} name a layer twice: the encoder's are 0 to {depth}"
            )
        self.output_dim = hidden_dim

    @abstractmethod
    def forward(self, states: Float[Tensor, "B T R D"]) -> Float[Tensor, "B T W"]:
        """``hidden`` of width ``output_dim``; ``states`` are those of ``read``, in its order."""


class OneLayer(Layers):
    """The states of one layer.

    Args:
        hidden_dim: D.
        depth: L.
        index: of the layer.
    """

    def __init__(self, hidden_dim: int, depth: int, index: int) -> None:
        super().__init__(hidden_dim, depth, [index])

    def forward(self, states: Float[Tensor, "B T R D"]) -> Float[Tensor, "B T D"]:
        return states[:, :, 0]


class MeanOfLayers(Layers):
    """The mean over layers, token by token.

    Example:
        >>> states = torch.tensor([[[[1.0], [7.0]]]])  # one token, two layers, D = 1
        >>> MeanOfLayers(hidden_dim=1, depth=1, indices=[0, 1])(states)
        tensor([[[4.]]])
    """

    def __init__(self, hidden_dim: int, depth: int, indices: Sequence[int]) -> None:
        super().__init__(hidden_dim, depth, indices)

    def forward(self, states: Float[Tensor, "B T R D"]) -> Float[Tensor, "B T D"]:
        return states.mean(dim=2)


class ConcatOfLayers(Layers):
    """The states of several layers side by side (Devlin et al., 2019, table 7): width R D.

    Example:
        >>> states = torch.tensor([[[[1.0], [7.0]]]])
        >>> ConcatOfLayers(hidden_dim=1, depth=1, indices=[0, 1])(states)
        tensor([[[1., 7.]]])
    """

    def __init__(self, hidden_dim: int, depth: int, indices: Sequence[int]) -> None:
        super().__init__(hidden_dim, depth, indices)
        self.output_dim = len(self.read) * hidden_dim

    def forward(self, states: Float[Tensor, "B T R D"]) -> Float[Tensor, "B T W"]:
        return states.flatten(2)


class ScalarMix(Layers):
    """gamma sum_l softmax(w)_l x_l over all layers, as in ELMo (Peters et al., 2018).

    gamma and w are learned; it starts as the mean of all layers.

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
        mixed: Tensor = self.scale * torch.einsum("r,btrd->btd", self.weights.softmax(0), states)
        return mixed
