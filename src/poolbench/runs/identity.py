"""The identity of a cell: what its result depends on, and the folder that follows from it."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from poolbench.runs.record import SCHEMA_VERSION

# What does not change a result. Of dataset and encoder the content counts, not how it was named.
BYSTANDERS = (
    "study",
    "output_dir",
    "logger",
    "dataset",
    "encoder",
    "retry_failed",
    "certify",
    "plan",
    "fused",
    "comparison",
)
ENCODER_MODES = ("tuning", "padding_side")
TRAINER_BYSTANDERS = ("enable_progress_bar", "profiler")


@dataclass(frozen=True)
class Cell:
    """One configuration point at one seed.

    Attributes:
        study, dataset, encoder, pooler: names, as folders and reports show them.
        seed: of every random stream.
        digest: of everything that changes the result.
        variant: the same without the seed; cells that differ in their seed alone share it.
        output_dir: the root of all studies.
    """

    study: str
    dataset: str
    encoder: str
    pooler: str
    seed: int
    digest: str
    variant: str
    output_dir: Path

    @property
    def study_folder(self) -> Path:
        """Where the cells of its study are."""
        return self.output_dir / self.study

    @property
    def folder(self) -> Path:
        """Where the cell leaves its record."""
        place = self.study_folder / self.dataset / self.encoder / self.pooler
        return place / f"seed={self.seed}-{self.digest}"

    @property
    def names(self) -> dict[str, Any]:
        """What a record says of its cell."""
        keys = ("study", "dataset", "encoder", "pooler", "seed", "digest", "variant")
        return {key: getattr(self, key) for key in keys}

    @property
    def name(self) -> str:
        """A readable name that no other cell has."""
        return "-".join(
            (self.study, self.dataset, self.encoder, self.pooler, f"s{self.seed}", self.digest)
        )


def identify(cfg: DictConfig, choices: Mapping[str, str], digests: Mapping[str, str]) -> Cell:
    """The cell of a configuration.

    Args:
        cfg: the configuration.
        choices: group -> the name chosen for it.
        digests: of what dataset and encoder really are.
    """
    plain = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(plain, dict)
    relevant = {key: value for key, value in plain.items() if key not in BYSTANDERS}
    relevant["cache"] = plain["cache"]["enabled"]
    relevant["trainer"] = {k: v for k, v in plain["trainer"].items() if k not in TRAINER_BYSTANDERS}
    relevant["encoder"] = {k: v for k, v in plain["encoder"].items() if k in ENCODER_MODES}
    identity = {"schema": SCHEMA_VERSION, "digests": dict(digests), "config": relevant}
    return Cell(
        study=cfg.study,
        dataset=_shown(cfg.dataset, choices["dataset"]),
        encoder=_shown(cfg.encoder, choices["encoder"]),
        pooler=choices["pooler"].replace("/", "-"),
        seed=cfg.seed,
        digest=_digest(identity),
        variant=_digest(identity | {"config": relevant | {"seed": None}}),
        output_dir=Path(cfg.output_dir),
    )


def _digest(identity: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:8]


def _shown(group: DictConfig, choice: str) -> str:
    """The name of a dataset or encoder: its alias where the choice alone says little."""
    alias = group.get("alias")
    if not alias:
        return choice
    path = Path(str(alias))
    if path.stem in ("train", "training") and path.parent.name:
        path = path.parent
    return re.sub(r"[^\w.-]+", "-", path.stem if path.suffix else path.name) or choice
