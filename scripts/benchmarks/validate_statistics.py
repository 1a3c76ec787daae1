"""Test the comparison protocol on itself: simulated poolers whose true difference is known.

    python scripts/benchmarks/validate_statistics.py                # some minutes on one core
    python scripts/benchmarks/validate_statistics.py --studies 200  # under a minute, wider errors
    python scripts/benchmarks/validate_statistics.py --only recommendation
    python scripts/benchmarks/validate_statistics.py --real outputs/aa --pooler mean
    python scripts/benchmarks/validate_statistics.py --real outputs/aa --pooler mean attention

Prints Markdown tables. Exits with 1 if an error rate exceeds its limit by more than chance explains
(binomial test, p < .00135). The last two forms read records of real trainings with many seeds:
those of one pooler are dealt to several names, those of two poolers swap names example by example.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from statistics_checks import CHECKS
from statistics_real import dealt_false_positives, read_runs, swapped_false_positives
from statistics_simulation import ALPHA, REGIMES, tables

from poolbench.core.errors import UserError


def main(arguments: Sequence[str] | None = None) -> int:
    """0: all rates are within their limits; 1: one is not; 2: there is nothing to measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, help="number of simulated studies, or of deals")
    parser.add_argument("--seed", type=int, default=0, help="of the simulation or the deals")
    parser.add_argument("--only", nargs="+", choices=CHECKS, help="run these checks")
    parser.add_argument("--real", type=Path, metavar="STUDY", help="folder with real records")
    parser.add_argument("--pooler", nargs="+", default=["mean"], help="with --real: one or two")
    options = parser.parse_args(arguments)
    if len(options.pooler) > 2 or (options.studies is not None and options.studies < 1):
        parser.error("--pooler takes one pooler or two, --studies at least 1")
    studies = options.studies or (2_000 if options.real else 10_000)
    try:
        if options.real:
            runs = [read_runs(options.real, pooler) for pooler in options.pooler]
            check = swapped_false_positives if len(runs) == 2 else dealt_false_positives
            rows = list(check(*runs, studies, np.random.default_rng(options.seed)))
            one = runs[0][0]
            unit = f"random draws per rate from real runs on {one.dataset} × {one.encoder}"
            examples = f"{len(one.targets):,} examples"
        else:
            rows = []
            for name in options.only or CHECKS:
                print(name, file=sys.stderr)
                rows += CHECKS[name](np.random.default_rng([options.seed, *name.encode()]), studies)
            unit, examples = "simulated studies per rate", "500 test examples, unless stated"
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    checked, wrong = sum(r.limit is not None for r in rows), sum(r.exceeds for r in rows)
    print(tables(rows, () if options.real else list(REGIMES)))
    print(f"\n{studies:,} {unit}; alpha {ALPHA}; {examples}; ", end="")
    print(f"{checked} rates checked, {wrong} over the limit by more than chance.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
