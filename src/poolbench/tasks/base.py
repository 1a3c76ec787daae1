"""The contract of a task: what is predicted from pooled vectors."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import Tensor, nn
from torchmetrics import MetricCollection

from poolbench.data.collate import Batch


class Task(nn.Module, ABC):
    """Loss and metrics of what a head predicts.

    Attributes:
        val_metrics: prefixed with ``val/``.
        test_metrics: prefixed with ``test/``.
        test_details: metrics with one value per class, for the report.
    """

    monitor: ClassVar[str]
    """Validation metric that selects the best epoch; higher is better."""

    val_metrics: MetricCollection
    test_metrics: MetricCollection
    test_details: MetricCollection

    @abstractmethod
    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """The mean loss over a batch.

        Raises:
            ShapeError: the outputs do not match the targets of the batch.
        """

    def report_details(self) -> dict[str, list[Any]]:
        """``test_details`` as plain lists."""
        return {name: value.tolist() for name, value in self.test_details.compute().items()}
