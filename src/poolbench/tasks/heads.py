"""Heads: from the pooled vectors of a batch to the outputs of a task."""

from collections.abc import Callable
from typing import Annotated, ClassVar, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from poolbench.poolers.base import Size

Share = Annotated[float, Field(ge=0, le=1)]
Features = Literal["uv", "abs_diff", "product", "uv_abs_diff", "all", "together"]


class Head(nn.Module):
    """From pooled vectors of width P, ``input_dim``, to C outputs of a task, ``output_dim``.

    The vectors of a batch are (B, P); of pairs they are (2B, P), all first texts before all second.
    """

    def __init__(self, input_dim: int, output_dim: int) -> None:
        super().__init__()
        self.input_dim, self.output_dim = input_dim, output_dim


class LinearHead(Head):
    """One linear layer."""

    def __init__(self, input_dim: int, output_dim: int) -> None:
        super().__init__(input_dim, output_dim)
        self.classify = nn.Linear(input_dim, output_dim)

    def forward(self, pooled: Float[Tensor, "B P"]) -> Float[Tensor, "B C"]:
        return self.classify(pooled)


class MlpHead(Head):
    """One hidden layer of ``width`` units with GELU, and dropout before each linear layer."""

    def __init__(
        self, input_dim: int, output_dim: int, width: Size = 256, dropout: Share = 0.1
    ) -> None:
        super().__init__(input_dim, output_dim)
        self.layers = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(input_dim, width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(width, output_dim),
        )

    def forward(self, pooled: Float[Tensor, "B P"]) -> Float[Tensor, "B C"]:
        return self.layers(pooled)


class PairFeatures(nn.Module):
    """One vector for two pooled vectors u and v, concatenated parts of (u, v, |u - v|, u v).

    Sentence-BERT (Reimers and Gurevych, 2019) uses (u, v, |u - v|). Features without u and v are
    equal for (u, v) and (v, u).

    Example:
        >>> PairFeatures(1, "all")(torch.tensor([[2.0], [5.0]]))
        tensor([[ 2.,  5.,  3., 10.]])
    """

    PARTS: ClassVar[dict[Features, tuple[str, ...]]] = {
        "uv": ("u", "v"),
        "abs_diff": ("abs_diff",),
        "product": ("product",),
        "uv_abs_diff": ("u", "v", "abs_diff"),
        "all": ("u", "v", "abs_diff", "product"),
    }

    def __init__(self, input_dim: int, features: Features) -> None:
        super().__init__()
        self.parts = self.PARTS[features]
        self.output_dim = len(self.parts) * input_dim
        self.symmetric = "u" not in self.parts

    def forward(self, pooled: Float[Tensor, "B2 P"]) -> Float[Tensor, "B F"]:
        u, v = pooled.chunk(2)
        found = {"u": u, "v": v, "abs_diff": (u - v).abs(), "product": u * v}
        return torch.cat([found[part] for part in self.parts], dim=1)


class PairHead(Head):
    """A head on the features of pairs."""

    def __init__(self, input_dim: int, features: PairFeatures, head: Head) -> None:
        super().__init__(input_dim, head.output_dim)
        self.features, self.head = features, head

    def forward(self, pooled: Float[Tensor, "B2 P"]) -> Float[Tensor, "B C"]:
        return self.head(self.features(pooled))


def pair_head(width: int, features: Features, build: Callable[[int], Head]) -> Head:
    """The head on features of two vectors, or on the one vector of both texts together."""
    if features == "together":
        return build(width)
    made = PairFeatures(width, features)
    return PairHead(width, made, build(made.output_dim))


class ScaledHead(Head):
    """A head whose outputs have the mean and deviation of the training scores from the start."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, head: Head, mean: Tensor, deviation: Tensor) -> None:
        super().__init__(head.input_dim, head.output_dim)
        self.head = head
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)

    def forward(self, pooled: Float[Tensor, "B P"]) -> Float[Tensor, "B C"]:
        return self.mean + self.deviation * self.head(pooled)


class CosineHead(Head):
    """The cosine of the two vectors of each pair, 0 where one is zero; no parameters.

    Example:
        >>> CosineHead(2)(torch.tensor([[1.0, 0.0], [3.0, 4.0]]))
        tensor([[0.6000]])
    """

    def __init__(self, input_dim: int) -> None:
        super().__init__(input_dim, 1)

    def forward(self, pooled: Float[Tensor, "B2 P"]) -> Float[Tensor, "B 1"]:
        u, v = unit(pooled).chunk(2)
        return (u * v).sum(dim=1, keepdim=True)


class InBatchHead(Head):
    """The cosine of each query with the document of every pair in the batch; no parameters."""

    def __init__(self, input_dim: int) -> None:
        super().__init__(input_dim, 1)

    def forward(self, pooled: Float[Tensor, "B2 P"]) -> Float[Tensor, "B B"]:
        queries, documents = unit(pooled).chunk(2)
        return queries @ documents.T


def unit(vectors: Float[Tensor, "N P"]) -> Float[Tensor, "N P"]:
    """Vectors of length 1, in float32 or wider; a zero vector stays zero."""
    return functional.normalize(vectors.to(torch.promote_types(vectors.dtype, torch.float32)))
