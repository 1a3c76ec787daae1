from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from poolbench.poolers import masked
from poolbench.poolers.base import Pooler


class GatedConvPooler(Pooler):
    """Gated convolutions over tokens, then the largest activation in time: P = channels.

    Each layer is (W * x + b) sigmoid(V * x + c) (Dauphin et al., 2017), centred on its token.
    Padding is set back to zero after every layer, or its bias would be text to the next one.

    Args:
        hidden_dim: D.
        channels: filters of each layer.
        kernel_size: window length in tokens, odd so that it has a centre, and not 1.
        layers: convolutions stacked.
        dilation: layer i looks dilation^i tokens apart, 1 for neighbours everywhere.

    Raises:
        ValueError: ``kernel_size`` is 1 or even.

    Example:
        >>> hidden = torch.tensor([[[1.0], [7.0], [99.0]]])
        >>> mask = torch.tensor([[True, True, False]])
        >>> pooler = GatedConvPooler(hidden_dim=1, channels=1, kernel_size=3, layers=1)
        >>> W, V = torch.ones(1, 1, 3), torch.zeros(1, 1, 3)
        >>> pooler.convs[0].weight.data = torch.cat([W, V])
        >>> _ = nn.init.zeros_(pooler.convs[0].bias)
        >>> pooler(hidden, mask).detach()  # (1 + 7) * sigmoid(0)
        tensor([[4.]])
    """

    permutation_invariant = False

    def __init__(
        self,
        hidden_dim: int,
        channels: int = 256,
        kernel_size: int = 3,
        layers: int = 2,
        dilation: int = 1,
    ) -> None:
        super().__init__(hidden_dim)
        if kernel_size < 3 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size={kernel_size} must be 3, 5, 7, ...")
        widths = [hidden_dim] + [channels] * (layers - 1)
        self.convs = nn.ModuleList(
            nn.Conv1d(width, 2 * channels, kernel_size, padding="same", dilation=dilation**i)
            for i, width in enumerate(widths)
        )
        self.output_dim = channels

    def forward(
        self, hidden: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B P"]:
        tokens = masked.fill(hidden, mask, 0.0)
        for conv in self.convs:
            gated = functional.glu(conv(tokens.transpose(1, 2)), dim=1)  # (B, channels, T)
            tokens = masked.fill(gated.transpose(1, 2), mask, 0.0)
        return masked.maximum(tokens, mask)
