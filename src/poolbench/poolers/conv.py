from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from poolbench.poolers import masked
from poolbench.poolers.base import Pooler


class ConvPooler(Pooler):
    """Convolutions over tokens, then the largest activation in time: TextCNN (Kim, 2014).

    For each kernel size k: max_t ReLU(Conv1d_k(x)_t), over every window that *starts* at a valid
    token; windows running past the end of a text see zeros there, so a text shorter than a kernel
    needs no special case. The results of all kernels are concatenated, P = len(kernel_sizes) *
    channels.

    Args:
        hidden_dim: D, the input channels: Conv1d wants (B, D, T), hidden is (B, T, D).
        channels: filters for each kernel size.
        kernel_sizes: window lengths in tokens.

    Example:
        >>> hidden = torch.tensor([[[1.0], [7.0], [99.0]]])
        >>> mask = torch.tensor([[True, True, False]])
        >>> pooler = ConvPooler(hidden_dim=1, channels=1, kernel_sizes=[2])
        >>> _ = nn.init.ones_(pooler.convs[0].weight), nn.init.zeros_(pooler.convs[0].bias)
        >>> pooler(hidden, mask)  # windows 1 + 7 and 7 + 0
        tensor([[8.]], grad_fn=<CatBackward0>)
    """

    permutation_invariant = False

    def __init__(
        self, hidden_dim: int, channels: int = 128, kernel_sizes: Sequence[int] = (2, 3, 4)
    ) -> None:
        super().__init__(hidden_dim)
        self.kernel_sizes = tuple(kernel_sizes)
        self.convs = nn.ModuleList(nn.Conv1d(hidden_dim, channels, size) for size in kernel_sizes)
        self.output_dim = len(self.convs) * channels

    def forward(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B P"]:
        by_channel = masked.fill(hidden, mask, 0.0).transpose(1, 2)  # (B, D, T)
        strongest = []
        for size, conv in zip(self.kernel_sizes, self.convs, strict=True):
            windows = functional.relu(conv(functional.pad(by_channel, (0, size - 1))))
            # ReLU is never negative, so 0 hides the windows that start in the padding.
            strongest.append(windows.masked_fill(~mask.unsqueeze(1), 0.0).amax(dim=2))
        return torch.cat(strongest, dim=1)
