"""A training module as project templates for Lightning write it: a peer to measure against."""

from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy
from transformers import get_scheduler


class Template(pl.LightningModule):
    """Updates and logs a loss and an accuracy in every step.

    Args:
        model: a Hugging Face classifier.
        classes: C.
        learning_rate: at first; it falls to 0 in a straight line.
        weight_decay: of AdamW.
    """

    def __init__(
        self, model: nn.Module, classes: int, learning_rate: float, weight_decay: float
    ) -> None:
        super().__init__()
        self.model, self.learning_rate, self.weight_decay = model, learning_rate, weight_decay
        self.train_loss = MeanMetric()
        self.train_accuracy = MulticlassAccuracy(classes, average="micro")

    def training_step(self, batch: dict[str, Tensor], batch_index: int) -> Tensor:
        out = self.model(**batch)
        loss: Tensor = out.loss
        self.train_loss(loss)
        self.train_accuracy(out.logits.argmax(dim=1), batch["labels"])
        for name in ("loss", "accuracy"):
            metric = getattr(self, f"train_{name}")
            self.log(f"train/{name}", metric, on_step=False, on_epoch=True, prog_bar=True)
        return loss

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay
        )
        steps = int(self.trainer.estimated_stepping_batches)
        schedule: Any = get_scheduler("linear", optimizer, 0, steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
