"""Cache of a frozen encoder's features: hidden states on disk, pooled vectors in memory.

A cache file has the hidden states of all tokens of a dataset end to end in float16, followed by one
row of zeros for the padding. Its checksum is verified before use.
"""

import hashlib
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from math import prod
from pathlib import Path

import torch
from jaxtyping import Float
from rich.progress import track
from torch import Tensor

from poolbench.core.errors import UserError
from poolbench.core.io import atomic_write, file_digest, file_lock
from poolbench.data.collate import Batch
from poolbench.data.tokenized import TokenizedDataset
from poolbench.encoders.base import Encoder, PooledTokens

log = logging.getLogger(__name__)
LAYOUT = "2 float16"
ENCODED = 64  # texts encoded together
POOLED = 256  # texts pooled together, from a cache
MAPPED = 32  # texts encoded and pooled together: of more, the states leave the cache of a CPU
Pool = Callable[[Tensor, Batch], Tensor]  # hidden states of a batch -> (B, P)


class CachedHiddenStates(Encoder):
    """Replaces a frozen encoder: looks hidden states up by the id of a text.

    Args:
        encoder: the encoder of the hidden states; its weights are not kept.
        states: (tokens + 1, R, D), the content of a cache file.
        starts: (M + 1,), index of the first token of each text.
    """

    cached = True
    states: Tensor
    starts: Tensor

    def __init__(self, encoder: Encoder, states: Tensor, starts: Tensor) -> None:
        sizes = ("hidden_dim", "depth", "max_length", "window")
        copied = (*sizes, "padding_side", "pad_id", "special_ids", "digest", "caveat")
        given = {name: getattr(encoder, name) for name in copied}
        super().__init__(positions=encoder.max_length, tuning="frozen", **given)
        self.layers = encoder.layers
        # Buffers move to the GPU with the module; these are not saved in checkpoints.
        self.register_buffer("states", states, persistent=False)
        self.register_buffer("starts", starts, persistent=False)

    def tokenize(self, texts: list[str]) -> tuple[list[list[int]], int]:
        raise UserError("cached hidden states cover one dataset only: new texts need the encoder")

    def forward(self, batch: Batch) -> Float[Tensor, "B T R D"]:
        index = _token_index(batch, self.starts)
        index = index.masked_fill(~batch.attention_mask, self.states.shape[0] - 1)
        # Eight times as fast as self.states[index].
        return self.states.index_select(0, index.flatten()).unflatten(0, index.shape).float()


def cache_hidden_states(
    encoder: Encoder, dataset: TokenizedDataset, folder: Path, max_gb: float, progress: bool = True
) -> CachedHiddenStates:
    """The hidden states of a dataset, read from ``folder`` or computed and written there.

    If several processes ask at once, one computes and the others wait. A file that would exceed
    ``max_gb`` (10^9 bytes) and a value that overflows float16 are errors.
    """
    path = cache_file(encoder, dataset, folder)
    shape = (len(dataset.ids) + 1, len(encoder.layers), encoder.hidden_dim)
    folder.mkdir(parents=True, exist_ok=True)
    with file_lock(path.with_suffix(".lock")):
        if not _intact(path):
            if (gigabytes := cache_size_gb(encoder, dataset)) > max_gb:
                raise UserError(
                    f"the hidden states need {gigabytes:.1f} GB but cache.max_gb={max_gb}: raise "
                    "it, lower dataset.max_examples or encoder.max_length, use fewer layers, or "
                    "set cache=off"
                )
            _write(path, encoder, dataset, shape, progress)
    return CachedHiddenStates(encoder, _map(path, shape), dataset.starts)


def cache_file(encoder: Encoder, dataset: TokenizedDataset, folder: Path) -> Path:
    """Path of the cache file, which need not exist."""
    route = "packed" if encoder.packed else "padded"  # they differ in the last digits
    identity = f"{LAYOUT} {route} {encoder.digest} {encoder.layers} {dataset.token_digest}"
    return folder / f"{hashlib.sha256(identity.encode()).hexdigest()[:16]}.states"


