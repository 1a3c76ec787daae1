"""The identity of a run: the settings and digests its result depends on, and its folder."""

import hashlib
import json
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from poolbench.core.errors import UserError

# Settings that do not change a result, as dotted keys; a group stands for all its keys.
NEUTRAL_KEYS = (
    "allow_targets",
    "cache.max_gb",
    "certify",
    "comparison",
    "dataset.alias",
    "encoder.alias",
    "encoder.caveat",
    "logger",
    "matched",  # what uses it has the values
    "measure",
    "output_dir",
    "plan",
    "rerun",
    "study",
    "trainer.enable_progress_bar",
    "trainer.log_every_n_steps",
    "trainer.profiler",
)
# The digests of their content identify dataset and encoder, except for these settings.
KEYS_NOT_IN_DIGESTS = ("encoder.tuning", "encoder.padding_side")
# Settings that are newer than some results, whose digests lack them: left out while null.
NEWER_KEYS = ("across", "train_max_tokens")
# Settings of a dataset or encoder that may say where it is loaded from.
SOURCE_KEYS = ("train", "test", "path", "name")
DATA_FILE = re.compile(r"\.(csv|tsv|jsonl|parquet)(\.gz)?$", re.IGNORECASE)


class RunSpec(BaseModel):
    """One configuration at one seed, before it runs.

    Attributes:
        study: name of the set of runs it is compared with.
        dataset, encoder, pooler: names shown in reports.
        digest: of everything that changes the result.
        variant: the same without the seed: equal for runs that differ only in their seed.
        command: the command that trains this run alone.
        config: the resolved configuration.
    """

    model_config = ConfigDict(frozen=True)

    study: str
    dataset: str
    encoder: str
    pooler: str
    seed: int
    digest: str
    variant: str
    command: str = ""
    config: dict[str, Any] = {}

    @property
    def path(self) -> Path:
        """Folder of the run, relative to the folder of its study."""
        return Path(self.dataset, self.encoder, self.pooler, f"seed={self.seed}-{self.digest}")

    @property
    def study_folder(self) -> Path:
        """Folder of the study, as configured."""
        return Path(self.config["output_dir"]) / self.study

    @property
    def folder(self) -> Path:
        """Folder of the run, as configured."""
        return self.study_folder / self.path

    @property
    def label(self) -> str:
        """Pooler, dataset, encoder and seed for people to read."""
        return f"{self.pooler} on {self.dataset} × {self.encoder}, seed {self.seed}"

    def setting(self, key: str) -> Any:
        """A value of the configuration by its dotted key, ``optimizer.lr``; None if absent."""
        value: Any = self.config
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return value

    @property
    def settings(self) -> dict[str, Any]:
        """Dotted keys and values of all settings that may change the result, except the seed."""
        return {k: v for k, v in flatten(self.config) if k != "seed" and not is_neutral(k)}


def identify(
    config: Mapping[str, Any],
    names: Mapping[str, str],
    digests: Mapping[str, str],
    schema_version: int,
    commands: Mapping[int, str],
) -> Iterator[RunSpec]:
    """The specs of the runs of one configuration.

    Args:
        config: resolved configuration; its seed does not count.
        names: name chosen in each configuration group.
        digests: of the content of dataset and encoder.
        schema_version: of the record that the runs will write.
        commands: for each seed, the command that trains this run alone.
    """
    settings = {
        key: value
        for key, value in flatten(config)
        if key in KEYS_NOT_IN_DIGESTS
        or not (is_neutral(key) or key.startswith(("dataset.", "encoder.")))
        if value is not None or key not in NEWER_KEYS
    }

    def digest(seed: int | None) -> str:
        all_settings = settings | {"seed": seed}
        identity = {"schema": schema_version, "digests": dict(digests), "settings": all_settings}
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:8]

    shared = {
        "study": config["study"],
        "dataset": display_name(config["dataset"], names["dataset"], digests["data"]),
        "encoder": display_name(config["encoder"], names["encoder"], digests["encoder"]),
        "pooler": names["pooler"].replace("/", "-"),
        "variant": digest(None),
    }
    for seed, command in commands.items():
        own = {"seed": seed, "digest": digest(seed), "command": command}
        yield RunSpec(**shared, **own, config={**config, "seed": seed})


def is_neutral(key: str) -> bool:
    """Whether a setting, given by its dotted key, never changes a result."""
    return f"{key}.".startswith(tuple(f"{neutral}." for neutral in NEUTRAL_KEYS))


def flatten(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values of a nested configuration, in order.

    Example:
        >>> list(flatten({"seed": 0, "optimizer": {"lr": 0.1}}))
        [('seed', 0), ('optimizer.lr', 0.1)]
    """
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def varying_settings(
    specs: Iterable[RunSpec], same: Sequence[str] = ("dataset", "encoder", "pooler", "seed")
) -> list[str]:
    """Dotted keys of the settings in which specs with the ``same`` attributes differ.

    Code of another state may lack a key: that is no difference.
    """
    values: dict[tuple[Any, ...], set[str]] = defaultdict(set)
    for spec in specs:
        place = [getattr(spec, name) for name in same]
        for key, value in spec.settings.items():
            values[*place, key].add(str(value))
    return sorted({key for (*_, key), found in values.items() if len(found) > 1})


def format_setting(key: str, value: Any) -> str:
    """A setting as tables show it: optimizer.lr=0.003; a class by its name, head=MlpHead."""
    group = key.removesuffix("._target_")
    return f"{group}={value if group == key else str(value).rpartition('.')[2]}"


def display_name(group: Mapping[str, Any], choice: str, digest: str = "") -> str:
    """The name of a dataset or encoder in reports, and of its folder.

    The alias; or, if that is the place it was loaded from, the name of this file, folder or hub
    repository with the first digits of the content's ``digest``, so that two of one name differ.

    Raises:
        UserError: the alias cannot be the name of a folder.
    """
    sources = [str(group[k]) for k in SOURCE_KEYS if "alias" in group and group.get(k)]
    alias = str(group.get("alias") or next(iter(sources), choice.replace("/", "-")))
    if alias not in sources:
        if not re.fullmatch(r"\w[\w.-]*", alias):
            raise UserError(f"alias={alias!r}: expected letters, digits, '.', '_' and '-'")
        return _shortened(alias, hashlib.sha256(alias.encode()).hexdigest())
    path = Path(os.path.abspath(alias))  # "../train.csv" is the train.csv of a folder with a name
    if DATA_FILE.sub("", path.name) in ("train", "training") and path.parent.name:
        path = path.parent
    name = re.sub(r"[^\w.-]+", "-", DATA_FILE.sub("", path.name)).strip(".-") or choice
    return _shortened(f"{name}-{digest[:6]}".removesuffix("-"), digest)


def _shortened(name: str, digest: str) -> str:
    """A name of at most 80 bytes; a long one is cut, and ends with the start of the digest."""
    cut = name.encode()[:73].decode(errors="ignore")
    return name if len(name.encode()) <= 80 else f"{cut}-{digest[:6]}"
