"""Classification: one text, or two, and one label."""

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import (
    MulticlassAccuracy,
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


class _OfAllLogits(Metric):
    """Keeps the logits (B, C) and the labels (B,) of every batch."""

    logits: list[Tensor]
    labels: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("logits", [], "cat")
        self.add_state("labels", [], "cat")

    def update(self, logits: Tensor, labels: Tensor) -> None:
        self.logits.append(logits)
        self.labels.append(labels)


class AreaUnderRoc(_OfAllLogits):
    """Area under the ROC curve of each class against all others, mean over the classes that occur.

    By log-odds: probabilities near 1 would be rounded to equal ones, and torchmetrics counts a
    class that does not occur as 0. It is 1/2 where all labels are equal.
    """

    def compute(self) -> Tensor:
        logits, labels = dim_zero_cat(self.logits).float(), dim_zero_cat(self.labels)
        areas = []
        for c in labels.unique().tolist():
            rest = torch.cat([logits[:, :c], logits[:, c + 1 :]], dim=1)
            odds, own = logits[:, c] - rest.logsumexp(dim=1), labels == c
            others = odds[~own].sort().values
            if len(others):
                ends = [torch.searchsorted(others, odds[own], side=s) for s in ("left", "right")]
                areas.append(torch.cat(ends).float().mean() / len(others))
        return torch.stack(areas).mean() if areas else logits.new_tensor(0.5)


class RecallAtFalsePositives(_OfAllLogits):
    """Recall of the second of two classes where 1 % of the first are taken for it.

    The threshold is the lowest one that at most 1 % of the negatives exceed.
    """

    def compute(self) -> Tensor:
        logits, labels = dim_zero_cat(self.logits), dim_zero_cat(self.labels)
        scores = logits[:, 1] - logits[:, 0]
        negatives = scores[labels == 0].sort(descending=True).values
        allowed = len(negatives) // 100  # of the negatives, that may exceed the threshold
        above = scores[labels == 1] > negatives[allowed] if len(negatives) else labels == 1
        return above.float().mean()


class Classification(Task):
    """Cross-entropy; accuracy, macro-F1 and AUROC.

    With two classes the test adds recall at 1 % false positives.
    """

    name: ClassVar[TaskName] = "classification"
    columns = Columns(texts=1, target="class")
    monitor = "val/accuracy"

    def __init__(self, data: TokenizedDataset) -> None:
        classes = len(data.class_names)
        measured: dict[str, Metric] = {
            "accuracy": MulticlassAccuracy(classes, average="micro"),
            "f1_macro": MulticlassF1Score(classes, average="macro"),
            "auroc": AreaUnderRoc(),
        }
        super().__init__(data, measured)
        if classes == 2:
            self.test_metrics.add_metrics({"recall@1%fpr": RecallAtFalsePositives()})
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
