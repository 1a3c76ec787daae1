"""Every pooler against its formula, written as a plain loop over one text in float64."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.poolers import attention_formulas as attending
from tests.poolers import formulas as plain
from tests.poolers.supplied import POOLERS, WIDTH, batch, close, extra_inputs, make, texts

Formula = Callable[[Any, Tensor], Tensor]


CASES: list[tuple[str, dict[str, object], Formula]] = [
    ("cls", {}, lambda _, x: x[0]),
    ("last", {}, lambda _, x: x[-1]),
    ("mean", {}, lambda _, x: x.mean(0)),
    ("mean_sqrt", {}, lambda _, x: x.sum(0) / len(x) ** 0.5),
    ("sum", {}, lambda _, x: x.sum(0)),
    ("max", {}, lambda _, x: x.amax(0)),
    ("min", {}, lambda _, x: x.amin(0)),
    ("weighted_mean", {}, plain.weighted_mean),
    ("mean_max", {}, lambda _, x: torch.cat([x.mean(0), x.amax(0)])),
    ("mean_std", {"eps": 0.0}, lambda _, x: torch.cat([x.mean(0), x.std(0, correction=0)])),
    ("power_mean", {"power": 1.7, "learned": True}, plain.power_mean),
    ("logsumexp", {"r": 3.0}, plain.scipy_logsumexp),
    ("soft_max", {"temperature": 0.3}, lambda _, x: ((x / 0.3).softmax(0) * x).sum(0)),
    ("topk_mean", {}, lambda _, x: x.sort(dim=0).values[-3:].mean(0)),
    ("window_mean_max", {}, plain.window_mean_max),
    ("idf_mean", {}, plain.idf_mean),
    ("max_attention", {}, attending.max_attention),
    ("attention", {}, attending.attention),
    ("gated_attention", {}, attending.gated_attention),
    ("vector_attention", {}, attending.vector_attention),
    ("self_attentive", {}, attending.self_attentive),
    (
        "multihead_attention",
        {"heads": 2, "queries": 3},
        lambda p, x: attending.attend(p.attention, p.queries, x).flatten(),
    ),
    ("efficient_probing", {}, attending.efficient_probing),
    ("attentive_statistics", {}, attending.attentive_statistics),
    ("latent_attention", {}, attending.latent_attention),
    ("max_pool_bert", {}, attending.max_pool_bert),
    ("positional_mean", {"positions": 3}, attending.positional_mean),
    ("conv", {}, plain.conv),
    ("gated_conv", {"kernel_size": 5, "layers": 3, "dilation": 2}, plain.gated_conv),
    ("gru", {"reduce": "last"}, plain.rnn),
    ("gru", {"reduce": "max"}, plain.rnn),
    ("lstm", {"reduce": "mean"}, plain.rnn),
    ("transformer_layer", {}, lambda p, x: p.layer(x.unsqueeze(0))[0].mean(0)),
    ("late_mean", {}, lambda p, x: nn.functional.gelu(p.project(x)).mean(0)),
    ("sliced_wasserstein", {"slices": 5, "points": 4}, plain.sliced_wasserstein),
    ("native", {}, lambda p, x: p.transform(x[0])),
    ("ada_pool", {}, lambda p, x: attending.attend(p.attention, x.mean(0, keepdim=True), x)[0]),
    ("multimax", {}, attending.multimax),
    ("rolling_max_attention", {}, attending.rolling_max_attention),
    ("rolling_max_attention", {"window": 3, "heads": 5}, attending.rolling_max_attention),
    ("ema_max", {}, plain.ema_max),
    ("ema_max", {"alpha": 1.0}, lambda _, x: x.amax(0)),
    ("attention_probe", {}, attending.attention_probe),
    ("bag_of_windows", {}, attending.bag_of_windows),
    ("bag_of_windows", {"window": 4, "stride": 4}, attending.bag_of_windows),
    ("bag_of_windows", {"window": 3, "stride": 1}, attending.bag_of_windows),
    ("layer_attention", {}, attending.layer_attention),
    ("layer_token_gate", {}, attending.layer_token_gate),
    ("pagerank", {}, plain.pagerank),
    ("token_graph", {}, plain.token_graph),
    ("token_graph", {"threshold": 0.7, "layers": 3}, plain.token_graph),
]


@pytest.mark.parametrize(("name", "knobs", "formula"), CASES)
def test_pooler_is_its_formula(name: str, knobs: dict[str, object], formula: Formula) -> None:
    pooler = make(name, **knobs).double()
    rows = texts(torch.float64)
    expected = torch.stack([formula(pooler, row) for row in rows])
    hidden, mask = batch(rows, 15, "left", pad=float("nan"))
    close(pooler(hidden, mask, **extra_inputs(pooler, hidden)), expected, 1e-6)


def test_every_pooler_has_a_formula() -> None:
    assert {name for name, _, _ in CASES} == set(POOLERS)


@pytest.mark.parametrize("power", [0.5, 3.0, 10.0, 30.0])
def test_power_mean_has_a_finite_gradient_where_tokens_cancel(power: float) -> None:
    pooler = make("power_mean", power=power, learned=True)
    for token in (torch.zeros(1, 1, WIDTH), torch.full((1, 1, WIDTH), 0.5)):
        hidden = torch.cat([token, -token], dim=1).requires_grad_()
        pooled = pooler(hidden, torch.ones(1, 2, dtype=torch.bool))
        pooled.sum().backward()
        close(pooled, torch.zeros_like(pooled))
        for gradient in (hidden.grad, pooler.log_power.grad):
            assert isinstance(gradient, Tensor)
            assert gradient.isfinite().all()


def test_similar_and_dissimilar_tokens_are_in_the_test_texts() -> None:
    """Otherwise ``token_graph`` would be tested on a complete graph."""
    for text in texts()[2:]:
        cosine = nn.functional.cosine_similarity(text[:, None], text[None], dim=-1)
        assert 0 < (cosine < 0.6).sum() < cosine.numel() - len(text)


@pytest.mark.parametrize("sizes", [(1,), (40,), (1, 30), (2, 5, 100)])
def test_pagerank_has_converged(sizes: tuple[int, ...]) -> None:
    """Exact ranks by a linear system, in graphs of clusters, where power iterations are slowest."""
    generator = torch.Generator().manual_seed(0)
    rows = []
    for i, size in enumerate(sizes):
        tokens = torch.zeros(size, WIDTH, dtype=torch.float64)
        tokens[:, 4 * i : 4 * i + 4] = torch.randn(size, 4, generator=generator).double()
        rows.append(tokens)
    x = torch.cat(rows)
    edges = nn.functional.cosine_similarity(x[:, None], x[None], dim=-1).clamp(min=0)
    moves = np.eye(len(x)) - 0.85 * (edges / edges.sum(0)).numpy()
    exact = torch.tensor(np.linalg.solve(moves, np.full(len(x), 0.15 / len(x))))
    (found,) = make("pagerank").token_weights(x[None], torch.ones(1, len(x), dtype=torch.bool))
    assert (found - exact).abs().sum() < 1e-6


def test_a_linear_head_on_an_attention_probe_sums_the_values_of_its_heads() -> None:
    pooler, head = make("attention_probe").double(), nn.Linear(8 * WIDTH, 3).double()
    (x,) = texts(torch.float64)[2:3]
    scores = x @ pooler.query.weight.T + pooler.slope * torch.arange(len(x))[:, None]
    values = torch.einsum("td,chd->thc", x, head.weight.unflatten(1, (8, WIDTH)))
    expected = (scores.softmax(0)[..., None] * values).sum((0, 1)) + head.bias
    close(head(pooler(x[None], torch.ones(1, len(x), dtype=torch.bool)))[0], expected)
