"""Hugging Face encoders: from an installed package, a local folder or the hub."""

import copy
import functools
import hashlib
import inspect
from typing import Any

import torch
from jaxtyping import Float
from pydantic import PositiveInt
from torch import Tensor, nn
from transformers import PreTrainedModel

from poolbench.core.errors import UserError
from poolbench.data.collate import Batch, PaddingSide
from poolbench.encoders.base import Encoder, Tuning
from poolbench.encoders.checkpoints import content_digest, declared_pooling, load_checkpoint
from poolbench.encoders.classification_heads import native_head
from poolbench.encoders.packing import (
    FAMILIES,
    PACKED,
    PADDED,
    Row,
    packed_length,
    varlen_available,
)
from poolbench.encoders.probe import first_position, probe, same_states
from poolbench.encoders.tokenizer import tokenized
from poolbench.encoders.windows import Layout, WindowOptions, Windows
from poolbench.poolers.native import NativeHead

SPECIAL_TOKENS = ("cls", "sep", "bos", "eos")


class PretrainedEncoder(Encoder):
    """An ``AutoModel`` without its pooling layer, which is kept for ``pooler=native``.

    Args:
        tokenizer: a Hugging Face tokenizer.
        prefix: put before every text, and before every window of it.
        windows: size and stride of the windows in which longer texts are encoded.
        rest: the other arguments of :class:`Encoder`.

    Attributes:
        readable: layers whose hidden states can be read; at least the last one.
        blocks: name of the module list of the layers; None if the model keeps them otherwise.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: Any,
        prefix: str = "",
        windows: WindowOptions | None = None,
        **rest: Any,
    ) -> None:
        windows = windows or {}
        positions = getattr(model.config, "max_position_embeddings", None) or -1
        special = (getattr(tokenizer, f"{name}_token_id", None) for name in SPECIAL_TOKENS)
        super().__init__(
            hidden_dim=getattr(model.config, "hidden_size", 0),
            depth=getattr(model.config, "num_hidden_layers", 1),
            # Relative positions have no limit.
            positions=positions - first_position(model) if positions > 0 else 1_000_000,
            pad_id=tokenizer.pad_token_id or 0,
            special_ids=tuple(sorted({token for token in special if token is not None})),
            window=windows.get("size"),
            **rest,
        )
        self.pooling_layer = [getattr(model, "pooler", None)]  # in a list: not a submodule
        if hasattr(model, "pooler"):
            model.pooler = nn.Identity()  # some models call it in any case
        if model.config._attn_implementation == "sdpa":
            model.set_attn_implementation(PADDED)
        self.model, self.tokenizer, self.prefix = model, tokenizer, prefix
        accepted = inspect.signature(model.forward).parameters
        self.takes_positions = "position_ids" in accepted
        self.takes_segments = "token_type_ids" in accepted
        self.readable: tuple[int, ...] = (self.depth,)
        self.blocks: str | None = None
        self.requires_grad_(self.tuning == "full")
        probe(self)
        self.layout: Layout | None = None
        if self.window:
            self.layout = Layout.of(windows, lambda texts: self.truncated(texts)[0])
            # Without special tokens, windows of any size have the same token ids.
            self.digest = hashlib.sha256(f"{self.digest} {self.window}".encode()).hexdigest()
        elif windows.get("stride"):
            raise UserError("encoder.windows.stride needs encoder.windows.size")

    def tokenize(self, texts: list[str]) -> tuple[list[list[int]], int]:
        rows, cut = self.truncated(texts)
        return (rows if self.layout is None else [*map(self.layout.cut, rows)]), cut

    def truncated(self, texts: list[str]) -> tuple[list[list[int]], int]:
        """Token ids of each text as one sequence, and the number of truncated texts."""
        encoded, cut = self._tokenized(texts)
        return encoded["input_ids"], cut

    def tokenize_pairs(
        self, first: list[str], second: list[str]
    ) -> tuple[list[list[int]], list[list[int]], int]:
        if self.layout is not None:
            return super().tokenize_pairs(first, second)
        encoded, cut = self._tokenized(first, second)
        rows = encoded["input_ids"]
        return rows, encoded.get("token_type_ids") or [[0] * len(row) for row in rows], cut

    def _tokenized(self, *texts: list[str]) -> tuple[Any, int]:
        return tokenized(self.tokenizer, texts, self.prefix, self.max_length, self.special_ids)

    def forward(self, batch: Batch) -> Float[Tensor, "B T R D"]:
        if self.window is not None and batch.windows is not None:
            windows = Windows.of(batch, self.window, self.padding_side, self.pad_id)
            return windows.join(self(windows.batch))
        mask = batch.attention_mask
        inputs: dict[str, Any] = {"input_ids": batch.input_ids, "attention_mask": mask.long()}
        segments = {}
        if batch.segments is not None and self.takes_segments:
            segments["token_type_ids"] = batch.segments
        with torch.set_grad_enabled(self.tuning == "full" and torch.is_grad_enabled()):
            if self.packed:
                row = Row.of(batch)
                input_ids = row.pack(batch.input_ids).unsqueeze(0)
                positions = (row.position + first_position(self.model)).unsqueeze(0)
                inputs = {"input_ids": input_ids, "position_ids": positions, "row": row}
                inputs |= {name: row.pack(x).unsqueeze(0) for name, x in segments.items()}
                return row.unpack(self._states(inputs).squeeze(0))
            if self.padding_side == "left" and self.takes_positions:
                # Counted from the first real token, so that padding does not shift a text.
                positions = (mask.long().cumsum(1) - 1).clamp(min=0)
                inputs["position_ids"] = positions + first_position(self.model)
            return self._states(inputs | segments)

    def check_layers(self, layers: tuple[int, ...]) -> None:
        if unreadable := set(layers) - set(self.readable):
            raise UserError(
                f"layer {min(unreadable)}: {self.model.config.model_type} does not return hidden "
                f"states of width {self.hidden_dim} for each of its layers: only layers=last is "
                "available"
            )

    def with_layers(self, layers: tuple[int, ...]) -> "PretrainedEncoder":
        self.check_layers(layers)
        whole = copy.copy(self)  # has the same weights
        whole.layers = layers
        cut = copy.deepcopy(whole)
        if self.blocks is None or max(layers) == self.depth:
            return cut
        # The model ends after the highest layer in use; one layer stays, to read its input.
        blocks = cut.block_list()
        del blocks[max(*layers, 1) :]
        cut.model.config.num_hidden_layers = len(blocks)
        return cut if same_states(whole, cut) else copy.deepcopy(whole)

    def block_list(self) -> nn.ModuleList:
        """The layers of the model; empty if the model does not keep them in one list."""
        if self.blocks is None:
            return nn.ModuleList()
        blocks = self.model.get_submodule(self.blocks)
        assert isinstance(blocks, nn.ModuleList)
        return blocks

    def pack(self) -> None:
        if self.model.config.model_type in FAMILIES:
            self.model.set_attn_implementation(PACKED)
            self.packed = True

    def computed_positions(self, batch: Batch) -> int:
        return packed_length(batch.tokens) if self.packed else super().computed_positions(batch)

    def attention_kernel(self, device: torch.device, dtype: torch.dtype) -> str:
        config = self.model.config
        if not self.packed:
            return str(config._attn_implementation).removeprefix("poolbench_")
        width = getattr(config, "head_dim", None) or self.hidden_dim // config.num_attention_heads
        varlen = varlen_available(device, dtype, width)
        padded = "padded sdpa" if device.type == "cuda" else "matrix products"
        return f"varlen_attn, {padded} with attention dropout" if varlen else padded

    def native_head(self) -> NativeHead:
        return native_head(self.model.config, self.pooling_layer[0])

    def _states(self, inputs: dict[str, Any]) -> Float[Tensor, "B T R D"]:
        """Hidden states of ``layers``; forward hooks read those below the last one."""
        blocks, seen = self.block_list(), dict[int, Tensor]()

        def keep(block: Any, args: Any, kwargs: Any, output: Any, *, number: int) -> None:
            seen.setdefault(0, args[0] if args else kwargs["hidden_states"])
            seen[number] = output if isinstance(output, Tensor) else output[0]

        handles = []
        if self.layers == (self.depth,):
            blocks = nn.ModuleList()
        elif not blocks:
            inputs = {**inputs, "output_hidden_states": True}
        for number, block in enumerate(blocks, start=1):
            hook = functools.partial(keep, number=number)
            handles.append(block.register_forward_hook(hook, with_kwargs=True))
        try:
            output = self.model(**inputs)
        finally:
            for handle in handles:
                handle.remove()
        if "output_hidden_states" in inputs:
            seen.update(enumerate(output.hidden_states))
        seen[self.depth] = output.last_hidden_state
        return torch.stack([seen[layer] for layer in self.layers], dim=2)


def from_wheel(
    package: str,
    folder: str,
    sha256: str,
    tuning: Tuning = "frozen",
    max_length: PositiveInt = 128,
    windows: WindowOptions | None = None,
    padding_side: PaddingSide = "right",
    caveat: str | None = None,
) -> PretrainedEncoder:
    """The encoder in a folder of an installed package; ``sha256`` is that of its weights."""
    from poolbench.data.loaders import wheel_file  # needs the package datasets

    weights = wheel_file(package, f"{folder}/model.safetensors", sha256)
    knobs = {"max_length": max_length, "windows": windows, "caveat": caveat}
    return _load(str(weights.parent), None, tuning=tuning, padding_side=padding_side, **knobs)


def from_name(
    name: str,
    revision: str | None = None,
    tuning: Tuning = "frozen",
    max_length: PositiveInt = 128,
    windows: WindowOptions | None = None,
    padding_side: PaddingSide = "right",
    prefix: str = "",
    caveat: str | None = None,
) -> PretrainedEncoder:
    """The encoder in a local folder, or on the hub; ``revision`` pins a commit."""
    knobs = {"max_length": max_length, "windows": windows, "caveat": caveat, "prefix": prefix}
    return _load(name, revision, tuning=tuning, padding_side=padding_side, **knobs)


def _load(name: str, revision: str | None, **knobs: Any) -> PretrainedEncoder:
    model, tokenizer = load_checkpoint(name, revision)
    digest = content_digest(model, tokenizer)
    encoder = PretrainedEncoder(model, tokenizer, digest=digest, **knobs)
    encoder.declared_pooling = declared_pooling(name, revision)
    return encoder
