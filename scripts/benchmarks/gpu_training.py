"""The trainings that gpu.py times, on random token ids: poolbench and the ``Trainer`` of HF."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from trainers import hf_trainer, lightning_trainer

from poolbench.data.datamodule import TokenizedDataModule
from poolbench.data.tokenized import TokenizedDataset
from poolbench.encoders.layer_mix import SingleLayer
from poolbench.encoders.toy import FIRST_WORD, START, ScratchEncoder
from poolbench.poolers.mean import MeanPooler
from poolbench.tasks.classification import Classification
from poolbench.tasks.heads import LinearHead
from poolbench.training.config import OptimizerConfig
from poolbench.training.lit_module import LitPooledModel
from poolbench.training.model import PooledModel

CLASSES, BATCH, LR = 2, 32, 2e-5
RECIPE = {"_target_": "torch.optim.AdamW", "lr": LR, "encoder_lr": LR, "weight_decay": 0.01}
RECIPE |= {"warmup": 0.0, "schedule": "linear"}


@dataclass(frozen=True)
class Size:
    """An encoder, and how much is measured with it."""

    name: str
    layers: int
    width: int
    heads: int
    vocabulary: int
    texts: int


MINILM = Size("MiniLM", 6, 384, 12, 30_522, 2048)


def token_ids(size: Size) -> TokenizedDataset:
    """Random token ids in texts of 5 to 128 tokens, as long as film reviews: 27 on average."""
    draw = torch.Generator().manual_seed(0)
    lengths = torch.empty(size.texts).log_normal_(3.15, 0.55, generator=draw).long().clamp(5, 128)
    starts = torch.cat((torch.zeros(1, dtype=torch.long), lengths.cumsum(0)))
    total = int(starts[-1])
    ids = torch.randint(FIRST_WORD, size.vocabulary, (total,), generator=draw, dtype=torch.int32)
    ids[starts[:-1]] = START
    labels = torch.randint(CLASSES, (size.texts,), generator=draw)
    none = torch.arange(0)
    splits = {"train": torch.arange(size.texts), "validation": none, "test": none}
    members = torch.arange(len(labels)).unsqueeze(1)
    return TokenizedDataset(ids, starts, labels, members, splits, ("0", "1"))


def encoder_of(size: Size) -> ScratchEncoder:
    """A BERT with random weights, the same each time."""
    return ScratchEncoder(
        layers=size.layers,
        hidden_dim=size.width,
        heads=size.heads,
        vocab_size=size.vocabulary,
        tuning="full",
    )


def our_training(
    encoder: ScratchEncoder,
    data: TokenizedDataset,
    device: torch.device,
    pack: bool = True,
    compiled: bool = False,
) -> Callable[[], object]:
    """One epoch with ``mean`` and a linear head, as ``train.py`` does it."""
    encoder = encoder.with_layers((encoder.depth,))
    if pack:
        encoder.pack()
    if compiled:
        encoder.compile(dynamic=True)
    width = encoder.hidden_dim
    layers, pooler = SingleLayer(width, encoder.depth, -1), MeanPooler(width)
    model = PooledModel(encoder, layers, pooler, LinearHead(width, CLASSES))
    optimizer = OptimizerConfig.model_validate(RECIPE)
    module = LitPooledModel(model, Classification(data), optimizer, seed=0)
    trainer = lightning_trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=1,
        precision="bf16-mixed",
        max_epochs=1,
        enable_progress_bar=False,
    )
    batches = TokenizedDataModule(data, partial(encoder.collate, data), BATCH, seed=0)
    return partial(trainer.fit, module, batches)


def hf_training(
    size: Size, data: TokenizedDataset, device: torch.device, **arguments: Any
) -> Callable[[], object]:
    """The same with the ``Trainer`` of Hugging Face."""
    settings = copy.deepcopy(encoder_of(size).model.config)
    settings.num_labels = CLASSES
    texts = data.ids.long().split(data.lengths.tolist())
    rows = [{"input_ids": x, "labels": int(y)} for x, y in zip(texts, data.labels, strict=True)]
    arguments |= {"per_device_train_batch_size": BATCH, "learning_rate": LR}
    arguments |= {"weight_decay": RECIPE["weight_decay"], "bf16": True}
    return hf_trainer(settings, rows, _padded, device, **arguments).train


def _padded(rows: list[dict[str, Any]]) -> dict[str, Tensor]:
    ids = nn.utils.rnn.pad_sequence([row["input_ids"] for row in rows], batch_first=True)
    labels = torch.tensor([row["labels"] for row in rows])
    return {"input_ids": ids, "attention_mask": (ids != 0).long(), "labels": labels}
