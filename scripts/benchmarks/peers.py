"""Compare poolbench with other libraries, both sides interleaved in one process.

    python scripts/benchmarks/peers.py encode      sentence vectors: sentence-transformers
    python scripts/benchmarks/peers.py finetune    one training epoch: the Trainer of Hugging Face
    python scripts/benchmarks/peers.py input       training batches: datasets with a data collator

Other arguments are overrides of train.py. Needs: pip install -c constraints.txt -e ".[bench]".
"""

import argparse
import copy
import importlib.util
import logging
import tempfile
import time
from collections.abc import Iterable
from itertools import islice
from math import ceil
from pathlib import Path
from statistics import median
from typing import Any

import datasets
import pytorch_lightning as pl
import torch
import transformers
from measure import (
    Rates,
    Variant,
    compose,
    forward_operations,
    interleave,
    parse,
    run,
    table,
    timed,
    training_limit,
)
from pytorch_lightning.utilities import disable_possible_user_warnings
from torch import Tensor
from torch.nn.functional import cosine_similarity
from torch.utils.data import DataLoader

from poolbench.core.errors import UserError
from poolbench.data.loaders import wheel_file
from poolbench.data.tokenized import tokenize_texts
from poolbench.encoders.feature_cache import cache_hidden_states, cache_pooled
from poolbench.encoders.huggingface import PretrainedEncoder
from poolbench.poolers import masked
from poolbench.tasks.classification import Classification
from poolbench.training.config import Config
from poolbench.training.lit_module import LitPooledModel
from poolbench.training.session import Session

OURS = "poolbench"
LR = 2e-4  # for one epoch: enough for every variant to learn something


def encode(config: Config, options: argparse.Namespace) -> None:
    """Texts to mean vectors in float32, tokenizing included, both sides with the same weights."""
    _require("sentence_transformers")
    from sentence_transformers import SentenceTransformer

    session = Session()
    encoder = _encoder(session, config)
    texts = session.inputs(config).splits["train"]["text"][: options.texts]
    packed = session.run_encoder(config, (encoder.depth,))
    peer = SentenceTransformer(str(_weights_folder(config)), device="cpu")
    peer.max_seq_length = encoder.max_length
    vectors: dict[str, Tensor] = {}

    def ours() -> None:
        data = tokenize_texts(texts, encoder.tokenize)
        with tempfile.TemporaryDirectory() as folder:
            cached = cache_hidden_states(packed, data, Path(folder), max_gb=100.0, progress=False)
            vectors[OURS] = cache_pooled(
                lambda states, batch: masked.mean(states[:, :, -1], batch.pooling_mask),
                cached,
                data,
            )

    def theirs(size: int) -> Variant:
        def work() -> None:
            vectors["peer"] = peer.encode(
                texts, batch_size=size, convert_to_tensor=True, show_progress_bar=False
            )

        return timed(work)

    peers = {f"sentence-transformers, batches of {size}": theirs(size) for size in (32, 64, 128)}
    seconds = interleave({OURS: timed(ours), **peers}, options.rounds)
    print(f"{len(texts)} texts to vectors\n\n{table(seconds, OURS)}\n")
    lengths = tokenize_texts(texts, encoder.tokenize).lengths.tolist()
    work = forward_operations(encoder.model, encoder.depth, encoder.hidden_dim, lengths)
    limit = work / Rates.measure().flops
    print(f"fraction of limit: {limit / median(seconds[OURS]):.2f}")
    print(f"least cosine of two vectors: {cosine_similarity(*vectors.values()).min():.6f}")


def finetune(config: Config, options: argparse.Namespace) -> None:
    """One epoch of fine-tuning encoder and head with AdamW, in the same number of steps.

    Models are built and texts tokenized before; nothing is evaluated, logged or saved.
    """
    _require("accelerate")
    session, losses = Session(), dict[str, float]()
    encoder, inputs = _encoder(session, config), session.inputs(config)
    dynamic = "HF Trainer, dynamic padding"
    peers: dict[str, dict[str, Any]] = {"HF Trainer, padded": {"pad_to_max": True}, dynamic: {}}
    variants = {OURS: _our_epoch(session, config, losses, OURS)}
    if options.bf16:
        peers[f"{dynamic}, bf16"] = {"bf16": True}
        peers["HF Trainer, grouped by length, bf16"] = {"bf16": True, "grouped": True}
        trainer = config.trainer.model_copy(update={"precision": "bf16-mixed"})
        half, name = config.model_copy(update={"trainer": trainer}), f"{OURS}, bf16"
        variants[name] = _our_epoch(session, half, losses, name)
    datasets.disable_progress_bars()
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    disable_possible_user_warnings()
    for name, chosen in peers.items():
        variants[name] = _hf_epoch(encoder, inputs.splits["train"], config, losses, name, **chosen)
    seconds = interleave(variants, options.rounds)
    rows = inputs.data.splits["train"]
    print(f"one epoch of {len(rows)} texts, batches of {config.batch_size}\n")
    print(table(seconds, OURS), *(f"training loss {losses[n]:.3f}: {n}" for n in losses), sep="\n")
    lengths = inputs.data.lengths[rows.start : rows.stop].tolist()
    work = forward_operations(encoder.model, encoder.depth, encoder.hidden_dim, lengths)
    parameters = sum(p.numel() for p in encoder.model.parameters())
    steps = ceil(len(rows) / config.batch_size)
    limit = training_limit(work, parameters, steps, Rates.measure())
    print(f"\nfraction of limit: {limit / median(seconds[OURS]):.2f}")


