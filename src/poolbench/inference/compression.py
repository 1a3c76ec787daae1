"""What a pooled vector costs: similarity and retrieval with vectors of fewer bytes.

Vectors are cut to their first dimensions, scaled to length 1, and stored in a format. Queries and
documents are compressed alike. The metric is that of the test of the run, computed by its task from
what the stored values stand for.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import DataLoader

from poolbench.data.collate import Batch
from poolbench.data.tokenized import TokenizedDataset
from poolbench.encoders.feature_cache import pooled_vectors
from poolbench.inference.finished import check_vectors
from poolbench.inference.load import TrainedModel
from poolbench.runs.protocol import METRICS
from poolbench.runs.vector_cost import VectorCost, VectorCosts
from poolbench.stats.clusters import Clusters
from poolbench.stats.paired_test import guarded_half_width, paired
from poolbench.stats.scores import SCORES, Array
from poolbench.tasks.base import Task
from poolbench.tasks.heads import unit
from poolbench.training.model import PooledModel

ALPHA = 0.05  # of all intervals of a run together
PARTS = (1, 2, 4, 8)  # of the width
LEVELS = 256  # of int8


def int8_codes(vectors: Float[Tensor, "N W"], ranges: Float[Tensor, "2 W"]) -> Tensor:
    """Integers from -128 to 127 (N, W): steps of 1/255 of the range of each dimension.

    As ``sentence_transformers.util.quantization`` makes them; values outside are clipped.
    """
    low, step = _steps(ranges)
    places = ((vectors - low) / torch.where(step > 0, step, 1)).floor()
    return places.clamp(0, LEVELS - 1) - LEVELS / 2


def int8_values(vectors: Float[Tensor, "N W"], ranges: Float[Tensor, "2 W"]) -> Tensor:
    """What the codes stand for (N, W): the middles of their steps."""
    low, step = _steps(ranges)
    return low + step * (int8_codes(vectors, ranges) + (LEVELS + 1) / 2)


def _steps(ranges: Float[Tensor, "2 W"]) -> tuple[Tensor, Tensor]:
    low, high = ranges
    return low, (high - low) / (LEVELS - 1)


class Format(NamedTuple):
    """A number of bits for each dimension, and what is compared in place of the vectors."""

    bits: int
    stored: Callable[[Tensor, Tensor], Tensor]  # vectors (N, W), ranges (2, W) -> (N, W)


FORMATS = {
    "float32": Format(32, lambda vectors, _: vectors),
    "float16": Format(16, lambda vectors, _: vectors.half().float()),
    "int8": Format(8, int8_values),
    "int8 codes": Format(8, int8_codes),  # not decoded, as libraries compare them
    # The cosine of signs is 1 - 2 h / W, where h is the Hamming distance.
    "binary": Format(1, lambda vectors, _: torch.where(vectors > 0, 1.0, -1.0)),
}


@torch.inference_mode()
def vector_costs(trained: TrainedModel) -> VectorCosts:
    """The primary metric of a run in all formats, at all, 1/2, 1/4 and 1/8 of the width.

    Ranges of int8 are those of the corpus, or for similarity of the texts outside the test split;
    of the test texts where there are no others.

    Raises:
        UserError: the task is neither similarity nor retrieval.
    """
    check_vectors(trained.record)
    record, config, session = trained.record, trained.config, trained.session
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model, task = trained.model.to(device), session.task(config).to(device)
    data, batches = session.inputs(config).data, session.datamodule(config).test_dataloader()
    shown = config.trainer.enable_progress_bar
    (vectors,) = pooled_vectors([model.pool], model.encoder, data, config.pooled_tokens, shown)
    calibration = _calibration(data).to(device)
    metric = METRICS[record.task][0]
    targets = data.labels[data.splits["test"]].numpy()
    clusters = Clusters(record.predictions.groups, len(targets))
    widths = dict.fromkeys(max(vectors.shape[1] // part, 1) for part in PARTS)
    level = ALPHA / (len(FORMATS) * len(widths) - 1)
    costs: list[VectorCost] = []
    as_they_are: Array | None = None
    for name, form in FORMATS.items():
        for width in widths:
            cut = unit(vectors[:, :width])
            ranges = torch.stack([*cut[calibration].aminmax(dim=0)])
            model.vectors = form.stored(cut, ranges)
            outputs, metrics = _test(model, task, batches)
            scores = SCORES[metric](targets, outputs)
            as_they_are = scores if as_they_are is None else as_they_are
            difference, interval = _difference(scores - as_they_are, clusters, level)
            cost = VectorCost(
                format=name,
                width=width,
                bytes=-(-width * form.bits // 8),
                value=100 * metrics[f"test/{metric}"],
                difference=difference,
                interval=interval if costs else None,
            )
            costs.append(cost)
    model.vectors = None
    model.to("cpu")
    return VectorCosts(predictions_sha256=record.predictions_sha256, metric=metric, costs=costs)


def _calibration(data: TokenizedDataset) -> Tensor:
    """Ids of the texts that set the ranges."""
    if data.relevance:
        return data.relevance.corpus
    test = data.members[data.splits["test"]].unique()
    others = data.members.unique()
    others = others[~torch.isin(others, test)]
    return others if len(others) else test


def _test(
    model: PooledModel, task: Task, batches: DataLoader[Batch]
) -> tuple[np.ndarray, dict[str, float]]:
    """Outputs of the test examples in their order, and the metrics."""
    ids, outputs = [], []
    task.test_metrics.reset()
    for batch in (batch.to(next(model.buffers()).device) for batch in batches):
        found = task.test_outputs(model, batch)
        task.test_metrics.update(*task.test_measured(found, batch))
        ids.append(batch.example_ids)
        outputs.append(found)
    ordered = torch.cat(outputs)[torch.cat(ids).argsort()]
    metrics = task.computed(task.test_metrics)
    return ordered.cpu().numpy(), {name: float(value) for name, value in metrics.items()}


def _difference(
    scores: Array, clusters: Clusters, level: float
) -> tuple[float, tuple[float, float] | None]:
    """Mean and interval of differences of scores (n,), in points."""
    mean = 100 * float(scores.mean())
    if clusters.number < 2:
        return mean, None
    half = 100 * float(guarded_half_width(paired(scores[None], clusters), level))
    return mean, (mean - half, mean + half)
