from poolbench.poolers import masked
from poolbench.poolers.base import Hidden, Mask, Pooled, Pooler, Size, multihead


class BagOfWindowsPooler(Pooler):
    """Means over windows of tokens, self-attention between the windows, then their mean.

    BoM pooling of proteins (Hoang and Singh, 2025, Bioinformatics 41, i217). A window of ``window``
    valid tokens starts at every ``stride``-th one; the last, and that of a short text, is shorter.
    ``heads`` divides D. ``window_mean_max`` takes the maximum of such means instead.

    Raises:
        ValueError: ``stride`` is greater than ``window``, so that tokens would be left out.

    Example:
        >>> hidden = torch.tensor([[[1.0], [7.0], [2.0], [99.0]]])
        >>> mask = torch.tensor([[True, True, True, False]])
        >>> pooler = BagOfWindowsPooler(hidden_dim=1, window=2, stride=2, heads=1)
        >>> _ = torch.nn.init.zeros_(pooler.attention.in_proj_weight[:2])  # equal scores
        >>> _ = torch.nn.init.ones_(pooler.attention.in_proj_weight[2:])
        >>> _ = torch.nn.init.ones_(pooler.attention.out_proj.weight)
        >>> pooler(hidden, mask).detach()  # the windows (1, 7) and (2): the mean of 4 and 2
        tensor([[3.]])
    """

    permutation_invariant = False

    def __init__(
        self, hidden_dim: int, window: Size = 5, stride: Size = 3, heads: Size = 8
    ) -> None:
        super().__init__(hidden_dim)
        if stride > window:
            raise ValueError(f"stride={stride} is greater than window={window}")
        self.window, self.stride = window, stride
        self.attention = multihead(hidden_dim, heads)

    def forward(self, hidden: Hidden, mask: Mask) -> Pooled:
        means, exists = masked.window_means(hidden, mask, self.window, self.stride)
        means = means.to(hidden.dtype)
        return masked.mean(masked.attend(self.attention, means, means, exists), exists)
