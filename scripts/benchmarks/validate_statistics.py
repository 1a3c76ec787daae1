"""Test the comparison protocol on itself: simulated poolers whose true difference is known.

    python scripts/validate_statistics.py          # some minutes on one core
    python scripts/validate_statistics.py --quick  # some seconds, wider error bars
    python scripts/validate_statistics.py --real outputs/aa --pooler mean
    python scripts/validate_statistics.py --real outputs/aa --pooler mean attention

Prints Markdown tables. Exits 1 if an error rate exceeds its limit by more than 3 Monte-Carlo
standard errors. The last two forms read records of real trainings with many seeds: those of one
pooler are dealt out to several names, those of two poolers swap names example by example.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from statistics_checks import ALPHA, CHECKS
from statistics_rates import Row, tables
from statistics_real import (
    read_runs,
    real_false_positives,
    swapped_false_positives,
)
from statistics_simulated import EXAMPLES, POOLERS, REGIMES

from poolbench.core.errors import BadInput


def main(arguments: Sequence[str] | None = None) -> int:
    """0: every rate is within its limit; 1: one is not; 2: there is nothing to measure."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if len(options.pooler) > 2:
        parser.error("--pooler takes one pooler or two")
    try:
        rows = _real(options) if options.real else _simulated(options)
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 1 if any(row.exceeds for row in rows) else 0


def _simulated(options: argparse.Namespace) -> list[Row]:
    studies = options.studies or (400 if options.quick else 10_000)
    started = time.monotonic()
    rows: list[Row] = []
    for number, (name, check) in enumerate(CHECKS.items()):
        seconds = time.monotonic() - started
        print(f"[{number + 1}/{len(CHECKS)}] {seconds:4.0f} s  {name}", file=sys.stderr)
        rows += check(np.random.default_rng([options.seed, number]), studies)
    print(tables(rows, [regime.name for regime in REGIMES]))
    print(
        f"\n{studies:,} simulated studies per rate; alpha {ALPHA}; {POOLERS} poolers, {EXAMPLES} "
        f"examples; {_outcome(rows)}"
    )
    return rows


def _real(options: argparse.Namespace) -> list[Row]:
    runs, *others = (read_runs(options.real, pooler) for pooler in options.pooler)
    studies = options.studies or (400 if options.quick else 2_000)
    rng = np.random.default_rng(options.seed)
    if others:
        rows = list(swapped_false_positives(runs, others[0], studies, rng))
    else:
        rows = list(real_false_positives(runs, studies, rng))
    print(tables(rows))
    print(
        f"\n{studies:,} random draws per rate from real runs on {runs[0].dataset} x "
        f"{runs[0].encoder}, {len(runs[0].labels):,} examples; alpha {ALPHA}; {_outcome(rows)}"
    )
    return rows


def _outcome(rows: Sequence[Row]) -> str:
    checked = sum(row.limit is not None for row in rows)
    wrong = sum(row.exceeds for row in rows)
    return f"{checked} rates checked, {wrong} over the limit + 3 standard errors."


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="400 studies, not thousands")
    parser.add_argument("--studies", type=int, help="how many to simulate, or to deal out")
    parser.add_argument("--seed", type=int, default=0, help="of the simulation or the deals")
    parser.add_argument("--real", type=Path, metavar="STUDY", help="records to deal out")
    parser.add_argument(
        "--pooler", nargs="+", default=["mean"], help="with --real: one, or two to swap names"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
