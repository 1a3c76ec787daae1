"""Check and time poolbench on a GPU: random weights and token ids, no network, under 8 minutes.

    python scripts/benchmarks/gpu.py
    python scripts/benchmarks/gpu.py --device cpu --quick     the same in small, to test this script

Needs torch, transformers, accelerate, pytorch-lightning and pydantic; neither hydra nor datasets
nor wandb. Exit code 1: a check failed.
"""

import argparse
import copy
import logging
import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import measure
import pytorch_lightning as pl
import torch
import transformers
import yaml
from gpu_training import BATCH, CLASSES, Size, encoder_of, hf_training, our_training, token_ids
from pytorch_lightning.utilities import disable_possible_user_warnings
from torch import Tensor, nn

from poolbench.core.environment import hardware
from poolbench.core.errors import one_line
from poolbench.data.collate import Batch
from poolbench.data.tokenized import TokenizedDataset
from poolbench.encoders.layer_mix import SingleLayer
from poolbench.encoders.toy import ScratchEncoder
from poolbench.tasks.heads import LinearHead
from poolbench.training.components import build, target_of
from poolbench.training.model import PooledModel

POOLERS = Path(__file__).parents[2] / "conf/pooler"
OURS = "poolbench"
# Greatest |found - expected| / |expected| over all pooled vectors of a pooler.
EXACT, HALF = 1e-4, 3e-2


FULL = (Size("BERT-base", 12, 768, 12, 30_522, 2048), Size("MiniLM", 6, 384, 12, 30_522, 2048))
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
            checks.attempt("poolers", partial(time_poolers, size, device, rounds))
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
    expected = dict(_pooled(padded, size, data, batch, torch.device("cpu"), None))
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
            for pooler, found in _pooled(encoder, size, data, batch, device, dtype)
        }
        worst = max(errors, key=lambda pooler: errors[pooler])
        limit = HALF if dtype else EXACT
        checks.add(f"{name}: {len(errors)} poolers, worst {worst}", errors[worst], limit)

    for name, case in cases.items():
        checks.attempt(name, partial(compare, name, *case))
    one, packed = batch.to(device), packed.to(device).eval()
    with torch.no_grad(), _autocast(device, torch.bfloat16):
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
    encoder = encoder_of(size)
    lengths = data.lengths[rows].tolist()
    forward = measure.forward_operations(encoder, size.layers, size.width, lengths)
    parameters = sum(p.numel() for p in encoder.parameters())
    limit = measure.training_limit(forward, parameters, -(-len(rows) // BATCH), rates)
    print(f"  this device: {rates.flops / 1e12:.2f} TFLOP/s in bf16, {rates.bytes / 1e9:.0f} GB/s")
    print(f"  {'':32} {'ms':>10} {'ratio':>7} {'texts/s':>10} {'fraction of limit':>17}")
    for name, found in seconds.items():
        ratio = median([a / b for a, b in zip(found, seconds[OURS], strict=True)])
        ms, speed, share = 1e3 * median(found), len(rows) / median(found), limit / median(found)
        print(f"  {name:<32} {ms:10,.1f} {ratio:7.2f} {speed:10,.0f} {share:17.3f}")


def time_poolers(size: Size, device: torch.device, rounds: int) -> None:
    """Milliseconds of each pooler alone on one batch: forward, and forward with backward."""
    data = token_ids(size)
    encoder = encoder_of(size).with_layers(tuple(range(size.layers + 1))).to(device)
    batch = encoder.collate(data, torch.arange(BATCH)).to(device)
    with torch.no_grad(), _autocast(device, torch.bfloat16):
        states = encoder(batch).detach()
    works: dict[str, measure.Variant] = {}
    for name, model in _models(encoder, size, data):
        model.to(device).train()
        works[f"{name} forward"] = measure.timed(partial(_pool_often, model, states, batch, False))
        works[f"{name} train"] = measure.timed(partial(_pool_often, model, states, batch, True))
    seconds = measure.interleave(works, rounds)
    print(f"\n  poolers on {tuple(states[:, :, -1].shape)} in bf16: ms forward, forward + backward")
    for name in (key.removesuffix(" train") for key in works if key.endswith(" train")):
        forward, train = (1e3 * min(seconds[f"{name} {k}"]) / 10 for k in ("forward", "train"))
        print(f"  {name:<34} {forward:9.3f} {train:9.3f}")


def _models(
    encoder: ScratchEncoder, size: Size, data: TokenizedDataset
) -> Iterator[tuple[str, PooledModel]]:
    """Every pooler of ``conf/pooler`` that this encoder is deep enough for, as a model."""
    supplied = {
        "depth": encoder.depth,
        "token_counts": torch.bincount(data.ids, minlength=size.vocabulary),
        "native_head": encoder.native_head(),
    }
    matched = {"${matched.width}": size.width, "${matched.parameters}": 9 * size.width + 4}
    for path in sorted(POOLERS.rglob("*.yaml")):
        component = yaml.safe_load(path.read_text())
        component = {k: matched.get(str(knob), knob) for k, knob in component.items()}
        needs = target_of(component).needs
        given = {key: value for key, value in supplied.items() if key in needs}
        torch.manual_seed(0)
        pooler = build(component, hidden_dim=size.width, **given)
        if -min(pooler.layer_indices, default=0) <= size.layers + 1:
            head = LinearHead(pooler.output_dim, CLASSES)
            layers = SingleLayer(size.width, size.layers, -1)
            name = str(path.relative_to(POOLERS).with_suffix(""))
            yield name, PooledModel(encoder, layers, pooler, head)


def _pooled(
    encoder: ScratchEncoder,
    size: Size,
    data: TokenizedDataset,
    batch: Batch,
    device: torch.device,
    dtype: torch.dtype | None,
) -> Iterator[tuple[str, Tensor]]:
    """Name and pooled vectors of every pooler that only reads real tokens; without dropout."""
    encoder = copy.deepcopy(encoder).to(device).eval()
    batch = batch.to(device)
    with torch.no_grad(), _autocast(device, dtype):
        states = encoder(batch)
        for name, model in _models(encoder, size, data):
            if not model.pooler.depends_on_padding:
                yield name, model.to(device).eval().pool(states, batch).float().cpu()


def _pool_often(model: PooledModel, states: Tensor, batch: Batch, train: bool) -> None:
    leaf = states.requires_grad_(train)
    for _ in range(10):
        with torch.set_grad_enabled(train), _autocast(states.device, torch.bfloat16):
            pooled = model.pool(leaf, batch)
        if train:
            pooled.float().sum().backward()
            leaf.grad = None


def _autocast(device: torch.device, dtype: torch.dtype | None) -> Any:
    return torch.autocast(device.type, dtype) if dtype else nullcontext()


def _difference(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def _silence() -> None:
    torch.set_float32_matmul_precision("highest")  # parity in float32, not in TF32
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    transformers.logging.set_verbosity_error()
    disable_possible_user_warnings()
    warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\).*")


if __name__ == "__main__":
    raise SystemExit(main())
