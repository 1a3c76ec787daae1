"""One cell from its configuration to its record."""

import copy
import functools
import json
import logging
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint, RichProgressBar
from pytorch_lightning.utilities import disable_possible_user_warnings

from poolbench import provenance
from poolbench.build import build
from poolbench.cell import Cell, identify
from poolbench.closing import print_summary
from poolbench.data.corpus import Corpus, tokenise
from poolbench.data.datamodule import CorpusDataModule
from poolbench.encoders.base import Encoder
from poolbench.encoders.states import encode_once
from poolbench.model import PooledClassifier
from poolbench.module import Classification
from poolbench.results.record import RECORD, Predictions, read_record, write_record
from poolbench.streams import drawing
from poolbench.throughput import Throughput
from poolbench.tracking import Tested, Tracker

MONITOR = "val/accuracy"


def run_cell(cfg: DictConfig) -> float:
    """Train and test one cell, unless its record is already there.

    Returns:
        The best validation accuracy: what a sweeper may optimise. Never a test figure.
    """
    _quiet()
    started = time.perf_counter(), time.process_time()
    splits, corpus, encoder = _prepare(
        _json(cfg.dataset),
        _json(cfg.encoder),
        _json(cfg.cache),
        Path(cfg.output_dir) / "cache",
        cfg.trainer.enable_progress_bar,
    )
    choices = HydraConfig.get().runtime.choices
    cell = identify(cfg, choices, _content(corpus, encoder))
    if (cell.folder / RECORD).exists():
        record = read_record(cell.folder)
        print_summary(record, cell, finished_before=True)
        return record["metrics"]["best/val_accuracy"]

    with build(cfg.logger, _partial_=True)(cell=cell, settings=_plain(cfg)) as tracker:
        module, trainer, metrics = _train_and_test(cfg, cell, corpus, encoder, tracker)
        predictions = _predictions(module, corpus)
        test = corpus.splits["test"]
        parameters = _parameters(module.model)
        tracker.finish(
            metrics,
            parameters,
            Tested(
                texts=splits["test"]["text"],
                labels=predictions.labels.tolist(),
                predictions=predictions.predictions.tolist(),
                class_names=corpus.class_names,
            ),
        )
    details = {name: value.tolist() for name, value in module.test_details.compute().items()}
    record = {
        "status": "ok",
        "cell": {
            "study": cell.study,
            "dataset": cell.dataset,
            "encoder": cell.encoder,
            "pooler": cell.pooler,
            "seed": cell.seed,
            "digest": cell.digest,
        },
        "config": _plain(cfg),
        "metrics": metrics,
        "history": module.history,
        "test_details": details,
        "parameters": parameters,
        "data": {
            "classes": list(corpus.class_names),
            "examples": {split: len(rows) for split, rows in corpus.splits.items()},
            "cut_texts": corpus.cut,
            "blank_texts": corpus.blank,
            "test_tokens": corpus.lengths[test.start : test.stop].tolist(),
        },
        "digests": {
            "order": module.order_digests,
            "tokens": corpus.token_digest,
            "test_ids": corpus.split_digest("test"),
            "data": corpus.data_digest,
            "encoder": encoder.digest,
        },
        "caveats": [encoder.caveat] if encoder.caveat else [],
        "tracked": tracker.where,
        "versions": provenance.versions(),
        "hardware": provenance.hardware(trainer.strategy.root_device),
        "revision": provenance.revision(),
        "seconds": {
            "wall": time.perf_counter() - started[0],
            "cpu": time.process_time() - started[1],
        },
    }
    if trainer.is_global_zero:
        write_record(cell.folder, record, predictions)
        print_summary(record, cell)
    return metrics["best/val_accuracy"]


