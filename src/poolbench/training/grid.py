"""The grid of a command: split it into runs, compose each with Hydra, and check it.

Nothing heavy is imported before the configuration is valid.
"""

import copy
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from poolbench.core.errors import UserError, nearest
from poolbench.training.arguments import CONF, check_arguments

if TYPE_CHECKING:
    from poolbench.training.config import RunRequest

THEN = "-then-"  # between the names of a pooler of windows and of the pooler of their vectors


def split_grid(
    loader: ConfigLoader, arguments: Sequence[str], params: Mapping[str, Any] | None = None
) -> list[tuple[str, ...]]:
    """The overrides of each run of a sweep: the cartesian product of all values.

    Args:
        loader: expands ``glob(*)``.
        arguments: of the command line.
        params: overrides of an experiment file; the command line takes precedence.
    """
    parser = OverridesParser.create(config_loader=loader)
    given = parser.parse_overrides(list(arguments))
    keys = {override.key_or_group for override in given}
    defaults = [f"{key}={value}" for key, value in (params or {}).items() if key not in keys]
    values = []
    for override in [*parser.parse_overrides(defaults), *given]:
        if not override.is_sweep_override():
            values.append([str(override.input_line)])
        elif override.is_discrete_sweep():
            key = override.get_key_element()
            values.append([f"{key}={value}" for value in override.sweep_string_iterator()])
        else:
            raise UserError(f"{override.input_line} is not a list of values")
    jobs = list(product(*values))
    if not jobs:
        raise UserError(f"the sweep is empty: {' '.join(arguments)}")
    return jobs


def check_grid(
    jobs: Iterable[Sequence[str]], compose: Callable[[Sequence[str]], DictConfig]
) -> list["RunRequest"]:
    """Compose and check every run of a sweep; the first thing that is wrong raises a UserError."""
    requests: dict[tuple[str, ...], RunRequest] = {}
    composed: dict[tuple[str, ...], RunRequest] = {}
    for job in map(tuple, jobs):
        if job in requests:
            raise UserError(f"the sweep contains a run twice: {' '.join(job)}")
        # Hydra takes a tenth of a second to compose a run: runs that differ in the seed share it,
        # unless an interpolation may contain the seed.
        seeds = [o for o in job if re.fullmatch(r"seed=[0-9]+", o)]
        shared = len(seeds) == 1 and not any("${" in override for override in job)
        key = tuple(o for o in job if o not in seeds) if shared else job
        if key not in composed:
            check_arguments(job)
            cfg = compose(job)
            composed[key] = check_run(cfg, cfg.hydra.runtime.choices, job)
        request = composed[key]
        if shared:
            request = replace(request, seed=int(seeds[0].removeprefix("seed=")), overrides=job)
        requests[job] = request
    found = list(requests.values())
    trainer = found[0].base.trainer
    if len(found) > 1 and (trainer.devices > 1 or "ddp" in trainer.strategy):
        raise UserError(
            "-m does not work with several devices, since each process would start the whole "
            "sweep: train the runs one by one, or one run per device"
        )
    for name in ("study", "output_dir", "comparison"):
        if any(getattr(r.base, name) != getattr(found[0].base, name) for r in composed.values()):
            raise UserError(f"{name} differs between the runs: a command trains one study")
    return found


def check_run(
    cfg: DictConfig, choices: Mapping[str, Any], overrides: Iterable[str]
) -> "RunRequest":
    """Check the composed configuration of one run."""
    # Pydantic takes a fifth of the time in which a misspelt name is rejected.
    from poolbench.runs.identity import flatten
    from poolbench.training.config import RunRequest, validate

    cfg = copy.copy(cfg)
    with open_dict(cfg):
        cfg.pop("hydra", None)
    for key, value in flatten(_plain(cfg, resolve=False)):
        interpolated = re.fullmatch(r"\$\{(\w+\.[\w.]+)\}", str(value))
        source = interpolated[1] if interpolated else key
        if value == "???" or (interpolated and OmegaConf.select(cfg, source) is None):
            raise UserError(f"{source} needs a value: add {source}=... to the command")
    names = {str(group): str(name) for group, name in choices.items()}
    across = choices.get("pooler@across")
    own = tuple(o for o in overrides if not o.startswith("hydra."))
    config = validate(_plain(cfg, resolve=True))
    reference, known = config.comparison.reference, [*_poolers(), names["pooler"]]
    if not set(reference.split(THEN)) <= set(known):
        raise UserError(f"comparison.reference={reference} is no pooler{nearest(reference, known)}")
    if any(o.lstrip("+").startswith("pooler._target_=") for o in own):
        # Not the pooler that the file describes.
        names["pooler"] = str(config.pooler["_target_"]).rpartition(".")[2]
    if across is not None:
        names["pooler"] += f"{THEN}{across}"
    return RunRequest(config.model_copy(update={"seed": 0}), config.seed, names, own)


def _poolers(group: str = "pooler") -> Iterator[str]:
    """Names of all poolers in the search path of Hydra, as runs are named."""
    loader = GlobalHydra.instance().config_loader()
    for name in loader.get_group_options(group, ObjectType.CONFIG):
        yield f"{group}/{name}".removeprefix("pooler/").replace("/", "-")
    for name in loader.get_group_options(group, ObjectType.GROUP):
        yield from _poolers(f"{group}/{name}")


def _plain(cfg: DictConfig, resolve: bool) -> dict[str, Any]:
    values = OmegaConf.to_container(cfg, resolve=resolve)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


@contextmanager
def explained_errors() -> Iterator[None]:
    """Turn errors of Hydra and OmegaConf into UserErrors."""
    try:
        yield
    except UserError:
        raise
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise UserError(_explanation(error)) from error


def _explanation(error: Exception) -> str:
    """What Hydra or OmegaConf rejected, with the nearest name that exists."""
    if isinstance(error, MissingConfigException) and error.options:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        options = sorted(path.stem for path in (CONF / group).glob("*.yaml")) or error.options
        near = nearest(name, options)
        return f"unknown {group} '{name}'{near} (available: {', '.join(options)})"
    cause = error.__cause__ or error
    if isinstance(cause, ConfigKeyError | ConfigAttributeError) and cause.parent_node is not None:
        key = str(cause.full_key)
        prefix = key.removesuffix(str(cause.key))
        known = [f"{prefix}{other}" for other in cause.parent_node]
        return f"unknown key {key}{nearest(key, known)}"
    if isinstance(error, OverrideParseException):
        key, equals, value = str(error.override).partition("=")
        quoted = f"; quote special characters twice: '{key}=\"{value}\"'" if equals else ""
        return f"{error.override} is not of the form key=value{quoted}"
    several = re.search(r"Ambiguous value for argument '(.+)'", str(error))
    if several:
        return f"{several[1]} names several values: add -m to sweep over them"
    first, reason = (str(e).partition("\n")[0] for e in (error, cause))
    return first if reason in first else f"{first.removesuffix('.')}: {reason}"
