"""What padding, batch and precision do to a pooler, measured on real text behind a real encoder.

The lines are those of the contract that every pooler is tested against (``tests/poolers``); here
they come with a figure, for one pooler, one encoder and one dataset. The pooler has its initial
weights, all in eval mode. A deviation is the largest difference over the largest pooled value.
"""

import copy
import functools
import json
from collections.abc import Callable
from dataclasses import replace
from math import isfinite
from typing import TypedDict

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn
from torch.nn import functional

from poolbench.data.collate import Batch, make_batch
from poolbench.data.tokenized import Corpus
from poolbench.training.assembly import layers_read
from poolbench.training.model import PooledClassifier
from poolbench.training.session import plain, prepare

TEXTS = 8
EXACT = 1e-4  # of float32 sums in another order, through all layers of an encoder
Measured = tuple[float | None, bool]
"""The deviation, where the line has one, and whether what has no number is as promised."""


class Line(TypedDict):
    """One line as it stands in a record."""

    promise: str
    deviation: float | None
    limit: float | None
    kept: bool


def certificate(cfg: DictConfig) -> dict[str, Line]:
    """Each line of the contract for a cell: promise, deviation, limit, and whether it is kept.

    Deviation and limit are None for a line without a number. Cells that differ in nothing but
    their seed share a certificate; it is measured once in a process.
    """
    groups = ("dataset", "encoder", "layers", "pooler", "head", "pooled_tokens")
    return _measured(json.dumps({**{key: plain(cfg)[key] for key in groups}, "seed": 0}))


@functools.lru_cache(maxsize=128)
def _measured(settings: str) -> dict[str, Line]:
    cfg = OmegaConf.create(json.loads(settings))
    prepared = prepare(cfg)
    parts = prepared.parts(cfg)
    encoder = prepared.encoder.reading(layers_read(parts, prepared.encoder))
    model = PooledClassifier(encoder, parts.layers, parts.pooler, parts.head).eval()
    unpooled = encoder.unpooled_ids(cfg.pooled_tokens)
    bench = _Bench(model, prepared.corpus, unpooled)
    lines = {}
    for name, promise, limit, measure in bench.lines():
        deviation, kept = measure()
        within = limit is None or (deviation is not None and deviation <= limit)
        # Infinity has no place in JSON, and says no more than that the line is broken.
        told = deviation if deviation is not None and isfinite(deviation) else None
        lines[name] = Line(promise=promise, deviation=told, limit=limit, kept=kept and within)
    return lines


