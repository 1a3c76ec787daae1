"""Similarity: the cosine of two pooled vectors against a score."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from poolbench.core.shape_checks import check_same_shape
from poolbench.data.collate import Batch
from poolbench.data.needs import Columns
from poolbench.data.tokenized import TokenizedDataset
from poolbench.tasks.base import Task
from poolbench.tasks.heads import CosineHead, Head
from poolbench.tasks.regression import correlations

DECIMALS = 6  # cosines that differ by less are equal: rounding must not rank constant vectors


class Similarity(Task):
    """No head and nothing to train, unless the pooler learns or the encoder is tuned.

    Then the loss is the squared error of the cosine, with the training scores scaled to 0 to 1
    (Reimers and Gurevych, 2019).
    """

    name = "similarity"
    columns = Columns(texts=2, target="score")
    monitor = "val/spearman"
    headless = True
    low: Tensor
    range: Tensor

    def __init__(self, data: TokenizedDataset) -> None:
        super().__init__(data, correlations())
        scores = data.labels[data.splits["train"]] if data.splits else data.labels
        low, high = scores.aminmax() if len(scores) else torch.tensor([0.0, 1.0])
        self.register_buffer("low", low)
        self.register_buffer("range", high - low if high > low else torch.ones_like(low))

    def head(self, width: int, build: Callable[[int, int], Head]) -> Head:
        return CosineHead(width)

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        scores = ((batch.labels - self.low) / self.range).unsqueeze(1)
        check_same_shape(outputs, scores)
        return functional.mse_loss(outputs, scores)

    def measured(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, ...]:
        return outputs.float().squeeze(1).round(decimals=DECIMALS), batch.labels

    def test_outputs(self, model: nn.Module, batch: Batch) -> Tensor:
        outputs: Tensor = model(batch)
        return outputs.float().round(decimals=DECIMALS)
