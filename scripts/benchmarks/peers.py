"""Compare poolbench with other libraries, both sides interleaved in one process.

    python scripts/benchmarks/peers.py encode      sentence vectors: sentence-transformers
    python scripts/benchmarks/peers.py finetune    one training epoch: the Trainer of Hugging Face
    python scripts/benchmarks/peers.py input       training batches: datasets with a data collator

Other arguments are overrides of train.py. Needs: pip install -c constraints.txt -e ".[bench]".
"""

import argparse
import copy
import importlib.util
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from itertools import islice
from math import ceil
from pathlib import Path
from statistics import median
from typing import Any

import datasets
import measure
import torch
import transformers
from torch import Tensor
from torch.nn.functional import cosine_similarity
from torch.utils.data import DataLoader
from trainers import OURS, hf_trainer, lightning_trainer

from poolbench.core.errors import UserError
from poolbench.data.tokenized import tokenize_texts
from poolbench.encoders.feature_cache import cache_hidden_states, pooled_vectors
from poolbench.encoders.huggingface import PretrainedEncoder
from poolbench.poolers import masked
from poolbench.training.config import Config
from poolbench.training.lit_module import LitPooledModel
from poolbench.training.session import Session

LR = 2e-4  # for one epoch: enough for every variant to learn something
EPOCH = f"""encoder.tuning=full optimizer.lr={LR} optimizer.encoder_lr={LR} optimizer.warmup=0
    trainer=cpu trainer.max_epochs=1 trainer.gradient_clip_val=null""".split()
# Starts a training: the work that is timed, and the loss after it.
Training = tuple[Callable[[], object], Callable[[], float]]


def encode(config: Config, options: argparse.Namespace) -> None:
    """Texts to mean vectors in float32, tokenizing included, both sides with the same weights."""
    _require("sentence_transformers")
    from sentence_transformers import SentenceTransformer

    session = Session()
    encoder = _encoder(session, config)
    texts = session.inputs(config).splits["train"]["text"][: options.texts]
    packed = session.run_encoder(config, (encoder.depth,))
    with tempfile.TemporaryDirectory() as folder:
        encoder.model.save_pretrained(folder)
        encoder.tokenizer.save_pretrained(folder)
        peer = SentenceTransformer(folder, device="cpu")
    peer.max_seq_length = encoder.max_length
    vectors: dict[str, Tensor] = {}

    def ours() -> None:
        data = tokenize_texts(texts, encoder.tokenize)
        with tempfile.TemporaryDirectory() as folder:
            cached = cache_hidden_states(packed, data, Path(folder), max_gb=100.0, progress=False)
            (vectors[OURS],) = pooled_vectors(
                [lambda states, batch: masked.mean(states[:, :, -1], batch.pooling_mask)],
                cached,
                data,
            )

    def theirs(size: int) -> None:
        options = {"convert_to_tensor": True, "show_progress_bar": False}
        vectors["peer"] = peer.encode(texts, batch_size=size, **options)

    works = {OURS: ours}
    for size in (32, 64, 128):
        works[f"sentence-transformers, batches of {size}"] = partial(theirs, size)
    variants = {name: measure.timed(work) for name, work in works.items()}
    seconds = measure.interleave(variants, options.rounds)
    print(f"{len(texts)} texts to vectors\n\n{measure.table(seconds, OURS)}\n")
    lengths = tokenize_texts(texts, encoder.tokenize).lengths.tolist()
    limit = measure.least_seconds(encoder, lengths, measure.Rates.measure())
    print(f"fraction of limit: {limit / median(seconds[OURS]):.2f}")
    print(f"least cosine of two vectors: {cosine_similarity(*vectors.values()).min():.6f}")


def finetune(config: Config, options: argparse.Namespace) -> None:
    """One epoch of fine-tuning encoder and head with AdamW, in the same number of steps.

    Models are built and texts tokenized before; nothing is evaluated, logged or saved.
    """
    _require("accelerate")
    datasets.disable_progress_bars()
    session, losses = Session(), dict[str, float]()
    encoder, inputs = _encoder(session, config), session.inputs(config)
    dynamic, padded = (
        partial(_hf_training, encoder, _tokenized(encoder, inputs.splits["train"], padding), config)
        for padding in (False, "max_length")
    )
    prepared = {
        OURS: partial(_our_training, session, config),
        "HF Trainer, padded": partial(padded, transformers.default_data_collator),
        "HF Trainer, dynamic padding": dynamic,
    }
    if options.bf16:
        trainer = config.trainer.model_copy(update={"precision": "bf16-mixed"})
        half = config.model_copy(update={"trainer": trainer})
        prepared |= {
            f"{OURS}, bf16": partial(_our_training, session, half),
            "HF Trainer, dynamic padding, bf16": partial(dynamic, bf16=True),
            "HF Trainer, grouped by length, bf16": partial(
                dynamic, bf16=True, train_sampling_strategy="group_by_length"
            ),
        }

    def epoch(name: str) -> float:
        train, loss = prepared[name]()
        seconds = measure.timed(train)()
        losses[name] = loss()
        return seconds

    seconds = measure.interleave({name: partial(epoch, name) for name in prepared}, options.rounds)
    rows = inputs.data.splits["train"]
    print(f"one epoch of {len(rows)} texts, batches of {config.batch_size}\n")
    print(measure.table(seconds, OURS))
    print(*(f"training loss {losses[name]:.3f}: {name}" for name in losses), "", sep="\n")
    lengths = inputs.data.lengths[rows].tolist()
    steps = ceil(len(rows) / config.batch_size)
    limit = measure.least_seconds(encoder, lengths, measure.Rates.measure(), steps)
    print(f"fraction of limit: {limit / median(seconds[OURS]):.2f}")