class _Bench:
    """A model, a few texts, and what it makes of them as they are."""

    def __init__(self, model: PooledClassifier, corpus: Corpus, unpooled: tuple[int, ...]) -> None:
        self.model, self.encoder = model, model.encoder
        self.corpus, self.unpooled = corpus, unpooled
        self.texts = _spread(corpus)
        self.batch = self._batch(self.texts)
        with torch.no_grad():
            self.states = self.encoder(self.batch)
        self.pooled = self._pool(self.states, self.batch)

    def lines(self) -> list[tuple[str, str, float | None, Callable[[], Measured]]]:
        """Name, promise, limit and measurement of each line."""
        half, brain = torch.float16, torch.bfloat16
        return [
            ("T1", "what stands in the padding is ignored, NaN too", EXACT, self.padding_content),
            ("T2", "more padding changes nothing", EXACT, self.more_padding),
            ("T3", "left and right padding agree", EXACT, self.padding_side),
            ("T4", "a text alone and in a batch agree", EXACT, self.alone),
            ("T5", "a text without tokens gives zeros", 0.0, self.no_tokens),
            ("T6", "one token gives a finite value and gradient", None, self.one_token),
            ("T7", "float16 agrees with float64", 1e-2, lambda: self.precision(half)),
            ("T7 bfloat16", "bfloat16 agrees with float64", 5e-2, lambda: self.precision(brain)),
            ("T8", "no gradient at padding, a finite one elsewhere", 0.0, self.gradients),
            ("T12", "texts of one to three tokens work in any batch", EXACT, self.short_texts),
            ("T15", "torch.compile gives the same for any length", EXACT, self.compiled),
        ]

    def padding_content(self) -> Measured:
        pads = ~self.batch.attention_mask[:, :, None, None]
        worst = 0.0
        for value in (0.0, 99.0, float("nan"), float("inf"), float("-inf")):
            pooled = self._pool(self.states.masked_fill(pads, value), self.batch)
            worst = max(worst, self._deviation(pooled, self.pooled))
        return worst, True

    def more_padding(self) -> Measured:
        return self._deviation(self._encoded(self._padded(self.batch, 9)), self.pooled), True

    def padding_side(self) -> Measured:
        usual = self.encoder.padding_side
        try:
            self.encoder.padding_side = "left" if usual == "right" else "right"
            other = self._encoded(self._batch(self.texts))
        finally:
            self.encoder.padding_side = usual
        return self._deviation(other, self.pooled), True

    def alone(self) -> Measured:
        rows = [self._encoded(self._batch(row.view(1))) for row in self.texts]
        return self._deviation(torch.cat(rows), self.pooled), True

    def no_tokens(self) -> Measured:
        nothing = self._masked(torch.zeros_like(self.batch.pooling_mask))
        return float(self._pool(self.states, nothing).abs().max()), True

    def one_token(self) -> Measured:
        first = (self.batch.pooling_mask.cumsum(1) == 1) & self.batch.pooling_mask
        states = self.states.clone().requires_grad_()
        pooled = self.model.pool(states, self._masked(first))
        pooled.sum().backward()
        assert states.grad is not None
        finite = pooled.isfinite().all() and states.grad.isfinite().all()
        return None, bool(finite)

    def precision(self, dtype: torch.dtype) -> Measured:
        parts = nn.ModuleList([self.model.layers, self.model.pooler])
        kept = copy.deepcopy(parts.state_dict())
        try:
            parts.double()
            exact = self._pool(self.states.double(), self.batch)
            parts.to(dtype)
            pooled = self._pool(self.states.to(dtype), self.batch)
        finally:
            parts.float()
            parts.load_state_dict(kept)
        return self._deviation(pooled.double(), exact), pooled.dtype == dtype

    def gradients(self) -> Measured:
        mask = self.batch.attention_mask
        states = self.states.masked_fill(~mask[:, :, None, None], float("nan")).requires_grad_()
        pooled = self.model.pool(states, self.batch)
        (pooled * torch.linspace(0.5, 1.5, pooled.shape[1])).sum().backward()
        assert states.grad is not None
        parameters = [*self.model.layers.parameters(), *self.model.pooler.parameters()]
        found = [p.grad for p in parameters if p.requires_grad]
        finite = all(grad is not None and bool(grad.isfinite().all()) for grad in found)
        at_padding = states.grad[~mask].abs()
        return float(at_padding.max()) if at_padding.numel() else 0.0, finite

    def short_texts(self) -> Measured:
        worst = 0.0
        for tokens in (1, 2, 3):
            kept = self.batch.pooling_mask & (self.batch.pooling_mask.cumsum(1) <= tokens)
            together = self._pool(self.states, self._masked(kept))
            rows = [self._cut(i, kept[i]) for i in range(len(kept)) if kept[i].any()]
            worst = max(worst, self._deviation(torch.cat(rows), together[kept.any(dim=1)]))
        return worst, True

    def compiled(self) -> Measured:
        torch._dynamo.reset()
        fast = torch.compile(self.model.pool, backend="eager", dynamic=True)
        worst = 0.0
        with torch.no_grad():
            for more in (0, 5):
                batch = self._padded(self.batch, more)
                states = functional.pad(self.states, (0, 0, 0, 0, 0, more))
                worst = max(worst, self._deviation(fast(states, batch), self._pool(states, batch)))
        return worst, True

    def _batch(self, rows: Tensor) -> Batch:
        side, pad = self.encoder.padding_side, self.encoder.pad_id
        return make_batch(self.corpus, rows, side, pad, self.unpooled)

    def _padded(self, batch: Batch, more: int) -> Batch:
        def wider(values: Tensor, fill: int | bool) -> Tensor:
            return functional.pad(values, (0, more), value=fill)

        return replace(
            batch,
            input_ids=wider(batch.input_ids, self.encoder.pad_id),
            attention_mask=wider(batch.attention_mask, False),
            pooling_mask=wider(batch.pooling_mask, False),
        )

    def _masked(self, mask: Tensor) -> Batch:
        return replace(self.batch, attention_mask=mask, pooling_mask=mask)

    def _cut(self, row: int, kept: Tensor) -> Tensor:
        """``pooled`` of some tokens of one text, and nothing around them."""
        names = ("input_ids", "attention_mask", "pooling_mask")
        cut = {name: getattr(self.batch, name)[row : row + 1, kept] for name in names}
        return self._pool(self.states[row : row + 1, kept], replace(self.batch, **cut))

    def _encoded(self, batch: Batch) -> Tensor:
        with torch.no_grad():
            return self._pool(self.encoder(batch), batch)

    def _pool(self, states: Tensor, batch: Batch) -> Tensor:
        with torch.no_grad():
            return self.model.pool(states, batch)

    @staticmethod
    def _deviation(found: Tensor, expected: Tensor) -> float:
        if not found.isfinite().all():
            return float("inf")
        scale = expected.abs().max().clamp(min=1e-12)
        return float((found - expected).abs().max() / scale)


def _spread(corpus: Corpus) -> Tensor:
    """A few validation texts from the shortest to the longest."""
    rows = torch.tensor(corpus.splits["validation"])
    by_length = rows[corpus.lengths[rows].argsort(stable=True)]
    places = torch.linspace(0, len(rows) - 1, min(TEXTS, len(rows))).long()
    return by_length[places.unique()]
