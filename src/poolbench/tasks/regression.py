"""Regression: one text, or two, and a score."""

import warnings
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional
from torchmetrics import MeanAbsoluteError, Metric, PearsonCorrCoef, SpearmanCorrCoef

from poolbench.core.shape_checks import check_same_shape
from poolbench.data.collate import Batch
from poolbench.data.needs import Columns
from poolbench.data.tokenized import TokenizedDataset
from poolbench.runs.protocol import TaskName
from poolbench.tasks.base import Task
from poolbench.tasks.heads import Features, Head, ScaledHead, pair_head


def correlations() -> dict[str, Metric]:
    """Spearman's and Pearson's correlation."""
    with warnings.catch_warnings(action="ignore"):  # Spearman's warns that it keeps all scores
        return {"spearman": SpearmanCorrCoef(), "pearson": PearsonCorrCoef()}


class Regression(Task):
    """Mean squared error, in units of the variance of the training scores."""

    name: ClassVar[TaskName] = "regression"
    columns = Columns(texts=1, target="score")
    monitor = "val/spearman"
    mean: Tensor
    deviation: Tensor

    def __init__(self, data: TokenizedDataset) -> None:
        super().__init__(data, correlations() | {"mae": MeanAbsoluteError()})
        scores = data.labels[data.splits["train"]] if data.splits else data.labels
        self.register_buffer("mean", scores.mean() if len(scores) else torch.tensor(0.0))
        deviation = scores.std() if len(scores) > 1 else torch.tensor(1.0)
        self.register_buffer("deviation", deviation if deviation > 0 else torch.tensor(1.0))

    def head(self, width: int, build: Callable[[int, int], Head]) -> Head:
        return ScaledHead(build(width, 1), self.mean, self.deviation)

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        scores = batch.labels.unsqueeze(1)
        check_same_shape(outputs, scores)
        return functional.mse_loss(outputs / self.deviation, scores / self.deviation)

    def measured(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, ...]:
        return outputs.float().squeeze(1), batch.labels


class PairRegression(Regression):
    """The same for two texts: the head sees features of their vectors, or one vector of both."""

    name = "pair_regression"
    columns = Columns(texts=2, target="score")

    def __init__(self, data: TokenizedDataset, pair_features: Features) -> None:
        super().__init__(data)
        self.pair_features: Features = pair_features

    def head(self, width: int, build: Callable[[int, int], Head]) -> Head:
        make = super().head
        return pair_head(width, self.pair_features, lambda wide: make(wide, build))
