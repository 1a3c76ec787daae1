"""What a composed configuration must hold to."""

import difflib
import re
from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from poolbench.core.errors import BadInput
from poolbench.core.nested import leaves
from poolbench.training.config import (
    TARGETS,
    ComparisonConfig,
    Config,
    OptimizerConfig,
    PublishedConfig,
    TrainerConfig,
)

# Groups whose files are open: what keys they have is for each file to say.
COMPONENTS = ("dataset", "encoder", "layers", "pooler", "head", "logger")
# Modes of torch.compile.
COMPILED = ("default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs")
SCHEMAS: dict[str, Any] = {
    "": Config,
    "optimizer": OptimizerConfig,
    "trainer": TrainerConfig,
    "comparison": ComparisonConfig,
    "comparison.published": PublishedConfig,
}


def check_keys(cfg: DictConfig) -> None:
    """Refuse keys that do not exist, values that are missing, targets that may not be built.

    Raises:
        BadInput: the first of them.
    """
    for path, schema in SCHEMAS.items():
        known = list(schema.__dataclass_fields__)
        node = OmegaConf.select(cfg, path) if path else cfg
        for key in plain(node) if node else ():
            if key not in known:
                raise BadInput(f"unknown key {path}.{key}".replace(" .", " ") + nearest(key, known))
    for key, value in leaves(plain(cfg)):
        if value == "???":
            raise BadInput(f"{key} needs a value: add {key}=... to the command")
        if key.endswith("_target_") and not str(value).startswith(TARGETS):
            raise BadInput(f"{key}={value} is not allowed, only {' and '.join(TARGETS)} are")


def check_component(group: str, given: dict[str, Any], defaults: dict[str, Any]) -> None:
    """Refuse keys that a group's file does not have, and values of another type than it gives.

    Raises:
        BadInput: the first of them.
    """
    for key, value in given.items():
        if key not in defaults:
            raise BadInput(f"unknown key {group}.{key}{nearest(key, defaults)}")
        if not _alike(value, defaults[key]):
            raise BadInput(
                f"{group}.{key}={value!r} has the wrong type: "
                f"expected {type(defaults[key]).__name__}, like {defaults[key]!r}"
            )


def _alike(value: Any, default: Any) -> bool:
    """Could ``value`` stand where ``default`` stands? A key that may be empty takes any value."""
    if default in (None, "???") or (isinstance(default, str) and default.startswith("${")):
        return True
    if isinstance(default, list):
        return isinstance(value, list) and all(_alike(item, default[0]) for item in value)
    if isinstance(default, float):
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is type(default)


def check_values(cfg: DictConfig) -> None:
    """Refuse values that no run could use.

    Raises:
        BadInput: the first rule that does not hold.
    """
    sizes = [
        value
        for key, value in plain(cfg.pooler).items()
        if key.startswith(("kernel", "window"))
        for value in (value if isinstance(value, list) else [value])
    ]
    rules = {
        "seed must be 0 or more": cfg.seed >= 0,
        "batch_size must be 1 or more": cfg.batch_size >= 1,
        "batching must be packed, padded or grouped": cfg.batching
        in ("packed", "padded", "grouped"),
        "pooled_tokens must be all or content": cfg.pooled_tokens in ("all", "content"),
        "patience must be 1 or more": cfg.patience >= 1,
        "trainer.max_epochs must be 1 or more": cfg.trainer.max_epochs >= 1,
        "trainer.devices must be 1 or more": cfg.trainer.devices >= 1,
        f"trainer.compile must be null, {', '.join(COMPILED)}": cfg.trainer.compile
        in (None, *COMPILED),
        "trainer.compile needs an encoder that trains: encoder.tuning=full": not cfg.trainer.compile
        or cfg.encoder.tuning == "full",
        "optimizer.lr must be above 0": cfg.optimizer.lr > 0,
        "optimizer.encoder_lr must be above 0": cfg.optimizer.encoder_lr > 0,
        "optimizer.weight_decay must be 0 or more": cfg.optimizer.weight_decay >= 0,
        "optimizer.warmup must lie in 0..1": 0 <= cfg.optimizer.warmup <= 1,
        "optimizer.schedule must be linear, cosine or constant": cfg.optimizer.schedule
        in ("linear", "cosine", "constant"),
        "encoder.tuning must be frozen or full": cfg.encoder.tuning in ("frozen", "full"),
        "encoder.max_length must be 1 or more": cfg.encoder.max_length >= 1,
        f"a pooler window is longer than encoder.max_length={cfg.encoder.max_length}": all(
            size <= cfg.encoder.max_length for size in sizes
        ),
        "comparison.margin must be 0 or more": cfg.comparison.margin >= 0,
        "comparison.metric must be accuracy or f1_macro": cfg.comparison.metric
        in ("accuracy", "f1_macro"),
        "comparison.looks must be rising numbers of seeds": list(cfg.comparison.looks)
        == sorted(set(cfg.comparison.looks))
        and min(cfg.comparison.looks, default=0) >= 2,
        "study must be a plain name: letters, digits, '.', '_' and '-'": re.fullmatch(
            r"[A-Za-z0-9][\w.-]*", cfg.study
        ),
    }
    for rule, holds in rules.items():
        if not holds:
            raise BadInput(rule)


def plain(node: DictConfig) -> dict[str, Any]:
    """A configuration as a dict, unresolved."""
    container = OmegaConf.to_container(node, resolve=False)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


def nearest(word: str, known: Sequence[str] | dict[str, Any]) -> str:
    """The end of a sentence about an unknown word: the nearest one there is."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f", did you mean {near[0]}?" if near else "."
