from collections.abc import Sequence
from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from poolbench.poolers import masked
from poolbench.poolers.base import Hidden, Mask, Pooled, Pooler, Size


class ConvPooler(Pooler):
    """Convolutions over tokens, then the maximum over time: TextCNN (Kim, 2014).

    For each kernel size k: max_t ReLU(Conv1d_k(x)_t), over every window that starts at a valid
    token, with zeros after the end of the text. P = len(kernel_sizes) * channels.

    Example:
        >>> hidden, mask = torch.tensor([[[1.], [7.], [99.]]]), torch.tensor([[True, True, False]])
        >>> pooler = ConvPooler(hidden_dim=1, channels=1, kernel_sizes=[2])
        >>> _ = nn.init.ones_(pooler.convs[0].weight), nn.init.zeros_(pooler.convs[0].bias)
        >>> pooler(hidden, mask).detach()  # windows 1 + 7 and 7 + 0
        tensor([[8.]])
    """

    permutation_invariant = False

    def __init__(
        self,
        hidden_dim: int,
        channels: Size = 128,
        kernel_sizes: Annotated[Sequence[Size], Field(min_length=1, max_length=64)] = (2, 3, 4),
    ) -> None:
        super().__init__(hidden_dim)
        self.output_dim = len(kernel_sizes) * channels
        self.kernel_sizes = tuple(kernel_sizes)
        self.convs = nn.ModuleList(nn.Conv1d(hidden_dim, channels, size) for size in kernel_sizes)

    def forward(self, hidden: Hidden, mask: Mask) -> Pooled:
        return self._convolve(masked.fill(hidden, mask, 0.0), mask)

    def _convolve(self, tokens: Hidden, mask: Mask) -> Pooled:
        longest = max(self.kernel_sizes)
        windows = functional.pad(tokens, (0, 0, 0, longest - 1)).unfold(1, longest, 1)
        # ReLU is never negative: 0 excludes the windows that start in the padding.
        return masked.per_token(self._filters, windows.transpose(2, 3), mask).amax(dim=1)

    def _filters(self, windows: Float[Tensor, "N longest D"]) -> Float[Tensor, "N P"]:
        """ReLU(Conv1d) of single windows: a convolution is a matrix product of each window."""
        products = []
        for size, conv in zip(self.kernel_sizes, self.convs, strict=True):
            weight, bias = conv.parameters()  # (channels, D, size), (channels,)
            matrix = weight.transpose(1, 2).flatten(1)
            products.append(functional.linear(windows[:, :size].flatten(1), matrix, bias))
        return functional.relu(torch.cat(products, dim=1))
