"""The contract of every pooler, lines T1 to T15, as measurements: for tests and certificates.

Most lines compare a pooler with itself, on the same texts in another batch. A deviation is
max |difference| / max |pooled|, in float32 unless the line says otherwise.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import inf, isfinite, nan
from operator import itemgetter
from typing import Any, NamedTuple, TypedDict

import jaxtyping
import torch
from torch import Tensor

from poolbench.core.shape_checks import ShapeError
from poolbench.poolers import masked
from poolbench.poolers.subject import Subject, deviation_of, largest

EXACT = 1e-4  # float32 sums in another order


def _padding_content(s: Subject) -> float:
    values = (0.0, 99.0, -1e4, nan, inf, -inf)
    return max(s.deviation(s.filled(value)) for value in values)


def _padding_side(s: Subject) -> float:
    wide = s.padded(2)
    right = wide.rotated(masked.first(wide.mask))
    return right.deviation(wide.rotated(masked.last(wide.mask) + 1))


def _alone(s: Subject) -> float:
    together = s.pooled()[s.mask.any(dim=1)]
    return deviation_of(torch.cat([text.pooled() for text in s.texts()]), together)


def _no_tokens(s: Subject) -> float:
    more = s.map(lambda x: torch.cat([x, x[:1]]), torch.cat([s.mask, s.mask[:1] & False]))
    pooled, at_inputs, _ = more.filled(nan).gradients()
    return largest(pooled[-1]) if all(x.isfinite().all() for x in at_inputs) else inf


def _one_token(s: Subject) -> bool:
    first = s.rotated(masked.first(s.mask)).map(lambda x: x[:, :1])
    zeros = first.map(lambda x: torch.cat([x, torch.zeros_like(x)]), first.mask.repeat(2, 1) | True)
    pooled, at_inputs, _ = zeros.gradients()
    return all(isfinite(largest(x)) for x in (pooled, *at_inputs))


def _precision(s: Subject, dtype: torch.dtype) -> float:
    # The sum of 1024 hundreds overflows in float16; their mean does not.
    many = s.map(lambda x: x[:1, :1].expand(1, 1024, *x.shape[2:]))
    many = replace(many, hidden=torch.full_like(many.hidden, 100.0), mask=many.mask | True)
    worst = 0.0
    for batch in (s,) if list(s.pooler.parameters()) else (s, many):
        exact, pooled = batch.cast(torch.float64).pooled(), batch.cast(dtype).pooled()
        if pooled.dtype != dtype:
            return inf
        if largest(exact) <= torch.finfo(dtype).max:
            worst = max(worst, deviation_of(pooled, exact))
    return worst


def _gradients(s: Subject) -> float:
    _, at_inputs, at_parameters = s.filled(nan).gradients()
    needed = [torch.cat([x[s.mask].flatten() for x in at_inputs]), *at_parameters]
    if not all(x is not None and x.isfinite().all() and x.any() for x in needed):
        return inf
    return max(largest(x * ~masked.like(s.mask, x)) for x in at_inputs)


def _unmodified(s: Subject) -> bool:
    s = s.filled(1.0)
    inputs = [s.hidden, s.mask, *s.extra_inputs.values()]
    before = [x.clone() for x in inputs]
    s.pooled()
    return all(map(torch.equal, inputs, before))


def _token_order(s: Subject) -> bool:
    order = torch.arange(s.mask.shape[1], device=s.mask.device).repeat(len(s.mask), 1)
    for row, mask in zip(order, s.mask, strict=True):
        valid = row[mask]
        # First, last and neighbours change; if merely reversed, windows would keep their tokens.
        row[mask] = torch.cat([valid[1::2], valid[0::2].flip(0)])
    return (s.deviation(s.reordered(order)) <= EXACT) == s.pooler.permutation_invariant


def _short_texts(s: Subject) -> float:
    masks = [s.mask & (s.mask.cumsum(dim=1) <= n) for n in (1, 2, 3)]
    return max(_alone(replace(s, mask=mask)) for mask in masks)


def _invalid_inputs(s: Subject) -> bool:
    hidden, mask, extra = s.hidden, s.mask, s.extra_inputs
    wrong: list[tuple[Tensor, Any, Mapping[str, Tensor]]] = [
        *[(hidden, m, extra) for m in (None, mask.long(), mask.float(), mask[:, 1:], mask[:, 0])],
        *[(x, mask, extra) for x in (hidden[:, 0], hidden[..., 1:], hidden.long())],
        *[(hidden, mask, {k: v for k, v in extra.items() if k != name}) for name in extra],
        *[(hidden, mask, {**extra, name: extra[name][:, 1:]}) for name in extra],
        (hidden, mask, {**extra, "unknown": hidden}),
    ]
    for x, m, more in wrong:
        try:
            s.pooler(x, m, **more)
        except ShapeError:
            continue
        return False
    return True


def _no_host_synchronisation(s: Subject) -> bool:
    # Tensors on the meta device have no values: reading one raises.
    meta = s.copy().map(lambda x: x.to("meta"))
    replace(meta, pooler=meta.pooler.to("meta").train()).gradients()
    return True


def _compiled(s: Subject) -> float:
    graphs: list[torch.fx.GraphModule] = []

    def eager(graph: torch.fx.GraphModule, _: list[Tensor]) -> Callable[..., object]:
        graphs.append(graph)
        return graph.forward

    torch.compiler.reset()
    whole = not s.pooler.graph_break
    compiled = torch.compile(s.pooler, backend=eager, dynamic=True, fullgraph=whole)
    checked = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)  # type checkers cannot be traced
    worst, once = 0.0, 0
    try:
        for copies, more in ((2, 2), (2, 7), (3, 11)):
            batch = s.padded(more).map(itemgetter(list(range(len(s.mask))) * copies))
            found = compiled(batch.hidden, batch.mask, **batch.extra_inputs)
            worst = max(worst, deviation_of(found, batch.pooled()))
            once = once or len(graphs)
    finally:
        jaxtyping.config.update("jaxtyping_disable", checked)
    return worst if len(graphs) == once else inf


class Line(NamedTuple):
    """A promise; ``result`` is a deviation up to ``limit``, or True where ``limit`` is None."""

    promise: str
    limit: float | None
    result: Callable[[Subject], float]


LINES = {
    "T1": Line("the content of padding is ignored, even NaN and Inf", EXACT, _padding_content),
    "T2": Line("more padding changes nothing", EXACT, lambda s: s.deviation(s.padded(16))),
    "T3": Line("left and right padding agree", EXACT, _padding_side),
    "T4": Line("a text alone and in a batch agree", EXACT, _alone),
    "T5": Line("a text without tokens gives zeros", 0.0, _no_tokens),
    "T6": Line("one token gives a finite value and gradient", None, _one_token),
    "T7": Line("float16 agrees with float64", 1e-2, lambda s: _precision(s, torch.float16)),
    "T7 bfloat16": Line("so does bfloat16", 5e-2, lambda s: _precision(s, torch.bfloat16)),
    "T8": Line("no gradient at padding, one at every parameter", 0.0, _gradients),
    "T9": Line("inputs are not modified", None, _unmodified),
    "T10": Line("a batch of one works", None, lambda s: s.texts()[0].pooled().ndim == 2),
    "T11": Line("permutation invariance is as declared", None, _token_order),
    "T12": Line("texts of one to three tokens work in any batch", EXACT, _short_texts),
    "T13": Line("invalid inputs raise ShapeError", None, _invalid_inputs),
    "T14": Line("no value is read on the host", None, _no_host_synchronisation),
    "T15": Line("torch.compile agrees, compiling once for all shapes", EXACT, _compiled),
}


class Measured(TypedDict):
    """A line, measured. ``deviation`` is None for a yes/no line, and where it is not finite."""

    promise: str
    deviation: float | None
    limit: float | None
    kept: bool


def measure(subject: Subject) -> dict[str, Measured]:
    """All lines, measured in eval mode on copies of the pooler; a line that raises is not kept."""
    found = {}
    # Outside of inference mode, copied states can have gradients.
    with torch.inference_mode(False), torch.enable_grad():
        for name, (promise, limit, result) in LINES.items():
            fresh = subject.copy()
            fresh.pooler.eval()
            try:
                value = result(fresh)
            except Exception:
                value = inf
            kept = value is True if limit is None else value <= limit
            deviation = None if limit is None or not isfinite(value) else value
            found[name] = Measured(promise=promise, deviation=deviation, limit=limit, kept=kept)
    return found
