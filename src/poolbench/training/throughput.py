"""Throughput of a model, timed in turn with a reference model so that their ratio can be compared.

Speeds of different runs cannot be compared: on a shared machine the same encoder varies tenfold.
Here the model and the reference (``mean``, same encoder, same batches) take turns in one process,
so that a busy machine slows both.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from math import inf
from typing import Any

import torch

from poolbench.data.collate import Batch
from poolbench.encoders.base import Encoder
from poolbench.encoders.layer_mix import SingleLayer
from poolbench.poolers.mean import MeanPooler
from poolbench.tasks.base import Task
from poolbench.tasks.heads import LinearHead
from poolbench.training.model import PooledModel

SECONDS = 1.5  # for each of the two measurements
FEWEST_ROUNDS = 5


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
    """``perf/*`` of a model that computes hidden states itself, in about three seconds.

    ``reference`` is :func:`reference_model`.

    * ``inference_samples_per_sec``: end to end from token ids to outputs, in eval mode.
    * ``relative_throughput``: the same over that of the reference; the comparable figure.
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

    own, other = _in_turn(
        lambda batch: inference(model, batch),
        lambda batch: inference(reference, batch),
        batches=batches,
    )
    pooler_forward, pooler_train = _in_turn(
        lambda batch: inference(model.pool, states, batch), train, batches=[middle]
    )
    model.zero_grad(set_to_none=True)
    return {
        "perf/inference_samples_per_sec": sum(map(len, batches)) / own,
        "perf/relative_throughput": other / own,
        "perf/pooler_forward_ms": 1e3 * pooler_forward,
        "perf/pooler_train_ms": 1e3 * pooler_train,
    }


def _in_turn(*variants: Callable[[Batch], None], batches: list[Batch]) -> list[float]:
    """Seconds of each variant for all batches; in every round they take turns on every batch.

    Of each batch the shortest time counts, as in ``timeit``: longer ones were interrupted.
    """
    best = [[inf] * len(batches) for _ in variants]
    started, rounds = time.perf_counter(), 0
    while rounds < FEWEST_ROUNDS or time.perf_counter() - started < SECONDS:
        for i, batch in enumerate(batches):
            for variant, times in zip(variants, best, strict=True):
                _synchronize(batch)
                before = time.perf_counter()
                variant(batch)
                _synchronize(batch)
                times[i] = min(times[i], time.perf_counter() - before)
        rounds += 1
    return [sum(times) for times in best]


def _synchronize(batch: Batch) -> None:
    if batch.labels.is_cuda:
        torch.cuda.synchronize(batch.labels.device)
