"""Every pooler on one batch: forward and backward time, memory, parameters.

The gradient reaches the hidden states too, as it does where the encoder trains; on a frozen encoder
a pooler without parameters has no backward pass at all. Poolers are in training mode.
"""

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from cells import asked
from machine import rates
from memory import added_peak
from omegaconf import DictConfig, OmegaConf
from outcome import Outcome
from rounds import Variant, interleave
from study import Shape, pooler_configs, shape_of
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from poolbench.core import kernels
from poolbench.core.io import replacing
from poolbench.poolers.base import Beside, Pooler
from poolbench.runs.pooler_cost import POOLER_COST
from poolbench.training.assembly import assemble
from poolbench.training.launch import CONF
from poolbench.training.session import encoder_of, plain

VOCABULARY = 1000


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which poolers, on what."""
    parser.add_argument("--study", type=Path, help="only its poolers, at its own median batch")
    parser.add_argument("--pitfalls", action="store_true", help="the mistakes as well")
    parser.add_argument("--batch", type=int, default=32, help="B, texts")
    parser.add_argument("--tokens", type=int, default=32, help="T")
    parser.add_argument("--width", type=int, default=384, help="D")
    parser.add_argument("--repeats", type=int, default=10, help="passes in each round")


@dataclass(frozen=True)
class PoolerOutcome(Outcome):
    """Costs by pooler; two timings stand for each, ``<name> forward`` and ``<name> backward``."""

    def table(self) -> str:
        """One row for each pooler, the cheapest first."""
        given = ", ".join(f"{key} {value}" for key, value in self.settings.items())
        costs = self.details["poolers"]
        rounds = len(self.seconds[self.reference])
        width = max(map(len, costs)) + 2
        lines = [
            f"{self.benchmark}: {given}; median of {rounds} interleaved rounds",
            "",
            f"{'':{width}}{'forward ms':>11}{'backward ms':>12}{'least-greatest sum':>21}"
            f"{'memory MB':>11}{'parameters':>12}{'of limit':>10}",
        ]
        for name, cost in sorted(costs.items(), key=lambda item: _total(item[1])):
            both = zip(
                self.seconds[f"{name} forward"], self.seconds[f"{name} backward"], strict=True
            )
            sums = [1e3 * (forward + backward) for forward, backward in both]
            lines.append(
                f"{name:{width}}{cost['forward_ms']:>11.3f}{cost['backward_ms']:>12.3f}"
                f"{f'{min(sums):.3f}-{max(sums):.3f}':>21}"
                f"{cost['memory_mb']:>11.2f}{cost['parameters']:>12,}"
                f"{_share(cost['fraction_of_limit']):>10}"
            )
        return "\n".join([*lines, "", *self.notes])


def measure(
    overrides: list[str],
    rounds: int,
    study: Path | None,
    pitfalls: bool,
    batch: int,
    tokens: int,
    width: int,
    repeats: int,
) -> Outcome:
    """Milliseconds a pass, MB at the highest point of forward and backward above the inputs.

    The fraction of the limit is what the products of both passes would take at the machine's rate,
    divided by what both passes took; it is shown where it is 0.05 or more.

    Args:
        overrides: of every pooler's configuration, where no study is given.
        rounds: how often each pooler runs.
        study: a folder of finished cells; its costs are written there as ``pooler_cost.json``.
        pitfalls: with the poolers that are wrong on purpose.
        batch: B.
        tokens: T.
        width: D.
        repeats: passes in a round.

    Raises:
        BadInput: the study holds no finished cell, or its data or encoder cannot be had.
    """
    notes = []
    if study:
        task, configs = pooler_configs(study)
        shape = shape_of(next(iter(configs.values())))
        notes.append(f"batch of {task}; costs written to {study / POOLER_COST}")
    else:
        shape = Shape(batch, tokens, width)
        configs = _catalogue(shape, pitfalls, overrides)
    poolers = {name: built(cfg) for name, cfg in configs.items()}
    variants: dict[str, Variant] = {}
    for name, pooler in poolers.items():
        passes = Passes(pooler, shape, repeats)
        variants |= {f"{name} forward": passes.forward, f"{name} backward": passes.backward}
    with kernels.chosen():
        seconds = interleave(variants, rounds)
        best = rates(torch.float32, torch.device("cpu"))
    costs = {}
    for name, pooler in poolers.items():
        forward, backward = (median(seconds[f"{name} {way}"]) for way in ("forward", "backward"))
        once = Passes(pooler, shape, repeats=1)
        costs[name] = {
            "forward_ms": 1e3 * forward,
            "backward_ms": 1e3 * backward,
            "memory_mb": added_peak(once.both) / 1e6,
            "parameters": sum(p.numel() for p in pooler.parameters()),
            "fraction_of_limit": once.products() / best.flops / (forward + backward),
        }
    found = {
        "shape": asdict(shape),
        "threads": torch.get_num_threads(),
        "device": "cpu",
        "poolers": costs,
    }
    if study:
        with replacing(study / POOLER_COST) as file:
            file.write(json.dumps(found, indent=1).encode())
    return PoolerOutcome(
        "poolers",
        {**asdict(shape), "threads": torch.get_num_threads()},
        next(iter(variants)),
        seconds,
        notes=notes,
        details=found,
    )


def built(cfg: DictConfig) -> Pooler:
    """The pooler of a cell, with whatever its encoder supplies it with."""
    encoder = encoder_of(cfg)
    counts = torch.ones(VOCABULARY, dtype=torch.long)
    return assemble(cfg, encoder, classes=2, token_counts=lambda: counts).pooler.train()


class Passes:
    """A pooler with a batch to work on.

    Args:
        pooler: in training mode.
        shape: of the batch; its width is the pooler's own where several layers are read.
        repeats: passes whose mean time counts.
    """

    def __init__(self, pooler: Pooler, shape: Shape, repeats: int) -> None:
        self.pooler, self.repeats = pooler, repeats
        pooler.zero_grad(set_to_none=True)
        random = torch.Generator().manual_seed(0)
        size = (shape.batch, shape.tokens)
        states = torch.randn(*size, pooler.hidden_dim, generator=random)
        self.hidden = states.requires_grad_()
        # Texts from a quarter of the longest on.
        lengths = torch.randint(
            -(-shape.tokens // 4), shape.tokens + 1, (shape.batch, 1), generator=random
        )
        lengths[0] = shape.tokens
        self.mask = torch.arange(shape.tokens) < lengths
        layers = torch.randn(*size, len(pooler.reads), pooler.hidden_dim, generator=random)
        ids = torch.randint(VOCABULARY, size, generator=random)
        self.beside = Beside(token_ids=ids, layers=layers)

    def forward(self) -> float:
        """Seconds of a forward pass that keeps what the backward pass needs."""
        started = time.perf_counter()
        for _ in range(self.repeats):
            self.pooler(self.hidden, self.mask, self.beside)
        return (time.perf_counter() - started) / self.repeats

    def backward(self) -> float:
        """Seconds of a backward pass into the hidden states and the parameters."""
        seconds = 0.0
        for _ in range(self.repeats):
            ends = self._ends()
            started = time.perf_counter()
            torch.autograd.backward(ends, [torch.ones_like(end) for end in ends])
            seconds += time.perf_counter() - started
        return seconds / self.repeats

    def both(self) -> None:
        """Both passes once."""
        self.backward()

    def products(self) -> int:
        """Operations of the matrix products and convolutions in both passes, padding included."""
        with FlopCounterMode(display=False) as counter:
            self.both()
        return int(counter.get_total_flops())

    def _ends(self) -> list[Tensor]:
        self.hidden.grad = None
        self.pooler.zero_grad(set_to_none=True)
        pooled = self.pooler(self.hidden, self.mask, self.beside)
        penalty = self.pooler.extra_loss
        return [pooled] if penalty is None else [pooled, penalty]


def _catalogue(shape: Shape, pitfalls: bool, overrides: list[str]) -> dict[str, DictConfig]:
    """Every pooler behind a small random encoder of this width, by its name in records."""
    folder = CONF / "pooler"
    paths = sorted([*folder.glob("*.yaml"), *(folder.glob("pitfall/*.yaml") if pitfalls else [])])
    small = ["encoder.heads=1", "encoder.layers=4", f"encoder.vocab_size={VOCABULARY}"]
    cell = asked(["encoder=scratch", f"encoder.hidden_dim={shape.width}", *small, *overrides]).cfg
    configs = {}
    for path in paths:
        name = str(path.relative_to(folder).with_suffix("")).replace("/", "-")
        configs[name] = OmegaConf.create({**plain(cell), "pooler": OmegaConf.load(path)})
    return configs


def _share(fraction: float) -> str:
    """Of a pooler whose time products could take up; the others are bound by memory."""
    return f"{fraction:.2f}" if fraction >= 0.05 else ""


def _total(cost: Mapping[str, Any]) -> float:
    return float(cost["forward_ms"] + cost["backward_ms"])
