"""Classification: one text, or two, and one label."""

from collections.abc import Callable
from typing import Any, ClassVar

from torch import Tensor
from torch.nn import functional
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassAUROC,
    MulticlassConfusionMatrix,
    MulticlassF1Score,
    MulticlassPrecision,
    MulticlassRecall,
)
from torchmetrics.utilities import dim_zero_cat

from poolbench.core.shape_checks import check_logits_and_labels
from poolbench.data.collate import Batch
from poolbench.data.needs import Columns
from poolbench.data.tokenized import TokenizedDataset
from poolbench.runs.protocol import TaskName
from poolbench.tasks.base import Task
from poolbench.tasks.heads import Features, Head, pair_head


class RecallAtFalsePositives(Metric):
    """Recall of the second of two classes where 1 % of the first are taken for it.

    The threshold is the lowest one that at most 1 % of the negatives exceed.
    """

    scores: list[Tensor]
    labels: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("scores", [], "cat")
        self.add_state("labels", [], "cat")

    def update(self, logits: Tensor, labels: Tensor) -> None:
        self.scores.append(logits[:, 1] - logits[:, 0])
        self.labels.append(labels)

    def compute(self) -> Tensor:
        scores, labels = dim_zero_cat(self.scores), dim_zero_cat(self.labels)
        negatives = scores[labels == 0].sort(descending=True).values
        allowed = len(negatives) // 100  # of the negatives, that may exceed the threshold
        above = scores[labels == 1] > negatives[allowed] if len(negatives) else labels == 1
        return above.float().mean()


class Classification(Task):
    """Cross-entropy; accuracy and macro-F1.

    With two classes the test adds the area under the ROC curve, and recall at 1 % false positives.
    """

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
        if classes == 2:
            binary: dict[str, Any] = {
                "auroc": MulticlassAUROC(2),
                "recall@1%fpr": RecallAtFalsePositives(),
            }
            self.test_metrics.add_metrics(binary)
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
    """The same for two texts: the head sees features of their vectors, or one vector of both."""

    name = "pair_classification"
    columns = Columns(texts=2, target="class")

    def __init__(self, data: TokenizedDataset, pair_features: Features) -> None:
        super().__init__(data)
        self.pair_features: Features = pair_features

    def head(self, width: int, build: Callable[[int, int], Head]) -> Head:
        make = super().head
        return pair_head(width, self.pair_features, lambda wide: make(wide, build))
