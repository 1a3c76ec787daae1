"""Cells of one sweep that differ in the seed: trained together, or one after another.

Where their seeds share a loop (``together.py``) whole sweeps are timed, from stored states to
records. Where they do not, a bare loop says why: in each step it takes one batch of every cell,
adds up their losses, and has one backward pass and one optimiser for all, which is the most that
training such cells together could save.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from itertools import count

import torch
from cells import asked, train_sweep
from loop import bare_loop
from omegaconf import DictConfig
from outcome import Claim, Outcome
from rounds import interleave, ratio

from poolbench.runs.record import read_record
from poolbench.training.session import model_of, prepare
from poolbench.training.together import fusable, stackable

TOGETHER, SERIAL = "together", "one after another"
Way = Callable[[], tuple[float, list[float]]]
"""Runs once: seconds, and the last training loss of each cell."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Size of the measurement."""
    parser.add_argument("--seeds", type=int, default=5, help="cells")
    parser.add_argument("--epochs", type=int, default=2, help="in each round")
    parser.add_argument("--examples", type=int, default=4000, help="at most, in each split")


def measure(overrides: list[str], rounds: int, seeds: int, epochs: int, examples: int) -> Outcome:
    """Seconds of a sweep; of a step of all its cells in a bare loop where they share none.

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
        cell = asked(same)
        ways = _sweeps(same, seeds) if _share_a_loop(cell.cfg) else _bare_loops(same, seeds)

        def kept(name: str) -> Callable[[], float]:
            def run() -> float:
                seconds, losses[name] = ways[name]()
                return seconds

            return run

        seconds = interleave({name: kept(name) for name in ways}, rounds)
    apart = max(abs(a - b) for a, b in zip(losses[TOGETHER], losses[SERIAL], strict=True))
    return Outcome(
        "fused",
        {"pooler": cell.choices["pooler"], "cells": seeds, "threads": torch.get_num_threads()},
        TOGETHER,
        seconds,
        claims=[
            Claim("times as fast together", ratio(seconds, SERIAL, TOGETHER).median),
            Claim("training losses apart", apart, 1e-4, at_most=True),
        ],
    )


def _share_a_loop(cfg: DictConfig) -> bool:
    return fusable(cfg) and stackable(model_of(cfg, prepare(cfg)))


def _sweeps(same: list[str], seeds: int) -> dict[str, Way]:
    studies = (f"study=round{number}" for number in count())

    def run(fused: str) -> tuple[float, list[float]]:
        given, started = [*same, next(studies), f"fused={fused}"], time.perf_counter()
        folders = train_sweep(given, seeds)
        seconds = time.perf_counter() - started
        return seconds, [read_record(folder)["metrics"]["train/loss"] for folder in folders]

    return {TOGETHER: lambda: run("true"), SERIAL: lambda: run("false")}


def _bare_loops(same: list[str], seeds: int) -> dict[str, Way]:
    cfgs = [asked([*same, f"seed={seed}"]).cfg for seed in range(seeds)]

    def serial() -> tuple[float, list[float]]:
        seconds, losses = zip(*(bare_loop([cfg]) for cfg in cfgs), strict=True)
        return sum(seconds), [loss for (loss,) in losses]

    return {TOGETHER: lambda: bare_loop(cfgs), SERIAL: serial}
