"""Inject faults into a sweep, run it again, and compare with a sweep without faults.

    python scripts/faults.py            a few minutes
    python scripts/faults.py --quick    one fault of each kind

Real processes, signals and files. The last line counts the faults, the runs lost, the runs wrong
(any metric, prediction or digest that is not bit-identical), and the work done twice. Exit code 1
if anything is lost or wrong.
"""

import argparse
import random
import sys
import tempfile
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.robustness import fault_kinds
from tests.robustness.fault_bench import Bench


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0, or 1 if a run is lost or wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one fault of each kind")
    parser.add_argument("--seed", type=int, default=0, help="of times and bits")
    options = parser.parse_args(arguments)
    draw, quick = random.Random(options.seed), options.quick
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        redone = fault_kinds.kills(bench, draw, 1 if quick else 6)
        fault_kinds.signals(bench, draw, 1 if quick else 2)
        fault_kinds.writes(bench, stride=7 if quick else 1)
        fault_kinds.together(bench, (2,) if quick else (2, 3, 4))
        fault_kinds.damages(bench, draw)
        fault_kinds.failing_runs(bench)
        fault_kinds.environment(bench)
        if bench.messages:
            print(*bench.messages, (bench.root / "log.txt").read_text()[-3000:], sep="\n")
    print(
        f"{bench.faults} faults injected, {bench.lost} lost, {bench.wrong} wrong, "
        f"{100 * redone:.0f} % of work redone"
    )
    return int(bench.lost + bench.wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
