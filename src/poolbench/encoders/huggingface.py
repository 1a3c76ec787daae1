"""Hugging Face encoders: from an installed package, a local folder or the hub."""

import copy
import functools
import hashlib
import inspect
from pathlib import Path
from typing import Any

import huggingface_hub
import torch
from jaxtyping import Float
from pydantic import PositiveInt
from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer, PreTrainedModel
from transformers.utils import logging as transformers_logging

from poolbench.core.errors import UserError
from poolbench.core.io import file_digest
from poolbench.data.collate import Batch, PaddingSide
from poolbench.data.loaders import hub_reachable, wheel_file
from poolbench.encoders.base import Encoder, Tuning
from poolbench.encoders.classification_heads import native_head
from poolbench.encoders.packing import FAMILIES, PACKED, Row, packed_length, varlen_available
from poolbench.poolers.native import NativeHead

CONFIG_FILES = ["config.json", "token*", "vocab*", "merges.txt", "special_tokens*", "*.model"]
SPECIAL_TOKENS = ("cls", "sep", "bos", "eos")
WEIGHTS = ("model*.safetensors", "pytorch_model*.bin")


class PretrainedEncoder(Encoder):
    """An ``AutoModel`` without its pooling layer, which is kept for ``pooler=native``.

    Args:
        tokenizer: a fast Hugging Face tokenizer.
        prefix: put before every text.
        rest: the other arguments of :class:`Encoder`.
    """

    def __init__(
        self, model: PreTrainedModel, tokenizer: Any, prefix: str = "", **rest: Any
    ) -> None:
        positions = getattr(model.config, "max_position_embeddings", None)
        special = (getattr(tokenizer, f"{name}_token_id", None) for name in SPECIAL_TOKENS)
        super().__init__(
            hidden_dim=model.config.hidden_size,
            depth=model.config.num_hidden_layers,
            # Relative positions have no limit.
            positions=positions - _first_position(model) if positions else 1_000_000,
            pad_id=tokenizer.pad_token_id or 0,
            special_ids=tuple(sorted({token for token in special if token is not None})),
            **rest,
        )
        self.pooling_layer = [getattr(model, "pooler", None)]  # in a list: not a submodule
        if self.pooling_layer[0] is not None:
            model.pooler = None
        self.model, self.tokenizer, self.prefix = model, tokenizer, prefix
        self.takes_positions = "position_ids" in inspect.signature(model.forward).parameters
        self.requires_grad_(self.tuning == "full")

    def tokenize(self, texts: list[str]) -> tuple[list[list[int]], int]:
        encoded = self.tokenizer(
            [self.prefix + text for text in texts], truncation=True, max_length=self.max_length
        )
        return encoded["input_ids"], sum(bool(row.overflowing) for row in encoded.encodings)

    def forward(self, batch: Batch) -> Float[Tensor, "B T R D"]:
        mask = batch.attention_mask
        inputs: dict[str, Any] = {"input_ids": batch.input_ids, "attention_mask": mask.long()}
        with torch.set_grad_enabled(self.tuning == "full" and torch.is_grad_enabled()):
            if self.packed:
                row = Row.of(batch)
                input_ids = row.pack(batch.input_ids).unsqueeze(0)
                positions = (row.position + _first_position(self.model)).unsqueeze(0)
                inputs = {"input_ids": input_ids, "position_ids": positions, "row": row}
                return row.unpack(self._states(inputs).squeeze(0))
            if self.padding_side == "left" and self.takes_positions:
                # Counted from the first real token, so that padding does not shift a text.
                positions = (mask.long().cumsum(1) - 1).clamp(min=0)
                inputs["position_ids"] = positions + _first_position(self.model)
            return self._states(inputs)

    def with_layers(self, layers: tuple[int, ...]) -> "PretrainedEncoder":
        other = copy.deepcopy(self)
        other.layers = layers
        if max(layers) < self.depth:
            # The model ends after the highest layer in use; one layer stays, to read its input.
            blocks = _blocks(other.model)
            del blocks[max(*layers, 1) :]
            other.model.config.num_hidden_layers = len(blocks)
        return other

    def pack(self) -> None:
        if self.model.config.model_type in FAMILIES:
            self.model.set_attn_implementation(PACKED)
            self.packed = True

    def computed_positions(self, batch: Batch) -> int:
        return packed_length(batch.tokens) if self.packed else super().computed_positions(batch)

    def attention_kernel(self, device: torch.device, dtype: torch.dtype) -> str:
        config = self.model.config
        if not self.packed:
            return str(config._attn_implementation)
        width = getattr(config, "head_dim", None) or self.hidden_dim // config.num_attention_heads
        varlen = varlen_available(device, dtype, width)
        return "varlen_attn, without attention dropout" if varlen else "matrix products"

    def native_head(self) -> NativeHead:
        return native_head(self.model.config, self.pooling_layer[0])

    def _states(self, inputs: dict[str, Any]) -> Float[Tensor, "B T R D"]:
        """Hidden states of ``layers``; forward hooks read those below the last one."""
        seen: dict[int, Tensor] = {}

        def keep(block: Any, args: Any, kwargs: Any, output: Any, *, number: int) -> None:
            seen.setdefault(0, args[0] if args else kwargs["hidden_states"])
            seen[number] = output if isinstance(output, Tensor) else output[0]

        handles = []
        if self.layers != (self.depth,):
            for number, block in enumerate(_blocks(self.model), start=1):
                hook = functools.partial(keep, number=number)
                handles.append(block.register_forward_hook(hook, with_kwargs=True))
        try:
            seen[self.depth] = self.model(**inputs).last_hidden_state
        finally:
            for handle in handles:
                handle.remove()
        return torch.stack([seen[layer] for layer in self.layers], dim=2)