def _our_training(session: Session, config: Config) -> Training:
    module = LitPooledModel(
        session.model(config), session.task(config), config.optimizer, config.seed
    )
    trainer = lightning_trainer(**config.trainer.model_dump(exclude={"compile"}))
    fit = partial(trainer.fit, module, session.datamodule(config))
    return fit, lambda: module.history[-1]["train/loss"]


def _hf_training(
    encoder: PretrainedEncoder,
    rows: datasets.Dataset,
    config: Config,
    collator: Callable[..., Any] | None = None,
    **arguments: Any,
) -> Training:
    """The ``Trainer`` with the same weights and settings."""
    settings = copy.deepcopy(encoder.model.config)
    settings.num_labels = rows.features["label"].num_classes
    torch.manual_seed(config.seed)
    collator = collator or transformers.DataCollatorWithPadding(encoder.tokenizer)
    arguments |= {"per_device_train_batch_size": config.batch_size, "learning_rate": LR}
    arguments |= {"weight_decay": config.optimizer.weight_decay, "seed": config.seed}
    trainer = hf_trainer(settings, rows, collator, torch.device("cpu"), **arguments)
    # Not strict: the classifier has layers that the encoder lacks.
    trainer.model.base_model.load_state_dict(encoder.model.state_dict(), strict=False)
    return trainer.train, lambda: trainer.state.log_history[-1]["train_loss"]


def batches(config: Config, options: argparse.Namespace) -> None:
    """Training batches from token ids."""
    session = Session()
    encoder, train = _encoder(session, config), session.inputs(config).splits["train"]
    datasets.disable_progress_bars()
    loader = DataLoader(
        _tokenized(encoder, train, False),
        batch_size=config.batch_size,
        shuffle=True,
        collate_fn=transformers.DataCollatorWithPadding(encoder.tokenizer),
    )

    def seconds(source: Iterable[object]) -> float:
        iterator = iter(source)
        next(iterator)
        started = time.perf_counter()
        number = sum(1 for _ in islice(iterator, 100))
        return (time.perf_counter() - started) / number

    sources = {OURS: session.datamodule(config).train_dataloader(), "Dataset and collator": loader}
    variants = {name: partial(seconds, source) for name, source in sources.items()}
    found = measure.interleave(variants, options.rounds)
    print(f"one batch of {config.batch_size}\n\n{measure.table(found, OURS)}")


def _tokenized(
    encoder: PretrainedEncoder, train: datasets.Dataset, padding: str | bool
) -> datasets.Dataset:
    cut = {"truncation": True, "max_length": encoder.max_length, "padding": padding}
    return train.map(
        lambda rows: encoder.tokenizer(rows["text"], **cut), batched=True, remove_columns="text"
    )


def _encoder(session: Session, config: Config) -> PretrainedEncoder:
    encoder = session.encoder(config)
    if not isinstance(getattr(encoder, "tokenizer", None), transformers.PreTrainedTokenizerBase):
        raise UserError("the benchmark needs a Hugging Face encoder: encoder=minilm")
    return encoder


def _require(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise UserError(f'{package} is not installed: pip install -c constraints.txt -e ".[bench]"')


def main(arguments: list[str] | None = None) -> None:
    """Run one of the comparisons."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("benchmark", choices=BENCHMARKS)
    parser.add_argument("--texts", type=int, default=256, help="training texts; default: 256")
    parser.add_argument("--bf16", action="store_true", help="fine-tune in bfloat16 as well")
    options = measure.parse(parser, arguments, rounds=5)
    fixed: tuple[str, ...] = ()
    if options.benchmark == "finetune":
        fixed = (f"dataset.max_examples={options.texts}", *EPOCH)
    BENCHMARKS[options.benchmark](measure.compose(*fixed, *options.overrides), options)


BENCHMARKS = {"encode": encode, "finetune": finetune, "input": batches}
if __name__ == "__main__":
    measure.run(main)
