"""The check of a whole command before its first cell starts.

Nothing heavy is imported here: a misspelt key is answered in a fraction of a second.
"""

import difflib
import functools
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from poolbench.config import Config, OptimizerConfig, TrainerConfig
from poolbench.errors import BadInput

CONF = Path(__file__).parents[2] / "conf"
# Groups whose files are open: what keys they have is for each file to say.
COMPONENTS = ("dataset", "encoder", "pooler", "head", "logger")
# Everything that may be built from a config, and nothing else.
TARGETS = ("poolbench.", "torch.optim.")


HELP = """\
Which pooler should I use with this encoder on this data, and what does it cost?

  python train.py pooler=mean                                     train one cell
  python train.py -m pooler=cls,mean,max seed=0,1,2 study=first   train a grid
  python train.py experiment=smoke                                every pooler, briefly
  python train.py pooler=conv --cfg job                           show every value, run nothing

Choose with group=name, change any value with group.key=value:
"""


def help_text() -> str:
    """What there is to choose from, read off the folder of configurations."""
    lines = []
    for group in sorted(path for path in CONF.iterdir() if path.is_dir()):
        names = sorted(str(p.relative_to(group).with_suffix("")) for p in group.rglob("*.yaml"))
        lines.append(
            textwrap.fill(f"  {group.name:<12}{', '.join(names)}", 96, subsequent_indent=14 * " ")
        )
    return "\n".join([HELP, *lines, "", "Hydra's own options: python train.py --hydra-help"])


@dataclass(frozen=True)
class Asked:
    """One cell that a command asks for.

    Attributes:
        cfg: its configuration, without Hydra's own part.
        choices: group -> the name chosen for it.
        overrides: the command line that gives this cell alone.
        own_launcher: a launcher or sweeper of Hydra's was chosen: joblib, submitit, ...
    """

    cfg: DictConfig
    choices: dict[str, str]
    overrides: tuple[str, ...]
    own_launcher: bool


def check_command(overrides: Sequence[str], multirun: bool) -> list[Asked]:
    """Compose and check every cell that the command line asks for.

    Raises:
        BadInput: the first thing that is wrong, in one line.
    """
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            try:
                asked = [_check_cell(list(cell)) for cell in _grid(overrides, multirun)]
                _check_grid(asked)
                return asked
            except (HydraException, OmegaConfBaseException, ValueError) as error:
                if isinstance(error, BadInput):
                    raise
                raise BadInput(_in_one_line(error, overrides)) from error
    finally:
        GlobalHydra.instance().clear()


def asked_by_hydra(cfg: DictConfig) -> Asked:
    """The cell of a job that Hydra launched; it was checked before the launch."""
    job = HydraConfig.get()
    choices = {str(group): str(name) for group, name in job.runtime.choices.items()}
    return Asked(cfg, choices, tuple(job.overrides.task), own_launcher=True)


def _grid(overrides: Sequence[str], multirun: bool) -> list[Sequence[str]]:
    loader = GlobalHydra.instance().config_loader()
    parser = OverridesParser.create(config_loader=loader)
    parsed = parser.parse_overrides(list(overrides))
    plain = [str(o.input_line) for o in parsed if not o.is_sweep_override()]
    hydra = compose("config", overrides=plain, return_hydra_config=True).hydra
    if multirun or hydra.mode == RunMode.MULTIRUN:
        given = {override.key_or_group for override in parsed}
        params = hydra.sweeper.get("params") or {}
        own = parser.parse_overrides([f"{k}={v}" for k, v in params.items() if k not in given])
        return list(BasicSweeper.split_arguments(own + parsed, max_batch_size=None)[0])
    for override in parsed:
        if override.is_sweep_override():
            raise BadInput(f"{override.input_line} names several values: add -m to sweep over them")
    return [overrides]


def _check_grid(asked: Sequence[Asked]) -> None:
    seen = set()
    for cell in asked:
        if len(asked) > 1 and (cell.cfg.trainer.devices > 1 or "ddp" in cell.cfg.trainer.strategy):
            raise BadInput(
                "-m does not go together with several devices: each process would start the whole "
                "sweep again; run the cells one by one, or one cell a device"
            )
        if cell.overrides in seen:
            raise BadInput(f"the sweep names one cell twice: {' '.join(cell.overrides)}")
        seen.add(cell.overrides)


