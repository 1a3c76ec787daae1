"""Interleaved timing, rates of the machine, lower limits of time, and tables for the benchmarks."""

import argparse
import gc
import platform
import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import torch
from torch import nn

from poolbench.core.environment import hardware
from poolbench.core.errors import UserError
from poolbench.encoders.base import Encoder
from poolbench.training.config import Config

QUIET = ("logger=none", "certify=false", "measure=false", "trainer.enable_progress_bar=false")
Variant = Callable[[], float]
"""Does its work once and returns the seconds that count."""


def timed(work: Callable[[], object]) -> Variant:
    """A variant of which everything counts, on a GPU until it is done."""

    def variant() -> float:
        synchronize()
        started = time.perf_counter()
        work()
        synchronize()
        return time.perf_counter() - started

    return variant


def synchronize() -> None:
    """Wait for the GPU, if one is in use."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def interleave(variants: Mapping[str, Variant], rounds: int) -> dict[str, list[float]]:
    """Seconds of every variant in every round; a busy machine slows all variants equally.

    Every round has its own order. A first round is not counted.

    Example:
        >>> interleave({"slow": lambda: 0.2, "fast": lambda: 0.1}, rounds=2)
        {'slow': [0.2, 0.2], 'fast': [0.1, 0.1]}
    """
    for variant in variants.values():
        variant()
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    order = random.Random(0)
    gc.freeze()  # else every collection goes through all libraries
    for _ in range(rounds):
        for name in order.sample(list(variants), len(variants)):
            gc.collect()  # the garbage of one variant does not slow the next one
            seconds[name].append(variants[name]())
    gc.unfreeze()
    return seconds


def table(seconds: Mapping[str, list[float]], reference: str) -> str:
    """Median ms of every variant, and the ratio of its time to that of the reference.

    Ratios are those within a round: their median, least and greatest over the rounds.

    Example:
        >>> print(table({"slow": [2.0, 9.0, 6.0], "fast": [1.0, 3.0, 3.0]}, "fast"))
                 median ms  time / 'fast', median (least-greatest)
        slow      6,000.00  2.00x (2.00-3.00)
        fast      3,000.00  1
    """
    width = max(map(len, seconds)) + 2
    lines = [f"{'':{width}}{'median ms':>12}  time / '{reference}', median (least-greatest)"]
    for name, found in seconds.items():
        ratios = [a / b for a, b in zip(found, seconds[reference], strict=True)]
        spread = f"{median(ratios):.2f}x ({min(ratios):.2f}-{max(ratios):.2f})"
        text = "1" if name == reference else spread
        lines.append(f"{name:{width}}{1e3 * median(found):>12,.2f}  {text}")
    return "\n".join(lines)


@dataclass(frozen=True)
class Rates:
    """Measured best of the machine: operations/s of a large matrix product, bytes/s of a copy."""

    flops: float
    bytes: float

    @classmethod
    def measure(
        cls, dtype: torch.dtype = torch.float32, side: int = 2048, device: str = "cpu"
    ) -> "Rates":
        left, right, out = (torch.randn(side, side, device=device).to(dtype) for _ in range(3))
        source, target = (
            torch.zeros(64 * side * side, dtype=torch.uint8, device=device) for _ in range(2)
        )
        product = timed(lambda: torch.mm(left, right, out=out))
        copy = timed(lambda: target.copy_(source))
        best = [min([work() for _ in range(6)][1:]) for work in (product, copy)]
        return cls(2.0 * side**3 / best[0], 2.0 * source.numel() / best[1])


def forward_operations(model: nn.Module, layers: int, width: int, lengths: Sequence[int]) -> float:
    """Operations of a forward pass over texts of l real tokens: sum of 2 P l + 4 L D l^2.

    P are the parameters without embedding tables; attention computes l × l scores and averages l
    values, both D wide, in each of L layers.

    Example:
        >>> forward_operations(nn.Linear(9, 10), layers=1, width=5, lengths=[10])
        4000.0
    """
    tables = sum(m.weight.numel() for m in model.modules() if isinstance(m, nn.Embedding))
    parameters = sum(p.numel() for p in model.parameters()) - tables
    return float(sum(2 * parameters * n + 4 * layers * width * n * n for n in lengths))


def training_limit(forward: float, parameters: int, steps: int, rates: Rates) -> float:
    """Least seconds of a training in which everything learns: 3 f / flops + 28 P steps / bytes.

    The backward pass has twice the operations of the forward pass; AdamW reads four float32 values
    per parameter and writes three.
    """
    return 3 * forward / rates.flops + 28 * parameters * steps / rates.bytes


def least_seconds(encoder: Encoder, lengths: Sequence[int], rates: Rates, steps: int = 0) -> float:
    """Of a forward pass over texts of these lengths, or of a training in so many steps."""
    forward = forward_operations(encoder, encoder.depth, encoder.hidden_dim, lengths)
    parameters = sum(p.numel() for p in encoder.parameters())
    limit = training_limit(forward, parameters, steps, rates)
    return limit if steps else forward / rates.flops


def parse(
    parser: argparse.ArgumentParser, arguments: Sequence[str] | None, rounds: int
) -> argparse.Namespace:
    """Options of a benchmark; ``overrides`` are those of train.py."""
    parser.add_argument("overrides", nargs="*", help="of the configuration: key=value")
    parser.add_argument("--rounds", type=int, default=rounds, help=f"default: {rounds}")
    parser.add_argument("--threads", type=int, help="of torch; default: its own choice")
    options = parser.parse_intermixed_args(arguments)
    if options.rounds < 1:
        parser.error(f"--rounds {options.rounds}: expected 1 or more")
    if options.threads:
        torch.set_num_threads(options.threads)
    return options


def compose(*overrides: str) -> Config:
    """The configuration of one run, without logger, progress bar and certificate."""
    from poolbench.training.launch import compose_runs  # needs hydra, which a GPU machine may lack

    requests = compose_runs(*QUIET, *overrides)
    if len(requests) > 1:
        raise UserError("the benchmark needs a single run: give one value per key")
    return requests[0].config


def run(main: Callable[[], None]) -> None:
    """Run a benchmark and describe the machine; a UserError ends it with exit code 2."""
    try:
        main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    found = hardware(torch.device("cpu"))
    print(
        f"\n{found['device']}, {found['threads']} threads, torch {torch.__version__}, float32 "
        f"products: {found['float32_matmul_precision']}, Python {platform.python_version()}"
    )
