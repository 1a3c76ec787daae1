"""Encoder, layers, pooler and head put together, each width taken from the part before it."""

from jaxtyping import Float
from torch import Tensor, nn

from poolbench.core.shape_checks import check_head, explained
from poolbench.data.collate import Batch
from poolbench.encoders.base import Encoder
from poolbench.encoders.layer_mix import Layers
from poolbench.poolers.base import Beside, Pooler


class Head(nn.Module):
    """From a pooled vector to one score a class.

    Args:
        input_dim: P, the pooler's ``output_dim``.
        num_classes: C.
    """

    def __init__(self, input_dim: int, num_classes: int) -> None:
        super().__init__()
        self.input_dim = input_dim
        self.num_classes = num_classes


class LinearHead(Head):
    """One linear layer."""

    def __init__(self, input_dim: int, num_classes: int) -> None:
        super().__init__(input_dim, num_classes)
        self.classify = nn.Linear(input_dim, num_classes)

    def forward(self, pooled: Float[Tensor, "B P"]) -> Float[Tensor, "B C"]:
        logits: Tensor = self.classify(pooled)
        return logits


class MlpHead(Head):
    """One hidden layer with GELU, dropout before each linear layer.

    Args:
        input_dim: P.
        num_classes: C.
        width: of the hidden layer.
        dropout: share of values set to zero while training.
    """

    def __init__(self, input_dim: int, num_classes: int, width: int, dropout: float) -> None:
        super().__init__(input_dim, num_classes)
        self.layers = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(input_dim, width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(width, num_classes),
        )

    def forward(self, pooled: Float[Tensor, "B P"]) -> Float[Tensor, "B C"]:
        logits: Tensor = self.layers(pooled)
        return logits


class PooledClassifier(nn.Module):
    """``head(pooler(layers(encoder(batch))))``.

    Args:
        encoder: gives the states of all layers that ``layers`` and ``pooler`` read.
        layers: makes one state for each token of them.
        pooler: makes one vector for each text.
        head: makes scores.

    Attributes:
        vectors: (N, P), the pooled vectors of all examples where they never change, else None.

    Raises:
        ShapeError: the head was built for another width than the pooler gives.
    """

    def __init__(self, encoder: Encoder, layers: Layers, pooler: Pooler, head: Head) -> None:
        super().__init__()
        check_head(head.input_dim, pooler.output_dim)
        self.encoder, self.layers, self.pooler, self.head = encoder, layers, pooler, head
        self.vectors: Tensor | None
        # Not a part of a checkpoint; it travels to the GPU with the module.
        self.register_buffer("vectors", None, persistent=False)
        # from_pretrained leaves eval mode on, which would train an encoder without its dropout.
        self.train()

    def forward(self, batch: Batch) -> Float[Tensor, "B C"]:
        if self.vectors is None:
            pooled = self.pool(self.encoder(batch), batch)
        else:
            pooled = self.vectors[batch.example_ids]
        try:
            logits: Tensor = self.head(pooled)
        except RuntimeError as error:
            raise explained(error, type(self.head).__name__) from error
        return logits

    @property
    def trains_on(self) -> str:
        """What a training step starts from, in words."""
        if self.vectors is not None:
            return "pooled vectors"
        return "stored states" if self.encoder.stored else "token ids"

    def pool(self, states: Float[Tensor, "B T R D"], batch: Batch) -> Float[Tensor, "B P"]:
        """``pooled``, from the states that the encoder gives."""
        hidden = self.layers(self._at(self.layers.read, states))
        beside = Beside()
        if self.pooler.needs:
            beside = Beside(batch.input_ids, self._at(self._pooler_reads(), states))
        return self.pooler(hidden, batch.pooling_mask, beside)

    def _pooler_reads(self) -> tuple[int, ...]:
        return tuple(layer % (self.encoder.depth + 1) for layer in self.pooler.reads)

    def _at(self, layers: tuple[int, ...], states: Float[Tensor, "B T R D"]) -> Tensor:
        """(B, T, len(layers), D): the states of some of the encoder's layers."""
        if layers == self.encoder.layers:
            return states
        return states[:, :, [self.encoder.layers.index(layer) for layer in layers]]