def _check_cell(overrides: list[str]) -> Asked:
    asked = _asked(compose("config", overrides=overrides, return_hydra_config=True), overrides)
    composed, choices = asked.cfg, asked.choices
    for path, schema in (
        ("", Config),
        ("optimizer.", OptimizerConfig),
        ("trainer.", TrainerConfig),
    ):
        fields = schema.__dataclass_fields__
        for key in _plain(OmegaConf.select(composed, path.rstrip(".")) if path else composed):
            if key not in fields:
                raise BadInput(f"unknown key {path}{key}{_nearest(key, list(fields))}")
    for key, value in _leaves(_plain(composed)):
        if value == "???":
            raise BadInput(f"{key} needs a value: add {key}=... to the command")
        if key.endswith("_target_") and not str(value).startswith(TARGETS):
            raise BadInput(f"{key}={value} is not allowed, only {' and '.join(TARGETS)} are")
    for group in COMPONENTS:
        _check_component(group, _plain(composed[group]), _defaults(f"{group}/{choices[group]}"))
    _check_values(composed)
    return asked


def _asked(cfg: DictConfig, overrides: Sequence[str]) -> Asked:
    choices = {str(group): str(name) for group, name in cfg.hydra.runtime.choices.items()}
    own = choices["hydra/launcher"] != "basic" or choices["hydra/sweeper"] != "basic"
    with open_dict(cfg):
        del cfg["hydra"]
    return Asked(cfg, choices, tuple(overrides), own)


def _check_component(group: str, given: dict[str, Any], defaults: dict[str, Any]) -> None:
    for key, value in given.items():
        if key not in defaults:
            raise BadInput(f"unknown key {group}.{key}{_nearest(key, defaults)}")
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


def _check_values(cfg: DictConfig) -> None:
    sizes = [
        value
        for key, value in _plain(cfg.pooler).items()
        if key.startswith(("kernel", "window"))
        for value in (value if isinstance(value, list) else [value])
    ]
    rules = {
        "seed must be 0 or more": cfg.seed >= 0,
        "batch_size must be 1 or more": cfg.batch_size >= 1,
        "patience must be 1 or more": cfg.patience >= 1,
        "trainer.max_epochs must be 1 or more": cfg.trainer.max_epochs >= 1,
        "trainer.devices must be 1 or more": cfg.trainer.devices >= 1,
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


@functools.cache
def _defaults(name: str) -> dict[str, Any]:
    """What one file of a group says, its own defaults included."""
    group = name.split("/")[0]
    return _plain(compose(name)[group])


def _plain(node: DictConfig) -> dict[str, Any]:
    plain = OmegaConf.to_container(node, resolve=False)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def _leaves(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def _in_one_line(error: Exception, overrides: Sequence[str]) -> str:
    text = "\n".join([str(error), str(error.__cause__ or "")])
    group = re.search(r"Could not find '([\w/]+)/([^']+)'", text)
    if group:
        options = sorted(path.stem for path in (CONF / group[1]).glob("*.yaml"))
        near = _nearest(group[2], options)
        return f"unknown {group[1]} '{group[2]}'{near} There are: {', '.join(options)}"
    key = re.search(r"Key '([^']+)' is not in struct\s+full_key: (\S+)", text) or re.search(
        r"Key '([^']+)' not in '\w+'\s+full_key: (\S+)", text
    )
    if key:
        return f"unknown key {key[2]}{_nearest(key[2], _every_key(overrides))}"
    reason = str(error.__cause__ or error).splitlines()[0]
    first = text.splitlines()[0]
    return first if reason in first else f"{first.removesuffix('.')}: {reason}"


def _nearest(word: str, known: Sequence[str] | dict[str, Any]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f", did you mean {near[0]}?" if near else "."


def _every_key(overrides: Sequence[str]) -> list[str]:
    """The keys there are under the choices that a command makes."""
    choices = [o for o in overrides if (CONF / o.split("=")[0]).is_dir() and "," not in o]
    keys = [key for key, _ in _leaves(_plain(compose("config", overrides=choices)))]
    return [*COMPONENTS, *(key for key in keys if not key.endswith("_target_"))]
