"""Throughput of a model, timed in turn with a reference model so that their ratio can be compared.

Speeds of different runs cannot be compared: on a shared machine the same encoder varies tenfold.
Here the model and the reference (``mean``, same encoder, same batches) take turns in one process,
so that a busy machine slows both.
"""

import functools
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from poolbench.data.collate import Batch
from poolbench.encoders.base import Encoder
from poolbench.encoders.layer_mix import SingleLayer
from poolbench.poolers.mean import MeanPooler
from poolbench.tasks.base import Task
from poolbench.tasks.heads import LinearHead
from poolbench.training.model import PooledModel

SECONDS, ROUNDS = 0.5, 2  # at least, for each of the two measurements
PRECISION, MOST_SECONDS = 0.02, 10.0  # of the ratio; on a busy machine it takes more rounds


def reference_model(encoder: Encoder, task: Task) -> PooledModel:
    """The model that throughput is relative to: ``mean`` over the last layer, a linear head.

    ``encoder`` is whole: that of a model may end after the highest layer in use.
    """
    width = encoder.hidden_dim
    layers = SingleLayer(width, encoder.depth, -1)
    return PooledModel(encoder, layers, MeanPooler(width), task.head(width, LinearHead))


def measure(
    model: PooledModel,
    reference: PooledModel,
    batches: list[Batch],
    device: torch.device,
    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> dict[str, float]:
    """``perf/*`` of a model that computes hidden states itself.

    It takes one to three seconds, and up to ten more on a busy machine. ``reference`` is
    :func:`reference_model`.

    * ``inference_samples_per_sec``: end to end from token ids to outputs, in eval mode.
    * ``relative_throughput``: that over the reference's, see :func:`ratio`; the comparable figure.
    * ``pooler_forward_ms``, ``pooler_train_ms`` (forward and backward): layer mix and pooler alone,
      on a batch of the same size and median length.
    """
    batches = [batch.to(device) for batch in batches]
    model, reference = (each.to(device).eval() for each in (model, reference))
    middle = sorted(batches, key=lambda batch: batch.input_ids.shape[1])[len(batches) // 2]
    with torch.no_grad(), autocast():
        states = model.encoder(middle).detach()

    def inference(call: Callable[..., Any], *inputs: Any) -> None:
        with torch.inference_mode(), autocast():
            call(*inputs)

    def train(batch: Batch) -> None:
        leaf = states.requires_grad_()
        with autocast():
            pooled = model.pool(leaf, batch)
        pooled.float().sum().backward()
        leaf.grad = None

    in_turn = functools.partial(
        _in_turn,
        lambda batch: inference(model, batch),
        lambda batch: inference(reference, batch),
        batches=batches,
    )
    started, seconds = time.perf_counter(), in_turn()
    while uncertainty(seconds) > PRECISION and time.perf_counter() - started < MOST_SECONDS:
        seconds = torch.cat([seconds, in_turn()])
    pooler_alone = _in_turn(
        lambda batch: inference(model.pool, states, batch), train, batches=[middle]
    )
    model.zero_grad(set_to_none=True)
    # The shortest time of each batch, as in ``timeit``: longer ones were interrupted.
    fastest = seconds.amin(dim=0).sum(dim=0)
    forward_ms, train_ms = (1e3 * pooler_alone.amin(dim=(0, 1))).tolist()
    return {
        "perf/inference_samples_per_sec": sum(map(len, batches)) / float(fastest[0]),
        "perf/relative_throughput": ratio(seconds),
        "perf/pooler_forward_ms": forward_ms,
        "perf/pooler_train_ms": train_ms,
    }


def ratio(seconds: Float[Tensor, "rounds batches 2"]) -> float:
    """The median, over rounds and batches, of the second time over the first one.

    Both follow each other, so what slows the machine slows both. On a busy machine the shortest
    times of a few rounds differ by a tenth and more, their ratio twice as much.
    """
    return float((seconds[..., 1] / seconds[..., 0]).quantile(0.5))


def uncertainty(seconds: Float[Tensor, "rounds batches 2"]) -> float:
    """About the standard error of the ratio: the interquartile range over the root of n."""
    ratios = (seconds[..., 1] / seconds[..., 0]).flatten()
    low, high = ratios.quantile(torch.tensor([0.25, 0.75], dtype=ratios.dtype)).tolist()
    return float(high - low) / len(ratios) ** 0.5


def _in_turn(
    *variants: Callable[[Batch], None], batches: list[Batch]
) -> Float[Tensor, "rounds batches variants"]:
    """Seconds of each variant; in every round they take turns on every batch."""
    rounds: list[list[list[float]]] = []
    started = time.perf_counter()
    while len(rounds) < ROUNDS or time.perf_counter() - started < SECONDS:
        rounds.append([[_seconds(variant, batch) for variant in variants] for batch in batches])
    return torch.tensor(rounds, dtype=torch.float64)


def _seconds(variant: Callable[[Batch], None], batch: Batch) -> float:
    _synchronize(batch)
    before = time.perf_counter()
    variant(batch)
    _synchronize(batch)
    return time.perf_counter() - before


def _synchronize(batch: Batch) -> None:
    if batch.labels.is_cuda:
        torch.cuda.synchronize(batch.labels.device)
