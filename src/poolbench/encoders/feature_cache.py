"""Token states of a frozen encoder, computed once and kept on disk.

One file holds the states of every token of a corpus end to end, in float16, with one row of zeros
behind them for the padding. It is named after what it depends on (weights, tokenizer, token ids),
so changed data or weights never meet old states, and its checksum is verified when it is opened.
"""

import hashlib
import json
import logging
import os
from math import prod
from pathlib import Path

import torch
from jaxtyping import Float
from rich.progress import track
from torch import Tensor

from poolbench.core import kernels
from poolbench.core.errors import BadInput
from poolbench.core.io import file_digest, locked, replacing
from poolbench.data.collate import Batch, make_batch
from poolbench.data.tokenized import Corpus
from poolbench.encoders.base import Encoder

log = logging.getLogger(__name__)
LAYOUT = "2 float16"


class StoredStates(Encoder):
    """Stands in for a frozen encoder: looks the states of a batch up by example id.

    Args:
        encoder: the one the states come from; its weights are not kept.
        states: (tokens + 1, R, D) float16, the last row zeros.
        starts: (N + 1,), where each example begins.
    """

    stored = True
    states: Tensor
    starts: Tensor

    def __init__(self, encoder: Encoder, states: Tensor, starts: Tensor) -> None:
        super().__init__(
            hidden_dim=encoder.hidden_dim,
            depth=encoder.depth,
            positions=encoder.max_length,
            max_length=encoder.max_length,
            tuning="frozen",
            padding_side=encoder.padding_side,
            pad_id=encoder.pad_id,
            digest=encoder.digest,
            caveat=encoder.caveat,
            special_ids=encoder.special_ids,
        )
        self.layers = encoder.layers
        # Buffers travel to the GPU with the module; they are no part of a checkpoint.
        self.register_buffer("states", states, persistent=False)
        self.register_buffer("starts", starts, persistent=False)

    def tokenize(self, texts: list[str]) -> tuple[list[list[int]], int]:
        raise BadInput("stored states hold one corpus only: new text needs the encoder itself")

    def forward(self, batch: Batch) -> Float[Tensor, "B T R D"]:
        place = batch.attention_mask.cumsum(1) - 1 + self.starts[batch.example_ids].unsqueeze(1)
        place = place.masked_fill(~batch.attention_mask, self.states.shape[0] - 1)
        # Eight times as fast as states[place].
        found = self.states.index_select(0, place.flatten())
        return found.unflatten(0, place.shape).float()


def encode_once(
    encoder: Encoder, corpus: Corpus, folder: Path, max_gb: float, progress: bool = True
) -> StoredStates:
    """The states of ``corpus``, from ``folder`` where they are, else computed and put there.

    Several processes may ask at once: one computes, the others wait for it.

    Args:
        encoder: frozen.
        corpus: what to encode.
        folder: where the files are.
        max_gb: refuse to write more than so many GB (10^9 bytes).
        progress: show a bar.

    Raises:
        BadInput: the states would take more than ``max_gb``.
    """
    path = states_file(encoder, corpus, folder)
    shape = (len(corpus.ids) + 1, len(encoder.layers), encoder.hidden_dim)
    gigabytes = states_size(encoder, corpus)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(path.with_suffix(".lock")):
        if not _intact(path):
            if gigabytes > max_gb:
                raise BadInput(
                    f"the token states take {gigabytes:.1f} GB, cache.max_gb={max_gb}: raise it, "
                    "or lower dataset.max_examples or encoder.max_length, read fewer layers, "
                    "or use cache=off"
                )
            _write(path, encoder, corpus, shape, gigabytes, progress)
    states = torch.from_file(str(path), shared=False, size=prod(shape), dtype=torch.float16)
    return StoredStates(encoder, states.view(shape), corpus.starts)


def states_file(encoder: Encoder, corpus: Corpus, folder: Path) -> Path:
    """Where the states are, or will be."""
    route = "packed" if encoder.packed else "padded"  # they differ in the last digits
    identity = f"{LAYOUT} {route} {encoder.digest} {encoder.layers} {corpus.token_digest}"
    return folder / f"{hashlib.sha256(identity.encode()).hexdigest()[:16]}.states"


def states_size(encoder: Encoder, corpus: Corpus) -> float:
    """GB (10^9 bytes) that the states take, on disk and mapped."""
    return 2 * (len(corpus.ids) + 1) * len(encoder.layers) * encoder.hidden_dim / 1e9


def _write(
    path: Path,
    encoder: Encoder,
    corpus: Corpus,
    shape: tuple[int, int, int],
    gigabytes: float,
    progress: bool,
) -> None:
    unfinished = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        states = torch.from_file(
            str(unfinished), shared=True, size=prod(shape), dtype=torch.float16
        ).view(shape)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        encoder.to(device).eval()
        # The longest first: the least padding, and memory runs out at once or not at all.
        batches = corpus.lengths.argsort(descending=True).split(64)
        title = f"encoding {len(corpus.labels):,} texts, {1e3 * gigabytes:,.0f} MB"
        # The same states whoever asks for them.
        with kernels.chosen(), torch.inference_mode():
            for example_ids in track(batches, title, disable=not progress):
                batch = make_batch(corpus, example_ids, encoder.padding_side, encoder.pad_id)
                hidden = encoder(batch.to(device)).half().cpu()[batch.attention_mask]
                if not hidden.isfinite().all():
                    raise BadInput("a token state does not fit into float16: use cache=off")
                place = batch.attention_mask.cumsum(1) - 1 + corpus.starts[example_ids].unsqueeze(1)
                states[place[batch.attention_mask]] = hidden
        states[-1] = 0.0
        del states
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        summary = {"sha256": file_digest(unfinished), "shape": shape, "layout": LAYOUT}
        os.replace(unfinished, path)
        with replacing(path.with_suffix(".json")) as file:
            file.write(json.dumps(summary).encode())
    finally:
        unfinished.unlink(missing_ok=True)
        encoder.to("cpu")


def _intact(path: Path) -> bool:
    if not path.exists():
        return False
    try:
        expected = json.loads(path.with_suffix(".json").read_text())["sha256"]
    except (OSError, ValueError, KeyError):
        expected = None
    if file_digest(path) == expected:
        return True
    log.warning("%s is damaged: computing the states again", path)
    path.unlink()
    return False
