"""Export encoder and pooler as a ``SentenceTransformer``, with a head in a separate file."""

import tempfile
from pathlib import Path

import numpy as np
from safetensors.torch import save_file
from torch import Tensor, nn

from poolbench.core.errors import UserError
from poolbench.encoders.layer_mix import SingleLayer
from poolbench.inference.export import exportable_encoder, save_tokenizer, write_description
from poolbench.inference.load import TrainedModel
from poolbench.runs.protocol import ONE_TEXT
from poolbench.tasks.heads import Head, LinearHead, MlpHead, ScaledHead

# Pooler class -> the same pooling in sentence-transformers; the tests compare each.
MODES: dict[str, tuple[str, ...]] = {
    "ClsPooler": ("cls",),
    "LastPooler": ("lasttoken",),
    "MaxPooler": ("max",),
    "MeanPooler": ("mean",),
    "MeanMaxPooler": ("mean", "max"),
    "MeanSqrtPooler": ("mean_sqrt_len_tokens",),
    "WeightedMeanPooler": ("weightedmean",),
}


PROGRAM = """from sentence_transformers import SentenceTransformer

model = SentenceTransformer(".", device="cpu")
vectors = model.encode(["A joy.", "A waste of time."])
print(model.similarity(vectors, vectors))"""


def write_sentence_transformer(trained: TrainedModel, folder: Path) -> None:
    """Write encoder, pooler, head and README into a folder; of a task of two texts no head.

    A UserError if the library is missing, or has no form for a part of the model.
    """
    encoder, modes = exportable_encoder(trained), _modes(trained)
    try:
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    except ImportError as error:
        raise UserError(f"{error.name} is not installed: pip install -e '.[export]'") from error
    with tempfile.TemporaryDirectory() as files:
        # Saved with its pooling layer: without one the library would add random weights.
        encoder.model.pooler = encoder.pooling_layer[0]
        encoder.model.save_pretrained(files)
        encoder.model.pooler = None
        # On the right: the library does not count positions from the first real token.
        save_tokenizer(encoder, "right", Path(files))
        prompts = {"text": encoder.prefix} if encoder.prefix else {}
        SentenceTransformer(
            modules=[Transformer(files), Pooling(encoder.hidden_dim, modes)],
            prompts=prompts,
            default_prompt_name="text" if prompts else None,
            similarity_fn_name="cosine",
            device="cpu",
        ).save(str(folder), create_model_card=False)
    if trained.record.task in ONE_TEXT:
        save_file(_linear_layers(trained.model.head), folder / "head.safetensors")
        write_description(trained, folder, sentence_transformer_logits)
    else:
        write_description(trained, folder, sentence_transformer_vectors, PROGRAM)


def sentence_transformer_vectors(folder: Path, texts: list[str]) -> np.ndarray:
    """Pooled vectors of the exported model, (N, P)."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu")
    return np.asarray(model.encode(texts, show_progress_bar=False))


def sentence_transformer_logits(folder: Path, texts: list[str]) -> np.ndarray:
    """Logits of the exported model and head, (N, C), or scores (N, 1)."""
    from safetensors.torch import load_file
    from sentence_transformers import SentenceTransformer
    from torch.nn import functional

    model = SentenceTransformer(str(folder), device="cpu")
    head = load_file(folder / "head.safetensors")
    logits = model.encode(texts, convert_to_tensor=True, show_progress_bar=False)
    for i in range(len(head) // 2):  # linear layers with GELU between them
        logits = functional.gelu(logits) if i else logits
        logits = functional.linear(logits, head[f"{i}.weight"], head[f"{i}.bias"])
    return np.asarray(logits)


def _linear_layers(head: Head) -> dict[str, Tensor]:
    """Weights of the linear layers of a head, the last one with the scale of its outputs."""
    linear = nn.ModuleList(part for part in head.modules() if isinstance(part, nn.Linear))
    state, last = linear.state_dict(), len(linear) - 1
    if isinstance(head, ScaledHead):
        state[f"{last}.weight"] = head.deviation * state[f"{last}.weight"]
        state[f"{last}.bias"] = head.mean + head.deviation * state[f"{last}.bias"]
    return state


def _modes(trained: TrainedModel) -> tuple[str, ...]:
    model, kind, pooler = trained.model, type(trained.model.pooler), trained.record.run.pooler
    layers = model.layers
    head = model.head.head if isinstance(model.head, ScaledHead) else model.head
    reason = ""
    if not kind.__module__.startswith("poolbench.poolers.") or kind.__name__ not in MODES:
        reason = f"it has no pooling like {pooler}"
    elif not isinstance(layers, SingleLayer) or layers.indices != (model.encoder.depth,):
        reason = "it pools the last layer only"
    elif model.encoder.unpooled_ids(trained.config.pooled_tokens):
        reason = "it pools special tokens too, unlike pooled_tokens=content"
    elif trained.record.task in ONE_TEXT and not isinstance(head, LinearHead | MlpHead):
        reason = f"the layers of a {type(head).__name__} are unknown"
    if reason:
        raise UserError(f"sentence-transformers cannot represent the run: {reason}; use --to onnx")
    return MODES[kind.__name__]