def cache_size_gb(encoder: Encoder, dataset: TokenizedDataset) -> float:
    """Size of the cache file in GB (10^9 bytes)."""
    return 2 * (len(dataset.ids) + 1) * len(encoder.layers) * encoder.hidden_dim / 1e9


@torch.no_grad()
def pooled_vectors(
    pools: Sequence[Pool],
    encoder: Encoder,
    dataset: TokenizedDataset,
    pooled_tokens: PooledTokens = "all",
    progress: bool = False,
) -> list[Float[Tensor, "M P"]]:
    """The pooled vectors of every text, by its id, from one pass of the encoder for all ``pools``.

    Each returns (B, P) of a batch. The hidden states are not kept.
    """
    order = dataset.lengths.argsort()  # similar lengths in a batch: little padding
    texts, device = dataset.one_text_each(), next(encoder.buffers()).device
    found: list[list[Tensor]] = [[] for _ in pools]
    batches = order.split(POOLED if encoder.cached else MAPPED)
    shown = progress and sys.stdout.isatty()
    title = f"encoding {len(order):,} texts for {len(pools)} runs"
    for rows in track(batches, title, disable=not shown, transient=True):
        batch = encoder.collate(texts, rows, pooled_tokens).to(device)
        states = encoder(batch)
        for pool, pooled in zip(pools, found, strict=True):
            pooled.append(pool(states, batch))
    whole = (torch.cat(pooled) for pooled in found)
    return [torch.empty_like(v).index_copy_(0, order.to(device), v) for v in whole]


def _write(
    path: Path, encoder: Encoder, dataset: TokenizedDataset, shape: tuple[int, ...], progress: bool
) -> None:
    unfinished = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        states = _map(unfinished, shape, write=True)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        encoder.to(device).eval()
        # The longest first: little padding, and memory runs out at the start or not at all.
        batches = dataset.lengths.argsort(descending=True).split(ENCODED)
        texts = dataset.one_text_each()
        title = f"encoding {len(dataset.lengths):,} texts, {2e-6 * prod(shape):,.0f} MB"
        with torch.inference_mode():
            shown = progress and sys.stdout.isatty()
            for rows in track(batches, title, disable=not shown, transient=True):
                batch = encoder.collate(texts, rows)
                real = batch.attention_mask
                hidden = encoder(batch.to(device)).half().cpu()[real]
                if not hidden.isfinite().all():
                    raise UserError("a hidden state overflows float16: use cache=off")
                states[_token_index(batch, dataset.starts)[real]] = hidden
        states[-1] = 0.0
        del states
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        summary = {"sha256": file_digest(unfinished), "shape": shape, "layout": LAYOUT}
        os.replace(unfinished, path)
        with atomic_write(path.with_suffix(".json")) as file:
            file.write(json.dumps(summary).encode())
    finally:
        unfinished.unlink(missing_ok=True)
        encoder.to("cpu")


def _map(path: Path, shape: tuple[int, ...], write: bool = False) -> Tensor:
    flat = torch.from_file(str(path), shared=write, size=prod(shape), dtype=torch.float16)
    return flat.view(shape)


def _token_index(batch: Batch, starts: Tensor) -> Tensor:
    """(B, T): the index of each real token in the dataset."""
    return batch.attention_mask.cumsum(1) - 1 + starts[batch.text_ids].unsqueeze(1)


def _intact(path: Path) -> bool:
    if not path.exists():
        return False
    try:
        expected = json.loads(path.with_suffix(".json").read_text())["sha256"]
    except (OSError, ValueError, KeyError):
        expected = None
    if file_digest(path) == expected:
        return True
    log.warning("%s is damaged: computing the hidden states again", path)
    path.unlink()
    return False
