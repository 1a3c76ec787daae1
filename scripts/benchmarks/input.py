"""Batches ready to train on: the packed corpus against a ``datasets.Dataset`` and its collator."""

import argparse
import time
from collections.abc import Iterable
from itertools import islice
from typing import Any

import datasets
import torch
from cells import asked
from outcome import Claim, Outcome
from rounds import Variant, interleave, ratio
from torch.utils.data import DataLoader
from transformers import DataCollatorWithPadding, PreTrainedTokenizerBase

from poolbench.core.errors import BadInput
from poolbench.data.datamodule import CorpusDataModule
from poolbench.training.session import Prepared, prepare

OURS = "packed corpus"
TARGET = 40.0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Size of the measurement."""
    parser.add_argument("--batches", type=int, default=100, help="timed in each round")
    parser.add_argument("--batch-size", type=int, default=32)


def measure(overrides: list[str], rounds: int, batches: int, batch_size: int) -> Outcome:
    """Time for one batch; both sides start from token ids.

    Args:
        overrides: of the configuration: which data, which encoder's tokenizer.
        rounds: how often each variant runs.
        batches: in each round, of each variant.
        batch_size: examples in a batch.

    Raises:
        BadInput: the encoder has no Hugging Face tokenizer for the peer to pad with.
    """
    prepared = prepare(asked(overrides).cfg)
    encoder = prepared.encoder
    ours = CorpusDataModule(
        prepared.corpus, batch_size, 0, encoder.padding_side, encoder.pad_id
    ).train_dataloader()
    peers = {
        "Dataset and collator": _peer(prepared, batch_size),
        "Dataset in torch format and collator": _peer(prepared, batch_size, "torch"),
    }
    variants = {
        OURS: per_batch(ours, batches),
        **{name: per_batch(loader, batches) for name, loader in peers.items()},
    }
    seconds = interleave(variants, rounds)
    best = min(ratio(seconds, name, OURS).median for name in peers)
    return Outcome(
        "input",
        {"batch size": batch_size, "batches": batches, "threads": torch.get_num_threads()},
        OURS,
        seconds,
        claims=[Claim("times as fast as the faster Dataset", best, TARGET)],
    )


def per_batch(batches: Iterable[object], count: int) -> Variant:
    """Seconds for each of the first ``count`` batches; the start of the iterator is left out."""

    def variant() -> float:
        iterator = iter(batches)
        next(iterator)
        started = time.perf_counter()
        number = sum(1 for _ in islice(iterator, count))
        return (time.perf_counter() - started) / number

    return variant


def _peer(prepared: Prepared, batch_size: int, kind: str | None = None) -> DataLoader[object]:
    """The training texts as ``map`` and the tokenizer leave them, padded batch by batch."""
    tokenizer, longest = getattr(prepared.encoder, "tokenizer", None), prepared.encoder.max_length
    if not isinstance(tokenizer, PreTrainedTokenizerBase):
        raise BadInput("benchmark input needs an encoder with a Hugging Face tokenizer")

    def tokenized(rows: dict[str, Any]) -> Any:
        return tokenizer(rows["text"], truncation=True, max_length=longest)

    datasets.disable_progress_bars()
    train = prepared.splits["train"].map(tokenized, batched=True, remove_columns="text")
    return DataLoader(
        train.with_format(kind),
        batch_size=batch_size,
        shuffle=True,
        collate_fn=DataCollatorWithPadding(tokenizer),
    )
