"""One cell from its configuration to its record."""

import json
import logging
import sys
import time
import warnings
from math import ceil
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from omegaconf import DictConfig
from pytorch_lightning.callbacks import Callback, RichProgressBar
from pytorch_lightning.utilities import disable_possible_user_warnings

from poolbench.core import environment as provenance
from poolbench.core import kernels
from poolbench.core.io import replacing
from poolbench.core.redact import redacted
from poolbench.data.tokenized import Corpus
from poolbench.encoders.base import Encoder
from poolbench.runs.identity import Cell
from poolbench.runs.record import Predictions, write_record
from poolbench.training import checkpoints
from poolbench.training.build import build
from poolbench.training.callbacks import Throughput
from poolbench.training.certificate import certificate
from poolbench.training.checkpoints import MONITOR
from poolbench.training.lit_module import Classification
from poolbench.training.loggers import Tested, Tracker
from poolbench.training.model import PooledClassifier
from poolbench.training.session import Prepared, batches_of, model_of, plain, trainer_options
from poolbench.training.together import Follower, SharedClock, SharedLoop

log = logging.getLogger(__name__)


def run_cell(
    cfg: DictConfig, cell: Cell, prepared: Prepared, loop: SharedLoop | None = None
) -> dict[str, Any] | None:
    """Train and test one cell, going on where an interrupted run of it stopped.

    Args:
        cfg: its configuration.
        cell: its identity.
        prepared: its data and encoder.
        loop: that trains it, with or without other seeds; None: Lightning's own loop does.

    Returns:
        Its record, written; None in the helper processes of a distributed run.
    """
    _quiet(profiling=cfg.trainer.profiler is not None)
    started = time.perf_counter(), time.process_time()
    corpus, encoder = prepared.corpus, prepared.encoder
    settings = redacted(plain(cfg))
    with kernels.chosen(), build(cfg.logger, cell=cell, settings=settings) as tracker:
        module, trainer, metrics = _train_and_test(cfg, cell, prepared, tracker, loop)
        predictions = _predictions(module, corpus)
        parameters = _parameters(module.model)
        if trainer.is_global_zero:
            tracker.finish(metrics, parameters, _tested(prepared, predictions))
    if not trainer.is_global_zero:
        return None
    record = {
        "status": "ok",
        "cell": cell.names,
        "config": settings,
        "trained_on": module.model.trains_on,
        "shared_loop": list(loop.orders) if loop else None,  # the seeds in it
        "batching": _batching(cfg, module.model),
        "metrics": metrics,
        "history": module.history,
        "test_details": module.test_report,
        "parameters": parameters,
        "certificate": certificate(cfg) if cfg.certify else None,
        "data": {**corpus.summary(), "test_texts": _keep_texts(cell, prepared)},
        "digests": {**prepared.digests, "order": module.order_digests},
        "caveats": _caveats(cfg, encoder),
        "tracked": tracker.where,
        "versions": provenance.versions(),
        "hardware": provenance.hardware(trainer.strategy.root_device),
        "kernels": {**kernels.summary(), "attention": _attention(module.model, trainer)},
        "revision": provenance.revision(),
        "seconds": {
            "wall": time.perf_counter() - started[0],
            "cpu": time.process_time() - started[1],
        },
    }
    write_record(cell.folder, record, predictions)
    checkpoints.forget_epochs(cell.folder / "checkpoints")
    return record


def _train_and_test(
    cfg: DictConfig, cell: Cell, prepared: Prepared, tracker: Tracker, loop: SharedLoop | None
) -> tuple[Classification, pl.Trainer, dict[str, float]]:
    """Fit, then test with the best weights; out of memory, again with half the rows at a time."""
    pieces = 1
    while True:
        try:
            return _fit_and_test(cfg, cell, prepared, tracker, pieces, loop)
        except (torch.OutOfMemoryError, MemoryError) as error:
            if pieces >= cfg.batch_size:
                raise
            pieces *= 2
            log.warning("%s: each batch is now computed in %d pieces", error, pieces)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()


