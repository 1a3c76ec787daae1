"""A sweep over a frozen encoder: encoded once and trained from the cache, against encoding in every
run with the same kernels.

Poolers x seeds cells, each of some epochs, are trained both ways, from loading to record. Nothing
is extrapolated: the ratio holds for the size that is printed, and grows with the number of runs.
It may exceed the ratio of encoded tokens, since what is encoded once is encoded in order of length.
"""

import argparse
import tempfile
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from statistics import median

import limit
import numpy as np
import torch
from cells import asked, train_sweep
from machine import Rates, rates
from outcome import Claim, Outcome
from rounds import Variant, interleave, ratio, timed

from poolbench.core import kernels
from poolbench.encoders.huggingface import PretrainedEncoder
from poolbench.runs.record import Predictions, read_predictions
from poolbench.training.session import prepare

OURS = "from the cache"
PEER = "encoding in every run"
WARM_UP = 32  # examples


def add_options(parser: argparse.ArgumentParser) -> None:
    """Size of the sweep."""
    parser.add_argument("--poolers", default="cls,mean,max,attention", help="of the sweep")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--examples", type=int, default=128, help="at most, in each split")
    parser.set_defaults(rounds=3)


def measure(
    overrides: list[str], rounds: int, poolers: str, seeds: int, epochs: int, examples: int
) -> Outcome:
    """Seconds for the whole sweep; the cache is built anew in each round.

    Args:
        overrides: of every cell: data, encoder.
        rounds: how often each way runs.
        poolers: names, with commas between them.
        seeds: 0 to this, exclusive.
        epochs: of each cell.
        examples: at most so many in each split.
    """
    cells = len(poolers.split(",")) * seeds
    same = [f"dataset.max_examples={examples}", f"trainer.max_epochs={epochs}", *overrides]
    ends: dict[str, list[Predictions]] = {}
    with tempfile.TemporaryDirectory() as folder:
        folders = (Path(folder) / str(number) for number in count())

        def sweep(name: str, cache: str, size: Sequence[str] = ()) -> Variant:
            def run() -> None:
                place = [f"output_dir={next(folders)}", f"cache={cache}"]
                given = [*same, f"pooler={poolers}", *place, *size]
                ends[name] = [read_predictions(cell) for cell in train_sweep(given, seeds)]

            return timed(run)

        # Whole sweeps are long, and long enough not to notice how they begin.
        for name, cache in ((OURS, "disk"), (PEER, "off")):
            sweep(name, cache, [f"dataset.max_examples={WARM_UP}"])()
        variants = {OURS: sweep(OURS, "disk"), PEER: sweep(PEER, "off")}
        seconds = interleave(variants, rounds, warm_up=False)
    with kernels.chosen():
        best = rates(torch.float32, torch.device("cpu"))
    faster, fewer = ratio(seconds, PEER, OURS).median, _fewer_tokens(same, cells, epochs)
    return Outcome(
        "frozen_sweep",
        {
            "cells": cells,
            "epochs": epochs,
            "examples": examples,
            "threads": torch.get_num_threads(),
        },
        OURS,
        seconds,
        claims=[
            Claim("times as fast", faster),
            Claim(
                f"the same, divided by the {fewer:.1f} times fewer tokens encoded", faster / fewer
            ),
            _unequal(ends[OURS], ends[PEER]),
            *_fraction_of_limit(same, cells * epochs, best, median(seconds[OURS])),
        ],
        details={"fewer_tokens": fewer, "rates": vars(best), "kernels": kernels.summary()},
    )


def _unequal(ours: list[Predictions], theirs: list[Predictions]) -> Claim:
    pairs = zip(ours, theirs, strict=True)
    unequal = np.concatenate([a.predictions != b.predictions for a, b in pairs])
    what = f"test predictions that differ, of {len(unequal):,} in all cells"
    return Claim(what, int(unequal.sum()), 0, at_most=True)


def _fewer_tokens(overrides: list[str], cells: int, epochs: int) -> float:
    """Tokens that all runs encode if each does so, for each token that is encoded once."""
    corpus = prepare(asked(overrides).cfg).corpus
    tokens = {
        split: int(corpus.lengths[rows.start : rows.stop].sum())
        for split, rows in corpus.splits.items()
    }
    each = epochs * (tokens["train"] + tokens["validation"]) + tokens["test"]
    return cells * each / sum(tokens.values())


def _fraction_of_limit(
    overrides: list[str], passes: int, best: Rates, measured: float
) -> list[Claim]:
    prepared = prepare(asked(overrides).cfg)
    encoder, corpus = prepared.encoder, prepared.corpus
    if not isinstance(encoder, PretrainedEncoder):
        return []
    work = limit.arithmetic(encoder.model, encoder.depth, encoder.hidden_dim)
    least = limit.frozen_sweep_seconds(
        work.forward(corpus.lengths.tolist()),
        len(corpus.ids),
        encoder.hidden_dim,
        passes,
        best,
    )
    return [Claim("fraction of limit", least / measured)]