@functools.lru_cache(maxsize=1)
def _prepare(
    dataset: str, encoder: str, cache: str, folder: Path, progress: bool
) -> tuple[datasets.DatasetDict, Corpus, Encoder]:
    """Data and encoder of a cell; kept for the next one, which mostly has the same."""
    splits = build(_without_alias(dataset))
    built: Encoder = build(_without_alias(encoder))
    corpus = tokenise(splits, built.tokenize)
    options = json.loads(cache)
    if built.tuning == "frozen" and options["enabled"]:
        built = encode_once(built, corpus, folder, options["max_gb"], progress)
    return splits, corpus, built


def _train_and_test(
    cfg: DictConfig, cell: Cell, corpus: Corpus, encoder: Encoder, tracker: Tracker
) -> tuple[Classification, pl.Trainer, dict[str, float]]:
    with drawing(cfg.seed, "pooler"):
        pooler = build(cfg.pooler, hidden_dim=encoder.hidden_dim)
    with drawing(cfg.seed, "head"):
        head = build(cfg.head, pooler.output_dim, len(corpus.class_names))
    # An encoder that trains must not hand its weights on to the next cell of a sweep.
    encoder = copy.deepcopy(encoder) if encoder.tuning == "full" else encoder
    module = Classification(PooledClassifier(encoder, pooler, head), cfg.optimizer, cfg.seed)
    data = CorpusDataModule(corpus, cfg.batch_size, cfg.seed, encoder.padding_side, encoder.pad_id)
    clock = Throughput()
    checkpoint = ModelCheckpoint(
        dirpath=cell.folder / "checkpoints",
        filename="best",
        monitor=MONITOR,
        mode="max",
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )
    stopping = EarlyStopping(
        MONITOR, mode="max", patience=cfg.patience, check_on_train_epoch_end=True
    )
    trainer = _trainer(cfg, [clock, checkpoint, stopping], tracker)
    trainer.fit(module, data)
    best = max(module.history, key=lambda epoch: epoch[MONITOR])
    metrics = {
        "train/loss": module.history[-1]["train/loss"],
        "best/val_accuracy": best[MONITOR],
        "best/epoch": best["epoch"],
        **clock.summary(trainer.strategy.root_device),
    }
    tested = trainer.test(module, data, ckpt_path=checkpoint.best_model_path, verbose=False)[0]
    return module, trainer, metrics | dict(tested)


def _trainer(cfg: DictConfig, callbacks: list[Callback], tracker: Tracker) -> pl.Trainer:
    options = _plain(cfg.trainer)
    if options["precision"] == "auto":
        half = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
        options["precision"] = (
            "bf16-mixed" if half and options["accelerator"] != "cpu" else "32-true"
        )
    # Without a terminal a bar would be a heap of lines.
    options["enable_progress_bar"] &= sys.stdout.isatty()
    if options["enable_progress_bar"]:
        callbacks.append(RichProgressBar(refresh_rate=20))
    return pl.Trainer(
        **options,
        callbacks=callbacks,
        logger=tracker.logger or False,
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


def _content(corpus: Corpus, encoder: Encoder) -> dict[str, Any]:
    return {
        "data": corpus.data_digest,
        "tokens": corpus.token_digest,
        "encoder": encoder.digest,
        "tuning": encoder.tuning,
        "padding_side": encoder.padding_side,
    }


def _parameters(model: PooledClassifier) -> dict[str, int]:
    parts = {"encoder": model.encoder, "pooler": model.pooler, "head": model.head}
    return {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()}


def _quiet() -> None:
    """Lightning's tips and hints are for those who write a loop, not for those who run one."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    disable_possible_user_warnings()
    warnings.filterwarnings("ignore", message=".*Checkpoint directory .* exists and is not empty")
    warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\).*")


def _plain(cfg: DictConfig) -> dict[str, Any]:
    plain = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def _json(cfg: DictConfig) -> str:
    return json.dumps(_plain(cfg), sort_keys=True)


def _without_alias(group: str) -> dict[str, Any]:
    return {key: value for key, value in json.loads(group).items() if key != "alias"}
