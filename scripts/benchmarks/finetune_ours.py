"""One pass of a cell that trains end to end, as ``train.py`` runs it, and with one thing changed.

The model, loop, optimiser and callbacks are the cell's own; validation, checkpoints and the record
are left out.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from unittest.mock import patch

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from trainings import Training

from poolbench.core import kernels
from poolbench.data.collate import make_batch
from poolbench.encoders.dropout import drop
from poolbench.encoders.huggingface import PretrainedEncoder
from poolbench.training.callbacks import Throughput
from poolbench.training.lit_module import Classification
from poolbench.training.model import PooledClassifier
from poolbench.training.session import Prepared, batches_of, model_of, trainer_options

FUSED_ATTENTION = (SDPBackend.FLASH_ATTENTION, SDPBackend.MATH)
PLAIN_ATTENTION = (SDPBackend.MATH,)


@dataclass(frozen=True)
class Way:
    """How the pass is computed.

    Attributes:
        batching: as in the configuration.
        precision: as Lightning takes it.
        products: of float32, as ``torch.set_float32_matmul_precision`` takes it; None: as a cell
            chooses them, and ``sdpa`` with them.
        sdpa: what may compute torch's attention.
        eager: attention of the encoder's family in its own plain form, where it is padded.
        fused: AdamW in one kernel.
        drop: takes values and the share of them to drop.
        dropout: on, as in a training.
        batches: so many of the pass; None: all.
    """

    batching: str = "packed"
    precision: str = "32-true"
    products: str | None = None
    sdpa: tuple[SDPBackend, ...] = PLAIN_ATTENTION
    eager: bool = False
    fused: bool = True
    drop: Callable[[Tensor, float], Tensor] = drop
    dropout: bool = True
    batches: int | None = None


LEVERS = {
    "packed, torch's products": Way(products="highest"),
    "packed, AdamW not fused": Way(fused=False),
    "packed, torch's dropout": Way(drop=functional.dropout),
    "padded, eager attention": Way("padded", eager=True),
    "padded, oneDNN, fused attention": Way("padded", products="medium", sdpa=FUSED_ATTENTION),
    "padded, torch's products, plain attention": Way("padded", products="highest"),
    "padded, torch's products, fused attention": Way(
        "padded", products="highest", sdpa=FUSED_ATTENTION
    ),
}
"""Each with one thing less than ``packed`` or ``padded``, and the last with torch as it comes."""


def cell_training(
    cfg: DictConfig, prepared: Prepared, way: Way, texts: int
) -> Callable[[], Training]:
    """Builds the pass anew, from the same weights.

    Args:
        cfg: of the cell.
        prepared: its data and encoder.
        way: how to compute it.
        texts: how many the loss is of.
    """

    def build() -> Training:
        module, run = _ready(cfg, prepared, way)
        return Training(run, lambda: _loss(module.model, prepared, texts))

    return build


def losses_apart(cfg: DictConfig, prepared: Prepared, batches: int) -> float:
    """Between the training losses of some steps, packed and padded, in float32 without dropout."""
    losses = []
    for batching in ("packed", "padded"):
        module, run = _ready(cfg, prepared, Way(batching, dropout=False, batches=batches))
        run()
        losses.append(module.history[-1]["train/loss"])
    return abs(losses[0] - losses[1])


def _ready(
    cfg: DictConfig, prepared: Prepared, way: Way
) -> tuple[Classification, Callable[[], None]]:
    cfg = cfg.copy()
    cfg.batching = way.batching
    model = model_of(cfg, prepared)
    encoder = model.encoder
    if way.eager:
        assert isinstance(encoder, PretrainedEncoder)
        encoder.model.set_attn_implementation("eager")
    model.train(way.dropout)
    module = Classification(model, cfg.optimizer, cfg.seed)
    data = batches_of(cfg, prepared)
    callbacks: list[pl.Callback] = [Throughput(encoder.computed)]
    if not way.fused:
        callbacks.append(_NotFused())
    trainer = pl.Trainer(
        **trainer_options(cfg) | {"precision": way.precision, "limit_train_batches": way.batches},
        limit_val_batches=0,
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )

    def run() -> None:
        with _kernels(way):
            trainer.fit(module, data)

    return module, run


class _NotFused(pl.Callback):
    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        for group in trainer.optimizers[0].param_groups:
            group["fused"] = False


@contextlib.contextmanager
def _kernels(way: Way) -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    used_by = ("poolbench.encoders.dropout.drop", "poolbench.encoders.packing.drop")
    with patch(used_by[0], way.drop), patch(used_by[1], way.drop):
        if way.products is None:
            with kernels.chosen():
                yield
            return
        torch.set_float32_matmul_precision(way.products)
        try:
            with sdpa_kernel(list(way.sdpa)):
                yield
        finally:
            torch.set_float32_matmul_precision(before)


@torch.no_grad()
def _loss(model: PooledClassifier, prepared: Prepared, texts: int) -> float:
    encoder = model.encoder
    rows = torch.tensor(prepared.corpus.splits["train"][:texts])
    batch = make_batch(prepared.corpus, rows, encoder.padding_side, encoder.pad_id)
    training = model.training
    model.eval()
    loss = functional.cross_entropy(model(batch), batch.labels)
    model.train(training)
    return float(loss)
