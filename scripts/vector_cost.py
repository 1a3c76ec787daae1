"""Measure what compressed vectors cost in quality, for runs of similarity and retrieval.

    python scripts/vector_cost.py outputs/first/verses/minilm/mean/seed=0-1a2b3c4d
    python scripts/vector_cost.py <run> <run> <run> --margin 1

The vectors are cut to 1/2, 1/4 and 1/8 of their width and stored as float32, float16, int8 or bits.
The result is written to vector_cost.json in the folder of the run, and the report of the study
shows it.
"""

import argparse
import sys
from pathlib import Path

from poolbench.core.errors import command
from poolbench.inference.finished import check_vectors, finished_run
from poolbench.runs.protocol import Protocol, scaled_name
from poolbench.runs.schema import write_json
from poolbench.runs.vector_cost import VECTOR_COST, VectorCosts


@command
def main(arguments: list[str]) -> int:
    """Exit code 0, or 2 if the vectors of a run cannot be measured."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="+", help="folders of finished runs")
    margin = Protocol().margin
    parser.add_argument("--margin", type=float, default=margin, help=f"points; default: {margin}")
    options = parser.parse_args(arguments)
    records = [finished_run(folder) for folder in options.runs]
    for record in records:
        check_vectors(record)
    # torch is imported here: a run that cannot be measured is reported at once.
    from poolbench.inference.compression import vector_costs
    from poolbench.inference.load import load
    from poolbench.training.session import Session

    session = Session()
    for record in records:
        costs = vector_costs(load(record.folder, session))
        recorded = 100 * record.metrics[f"test/{costs.metric}"]
        print(f"{record.run.label}: {scaled_name(costs.metric)} {recorded:.2f} in its record")
        print(*lines(costs, options.margin), sep="\n")
        write_json(record.folder / VECTOR_COST, costs)
        print(f"  {record.folder / VECTOR_COST}")
    return 0


def lines(costs: VectorCosts, margin: float) -> list[str]:
    """A table, and the smallest vector within the margin."""
    found = [f"  {'format':10} {'width':>5} {'bytes':>6} {'value':>6} {'change':>6}  interval"]
    for c in costs.costs:
        interval = "{:+.2f} to {:+.2f}".format(*c.interval) if c.interval else ""
        numbers = f"{c.width:5} {c.bytes:6} {c.value:6.2f} {c.difference:+6.2f}"
        found.append(f"  {c.format:10} {numbers}  {interval}".rstrip())
    best = costs.smallest(margin)
    small = f"{best.format} at width {best.width}, {best.bytes} bytes" if best else "none"
    return [*found, f"  smallest shown to lose less than {margin:g} points: {small}"]


if __name__ == "__main__":
    sys.exit(main())