def from_wheel(
    package: str,
    folder: str,
    sha256: str,
    tuning: Tuning = "frozen",
    max_length: PositiveInt = 128,
    padding_side: PaddingSide = "right",
    caveat: str | None = None,
) -> PretrainedEncoder:
    """The encoder in a folder of an installed package; ``sha256`` is that of its weights."""
    weights = wheel_file(package, f"{folder}/model.safetensors", sha256)
    knobs = {"max_length": max_length, "padding_side": padding_side, "caveat": caveat}
    return _load(weights.parent, tuning=tuning, **knobs)


def from_name(
    name: str,
    revision: str | None = None,
    tuning: Tuning = "frozen",
    max_length: PositiveInt = 128,
    padding_side: PaddingSide = "right",
    prefix: str = "",
    caveat: str | None = None,
) -> PretrainedEncoder:
    """The encoder in a local folder, or on the hub; ``revision`` pins a commit."""
    folder = Path(name) if Path(name).is_dir() else _download(name, revision)
    knobs = {"max_length": max_length, "padding_side": padding_side, "caveat": caveat}
    return _load(folder, tuning=tuning, prefix=prefix, **knobs)


def _download(name: str, revision: str | None) -> Path:
    try:
        for weights in WEIGHTS:
            folder = huggingface_hub.snapshot_download(
                name,
                revision=revision,
                allow_patterns=[*CONFIG_FILES, weights],
                local_files_only=not hub_reachable(),
            )
            if list(Path(folder).glob(weights)):
                return Path(folder)
    except (OSError, ValueError) as error:
        why = "the hub cannot be reached" if not hub_reachable() else str(error).splitlines()[0]
        raise UserError(
            f"encoder '{name}' is not a local folder and cannot be downloaded: {why} "
            "(copy the model's files to a folder and set encoder.name=folder)"
        ) from error
    raise UserError(f"encoder '{name}' has no weights: expected {' or '.join(WEIGHTS)}")


def _load(folder: Path, **knobs: Any) -> PretrainedEncoder:
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        # The checkpoint may be stored in half precision; the trainer decides on the precision.
        model, loading = AutoModel.from_pretrained(
            folder, dtype=torch.float32, output_loading_info=True
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        why = str(error).splitlines()[0]
        raise UserError(f"encoder in {folder} cannot be loaded: {why}") from error
    if model.config.is_encoder_decoder:
        model = model.get_encoder()
    if any(name.startswith("pooler.") for name in loading["missing_keys"]):
        model.pooler = None  # random weights
    content = hashlib.sha256()
    patterns = (*CONFIG_FILES, *WEIGHTS)
    for path in sorted({p for pattern in patterns for p in folder.glob(pattern)}):
        content.update(f"{path.name} {file_digest(path)}".encode())
    return PretrainedEncoder(model, tokenizer, digest=content.hexdigest(), **knobs)


def _blocks(model: PreTrainedModel) -> nn.ModuleList:
    """The layers of a model."""
    for module in model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == model.config.num_hidden_layers:
            return module
    raise UserError(
        f"{model.config.model_type} does not keep its layers in one list "
        "(it may use one layer many times): only layers=last is available"
    )


def _first_position(model: PreTrainedModel) -> int:
    """RoBERTa and MPNet count positions from their padding id + 1."""
    padding = getattr(getattr(model, "embeddings", None), "padding_idx", None)
    return 0 if padding is None else padding + 1
