"""The LightningModule: training, validation and test steps of every run."""

import hashlib
import time
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer
from transformers import get_scheduler

from poolbench.core.errors import DivergedError
from poolbench.core.seeding import seed_device, stream_seed
from poolbench.data.collate import Batch
from poolbench.tasks.base import Task
from poolbench.training.components import build
from poolbench.training.config import OptimizerConfig
from poolbench.training.model import PooledModel


class LitPooledModel(pl.LightningModule):
    """Trains a model on a task, with one warm-up schedule and dropout drawn from named streams.

    Attributes:
        history: metrics of each epoch, and ``seconds`` since training started, at its end: with
            validation, without the time between an interruption and its continuation.
        order_digests: digest of the training order of each epoch.
        tested: example ids and outputs of each test batch, on the CPU.
        test_details: metrics per class of the test split.
    """

    def __init__(
        self, model: PooledModel, task: Task, optimizer: OptimizerConfig, seed: int
    ) -> None:
        super().__init__()
        self.model, self.task, self.optimizer_config, self.seed = model, task, optimizer, seed
        self.history: list[dict[str, float]] = []
        self.order_digests: list[str] = []
        self.tested: list[tuple[Tensor, Tensor]] = []
        self.test_details: dict[str, list[Any]] = {}

    def on_train_start(self) -> None:
        before = self.history[-1].get("seconds", 0.0) if self.history else 0.0
        self.started = time.perf_counter() - before

    def on_train_epoch_start(self) -> None:
        self.loss_sum = torch.zeros((), device=self.device)
        self.examples = 0

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        # Dropout is a function of the step, not of what was drawn before it.
        step = 1_000_000 * self.current_epoch + batch_index
        seed_device(self.device, stream_seed(self.seed, f"step {self.global_rank}", step))
        loss = self.task.loss(self.model(batch), batch)
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
        # The order of this epoch's examples, which the sampler alone determines.
        order = hashlib.sha256()
        loader: Any = self.trainer.train_dataloader
        for rows in loader.sampler.batches():
            order.update(rows.numpy().tobytes())
        self.order_digests.append(order.hexdigest()[:16])
        if not torch.tensor(loss).isfinite():
            raise DivergedError(f"the training loss of epoch {self.current_epoch} is {loss}")
        metrics = {name: float(value) for name, value in self.trainer.callback_metrics.items()}
        seconds = time.perf_counter() - self.started
        own = {"train/loss": loss, "seconds": seconds}
        self.history.append({"epoch": self.current_epoch, **metrics, **own})

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        outputs = self.model(batch)
        self.task.val_metrics.update(*self.task.measured(outputs, batch))
        self.log("val/loss", self.task.loss(outputs, batch), batch_size=len(batch), sync_dist=True)

    def on_validation_epoch_end(self) -> None:
        self.log_dict(self.task.computed(self.task.val_metrics), prog_bar=True)
        self.task.val_metrics.reset()

    def test_step(self, batch: Batch, batch_index: int) -> None:
        outputs = self.task.test_outputs(self.model, batch)
        measured = self.task.test_measured(outputs, batch)
        self.task.test_metrics.update(*measured)
        self.task.test_details.update(*measured)
        self.tested.append((batch.example_ids.cpu(), outputs.float().cpu()))

    def on_test_epoch_end(self) -> None:
        self.log_dict(self.task.computed(self.task.test_metrics))
        self.test_details = self.task.report_details()
        if self.trainer.world_size > 1:
            parts: list[Any] = [None] * self.trainer.world_size
            torch.distributed.all_gather_object(parts, self.tested)
            self.tested = [pair for part in parts for pair in part]

    def configure_optimizers(self) -> OptimizerLRScheduler:
        config = self.optimizer_config
        parts = (self.model.layers, self.model.pooler, self.model.head)
        groups = [{"params": [p for part in parts for p in part.parameters()], "lr": config.lr}]
        encoder = [p for p in self.model.encoder.parameters() if p.requires_grad]
        if encoder:
            groups.append({"params": encoder, "lr": config.encoder_lr})
        # With a GradScaler, a fused optimizer unscales gradients in its step: too late to clip.
        fused = self.trainer.precision != "16-mixed"
        described = {"_target_": config.target, "weight_decay": config.weight_decay, "fused": fused}
        optimizer = build(described, groups)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = get_scheduler(
            {"constant": "constant_with_warmup"}.get(config.schedule, config.schedule),
            optimizer,
            num_warmup_steps=round(config.warmup * steps),
            num_training_steps=steps,
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the norm of all gradients; Lightning's own clipping rejects fused optimizers."""
        if gradient_clip_val:
            groups = optimizer.param_groups
            clip_grad_norm_([p for group in groups for p in group["params"]], gradient_clip_val)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["poolbench"] = {"history": self.history, "order": self.order_digests}
        if self.model.encoder.tuning == "frozen":
            state = checkpoint["state_dict"]
            for name in [name for name in state if name.startswith("model.encoder.")]:
                del state[name]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self.trainer.state.fn == "fit":  # testing loads an earlier epoch: keep the history
            self.history = checkpoint["poolbench"]["history"]
            self.order_digests = checkpoint["poolbench"]["order"]
        # A frozen encoder is not in the checkpoint: it is loaded from its own files.
        self.strict_loading = self.model.encoder.tuning != "frozen"
