"""Every pooler against its formula, written as a plain loop over one text in float64."""

from collections.abc import Callable
from typing import Any

import networkx
import numpy as np
import pytest
import scipy.special
import torch
from torch import Tensor, nn

from poolbench.poolers.base import Pooler
from tests.poolers.supplied import POOLERS, WIDTH, batch, close, extra_inputs, make, texts

Formula = Callable[[Any, Tensor], Tensor]


def weighted_mean(_: Pooler, x: Tensor) -> Tensor:
    return sum(i * token for i, token in enumerate(x, 1)) / sum(range(1, len(x) + 1))


def power_mean(pooler: Any, x: Tensor) -> Tensor:
    p = pooler.log_power.detach().exp()
    mean = (x.sign() * x.abs() ** p).mean(0)
    return mean.sign() * mean.abs() ** (1 / p)


def window_mean_max(pooler: Any, x: Tensor) -> Tensor:
    size = min(pooler.window, len(x))
    means = [x[i : i + size].mean(0) for i in range(len(x) - size + 1)]
    return torch.stack(means).amax(0)


def max_attention(_: Pooler, x: Tensor) -> Tensor:
    query = x.amax(0)
    scores = torch.stack([token / token.norm() @ query for token in x])
    return scores.softmax(0) @ x


def attention(pooler: Any, x: Tensor) -> Tensor:
    scores = torch.stack([pooler.score(pooler.project(token).tanh()) for token in x])
    return (scores.softmax(0) * x).sum(0)


def gated_attention(pooler: Any, x: Tensor) -> Tensor:
    scores = pooler.score(pooler.project(x).tanh() * pooler.gate(x).sigmoid())
    return (scores.softmax(0) * x).sum(0)


def vector_attention(pooler: Any, x: Tensor) -> Tensor:
    return (pooler.score(pooler.project(x).relu()).softmax(0) * x).sum(0)


def attentive_statistics(pooler: Any, x: Tensor) -> Tensor:
    attention = pooler.attention
    weights = attention.score(attention.project(x).tanh()).softmax(0)
    mean = (weights * x).sum(0)
    second = (weights * x * x).sum(0)
    return torch.cat([mean, (second - mean**2 + pooler.eps).sqrt()])


def attend(attention: nn.MultiheadAttention, queries: Tensor, keys: Tensor) -> Tensor:
    """Multi-head attention, one head and one query at a time."""
    assert attention.in_proj_weight is not None
    weights = attention.in_proj_weight.chunk(3)
    biases = [0.0] * 3 if attention.in_proj_bias is None else attention.in_proj_bias.chunk(3)
    q, k, v = (
        source @ weight.T + bias
        for source, weight, bias in zip((queries, keys, keys), weights, biases, strict=True)
    )
    size = q.shape[1] // attention.num_heads
    found = []
    for query in q:
        heads = []
        for h in range(attention.num_heads):
            at = slice(h * size, (h + 1) * size)
            scores = k[:, at] @ query[at] / size**0.5
            heads.append(scores.softmax(0) @ v[:, at])
        found.append(attention.out_proj(torch.cat(heads)))
    return torch.stack(found)


def latent_attention(pooler: Any, x: Tensor) -> Tensor:
    latents = pooler.norm_latents(pooler.latents)
    x = x + attend(pooler.attention, pooler.norm_tokens(x), latents)
    return (x + pooler.mlp(x)).mean(0)


def efficient_probing(pooler: Any, x: Tensor) -> Tensor:
    values = pooler.value(x).chunk(len(pooler.queries), dim=1)
    slices = [
        (x @ query / WIDTH**0.5).softmax(0) @ value
        for query, value in zip(pooler.queries, values, strict=True)
    ]
    return torch.cat(slices)


def positional_mean(pooler: Any, x: Tensor) -> Tensor:
    last = len(pooler.scores) - 1
    scores = torch.stack([pooler.scores[min(i, last)] for i in range(len(x))])
    return scores.softmax(0) @ x


def conv(pooler: Any, x: Tensor) -> Tensor:
    pooled = []
    for layer in pooler.convs:
        size = layer.kernel_size[0]
        longer = torch.cat([x, x.new_zeros(size, WIDTH)])
        windows = [
            torch.einsum("cdk,kd->c", layer.weight, longer[t : t + size]) + layer.bias
            for t in range(len(x))
        ]
        pooled.append(torch.stack(windows).relu().amax(0))
    return torch.cat(pooled)


def idf_mean(pooler: Any, x: Tensor) -> Tensor:
    counts = torch.tensor([900, 90, 9, 0, 1, 30, 300, 0]).double()
    frequency = (counts / counts.sum())[extra_inputs(pooler, x)["token_ids"]]
    weights = 1e-3 / (1e-3 + frequency)
    return (weights[:, None] * x).mean(0)


