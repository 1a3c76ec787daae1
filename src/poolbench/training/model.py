"""Encoder, layer mix, pooler and head as one model; each takes its width from the one before."""

import functools
from collections.abc import Callable
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from poolbench.core.errors import UserError
from poolbench.core.seeding import seeded
from poolbench.core.shape_checks import check_head, explained
from poolbench.data.collate import Batch
from poolbench.data.tokenized import TokenizedDataset
from poolbench.encoders.base import Encoder
from poolbench.encoders.layer_mix import LayerMix, SingleLayer
from poolbench.poolers import masked
from poolbench.poolers.across_windows import AcrossWindows
from poolbench.poolers.base import Pooler
from poolbench.tasks.base import Task
from poolbench.tasks.heads import Head
from poolbench.training.components import build, target_of
from poolbench.training.config import Component, Config


class PooledModel(nn.Module):
    """``head(pooler(layers(encoder(batch))))``.

    Args:
        encoder: computes the hidden states of all layers that ``layers`` and ``pooler`` need.

    Attributes:
        vectors: (M, P) pooled vectors of all texts where they never change, else None.

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
        """Outputs of the head for each example of a batch."""
        if self.vectors is None:
            pooled = self.pool(self.encoder(batch), batch)
        else:
            pooled = self.vectors[batch.text_ids]
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
        if "positions" in self.pooler.needs:
            extra["positions"] = masked.rank(batch.attention_mask)
        if "layers" in self.pooler.needs:
            extra["layers"] = self.select(pooler_layers(self.pooler, self.encoder), states)
        return extra

    def select(self, layers: tuple[int, ...], states: Float[Tensor, "B T R D"]) -> Tensor:
        """(B, T, len(layers), D): the states of some of the encoder's layers."""
        places = [self.encoder.layers.index(layer) for layer in layers]
        first, last = places[0], places[-1]
        if places == list(range(first, last + 1)):
            return states[:, :, first : last + 1]  # a view
        return states[:, :, places]

    @property
    def step_input(self) -> str:
        """What a training step starts from."""
        if not self.learns:
            return "nothing"
        if self.vectors is not None:
            return "cached pooled vectors"
        return "cached hidden states" if self.encoder.cached else "token ids"

    @property
    def learns(self) -> bool:
        """Whether any parameter is trained."""
        learned = (p for part in (self.layers, self.pooler, self.head) for p in part.parameters())
        return self.encoder.tuning == "full" or any(True for _ in learned)

    @property
    def has_fixed_vectors(self) -> bool:
        """Whether the pooled vector of a text never changes while training."""
        learned = [*self.layers.parameters(), *self.pooler.parameters()]
        frozen = self.encoder.tuning == "frozen"
        return frozen and not learned and not self.pooler.depends_on_padding


def build_task(config: Config, data: TokenizedDataset) -> Task:
    """The task of a run, with metrics of its own."""
    features = {"pair_features": config.pair_features} if config.pair_features else {}
    task: Task = build(config.task, data, **features)
    return task


def build_parts(
    config: Config, encoder: Encoder, task: Task, token_counts: Callable[[], Tensor]
) -> tuple[LayerMix, Pooler, Head]:
    """Layer mix, pooler and head, with the initial weights of the run's seed.

    Args:
        task: makes the head.
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
        if "depth" in kind.needs:
            supplied["depth"] = encoder.depth
        if "token_counts" in kind.needs:
            supplied["token_counts"] = token_counts()
        if "native_head" in kind.needs:
            supplied["native_head"] = encoder.native_head()
        pooler: Pooler = build(config.pooler, hidden_dim=layers.output_dim, **supplied)
        if config.across is not None:
            pooler = _across_windows(pooler, config.across, encoder.window)
    needed = -min(pooler.layer_indices, default=0)
    if needed > encoder.depth + 1:
        raise UserError(
            f"pooler.layers={needed} but the encoder has {encoder.depth} layers and its embeddings"
        )
    encoder.check_layers(required_layers(layers, pooler, encoder))
    with seeded(config.seed, "head"):
        head = task.head(pooler.output_dim, functools.partial(build, config.head))
    return layers, pooler, head


def _across_windows(pooler: Pooler, across: Component, window: int | None) -> Pooler:
    """A pooler of windows, and a second one of their vectors."""
    if window is None:
        raise UserError("pooler@across pools the vectors of windows: set encoder.windows.size")
    second = build(across, hidden_dim=pooler.output_dim)
    return AcrossWindows(pooler, second, window)


def pooler_layers(pooler: Pooler, encoder: Encoder) -> tuple[int, ...]:
    """The layers a pooler needs, counted from 0 (embeddings)."""
    return tuple(layer % (encoder.depth + 1) for layer in pooler.layer_indices)


def required_layers(layers: LayerMix, pooler: Pooler, encoder: Encoder) -> tuple[int, ...]:
    """All layers whose states the encoder has to compute, in ascending order."""
    return tuple(sorted({*layers.indices, *pooler_layers(pooler, encoder)}))