def _fit_and_test(
    cfg: DictConfig,
    cell: Cell,
    prepared: Prepared,
    tracker: Tracker,
    pieces: int,
    loop: SharedLoop | None,
) -> tuple[Classification, pl.Trainer, dict[str, float]]:
    model = model_of(cfg, prepared)
    encoder = model.encoder
    module = (
        Follower(model, cfg.optimizer, cfg.seed, loop)
        if loop
        else Classification(model, cfg.optimizer, cfg.seed)
    )
    data = batches_of(cfg, prepared, pieces)
    clock = SharedClock() if loop else Throughput(encoder.computed)
    folder = cell.folder / "checkpoints"
    best = checkpoints.keep_best(folder)
    stopping = checkpoints.StopWhenNoBetter(
        MONITOR, mode="max", patience=cfg.patience, check_on_train_epoch_end=True
    )
    callbacks = [clock, stopping, best]
    before = None
    if not loop:  # whose epochs take a second or so: it starts again
        callbacks.append(checkpoints.keep_last_two(folder))
        before = checkpoints.last_intact(folder)
    trainer = _trainer(cfg, callbacks, tracker, pieces, steps=1 if loop else None)
    trainer.fit(module, data, ckpt_path=before)
    epoch = max(module.history, key=lambda epoch: epoch[MONITOR])
    metrics = {
        "train/loss": module.history[-1]["train/loss"],
        "best/val_accuracy": epoch[MONITOR],
        "best/epoch": epoch["epoch"],
        **clock.summary(trainer.strategy),
    }
    if pieces > 1:
        metrics["perf/pieces_per_batch"] = float(pieces)
    tested = trainer.test(module, data, ckpt_path=best.best_model_path, verbose=False)[0]
    return module, trainer, metrics | dict(tested)


def _trainer(
    cfg: DictConfig, callbacks: list[Callback], tracker: Tracker, pieces: int, steps: int | None
) -> pl.Trainer:
    options = trainer_options(cfg)
    if steps:
        options["limit_train_batches"] = steps
    if options["precision"] == "auto":
        half = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
        wanted = options["accelerator"] != "cpu"
        options["precision"] = "bf16-mixed" if half and wanted else "32-true"
    # Without a terminal a bar would be a heap of lines.
    options["enable_progress_bar"] &= sys.stdout.isatty()
    if options["enable_progress_bar"]:
        callbacks.append(RichProgressBar(refresh_rate=20))
    rows = ceil(cfg.batch_size / pieces)
    options["accumulate_grad_batches"] *= ceil(cfg.batch_size / rows)
    return pl.Trainer(
        **options,
        callbacks=callbacks,
        logger=tracker.logger or False,
        plugins=[checkpoints.VerifiedCheckpoints()],
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )


def _predictions(module: Classification, corpus: Corpus) -> Predictions:
    ids = torch.cat([ids for ids, _ in module.tested])
    logits = torch.cat([logits for _, logits in module.tested])
    order = ids.argsort()
    ids, logits = ids[order], logits[order]
    return Predictions(
        example_ids=(ids - corpus.splits["test"].start).numpy(),
        labels=corpus.labels[ids].numpy(),
        predictions=logits.argmax(dim=1).numpy(),
        logits=logits.numpy().astype(np.float32),
    )


def _keep_texts(cell: Cell, prepared: Prepared) -> str:
    """The test texts of a study, kept once for all its cells; the file's name below the study."""
    name = f"{cell.dataset}/texts-{prepared.digests['data'][:8]}.json"
    path = cell.study_folder / name
    if not path.exists():
        with replacing(path) as file:
            file.write(json.dumps({"texts": list(prepared.splits["test"]["text"])}).encode())
    return name


def _tested(prepared: Prepared, predictions: Predictions) -> Tested:
    return Tested(
        texts=prepared.splits["test"]["text"],
        labels=predictions.labels.tolist(),
        predictions=predictions.predictions.tolist(),
        class_names=prepared.corpus.class_names,
    )


def _parameters(model: PooledClassifier) -> dict[str, int]:
    parts = {name: getattr(model, name) for name in ("encoder", "layers", "pooler", "head")}
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()}
    # What a mix of layers learns serves the pooler, and is counted with it.
    counts["pooler"] += counts.pop("layers")
    return counts | {"pooled_width": model.pooler.output_dim}


def _batching(cfg: DictConfig, model: PooledClassifier) -> str:
    """As it really was: not every encoder can do without padding."""
    if cfg.batching == "packed" and not model.encoder.packed:
        return "padded"
    return str(cfg.batching)


def _attention(model: PooledClassifier, trainer: pl.Trainer) -> str:
    half = {"bf16": torch.bfloat16, "16": torch.float16}
    dtype = half.get(str(trainer.precision).split("-")[0], torch.float32)
    return model.encoder.attention(trainer.strategy.root_device, dtype)


def _caveats(cfg: DictConfig, encoder: Encoder) -> list[str]:
    told = [redacted(encoder.caveat)] if encoder.caveat else []
    if cfg.batching == "grouped":
        told.append(
            "Training batches held texts of like length (batching=grouped), which may suit some "
            "poolers better than others."
        )
    return told


def _quiet(profiling: bool) -> None:
    """Lightning's tips and hints are for those who write a loop, not for those who run one."""
    logging.getLogger("pytorch_lightning").setLevel(logging.INFO if profiling else logging.ERROR)
    disable_possible_user_warnings()
    warnings.filterwarnings("ignore", message=".*Checkpoint directory .* exists and is not empty")
    warnings.filterwarnings("ignore", message=".*Experiment logs directory .* exists and is not")
    warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\).*")
