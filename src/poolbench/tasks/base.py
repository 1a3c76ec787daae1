"""The contract of a task: what is predicted from pooled vectors."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection

from poolbench.data.collate import Batch
from poolbench.data.needs import Columns
from poolbench.data.tokenized import TokenizedDataset
from poolbench.runs.protocol import TaskName
from poolbench.tasks.heads import Head


class Task(nn.Module, ABC):
    """The head, the loss and the metrics of what is predicted.

    Args:
        data: sets the class names, and by its training split the scale of scores.
        metrics: of validation and test.

    Attributes:
        name: of the task, in records.
        columns: what a dataset has to provide.
        monitor: validation metric that selects the best epoch; higher is better.
        headless: whether the head has no parameters.
        ranks: whether test outputs need the pooled vectors of all texts.
        val_metrics: prefixed with ``val/``.
        test_metrics: prefixed with ``test/``.
        test_details: metrics with one value per class, for the report.
    """

    name: ClassVar[TaskName]
    columns: ClassVar[Columns]
    monitor: ClassVar[str]
    headless: ClassVar[bool] = False
    ranks: ClassVar[bool] = False

    val_metrics: MetricCollection
    test_metrics: MetricCollection
    test_details: MetricCollection

    def __init__(self, data: TokenizedDataset, metrics: Mapping[str, Metric]) -> None:
        super().__init__()
        measured = MetricCollection(dict(metrics))
        self.num_classes = len(data.class_names)
        self.val_metrics = measured.clone(prefix="val/")
        self.test_metrics = measured.clone(prefix="test/")
        self.test_details = MetricCollection({})

    @abstractmethod
    def head(self, width: int, build: Callable[[int, int], Head]) -> Head:
        """The head on pooled vectors of a width; ``build`` makes the configured one."""

    @abstractmethod
    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """The mean loss over a batch.

        Raises:
            ShapeError: the outputs do not match the targets of the batch.
        """

    def measured(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, ...]:
        """What the metrics compare: predictions and targets."""
        return outputs, batch.labels

    def test_outputs(self, model: nn.Module, batch: Batch) -> Tensor:
        """What is recorded of each example of a batch, (B, K)."""
        outputs: Tensor = model(batch)
        return outputs

    def test_measured(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, ...]:
        """What the test metrics compare, from the recorded outputs."""
        return self.measured(outputs, batch)

    def computed(self, metrics: MetricCollection) -> dict[str, Tensor]:
        """Values of metrics, 0 where one is undefined: a class that does not occur, say."""
        with warnings.catch_warnings(action="ignore"):
            return {name: value.nan_to_num(0.0) for name, value in metrics.compute().items()}

    def report_details(self) -> dict[str, list[Any]]:
        """``test_details`` as plain lists."""
        details = self.computed(self.test_details)
        return {name: value.tolist() for name, value in details.items()}
