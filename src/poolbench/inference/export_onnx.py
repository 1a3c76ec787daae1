"""Encoder, layers, pooler and head as one ONNX graph: input_ids, attention_mask -> logits."""

import json
import logging
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from poolbench.core.errors import BadInput
from poolbench.data.collate import Batch
from poolbench.inference.beside import ABOUT, pretrained, tokenizer_of, write_about
from poolbench.inference.load import AT_ONCE, Trained
from poolbench.training.model import PooledClassifier

MODEL = "model.onnx"
INPUTS = ("input_ids", "attention_mask")
README = """`model.onnx` takes `input_ids` and `attention_mask` and gives `logits`, a score for
each class.

```python
import json
from pathlib import Path

import onnxruntime
from transformers import AutoTokenizer

folder = Path(".")
about = json.loads((folder / "classifier.json").read_text())
tokenizer = AutoTokenizer.from_pretrained(folder)
session = onnxruntime.InferenceSession(folder / "model.onnx")

texts = [about["prefix"] + text for text in ["A joy.", "A waste of time."]]
batch = tokenizer(texts, padding=True, truncation=True, return_tensors="np")
(logits,) = session.run(None, {name: batch[name] for name in ("input_ids", "attention_mask")})
print([about["classes"][best] for best in logits.argmax(axis=1)])
```
"""


class Classifier(nn.Module):
    """A whole model with the two inputs that every tokenizer gives.

    Args:
        model: in eval mode.
        unpooled_ids: tokens that the encoder sees and the pooler does not.
    """

    def __init__(self, model: PooledClassifier, unpooled_ids: tuple[int, ...]) -> None:
        super().__init__()
        self.model, self.unpooled_ids = model, unpooled_ids

    def forward(
        self, input_ids: Int[Tensor, "B T"], attention_mask: Int[Tensor, "B T"]
    ) -> Float[Tensor, "B C"]:
        mask = attention_mask.bool()
        pooled = mask
        for token in self.unpooled_ids:
            pooled = pooled & (input_ids != token)
        # Labels, ids and counts serve the training loop alone.
        unused = input_ids[:, 0]
        logits: Tensor = self.model(Batch(input_ids, mask, pooled, unused, unused, tokens=0))
        return logits


def write_onnx(trained: Trained, folder: Path) -> None:
    """Write ``model.onnx`` and the tokenizer into a folder.

    Raises:
        BadInput: the extra is missing, or some part of the model has no ONNX form.
    """
    try:
        import onnxruntime
        import onnxscript
    except ImportError as error:
        raise BadInput(
            f"{error.name} is not installed: pip install -c constraints.txt -e '.[export]'"
        ) from error
    encoder = pretrained(trained)
    whole = Classifier(trained.model, encoder.unpooled_ids(trained.cfg.pooled_tokens)).eval()
    # Two texts of unequal length: sizes of 1 would be taken for constants.
    (batch,) = trained.batches(["A text.", "Another text, which is longer."])
    sizes = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    onnxruntime.set_default_logger_severity(3)
    try:
        with warnings.catch_warnings(action="ignore"), torch.no_grad():
            program = torch.onnx.export(
                whole,
                (batch.input_ids, batch.attention_mask.long()),
                dynamo=True,
                dynamic_shapes=(sizes, sizes),
                input_names=INPUTS,
                output_names=["logits"],
                custom_translation_table={torch.ops.aten.sort.stable: _stable_sort(onnxscript)},
                verbose=False,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        first = str(error.__cause__ or error).strip().splitlines()[0]
        raise BadInput(
            f"pooler={trained.record['cell']['pooler']} has no ONNX form: {first}"
        ) from error
    assert program is not None
    program.save(folder / MODEL)
    tokenizer_of(encoder, encoder.padding_side).save_pretrained(folder)
    write_about(trained, folder, README)


def onnx_logits(folder: Path, texts: Sequence[str]) -> Float[np.ndarray, "N C"]:
    """What the exported model says of some texts."""
    import onnxruntime
    from transformers import AutoTokenizer

    prefix = json.loads((folder / ABOUT).read_text())["prefix"]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    session = onnxruntime.InferenceSession(folder / MODEL, providers=["CPUExecutionProvider"])
    found = []
    for start in range(0, len(texts), AT_ONCE):
        several = [prefix + text for text in texts[start : start + AT_ONCE]]
        batch = tokenizer(several, padding=True, truncation=True, return_tensors="np")
        found += session.run(None, {name: batch[name] for name in INPUTS})
    return np.concatenate(found)


def _stable_sort(onnxscript: Any) -> Callable[..., Any]:
    """torch's stable sort, which the exporter has no translation for.

    ONNX breaks ties in TopK by the lower index, which is what stable means.
    """
    op = onnxscript.opset18

    def stable_sort(self: Any, stable: Any = None, dim: int = -1, descending: bool = False) -> Any:
        size = op.Gather(op.Shape(self), op.Constant(value_ints=[dim]))
        return op.TopK(self, size, axis=dim, largest=int(descending), sorted=1)

    return stable_sort
