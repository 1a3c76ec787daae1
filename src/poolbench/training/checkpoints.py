"""Checkpoints that are whole or not used, and what a killed cell goes on from."""

import io
import logging
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO

from poolbench.core.io import file_digest, replacing

log = logging.getLogger(__name__)
MONITOR = "val/accuracy"
CHECKSUM = ".sha256"


class VerifiedCheckpoints(TorchCheckpointIO):
    """Writes a checksum beside every checkpoint: torch loads a flipped bit without a word."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Write the file in one step, then its checksum."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()
        torch.save(checkpoint, content)
        with replacing(path) as file:
            file.write(content.getvalue())
        with replacing(_checksum(path)) as file:
            file.write(file_digest(path).encode())

    def remove_checkpoint(self, path: Any) -> None:
        """Remove the file and its checksum."""
        super().remove_checkpoint(path)
        _checksum(Path(path)).unlink(missing_ok=True)


class StopWhenNoBetter(EarlyStopping):
    """Early stopping that, when resumed, remembers that it had already decided to stop."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.should_stop = self.wait_count >= self.patience


def keep_best(folder: Path) -> ModelCheckpoint:
    """The weights with the best validation accuracy, in ``folder/best.ckpt``."""
    return ModelCheckpoint(
        dirpath=folder,
        filename="best",
        monitor=MONITOR,
        mode="max",
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )


def keep_last_two(folder: Path) -> ModelCheckpoint:
    """The last two epochs: should the last one be damaged, the one before it serves."""
    return ModelCheckpoint(
        dirpath=folder,
        filename="epoch={epoch}",
        auto_insert_metric_name=False,
        monitor="epoch",
        mode="max",
        save_top_k=2,
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )


def last_intact(folder: Path) -> Path | None:
    """The checkpoint of the latest epoch in ``folder`` that is whole; damaged ones are removed."""
    for path in sorted(folder.glob("epoch=*.ckpt"), key=_epoch, reverse=True):
        if intact(path):
            return path
        log.warning("%s is damaged and is not used", path)
        path.unlink()
        _checksum(path).unlink(missing_ok=True)
    return None


def intact(path: Path) -> bool:
    """Is this file what was written?"""
    try:
        return file_digest(path) == _checksum(path).read_text()
    except (OSError, UnicodeDecodeError):
        return False


def forget_epochs(folder: Path) -> None:
    """Remove what was kept for resuming; the best weights stay."""
    for path in folder.glob("epoch=*.ckpt*"):
        path.unlink(missing_ok=True)


def _checksum(path: Path) -> Path:
    return path.with_name(path.name + CHECKSUM)


def _epoch(path: Path) -> int:
    return int(path.stem.removeprefix("epoch="))
