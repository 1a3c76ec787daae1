"""The same fine-tuning under other people's loops, on the same texts and the same weights.

Hugging Face's classifier stands on the first token, with its family's own layers before the scores;
none of this costs more than a thousandth of a step.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import datasets
import pytorch_lightning as pl
import torch
from lightning_template import Template
from torch import nn
from torch.utils.data import DataLoader
from trainings import Training
from transformers import (
    AutoModelForSequenceClassification,
    DataCollatorWithPadding,
    PreTrainedTokenizerBase,
    PrinterCallback,
    Trainer,
    TrainingArguments,
    default_data_collator,
)

from poolbench.core.errors import BadInput
from poolbench.encoders.huggingface import PretrainedEncoder
from poolbench.training.session import Prepared


@dataclass(frozen=True)
class Settings:
    """What all loops share.

    Attributes:
        batch_size: examples in a step.
        learning_rate: of all parameters; it falls to 0 in a straight line.
        weight_decay: of AdamW.
        seed: of the order and the new layers.
        cpu: leave a GPU alone.
    """

    batch_size: int
    learning_rate: float
    weight_decay: float
    seed: int
    cpu: bool


@dataclass(frozen=True)
class Peers:
    """Data and weights as Hugging Face's classes want them.

    Attributes:
        encoder: whose weights and tokenizer they get.
        padded: training texts, each padded to the greatest length; as run_classification does.
        ragged: the same without padding.
        settings: of every loop.
        folder: for whatever a Trainer writes.
        texts: how many the loss is of.
    """

    encoder: PretrainedEncoder
    padded: datasets.Dataset
    ragged: datasets.Dataset
    settings: Settings
    folder: str
    texts: int

    @classmethod
    def of(cls, prepared: Prepared, settings: Settings, folder: str, texts: int) -> "Peers":
        """Tokenised; nothing of this is timed.

        Raises:
            BadInput: the encoder has no Hugging Face tokenizer.
        """
        encoder = prepared.encoder
        tokenizer = getattr(encoder, "tokenizer", None)
        if not isinstance(tokenizer, PreTrainedTokenizerBase):
            raise BadInput("benchmark finetune needs an encoder with a Hugging Face tokenizer")
        assert isinstance(encoder, PretrainedEncoder)
        datasets.disable_progress_bars()

        def tokenized(padding: str | bool) -> datasets.Dataset:
            return prepared.splits["train"].map(
                lambda rows: tokenizer(
                    rows["text"], truncation=True, max_length=encoder.max_length, padding=padding
                ),
                batched=True,
                remove_columns="text",
            )

        padded, ragged = tokenized("max_length"), tokenized(False)
        return cls(encoder, padded, ragged, settings, folder, texts)

    def trainer(
        self, *, pad_to_max: bool = False, grouped: bool = False, bf16: bool = False
    ) -> Callable[[], Training]:
        """Hugging Face's ``Trainer``; everything it can write or evaluate is off."""

        def build() -> Training:
            given = self.settings
            arguments = TrainingArguments(
                output_dir=self.folder,
                num_train_epochs=1,
                per_device_train_batch_size=given.batch_size,
                learning_rate=given.learning_rate,
                weight_decay=given.weight_decay,
                max_grad_norm=0.0,
                train_sampling_strategy="group_by_length" if grouped else "random",
                bf16=bf16,
                use_cpu=given.cpu,
                seed=given.seed,
                save_strategy="no",
                logging_strategy="no",
                report_to="none",
                disable_tqdm=True,
                dataloader_pin_memory=not given.cpu,
            )
            model = self._model()
            trainer = Trainer(
                model,
                arguments,
                train_dataset=self.padded if pad_to_max else self.ragged,
                processing_class=self.encoder.tokenizer,
                data_collator=default_data_collator if pad_to_max else self._collator(),
            )
            trainer.remove_callback(PrinterCallback)
            return Training(trainer.train, lambda: self._loss(model))

        return build

    def template(self) -> Callable[[], Training]:
        """Lightning as project templates use it: metric objects and ``self.log`` in every step."""

        def build() -> Training:
            given = self.settings
            model = self._model()
            trainer = pl.Trainer(
                accelerator="cpu" if given.cpu else "auto",
                devices=1,
                max_epochs=1,
                limit_val_batches=0,
                logger=False,
                enable_checkpointing=False,
                enable_model_summary=False,
                enable_progress_bar=False,
            )
            loader = DataLoader(
                self.ragged,
                batch_size=given.batch_size,
                shuffle=True,
                collate_fn=self._collator(),
            )
            module = Template(model, self.classes, given.learning_rate, given.weight_decay)
            return Training(lambda: trainer.fit(module, loader), lambda: self._loss(model))

        return build

    @property
    def classes(self) -> int:
        """C."""
        return int(self.ragged.features["label"].num_classes)

    def _collator(self) -> DataCollatorWithPadding:
        return DataCollatorWithPadding(self.encoder.tokenizer)

    def _model(self) -> nn.Module:
        config = copy.deepcopy(self.encoder.model.config)
        config.num_labels = self.classes
        torch.manual_seed(self.settings.seed)
        model = AutoModelForSequenceClassification.from_config(config, attn_implementation="sdpa")
        # What the classifier's own layers add is not in the encoder.
        model.base_model.load_state_dict(self.encoder.model.state_dict(), strict=False)
        trained: nn.Module = model.train()
        return trained

    @torch.no_grad()
    def _loss(self, model: nn.Module) -> float:
        rows = [self.ragged[row] for row in range(min(self.texts, len(self.ragged)))]
        device = next(model.parameters()).device
        batch = {name: value.to(device) for name, value in self._collator()(rows).items()}
        model.eval()
        loss = float(model(**batch).loss)
        model.train()
        return loss
