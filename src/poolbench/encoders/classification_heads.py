"""Classification heads of Hugging Face model families, built as transformers builds them.

Each head is tested against the family's own ``AutoModelForSequenceClassification``.
"""

import copy
from typing import Any

from torch import nn
from transformers.activations import ACT2FN

from poolbench.core.errors import UserError
from poolbench.poolers.native import NativeHead

_ROBERTA = ("classifier_dropout", "dense", "tanh", "classifier_dropout")
_DEBERTA = ("pooler_dropout", "dense", "pooler_hidden_act", "cls_dropout")
# Model family -> parts of its head in order: an activation, a probability of dropout or a layer.
# Names of configuration keys stand for their values.
FAMILIES = {
    "bert": ("pretrained dense", "tanh", "classifier_dropout"),  # Devlin et al., 2019
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "camembert": _ROBERTA,
    "mpnet": _ROBERTA,
    "electra": ("classifier_dropout", "dense", "gelu", "classifier_dropout"),
    "distilbert": ("dense", "relu", "seq_classif_dropout"),
    "deberta": _DEBERTA,
    "deberta-v2": _DEBERTA,
    "modernbert": ("dense", "classifier_activation", "norm", "classifier_dropout"),
}


def native_head(config: Any, pretrained: nn.Module | None) -> NativeHead:
    """The head of a model's family, new except for the model's ``pretrained`` pooling layer."""
    if config.model_type in FAMILIES:
        parts = [_part(name, config, pretrained) for name in FAMILIES[config.model_type]]
        averaged = getattr(config, "classifier_pooling", "cls") == "mean"
        return NativeHead("mean" if averaged else "first", nn.Sequential(*parts))
    if config.is_encoder_decoder or not getattr(config, "use_cache", False):
        raise UserError(
            f"pooler=native: {config.model_type} has no classification head that works on encoder "
            f"states alone; supported are {', '.join(FAMILIES)} and decoders"
        )
    return NativeHead("last", nn.Identity())  # decoders classify the state of the last token


def _part(name: str, config: Any, pretrained: nn.Module | None) -> nn.Module:
    known = getattr(pretrained, "dense", None)
    if name == "pretrained dense" and known is not None:
        return copy.deepcopy(known).requires_grad_()
    if name.endswith("dense"):
        bias = getattr(config, "classifier_bias", True)
        dense = nn.Linear(config.hidden_size, config.hidden_size, bias=bias)
        nn.init.normal_(dense.weight, std=getattr(config, "initializer_range", 0.02))
        if bias:
            nn.init.zeros_(dense.bias)
        return dense
    if name == "norm":
        return nn.LayerNorm(config.hidden_size, eps=config.norm_eps, bias=config.norm_bias)
    if name.endswith("dropout"):
        probability = getattr(config, name, None)
        return nn.Dropout(config.hidden_dropout_prob if probability is None else probability)
    return ACT2FN[getattr(config, name, name)]
