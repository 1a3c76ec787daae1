"""Export encoder, layers, pooler and head as one ONNX graph: token ids and mask to outputs."""

import json
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from poolbench.core.errors import UserError
from poolbench.data.collate import Batch
from poolbench.inference.export import exportable_encoder, save_tokenizer, write_description
from poolbench.inference.load import TrainedModel
from poolbench.runs.protocol import ONE_TEXT
from poolbench.training.model import PooledModel


class OnnxModel(nn.Module):
    """A model with the two inputs that every tokenizer provides.

    Its outputs are those of the head; without it, pooled vectors.
    """

    def __init__(
        self, model: PooledModel, unpooled_ids: tuple[int, ...], has_head: bool = True
    ) -> None:
        super().__init__()
        self.model, self.unpooled_ids, self.has_head = model, unpooled_ids, has_head

    def forward(
        self, input_ids: Int[Tensor, "B T"], attention_mask: Int[Tensor, "B T"]
    ) -> Float[Tensor, "B C"]:
        mask = attention_mask.bool()
        pooled = mask
        for token in self.unpooled_ids:
            pooled = pooled & (input_ids != token)
        unused = input_ids[:, 0]  # labels and ids
        batch = Batch(input_ids, mask, pooled, unused, unused, unused, tokens=0)
        vectors = self.model.pool(self.model.encoder(batch), batch)
        return self.model.head(vectors) if self.has_head else vectors


def write_onnx(trained: TrainedModel, folder: Path) -> None:
    """Write ``model.onnx``, tokenizer and README into a folder.

    A UserError if a library is missing, or an operation of the model has no ONNX form.
    """
    encoder = exportable_encoder(trained)
    try:
        import onnxruntime
        import onnxscript
    except ImportError as error:
        raise UserError(f"{error.name} is not installed: pip install -e '.[export]'") from error
    unpooled = encoder.unpooled_ids(trained.config.pooled_tokens)
    has_head = trained.record.task in ONE_TEXT
    # Two texts of different lengths: sizes of 1 would become constants.
    (batch,) = trained.batches(["A text.", "Another text, which is longer."])
    sizes = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    onnxruntime.set_default_logger_severity(3)
    try:
        with warnings.catch_warnings(action="ignore"), torch.no_grad():
            program = torch.onnx.export(
                OnnxModel(trained.model, unpooled, has_head).eval(),
                (batch.input_ids, batch.attention_mask.long()),
                dynamo=True,
                dynamic_shapes=(sizes, sizes),
                input_names=("input_ids", "attention_mask"),
                output_names=["logits" if has_head else "vectors"],
                custom_translation_table={torch.ops.aten.sort.stable: _stable_sort(onnxscript)},
                verbose=False,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        raise UserError(f"pooler={trained.record.run.pooler} has no ONNX form: {reason}") from error
    assert program is not None
    program.save(folder / "model.onnx")
    save_tokenizer(encoder, encoder.padding_side, folder)
    write_description(trained, folder, onnx_outputs)


def onnx_outputs(folder: Path, texts: list[str]) -> np.ndarray:
    """Logits of the exported model, (N, C); scores, (N, 1); or vectors, (N, P)."""
    import onnxruntime
    from transformers import AutoTokenizer

    prefix = json.loads((folder / "poolbench.json").read_text())["prefix"]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    outputs = []
    for start in range(0, len(texts), 64):
        group = [prefix + text for text in texts[start : start + 64]]
        batch = tokenizer(group, padding=True, truncation=True, return_tensors="np")
        inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
        outputs.append(session.run(None, inputs)[0])
    return np.concatenate(outputs)


def _stable_sort(onnxscript: Any) -> Callable[..., Any]:
    """ONNX form of a stable sort, which the exporter lacks: TopK breaks ties by lower index."""
    op = onnxscript.opset18

    def stable_sort(self: Any, stable: Any = None, dim: int = -1, descending: bool = False) -> Any:
        size = op.Gather(op.Shape(self), op.Constant(value_ints=[dim]))
        return op.TopK(self, size, axis=dim, largest=int(descending), sorted=1)

    return stable_sort
