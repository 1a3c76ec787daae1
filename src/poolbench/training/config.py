"""The typed configuration: every value is checked by pydantic before anything is loaded.

The first value that is missing, unknown, of a wrong type or out of range raises a UserError.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from poolbench.core.errors import UserError, nearest
from poolbench.runs.identity import display_name, flatten
from poolbench.runs.protocol import Protocol

STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, arbitrary_types_allowed=True)
Component = dict[str, Any]
Share = Annotated[float, Field(ge=0, le=1)]


def _text(value: Any) -> Any:
    """Hydra parses study=2026 as a number."""
    return str(value) if isinstance(value, int | float) else value


def _plain_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,127}", name, re.ASCII):
        raise ValueError("expected a plain name of letters, digits, '.', '_' and '-'")
    return name


class _Group(BaseModel):
    model_config = STRICT | ConfigDict(frozen=True)


class OptimizerConfig(_Group):
    """Optimizer and schedule; ``warmup`` is a share of all steps."""

    target: str = Field(alias="_target_")
    lr: PositiveFloat
    encoder_lr: PositiveFloat
    weight_decay: NonNegativeFloat
    warmup: Share
    schedule: Literal["linear", "cosine", "constant"]


class TrainerConfig(_Group):
    """Arguments of ``pytorch_lightning.Trainer``; ``compile`` is a mode of ``torch.compile``."""

    accelerator: str
    devices: Annotated[int, Field(gt=0, le=1024)]
    num_nodes: Annotated[int, Field(gt=0, le=1024)]
    strategy: str
    precision: Literal["auto", "32-true", "16-mixed", "bf16-mixed"]
    compile: (
        Literal["default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"] | None
    )
    max_epochs: PositiveInt
    gradient_clip_val: PositiveFloat | None
    accumulate_grad_batches: PositiveInt
    log_every_n_steps: PositiveInt
    limit_train_batches: PositiveInt | Annotated[float, Field(gt=0, le=1)] | None
    deterministic: bool
    profiler: Literal["simple", "advanced", "pytorch"] | None
    enable_progress_bar: bool


class CacheConfig(_Group):
    """Cached features of frozen encoders; ``max_gb`` bounds one file, in 10^9 bytes."""

    enabled: bool
    max_gb: PositiveFloat


class Matched(_Group):
    """Width P and number of parameters of the pooler that controls are compared with."""

    width: PositiveInt | None = None
    parameters: PositiveInt | None = None


class Config(_Group):
    """The configuration of one run: ``conf/config.yaml`` documents every key."""

    dataset: Component
    encoder: Component
    layers: Component
    pooler: Component
    across: Component | None = None
    head: Component
    task: Component
    logger: Component
    optimizer: OptimizerConfig
    trainer: TrainerConfig
    cache: CacheConfig
    matched: Matched = Matched()
    comparison: Protocol
    study: Annotated[str, BeforeValidator(_text), AfterValidator(_plain_name)]
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    split: Annotated[str, Field(pattern=r"^cv([2-9]|[1-9]\d{1,2})$")] | None = None
    batch_size: PositiveInt
    batching: Literal["packed", "padded", "grouped"]
    pooled_tokens: Literal["all", "content"]
    train_max_tokens: PositiveInt | None = None
    pair_features: Literal["uv", "abs_diff", "product", "uv_abs_diff", "all", "together"] | None = (
        None
    )
    patience: PositiveInt
    output_dir: Annotated[str, BeforeValidator(_text), Field(min_length=1)]
    allow_targets: list[Annotated[str, Field(pattern=r"^\w[\w.]*\.$")]]
    certify: bool
    measure: bool
    plan: bool
    rerun: Literal["failed", "stale"] | None

    @property
    def folds(self) -> int:
        """Number of folds of cross-validation, 0 for the splits of the dataset."""
        return int(self.split.removeprefix("cv")) if self.split else 0

    @field_validator("across", mode="before")
    @classmethod
    def _chosen_from_a_group(cls, value: Any) -> Any:
        if isinstance(value, str):
            raise ValueError(f"write pooler@across={value}")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.trainer.compile and self.encoder.get("tuning") != "full":
            raise ValueError("trainer.compile needs a trainable encoder: encoder.tuning=full")
        for group in (self.dataset, self.encoder):
            display_name(group, "default")  # rejects an alias that is no name
        return self


@dataclass(frozen=True)
class RunRequest:
    """One run that a command asks for.

    Attributes:
        base: the configuration with seed 0; the runs of a sweep that differ in their seed share it.
        names: name chosen in each configuration group.
        overrides: arguments of the command that trains this run alone.
    """

    base: Config
    seed: int
    names: Mapping[str, str]
    overrides: tuple[str, ...]

    @property
    def config(self) -> Config:
        """The configuration of the run."""
        return self.base.model_copy(update={"seed": self.seed})


def validate(values: Mapping[str, Any]) -> Config:
    """The typed configuration."""
    for key, value in flatten(values):
        if isinstance(value, str) and not value.isascii() and re.search("[\ud800-\udfff]", value):
            raise UserError(f"{key}={value!r} is not UTF-8: rename the file or folder")
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise UserError(first_invalid(error)) from error


def first_invalid(
    error: ValidationError, group: str = "", known: Iterable[str] | None = None
) -> str:
    """The first error in one line; ``known`` are the arguments of the component of a group."""
    detail = error.errors()[0]
    names = [str(part) for part in detail["loc"]]
    # Parts such as "constrained-str" or "list[int]" name a branch of a union, not a key.
    key = ".".join(n for n in (group, *names) if n.replace("_", "a").isalnum())
    if detail["type"] == "extra_forbidden":
        known = _fields(names[:-1]) if known is None else known
        return f"unknown key {key}{nearest(names[-1], known)}"
    if detail["type"] == "missing":
        return f"{key} is missing"
    reason = detail["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if detail["type"] != "value_error":
        return f"{key}={detail['input']!r}: expected {reason}"
    return f"{key}={detail['input']}: {reason}" if key else reason


def _fields(path: Iterable[str]) -> Iterable[str]:
    """Names of the fields of the group at ``path`` of the configuration."""
    group: Any = Config
    for name in path:
        annotation = group.model_fields[name].annotation
        options = (annotation, *get_args(annotation))
        group = next((option for option in options if hasattr(option, "model_fields")), BaseModel)
    return group.model_fields
