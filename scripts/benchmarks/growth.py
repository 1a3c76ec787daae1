"""How the cost of a frozen sweep grows: with poolers, seeds, data, text length and encoder size.

Each size is a whole sweep from loaded data to records, token states included; each is four times
the one before it.
"""

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from itertools import count
from math import log
from pathlib import Path
from statistics import median

import torch
from cells import train_sweep
from outcome import Claim, Outcome
from rounds import Variant, interleave, timed

POOLERS = ("mean", "attention", "max", "gated_attention")
STEP = 4
LONG = ("dataset=imdb", "dataset.max_examples=96")
WIDE = ("encoder=scratch", "encoder.hidden_dim=256", "dataset.max_examples=400")
# Axis -> size -> (overrides, poolers, seeds).
Sizes = Mapping[int, tuple[Sequence[str], int, int]]
AXES: dict[str, Sizes] = {
    "poolers": {n: (["dataset.max_examples=400"], n, 1) for n in (1, 4)},
    "seeds": {n: (["dataset.max_examples=400"], 1, n) for n in (1, 4, 16)},
    "examples": {n: ([f"dataset.max_examples={n}"], 1, 1) for n in (100, 400, 1600)},
    "tokens": {n: ([*LONG, f"encoder.max_length={n}"], 1, 1) for n in (16, 64, 256)},
    "layers": {n: ([*WIDE, f"encoder.layers={n}"], 1, 1) for n in (1, 4, 16)},
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """What grows."""
    parser.add_argument("--axis", choices=AXES, default="examples")
    parser.set_defaults(rounds=3)


def measure(overrides: list[str], rounds: int, axis: str) -> Outcome:
    """Seconds of a sweep at each size.

    Args:
        overrides: of every cell.
        rounds: how often each size runs.
        axis: what grows.
    """
    sizes = AXES[axis]
    with tempfile.TemporaryDirectory() as folder:
        folders = (Path(folder) / str(number) for number in count())

        def sweep(given: Sequence[str], poolers: int, seeds: int) -> Variant:
            def run() -> None:
                grid = [f"pooler={','.join(POOLERS[:poolers])}", f"output_dir={next(folders)}"]
                train_sweep([*given, "trainer.max_epochs=3", *grid, *overrides], seeds)

            return timed(run)

        seconds = interleave({f"{n} {axis}": sweep(*size) for n, size in sizes.items()}, rounds)
    middle = [median(each) for each in seconds.values()]
    grown = log(middle[-1] / middle[-2]) / log(STEP)
    return Outcome(
        "growth",
        {"axis": axis, "threads": torch.get_num_threads()},
        next(iter(seconds)),
        seconds,
        claims=[Claim(f"seconds grow with {axis} to the power of (last step)", grown)],
    )
