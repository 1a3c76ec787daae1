"""Measure poolbench beside its peers, all variants interleaved in one process.

    python scripts/benchmark.py input
    python scripts/benchmark.py encode --rounds 7 --json encode.json
    python scripts/benchmark.py loop pooler=conv dataset.max_examples=4000
    python scripts/benchmark.py poolers --study outputs/demo

Any other argument is an override of the configuration, as for train.py.
"""

import argparse
import importlib
import sys
from pathlib import Path

from poolbench.core.errors import BadInput

BENCHMARKS = {
    "input": "time for one batch, against a datasets.Dataset with its collator",
    "loop": "time for one training step of a head, against a bare PyTorch loop",
    "fused": "cells of a sweep trained together, against one after another",
    "encode": "texts to sentence vectors, against sentence-transformers",
    "frozen_sweep": "poolers x seeds on a frozen encoder, against encoding in every run",
    "frozen_head": "texts to predictions, against sentence vectors and logistic regression",
    "finetune": "a pass of full fine-tuning, against the Trainer of Hugging Face",
    "growth": "how a sweep's cost grows with poolers, seeds, examples, tokens and layers",
    "poolers": "forward, backward, memory and parameters of every pooler",
}


def main(arguments: list[str] | None = None) -> int:
    """0: measured and printed; 2: it could not be, for the reason in one line."""
    name, rest = _chosen(sys.argv[1:] if arguments is None else arguments)
    module = importlib.import_module(f"poolbench.benchmarks.{name}")
    parser = argparse.ArgumentParser(prog=f"benchmark.py {name}", description=module.__doc__)
    parser.add_argument("overrides", nargs="*", help="of the configuration: key=value")
    parser.add_argument("--rounds", type=int, default=7, help="how often each variant runs")
    parser.add_argument("--threads", type=int, help="of torch; as many as torch takes by itself")
    parser.add_argument("--json", type=Path, help="write every timing to this file")
    module.add_options(parser)
    options = vars(parser.parse_intermixed_args(rest))
    file, threads = options.pop("json"), options.pop("threads")
    if threads:
        import torch

        torch.set_num_threads(threads)
    try:
        if options["rounds"] < 1:
            raise BadInput(f"--rounds {options['rounds']}: expected 1 or more")
        outcome = module.measure(**options)
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(outcome.table())
    if file:
        outcome.write(file)
    return 0


def _chosen(arguments: list[str]) -> tuple[str, list[str]]:
    """Which benchmark, and its own arguments: only the chosen one is imported."""
    listed = "\n".join(f"  {name:<14}{what}" for name, what in BENCHMARKS.items())
    parser = argparse.ArgumentParser(
        description=f"{__doc__}\nBenchmarks:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("benchmark", choices=BENCHMARKS)
    chosen = parser.parse_args(arguments[:1])
    return chosen.benchmark, arguments[1:]


if __name__ == "__main__":
    sys.exit(main())
