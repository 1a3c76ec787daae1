"""Training and evaluation of one cell, for Lightning."""

import hashlib
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.nn import functional
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics import MetricCollection
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassConfusionMatrix,
    MulticlassF1Score,
    MulticlassPrecision,
    MulticlassRecall,
)
from transformers import get_scheduler

from poolbench.core.seeding import seed_device, stream
from poolbench.core.shape_checks import check_logits_and_labels
from poolbench.data.collate import Batch
from poolbench.training.build import build
from poolbench.training.model import PooledClassifier


class Diverged(RuntimeError):
    """The training loss is no longer a number."""


def optimisation(
    config: DictConfig, groups: list[dict[str, Any]], steps: int
) -> tuple[Optimizer, LRScheduler]:
    """The optimiser of some groups of parameters, and its schedule over so many steps."""
    optimizer = build(
        {"_target_": config._target_, "weight_decay": config.weight_decay, "fused": True}, groups
    )
    schedule = get_scheduler(
        {"constant": "constant_with_warmup"}.get(config.schedule, config.schedule),
        optimizer,
        num_warmup_steps=round(config.warmup * steps),
        num_training_steps=steps,
    )
    return optimizer, schedule


class Classification(pl.LightningModule):
    """Cross-entropy over texts, accuracy and macro-F1, one warm-up schedule.

    Args:
        model: the classifier.
        optimizer: the ``optimizer`` group of the configuration.
        seed: of the cell.
    """

    def __init__(self, model: PooledClassifier, optimizer: DictConfig, seed: int) -> None:
        super().__init__()
        self.model, self.optimizer_config, self.seed = model, optimizer, seed
        classes = model.head.num_classes
        scores = MetricCollection(
            {
                "accuracy": MulticlassAccuracy(classes, average="micro"),
                "f1_macro": MulticlassF1Score(classes, average="macro"),
            }
        )
        self.val_scores = scores.clone(prefix="val/")
        self.test_scores = scores.clone(prefix="test/")
        self.test_details = MetricCollection(
            {
                "precision": MulticlassPrecision(classes, average=None),
                "recall": MulticlassRecall(classes, average=None),
                "f1": MulticlassF1Score(classes, average=None),
                "confusion": MulticlassConfusionMatrix(classes),
            }
        )
        self.history: list[dict[str, float]] = []
        self.order_digests: list[str] = []
        self.tested: list[tuple[Tensor, Tensor]] = []
        self.test_report: dict[str, list[Any]] = {}

    def on_train_epoch_start(self) -> None:
        self.order = hashlib.sha256()
        self.loss_sum = torch.zeros((), device=self.device)
        self.examples = 0

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        # Dropout is a function of the step, not of what was drawn before it.
        step = 1_000_000 * self.current_epoch + batch_index
        seed_device(self.device, stream(self.seed, f"step {self.global_rank}", step))
        self.order.update(batch.example_ids.cpu().numpy().tobytes())
        loss = self._loss(self.model(batch), batch)
        if self.model.pooler.extra_loss is not None:
            loss = loss + self.model.pooler.extra_loss
        # Summed here and logged once an epoch: logging every step costs more than a small pooler.
        self.loss_sum += loss.detach() * len(batch)
        self.examples += len(batch)
        return loss

    def on_train_epoch_end(self) -> None:
        sums = self.trainer.strategy.reduce(
            torch.stack([self.loss_sum, self.loss_sum.new_tensor(self.examples)]), reduce_op="sum"
        )
        loss = float(sums[0] / sums[1])
        self.log("train/loss", loss)
        self.order_digests.append(self.order.hexdigest()[:16])
        if not torch.tensor(loss).isfinite():
            raise Diverged(f"the training loss of epoch {self.current_epoch} is {loss}")
        scores = {name: float(value) for name, value in self.trainer.callback_metrics.items()}
        self.history.append({"epoch": self.current_epoch, **scores, "train/loss": loss})

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        logits = self.model(batch)
        self.val_scores.update(logits, batch.labels)
        self.log("val/loss", self._loss(logits, batch), batch_size=len(batch), sync_dist=True)

    def on_validation_epoch_end(self) -> None:
        self.log_dict(self.val_scores.compute(), prog_bar=True)
        self.val_scores.reset()

    def test_step(self, batch: Batch, batch_index: int) -> None:
        logits = self.model(batch)
        self.test_scores.update(logits, batch.labels)
        self.test_details.update(logits, batch.labels)
        self.tested.append((batch.example_ids.cpu(), logits.float().cpu()))

    def on_test_epoch_end(self) -> None:
        self.log_dict(self.test_scores.compute())
        details = self.test_details.compute()
        self.test_report = {name: value.tolist() for name, value in details.items()}
        if self.trainer.world_size > 1:
            parts: list[Any] = [None] * self.trainer.world_size
            torch.distributed.all_gather_object(parts, self.tested)
            self.tested = [pair for part in parts for pair in part]

    def configure_optimizers(self) -> OptimizerLRScheduler:
        config = self.optimizer_config
        encoder = [p for p in self.model.encoder.parameters() if p.requires_grad]
        parts = (self.model.layers, self.model.pooler, self.model.head)
        rest = [parameter for part in parts for parameter in part.parameters()]
        groups = [{"params": rest, "lr": config.lr}]
        if encoder:
            groups.append({"params": encoder, "lr": config.encoder_lr})
        steps = int(self.trainer.estimated_stepping_batches)
        optimizer, schedule = optimisation(config, groups, steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["poolbench"] = {"history": self.history, "order": self.order_digests}
        if self.model.encoder.tuning == "frozen":
            state = checkpoint["state_dict"]
            for name in [name for name in state if name.startswith("model.encoder.")]:
                del state[name]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self.trainer.state.fn == "fit":  # testing loads an earlier epoch: the past stays
            self.history = checkpoint["poolbench"]["history"]
            self.order_digests = checkpoint["poolbench"]["order"]
        # A frozen encoder is not in the checkpoint: it comes from where it came from before.
        self.strict_loading = self.model.encoder.tuning != "frozen"

    def _loss(self, logits: Tensor, batch: Batch) -> Tensor:
        check_logits_and_labels(logits, batch.labels)
        return functional.cross_entropy(logits, batch.labels)
