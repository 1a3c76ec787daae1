"""Multi-label classification: one text and any number of labels."""

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional
from torchmetrics import MetricCollection
from torchmetrics.classification import (
    MultilabelAveragePrecision,
    MultilabelF1Score,
    MultilabelPrecision,
    MultilabelRecall,
)

from poolbench.core.shape_checks import check_same_shape
from poolbench.data.collate import Batch
from poolbench.data.needs import Columns
from poolbench.data.tokenized import TokenizedDataset
from poolbench.tasks.base import Task
from poolbench.tasks.heads import Head


class Multilabel(Task):
    """A sigmoid for each class and binary cross-entropy; a label is predicted above 1/2."""

    name = "multilabel"
    columns = Columns(texts=1, target="labels")
    monitor = "val/f1_micro"

    def __init__(self, data: TokenizedDataset) -> None:
        classes = len(data.class_names)
        measured = {
            "f1_micro": MultilabelF1Score(classes, average="micro"),
            "f1_macro": MultilabelF1Score(classes, average="macro"),
            "mean_average_precision": MultilabelAveragePrecision(classes, average="macro"),
        }
        super().__init__(data, measured)
        self.test_details = MetricCollection(
            {
                "precision": MultilabelPrecision(classes, average=None),
                "recall": MultilabelRecall(classes, average=None),
                "f1": MultilabelF1Score(classes, average=None),
            }
        )

    def head(self, width: int, build: Callable[[int, int], Head]) -> Head:
        return build(width, self.num_classes)

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        check_same_shape(outputs, batch.labels)
        return functional.binary_cross_entropy_with_logits(outputs, batch.labels.to(outputs.dtype))

    def measured(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, ...]:
        return outputs.float().sigmoid(), batch.labels.int()
