"""Train and test one run, from its spec to its record."""

import json
import logging
import time
import warnings
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.utilities import disable_possible_user_warnings

from poolbench.core import environment
from poolbench.core.errors import UserError
from poolbench.core.io import atomic_write
from poolbench.core.redact import redacted
from poolbench.core.sources import code_digest
from poolbench.data.tokenized import TokenizedDataset
from poolbench.runs.identity import RunSpec
from poolbench.runs.predictions import Predictions
from poolbench.runs.record import (
    DataSummary,
    Digests,
    Parameters,
    RunRecord,
    write_record,
)
from poolbench.tasks.base import Task
from poolbench.training import callbacks
from poolbench.training.config import Config
from poolbench.training.inputs import Inputs
from poolbench.training.lit_module import LitPooledModel
from poolbench.training.loggers import open_logger
from poolbench.training.model import PooledModel
from poolbench.training.session import Session


def train_run(spec: RunSpec, session: Session, *watching: Callback) -> RunRecord | None:
    """Train and test one run, continuing from where an interrupted one stopped.

    Returns:
        Its record, written; None in the other processes of a distributed run.

    Raises:
        DivergedError: the training loss is no longer finite.
        UserError: the parts of the run do not fit together.
    """
    config = Config.model_validate(spec.config)
    quiet(profiling=config.trainer.profiler is not None)
    wall, cpu = time.perf_counter(), time.process_time()
    inputs, model = session.inputs(config), session.model(config)
    certificate = session.certificate(config, spec.variant, model) if config.certify else {}
    parameters = _count_parameters(model)
    step_input = model.step_input
    with open_logger(config.logger, spec, parameters, step_input) as logger:
        module, trainer, metrics = _fit_and_test(spec, config, session, model, [logger, *watching])
        if not trainer.is_global_zero:
            return None
        device = trainer.strategy.root_device
        if config.measure:
            metrics |= session.throughput(config, spec.variant, model, trainer)
        predictions, code = _predictions(module, inputs.data, config.folds), code_digest()
        half = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
        dtype = half.get(str(trainer.precision), torch.float32)
        attention = model.encoder.attention_kernel(device, dtype)
        unpacked = config.batching == "packed" and not model.encoder.packed
        record = RunRecord(
            folder=spec.folder,
            run=spec,
            task=module.task.name,
            status="ok",
            metrics=metrics,
            history=module.history,
            test_details=module.test_details,
            parameters=parameters,
            data=_data_summary(spec, inputs, config.folds),
            digests=Digests(**inputs.digests, code=code, order=module.order_digests),
            step_input=step_input,
            batching="padded" if unpacked else config.batching,
            certificate=certificate,
            notes=_notes(spec, model, module.task, inputs.data),
            logger=logger.location,
            versions=environment.versions(),
            hardware=environment.hardware(device) | {"attention": attention},
            revision=environment.revision(),
            seconds={"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu},
            finished=datetime.now(UTC),
        )
        write_record(record, predictions)
        logger.finish(record, inputs.test_texts)
    for path in (spec.folder / "checkpoints").glob("epoch=*.ckpt"):  # kept for resuming only
        path.unlink(missing_ok=True)
    return record


def _fit_and_test(
    spec: RunSpec,
    config: Config,
    session: Session,
    model: PooledModel,
    watching: Sequence[Callback],
) -> tuple[LitPooledModel, pl.Trainer, dict[str, float]]:
    task = session.task(config)
    module = LitPooledModel(model, task, config.optimizer, config.seed)
    data = session.datamodule(config)
    speed = callbacks.TrainingSpeed(model.encoder.computed_positions)
    folder = spec.folder / "checkpoints"
    best, last = callbacks.checkpoints(folder, task.monitor)
    stopping = callbacks.ResumableEarlyStopping(
        task.monitor, mode="max", patience=config.patience, check_on_train_epoch_end=True
    )
    used = [*watching, speed]
    if task.ranks:
        used.append(callbacks.PooledCorpus(session.inputs(config).data, config.pooled_tokens))
    if not model.learns:
        trainer = make_trainer(config, callbacks=used)
        (tested,) = trainer.test(module, data, verbose=False)
        return module, trainer, speed.summary(trainer.strategy) | dict(tested)
    trainer = make_trainer(config, callbacks=[*used, stopping, best, last])
    resumed = callbacks.last_intact_checkpoint(folder)
    try:
        trainer.fit(module, data, ckpt_path=resumed, weights_only=True)
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise UserError(
            f"out of memory: lower batch_size to {config.batch_size // 2}, set "
            f"trainer.accumulate_grad_batches={2 * config.trainer.accumulate_grad_batches}: {error}"
        ) from error
    epoch = max(module.history, key=lambda epoch: epoch[task.monitor])
    metrics = {
        "train/loss": module.history[-1]["train/loss"],
        **{k.replace("val/", "best/val_"): v for k, v in epoch.items() if k.startswith("val/")},
        "best/epoch": epoch["epoch"],
        **speed.summary(trainer.strategy),
    }
    (tested,) = trainer.test(
        module, data, ckpt_path=best.best_model_path, weights_only=True, verbose=False
    )
    return module, trainer, metrics | dict(tested)


def make_trainer(config: Config, **overrides: Any) -> pl.Trainer:
    """The trainer of a run; ``overrides`` are arguments of ``pytorch_lightning.Trainer``."""
    options = config.trainer.model_dump(exclude={"compile", "enable_progress_bar"}) | overrides
    if options["precision"] == "auto":
        gpu = options["accelerator"] != "cpu" and torch.cuda.is_available()
        options["precision"] = "bf16-mixed" if gpu and torch.cuda.is_bf16_supported() else "32-true"
    return pl.Trainer(
        **options,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )


def _count_parameters(model: PooledModel) -> Parameters:
    """Parameters of each part; those of a layer mix serve the pooler and are counted with it."""
    names = ("encoder", "layers", "pooler", "head")
    count = {name: sum(p.numel() for p in getattr(model, name).parameters()) for name in names}
    count["pooler"] += count.pop("layers")
    return Parameters(**count, pooled_width=model.pooler.output_dim)


def _predictions(module: LitPooledModel, data: TokenizedDataset, folds: int) -> Predictions:
    ids, outputs = map(torch.cat, zip(*module.tested, strict=True))
    order = ids.argsort()
    ids, outputs = ids[order], outputs[order]
    return Predictions(
        example_ids=(ids if folds else ids - data.splits["test"][0]).numpy(),
        targets=data.labels[ids].numpy(),
        outputs=outputs.numpy().astype(np.float32),
        groups=_clusters(data, ids),
    )


def _clusters(data: TokenizedDataset, ids: torch.Tensor) -> NDArray[np.int64] | None:
    """What examples have in common: their group, or the texts of pairs if some share one."""
    if data.groups is not None:
        return data.groups[ids].numpy()
    texts = (data.members if data.pairs is None else data.pairs)[ids]
    if texts.shape[1] == 1 or data.relevance or len(texts.unique()) == texts.numel():
        return None
    return texts.numpy()


def _data_summary(spec: RunSpec, inputs: Inputs, folds: int) -> DataSummary:
    # Reports show test texts with the predictions of all seeds, which folds do not have.
    texts = "" if folds else _keep_test_texts(spec, inputs)
    own = {"duplicates": inputs.duplicates, "folds": folds, "test_texts": texts}
    return DataSummary(**inputs.data.summary(), **own)


def _keep_test_texts(spec: RunSpec, inputs: Inputs) -> str:
    """Write the test texts once per study; the name of the file, relative to the study."""
    name = f"{spec.dataset}/texts-{inputs.digests['data'][:8]}.json"
    path = spec.study_folder / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            file.write(json.dumps({"texts": inputs.test_texts}).encode())
    return name


def _notes(spec: RunSpec, model: PooledModel, task: Task, data: TokenizedDataset) -> list[str]:
    notes = [redacted(model.encoder.caveat)] if model.encoder.caveat else []
    if task.headless and model.encoder.declared_pooling:
        notes.append(f"The files of the encoder declare {model.encoder.declared_pooling} pooling.")
    several = model.encoder.window is not None and int(data.lengths.max()) > model.encoder.window
    if several and model.pooler.needs_special_tokens and spec.setting("across") is None:
        notes.append(
            f"{spec.pooler} takes the special token of the first window alone: pooler@across=mean "
            "pools the vectors of all windows."
        )
    if spec.setting("batching") == "grouped":
        notes.append(
            "Training batches held texts of similar length (batching=grouped), which may favour "
            "some poolers."
        )
    return notes


def quiet(profiling: bool) -> None:
    """Silence hints of Lightning that are meant for authors of a training loop."""
    level = logging.INFO if profiling else logging.ERROR
    logging.getLogger("pytorch_lightning").setLevel(level)
    disable_possible_user_warnings()
    for message in (
        ".*Checkpoint directory .* exists and is not empty",
        ".*Experiment logs directory .* exists and is not",
        r".*isinstance\(treespec, LeafSpec\).*",
    ):
        warnings.filterwarnings("ignore", message=message)
