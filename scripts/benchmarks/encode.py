"""Texts to sentence vectors: states encoded once and averaged, against sentence-transformers.

Both begin with the same texts and weights, in float32, and end with one mean vector a text; both
tokenise, sort by length and pad on their own.
"""

import argparse
import tempfile
from pathlib import Path
from statistics import median

import datasets
import limit
import torch
from cells import asked
from machine import Rates, rates
from omegaconf import DictConfig
from outcome import Claim, Outcome
from peers import missing
from rounds import Variant, interleave, ratio, timed
from torch import Tensor
from torch.nn.functional import cosine_similarity

from poolbench.core import kernels
from poolbench.core.errors import BadInput
from poolbench.data.collate import make_batch
from poolbench.data.loaders import SPLITS
from poolbench.data.tokenized import tokenise
from poolbench.data.wheels import wheel_file
from poolbench.encoders.feature_cache import encode_once
from poolbench.encoders.huggingface import PretrainedEncoder
from poolbench.poolers import masked
from poolbench.training.session import encoder_as_run, prepare

OURS = "poolbench"
PEER = "sentence-transformers"
BATCH_SIZES = (32, 64, 128)
TARGET, COSINE = 1.7, 0.9999


def add_options(parser: argparse.ArgumentParser) -> None:
    """Size of the measurement."""
    parser.add_argument("--texts", type=int, default=300, help="of the training split")


def measure(overrides: list[str], rounds: int, texts: int) -> Outcome:
    """Seconds for all texts.

    Args:
        overrides: of the configuration: which texts, which encoder.
        rounds: how often each variant runs.
        texts: how many.

    Raises:
        BadInput: the encoder's weights are in no folder that both sides can load.
    """
    cfg = asked(overrides).cfg
    folder = encoder_folder(cfg.encoder)
    prepared = prepare(cfg)
    encoder, splits = encoder_as_run(cfg, prepared), _first(prepared.splits, texts)
    assert isinstance(encoder, PretrainedEncoder)
    ends: dict[str, Tensor] = {}

    def ours() -> None:
        ends[OURS] = mean_states(encoder, splits)

    variants: dict[str, Variant] = {OURS: timed(ours)}
    note = missing("sentence_transformers")
    if note is None:
        variants |= _peers(folder, encoder.max_length, _texts(splits), ends)
    seconds = interleave(variants, rounds)
    with kernels.chosen():
        best = rates(torch.float32, torch.device("cpu"))
    claims = [_fraction_of_limit(encoder, splits, best, median(seconds[OURS]))]
    peers = [name for name in variants if name.startswith(PEER)]
    if peers:
        times = min(ratio(seconds, name, OURS).median for name in peers)
        alike = float(cosine_similarity(ends[OURS], ends[PEER]).min())
        claims += [
            Claim(f"times as fast as the best {PEER}", times, TARGET),
            Claim("least cosine of a text's two vectors", alike, COSINE),
        ]
    return Outcome(
        "encode",
        {"texts": len(_texts(splits)), "threads": torch.get_num_threads()},
        OURS,
        seconds,
        claims,
        notes=[note] if note else [],
        details={
            "rates": vars(best),
            "kernels": kernels.summary(),
            "float32_error": {name: kernels.error(name) for name in ("highest", "medium")},
        },
    )


def mean_states(encoder: PretrainedEncoder, splits: datasets.DatasetDict) -> Tensor:
    """(N, D): tokenise, encode into a new cache on disk, and average each text's states."""
    corpus = tokenise(splits, encoder.tokenize)
    with tempfile.TemporaryDirectory() as folder:
        stored = encode_once(encoder, corpus, Path(folder), max_gb=100.0, progress=False)
        vectors = []
        for ids in torch.arange(len(corpus.labels)).split(64):
            batch = make_batch(corpus, ids)
            vectors.append(masked.mean(stored(batch)[:, :, -1], batch.pooling_mask))
    return torch.cat(vectors)


def _texts(splits: datasets.DatasetDict) -> list[str]:
    """Of all splits, in the order of a corpus."""
    return [text for split in SPLITS for text in splits[split]["text"]]


def _first(splits: datasets.DatasetDict, texts: int) -> datasets.DatasetDict:
    """So many texts for training, and of the other splits as little as there can be."""
    sizes = {"train": min(texts, len(splits["train"])), "validation": 1, "test": 1}
    return datasets.DatasetDict({name: splits[name].select(range(n)) for name, n in sizes.items()})


def _peers(
    folder: Path, max_length: int, texts: list[str], ends: dict[str, Tensor]
) -> dict[str, Variant]:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu")
    model.max_seq_length = max_length

    def variant(batch_size: int) -> Variant:
        def encode() -> None:
            ends[PEER] = model.encode(
                texts, batch_size=batch_size, convert_to_tensor=True, show_progress_bar=False
            )

        return timed(encode)

    return {f"{PEER}, batches of {size}": variant(size) for size in BATCH_SIZES}


def encoder_folder(encoder: DictConfig) -> Path:
    """Where the files of an encoder are, for whoever loads them too.

    Raises:
        BadInput: they are in no folder.
    """
    if "package" in encoder:
        weights = f"{encoder.folder}/model.safetensors"
        return wheel_file(encoder.package, weights, encoder.sha256).parent
    if "name" in encoder and Path(encoder.name).is_dir():
        return Path(encoder.name)
    raise BadInput(
        "benchmark encode needs weights in a folder: encoder=minilm, or encoder.name=..."
    )


def _fraction_of_limit(
    encoder: PretrainedEncoder, splits: datasets.DatasetDict, best: Rates, measured: float
) -> Claim:
    lengths = tokenise(splits, encoder.tokenize).lengths.tolist()
    work = limit.arithmetic(encoder.model, encoder.depth, encoder.hidden_dim)
    least = limit.encoding_seconds(work.forward(lengths), best)
    return Claim("fraction of limit", least / measured)
