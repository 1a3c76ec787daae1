"""The typed configuration: what is not declared here or in a file of ``conf`` is refused."""

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

# Everything that may be built from a configuration, and nothing else.
TARGETS = ("poolbench.", "torch.optim.")


@dataclass
class OptimizerConfig:
    _target_: str = MISSING
    lr: float = MISSING
    encoder_lr: float = MISSING
    weight_decay: float = MISSING
    warmup: float = MISSING
    schedule: str = MISSING


@dataclass
class TrainerConfig:
    """The arguments of ``pytorch_lightning.Trainer`` that this project leaves open, and one more.

    Attributes:
        compile: mode of ``torch.compile`` for an encoder that trains; None: it runs as it is.
    """

    accelerator: str = "auto"
    devices: int = 1
    num_nodes: int = 1
    strategy: str = "auto"
    precision: str = "auto"
    compile: str | None = None
    max_epochs: int = 8
    gradient_clip_val: float | None = None
    accumulate_grad_batches: int = 1
    limit_train_batches: float | None = None
    deterministic: bool = False
    profiler: str | None = None
    enable_progress_bar: bool = True


@dataclass
class CacheConfig:
    enabled: bool = True
    max_gb: float = 16.0


@dataclass
class PublishedValue:
    """One published figure, in percent, and whose it is.

    Attributes:
        pooler: as reports show it.
        settings: dotted keys and values of its other parts: ``layers.indices: [1, -1]``.
        low, high: the published interval; None where there is none.
    """

    pooler: str = MISSING
    value: float = MISSING
    settings: dict[str, Any] = field(default_factory=dict)
    low: float | None = None
    high: float | None = None


@dataclass
class PublishedConfig:
    """A published table that a study repeats; ``dataset`` and ``encoder`` as reports show them."""

    source: str = MISSING
    dataset: str = MISSING
    encoder: str = MISSING
    seeds: int | None = None
    metric: str = "accuracy"
    values: list[PublishedValue] = MISSING
    deviations: list[str] = field(default_factory=list)


@dataclass
class ComparisonConfig:
    reference: str = "cls"
    metric: str = "accuracy"
    margin: float = 0.5
    looks: list[int] = field(default_factory=lambda: [5, 10, 20])
    published: PublishedConfig | None = None


@dataclass
class Config:
    dataset: Any = MISSING
    encoder: Any = MISSING
    layers: Any = MISSING
    pooler: Any = MISSING
    head: Any = MISSING
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    cache: CacheConfig = field(default_factory=CacheConfig)
    logger: Any = MISSING
    study: str = MISSING
    seed: int = MISSING
    batch_size: int = MISSING
    batching: str = MISSING
    pooled_tokens: str = MISSING
    patience: int = MISSING
    output_dir: str = MISSING
    certify: bool = True
    plan: bool = False
    fused: bool = True
    retry_failed: bool = False
    comparison: ComparisonConfig = field(default_factory=ComparisonConfig)


ConfigStore.instance().store(name="schema", node=Config)
