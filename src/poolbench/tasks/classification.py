"""Classification: one text, one label."""

from torch import Tensor
from torch.nn import functional
from torchmetrics import MetricCollection
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassConfusionMatrix,
    MulticlassF1Score,
    MulticlassPrecision,
    MulticlassRecall,
)

from poolbench.core.shape_checks import check_logits_and_labels
from poolbench.data.collate import Batch
from poolbench.tasks.base import Task


class Classification(Task):
    """Cross-entropy; accuracy and macro-F1.

    Args:
        num_classes: C.
    """

    monitor = "val/accuracy"

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        metrics = MetricCollection(
            {
                "accuracy": MulticlassAccuracy(num_classes, average="micro"),
                "f1_macro": MulticlassF1Score(num_classes, average="macro"),
            }
        )
        self.val_metrics = metrics.clone(prefix="val/")
        self.test_metrics = metrics.clone(prefix="test/")
        self.test_details = MetricCollection(
            {
                "precision": MulticlassPrecision(num_classes, average=None),
                "recall": MulticlassRecall(num_classes, average=None),
                "f1": MulticlassF1Score(num_classes, average=None),
                "confusion": MulticlassConfusionMatrix(num_classes),
            }
        )

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        check_logits_and_labels(outputs, batch.labels)
        return functional.cross_entropy(outputs, batch.labels)
