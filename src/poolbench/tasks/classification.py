"""Classification: one text, or two, and one label."""

from collections.abc import Callable
from typing import ClassVar

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
from poolbench.data.columns import Columns
from poolbench.data.tokenized import TokenizedDataset
from poolbench.runs.protocol import TaskName
from poolbench.tasks.base import Task
from poolbench.tasks.heads import Features, Head, PairFeatures, PairHead


class Classification(Task):
    """Cross-entropy; accuracy and macro-F1."""

    name: ClassVar[TaskName] = "classification"
    columns = Columns(texts=1, target="class")
    monitor = "val/accuracy"

    def __init__(self, data: TokenizedDataset) -> None:
        classes = len(data.class_names)
        measured = {
            "accuracy": MulticlassAccuracy(classes, average="micro"),
            "f1_macro": MulticlassF1Score(classes, average="macro"),
        }
        super().__init__(data, measured)
        self.test_details = MetricCollection(
            {
                "precision": MulticlassPrecision(classes, average=None),
                "recall": MulticlassRecall(classes, average=None),
                "f1": MulticlassF1Score(classes, average=None),
                "confusion": MulticlassConfusionMatrix(classes),
            }
        )

    def head(self, width: int, build: Callable[[int, int], Head]) -> Head:
        return build(width, self.num_classes)

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        check_logits_and_labels(outputs, batch.labels)
        return functional.cross_entropy(outputs, batch.labels)


class PairClassification(Classification):
    """The same for two texts, which one pooler pools; the head sees features of both vectors."""

    name = "pair_classification"
    columns = Columns(texts=2, target="class")

    def __init__(self, data: TokenizedDataset, pair_features: Features) -> None:
        super().__init__(data)
        self.pair_features: Features = pair_features

    def head(self, width: int, build: Callable[[int, int], Head]) -> Head:
        features = PairFeatures(width, self.pair_features)
        return PairHead(width, features, super().head(features.output_dim, build))
