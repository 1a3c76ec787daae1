"""What each pooler costs, measured in turn in one run: ``pooler_cost.json`` beside the cells.

Timings of different trainings are not comparable, so records are no source for them.
"""

import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

from poolbench.stats.verdict import counted

POOLER_COST = "pooler_cost.json"


@dataclass(frozen=True)
class PoolerCosts:
    """One benchmark of a study's poolers.

    Attributes:
        milliseconds: pooler -> forward and backward of one batch, in ms; empty without a benchmark.
        setting: of the benchmark, in words.
        damage: why the file cannot be read; None where it can, or where there is none.
    """

    milliseconds: Mapping[str, float] = field(default_factory=dict)
    setting: str = ""
    damage: str | None = None


def read_pooler_costs(study: Path) -> PoolerCosts:
    """The benchmark kept in a study's folder; a damaged one is told of, and not used."""
    try:
        content = json.loads((study / POOLER_COST).read_bytes())
        return PoolerCosts(
            {str(name): _milliseconds(cost) for name, cost in content["poolers"].items()},
            _setting(content),
        )
    except FileNotFoundError:
        return PoolerCosts()
    except KeyError as error:
        return PoolerCosts(damage=f"it has no {error.args[0]}")
    except (OSError, ValueError, TypeError, AttributeError) as error:
        return PoolerCosts(damage=str(error))


def untimed(costs: PoolerCosts, poolers: Iterable[str], study: Path) -> str:
    """Which poolers have no time, and what measures it; empty where all have one."""
    without = [name for name in poolers if name not in costs.milliseconds]
    if not without:
        return ""
    of = f" of {', '.join(without)}" if costs.milliseconds else ""
    return f"Pooler times{of} are not measured yet: {benchmark_command(study)}"


def benchmark_command(study: Path) -> str:
    """What measures the poolers of a study."""
    return f"python scripts/benchmark.py poolers --study {shlex.quote(study.as_posix())}"


def _milliseconds(cost: Mapping[str, Any]) -> float:
    both = float(cost["forward_ms"]), float(cost["backward_ms"])
    if not all(isfinite(part) and part >= 0 for part in both):
        raise ValueError(f"a pooler is said to take {both[0]} and {both[1]} ms")
    return sum(both)


def _setting(content: Mapping[str, Any]) -> str:
    shape = content["shape"]
    threads = counted(content["threads"], "thread")
    return (
        f"batch {shape['batch']}, {shape['tokens']} tokens, width {shape['width']}, "
        f"{threads} on {content['device']}"
    )
