"""The check of a whole command before its first cell starts.

Nothing heavy is imported here: a misspelt key is answered in a fraction of a second.
"""

import copy
import functools
import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
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

from poolbench.core.errors import BadInput
from poolbench.core.nested import leaves
from poolbench.training.rules import (
    COMPONENTS,
    check_component,
    check_keys,
    check_values,
    nearest,
    plain,
)

CONF = Path(__file__).parents[3] / "conf"
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
                asked = _check_cells(_grid(overrides, multirun))
                _check_grid(asked)
                return asked
            except AssertionError as error:
                # OmegaConf's own, of a key without a place; any other would be a mistake of ours.
                if "Unexpected type for root" not in str(error):
                    raise
                added = [o for o in overrides if "." in o.split("=")[0]]
                reason = f"one of these keys is below a key that is null: {', '.join(added)}"
                raise BadInput(reason) from error
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
    single = [str(o.input_line) for o in parsed if not o.is_sweep_override()]
    hydra = compose("config", overrides=single, return_hydra_config=True).hydra
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


def _check_cells(grid: Iterable[Sequence[str]]) -> list[Asked]:
    asked: list[Asked] = []
    composed: dict[tuple[str, ...], Asked] = {}
    for overrides in grid:
        # Hydra takes a tenth of a second for each: the seeds of a cell are composed once.
        seeds = [o for o in overrides if re.fullmatch(r"seed=[0-9]+", o)]
        others = tuple(o for o in overrides if o not in seeds)
        if len(seeds) == 1 and others in composed:
            cfg = copy.deepcopy(composed[others].cfg)
            cfg.seed = int(seeds[0].removeprefix("seed="))
            asked.append(replace(composed[others], cfg=cfg, overrides=tuple(overrides)))
        else:
            composed[others] = _check_cell(list(overrides))
            asked.append(composed[others])
    return asked


def _check_cell(overrides: list[str]) -> Asked:
    asked = _asked(compose("config", overrides=overrides, return_hydra_config=True), overrides)
    composed, choices = asked.cfg, asked.choices
    check_keys(composed)
    for group in COMPONENTS:
        check_component(group, plain(composed[group]), _defaults(f"{group}/{choices[group]}"))
    check_values(composed)
    return asked


def _asked(cfg: DictConfig, overrides: Sequence[str]) -> Asked:
    choices = {str(group): str(name) for group, name in cfg.hydra.runtime.choices.items()}
    own = choices["hydra/launcher"] != "basic" or choices["hydra/sweeper"] != "basic"
    with open_dict(cfg):
        del cfg["hydra"]
    return Asked(cfg, choices, tuple(overrides), own)


@functools.cache
def _defaults(name: str) -> dict[str, Any]:
    """What one file of a group says, its own defaults included."""
    file = OmegaConf.load(CONF / f"{name}.yaml")
    assert isinstance(file, DictConfig)
    if "defaults" not in file:  # most have none: Hydra would take twenty times as long
        return plain(file)
    node = compose(name)
    for part in name.split("/")[:-1]:
        node = node[part]
    return plain(node)


def _in_one_line(error: Exception, overrides: Sequence[str]) -> str:
    text = "\n".join([str(error), str(error.__cause__ or "")])
    group = re.search(r"Could not find '([\w/]+)/([^']+)'", text)
    if group:
        options = sorted(path.stem for path in (CONF / group[1]).glob("*.yaml"))
        near = nearest(group[2], options)
        return f"unknown {group[1]} '{group[2]}'{near} There are: {', '.join(options)}"
    key = re.search(r"Key '([^']+)' is not in struct\s+full_key: (\S+)", text) or re.search(
        r"Key '([^']+)' not in '\w+'\s+full_key: (\S+)", text
    )
    if key:
        return f"unknown key {key[2]}{nearest(key[2], _every_key(overrides))}"
    reason = str(error.__cause__ or error).splitlines()[0]
    first = text.splitlines()[0]
    return first if reason in first else f"{first.removesuffix('.')}: {reason}"


def _every_key(overrides: Sequence[str]) -> list[str]:
    """The keys there are under the choices that a command makes."""
    choices = [o for o in overrides if (CONF / o.split("=")[0]).is_dir() and "," not in o]
    keys = [key for key, _ in leaves(plain(compose("config", overrides=choices)))]
    return [*COMPONENTS, *(key for key in keys if not key.endswith("_target_"))]
