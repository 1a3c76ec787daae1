"""Check and time poolbench on a GPU: random weights and token ids, no network, under 8 minutes.

    python scripts/benchmarks/gpu.py
    python scripts/benchmarks/gpu.py --device cpu --quick     the same in small, to test this script

Needs torch, transformers, accelerate, pytorch-lightning and pydantic; neither hydra nor datasets
nor wandb. Exit code 1: a check failed.
"""

import argparse
import copy
import os
import time
import warnings
from collections.abc import Callable
from functools import partial
from math import ceil
from statistics import median

os.environ["HF_HUB_OFFLINE"] = "1"

import measure
import pytorch_lightning as pl
import torch
import transformers
from gpu_training import BATCH, MINILM, Size, encoder_of, hf_training, our_training, token_ids
from poolers import autocast, pooled_vectors, time_poolers
from torch import Tensor, nn
from trainers import OURS

from poolbench.core.environment import hardware
from poolbench.core.errors import one_line
from poolbench.encoders.toy import ScratchEncoder

# Greatest |found - expected| / |expected| over all pooled vectors of a pooler.
EXACT, HALF = 1e-4, 3e-2


FULL = (Size("BERT-base", 12, 768, 12, 30_522, 2048), MINILM)
QUICK = (Size("tiny", 2, 32, 4, 512, 32),)


class Checks:
    """Prints lines of checks and remembers whether all passed."""

    def __init__(self) -> None:
        self.failed = 0

    def add(self, name: str, found: float, limit: float) -> None:
        """A number that has to be at most ``limit``; not a number fails."""
        passed = found <= limit
        self.failed += not passed
        print(f"  {name:<58} {found:9.2e}  {'passed' if passed else f'failed: > {limit:.0e}'}")

    def attempt(self, name: str, work: Callable[[], object]) -> bool:
        """Whether some work ends without an error; the other parts still run if it does not."""
        try:
            work()
        except Exception as error:
            self.failed += 1
            print(f"  {name}: failed: {type(error).__name__}: {one_line(error)[:300]}", flush=True)
            return False
        return True


