"""Encoder, layer mix, pooler and head as one model; each takes its width from the one before."""

from collections.abc import Callable
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from poolbench.core.errors import UserError
from poolbench.core.seeding import seeded
from poolbench.core.shape_checks import check_head, explained
from poolbench.data.collate import Batch
from poolbench.encoders.base import Encoder
from poolbench.encoders.layer_mix import LayerMix, SingleLayer
from poolbench.poolers.base import Pooler, Size
from poolbench.training.config import Config, Share, build, target_of


class Head(nn.Module):
    """From a pooled vector of width P, ``input_dim``, to C outputs of a task, ``output_dim``."""

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


class PooledClassifier(nn.Module):
    """``head(pooler(layers(encoder(batch))))``.

    Args:
        encoder: computes the hidden states of all layers that ``layers`` and ``pooler`` need.

    Attributes:
        vectors: (N, P) cached pooled vectors of all examples where they never change, else None.

    Raises:
        ShapeError: the head was built for another width than the pooler's.
    """

    vectors: Tensor | None

    def __init__(self, encoder: Encoder, layers: LayerMix, pooler: Pooler, head: Head) -> None:
        super().__init__()
        check_head(head.input_dim, pooler.output_dim)
        self.encoder, self.layers, self.pooler, self.head = encoder, layers, pooler, head
        # Moves to the GPU with the module; not part of a checkpoint.
        self.register_buffer("vectors", None, persistent=False)
        # from_pretrained returns eval mode, in which an encoder would train without dropout.
        self.train()

    def forward(self, batch: Batch) -> Float[Tensor, "B C"]:
        if self.vectors is None:
            pooled = self.pool(self.encoder(batch), batch)
        else:
            pooled = self.vectors[batch.example_ids]
        try:
            return self.head(pooled)
        except RuntimeError as error:
            raise explained(error, type(self.head).__name__) from error

    def pool(self, states: Float[Tensor, "B T R D"], batch: Batch) -> Float[Tensor, "B P"]:
        """Pooled vectors from the states that the encoder computes."""
        hidden = self.layers(self.select(self.layers.indices, states))
        return self.pooler(hidden, batch.pooling_mask, **self.extra_inputs(states, batch))

    def extra_inputs(self, states: Float[Tensor, "B T R D"], batch: Batch) -> dict[str, Tensor]:
        """What the pooler needs besides hidden states and mask, by name."""
        extra = {}
        if "token_ids" in self.pooler.needs:
            extra["token_ids"] = batch.input_ids
        if "layers" in self.pooler.needs:
            extra["layers"] = self.select(pooler_layers(self.pooler, self.encoder), states)
        return extra

    def select(self, layers: tuple[int, ...], states: Float[Tensor, "B T R D"]) -> Tensor:
        """(B, T, len(layers), D): the states of some of the encoder's layers."""
        if layers == self.encoder.layers:
            return states
        return states[:, :, [self.encoder.layers.index(layer) for layer in layers]]

    @property
    def step_input(self) -> str:
        """What a training step starts from."""
        if self.vectors is not None:
            return "cached pooled vectors"
        return "cached hidden states" if self.encoder.cached else "token ids"

    @property
    def has_fixed_vectors(self) -> bool:
        """Whether the pooled vector of a text never changes while training."""
        learned = [*self.layers.parameters(), *self.pooler.parameters()]
        return self.encoder.cached and not learned and not self.pooler.depends_on_padding


def build_parts(
    config: Config, encoder: Encoder, outputs: int, token_counts: Callable[[], Tensor]
) -> tuple[LayerMix, Pooler, Head]:
    """Layer mix, pooler and head, with the initial weights of the run's seed.

    Args:
        outputs: C, width of the head's output.
        token_counts: occurrences of each token id in the training split; called if needed.

    Raises:
        UserError: they do not fit together, or not with this encoder.
    """
    kind: type[Pooler] = target_of(config.pooler, config.allow_targets)
    layers: LayerMix = build(config.layers, encoder.hidden_dim, encoder.depth)
    if config.pooled_tokens == "content" and kind.needs_special_tokens and encoder.special_ids:
        raise UserError(
            f"{kind.__name__} pools a special token, which pooled_tokens=content leaves out: use "
            "pooled_tokens=all, or another pooler"
        )
    last = isinstance(layers, SingleLayer) and layers.indices == (encoder.depth,)
    if kind.needs & {"layers", "native_head"} and not last:
        raise UserError(f"{kind.__name__} selects its layers itself: use layers=last")
    with seeded(config.seed, "pooler"):
        supplied: dict[str, Any] = {}
        if "token_counts" in kind.needs:
            supplied["token_counts"] = token_counts()
        if "native_head" in kind.needs:
            supplied["native_head"] = encoder.native_head()
        pooler: Pooler = build(config.pooler, hidden_dim=layers.output_dim, **supplied)
    needed = -min(pooler.layer_indices, default=0)
    if needed > encoder.depth + 1:
        raise UserError(
            f"pooler.layers={needed} but the encoder has {encoder.depth} layers and its embeddings"
        )
    encoder.check_layers(required_layers(layers, pooler, encoder))
    with seeded(config.seed, "head"):
        head: Head = build(config.head, pooler.output_dim, outputs)
    return layers, pooler, head


def pooler_layers(pooler: Pooler, encoder: Encoder) -> tuple[int, ...]:
    """The layers a pooler needs, counted from 0 (embeddings)."""
    return tuple(layer % (encoder.depth + 1) for layer in pooler.layer_indices)


def required_layers(layers: LayerMix, pooler: Pooler, encoder: Encoder) -> tuple[int, ...]:
    """All layers whose states the encoder has to compute, in ascending order."""
    return tuple(sorted({*layers.indices, *pooler_layers(pooler, encoder)}))
