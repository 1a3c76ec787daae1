"""Milliseconds of every pooler alone on one batch of 32 texts, in turn in one process.

    python scripts/benchmarks/poolers.py
    python scripts/benchmarks/poolers.py --device cuda --bf16

The hidden states are those of a MiniLM-sized encoder with random weights. gpu.py uses the same.
"""

import argparse
import copy
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import measure
import torch
import yaml
from gpu_training import BATCH, CLASSES, MINILM, Size, encoder_of, token_ids
from torch import Tensor

from poolbench.core.environment import set_matmul_precision
from poolbench.data.collate import Batch
from poolbench.data.tokenized import TokenizedDataset
from poolbench.encoders.layer_mix import SingleLayer
from poolbench.encoders.toy import ScratchEncoder
from poolbench.tasks.heads import LinearHead
from poolbench.training.components import build, target_of
from poolbench.training.model import PooledModel

POOLERS = Path(__file__).parents[2] / "conf/pooler"
REPEATED = 10  # calls in each measurement


def main(arguments: list[str] | None = None) -> None:
    """Time all poolers."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--device", default="cpu", choices=["cuda", "cpu"])
    parser.add_argument("--bf16", action="store_true", help="autocast to bfloat16")
    parser.add_argument("--rounds", type=int, default=7, help="default: 7")
    options = parser.parse_args(arguments)
    set_matmul_precision()
    dtype = torch.bfloat16 if options.bf16 else None
    time_poolers(MINILM, torch.device(options.device), dtype, options.rounds)


def time_poolers(size: Size, device: torch.device, dtype: torch.dtype | None, rounds: int) -> None:
    """Milliseconds of each pooler alone on one batch: forward, and forward with backward."""
    data = token_ids(size)
    encoder = encoder_of(size).with_layers(tuple(range(size.layers + 1))).to(device)
    batch = encoder.collate(data, torch.arange(BATCH)).to(device)
    with torch.no_grad(), autocast(device, dtype):
        states = encoder(batch)
    found = dict(models(encoder, size, data))
    works: dict[str, measure.Variant] = {}
    for name, model in found.items():
        model.to(device).train()
        for train in (False, True):
            work = partial(_pool_often, model, used(model, states), batch, dtype, train)
            works[f"{name} {train}"] = measure.timed(work)
    seconds = measure.interleave(works, rounds)
    shape, precision = tuple(states[:, :, -1].shape), "bf16" if dtype else "float32"
    print(f"\n  hidden states {shape} in {precision}, milliseconds")
    print(f"  {'pooler':<34} {'forward':>9} {'+ backward':>10} {'parameters':>11} {'width':>7}")
    forward, both = (
        {name: 1e3 * min(seconds[f"{name} {train}"]) / REPEATED for name in found}
        for train in (False, True)
    )
    for name in sorted(found, key=lambda name: both[name]):
        pooler = found[name].pooler
        parameters = sum(p.numel() for p in pooler.parameters())
        print(
            f"  {name:<34} {forward[name]:9.3f} {both[name]:10.3f} {parameters:11,d} "
            f"{pooler.output_dim:7,d}"
        )


def models(
    encoder: ScratchEncoder, size: Size, data: TokenizedDataset
) -> Iterator[tuple[str, PooledModel]]:
    """Every pooler of ``conf/pooler`` that this encoder is deep enough for, as a model.

    ``encoder`` computes all layers; models whose pooler reads the last one have a copy for that.
    """
    last = encoder.with_layers((encoder.depth,))
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
            yield name, PooledModel(encoder if pooler.layer_indices else last, layers, pooler, head)


def used(model: PooledModel, states: Tensor) -> Tensor:
    """Of the states of all layers, those that the model's encoder would compute."""
    return states[:, :, -len(model.encoder.layers) :]


def pooled_vectors(
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
    with torch.no_grad(), autocast(device, dtype):
        states = encoder(batch)
        for name, model in models(encoder, size, data):
            if not model.pooler.depends_on_padding:
                model.to(device).eval()
                yield name, model.pool(used(model, states), batch).float().cpu()


def _pool_often(
    model: PooledModel, states: Tensor, batch: Batch, dtype: torch.dtype | None, train: bool
) -> None:
    leaf = states.detach().requires_grad_(train)
    for _ in range(REPEATED):
        with torch.set_grad_enabled(train), autocast(states.device, dtype):
            pooled = model.pool(leaf, batch)
        if train:
            pooled.float().sum().backward()
            leaf.grad = None


def autocast(device: torch.device, dtype: torch.dtype | None) -> Any:
    return torch.autocast(device.type, dtype) if dtype else nullcontext()


if __name__ == "__main__":
    measure.run(main)
