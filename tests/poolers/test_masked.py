"""Mask arithmetic against a plain Python loop in float64."""

import pytest
import torch

from poolbench.poolers import masked

DRAW = torch.Generator().manual_seed(3)
HIDDEN = torch.randn(5, 6, 3, generator=DRAW, dtype=torch.float64)
MASK = torch.tensor(
    [
        [True, True, False, False, False, False],
        [False, False, False, True, True, True],
        [True, False, True, False, True, False],  # with gaps
        [True, True, True, True, True, True],
        [False, False, False, False, False, False],
    ]
)
ROWS = [row[keep] for row, keep in zip(HIDDEN, MASK, strict=True)]
POISONED = HIDDEN.masked_fill(~MASK.unsqueeze(-1), float("nan"))


@pytest.mark.parametrize(
    ("function", "loop"),
    [
        (masked.total, lambda row: row.sum(0)),
        (masked.mean, lambda row: row.mean(0)),
        (masked.maximum, lambda row: row.max(0).values),
        (lambda h, m: masked.take(h, masked.first(m), m), lambda row: row[0]),
        (lambda h, m: masked.take(h, masked.last(m), m), lambda row: row[-1]),
    ],
    ids=["total", "mean", "maximum", "first", "last"],
)
def test_reductions_agree_with_a_loop_and_empty_rows_give_zeros(function, loop) -> None:
    expected = [loop(row) if len(row) else torch.zeros(3).double() for row in ROWS]
    torch.testing.assert_close(function(POISONED, MASK), torch.stack(expected))


def test_softmax_is_a_softmax_over_the_valid_tokens() -> None:
    scores = POISONED[..., 0]
    weights = masked.softmax(scores, MASK)
    assert (weights[~MASK] == 0).all()
    for row, keep, got in zip(HIDDEN[..., 0], MASK, weights, strict=True):
        torch.testing.assert_close(got[keep], row[keep].softmax(0))


def test_softmax_is_computed_in_float32_whatever_comes_in() -> None:
    scores = torch.tensor([[6e4, 0.0]], dtype=torch.float16)
    assert masked.softmax(scores, torch.ones(1, 2, dtype=torch.bool)).dtype == torch.float32


def test_weighted_sum_agrees_with_a_loop() -> None:
    weights = torch.rand(5, 6, generator=DRAW, dtype=torch.float64)
    expected = [
        (w[keep, None] * row[keep]).sum(0)
        for w, row, keep in zip(weights, HIDDEN, MASK, strict=True)
    ]
    torch.testing.assert_close(masked.weighted_sum(POISONED, weights, MASK), torch.stack(expected))


@pytest.mark.parametrize("compiling", [False, True], ids=["valid tokens only", "compiled"])
def test_per_token_is_the_function_of_each_valid_token_and_zeros_elsewhere(
    compiling: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: compiling)
    hidden = POISONED.clone().requires_grad_()
    weight = torch.randn(3, 2, generator=DRAW, dtype=torch.float64, requires_grad=True)
    got = masked.per_token(lambda tokens: (tokens @ weight).exp(), hidden, MASK)
    expected = torch.zeros(5, 6, 2, dtype=torch.float64)
    for b, t in MASK.nonzero().tolist():
        expected[b, t] = (HIDDEN[b, t] @ weight).exp()
    torch.testing.assert_close(got, expected)
    got.sum().backward()
    assert weight.grad.isfinite().all()
    assert (hidden.grad[~MASK] == 0).all()


def test_per_token_computes_nothing_for_padding() -> None:
    seen = []
    masked.per_token(lambda tokens: seen.append(len(tokens)) or tokens, HIDDEN, MASK)
    assert seen == [int(MASK.sum())]


def test_gradients_of_an_empty_row_are_finite() -> None:
    hidden = POISONED.clone().requires_grad_()
    masked.maximum(hidden, MASK).sum().backward()
    assert hidden.grad.isfinite().all()
    scores = torch.zeros(5, 6, requires_grad=True)
    masked.softmax(scores, MASK).square().sum().backward()
    assert scores.grad.isfinite().all()