def max_pool_bert(pooler: Any, x: Tensor) -> Tensor:
    largest = extra_inputs(pooler, x)["layers"].amax(1)
    return attend(pooler.attention, largest[:1], largest)[0]


def self_attentive(pooler: Any, x: Tensor) -> Tensor:
    scores = pooler.score(pooler.project(x).tanh())
    return torch.cat([hop.softmax(0) @ x for hop in scores.T])


def gated_conv(pooler: Any, x: Tensor) -> Tensor:
    for conv in pooler.convs:
        (size,), (step,) = conv.kernel_size, conv.dilation
        left = step * (size - 1) // 2
        rows = []
        for t in range(len(x)):
            row = conv.bias
            for j in range(size):
                if 0 <= (at := t - left + j * step) < len(x):
                    row = row + conv.weight[:, :, j] @ x[at]
            linear, gate = row.chunk(2)
            rows.append(linear * gate.sigmoid())
        x = torch.stack(rows)
    return x.amax(0)


def rnn(pooler: Any, x: Tensor) -> Tensor:
    """torch's own bidirectional RNN over the packed text, with the same weights."""
    both = type(pooler.forwards)(WIDTH, pooler.output_dim // 2, bidirectional=True).double()
    for weight, other in zip(both.all_weights, (pooler.forwards, pooler.backwards), strict=True):
        for mine, theirs in zip(weight, other.parameters(), strict=True):
            mine.data = theirs.data
    states, _ = both(nn.utils.rnn.pack_sequence([x]))
    forward, backward = states.data.chunk(2, dim=1)
    ends = torch.cat([forward[-1], backward[0]])
    return {"max": states.data.amax(0), "mean": states.data.mean(0), "last": ends}[pooler.reduce]


def scipy_logsumexp(pooler: Any, x: Tensor) -> Tensor:
    values = scipy.special.logsumexp(pooler.r * x.numpy(), axis=0, b=1 / len(x))
    return torch.tensor(values / pooler.r)


def sliced_wasserstein(pooler: Any, x: Tensor) -> Tensor:
    pooled = []
    for direction, reference in zip(pooler.slices, pooler.reference, strict=True):
        values = (x @ (direction / direction.norm())).detach().sort(descending=True).values
        wanted = np.linspace(0, 1, len(reference))
        quantiles = np.interp(wanted, np.linspace(0, 1, len(values)), values.numpy())
        moved = torch.tensor(quantiles) - reference.sort(descending=True).values
        pooled.append(moved @ pooler.weight)
    return torch.stack(pooled)


def multimax(pooler: Any, x: Tensor) -> Tensor:
    inner, _, outer = pooler.score
    tokens = [nn.functional.gelu(inner(token)) for token in x]
    return torch.stack([max(v @ token for token in tokens) for v in outer.weight])


def rolling_max_attention(pooler: Any, x: Tensor) -> Tensor:
    inner, _, outer = pooler.score
    y = nn.functional.gelu(inner(x))
    size = min(pooler.window, len(x))
    windows = [y[i : i + size] for i in range(len(x) - size + 1)]
    queries, values = outer.weight.chunk(2)
    return torch.stack(
        [
            max((w @ query).softmax(0) @ (w @ value) for w in windows)
            for query, value in zip(queries, values, strict=True)
        ]
    )


def ema_max(pooler: Any, x: Tensor) -> Tensor:
    average, found = torch.zeros(WIDTH), []
    for token in x:
        average = pooler.alpha * token + (1 - pooler.alpha) * average
        found.append(average)
    return torch.stack(found).amax(0)


def attention_probe(pooler: Any, x: Tensor) -> Tensor:
    means = []
    for query, slope in zip(pooler.query.weight, pooler.slope, strict=True):
        scores = torch.stack([query @ token + slope * t for t, token in enumerate(x)])
        means.append(scores.softmax(0) @ x)
    return torch.cat(means)


def bag_of_windows(pooler: Any, x: Tensor) -> Tensor:
    means, start, end = [], 0, 0
    while end < len(x):
        end = start + pooler.window
        means.append(x[start:end].mean(0))
        start += pooler.stride
    windows = torch.stack(means)
    return attend(pooler.attention, windows, windows).mean(0)


def layer_attention(pooler: Any, x: Tensor) -> Tensor:
    layers = extra_inputs(pooler, x)["layers"].unbind(1)
    keys = [layer[0] for layer in layers] + [layer.mean(0) for layer in layers]
    return attend(pooler.attention, pooler.query, torch.stack(keys))[0]


def layer_token_gate(pooler: Any, x: Tensor) -> Tensor:
    layers = extra_inputs(pooler, x)["layers"].unbind(1)
    summaries = torch.stack(
        [
            (layer @ gate).softmax(0) @ layer
            for layer, gate in zip(layers, pooler.token_gates, strict=True)
        ]
    )
    return (summaries @ pooler.layer_gate.weight[0]).softmax(0) @ summaries


def pagerank(pooler: Any, x: Tensor) -> Tensor:
    cosine = nn.functional.cosine_similarity(x[:, None], x[None], dim=-1)
    graph = networkx.from_numpy_array(cosine.clamp(min=0).numpy())
    ranks = networkx.pagerank(graph, alpha=pooler.damping, tol=1e-12, max_iter=1000)
    return torch.stack([ranks[t] * token for t, token in enumerate(x)]).sum(0)


def token_graph(pooler: Any, x: Tensor) -> Tensor:
    cosine = nn.functional.cosine_similarity(x[:, None], x[None], dim=-1)
    states = [x]
    for layer in pooler.layers:
        values = states[-1] @ layer.project.weight.T
        left, right = layer.score.weight
        refined = []
        for i, value in enumerate(values):
            near = [j for j in range(len(x)) if j == i or cosine[i, j] > pooler.threshold]
            scores = torch.stack([left @ value + right @ values[j] for j in near])
            weights = torch.where(scores > 0, scores, 0.2 * scores).softmax(0)
            refined.append((weights @ values[near]).relu())
        states.append(torch.stack(refined))
    return attention(pooler.readout, torch.cat(states, dim=1))


CASES: list[tuple[str, dict[str, object], Formula]] = [
    ("cls", {}, lambda _, x: x[0]),
    ("last", {}, lambda _, x: x[-1]),
    ("mean", {}, lambda _, x: x.mean(0)),
    ("mean_sqrt", {}, lambda _, x: x.sum(0) / len(x) ** 0.5),
    ("sum", {}, lambda _, x: x.sum(0)),
    ("max", {}, lambda _, x: x.amax(0)),
    ("min", {}, lambda _, x: x.amin(0)),
    ("weighted_mean", {}, weighted_mean),
    ("mean_max", {}, lambda _, x: torch.cat([x.mean(0), x.amax(0)])),
    ("mean_std", {"eps": 0.0}, lambda _, x: torch.cat([x.mean(0), x.std(0, correction=0)])),
    ("power_mean", {"power": 1.7, "learned": True}, power_mean),
    ("logsumexp", {"r": 3.0}, scipy_logsumexp),
    ("soft_max", {"temperature": 0.3}, lambda _, x: ((x / 0.3).softmax(0) * x).sum(0)),
    ("topk_mean", {}, lambda _, x: x.sort(dim=0).values[-3:].mean(0)),
    ("window_mean_max", {}, window_mean_max),
    ("idf_mean", {}, idf_mean),
    ("max_attention", {}, max_attention),
    ("attention", {}, attention),
    ("gated_attention", {}, gated_attention),
    ("vector_attention", {}, vector_attention),
    ("self_attentive", {}, self_attentive),
    (
        "multihead_attention",
        {"heads": 2, "queries": 3},
        lambda p, x: attend(p.attention, p.queries, x).flatten(),
    ),
    ("efficient_probing", {}, efficient_probing),
    ("attentive_statistics", {}, attentive_statistics),
    ("latent_attention", {}, latent_attention),
    ("max_pool_bert", {}, max_pool_bert),
    ("positional_mean", {"positions": 3}, positional_mean),
    ("conv", {}, conv),
    ("gated_conv", {"kernel_size": 5, "layers": 3, "dilation": 2}, gated_conv),
    ("gru", {"reduce": "last"}, rnn),
    ("gru", {"reduce": "max"}, rnn),
    ("lstm", {"reduce": "mean"}, rnn),
    ("transformer_layer", {}, lambda p, x: p.layer(x.unsqueeze(0))[0].mean(0)),
    ("late_mean", {}, lambda p, x: nn.functional.gelu(p.project(x)).mean(0)),
    ("sliced_wasserstein", {"slices": 5, "points": 4}, sliced_wasserstein),
    ("native", {}, lambda p, x: p.transform(x[0])),
    ("ada_pool", {}, lambda p, x: attend(p.attention, x.mean(0, keepdim=True), x)[0]),
    ("multimax", {}, multimax),
    ("rolling_max_attention", {}, rolling_max_attention),
    ("rolling_max_attention", {"window": 3, "heads": 5}, rolling_max_attention),
    ("ema_max", {}, ema_max),
    ("ema_max", {"alpha": 1.0}, lambda _, x: x.amax(0)),
    ("attention_probe", {}, attention_probe),
    ("bag_of_windows", {}, bag_of_windows),
    ("bag_of_windows", {"window": 4, "stride": 4}, bag_of_windows),
    ("bag_of_windows", {"window": 3, "stride": 1}, bag_of_windows),
    ("layer_attention", {}, layer_attention),
    ("layer_token_gate", {}, layer_token_gate),
    ("pagerank", {}, pagerank),
    ("token_graph", {}, token_graph),
    ("token_graph", {"threshold": 0.7, "layers": 3}, token_graph),
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
