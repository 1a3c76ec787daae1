"""What every pooler promises, one function a promise. None of them names a pooler.

Each takes ``build``, a function that makes the pooler afresh with the same weights each time. The
oracle of most is the pooler itself on the same text in another batch: a promise is an invariance.
"""

import copy
import re
from collections.abc import Callable
from typing import Any

import jaxtyping
import pytest
import torch
from torch import Tensor

from poolbench.core.shape_checks import ShapeError
from poolbench.poolers.base import Pooler
from tests.poolers.supplied import WIDTH

Build = Callable[[], Pooler]
LENGTHS = (1, 2, 7, 5)


def texts(dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Four texts of (n, D) states; mostly negative, so that a zero in the padding would show."""
    draw = torch.Generator().manual_seed(7)
    return [(torch.randn(n, WIDTH, generator=draw) - 1.5).to(dtype) for n in LENGTHS]


def batch(
    rows: list[Tensor], length: int | None = None, side: str = "right", pad: float = 99.0
) -> tuple[Tensor, Tensor]:
    """The rows padded with ``pad`` on one side to one length: hidden (B, T, D), mask (B, T)."""
    length = length or max(len(row) for row in rows)
    hidden = torch.full((len(rows), length, WIDTH), pad, dtype=rows[0].dtype)
    mask = torch.zeros(len(rows), length, dtype=torch.bool)
    for i, row in enumerate(rows):
        where = slice(0, len(row)) if side == "right" else slice(length - len(row), length)
        hidden[i, where] = row
        mask[i, where] = True
    return hidden, mask


def close(a: Tensor, b: Tensor, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


def t01_pad_content_is_ignored(build: Build) -> None:
    pooler = build()
    expected = pooler(*batch(texts(), pad=0.0))
    for pad in (99.0, -1e4, float("nan"), float("inf"), float("-inf")):
        close(pooler(*batch(texts(), pad=pad)), expected)


def t02_more_right_padding_changes_nothing(build: Build) -> None:
    pooler = build()
    close(pooler(*batch(texts(), length=23)), pooler(*batch(texts())))


def t03_padding_side_changes_nothing(build: Build) -> None:
    pooler = build()
    close(pooler(*batch(texts(), 9, side="left")), pooler(*batch(texts(), 9, side="right")))


def t04_alone_and_in_a_batch_agree(build: Build) -> None:
    pooler = build()
    together = pooler(*batch(texts()))
    for i, text in enumerate(texts()):
        close(pooler(*batch([text])), together[i : i + 1])


def t05_an_empty_row_gives_zeros(build: Build) -> None:
    pooler = build()
    hidden, mask = batch(texts())
    expected = pooler(hidden, mask)
    hidden = torch.cat([hidden, torch.full_like(hidden[:1], float("nan"))])
    mask = torch.cat([mask, torch.zeros_like(mask[:1])])
    pooled = pooler(hidden.requires_grad_(), mask)
    close(pooled[:-1], expected)
    close(pooled[-1], torch.zeros_like(pooled[-1]))
    pooled.sum().backward()
    assert hidden.grad is not None
    assert hidden.grad.isfinite().all()


def t06_one_token_is_finite_with_a_finite_gradient(build: Build) -> None:
    pooler = build()
    for state in (torch.randn(1, 1, WIDTH), torch.zeros(1, 1, WIDTH)):
        pooled = pooler(state.requires_grad_(), torch.ones(1, 1, dtype=torch.bool))
        pooled.sum().backward()
        assert pooled.isfinite().all()
        assert state.grad is not None
        assert state.grad.isfinite().all()


def t07_half_precision_neither_overflows_nor_drifts(build: Build) -> None:
    exact = build().double()(*batch(texts(torch.float64)))
    for dtype, tolerance in ((torch.float16, 5e-3), (torch.bfloat16, 5e-2)):
        pooler = build().to(dtype)
        pooled = pooler(*batch(texts(dtype)))
        assert pooled.dtype == dtype
        close(pooled.double(), exact, tolerance)
    if not list(build().parameters()):
        # 8192 tens: their float16 sum is inf on the way to a mean of ten.
        tens = torch.full((1, 8192, WIDTH), 10.0)
        everything = torch.ones(1, 8192, dtype=torch.bool)
        wide = build().double()(tens.double(), everything)
        if wide.max() < torch.finfo(torch.float16).max:
            close(build().half()(tens.half(), everything).double(), wide, 1e-3)


def t08_gradients_skip_padding_and_reach_every_parameter(build: Build) -> None:
    pooler = build()
    hidden, mask = batch(texts(), pad=float("nan"))
    hidden.requires_grad_()
    weights = torch.linspace(0.5, 1.5, pooler.output_dim)
    (pooler(hidden, mask) * weights).sum().backward()
    assert hidden.grad is not None
    assert (hidden.grad[~mask] == 0).all()
    assert hidden.grad[mask].isfinite().all()
    assert (hidden.grad[mask] != 0).any()
    for name, parameter in pooler.named_parameters():
        assert parameter.grad is not None, f"{name} got no gradient"
        assert parameter.grad.isfinite().all(), name
        assert (parameter.grad != 0).any(), f"{name} is dead"


def t09_arguments_are_left_alone(build: Build) -> None:
    pooler = build()
    hidden, mask = batch(texts())
    before = hidden.clone(), mask.clone()
    pooler(hidden, mask)
    assert torch.equal(hidden, before[0])
    assert torch.equal(mask, before[1])


def t10_a_batch_of_one_keeps_its_batch_axis(build: Build) -> None:
    pooler = build()
    assert pooler(*batch(texts()[:1])).shape == (1, pooler.output_dim)


def t11_permutation_invariance_is_as_declared(build: Build) -> None:
    pooler = build()
    rows = texts()
    # Odd places first: a window sees new neighbours, which it would not in a text read backwards.
    shuffled = [torch.cat([row[1::2], row[0::2]]) for row in rows]
    pooled, permuted = pooler(*batch(rows)), pooler(*batch(shuffled))
    if pooler.permutation_invariant:
        close(permuted, pooled)
    else:
        assert (permuted - pooled).abs().max() > 1e-3, "declared order-sensitive, but it is not"


def t12_texts_shorter_than_any_window_work(build: Build) -> None:
    pooler = build()
    for n in (1, 2, 3):
        pooled = pooler(*batch([text[:n] for text in texts()]))
        assert pooled.shape == (len(LENGTHS), pooler.output_dim)
        assert pooled.isfinite().all()


def t13_wrong_shapes_and_masks_are_refused(build: Build) -> None:
    pooler = build()
    hidden, mask = batch(texts())
    wrong = {
        "missing": (hidden, None),
        "bool": (hidden, mask.long()),
        "must be bool": (hidden, mask.float()),
        "expected (B, T)": (hidden, mask[:, :-1]),
        "the mask is": (hidden, mask[:, 0]),
        "last_hidden_state": (hidden[:, 0], mask),
        "transpose": (hidden.new_zeros(4, WIDTH, 7), mask),
        "floating": (hidden.long(), mask),
    }
    for words, arguments in wrong.items():
        with pytest.raises(ShapeError, match=re.escape(words)):
            pooler(*arguments)


def t14_no_tensor_value_is_read_on_the_host(build: Build) -> None:
    # On the meta device there are no values, so reading one raises.
    hidden, mask = batch(texts())
    build().to("meta")(hidden.to("meta"), mask.to("meta"))
    assert _operations(build, rows=2) == _operations(build, rows=5), "loops over the rows"


def t15_compiled_gives_the_same_for_every_length(build: Build) -> None:
    pooler = build()
    torch._dynamo.reset()
    graphs: list[torch.fx.GraphModule] = []
    first = 0

    def keep(graph: torch.fx.GraphModule, _: list[Tensor]) -> Callable[..., object]:
        graphs.append(graph)
        return graph.forward

    # What torch cannot trace (a recurrence) says graph_break: several graphs, still for any length.
    whole = not getattr(pooler, "graph_break", False)
    compiled = torch.compile(copy.deepcopy(pooler), backend=keep, dynamic=True, fullgraph=whole)
    # The annotations are checked while testing only, and that checker cannot be traced.
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        for length in (7, 11, 16):
            arguments = batch(texts(), length)
            close(compiled(*arguments), pooler(*arguments))
            first = first or len(graphs)
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
    assert len(graphs) == first, "compiled again for another length"


def _operations(build: Build, rows: int) -> int:
    class Count(torch.utils._python_dispatch.TorchDispatchMode):
        seen = 0

        def __torch_dispatch__(
            self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            self.seen += 1
            return func(*args, **(kwargs or {}))

    pooler = build()
    arguments = batch(texts()[2:3] * rows)
    with Count() as count:
        pooler(*arguments)
    return count.seen


CONTRACT = {
    name: promise for name, promise in globals().items() if name[:1] == "t" and name[1:3].isdigit()
}
