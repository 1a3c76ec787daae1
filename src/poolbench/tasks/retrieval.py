"""Retrieval: documents ranked by the cosine of their pooled vector with that of a query."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics import MeanMetric, Metric, MetricCollection

from poolbench.data.collate import Batch
from poolbench.data.needs import Columns
from poolbench.data.relevance import Relevance
from poolbench.data.tokenized import TokenizedDataset
from poolbench.runs.protocol import METRICS
from poolbench.tasks.base import Task
from poolbench.tasks.heads import Head, InBatchHead, unit
from poolbench.tasks.ranking import ranking_metrics
from poolbench.tasks.similarity import DECIMALS

TEMPERATURE = 0.05


class ColumnMean(Metric):
    """The mean of one column of the outputs."""

    total: Tensor
    examples: Tensor

    def __init__(self, column: int) -> None:
        super().__init__()
        self.column = column
        self.add_state("total", torch.tensor(0.0, dtype=torch.float64), "sum")
        self.add_state("examples", torch.tensor(0), "sum")

    def update(self, outputs: Tensor) -> None:
        self.total += outputs[:, self.column].sum(dtype=torch.float64)
        self.examples += len(outputs)

    def compute(self) -> Tensor:
        return self.total / self.examples


class Retrieval(Task):
    """No head and nothing to train, unless the pooler learns or the encoder is tuned.

    Then the loss is the cross-entropy over the documents of the batch, in which each query's own is
    the target (in-batch negatives, temperature .05); other relevant ones count as wrong. Validation
    measures how often it ranks first. The test ranks every document of the dataset for each query.
    """

    name = "retrieval"
    columns = Columns(texts=2, target="relevance")
    monitor = "val/in_batch_accuracy"
    headless = True
    ranks = True

    def __init__(self, data: TokenizedDataset) -> None:
        super().__init__(data, {"in_batch_accuracy": MeanMetric()})
        means: dict[str, Any] = {name: ColumnMean(i) for i, name in enumerate(METRICS["retrieval"])}
        self.test_metrics = MetricCollection(means, prefix="test/", compute_groups=False)
        self.relevance: Relevance | None = data.relevance

    def head(self, width: int, build: Callable[[int, int], Head]) -> Head:
        return InBatchHead(width)

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        documents = batch.text_ids[len(batch) :]
        own = torch.eye(len(batch), dtype=torch.bool, device=outputs.device)
        # The same document of another pair is not a wrong answer.
        same = (documents == documents.unsqueeze(1)) & ~own
        logits = (outputs / TEMPERATURE).masked_fill(same, float("-inf"))
        return functional.cross_entropy(logits, own.int().argmax(dim=1))

    def measured(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, ...]:
        own = outputs.diagonal().unsqueeze(1)
        others = (outputs >= own).sum(dim=1) - 1
        return ((others == 0).float(),)

    @torch.no_grad()
    def test_outputs(self, model: nn.Module, batch: Batch) -> Tensor:
        vectors: Any = model.vectors
        assert self.relevance is not None
        relevance = self.relevance.to(vectors.device)
        queries, documents = batch.text_ids[: len(batch)], relevance.corpus
        # In half precision, which a trainer may ask for, thousands of documents would tie.
        with torch.autocast(vectors.device.type, enabled=False):
            scores = unit(vectors[queries]) @ unit(vectors[documents]).T
        return ranking_metrics(scores.round(decimals=DECIMALS), batch.example_ids, relevance)

    def test_measured(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, ...]:
        return (outputs,)