def _our_epoch(session: Session, config: Config, losses: dict[str, float], name: str) -> Variant:
    def variant() -> float:
        model = session.model(config)
        task = Classification(model.head.output_dim)
        module = LitPooledModel(model, task, config.optimizer, config.seed)
        trainer = pl.Trainer(
            **config.trainer.model_dump(exclude={"compile"}),
            limit_val_batches=0,
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
        )
        seconds = timed(lambda: trainer.fit(module, session.datamodule(config)))()
        losses[name] = module.history[-1]["train/loss"]
        return seconds

    return variant


def _hf_epoch(
    encoder: PretrainedEncoder,
    train: datasets.Dataset,
    config: Config,
    losses: dict[str, float],
    name: str,
    pad_to_max: bool = False,
    bf16: bool = False,
    grouped: bool = False,
) -> Variant:
    """The ``Trainer`` with the same weights and settings; all that it can write is off."""
    rows = _tokenized(encoder, train, "max_length" if pad_to_max else False)
    settings = copy.deepcopy(encoder.model.config)
    settings.num_labels = train.features["label"].num_classes
    collator = transformers.DataCollatorWithPadding(encoder.tokenizer)

    def variant() -> float:
        # Built each time: this resets the precision of the accelerate library.
        arguments = transformers.TrainingArguments(
            output_dir=tempfile.gettempdir(),
            num_train_epochs=1,
            per_device_train_batch_size=config.batch_size,
            learning_rate=LR,
            weight_decay=config.optimizer.weight_decay,
            max_grad_norm=0.0,
            train_sampling_strategy="group_by_length" if grouped else "random",
            bf16=bf16,
            use_cpu=True,
            seed=config.seed,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=False,
        )
        torch.manual_seed(config.seed)
        model = transformers.AutoModelForSequenceClassification.from_config(
            settings, attn_implementation="sdpa"
        )
        # Not strict: the classifier has layers that the encoder lacks.
        model.base_model.load_state_dict(encoder.model.state_dict(), strict=False)
        trainer = transformers.Trainer(
            model.train(),
            arguments,
            train_dataset=rows,
            processing_class=encoder.tokenizer,
            data_collator=transformers.default_data_collator if pad_to_max else collator,
        )
        trainer.remove_callback(transformers.PrinterCallback)
        started = time.perf_counter()
        losses[name] = trainer.train().training_loss
        return time.perf_counter() - started

    return variant


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

    def variant(source: Iterable[object]) -> Variant:
        def seconds() -> float:
            iterator = iter(source)
            next(iterator)
            started = time.perf_counter()
            number = sum(1 for _ in islice(iterator, 100))
            return (time.perf_counter() - started) / number

        return seconds

    variants = {
        OURS: variant(session.datamodule(config).train_dataloader()),
        "Dataset and collator": variant(loader),
    }
    print(
        f"one batch of {config.batch_size}\n\n{table(interleave(variants, options.rounds), OURS)}"
    )


def _tokenized(
    encoder: PretrainedEncoder, train: datasets.Dataset, padding: str | bool
) -> datasets.Dataset:
    def tokenize(rows: dict[str, list[Any]]) -> Any:
        cut = {"truncation": True, "max_length": encoder.max_length}
        return encoder.tokenizer(rows["text"], padding=padding, **cut)

    return train.map(tokenize, batched=True, remove_columns="text")


def _encoder(session: Session, config: Config) -> PretrainedEncoder:
    encoder = session.encoder(config)
    tokenizer = getattr(encoder, "tokenizer", None)
    if isinstance(tokenizer, transformers.PreTrainedTokenizerBase):
        assert isinstance(encoder, PretrainedEncoder)
        return encoder
    raise UserError("the benchmark needs a Hugging Face encoder: encoder=minilm")


def _weights_folder(config: Config) -> Path:
    encoder = config.encoder
    if "package" in encoder:
        weights = f"{encoder['folder']}/model.safetensors"
        return wheel_file(encoder["package"], weights, encoder["sha256"]).parent
    if Path(encoder.get("name", "")).is_dir():
        return Path(encoder["name"])
    raise UserError("encode needs weights in a folder: encoder=minilm, or encoder.name=<folder>")


def _require(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise UserError(f'{package} is not installed: pip install -c constraints.txt -e ".[bench]"')


def main(arguments: list[str] | None = None) -> None:
    """Run one of the comparisons."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("benchmark", choices=("encode", "finetune", "input"))
    parser.add_argument("--texts", type=int, default=256, help="training texts; default: 256")
    parser.add_argument("--bf16", action="store_true", help="fine-tune in bfloat16 as well")
    options = parse(parser, arguments, rounds=5)
    if options.benchmark == "finetune":
        fixed = (f"dataset.max_examples={options.texts}", "optimizer.warmup=0")
        rates = (f"optimizer.lr={LR}", f"optimizer.encoder_lr={LR}")
        epoch = ("trainer=cpu", "trainer.max_epochs=1", "trainer.gradient_clip_val=null")
        overrides = ("encoder.tuning=full", *fixed, *rates, *epoch, *options.overrides)
        finetune(compose(*overrides), options)
    else:
        benchmark = encode if options.benchmark == "encode" else batches
        benchmark(compose(*options.overrides), options)


if __name__ == "__main__":
    run(main)
