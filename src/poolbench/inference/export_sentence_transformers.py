"""Export encoder and pooler as a ``SentenceTransformer``, with the head in a separate file."""

import tempfile
from pathlib import Path

import numpy as np
from safetensors.torch import save_file
from torch import nn

from poolbench.core.errors import UserError
from poolbench.encoders.layer_mix import SingleLayer
from poolbench.inference.export import exportable_encoder, save_tokenizer, write_description
from poolbench.inference.load import TrainedModel
from poolbench.tasks.heads import LinearHead, MlpHead

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


def write_sentence_transformer(trained: TrainedModel, folder: Path) -> None:
    """Write encoder, pooler, head and README into a folder.

    A UserError if the library is missing, or has no form for a part of the model.
    """
    modes = _modes(trained)
    try:
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    except ImportError as error:
        raise UserError(f"{error.name} is not installed: pip install -e '.[export]'") from error
    encoder = exportable_encoder(trained)
    with tempfile.TemporaryDirectory() as files:
        # Saved with its pooling layer: without one the library would add random weights.
        encoder.model.pooler = encoder.pooling_layer[0]
        encoder.model.save_pretrained(files)
        encoder.model.pooler = None
        # On the right: the library does not count positions from the first real token.
        save_tokenizer(encoder, "right", Path(files))
        prompts = {"classify": encoder.prefix} if encoder.prefix else {}
        SentenceTransformer(
            modules=[Transformer(files), Pooling(encoder.hidden_dim, modes)],
            prompts=prompts,
            default_prompt_name="classify" if prompts else None,
            device="cpu",
        ).save(str(folder), create_model_card=False)
    linear = [part for part in trained.model.head.modules() if isinstance(part, nn.Linear)]
    save_file(nn.ModuleList(linear).state_dict(), folder / "head.safetensors")
    write_description(trained, folder, sentence_transformer_logits)


def sentence_transformer_logits(folder: Path, texts: list[str]) -> np.ndarray:
    """Logits of the exported model and head, (N, C)."""
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


def _modes(trained: TrainedModel) -> tuple[str, ...]:
    model, kind, pooler = trained.model, type(trained.model.pooler), trained.record.run.pooler
    layers = model.layers
    reason = ""
    if not kind.__module__.startswith("poolbench.poolers.") or kind.__name__ not in MODES:
        reason = f"it has no pooling like {pooler}"
    elif not isinstance(layers, SingleLayer) or layers.indices != (model.encoder.depth,):
        reason = "it pools the last layer only"
    elif model.encoder.unpooled_ids(trained.config.pooled_tokens):
        reason = "it pools special tokens too, unlike pooled_tokens=content"
    elif not isinstance(model.head, LinearHead | MlpHead):
        reason = f"the layers of a {type(model.head).__name__} are unknown"
    if reason:
        raise UserError(f"sentence-transformers cannot represent the run: {reason}; use --to onnx")
    return MODES[kind.__name__]
