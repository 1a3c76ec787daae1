"""The two trainers that benchmarks compare; all that they can write is off."""

import logging
import tempfile
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
import transformers
from pytorch_lightning.utilities import disable_possible_user_warnings

OURS = "poolbench"


def lightning_trainer(**settings: Any) -> pl.Trainer:
    """A trainer that neither evaluates nor logs nor saves."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    disable_possible_user_warnings()
    return pl.Trainer(
        **settings,
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )


def hf_trainer(
    config: transformers.PretrainedConfig,
    rows: Any,
    collator: Callable[..., Any],
    device: torch.device,
    **arguments: Any,
) -> transformers.Trainer:
    """The ``Trainer`` for one epoch of a classifier with random weights.

    Its arguments are new for each training: this resets the precision of accelerate.
    """
    model = transformers.AutoModelForSequenceClassification.from_config(
        config, attn_implementation="sdpa"
    )
    trainer = transformers.Trainer(
        model.train(),
        transformers.TrainingArguments(
            output_dir=tempfile.gettempdir(),
            num_train_epochs=1,
            max_grad_norm=0.0,
            use_cpu=device.type == "cpu",
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=device.type == "cuda",
            **arguments,
        ),
        train_dataset=rows,
        data_collator=collator,
    )
    trainer.remove_callback(transformers.PrinterCallback)
    return trainer
