"""Every pooler behind the encoders of gpu.py: its vectors, and its time."""

import copy
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import measure
import torch
import yaml
from gpu_training import BATCH, CLASSES, Size, encoder_of, token_ids
from torch import Tensor

from poolbench.data.collate import Batch
from poolbench.data.tokenized import TokenizedDataset
from poolbench.encoders.layer_mix import SingleLayer
from poolbench.encoders.toy import ScratchEncoder
from poolbench.tasks.heads import LinearHead
from poolbench.training.components import build, target_of
from poolbench.training.model import PooledModel

POOLERS = Path(__file__).parents[2] / "conf/pooler"


def time_poolers(size: Size, device: torch.device, rounds: int) -> None:
    """Milliseconds of each pooler alone on one batch: forward, and forward with backward."""
    data = token_ids(size)
    encoder = encoder_of(size).with_layers(tuple(range(size.layers + 1))).to(device)
    batch = encoder.collate(data, torch.arange(BATCH)).to(device)
    with torch.no_grad(), autocast(device, torch.bfloat16):
        states = encoder(batch).detach()
    works: dict[str, measure.Variant] = {}
    for name, model in models(encoder, size, data):
        model.to(device).train()
        works[f"{name} forward"] = measure.timed(partial(_pool_often, model, states, batch, False))
        works[f"{name} train"] = measure.timed(partial(_pool_often, model, states, batch, True))
    seconds = measure.interleave(works, rounds)
    print(f"\n  poolers on {tuple(states[:, :, -1].shape)} in bf16: ms forward, forward + backward")
    for name in (key.removesuffix(" train") for key in works if key.endswith(" train")):
        forward, train = (1e3 * min(seconds[f"{name} {k}"]) / 10 for k in ("forward", "train"))
        print(f"  {name:<34} {forward:9.3f} {train:9.3f}")


def models(
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
                yield name, model.to(device).eval().pool(states, batch).float().cpu()


def _pool_often(model: PooledModel, states: Tensor, batch: Batch, train: bool) -> None:
    leaf = states.requires_grad_(train)
    for _ in range(10):
        with torch.set_grad_enabled(train), autocast(states.device, torch.bfloat16):
            pooled = model.pool(leaf, batch)
        if train:
            pooled.float().sum().backward()
            leaf.grad = None


def autocast(device: torch.device, dtype: torch.dtype | None) -> Any:
    return torch.autocast(device.type, dtype) if dtype else nullcontext()
