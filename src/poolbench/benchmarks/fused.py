"""Cells of one sweep that differ in the seed: trained together, or one after another.

Together, a step takes one batch of every cell, adds up their losses, and has one backward pass and
one fused optimiser for all. Both ways train the same batches from the same weights in a bare loop,
so this is the most that training cells together could save, before any of it is spent on keeping
their stopping, checkpoints and records apart.
"""

import argparse
import tempfile

import torch

from poolbench.benchmarks.cells import asked
from poolbench.benchmarks.loop import bare_loop
from poolbench.benchmarks.outcome import Claim, Outcome
from poolbench.benchmarks.rounds import interleave, ratio

TOGETHER, SERIAL = "together", "one after another"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Size of the measurement."""
    parser.add_argument("--seeds", type=int, default=5, help="cells")
    parser.add_argument("--epochs", type=int, default=2, help="in each round")
    parser.add_argument("--examples", type=int, default=4000, help="at most, in each split")


def measure(overrides: list[str], rounds: int, seeds: int, epochs: int, examples: int) -> Outcome:
    """Seconds for a step of all cells, data loading included.

    Args:
        overrides: of every cell: pooler, head, dataset, encoder.
        rounds: how often each way runs.
        seeds: 0 to this, exclusive.
        epochs: of each run.
        examples: at most so many in each split.
    """
    losses: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        same = [f"dataset.max_examples={examples}", f"trainer.max_epochs={epochs}", "trainer=cpu"]
        same += [*overrides, f"output_dir={folder}"]
        cells = [asked([*same, f"seed={seed}"]) for seed in range(seeds)]

        def together() -> float:
            seconds, losses[TOGETHER] = bare_loop([cell.cfg for cell in cells])
            return seconds

        def serial() -> float:
            alone = [bare_loop([cell.cfg]) for cell in cells]
            losses[SERIAL] = [loss for _, (loss,) in alone]
            return sum(seconds for seconds, _ in alone)

        seconds = interleave({TOGETHER: together, SERIAL: serial}, rounds)
    apart = max(abs(a - b) for a, b in zip(losses[TOGETHER], losses[SERIAL], strict=True))
    return Outcome(
        "fused",
        {"pooler": cells[0].choices["pooler"], "cells": seeds, "threads": torch.get_num_threads()},
        TOGETHER,
        seconds,
        claims=[
            Claim("times as fast together", ratio(seconds, SERIAL, TOGETHER).median),
            Claim("training losses apart", apart, 1e-4, at_most=True),
        ],
    )
