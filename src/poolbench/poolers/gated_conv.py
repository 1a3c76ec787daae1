from typing import Annotated

from pydantic import Field
from torch import nn
from torch.nn import functional

from poolbench.poolers import masked
from poolbench.poolers.base import Hidden, Mask, Pooled, Pooler, Size


class GatedConvPooler(Pooler):
    """Gated convolutions over tokens, then the maximum over valid tokens: P = channels.

    Each layer is (W * x + b) sigmoid(V * x + c) (Dauphin et al., 2017), centred on its token:
    ``kernel_size`` must be odd. The window of layer i has a step of dilation^i tokens.

    Example:
        >>> hidden, mask = torch.tensor([[[1.], [7.], [99.]]]), torch.tensor([[True, True, False]])
        >>> pooler = GatedConvPooler(hidden_dim=1, channels=1, kernel_size=3, layers=1)
        >>> pooler.convs[0].weight.data = torch.tensor([[[1., 1., 1.]], [[0., 0., 0.]]])  # W, V
        >>> _ = nn.init.zeros_(pooler.convs[0].bias)
        >>> pooler(hidden, mask).detach()  # (1 + 7) * sigmoid(0)
        tensor([[4.]])
    """

    permutation_invariant = False

    def __init__(
        self,
        hidden_dim: int,
        channels: Size = 256,
        kernel_size: Annotated[int, Field(ge=3, le=1023)] = 3,
        layers: Annotated[int, Field(gt=0, le=64)] = 2,
        dilation: Annotated[int, Field(gt=0, le=1024)] = 1,
    ) -> None:
        super().__init__(hidden_dim)
        self.output_dim = channels
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size={kernel_size} must be odd")
        widths = [hidden_dim] + [channels] * (layers - 1)
        self.convs = nn.ModuleList(
            nn.Conv1d(width, 2 * channels, kernel_size, padding="same", dilation=dilation**i)
            for i, width in enumerate(widths)
        )

    def forward(self, hidden: Hidden, mask: Mask) -> Pooled:
        tokens = masked.fill(hidden, mask, 0.0)
        for conv in self.convs:
            gated = functional.glu(conv(tokens.transpose(1, 2)), dim=1)  # (B, channels, T)
            tokens = masked.fill(gated.transpose(1, 2), mask, 0.0)
        return masked.maximum(tokens, mask)