def main(arguments: list[str] | None = None) -> int:
    """Check, then time; the exit code."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--quick", action="store_true", help="one tiny encoder, one round")
    parser.add_argument("--checks", action="store_true", help="check only, time nothing")
    options = parser.parse_args(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("there is no GPU: --device cpu --quick tests this script without one")
    _silence()
    device, started, checks = torch.device(options.device), time.perf_counter(), Checks()
    print(f"{hardware(device)['device']}, torch {torch.__version__}, ", end="")
    print(f"transformers {transformers.__version__}, pytorch-lightning {pl.__version__}")
    for size in QUICK if options.quick else FULL:
        print(f"\n{size.name}: {size.layers} layers, {size.width} wide, random weights", flush=True)
        checks.attempt("checks", partial(check, size, device, checks))
        if not options.checks:
            rounds = 1 if options.quick else 5
            checks.attempt("training", partial(time_training, size, device, rounds, checks))
            bf16 = torch.bfloat16
            checks.attempt("poolers", partial(time_poolers, size, device, bf16, rounds))
    print(f"\n{checks.failed} checks failed; {time.perf_counter() - started:.0f} s")
    return int(checks.failed > 0)


def check(size: Size, device: torch.device, checks: Checks) -> None:
    """Pooled vectors of every pooler on the device against those in float32 on the CPU."""
    data = token_ids(size)
    layers = tuple(range(size.layers + 1))
    padded = encoder_of(size).with_layers(layers)
    packed = encoder_of(size).with_layers(layers)
    packed.pack()
    batch = padded.collate(data, torch.arange(16))
    expected = dict(pooled_vectors(padded, size, data, batch, torch.device("cpu"), None))
    cases: dict[str, tuple[ScratchEncoder, torch.dtype | None]] = {
        "float32, padded": (padded, None),
        "float32, packed": (packed, None),
        "bf16, padded": (padded, torch.bfloat16),
        f"bf16, {packed.attention_kernel(device, torch.bfloat16).partition(',')[0]}": (
            packed,
            torch.bfloat16,
        ),
    }

    def compare(name: str, encoder: ScratchEncoder, dtype: torch.dtype | None) -> None:
        errors = {
            pooler: _difference(found, expected[pooler])
            for pooler, found in pooled_vectors(encoder, size, data, batch, device, dtype)
        }
        worst = max(errors, key=lambda pooler: errors[pooler])
        limit = HALF if dtype else EXACT
        checks.add(f"{name}: {len(errors)} poolers, worst {worst}", errors[worst], limit)

    for name, case in cases.items():
        checks.attempt(name, partial(compare, name, *case))
    one, packed = batch.to(device), packed.to(device).eval()
    with torch.no_grad(), autocast(device, torch.bfloat16):
        eager = packed(one).float()
        compiled = copy.deepcopy(packed)
        compiled.compile(backend="inductor" if device.type == "cuda" else "aot_eager")
        found = compiled(one).float()
    real = one.attention_mask
    checks.add("bf16, packed, compiled against eager", _difference(found[real], eager[real]), HALF)


def time_training(size: Size, device: torch.device, rounds: int, checks: Checks) -> None:
    """One epoch of fine-tuning in bf16 against the ``Trainer`` of Hugging Face."""
    data = token_ids(size)
    no_dropout = encoder_of(size)
    for name, module in no_dropout.named_modules():
        if isinstance(module, nn.Dropout) and "attention.self" in name:
            module.p = 0.0
    prepared: dict[str, Callable[[], Callable[[], object]]] = {
        OURS: partial(our_training, encoder_of(size), data, device),
        f"{OURS}, padded": partial(our_training, encoder_of(size), data, device, pack=False),
        f"{OURS}, no attention dropout": partial(our_training, no_dropout, data, device),
        "HF Trainer, dynamic padding": partial(hf_training, size, data, device),
        "HF Trainer, grouped by length": partial(
            hf_training, size, data, device, train_sampling_strategy="group_by_length"
        ),
    }
    if device.type == "cuda":
        prepared[f"{OURS}, padded, compiled"] = partial(
            our_training, encoder_of(size), data, device, pack=False, compiled=True
        )

    def epoch(name: str) -> float:
        return measure.timed(prepared[name]())()

    works = {name: partial(epoch, name) for name in prepared}
    works = {name: work for name, work in works.items() if checks.attempt(name, work)}
    seconds = measure.interleave(works, rounds)
    rows = data.splits["train"]
    print(f"\n  one epoch of {len(rows)} texts in bf16, batches of {BATCH}")
    side = 8192 if device.type == "cuda" else 512
    rates = measure.Rates.measure(torch.bfloat16, side, device.type)
    lengths, steps = data.lengths[rows].tolist(), ceil(len(rows) / BATCH)
    limit = measure.least_seconds(encoder_of(size), lengths, rates, steps)
    print(f"  this device: {rates.flops / 1e12:.2f} TFLOP/s in bf16, {rates.bytes / 1e9:.0f} GB/s")
    print(f"  {'':32} {'ms':>10} {'ratio':>7} {'texts/s':>10} {'fraction of limit':>17}")
    for name, found in seconds.items():
        ratio = median([a / b for a, b in zip(found, seconds[OURS], strict=True)])
        ms, speed, share = 1e3 * median(found), len(rows) / median(found), limit / median(found)
        print(f"  {name:<32} {ms:10,.1f} {ratio:7.2f} {speed:10,.0f} {share:17.3f}")


def _difference(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def _silence() -> None:
    torch.set_float32_matmul_precision("highest")  # parity in float32, not in TF32
    transformers.logging.set_verbosity_error()
    warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\).*")


if __name__ == "__main__":
    raise SystemExit(main())
