"""The classification heads of Hugging Face families, each built as the library builds it.

The tests hold every one of them to the family's own ``AutoModelForSequenceClassification``.
"""

import copy
from collections.abc import Callable
from typing import Any

from torch import nn
from transformers.activations import ACT2FN

from poolbench.core.errors import BadInput
from poolbench.encoders.native import NativeHead


def native_head(config: Any, pretrained: nn.Module | None) -> NativeHead:
    """The head of a model's family, new where it is not ``pretrained``.

    Args:
        config: of the model.
        pretrained: the pooling layer that came with the model's weights.

    Raises:
        BadInput: the family has none that works on these states.
    """
    family = FAMILIES.get(config.model_type)
    if family is not None:
        return family(config, pretrained)
    if config.is_encoder_decoder or not getattr(config, "use_cache", False):
        raise BadInput(
            f"pooler=native: {config.model_type} has no classification head that works on encoder "
            f"states alone; there is one for {', '.join(FAMILIES)} and for decoders"
        )
    return NativeHead("last", nn.Identity())  # decoders score the state of the last token


def _bert(config: Any, pretrained: nn.Module | None) -> NativeHead:
    """Devlin et al., 2019: the one family whose dense layer is pretrained."""
    dense = _dense(config)
    own = getattr(pretrained, "dense", None)
    dense = dense if own is None else copy.deepcopy(own).requires_grad_()
    return NativeHead("first", nn.Sequential(dense, nn.Tanh(), nn.Dropout(_dropout(config))))


def _dense_between_dropouts(activation: str) -> Callable[[Any, nn.Module | None], NativeHead]:
    def build(config: Any, pretrained: nn.Module | None) -> NativeHead:
        drop = _dropout(config)
        parts = (nn.Dropout(drop), _dense(config), ACT2FN[activation], nn.Dropout(drop))
        return NativeHead("first", nn.Sequential(*parts))

    return build


def _distilbert(config: Any, pretrained: nn.Module | None) -> NativeHead:
    parts = (_dense(config), nn.ReLU(), nn.Dropout(config.seq_classif_dropout))
    return NativeHead("first", nn.Sequential(*parts))


def _deberta(config: Any, pretrained: nn.Module | None) -> NativeHead:
    after = getattr(config, "cls_dropout", None)
    parts = (
        nn.Dropout(config.pooler_dropout),
        _dense(config),
        ACT2FN[config.pooler_hidden_act],
        nn.Dropout(config.hidden_dropout_prob if after is None else after),
    )
    return NativeHead("first", nn.Sequential(*parts))


def _modernbert(config: Any, pretrained: nn.Module | None) -> NativeHead:
    parts = (
        _dense(config, bias=config.classifier_bias),
        ACT2FN[config.classifier_activation],
        nn.LayerNorm(config.hidden_size, eps=config.norm_eps, bias=config.norm_bias),
        nn.Dropout(config.classifier_dropout),
    )
    return NativeHead(
        "first" if config.classifier_pooling == "cls" else "mean", nn.Sequential(*parts)
    )


FAMILIES: dict[str, Callable[[Any, nn.Module | None], NativeHead]] = {
    "bert": _bert,
    "roberta": _dense_between_dropouts("tanh"),
    "xlm-roberta": _dense_between_dropouts("tanh"),
    "camembert": _dense_between_dropouts("tanh"),
    "mpnet": _dense_between_dropouts("tanh"),
    "electra": _dense_between_dropouts("gelu"),
    "distilbert": _distilbert,
    "deberta": _deberta,
    "deberta-v2": _deberta,
    "modernbert": _modernbert,
}


def _dense(config: Any, bias: bool = True) -> nn.Linear:
    dense = nn.Linear(config.hidden_size, config.hidden_size, bias=bias)
    nn.init.normal_(dense.weight, std=getattr(config, "initializer_range", 0.02))
    if bias:
        nn.init.zeros_(dense.bias)
    return dense


def _dropout(config: Any) -> float:
    chosen = getattr(config, "classifier_dropout", None)
    return float(config.hidden_dropout_prob if chosen is None else chosen)
