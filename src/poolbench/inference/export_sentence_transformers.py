"""Encoder and pooler as a ``SentenceTransformer``; the head stands beside it."""

import itertools
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from poolbench.core.errors import BadInput
from poolbench.encoders.layer_mix import OneLayer
from poolbench.inference.beside import pretrained, tokenizer_of, write_about
from poolbench.inference.load import AT_ONCE, Trained
from poolbench.poolers.base import Pooler
from poolbench.poolers.cls import ClsPooler
from poolbench.poolers.last import LastPooler
from poolbench.poolers.max import MaxPooler
from poolbench.poolers.mean import MeanPooler
from poolbench.poolers.mean_max import MeanMaxPooler
from poolbench.poolers.mean_sqrt import MeanSqrtPooler
from poolbench.poolers.weighted_mean import WeightedMeanPooler
from poolbench.training.model import LinearHead, MlpHead

MODES: dict[type[Pooler], tuple[str, ...]] = {
    ClsPooler: ("cls",),
    LastPooler: ("lasttoken",),
    MaxPooler: ("max",),
    MeanPooler: ("mean",),
    MeanMaxPooler: ("mean", "max"),
    MeanSqrtPooler: ("mean_sqrt_len_tokens",),
    WeightedMeanPooler: ("weightedmean",),
}
"""What sentence-transformers calls the same thing; the tests hold each to parity."""

HEAD = "head.safetensors"
README = """The folder loads with `SentenceTransformer(folder)`. Its head stands beside it:

```python
import json
from pathlib import Path

from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer
from torch.nn import functional

folder = Path(".")
classes = json.loads((folder / "classifier.json").read_text())["classes"]
model, head = SentenceTransformer(str(folder)), load_file(folder / "head.safetensors")

vectors = model.encode(["A joy.", "A waste of time."], convert_to_tensor=True).cpu()
{head}print([classes[best] for best in logits.argmax(dim=1)])
```
"""


def write_sentence_transformer(trained: Trained, folder: Path) -> None:
    """Write encoder and pooler, and the head beside them, into a folder.

    Raises:
        BadInput: the library is missing, or it has no form for some part of the model.
    """
    modes, linears = _modes(trained), _linears(trained)
    try:
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    except ImportError as error:
        raise BadInput(
            f"{error.name} is not installed: pip install -c constraints.txt -e '.[export]'"
        ) from error
    encoder = pretrained(trained)
    with tempfile.TemporaryDirectory() as files:
        # With the pooling layer it came with, unused: without it the library would draw a new one.
        if encoder.pooling_layer[0] is not None:
            encoder.model.pooler = encoder.pooling_layer[0]
        encoder.model.save_pretrained(files)
        if encoder.pooling_layer[0] is not None:
            encoder.model.pooler = None
        # On the right: the library does not count positions from the first real token.
        tokenizer_of(encoder, "right").save_pretrained(files)
        prompts = {"classify": encoder.prefix} if encoder.prefix else {}
        SentenceTransformer(
            modules=[Transformer(files), Pooling(encoder.hidden_dim, modes)],
            prompts=prompts,
            default_prompt_name="classify" if prompts else None,
            device="cpu",
        ).save(str(folder), create_model_card=False)
    head = {
        f"{i}.{name}": value.contiguous()
        for i, linear in enumerate(linears)
        for name, value in linear.state_dict().items()
    }
    save_file(head, folder / HEAD)
    steps = "logits = functional.linear(vectors, head['0.weight'], head['0.bias'])\n" + "".join(
        "logits = functional.linear("
        f"functional.gelu(logits), head['{i}.weight'], head['{i}.bias'])\n"
        for i in range(1, len(linears))
    )
    write_about(trained, folder, README.replace("{head}", steps))


def sentence_transformer_logits(folder: Path, texts: Sequence[str]) -> Float[np.ndarray, "N C"]:
    """What the exported model and head say of some texts."""
    from sentence_transformers import SentenceTransformer

    model, head = SentenceTransformer(str(folder), device="cpu"), load_file(folder / HEAD)
    vectors = model.encode(
        list(texts), batch_size=AT_ONCE, convert_to_tensor=True, show_progress_bar=False
    )
    logits = functional.linear(vectors, head["0.weight"], head["0.bias"])
    for i in itertools.takewhile(lambda i: f"{i}.weight" in head, itertools.count(1)):
        logits = functional.linear(functional.gelu(logits), head[f"{i}.weight"], head[f"{i}.bias"])
    scores: np.ndarray = logits.numpy()
    return scores


def _modes(trained: Trained) -> tuple[str, ...]:
    model, name = trained.model, trained.record["cell"]["pooler"]
    modes = MODES.get(type(model.pooler))
    if modes is None:
        known = ", ".join(kind.__module__.rpartition(".")[2] for kind in MODES)
        raise BadInput(
            f"sentence-transformers has no pooling like {name}, only like {known}: use --to onnx"
        )
    if not isinstance(model.layers, OneLayer) or model.layers.read != (model.encoder.depth,):
        raise BadInput(
            "sentence-transformers pools the last layer only, this cell others: use --to onnx"
        )
    if model.encoder.unpooled_ids(trained.cfg.pooled_tokens):
        raise BadInput(
            "sentence-transformers pools special tokens too, this cell has pooled_tokens=content: "
            "use --to onnx"
        )
    return modes


def _linears(trained: Trained) -> list[nn.Linear]:
    head = trained.model.head
    if not isinstance(head, LinearHead | MlpHead):
        raise BadInput(f"a {type(head).__name__} cannot be written beside it: use --to onnx")
    return [part for part in head.modules() if isinstance(part, nn.Linear)]
